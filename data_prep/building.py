"""The parts that all TFDS packages share: features, examples and shards of a layout, and the build. Needs TFDS."""

import contextlib
import dataclasses
import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from data_prep import trees
from data_prep.layout import Layout
from restore_jax.errors import InputError, install_line

try:
    import absl.logging
    import array_record  # noqa: F401
    import numpy as np
    import tensorflow_datasets as tfds
    from tqdm import tqdm
except ImportError as error:
    raise InputError(f"data: {error}: {install_line('data')}") from error

SCENES_A_SHARD = 32  # about 1 GB of DPDD's 16-bit images


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """A layout as a TFDS config."""

    layout: Layout | None = None


def configs(layouts: dict[str, Layout]) -> list[Config]:
    """Return the configs of a dataset's layouts."""
    return [Config(name=name, description=layout.description, layout=layout) for name, layout in layouts.items()]


class Builder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Base of the packages' builders.

    It builds by shards because TFDS's GeneratorBasedBuilder shuffles, and from 1 GB on does so through files that it
    opens with TensorFlow.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(features=features(self.builder_config.layout), disable_shuffling=True)

    def _shard_iterators_per_split(self, dl_manager) -> dict[str, list[Callable]]:
        layout, tree = self.builder_config.layout, Path(dl_manager.manual_dir)
        found = trees.survey(layout, tree)
        refuse(found.problems)
        return {split: shards(layout, split, scenes) for split, scenes in found.scenes.items() if scenes}


def features(layout: Layout) -> tfds.features.FeaturesDict:
    """Return the features of a layout: an image for each view, the scene's name and, if there is one, the rotation."""
    found = {"scene": tfds.features.Text(doc="the scene's name in the published tree")}
    for view in layout.views:
        dtype = np.uint16 if 16 in view.bits else np.uint8
        found[view.name] = tfds.features.Image(shape=(None, None, view.channels), dtype=dtype)
    if layout.rotation is not None:
        doc = "degrees counter-clockwise to turn the views by before a network sees them"
        found["rotation"] = tfds.features.Scalar(np.int32, doc=doc)
    return tfds.features.FeaturesDict(found)


def shards(layout: Layout, split: str, scenes: dict[str, dict[str, Path]]) -> list[Callable]:
    """Return functions that yield (scene, example), one for each shard; images are paths, so that no bit changes."""
    more = {} if layout.rotation is None else {"rotation": layout.rotation}

    def examples(title: str, names: list[str]) -> Iterator[tuple[str, dict]]:
        for scene in tqdm(names, desc=title, unit="scene", disable=None):
            yield scene, {"scene": scene} | {view: os.fspath(path) for view, path in scenes[scene].items()} | more

    names = list(scenes)
    parts = [names[start : start + SCENES_A_SHARD] for start in range(0, len(names), SCENES_A_SHARD)]
    return [partial(examples, f"{split} {i}/{len(parts)}", part) for i, part in enumerate(parts, 1)]


def refuse(problems: list[str]) -> None:
    """Raise InputError with the first problem and the number of the others, if there is any."""
    if problems:
        more = f" (and {len(problems) - 1} more problems; data check lists them)" if len(problems) > 1 else ""
        raise InputError(problems[0] + more)


def build(dataset: str, config: str, layout: Layout, tree: Path, data_dir: Path) -> Path:
    """Build array_record files from the tree and return their folder. Raises InputError."""
    refuse(trees.survey(layout, tree).problems)
    module = importlib.import_module(f"data_prep.{dataset}.{dataset}_dataset_builder")
    known = module.Builder.builder_configs.get(config)
    chosen = known if known is not None and known.layout == layout else Config(name=config, layout=layout)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        verbosity = absl.logging.get_verbosity()
        absl.logging.set_verbosity(absl.logging.ERROR)  # TFDS warns at length of configs that it did not declare
        try:
            builder = module.Builder(config=chosen, data_dir=data_dir, file_format="array_record")
        finally:
            absl.logging.set_verbosity(verbosity)
        if builder.data_path.exists():
            raise InputError(f"{builder.data_path}: built already; remove it to build it again")
        # TFDS insists on a folder for downloads, though there are none, and prints on stdout.
        with tempfile.TemporaryDirectory() as downloads, contextlib.redirect_stdout(sys.stderr):
            settings = tfds.download.DownloadConfig(manual_dir=tree)
            builder.download_and_prepare(download_dir=downloads, download_config=settings)
    except OSError as error:
        raise InputError(f"{data_dir}: cannot be written: {error.strerror or error}") from error
    return Path(builder.data_path)
