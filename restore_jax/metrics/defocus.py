"""Metrics of defocus maps, one definition each, under a named convention; on NumPy, one map at a time.

A map is sigma, (h, w) in pixels, as in `restore_jax.defocus`. A dataset's value is the mean of its photographs' values.
"""

import dataclasses

import numpy as np

# Half the squared ratio of a disc's radius to the sigma of the Gaussian closest to it, v: exp(v) = 2 v + 2.
_CLOSEST = 1.6783469900166628
RADIUS_PER_SIGMA = (2 * _CLOSEST) ** 0.5  # 1.8321
ALPHA = 0.3  # of the threshold of convention "cuhk"
LEVELS = 256  # of a map, for its precision-recall curve


@dataclasses.dataclass(frozen=True)
class Convention:
    """How a map is compared with a map of true sigma.

    largest: sigma in pixels that counts as 1; more counts as this much, in both maps. None: pixels, as they are.
    rounded: the estimate goes through the 8 bits of a published map first, (2 sigma + 1) / 15.
    """

    largest: float | None = None
    rounded: bool = False


CONVENTIONS = {
    # The RTF dataset, whose largest disc has 6 px of radius: sigma 3.275. The numbers published for DMENet read the
    # 8-bit PNG of its map; its Python code reads the map as it is.
    "dmenet-matlab": Convention(largest=3.275, rounded=True),
    "dmenet-py": Convention(largest=3.275),
    # SYNDOF: COC up to 29 px, sigma = (COC - 1) / 4 up to 7 px.
    "syndof": Convention(largest=7.0),
    "px": Convention(),
}


def errors(sigma: np.ndarray, truth: np.ndarray, convention: str) -> dict[str, float]:
    """Mean squared and mean absolute error, {"mse", "mae"}, of a map against the true one.

    sigma, truth: (h, w) in pixels; where the truth is NaN it is not known and does not count. ValueError for shapes
    that differ, an estimate that is not finite, a truth that is known nowhere and a convention that does not exist.
    """
    rule = _convention(convention)
    known = _known(sigma, truth)
    found, true = np.asarray(sigma, np.float64)[known], np.asarray(truth, np.float64)[known]
    if rule.rounded:
        found = np.maximum(0, (15 * np.round(255 * np.clip((2 * found + 1) / 15, 0, 1)) / 255 - 1) / 2)
    if rule.largest is not None:
        found, true = (np.clip(x, 0, rule.largest) / rule.largest for x in (found, true))
    return {"mse": float(np.mean((found - true) ** 2)), "mae": float(np.mean(np.abs(found - true)))}


def accuracy(sigma: np.ndarray, blurred: np.ndarray) -> float:
    """Share of the pixels that are rightly called blurred or sharp, under convention "cuhk".

    blurred: (h, w) bool. Called blurred is what exceeds ALPHA max + (1 - ALPHA) min of the map. ValueError as `errors`.
    Source: dissertation 3.4.4, after Park et al. 2017.
    """
    _known(sigma, blurred)
    sigma = np.asarray(sigma, np.float64)
    threshold = ALPHA * sigma.max() + (1 - ALPHA) * sigma.min()
    return float(np.mean((sigma > threshold) == blurred))


def precision_recall(sigma: np.ndarray, blurred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall, (LEVELS,) each, of what is at or above each of LEVELS thresholds from the map's min to max.

    blurred: (h, w) bool. Where nothing is called blurred (above the only level of a constant map) precision is 1;
    where nothing is blurred, recall is NaN. ValueError as `errors`. Source: dissertation 3.4.4.
    """
    _known(sigma, blurred)
    sigma = np.asarray(sigma, np.float64)
    low, high = sigma.min(), sigma.max()
    scaled = (sigma - low) / (high - low) if high > low else np.zeros(sigma.shape)
    level = np.floor((LEVELS - 1) * scaled).astype(int)  # the highest threshold that is reached
    at_level = (np.bincount(level[chosen], minlength=LEVELS) for chosen in (np.ones_like(blurred), blurred))
    called, hits = (np.cumsum(count[::-1])[::-1] for count in at_level)
    precision = np.where(called > 0, hits / np.maximum(called, 1), 1.0)
    return precision, hits / hits[0] if hits[0] else np.full(LEVELS, np.nan)


def average_precision(precision: np.ndarray, recall: np.ndarray) -> float:
    """Area under a curve of `precision_recall`: each threshold's precision times the recall it gains, not interpolated.

    NaN where recall is. The mean over photographs is mAP; the dissertation does not say how it was computed.
    """
    gained = recall - np.append(recall[1:], 0.0)
    return float((gained * precision).sum())


def sigma_of_disc(radius):
    """Sigma of the Gaussian closest, in squared difference, to a disc of this radius (both of sum 1, continuous).

    The squared difference of a disc of radius r and a Gaussian of sigma s is, but for a term of the Gaussian alone,
    (2 exp(-r^2 / 2 s^2) - 1) / (pi r^2); its least value over r is at r = 1.8321 s. The RTF dataset's authors converted
    by a table of theirs that "measures the closest fit" (dissertation 3.4.4); this ratio takes its largest disc, 6 px,
    to the 3.275 px of convention "dmenet-py".
    """
    return radius / RADIUS_PER_SIGMA


def _convention(name):
    if name not in CONVENTIONS:
        raise ValueError(f"no convention {name!r}; there are {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]


def _known(sigma, truth):
    """Where the truth is known, (h, w) bool; ValueError if it cannot be compared with the estimate."""
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
