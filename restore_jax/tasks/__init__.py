"""What a run optimises. A task is a module with three functions, found by its name:

initial_params(model, key, config) -> params
inputs(batch, key, config) -> dict of arrays      on the device: augmentation, rendering
loss(model, params, inputs, config) -> (scalar, dict of scalars)
"""

import importlib

NAMES = ("deblur",)


def get(name: str):
    """The task's module. Raises ValueError for an unknown name."""
    if name not in NAMES:
        raise ValueError(f"no task {name!r}; known: {', '.join(NAMES)}")
    return importlib.import_module(f"{__name__}.{name}")
