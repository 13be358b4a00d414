"""What a run optimises. A task is a module with three functions, found by its name:

initial_params(model, key, config) -> params
inputs(example, key, config) -> dict of arrays              on the device, one example: augmentation, rendering
evaluation_inputs(example, key, config) -> the same         without augmentation
loss(model, params, inputs, config) -> (scalar, dict)       inputs of a batch; scalars to log, "loss" too
evaluate(model, params, inputs, config) -> (dict, dict)     metrics (b,) of each example, and pictures to look at
"""

import importlib

NAMES = ("deblur",)


def get(name: str):
    """The task's module. Raises ValueError for an unknown name."""
    if name not in NAMES:
        raise ValueError(f"no task {name!r}; known: {', '.join(NAMES)}")
    return importlib.import_module(f"{__name__}.{name}")
