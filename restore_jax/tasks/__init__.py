"""Tasks: what a run optimises. A task is a module of five functions:

initial_params(model, key, config) -> variables
    Initial variables: {"params": ...} and other collections.
inputs(example, key, config) -> dict of arrays
    Prepares one example on the device: augmentation, rendering.
evaluation_inputs(example, key, config) -> dict of arrays
    Prepares one example without augmentation.
phases(config) -> ((modules, loss), ...)
    The parts that are trained in turn: top-level names of modules, or () for all, and their loss.
    loss(model, variables, inputs, config) of a batch returns (scalar, (metrics, statistics)): metrics are scalars to
    log, "loss" among them, and statistics are the collections that changed.
evaluate(model, variables, inputs, config) -> (dict, dict)
    Metrics (b,) of each example, and pictures to look at.

A task may have CARD, a dict of facts that the card of its weights must state, for them to be used as meant.
"""

import importlib

import jax.numpy as jnp
from jaxtyping import Array, Float, Num

NAMES = ("deblur", "defocus_map", "optical_flow", "ref_vsr", "super_resolution", "vsr")


def get(name: str):
    """Return the task's module. Raises ValueError for an unknown name."""
    if name not in NAMES:
        raise ValueError(f"no task {name!r}; known: {', '.join(NAMES)}")
    return importlib.import_module(f"{__name__}.{name}")


def to_float(image: Num[Array, "..."]) -> Float[Array, "..."]:
    """Convert integers of 8 or 16 bits to float32 in [0, 1]; floats stay as they are."""
    whole = jnp.issubdtype(image.dtype, jnp.integer)
    return image.astype(jnp.float32) / (float(jnp.iinfo(image.dtype).max) if whole else 1.0)
