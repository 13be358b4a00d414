"""Defocus maps without learning, in NumPy and SciPy.

Each module has `estimate(image)`: an image (h, w, 3) in [0, 1] becomes a map (h, w) of sigma, float32 pixels.

- `zhuo`: gradient ratio at edges, spread by the matting Laplacian (Zhuo & Sim 2011)
- `jnb`: sparse codes of patches (Shi, Xu & Jia 2015)
- `ebdb`: gradient ratio at a scale of its own for every edge, spread by the guided filter (Karaali & Jung 2018)
"""

import importlib

_SUBMODULES = ("ebdb", "edges", "jnb", "propagation", "zhuo")


def __getattr__(name: str):
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
