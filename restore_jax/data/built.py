"""Datasets that `restore-jax data build` made, read by TFDS without TensorFlow."""

import pathlib

from restore_jax.data import catalogue
from restore_jax.errors import InputError, install_line


def folder_of(name: str, directory: str = "") -> pathlib.Path:
    """Return the folder of a dataset's versions: in `directory`, or by default in `catalogue.data_folder()`."""
    place = name if "/" in name else "/".join(catalogue.dataset_and_config(name))
    return pathlib.Path(directory or catalogue.data_folder()).expanduser() / place


def newest(folder: pathlib.Path) -> pathlib.Path | None:
    """Return the newest version in a dataset's folder, None if it is not built."""
    # A killed build leaves a folder incomplete.*, which does not match.
    return max((path for path in folder.glob("[0-9]*.*.*") if path.is_dir()), default=None)


def open_newest(name: str, directory: str = ""):
    """Open the newest version of dataset `name` as a TFDS builder.

    Raises InputError if it is not built, or if TFDS is missing.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise InputError(f"{name}: needs TFDS: {install_line('data')}") from None
    folder = folder_of(name, directory)
    version = newest(folder)
    if version is None:
        raise InputError(f"{folder}: not built yet; build it by: restore-jax data build {name} TREE")
    return tfds.builder_from_directory(version)


def built(name: str, split: str, directory: str = ""):
    """Open the newest version as `open_newest` does; raises InputError too if it has no `split`."""
    builder = open_newest(name, directory)
    if split not in builder.info.splits:
        raise InputError(f"{name}: has no split {split!r}, but {', '.join(builder.info.splits)}")
    return builder


def records(builder, split: str, features):
    """Read the split's examples by number, decoding only these of their features."""
    import tensorflow_datasets as tfds

    # TFDS has no PartialDecoding without TensorFlow.
    skipped = {feature: tfds.decode.SkipDecoding() for feature in builder.info.features if feature not in features}
    return builder.as_data_source(split, decoders=skipped)
