"""Defocus maps without learning. Each module has `estimate(image (h w 3) in [0, 1]) -> sigma (h w) float32, pixels`.

zhuo: gradient ratio at edges, matting Laplacian (Zhuo & Sim 2011). jnb: sparse codes of patches (Shi, Xu & Jia 2015).
ebdb: gradient ratio at a scale chosen for every edge, guided filter (Karaali & Jung 2018). On NumPy and SciPy.
"""

import importlib

_SUBMODULES = ("ebdb", "edges", "jnb", "propagation", "zhuo")


def __getattr__(name: str):
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
