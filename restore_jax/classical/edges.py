"""Edges, and the blur that follows from gradients at two scales: shared by the edge-based estimators."""

import numpy as np
from scipy import ndimage
from skimage import feature

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
MAX_SIGMA = 8.0  # pixels; a larger estimate means that there is no edge
# Canny's thresholds of the gradient, values in [0, 1] a pixel: a step of 0.2 blurred by sigma 4 has 0.02.
_WEAK, _STRONG = 0.008, 0.02


def luma(image: np.ndarray) -> np.ndarray:
    """Convert RGB (h, w, 3) to luma (h, w) float32."""
    return np.asarray(image, np.float32) @ LUMA


def canny(grey: np.ndarray, scale: float) -> np.ndarray:
    """Find Canny's edges of (h, w), as bool, after smoothing by a Gaussian of `scale` pixels."""
    return feature.canny(grey, scale, _WEAK, _STRONG)


def gradient_magnitude(grey: np.ndarray, scale: float) -> np.ndarray:
    """Return the magnitude of the Gaussian derivatives of (h, w) at `scale` pixels."""
    return ndimage.gaussian_gradient_magnitude(grey, scale, mode="nearest", truncate=4.0)


def sigma_from_gradients(fine: np.ndarray, coarse: np.ndarray, fine_scale, coarse_scale) -> np.ndarray:
    """Compute the blur in pixels of a step edge from its gradient magnitudes at two scales; NaN where none fits.

    A step blurred by sigma has at its centre a gradient of 1 / sqrt(sigma^2 + scale^2) times its height over
    sqrt(2 pi), so that with R = fine / coarse, sigma^2 = (coarse_scale^2 - R^2 fine_scale^2) / (R^2 - 1).
    Zhuo & Sim 2011, Eq. 5, is the case fine_scale = 0.
    """
    squared = (np.maximum(fine, 1e-12) / np.maximum(coarse, 1e-12)) ** 2
    variance = (coarse_scale**2 - squared * fine_scale**2) / np.maximum(squared - 1, 1e-6)
    sigma = np.sqrt(np.maximum(variance, 0))
    return np.where((squared > 1) & (sigma <= MAX_SIGMA), sigma, np.nan).astype(np.float32)
