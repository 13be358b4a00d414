"""Defocus map from the number of atoms that sparse coding of a patch needs: few where it is blurred.

The paper learns a dictionary, which comes with the authors' code and is not used here. In its place is the orthonormal
cosine basis of 8x8 patches, whose sparse codes are exact: min_s |x - D s|^2 + t^2 |x|^2 |s|_0 keeps the coefficients
beyond t |x|. The count is relative to the patch's own contrast. It tells small blurs apart and saturates by sigma 3.
Source: Shi, Xu & Jia 2015, "Just noticeable defocus blur detection and estimation", CVPR.
"""

import numpy as np
from scipy import fft

from restore_jax.classical import edges, propagation

PATCH = 8
_STRIDE = 2
_THRESHOLD = 0.04  # smallest coefficient that counts, as a fraction of the patch's norm
_NOISE = 0.006  # coefficients below this, for values in [0, 1], are noise or JPEG's
_CONTRAST = 0.02  # smallest standard deviation of a patch whose count is used
_ROWS = 32  # patch rows coded at a time
# Rows of (sigma, mean count of patches that have enough contrast), measured on 50 photographs of BSDS500's training set
# at half size, blurred by sigma.
CALIBRATION = np.array(
    [[0, 31.9], [0.5, 25.7], [0.75, 17.2], [1, 13.5], [1.5, 9.85], [2, 8.18], [2.5, 7.29], [3, 6.75], [4, 6.06]]
)


def estimate(image: np.ndarray) -> np.ndarray:
    """Estimate the defocus of an image (h, w, 3) in [0, 1]: sigma of every pixel, (h, w) float32 pixels.

    Sides are at least 8 pixels.
    """
    count, contrast = sparse_counts(edges.luma(image))
    height, width = image.shape[:2]
    counts, confidence = np.zeros((2, height, width), np.float32)
    rows, columns = (slice(PATCH // 2, PATCH // 2 + _STRIDE * n, _STRIDE) for n in count.shape)
    counts[rows, columns] = count
    confidence[rows, columns] = contrast > _CONTRAST
    if not confidence.any():
        return np.zeros((height, width), np.float32)
    # A single patch's count says little about its blur; the mean over pixels of similar colour does.
    return sigma_from_count(propagation.propagate_guided(image, counts, confidence, radius=0.04))


def sigma_from_count(count: np.ndarray) -> np.ndarray:
    """Interpolate the calibration: the blur in pixels of patches with this mean count."""
    sigma, mean = CALIBRATION.T
    return np.interp(count, mean[::-1], sigma[::-1]).astype(np.float32)


def sparse_counts(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count the non-zero coefficients but the mean, and take the standard deviation, of every second patch each way."""
    patches = np.lib.stride_tricks.sliding_window_view(grey, (PATCH, PATCH))[::_STRIDE, ::_STRIDE]
    count, contrast = np.zeros((2, *patches.shape[:2]), np.float32)
    for row in range(0, patches.shape[0], _ROWS):
        codes = fft.dctn(patches[row : row + _ROWS], axes=(2, 3), norm="ortho").reshape(-1, patches.shape[1], PATCH**2)
        codes = np.abs(codes[..., 1:])
        norm = np.sqrt((codes**2).sum(-1))
        kept = codes > np.maximum(_THRESHOLD * norm, _NOISE)[..., None]
        count[row : row + _ROWS] = kept.sum(-1)
        contrast[row : row + _ROWS] = norm / PATCH
    return count, contrast
