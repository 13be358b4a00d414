"""Restoration of defocused photographs and multi-camera video in JAX.

    import restore_jax as rj
    sharp = rj.deblur(photo)            # HWC uint8, uint16 or float in, the same out
    clf = rj.load("ifan")               # .model, .params, .card
    sigma = rj.estimate_defocus(photo)  # (h, w) float32, the blur at each pixel in pixels

Importing this package loads neither JAX nor anything else heavy: every name below is resolved on first use.
"""

import importlib

__version__ = "0.1.0"

_SUBMODULES = (
    *("classical", "data", "defocus", "io", "losses", "metrics", "models", "ops", "restore", "tasks", "training"),
    *("pairing", "stream", "video", "weights"),
)
_FUNCTIONS = {"load": "weights", "deblur": "restore", "estimate_defocus": "defocus", "super_resolve": "stream"}

__all__ = [*_FUNCTIONS, *_SUBMODULES]


def __getattr__(name: str):
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"{__name__}.{_FUNCTIONS[name]}"), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
