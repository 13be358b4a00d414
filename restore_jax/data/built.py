"""Datasets that `restore-jax data build` made, read by TFDS without TensorFlow."""

import pathlib

from restore_jax.errors import InputError


def built(name: str, data):
    """The builder of dataset `name` in data.directory. InputError if it is not there or has no data.split."""
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise InputError(f"data.source={data.source!r} needs TFDS: pip install 'restore-jax[data]'") from None
    import data_prep

    place = name if "/" in name else "/".join(data_prep.find(name)[:2])
    folder = pathlib.Path(data.directory or data_prep.data_folder()).expanduser() / place
    # What a killed build left is called incomplete.*.
    versions = sorted(path for path in folder.glob("[0-9]*.*.*") if path.is_dir())
    if not versions:
        raise InputError(f"{folder}: not built yet; build it by: restore-jax data build {name} TREE")
    builder = tfds.builder_from_directory(versions[-1])
    if data.split not in builder.info.splits:
        raise InputError(f"{name}: has no split {data.split!r}, but {', '.join(builder.info.splits)}")
    return builder


def records(builder, split: str, features):
    """The split's examples, by number; of their features only these are decoded."""
    import tensorflow_datasets as tfds

    # Without TensorFlow TFDS knows no PartialDecoding.
    skipped = {feature: tfds.decode.SkipDecoding() for feature in builder.info.features if feature not in features}
    return builder.as_data_source(split, decoders=skipped)
