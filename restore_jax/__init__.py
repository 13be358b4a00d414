"""Restoration of defocused photographs and multi-camera video in JAX.

    import restore_jax as rj
    sharp = rj.deblur(photo)            # HWC uint8, uint16 or float in, the same out
    restorer = rj.load("ifan")          # .model, .params, .card
    sigma = rj.estimate_defocus(photo)  # (h, w) float32, the blur at each pixel in pixels

Importing this package loads neither JAX nor anything else heavy: every name below is resolved on first use.
"""

import importlib
from typing import TYPE_CHECKING

from restore_jax.version import __version__ as __version__

if TYPE_CHECKING:  # the same names, for type checkers
    from restore_jax import classical as classical
    from restore_jax import data as data
    from restore_jax import defocus as defocus
    from restore_jax import io as io
    from restore_jax import losses as losses
    from restore_jax import metrics as metrics
    from restore_jax import models as models
    from restore_jax import ops as ops
    from restore_jax import restore as restore
    from restore_jax import tasks as tasks
    from restore_jax import train as train
    from restore_jax import video as video
    from restore_jax import weights as weights
    from restore_jax.deblurring import deblur as deblur
    from restore_jax.defocus import estimate_defocus as estimate_defocus
    from restore_jax.video import pairing as pairing
    from restore_jax.video import stream as stream
    from restore_jax.video.enlarge import super_resolve as super_resolve
    from restore_jax.weights import load as load

_SUBMODULES = {
    **{name: name for name in ("classical", "data", "defocus", "io", "losses", "metrics", "models", "ops", "restore")},
    **{name: name for name in ("tasks", "train", "video", "weights")},
    **{"pairing": "video.pairing", "stream": "video.stream", "training": "train"},  # training: its name before
}
_FUNCTIONS = {
    "load": "weights",
    "deblur": "deblurring",
    "estimate_defocus": "defocus",
    "super_resolve": "video.enlarge",
}

__all__ = [*_FUNCTIONS, *_SUBMODULES]


if not TYPE_CHECKING:  # with this function a type checker would accept any name

    def __getattr__(name: str):
        if name in _FUNCTIONS:
            return getattr(importlib.import_module(f"{__name__}.{_FUNCTIONS[name]}"), name)
        if name in _SUBMODULES:
            return importlib.import_module(f"{__name__}.{_SUBMODULES[name]}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
