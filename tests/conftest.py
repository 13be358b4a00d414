"""Strictness for every test: shapes are checked, promotion of dtypes and ranks raises (design.md, rule 8)."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most of the tests' time is compiling: programs run once, so that optimising them costs more than it saves.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

from jaxtyping import install_import_hook

with install_import_hook("restore_jax.ops", "beartype.beartype"):
    import restore_jax.ops  # noqa: F401

import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def golden():
    """Loads tests/golden/NAME.npz as a dict of arrays."""
    import pathlib

    import numpy as np

    def load(name):
        with np.load(pathlib.Path(__file__).parent / "golden" / f"{name}.npz") as arrays:
            return dict(arrays)

    return load
