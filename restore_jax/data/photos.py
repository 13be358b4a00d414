"""Random crops of a folder of sharp photographs.

Batch number `step` is a pure function of (seed, step): a restart sees the batches it would have seen.
"""

import pathlib

import numpy as np

from restore_jax.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
MAX_SIDE = 1024  # larger photographs are halved until they fit: sharper, and they all stay in memory


def load_photos(folders, min_side: int) -> list[np.ndarray]:
    """All photographs of the folders as (h, w, 3) uint8, sorted by path; smaller ones than `min_side` are left out.

    Raises InputError if a folder is missing or no photograph is left.
    """
    import cv2
    import imageio.v3 as iio

    photos = []
    for folder in map(pathlib.Path, folders):
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of photographs")
        for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES):
            try:
                photo = iio.imread(path, plugin="pillow", mode="RGB")
            except (OSError, ValueError) as error:
                raise InputError(f"{path}: not a readable photograph ({error})") from error
            while max(photo.shape) > MAX_SIDE:
                size = (photo.shape[1] // 2, photo.shape[0] // 2)
                photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
            if min(photo.shape[:2]) >= min_side:
                photos.append(photo)
    if not photos:
        raise InputError(f"{', '.join(map(str, folders))}: no photograph of at least {min_side} px a side")
    return photos


def batch(photos, seed: int, step: int, size: int, count: int, min_scale: float = 0.5) -> np.ndarray:
    """(count, size, size, 3) uint8 crops number `step`: random photograph, scale in [min_scale, 1], place, flips, turn."""
    return np.stack([_crop(photos, np.random.default_rng([seed, step, n]), size, min_scale) for n in range(count)])


def _crop(photos, rng, size, min_scale):
    import cv2

    photo = photos[rng.integers(len(photos))]
    # A crop of size / scale pixels, reduced to size: area interpolation makes it sharper.
    window = min(int(round(size / rng.uniform(min_scale, 1.0))), *photo.shape[:2])
    top, left = (rng.integers(side - window + 1) for side in photo.shape[:2])
    crop = photo[top : top + window, left : left + window]
    if window != size:
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    return np.rot90(crop, rng.integers(4))
