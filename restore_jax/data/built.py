"""Datasets that `restore-jax data build` made, read by TFDS without TensorFlow."""

import pathlib

from restore_jax.data import catalogue
from restore_jax.errors import InputError


def folder_of(name: str, directory: str = "") -> pathlib.Path:
    """Where dataset `name` has its versions: in `directory`, else where datasets are built unless told."""
    place = name if "/" in name else "/".join(catalogue.dataset_and_config(name))
    return pathlib.Path(directory or catalogue.data_folder()).expanduser() / place


def newest(folder: pathlib.Path) -> pathlib.Path | None:
    """The newest version in a dataset's folder, None if it is not built."""
    # What a killed build left is called incomplete.*.
    return max((path for path in folder.glob("[0-9]*.*.*") if path.is_dir()), default=None)


def open_newest(name: str, directory: str = ""):
    """The TFDS builder of the newest version of dataset `name`. InputError if it is not built, or TFDS is missing."""
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise InputError(f"{name}: needs TFDS: pip install 'restore-jax[data]'") from None
    folder = folder_of(name, directory)
    version = newest(folder)
    if version is None:
        raise InputError(f"{folder}: not built yet; build it by: restore-jax data build {name} TREE")
    return tfds.builder_from_directory(version)


def built(name: str, split: str, directory: str = ""):
    """`open_newest` of a dataset that has `split`. InputError besides if it has not."""
    builder = open_newest(name, directory)
    if split not in builder.info.splits:
        raise InputError(f"{name}: has no split {split!r}, but {', '.join(builder.info.splits)}")
    return builder


def records(builder, split: str, features):
    """The split's examples, by number; of their features only these are decoded."""
    import tensorflow_datasets as tfds

    # Without TensorFlow TFDS knows no PartialDecoding.
    skipped = {feature: tfds.decode.SkipDecoding() for feature in builder.info.features if feature not in features}
    return builder.as_data_source(split, decoders=skipped)
