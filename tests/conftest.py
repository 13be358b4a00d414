"""Strictness for every test: shapes are checked, promotion of dtypes and ranks raises, --no-skips is there."""

import importlib
import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most of the tests' time is compiling: programs run once, so that optimising them costs more than it saves.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

from restore_jax.cache import cache_folder

# Programs compiled by one run of the tests are there for the next, in processes that tests start too.
if (compiled := cache_folder("tests")) is not None:
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(compiled))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

from jaxtyping import install_import_hook

import restore_jax.ops
from tests.unchecked import UNCHECKED

with install_import_hook(
    [f"restore_jax.ops.{name}" for name in {*dir(restore_jax.ops)} - UNCHECKED], "beartype.beartype"
):
    for name in dir(restore_jax.ops):  # ops imports its modules on first use, when the hook is gone
        importlib.import_module(f"restore_jax.ops.{name}")

import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_addoption(parser):
    parser.addoption("--no-skips", action="store_true", help="a test that would be skipped fails, as in CI")


def pytest_collection_modifyitems(items):
    from tests.slow import SLOW

    for item in items:
        if item.path.stem in SLOW:
            item.add_marker("slow")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return _without_skips(item.config, (yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return _without_skips(collector.config, (yield))


def _without_skips(config, report):
    """The report of a test or a module, as failed if it was skipped and --no-skips is on."""
    if report.skipped and config.getoption("no_skips") and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"--no-skips: {report.longrepr[2]}"
    return report


@pytest.fixture
def golden():
    """Loads tests/golden/NAME.npz as a dict of arrays."""
    import numpy as np

    from tests.places import GOLDEN

    def load(name):
        with np.load(GOLDEN / f"{name}.npz") as arrays:
            return dict(arrays)

    return load
