"""Defocus map from gradients at edges, each at a scale of its own: adaptive scale, connected edges, guided filter.

The steps are the paper's. Some constants are ours: the scales, when an edge is consistent across scales, and how far
the connected edge filter reaches.
Source: Karaali & Jung 2018, "Edge-based defocus blur estimation with adaptive scale selection", IEEE TIP 27(3).
"""

import cv2
import numpy as np
from scipy import sparse

from restore_jax.classical import edges, propagation

SCALES = (0.8, 1.2, 1.8, 2.7, 4.0)  # pixels: sigmas of the Gaussian derivatives
_CONNECTED_STEPS = 20
_TOLERANCE = 0.5  # pixels: how far sigma may differ between neighbours on a contour that are averaged


def estimate(image: np.ndarray) -> np.ndarray:
    """Estimate the defocus of an image (h, w, 3) in [0, 1]: sigma of every pixel, (h, w) float32 pixels."""
    sparse_sigma, found = sparse_map(image)
    smooth = connected_edge_filter(sparse_sigma, found)
    return propagation.propagate_guided(image, smooth, found.astype(np.float32))


def sparse_map(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate sigma (h, w) at edges that are consistent across scales, and return where those are (bool).

    An edge is followed from scale to scale as long as there is an edge within `scale` pixels of it, and as long as its
    gradient falls at least as fast as a blurred step's: where it falls slower, neighbouring edges interfere. The
    last scale reached gives sigma.
    """
    grey = edges.luma(image)
    fine = edges.gradient_magnitude(grey, SCALES[0])
    following = edges.canny(grey, SCALES[0])
    sigma = np.full(grey.shape, np.nan, np.float32)
    for scale in SCALES[1:]:
        reach = int(np.ceil(scale / 2))
        near = cv2.dilate(edges.canny(grey, scale).astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
        here = edges.sigma_from_gradients(fine, edges.gradient_magnitude(grey, scale), SCALES[0], scale)
        following &= near & np.isfinite(here)
        # A blur below the scale in use is known well already, and a wider filter would only meet neighbouring edges.
        following &= ~(sigma < scale)
        sigma = np.where(following, here, sigma)
    found = np.isfinite(sigma)
    return np.where(found, sigma, 0), found


def connected_edge_filter(sigma: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Smooth the sparse map along contours by repeated means over 8-connected edge pixels of similar blur.

    found: (h, w) bool, where the map has a value.
    """
    number = np.full(found.shape, -1)
    number[found] = np.arange(found.sum())
    pairs = [(slice(None), slice(None, -1), slice(None), slice(1, None))]  # right, down, both diagonals
    pairs += [(slice(None, -1), slice(None), slice(1, None), slice(None))]
    pairs += [(slice(None, -1), slice(None, -1), slice(1, None), slice(1, None))]
    pairs += [(slice(None, -1), slice(1, None), slice(1, None), slice(None, -1))]
    ends = [(number[y0, x0].ravel(), number[y1, x1].ravel()) for y0, x0, y1, x1 in pairs]
    first, second = (np.concatenate(side) for side in zip(*ends, strict=True))
    linked = (first >= 0) & (second >= 0)
    first, second = first[linked], second[linked]
    value = sigma[found].astype(np.float64)
    affinity = np.exp(-((value[first] - value[second]) ** 2) / (2 * _TOLERANCE**2))
    graph = sparse.coo_array((affinity, (first, second)), shape=(value.size,) * 2).tocsr()
    graph = graph + graph.T + sparse.eye_array(value.size, format="csr")
    degree = np.asarray(graph.sum(1)).ravel()
    for _ in range(_CONNECTED_STEPS):
        value = graph @ value / degree
    smooth = np.zeros_like(sigma)
    smooth[found] = value
    return smooth
