"""The structural similarity of every window of two pictures (Wang et al. 2004), which `metrics.ssim` averages."""

import jax
import numpy as np
from jaxtyping import Array, Float

K1, K2 = 0.01, 0.03  # the stabilisers, as fractions of the range


def window(name: str) -> np.ndarray:
    """Return the weights along one axis of "uniform7" or "gaussian11"; the window is their outer product."""
    if name == "uniform7":
        return np.full(7, 1 / 7)
    weights = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    return weights / weights.sum()


def similarity(
    x: Float[Array, "*b h w c"], y: Float[Array, "*b h w c"], name: str, range: float = 1.0
) -> Float[Array, "*b h2 w2 c"]:
    """Compute the similarity of every window of n x n that lies inside: (h + 1 - n, w + 1 - n) of them.

    name: the window, "uniform7" or "gaussian11". range: the scale of the values, 1 or 255.
    """
    weights = window(name)
    mean_x, mean_y, xx, yy, xy = _moments(x, y, weights)
    if name == "uniform7":  # the sample covariance
        n = len(weights) ** 2
        xx, yy, xy = (m * (n / (n - 1)) for m in (xx, yy, xy))
    c1, c2 = ((k * range) ** 2 for k in (K1, K2))
    likeness = (2 * mean_x * mean_y + c1) * (2 * xy + c2)
    return likeness / ((mean_x**2 + mean_y**2 + c1) * (xx + yy + c2))


def _moments(x, y, window):
    """Compute the means of x and y, their variances and covariance in all windows that fit.

    It works first along rows, then along columns, by the law of total covariance. Each pass sums products of centred
    values: float32 does not cancel, as it would in E[x^2] - E[x]^2, and a window of n x n takes 2n taps.
    """
    within = ()
    for axis in (-2, -3):
        mean_x, mean_y, *within = (_windowed(m, window, axis) for m in (x, y, *within))
        pairs = list(zip(window, _shifted(x, window, axis), _shifted(y, window, axis), strict=True))
        centred = [(float(w), a - mean_x, b - mean_y) for w, a, b in pairs]
        between = [sum(w * d[i] * d[j] for w, *d in centred) for i, j in ((0, 0), (1, 1), (0, 1))]
        spread = [b + w for b, w in zip(between, within, strict=True)] if within else between
        # Without the barrier XLA computes the first pass again for every tap of the second.
        x, y, *within = jax.lax.optimization_barrier((mean_x, mean_y, *spread))
    return x, y, *within


def _shifted(values, window, axis):
    """Return, for each tap, the values that it meets in all windows that fit along `axis`."""
    count = values.shape[axis] - len(window) + 1
    return [jax.lax.slice_in_dim(values, i, i + count, axis=axis) for i in range(len(window))]


def _windowed(values, window, axis):
    """Return the weighted mean of each window along `axis`."""
    return sum(float(w) * tap for w, tap in zip(window, _shifted(values, window, axis), strict=True))
