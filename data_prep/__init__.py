"""Datasets: checks of the folders that their authors publish, and TFDS packages built from them without TensorFlow.

A dataset is a package of this folder. Its `layout.py` says what the tree holds; the check and the builder both read it.
Names are "dpdd", or "dpdd/png8" for one of several configs; a bare name means the first.
"""

import dataclasses
import importlib
import os
from pathlib import Path

from data_prep.layout import Layout
from restore_jax.data.catalogue import NAMES as NAMES
from restore_jax.data.catalogue import data_folder, dataset_and_config
from restore_jax.errors import InputError


def layouts(dataset: str) -> dict[str, Layout]:
    """Return {config: layout} of a dataset of NAMES."""
    return importlib.import_module(f"data_prep.{dataset}.layout").LAYOUTS


def find(name: str, partial: bool = False) -> tuple[str, str, Layout]:
    """Split a name such as "dpdd" or "dpdd/png8" into (dataset, config, layout). Raises InputError for an unknown name.

    partial: only a part of the dataset is there, so its scenes are not counted. The config's name then ends in
    "_partial", so that a dataset built from it is never taken for the whole.
    """
    dataset, config = dataset_and_config(name)
    configs = layouts(dataset)
    if config not in configs:
        raise InputError(f"{name}: {dataset} has no config {config!r}; it has {', '.join(configs)}")
    layout = configs[config]
    if partial:
        return dataset, f"{config}_partial", dataclasses.replace(layout, splits=dict.fromkeys(layout.splits))
    return dataset, config, layout


def survey(name: str, tree: str | os.PathLike, partial: bool = False):
    """Survey a published tree, a `data_prep.trees.Survey`: its scenes and what is wrong with it.

    Only names and image headers are read. partial: scenes are not counted. Raises InputError for an unknown name.
    """
    from data_prep import trees

    return trees.survey(find(name, partial)[2], Path(tree))


def check(name: str, tree: str | os.PathLike, partial: bool = False) -> list[str]:
    """List what is wrong with a published tree, a line each that names the file; empty if nothing is. See `survey`."""
    return survey(name, tree, partial).problems


def build(name: str, tree: str | os.PathLike, data_dir: str | os.PathLike | None = None, partial: bool = False) -> Path:
    """Build array_record files from a published tree and return their folder, for `tfds.builder_from_directory`.

    Images are stored byte for byte as their files are. The folder appears only once it is whole.
    data_dir: default `data_folder()`. partial: build a part of the dataset, under the config's name + "_partial".
    Raises InputError if the tree has a problem, the folder exists or cannot be written, or TFDS is not installed.
    """
    from data_prep import building

    dataset, config, layout = find(name, partial)
    return building.build(dataset, config, layout, Path(tree), Path(data_dir or data_folder()).expanduser())


def split_sizes(path: str | os.PathLike) -> dict[str, int]:
    """Return {split: number of scenes} of a built dataset."""
    from data_prep.building import tfds

    return {split: info.num_examples for split, info in tfds.builder_from_directory(path).info.splits.items()}
