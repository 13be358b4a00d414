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

from types import ModuleType

from restore_jax.tasks import deblur, defocus_map, optical_flow, ref_vsr, super_resolution, vsr

_TASKS = {
    **{"deblur": deblur, "defocus_map": defocus_map, "optical_flow": optical_flow},
    **{"ref_vsr": ref_vsr, "super_resolution": super_resolution, "vsr": vsr},
}
NAMES = tuple(_TASKS)
__all__ = ["NAMES", "deblur", "defocus_map", "get", "optical_flow", "ref_vsr", "super_resolution", "vsr"]


def get(name: str) -> ModuleType:
    """Return the task's module. Raises ValueError for an unknown name."""
    if name not in _TASKS:
        raise ValueError(f"no task {name!r}; known: {', '.join(NAMES)}")
    return _TASKS[name]


def __dir__() -> list[str]:
    return __all__
