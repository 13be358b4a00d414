"""The datasets by name, and the folder that holds those that were built."""

import os
from pathlib import Path

from restore_jax.errors import InputError

# {dataset: the config that its bare name means}; each is a package of data_prep, whose layout.py has all its configs.
DEFAULT_CONFIGS = {
    "dpdd": "png16",
    "realdof": "png8",
    "pixeldp": "png16",
    "cuhk_blur": "train604",
    "rtf": "sigma",
    "syndof": "paper",
    "realmcvsr": "hr",
}

NAMES = tuple(DEFAULT_CONFIGS)


def dataset_and_config(name: str) -> tuple[str, str]:
    """Split "dpdd/png8" into ("dpdd", "png8"); a bare "dpdd" gets its default config.

    Raises InputError for a dataset that is none of `NAMES`; whether it has that config is not checked.
    """
    dataset, slash, config = name.partition("/")
    if dataset not in NAMES:
        raise InputError(f"{name}: no such dataset; there are {', '.join(NAMES)}")
    return dataset, config if slash else DEFAULT_CONFIGS[dataset]


def data_folder() -> Path:
    """Return the folder that datasets are built in unless told otherwise.

    It is $RESTORE_JAX_DATA, or ~/.cache/restore_jax/datasets.
    """
    return Path(os.environ.get("RESTORE_JAX_DATA") or "~/.cache/restore_jax/datasets").expanduser()
