"""Pixels as numbers: integers of a file to floats in [0, 1] and back, exactly."""

from typing import Any

import numpy as np

from restore_jax.errors import InputError

_FULL = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65_535, np.dtype(bool): 1}


def to_float(array: np.ndarray) -> np.ndarray:
    """Return pixels of any shape as float32 in [0, 1]: uint8 over 255, uint16 over 65535, bool, or floats in [0, 1].

    InputError for other types, NaN, infinity, or floats beyond [0, 1] by more than rounding.
    """
    array = np.asarray(array)
    if array.dtype in _FULL:
        out = np.empty(array.shape, np.float32)
        return np.divide(array, np.float32(_FULL[array.dtype]), out=out, dtype=np.float32)
    if array.dtype.kind != "f":
        raise InputError(f"image: {array.dtype} pixels are not supported: use uint8, uint16, or floats in [0, 1]")
    low, high = _range(array)
    if low < -1e-3 or high > 1 + 1e-3:
        raise InputError(f"image: float pixels must lie in [0, 1], these reach from {low:.4g} to {high:.4g}")
    return np.clip(array, 0, 1, dtype=np.float32, casting="same_kind")


def from_float(array: np.ndarray, dtype: Any) -> np.ndarray:
    """Return float pixels of any shape as `dtype` (uint8, uint16 or a float): clipped to [0, 1], scaled, rounded.

    `from_float(to_float(x), x.dtype)` is x. InputError for NaN, infinity or another dtype.
    """
    array, dtype = np.asarray(array), np.dtype(dtype)
    _range(array)
    if dtype.kind == "f":
        return np.clip(array, 0, 1).astype(dtype, copy=False)
    if dtype not in _FULL:
        raise InputError(f"image: {dtype} pixels are not supported: use uint8, uint16, or a float type")
    out = np.empty(array.shape, dtype)
    rows = max(1, 1_000_000 * array.shape[0] // array.size) if array.ndim and array.size else 1
    for top in range(0, len(out) if array.ndim else 1, rows):  # in parts: no second image of floats
        part = slice(top, top + rows) if array.ndim else ()
        out[part] = np.rint(np.clip(array[part], 0, 1) * np.float32(_FULL[dtype]))
    return out


def _range(array: np.ndarray) -> tuple[float, float]:
    """Return least and greatest value. InputError for NaN or infinity."""
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if np.isnan(low):
        raise InputError("image: has NaN (not-a-number) pixels")
    if np.isinf(low) or np.isinf(high):
        raise InputError("image: has infinite pixels")
    return low, high
