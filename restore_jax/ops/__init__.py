"""Pure functions on arrays: no parameters, no state, nothing imported from the rest of the package."""

import importlib

_SUBMODULES = (
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
)


def __getattr__(name: str):
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
