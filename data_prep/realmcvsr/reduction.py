"""Makes RealMCVSR's LRx2 or LRx4 from its HR frames: python -m data_prep.realmcvsr.reduction TREE 4."""

import os
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_prep.realmcvsr.layout import CAMERAS, LAYOUTS
from data_prep.trees import find_root
from restore_jax.errors import InputError
from restore_jax.io.photos import Photo, from_float, read_photo, to_float, write_photo
from restore_jax.ops.imresize import imresize


def reduce_tree(tree: str | os.PathLike, reduction: int) -> int:
    """Write the frames of {split}/LRx{reduction} that are missing beside {split}/HR; returns how many were written.

    reduction: 2 or 4. Raises InputError for another, and for a tree without HR frames.
    """
    if reduction not in (2, 4):
        raise InputError(f"reduction is {reduction}, must be 2 or 4")
    if not Path(tree).is_dir():
        raise InputError(f"{tree}: no such folder")
    root = find_root(LAYOUTS["hr"], Path(tree))
    frames = [frame for camera in CAMERAS.values() for frame in sorted(root.glob(f"*/HR/{camera}/*/*.png"))]
    if not frames:
        raise InputError(f"{tree}: holds no frames SPLIT/HR/CAMERA/CLIP/FRAME.png")
    written = 0
    for frame in tqdm(frames, desc=f"LRx{reduction}", unit="frame", disable=None):
        split, _, *rest = frame.relative_to(root).parts
        reduced = root.joinpath(split, f"LRx{reduction}", *rest)
        if not reduced.exists():
            pixels = from_float(read_photo(frame).pixels, np.uint8)
            pixels = to_float(imresize(pixels, 1 / reduction))
            reduced.parent.mkdir(parents=True, exist_ok=True)
            write_photo(reduced, pixels, Photo(pixels))
            written += 1
    return written


if __name__ == "__main__":
    try:
        print(f"{reduce_tree(sys.argv[1], int(sys.argv[2]))} frames written")
    except (InputError, IndexError, ValueError) as error:
        print(error if isinstance(error, InputError) else __doc__, file=sys.stderr)
        sys.exit(2)
