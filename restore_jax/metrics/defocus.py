"""Metrics of defocus maps under named conventions, in NumPy, one map at a time.

A map is sigma, (h, w) in pixels, as in `restore_jax.defocus`. A dataset's value is the mean of its photographs' values.
"""

import dataclasses

import numpy as np

# v with exp(v) = 2 v + 2: half the squared ratio of a disc's radius to the sigma of the Gaussian closest to it.
_CLOSEST = 1.6783469900166628
RADIUS_PER_SIGMA = (2 * _CLOSEST) ** 0.5  # 1.8321
ALPHA = 0.3  # convention "cuhk" calls blurred what exceeds ALPHA max + (1 - ALPHA) min of a map
LEVELS = 256  # thresholds of a precision-recall curve


@dataclasses.dataclass(frozen=True)
class Convention:
    """Says how a map is compared with a map of true sigma.

    largest: sigma in pixels at which both maps are clipped and by which they are divided; None compares pixels.
    rounded: the estimate is first rounded to the 8 bits of a published map, (2 sigma + 1) / 15.
    """

    largest: float | None = None
    rounded: bool = False


CONVENTIONS = {
    # RTF's largest disc has a radius of 6 px: sigma 3.275. The numbers published for DMENet were computed from the
    # 8-bit PNG of its map; the published Python program uses the map as it is.
    "dmenet-matlab": Convention(largest=3.275, rounded=True),
    "dmenet-py": Convention(largest=3.275),
    # SYNDOF: COC up to 29 px, sigma = (COC - 1) / 4 up to 7 px.
    "syndof": Convention(largest=7.0),
    "px": Convention(),
}


def errors(sigma: np.ndarray, truth: np.ndarray, convention: str) -> dict[str, float]:
    """Compute the mean squared and mean absolute error, {"mse", "mae"}, of a map against the true one.

    sigma, truth: (h, w) in pixels; a NaN in the truth is a pixel that is not known and does not count. Raises
    ValueError for shapes that differ, an estimate that is not finite, a truth that is known nowhere and an unknown
    convention.
    """
    rule = _convention(convention)
    known = _known(sigma, truth)
    estimate, true = np.asarray(sigma, np.float64)[known], np.asarray(truth, np.float64)[known]
    if rule.rounded:
        estimate = np.maximum(0, (15 * np.round(255 * np.clip((2 * estimate + 1) / 15, 0, 1)) / 255 - 1) / 2)
    if rule.largest is not None:
        estimate, true = (np.clip(x, 0, rule.largest) / rule.largest for x in (estimate, true))
    return {"mse": float(np.mean((estimate - true) ** 2)), "mae": float(np.mean(np.abs(estimate - true)))}


def accuracy(sigma: np.ndarray, blurred: np.ndarray) -> float:
    """Compute the share of the pixels that are rightly called blurred or sharp, under convention "cuhk".

    blurred: (h, w) bool, the truth. A pixel is called blurred if it exceeds ALPHA max + (1 - ALPHA) min of the map.
    Raises ValueError as `errors` does. Source: dissertation 3.4.4, after Park et al. 2017.
    """
    _known(sigma, blurred)
    sigma = np.asarray(sigma, np.float64)
    threshold = ALPHA * sigma.max() + (1 - ALPHA) * sigma.min()
    return float(np.mean((sigma > threshold) == blurred))


def precision_recall(sigma: np.ndarray, blurred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute precision and recall, (LEVELS,) each, at LEVELS thresholds from the map's minimum to its maximum.

    blurred: (h, w) bool, the truth; a pixel at or above the threshold is called blurred. Where none is (above the only
    level of a constant map) precision is 1; where none is blurred in truth, recall is NaN. Raises ValueError as
    `errors` does. Source: dissertation 3.4.4.
    """
    _known(sigma, blurred)
    sigma = np.asarray(sigma, np.float64)
    low, high = sigma.min(), sigma.max()
    scaled = (sigma - low) / (high - low) if high > low else np.zeros(sigma.shape)
    level = np.floor((LEVELS - 1) * scaled).astype(int)  # number of the highest threshold that a pixel reaches
    at_level = (np.bincount(level[pixels], minlength=LEVELS) for pixels in (np.ones_like(blurred), blurred))
    called, hits = (np.cumsum(count[::-1])[::-1] for count in at_level)
    precision = np.where(called > 0, hits / np.maximum(called, 1), 1.0)
    return precision, hits / hits[0] if hits[0] else np.full(LEVELS, np.nan)


def average_precision(precision: np.ndarray, recall: np.ndarray) -> float:
    """Sum each threshold's precision times the recall it gains, without interpolation: the area under the curve.

    The curve comes from `precision_recall`; where recall is NaN so is the result. The mean over photographs is mAP (the
    dissertation does not say how it computes mAP).
    """
    gained = recall - np.append(recall[1:], 0.0)
    return float((gained * precision).sum())


def sigma_of_disc(radius):
    """Return sigma of the Gaussian closest to a disc of this radius, in squared difference (both continuous, sum 1).

    The squared difference of a disc of radius r and a Gaussian of sigma s is, but for a term of the Gaussian alone,
    (2 exp(-r^2 / 2 s^2) - 1) / (pi r^2), which is least at r = 1.8321 s. The RTF dataset's authors converted by a
    table that "measures the closest fit" (dissertation 3.4.4). This ratio takes the dataset's largest disc, 6 px, to
    the 3.275 px of convention "dmenet-py".
    """
    return radius / RADIUS_PER_SIGMA


def _convention(name):
    if name not in CONVENTIONS:
        raise ValueError(f"no convention {name!r}; there are {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]


def _known(sigma, truth):
    """Return where the truth is known, (h, w) bool; raises ValueError if it cannot be compared with the estimate."""
    if sigma.shape != truth.shape or sigma.ndim != 2:
        raise ValueError(f"the estimate {sigma.shape} and the truth {truth.shape} are not (h, w) of one shape")
    if not np.isfinite(sigma).all():
        raise ValueError("the estimate is not finite everywhere")
    if truth.dtype == bool:
        return np.ones(truth.shape, bool)
    known = ~np.isnan(truth)
    if not known.any():
        raise ValueError("the truth is known nowhere")
    return known
