"""The TFDS builder of SYNDOF: renders what is not rendered yet, then packs it."""

import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from data_prep import building, trees
from data_prep.syndof import shards
from data_prep.syndof.layout import LAYOUTS

LENS = {
    "focus": "mm, after the shift",
    "scale": "pixels: COC = scale (x - focus) / x at depth x",
    "levels": "number of depth layers before merging",
    "shift": "mm added to every depth",
    "focal_length": "mm, 0 where scale stands for the lens",
    "f_number": "0 where scale stands for the lens",
}
UNITS = {"sigma": "pixels", "blurred": "255 where the COC is above 1 pixel, else 0", "lens": LENS}


class Builder(building.Builder):
    """Images defocused by known thin lenses, with the sigma of every pixel."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = building.configs(LAYOUTS)
    MANUAL_DOWNLOAD_INSTRUCTIONS = "images and depths of MPI Sintel, SYNTHIA and Middlebury 2014: see README.md."

    def _info(self) -> tfds.core.DatasetInfo:
        scalars = {name: np.int32 if name == "levels" else np.float32 for name in LENS}
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), dtype=np.uint8),
            "sigma": tfds.features.Tensor(
                shape=(None, None), dtype=np.float32, encoding=tfds.features.Encoding.ZLIB, doc="pixels"
            ),
            "blurred": tfds.features.Image(shape=(None, None, 1), dtype=np.uint8, doc=UNITS["blurred"]),
            "lens": {name: tfds.features.Scalar(dtype, doc=LENS[name]) for name, dtype in scalars.items()},
            "scene": tfds.features.Text(doc="the sample's name in the tree"),
            "source": tfds.features.Text(doc="MPI, SYNTHIA or Middlebury"),
        }
        metadata = tfds.core.MetadataDict(units=UNITS)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), disable_shuffling=True, metadata=metadata
        )

    def _shard_iterators_per_split(self, dl_manager) -> dict[str, list[Callable]]:
        root = Path(dl_manager.manual_dir)
        building.refuse(trees.survey(self.builder_config.layout, root).problems)
        # The shards lie beside the versions, where a build that was stopped finds them again.
        folder = Path(self._data_dir_root) / self.name / "rendered" / self.builder_config.name
        plan = shards.make_plan(root, folder, self.builder_config.name.removesuffix("_partial"))
        return {"train": [partial(_examples, path) for path in shards.write_shards(plan, root, folder)]}


def _examples(path: Path) -> Iterator[tuple[str, dict]]:
    for index, files in shards.read_shard(path):
        said = json.loads(files["example.json"])
        yield (
            index,
            {
                "image": io.BytesIO(files["image.png"]),
                "sigma": np.load(io.BytesIO(files["sigma.npy"])),
                "blurred": io.BytesIO(files["blurred.png"]),
                "lens": {name: said["lens"][name] for name in LENS},
                "scene": said["scene"],
                "source": said["source"],
            },
        )
