"""Defocus rendered by the book in NumPy and SciPy (float64): the oracle for `restore_jax.ops.render` and for the bar.

Conventions: signed COC is a diameter in pixels, positive behind the focal plane, so it grows with depth. PSFs are
square, odd-sized, sum to 1 and are convolved (not correlated). Colours are blurred as they are given: linear light, if
that is wanted, is the caller's business. Nothing here imports the package.

Sides are those of the upright picture: for a point behind the focal plane the left half of the aperture fills the left
half of the disc, for one in front of it the right half (rays that have not crossed yet, Fig. 3.1).
"""

import numpy as np
from scipy.signal import fftconvolve

SUBSAMPLES = 32  # per pixel and axis; the area of a disc is then right to about 1e-4


def coc_map(depth, focus, focal_length, f_number, pixels_per_mm):
    """Signed COC diameter in pixels (dissertation, Eq. 3.1) of `depth`, any shape, all lengths in mm.

    ValueError when the lens cannot focus there (focus <= focal length) or a depth is not positive.
    """
    depth = np.asarray(depth, np.float64)
    if focus <= focal_length:
        raise ValueError(f"focus distance {focus} mm is not beyond the focal length {focal_length} mm")
    if not (depth > 0).all():
        raise ValueError("depths must be positive")
    image_distance = focal_length * focus / (focus - focal_length)
    aperture = focal_length / f_number
    return image_distance / focus * aperture * (depth - focus) / depth * pixels_per_mm


def _grid(radius, subsamples=SUBSAMPLES):
    """Sub-pixel centres along one axis of a (2*radius+1)-pixel kernel, centred on 0."""
    n = (2 * radius + 1) * subsamples
    return (np.arange(n) + 0.5) / subsamples - n / (2 * subsamples)


def _area(inside, subsamples=SUBSAMPLES):
    """Share of each pixel that is inside, normalised to sum 1."""
    n = len(inside) // subsamples
    covered = inside.reshape(n, subsamples, n, subsamples).mean((1, 3))
    return covered / covered.sum()


def disc_psf(diameter):
    """Area coverage of a disc of |diameter| pixels; up to 1 pixel across it is the identity."""
    if abs(diameter) <= 1:
        return np.ones((1, 1))
    t = _grid(int(np.ceil(abs(diameter) / 2 - 0.5)))
    return _area(t[:, None] ** 2 + t[None] ** 2 <= (diameter / 2) ** 2)


def half_psf(diameter, side):
    """Half of the disc as one half of the aperture draws it, sum 1. `diameter` is signed, `side` "left" or "right".

    Left at positive diameter: centroid at x = -2d/(3 pi). Both flip with the sign. At any diameter the mean of the two
    sides is `disc_psf` exactly.
    """
    if side not in ("left", "right"):
        raise ValueError(f"side must be 'left' or 'right', not {side!r}")
    if abs(diameter) <= 1:
        return np.ones((1, 1))
    t = _grid(int(np.ceil(abs(diameter) / 2 - 0.5)))
    wanted = t < 0 if (side == "left") == (diameter > 0) else t > 0
    return _area((t[:, None] ** 2 + t[None] ** 2 <= (diameter / 2) ** 2) & wanted[None])


def gaussian_psf(sigma):
    """Gaussian sampled at pixel centres out to 4 sigma; a sigma of a COC diameter d is d/4 (section 3.2.3)."""
    t = np.arange(-int(np.ceil(4 * abs(sigma))), int(np.ceil(4 * abs(sigma))) + 1)
    if len(t) == 1:
        return np.ones((1, 1))
    line = np.exp(-0.5 * (t / sigma) ** 2)
    return np.outer(line, line) / line.sum() ** 2


def make_psf(coc, psf="disc", side=None):
    """PSF of one signed COC. Half apertures are halves of discs, so `side` needs psf="disc"."""
    if psf == "disc":
        return disc_psf(coc) if side is None else half_psf(coc, side)
    if psf == "gaussian" and side is None:
        return gaussian_psf(coc / 4)
    raise ValueError(f"no PSF {psf!r} for side {side!r}")


def _blurred(layer, kernel):
    """`layer` (h, w, c), zero outside its support, convolved with `kernel`: yields (rows, columns, values)."""
    r = len(kernel) // 2
    rows, columns = (np.flatnonzero(layer[..., -1].any(axis)) for axis in (1, 0))
    box = (slice(max(rows[0] - r, 0), rows[-1] + r + 1), slice(max(columns[0] - r, 0), columns[-1] + r + 1))
    if r == 0:
        return box, layer[box]
    return box, fftconvolve(layer[box], kernel[..., None], mode="same", axes=(0, 1))


def render(image, signed_coc, psf="disc", step=0.5, side=None):
    """Defocus `image` (h, w, 3) float by `signed_coc` (h, w) in pixels; the result is (h, w, 3) float64.

    COC is rounded to multiples of `step`; each value is one layer. From far to near, a layer's colour and mask are
    blurred together and laid over what is there; what the masks leave uncovered is made up by dividing by their sum.
    `side` "left" or "right" renders one half of the aperture.
    """
    image = np.asarray(image, np.float64)
    layers = np.round(np.asarray(signed_coc, np.float64) / step).astype(int)
    if image.ndim != 3 or image.shape[:2] != layers.shape:
        raise ValueError(f"image {image.shape} and COC {layers.shape} do not belong together")
    kernels = {n: make_psf(n * step, psf, side) for n in np.unique(layers)}
    pad = max(len(k) // 2 for k in kernels.values())
    image = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="symmetric")
    layers = np.pad(layers, pad, mode="symmetric")

    colour_and_mask = np.concatenate([image, np.ones_like(image[..., :1])], -1)
    out = np.zeros_like(colour_and_mask)
    for n in sorted(kernels, reverse=True):  # COC grows with depth: the largest is the farthest
        box, blurred = _blurred(colour_and_mask * (layers == n)[..., None], kernels[n])
        out[box] = out[box] * (1 - blurred[..., -1:]) + blurred
    out = out[..., :-1] / out[..., -1:]
    return out[pad : out.shape[0] - pad, pad : out.shape[1] - pad]
