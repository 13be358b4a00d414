"""Pure functions on arrays: no parameters, no state, nothing imported from the rest of the package."""

import importlib
from types import ModuleType

__all__ = [
    "attention",
    "camera",
    "contextual",
    "convolution",
    "deconv",
    "deform_conv",
    "filtering",
    "imresize",
    "jpeg",
    "lens",
    "matching",
    "patches",
    "render",
    "render_layers",
    "resize",
    "scene",
    "sensor",
    "warp",
]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
