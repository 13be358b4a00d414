"""Metrics of deblurring on real photographs: what is gained where they are blurred, and what is left alone where not.

The truth is a picture of the same scene that is sharp everywhere, aligned to the pixel. Where the photograph differs
from it, smoothed over a window, it is blurred. Arrays are (h, w, 3) in 8-bit levels, of any dtype.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter

WINDOW = 15  # pixels a side, over which the difference from the truth is averaged
BLURRED = 6.0  # levels of that mean, above which a pixel counts as blurred
IN_FOCUS = 2.5  # below which it counts as in focus
LEAST = 2000  # pixels that a region needs to be measured
_JPEG_BLOCK = 8


class Figures(NamedTuple):
    """Figures of one photograph; NaN where a region is too small.

    gain: PSNR of the result less that of the photograph, both against the truth (dB). blurred: the same where the
    photograph is blurred. sharp: PSNR of the result against the photograph where that is in focus. grid: mean step of
    the change across the borders of JPEG's 8x8 blocks over that elsewhere; 1 is none, above 1.1 it can be seen.
    """

    gain: float
    blurred: float
    sharp: float
    grid: float


def figures(photo: np.ndarray, result: np.ndarray, truth: np.ndarray) -> Figures:
    """Compute the figures of a result. Raises ValueError if the sizes differ."""
    if not photo.shape == result.shape == truth.shape:
        raise ValueError(f"sizes differ: {photo.shape}, {result.shape}, {truth.shape}")
    photo, result, truth = (array.astype(np.float64) for array in (photo, result, truth))
    difference = uniform_filter(np.abs(photo - truth).mean(-1), WINDOW)
    blurred, in_focus = difference > BLURRED, difference < IN_FOCUS
    everywhere = np.ones_like(blurred)

    def gain(where):
        return _psnr(result, truth, where) - _psnr(photo, truth, where)

    return Figures(
        gain=gain(everywhere),
        blurred=gain(blurred) if blurred.sum() > LEAST else np.nan,
        sharp=_psnr(result, photo, in_focus) if in_focus.sum() > LEAST else np.nan,
        grid=grid_step(result - photo),
    )


def grid_step(change: np.ndarray) -> float:
    """Divide the mean step of a change (h, w, c) across borders of 8x8 blocks by its mean step elsewhere."""
    change = change.mean(-1)
    across, down = np.abs(np.diff(change, axis=1)), np.abs(np.diff(change, axis=0)).T
    on, off = [], []
    for steps in (across, down):
        border = np.arange(steps.shape[1]) % _JPEG_BLOCK == _JPEG_BLOCK - 1
        on.append(steps[:, border].mean())
        off.append(steps[:, ~border].mean())
    return float(np.mean(on) / max(np.mean(off), 1e-9))


def _psnr(image, truth, where):
    error = ((image - truth) ** 2).mean(-1)[where].mean()
    return float(10 * np.log10(255**2 / max(error, 255**2 * 1e-12)))
