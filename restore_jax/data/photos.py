"""Random crops of a folder of sharp photographs.

Batch number `step` is a pure function of (seed, step): a restart sees the batches it would have seen.
"""

import numpy as np

from restore_jax.errors import InputError
from restore_jax.io import find_photos, from_float, read_photo

MAX_SIDE = 1024  # larger photographs are halved until they fit: sharper, and they all stay in memory


def load_photos(folders, min_side: int) -> list[np.ndarray]:
    """All photographs of the folders as (h, w, 3) uint8, sorted by path; smaller ones than `min_side` are left out.

    Raises InputError if a folder is missing or no photograph is left.
    """
    photos = [_reduced(from_float(read_photo(path).pixels, np.uint8)) for path in find_photos(folders)]
    photos = [photo for photo in photos if min(photo.shape[:2]) >= min_side]
    if not photos:
        raise InputError(f"{', '.join(map(str, folders))}: no photograph of at least {min_side} px a side")
    return photos


def _reduced(photo):
    import cv2

    while max(photo.shape) > MAX_SIDE:
        photo = cv2.resize(photo, (photo.shape[1] // 2, photo.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return photo


def batch(photos, seed: int, step: int, size: int, count: int, min_scale: float = 0.5) -> np.ndarray:
    """Batch number `step`, (count, size, size, 3) uint8: photograph, scale, place, flip and turn at random."""
    return np.stack([_crop(photos, np.random.default_rng([seed, step, n]), size, min_scale) for n in range(count)])


def _crop(photos, rng, size, min_scale):
    import cv2

    photo = photos[rng.integers(len(photos))]
    # A crop of size / scale pixels, reduced to size: area interpolation makes it sharper.
    window = min(round(size / rng.uniform(min_scale, 1.0)), *photo.shape[:2])
    top, left = (rng.integers(side - window + 1) for side in photo.shape[:2])
    crop = photo[top : top + window, left : left + window]
    if window != size:
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    return np.rot90(crop, rng.integers(4))
