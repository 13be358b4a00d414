"""Training runs: the loop and its parts, which know no model and no task.

`config` reads configs, `loop` runs one; the rest are its parts: state, optimizer, step, mesh, checkpoints, logs. The
names here are loaded when used, because the loop's parts load JAX and the command line's help does not need it.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restore_jax.train.config import load_config as load_config
    from restore_jax.train.loop import main as main
    from restore_jax.train.loop import train as train

_NAMES = {"load_config": "config", "main": "loop", "train": "loop"}
__all__ = list(_NAMES)


if not TYPE_CHECKING:  # a type checker would take any name to be here

    def __getattr__(name: str):
        if name not in _NAMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)


def __dir__():
    return sorted([*globals(), *__all__])
