"""A scene seen through two lenses: drawn texture, a camera that sways, known offset, field of view and colours."""

import cv2
import numpy as np


def texture(side=400, seed=0):
    """(side, side, 3) float32 in [0, 255]: overlapping discs, detail at all scales."""
    rng = np.random.default_rng(seed)
    scene = np.full((side, side, 3), 120, np.uint8)
    for radius in np.geomspace(60, 2, 400):
        centre = tuple(int(v) for v in rng.integers(0, side, 2))
        cv2.circle(scene, centre, int(radius), rng.integers(20, 235, 3).tolist(), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(scene, (0, 0), 1.0)


def filmed(count, *, fov=1.0, shift=(0.0, 0.0), late=0, gains=(1.0, 1.0, 1.0), size=(128, 96), moves=True, seed=0):
    """(count, h, w, 3) uint8 of the scene through a lens of 1/fov of the wide view.

    shift: of its centre, as parts of the wide frame. late: frames by which it begins later. gains: of its colours.
    """
    scene = texture(seed=seed)
    noise = np.random.default_rng([seed, int(1000 * fov)])
    view, frames = 160.0, []
    for i in range(late, late + count):
        # Not periodic over a test's length.
        sway = (30 * np.sin(i / 5 + (i / 23) ** 2), 20 * np.cos(i / 7)) if moves else (0, 0)
        x = 200 + sway[0] + shift[0] * view
        y = 200 + sway[1] + shift[1] * view * size[1] / size[0]
        zoom = size[0] * fov / view
        matrix = np.float32([[zoom, 0, (size[0] - 1) / 2 - zoom * x], [0, zoom, (size[1] - 1) / 2 - zoom * y]])
        frame = cv2.warpAffine(scene, matrix, size, flags=cv2.INTER_LINEAR).astype(np.float32) * np.float32(gains)
        frames.append(np.clip(frame + noise.normal(0, 2, frame.shape), 0, 255).astype(np.uint8))
    return np.stack(frames)
