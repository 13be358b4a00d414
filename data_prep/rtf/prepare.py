"""Makes the tree of RTF from its photographs and its maps, whose unit must be given.

    python -m data_prep.rtf.prepare IMAGES MAPS TREE --unit radius|sigma

IMAGES and MAPS are folders. Maps are .mat files of one matrix, .npy, or 16-bit .png in thousandths of the unit. A map
that is narrower than its photograph is taken to have lost its right side, which is stored as "not known". Photographs
pair with maps of the same name, or in order if the names differ. TREE gets image/NAME and map/NAME.png; each pair is
printed.
"""

import argparse
import pathlib
import sys

import cv2
import numpy as np
from scipy.io import loadmat

from restore_jax.defocus import NOT_KNOWN, STEPS_PER_PIXEL, read_map
from restore_jax.errors import InputError
from restore_jax.io import atomic
from restore_jax.io.finding import find_photos
from restore_jax.io.photos import read_photo, write_photo
from restore_jax.metrics.defocus import sigma_of_disc

KEPT = (".png", ".jpg", ".jpeg")  # photographs that are copied as they are; others become PNG
MAPS = (".mat", ".npy", ".png")


def prepare(images, maps, tree, unit: str) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """Write the tree and return its (photograph, map) pairs. Raises InputError for files that do not fit together."""
    if unit not in UNITS:
        raise InputError(f"--unit {unit}: is not one of {', '.join(UNITS)}")
    photos = find_photos([images])
    if not pathlib.Path(maps).is_dir():
        raise InputError(f"{maps}: no such folder")
    pairs = paired(photos, sorted(p for p in pathlib.Path(maps).iterdir() if p.suffix in MAPS), maps)
    written = []
    for photo, map_ in pairs:
        picture = read_photo(photo)
        codes = coded(UNITS[unit](read_values(map_)), picture.pixels.shape[:2], f"{map_}")
        target = pathlib.Path(tree) / "image" / photo.name
        if photo.suffix.lower() in KEPT:
            atomic.write(target, photo.read_bytes())
        else:
            target = target.with_suffix(".png")
            write_photo(target, picture.pixels, like=picture)
        write_codes(pathlib.Path(tree) / "map" / f"{target.stem}.png", codes)
        written.append((photo, map_))
    return written


def paired(photos, maps, folder):
    """Pair photographs with maps by name, or in order if no name agrees: [(photograph, map)]."""
    by_name = {path.stem: path for path in maps}
    if len(photos) != len(maps) or len(by_name) != len(maps):
        raise InputError(f"{folder}: {len(by_name)} maps ({', '.join(MAPS)}) for {len(photos)} photographs")
    named = [by_name.get(photo.stem) for photo in photos]
    if all(named):
        return list(zip(photos, named, strict=True))
    if any(named):
        lacking = next(photo for photo, map_ in zip(photos, named, strict=True) if map_ is None)
        raise InputError(f"{lacking}: has no map of its name in {folder}, while others have")
    return list(zip(photos, maps, strict=True))


def read_values(path: pathlib.Path) -> np.ndarray:
    """Read the map (h, w) float32 of a file. Raises InputError."""
    if path.suffix != ".mat":
        return read_map(path)

    try:
        found = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    except Exception as error:  # loadmat raises errors of many kinds
        raise InputError(f"{path}: not a readable .mat file ({error})") from error
    matrices = {name: value for name, value in found.items() if value.ndim == 2 and min(value.shape) > 1}
    if len(matrices) != 1:
        raise InputError(f"{path}: holds {len(matrices)} matrices ({', '.join(matrices)}), not one map")
    return next(iter(matrices.values())).astype(np.float32)


def coded(sigma: np.ndarray, shape: tuple[int, int], name: str) -> np.ndarray:
    """Encode sigma as uint16 at the photograph's shape, with NOT_KNOWN at the right, where the map was cut off."""
    if sigma.shape[0] != shape[0] or sigma.shape[1] > shape[1]:
        raise InputError(f"{name}: is {sigma.shape[1]}x{sigma.shape[0]}, its photograph {shape[1]}x{shape[0]}")
    steps = np.round(STEPS_PER_PIXEL * sigma)
    if not ((steps >= 0) & (steps < NOT_KNOWN)).all():
        raise InputError(f"{name}: sigma from {sigma.min():g} to {sigma.max():g}, must be 0 to 65 pixels")
    return np.pad(steps.astype(np.uint16), ((0, 0), (0, shape[1] - sigma.shape[1])), constant_values=NOT_KNOWN)


def write_codes(path: pathlib.Path, codes: np.ndarray) -> None:
    """Write a 16-bit grey PNG."""
    atomic.write(path, cv2.imencode(".png", codes)[1].tobytes())


UNITS = {"radius": sigma_of_disc, "sigma": lambda values: values}


def main() -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("images", "maps", "tree"):
        parser.add_argument(name, metavar=name.upper())
    parser.add_argument(
        "--unit", choices=UNITS, required=True, help="what the maps hold, in pixels: a disc's radius, or sigma"
    )
    args = parser.parse_args()
    try:
        for photo, map_ in prepare(args.images, args.maps, args.tree, args.unit):
            print(f"{photo.name}  {map_.name}")
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
