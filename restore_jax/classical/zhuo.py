"""Defocus map from the gradients at edges: their ratio between a photograph and the same one blurred again.

Source: Zhuo & Sim 2011, "Defocus map estimation from a single image", Pattern Recognition 44(9).
"""

import cv2
import numpy as np

from restore_jax.classical import edges, propagation

REBLUR = 1.0  # pixels: the sigma that the photograph is blurred by again, sigma0 of the paper
# Central differences blur like a box of two pixels: the paper's formula gives the blur with this variance included.
_DIFFERENCE_SCALE = (1 / 3) ** 0.5


def estimate(image: np.ndarray) -> np.ndarray:
    """Estimate the defocus of an image (h, w, 3) in [0, 1]: sigma of every pixel, (h, w) float32 pixels."""
    sparse, found = sparse_map(image)
    refined = joint_bilateral(image, sparse, found)
    return propagation.propagate_laplacian(image, refined, found.astype(np.float32))


def sparse_map(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate sigma (h, w) at edges, and return where those are (bool)."""
    grey = edges.luma(image)
    magnitude, reblurred = (
        np.hypot(*np.gradient(x))
        for x in (grey, cv2.GaussianBlur(grey, (0, 0), REBLUR, borderType=cv2.BORDER_REPLICATE))
    )
    coarse_scale = (REBLUR**2 + _DIFFERENCE_SCALE**2) ** 0.5
    sigma = edges.sigma_from_gradients(magnitude, reblurred, _DIFFERENCE_SCALE, coarse_scale)
    found = edges.canny(grey, 1.0) & np.isfinite(sigma)
    return np.where(found, sigma, 0), found


def joint_bilateral(image, sigma, found, reach: float = 7.0, tolerance: float = 0.1) -> np.ndarray:
    """Average the sparse map over edges of similar colour.

    found: (h, w) bool, where the map has a value. reach, tolerance: sigmas of the Gaussian weights, in pixels of
    distance and in colour.
    """
    height, width = found.shape
    rows, columns = np.nonzero(found)
    colour = np.asarray(image, np.float32)
    total, weight = np.zeros((2, rows.size), np.float32)
    steps = range(-2 * int(reach), 2 * int(reach) + 1, 2)
    for dy in steps:
        for dx in steps:
            y, x = np.clip(rows + dy, 0, height - 1), np.clip(columns + dx, 0, width - 1)
            difference = ((colour[y, x] - colour[rows, columns]) ** 2).sum(-1)
            share = found[y, x] * np.exp(-(dy**2 + dx**2) / (2 * reach**2) - difference / (2 * tolerance**2))
            total += share * sigma[y, x]
            weight += share
    refined = np.zeros_like(sigma)
    refined[rows, columns] = total / np.maximum(weight, 1e-12)
    return refined
