"""Defocus map from the gradient ratio at edges between a photograph and its reblurred self.

Source: Zhuo & Sim 2011, "Defocus map estimation from a single image", Pattern Recognition 44(9).
"""

import cv2
import numpy as np

from restore_jax.classical import edges, propagation

REBLUR = 1.0  # sigma0 of the paper, pixels
# Central differences blur as a box of two pixels does: the paper's formula holds for the blur with this variance in it.
_DIFFERENCE_SCALE = (1 / 3) ** 0.5


def estimate(image: np.ndarray) -> np.ndarray:
    """Sigma of the defocus of every pixel of (h, w, 3) in [0, 1]: (h, w) float32, pixels."""
    sparse, found = sparse_map(image)
    refined = joint_bilateral(image, sparse, found)
    return propagation.propagate_laplacian(image, refined, found.astype(np.float32))


def sparse_map(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sigma (h, w) at edges, and where they are (bool)."""
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
    """Average of the sparse map over edges of like colour: `reach` pixels away, `tolerance` in colour (Gaussians)."""
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
