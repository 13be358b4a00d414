"""Training runs: the loop and its parts, which know no model and no task.

`config` reads configs and `loop` runs one; the other modules are the loop's parts. The names here are loaded when they
are used, because the parts load JAX and the command line's help does not need it.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restore_jax.train.config import load_config as load_config
    from restore_jax.train.loop import train as train

_NAMES = {"load_config": "config", "train": "loop"}
__all__ = list(_NAMES)


if not TYPE_CHECKING:  # with this function a type checker would accept any name

    def __getattr__(name: str):
        if name not in _NAMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)


def __dir__():
    return sorted([*globals(), *__all__])
