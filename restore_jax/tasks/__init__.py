"""What a run optimises. A task is a module of five functions, found by its name:

initial_params(model, key, config) -> variables             fresh ones: {"params": ...} and other collections
inputs(example, key, config) -> dict of arrays              on the device, one example: augmentation, rendering
evaluation_inputs(example, key, config) -> the same         without augmentation
phases(config) -> ((modules, loss), ...)                    what is trained in turn: top-level names, () for all, and
    loss(model, variables, inputs, config)                  its loss of a batch -> (scalar, (metrics, statistics)):
                                                            scalars to log, "loss" among them, and changed collections
evaluate(model, variables, inputs, config) -> (dict, dict)  metrics (b,) of each example, and pictures to look at

and may have CARD, a dict: what the card of weights must say of what was trained, for them to be used as meant.
"""

import importlib

import jax.numpy as jnp
from jaxtyping import Array, Float, Num

NAMES = ("deblur", "defocus_map", "optical_flow", "ref_vsr", "super_resolution", "vsr")


def get(name: str):
    """The task's module. Raises ValueError for an unknown name."""
    if name not in NAMES:
        raise ValueError(f"no task {name!r}; known: {', '.join(NAMES)}")
    return importlib.import_module(f"{__name__}.{name}")


def to_float(image: Num[Array, "..."]) -> Float[Array, "..."]:
    """Integers of 8 or 16 bits to float32 in [0, 1]; floats as they are."""
    whole = jnp.issubdtype(image.dtype, jnp.integer)
    return image.astype(jnp.float32) / (float(jnp.iinfo(image.dtype).max) if whole else 1.0)
