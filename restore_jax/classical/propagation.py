"""Spreads blur that is known at a few pixels to a dense map that follows the photograph's edges.

The matting Laplacian and the guided filter both work at a reduced size. Their maps are enlarged by the guided filter's
linear models, which follow the edges of the photograph at its full size.
"""

import cv2
import numpy as np
from scipy import sparse
from scipy.sparse import linalg

WORK_PIXELS = 60_000  # largest area that propagation works at, so that a 1680x1120 photograph takes seconds


def propagate_laplacian(image: np.ndarray, sigma: np.ndarray, confidence: np.ndarray, weight: float = 1e-3):
    """Spread a sparse map by the matting Laplacian: min_d d' L d + weight * sum(confidence (d - sigma)^2).

    Args:
      image: (h, w, 3) in [0, 1]. sigma, confidence: (h, w); sigma counts where confidence is above 0.
    Returns (h, w) float32 within the range of the given sigmas. Source: Zhuo & Sim 2011, Eq. 9.
    """
    small, value, share = reduce(image, sigma, confidence)
    if not share.any():
        return np.zeros(image.shape[:2], np.float32)
    solved = solve(matting_laplacian(small), value.ravel(), weight * share.ravel())
    known = value[share > 0]
    solved = np.clip(solved.reshape(value.shape), known.min(), known.max()).astype(np.float32)
    return enlarge(image, small, solved)


def propagate_guided(image: np.ndarray, sigma: np.ndarray, confidence: np.ndarray, radius: float = 0.06):
    """Spread a sparse map by the guided filter; arguments and result are those of `propagate_laplacian`.

    radius: half the windows' side, as a fraction of the longer side.
    """
    small, value, share = reduce(image, sigma, confidence)
    if not share.any():
        return np.zeros(image.shape[:2], np.float32)
    side = max(small.shape)
    filled = guided_filter(small, value, share, radius=max(1, round(radius * side)))
    known = value[share > 0]
    return enlarge(image, small, np.clip(filled, known.min(), known.max()))


def reduce(image: np.ndarray, sigma: np.ndarray, confidence: np.ndarray):
    """Reduce the image, the mean known value and the mean confidence to at most WORK_PIXELS pixels."""
    height, width = sigma.shape
    factor = min(1.0, (WORK_PIXELS / (height * width)) ** 0.5)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))

    def area(x):
        return cv2.resize(np.ascontiguousarray(x, np.float32), size, interpolation=cv2.INTER_AREA)

    confidence = np.where(np.isfinite(sigma), confidence, 0)
    share = area(confidence)
    value = area(np.where(confidence > 0, sigma, 0) * confidence)
    known = share > 1e-6
    value = np.where(known, value / np.where(known, share, 1), 0)
    share = np.where(known, share, 0)
    return area(image), value, share / max(share.max(), 1e-12)


def matting_laplacian(image: np.ndarray, epsilon: float = 1e-5) -> sparse.csr_array:
    """Build the matting Laplacian (h w, h w) of an image (h, w, 3), with 3x3 windows (Levin et al. 2008, Eq. 12)."""
    height, width, _ = image.shape
    index = np.arange(height * width).reshape(height, width)
    windows = np.lib.stride_tricks.sliding_window_view(index, (3, 3)).reshape(-1, 9)
    colours = np.asarray(image, np.float64).reshape(-1, 3)[windows]
    centred = colours - colours.mean(1, keepdims=True)
    covariance = centred.swapaxes(1, 2) @ centred / 9 + epsilon / 9 * np.eye(3)
    affinity = (1 + centred @ np.linalg.solve(covariance, centred.swapaxes(1, 2))) / 9
    rows, columns = np.repeat(windows, 9, axis=1).ravel(), np.tile(windows, 9).ravel()
    values = (np.eye(9) - affinity).ravel()
    return sparse.coo_array((values, (rows, columns)), shape=(index.size,) * 2).tocsr()


def solve(laplacian: sparse.csr_array, value: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Solve (laplacian + diag(weight)) d = weight * value by a sparse factorisation; returns d.

    Conjugate gradients would need 1000 steps, and far more time on a busy machine because of OpenBLAS's threads.
    """
    system = (laplacian + sparse.diags_array(weight)).tocsc()
    symmetric = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}
    return linalg.splu(system, **symmetric).solve(weight * np.asarray(value, np.float64))


def guided_filter(
    guide: np.ndarray, value: np.ndarray, weight: np.ndarray, radius: int, epsilon: float = 1e-4
) -> np.ndarray:
    """Fit the values by locally linear functions of the guide's colour, weighted; returns (h, w) float32.

    guide: (h, w, 3). weight: (h, w), at least 0, not all 0. With equal weights this is the guided filter of He et al.
    2013. Where windows hold no weight the result fades to the mean of all values.
    """
    return _apply(guide, _linear_models(guide, value, weight, radius, epsilon)).astype(np.float32)


def enlarge(image: np.ndarray, small: np.ndarray, value: np.ndarray, epsilon: float = 1e-4) -> np.ndarray:
    """Enlarge `value` from the size of `small` to that of `image`, by enlarging its linear models in colour."""
    height, width = image.shape[:2]
    if value.shape == (height, width):
        return value.astype(np.float32)
    coefficients = _linear_models(small, value, np.ones_like(value), 2, epsilon)
    coefficients = cv2.resize(coefficients.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(_apply(np.asarray(image, np.float32), coefficients), value.min(), value.max()).astype(np.float32)


def _apply(guide, coefficients):
    return (guide * coefficients[..., :3]).sum(-1) + coefficients[..., 3]


def _linear_models(guide, value, weight, radius, epsilon):
    """Return (h, w, 4): slope and offset of the fits of all windows around a pixel, averaged by their weight."""
    guide, value, weight = (np.asarray(x, np.float64) for x in (guide, value, weight))
    mean = (weight * value).sum() / weight.sum()

    def box(x):
        return cv2.boxFilter(x, -1, (2 * radius + 1,) * 2, normalize=True, borderType=cv2.BORDER_REFLECT)

    total = box(weight) + 1e-9 * weight.mean()
    colour = box(guide * weight[..., None]) / total[..., None]
    value = value - mean
    level = box(value * weight) / total
    outer = guide[..., :, None] * guide[..., None, :]
    second = np.stack([box(outer[..., i] * weight[..., None]) for i in range(3)], -1) / total[..., None, None]
    covariance = second - colour[..., :, None] * colour[..., None, :] + epsilon * np.eye(3)
    cross = box(guide * (value * weight)[..., None]) / total[..., None] - colour * level[..., None]
    slope = np.linalg.solve(covariance, cross[..., None])[..., 0]
    offset = level - (slope * colour).sum(-1)
    models = np.concatenate([slope, offset[..., None]], -1)
    models = box(models * total[..., None]) / box(total)[..., None]
    models[..., 3] += mean
    return models
