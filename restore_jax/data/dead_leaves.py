"""Dead leaves: pictures of discs that hide one another, with the statistics of photographs, for use without data.

Source: Lee, Mumford and Huang 2001, "Occlusion models for natural images", IJCV.
"""

import cv2
import numpy as np


def dead_leaves(rng: np.random.Generator, size: tuple[int, int], smallest: float = 2.0) -> np.ndarray:
    """Draw a picture (height, width, 3) uint8 of textured discs whose radii r, in pixels, are distributed as r^-3."""
    height, width = size
    picture = np.zeros((height, width, 3), np.uint8)
    largest = min(size) / 2
    count = 4 * height * width // 100  # most pixels are hidden several times
    u = rng.random(count)
    # Inverse of the cumulative distribution of r^-3 between the two radii.
    radii = (smallest**-2 - u * (smallest**-2 - largest**-2)) ** -0.5
    centres = rng.random((count, 2)) * (width, height)
    colours = rng.integers(0, 256, (count, 3))
    for radius, centre, colour in zip(radii, centres.round().astype(int), colours.tolist(), strict=True):
        cv2.circle(picture, centre.tolist(), round(float(radius)), colour, -1, cv2.LINE_AA)
    grain = rng.normal(0, 6, (height, width, 1))
    return np.clip(picture + grain, 0, 255).round().astype(np.uint8)
