"""A photograph in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph and what its file says about it.

    pixels: (h, w, 3) float32 in [0, 1], upright, RGB; the three channels are equal if grey.
    alpha: (h, w) uint8, uint16 or float32 by `bits`, upright, or None.
    grey: the file has a single colour channel. bits: 8, 16 (all between too), or 32 for a float TIFF.
    format: one of photos.FORMATS, "jxl" or "raw".
    exif: a TIFF structure without JPEG's "Exif" prefix, its orientation 1. dpi: (x, y).
    cicp: colour primaries and transfer by ITU-T H.273, where the file says them so.
    samples: (h, w, n) more channels of a TIFF, which are neither colour nor alpha, or None.
    extras: what only an encoder of the same format needs.
    left_out: names of what the file holds and this does not.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    grey: bool = False
    bits: int = 8
    format: str = "png"
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    cicp: tuple[int, int] | None = None
    samples: np.ndarray | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
