"""MATLAB's imresize: bicubic of a = -1/2, antialiased when it reduces, edges mirrored. NumPy on the host, or JAX.

It makes RealMCVSR's LRx2 and LRx4 (dissertation 5.4) and the inputs of most benchmarks of super-resolution.
"""

import functools
import math
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

_SUPPORT = 4.0  # samples: the width of the cubic kernel


def imresize(
    x: Shaped[np.ndarray, "*b h w c"] | Shaped[Array, "*b h w c"], scale: float | int | Fraction
) -> Shaped[np.ndarray, "*b h1 w1 c"] | Shaped[Array, "*b h1 w1 c"]:
    """Multiply both sides by `scale`, rounded up; a NumPy array gives a NumPy array, a JAX array a JAX array.

    Integers are rounded (halves up) and clipped after each of the two passes, rows first, as MATLAB does; floats are
    neither rounded nor clipped. Sums are in the array's own float type, or float32 for integers, which is exact where 8
    bits are halved or quartered.
    Raises ValueError for a scale that is not positive.
    """
    if not scale > 0:
        raise ValueError(f"imresize: scale is {scale}, must be positive")
    for axis in (x.ndim - 3, x.ndim - 2):
        x = _resize_axis(x, axis, float(scale))
    return x


@functools.lru_cache(maxsize=64)
def taps(length: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (first, weights): output i is the sum over k of weights[i, k] (float64) times sample first[i] + k."""
    count = math.ceil(round(length * scale, 9))  # 1.1 * 10 is not 11 in binary
    stretch = min(scale, 1.0)  # below 1 the kernel is as wide as the samples that an output pixel covers
    width = _SUPPORT / stretch
    centre = (np.arange(count) + 0.5) / scale - 0.5
    first = np.floor(centre - width / 2).astype(int) + 1
    offset = centre[:, None] - first[:, None] - np.arange(math.ceil(width))
    weights = _cubic(stretch * offset)
    return first, weights / weights.sum(1, keepdims=True)


def _cubic(t):
    """Keys' kernel, a = -1/2."""
    t = np.abs(t)
    near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    return np.where(t <= 1, near, np.where(t <= 2, far, 0.0))


def _resize_axis(x, axis, scale):
    xp = np if isinstance(x, np.ndarray) else jnp
    whole = np.issubdtype(x.dtype, np.integer)
    dtype = np.dtype(np.float32 if whole else x.dtype)
    first, weights = taps(x.shape[axis], scale)
    before = max(0, -int(first[0]))
    after = max(0, int(first[-1]) + weights.shape[1] - x.shape[axis])
    padding = [(0, 0)] * x.ndim
    padding[axis] = (before, after)
    padded = xp.pad(x, padding, mode="symmetric")
    shape = [1] * x.ndim
    shape[axis] = -1
    steps = np.unique(np.diff(first))
    total = None
    # Tap by tap instead of a matrix product, which accelerators compute with fewer digits by default.
    for k, weight in enumerate(weights.T.astype(dtype)):
        start = first + before + k
        if len(steps) == 1:
            every = [slice(None)] * x.ndim
            every[axis] = slice(int(start[0]), int(start[-1]) + 1, int(steps[0]) or None)
            sample = padded[tuple(every)]
        else:
            sample = xp.take(padded, start, axis)
        # NumPy is faster with a plain number where all outputs share a weight.
        factor = weight[0] if (weight == weight[0]).all() else weight.reshape(shape)
        term = sample.astype(dtype) * xp.asarray(factor)
        total = term if total is None else total + term
    if not whole:
        return total
    limits = np.iinfo(x.dtype)
    return xp.clip(xp.floor(total + dtype.type(0.5)), limits.min, limits.max).astype(x.dtype)
