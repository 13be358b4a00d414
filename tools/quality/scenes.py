"""Six photographs of scikit-image, defocused by discs of up to 12 px, whose COC is known at every pixel.

The defocus is rendered by `tests/reference_render.py`, which shares no code with the package, and rounded to 8 bits.
Nothing is ever trained on these photographs.
"""

import numpy as np
import skimage.data
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.special import ndtr

from tests.reference_render import render

MAX_COC = 12.0  # pixels


def slanted_plane(shape, seed):
    """Return the COC of a slanted plane, -6 to 12 px along a random direction (linear, as it is in 1/depth)."""
    angle = np.random.default_rng(seed).uniform(0.2, 0.6) * np.pi
    y, x = np.mgrid[: shape[0], : shape[1]]
    ramp = np.cos(angle) * x + np.sin(angle) * y
    return np.interp(ramp, (ramp.min(), ramp.max()), (-MAX_COC / 2, MAX_COC))


def smooth_surface(shape, seed):
    """Return the COC of a smooth random surface, -12 to 8 px, uniformly distributed."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), min(shape) / 8)
    uniform = ndtr((noise - noise.mean()) / noise.std())
    return np.interp(uniform, (uniform.min(), uniform.max()), (-MAX_COC, 8))


def cut_out(shape, seed):
    """Return the COC of a flat shape with a random outline, in focus, before a background plane at 6 to 12 px."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    angle = np.arctan2(y, x)
    outline = 0.55 + sum(rng.normal(0, 0.08) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in range(1, 7))
    return np.where(np.hypot(x, y) < outline, 0.0, 9 + 3 * x)


def two_steps(shape, seed):
    """Return the COC of three flat steps from left to right: -6 px (near), 0 and 12 px (far)."""
    first, second = np.random.default_rng(seed).uniform((0.25, 0.6), (0.4, 0.75)) * shape[1]
    x = np.broadcast_to(np.arange(shape[1]), shape)
    return np.where(x < first, -MAX_COC / 2, np.where(x < second, 0.0, MAX_COC))


def right_disparity(left):
    """Compute the right camera's disparity from the left camera's (NaN or inf where it was not measured).

    A left pixel at x is at x - d on the right; of several the nearest (largest d) wins. Holes are background that the
    left camera did not see: they take the smaller of the measured disparities to their left and right in the row.
    """
    right = np.full(left.shape, -np.inf)
    y, x = np.nonzero(np.isfinite(left))
    d = left[y, x]
    target = np.round(x - d).astype(int)
    seen = target >= 0
    np.maximum.at(right, (y[seen], target[seen]), d[seen])
    holes = np.isinf(right)
    column = np.arange(right.shape[1])
    before = np.maximum.accumulate(np.where(holes, 0, column), 1)
    after = np.minimum.accumulate(np.where(holes, column[-1], column)[:, ::-1], 1)[:, ::-1]
    ends = np.stack([np.take_along_axis(right, i, 1) for i in (before, after)])
    return np.where(np.isfinite(ends).all(0), ends.min(0), ends.max(0))


def filled(disparity):
    """Replace NaN and inf by the nearest measured value."""
    index = distance_transform_edt(~np.isfinite(disparity), return_distances=False, return_indices=True)
    return disparity[tuple(index)]


def disparity_coc(disparity):
    """Return the COC of a disparity, 0 at its median, 12 px at the farther extreme (both are linear in 1/depth)."""
    offset = np.median(disparity) - disparity
    return offset * (MAX_COC / np.abs(offset).max())


def cases():
    """Yield (name, sharp and defocused photograph (h, w, 3) uint8, signed COC in pixels (h, w)) of each."""
    left, right, disparity = skimage.data.stereo_motorcycle()
    photographs = [
        ("astronaut", skimage.data.astronaut(), slanted_plane, 1),
        ("coffee", skimage.data.coffee(), smooth_surface, 2),
        ("chelsea", skimage.data.chelsea(), cut_out, 3),
        ("rocket", skimage.data.rocket(), two_steps, 4),
    ]
    scenes = [(name, sharp, coc(sharp.shape[:2], seed)) for name, sharp, coc, seed in photographs]
    scenes.append(("motorcycle_left", left, disparity_coc(filled(disparity))))
    scenes.append(("motorcycle_right", right, disparity_coc(filled(right_disparity(disparity)))))
    for name, sharp, coc in scenes:
        blurred = render(sharp / 255.0, coc)
        yield name, sharp, np.round(blurred * 255).clip(0, 255).astype(np.uint8), coc
