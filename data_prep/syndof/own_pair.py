"""Renders defocus from a person's own photograph and depth: restore-jax data render."""

import math
from pathlib import Path

import numpy as np

from data_prep.syndof import depths, example
from data_prep.syndof import lens as lenses
from restore_jax import defocus, io
from restore_jax.errors import InputError

UNITS = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "disparity": None}  # mm; disparity: any multiple of 1 / depth
LARGEST_COC = 256


def render_files(
    image: str | Path,
    depth: str | Path,
    unit: str,
    out: str | Path | None = None,
    max_coc: float = lenses.MAX_COC["paper"],
    seed: int = 0,
    focus: float | None = None,
) -> dict[str, Path]:
    """Write the defocused image (default: IMAGE_defocused.png), OUT_sigma.png (`defocus.write_map`), and its colours.

    max_coc: pixels, the COC of the depth that is farthest out of focus. focus: in the unit of the depth; without it,
    drawn from the depths' range by `seed` (Eq. 3.2). sigma is COC / 4. Raises InputError.
    """
    image, depth = Path(image), Path(depth)
    if unit not in UNITS:
        raise InputError(f"--unit {unit}: is none of {', '.join(UNITS)}")
    if not 0 < max_coc <= LARGEST_COC:
        raise InputError(f"--max-coc {max_coc:g}: must be above 0 and at most {LARGEST_COC} pixels")
    out = Path(out) if out else image.with_name(f"{image.stem}_defocused.png")
    files = {"image": out, "sigma": out.with_name(f"{out.stem}_sigma.png")}
    files["colours"] = out.with_name(f"{out.stem}_sigma_colours.png")
    for file in files.values():
        if file.resolve() in (image.resolve(), depth.resolve()):
            raise InputError(f"{file}: is an input and would be overwritten; choose another -o")
        io.check_writable(file)
    photo = io.read_photo(image)
    x = in_mm(read_depth(depth, unit), unit, depth)
    if x.shape != photo.pixels.shape[:2]:
        height, width = photo.pixels.shape[:2]
        raise InputError(f"{depth}: {x.shape[1]}x{x.shape[0]}, but {image} is {width}x{height}")
    lens = _lens(x, unit, max_coc, seed, focus)
    found = example.render(photo.pixels, x, lens)
    io.write_photo(files["image"], found.image, like=photo)
    defocus.write_map(files["sigma"], found.sigma)
    defocus.write_colours(files["colours"], found.sigma)
    return files


def read_depth(path: Path, unit: str) -> np.ndarray:
    """Read depths (h, w) float32 as the file's own numbers: .npy, .dpt, or a grey PNG or TIFF; sky as in `depths`."""
    try:
        if path.suffix == ".dpt":
            values = depths.read_dpt(io.read_bytes(path)) / depths.MM_PER_UNIT["MPI"]
        else:
            values = io.read_numbers(path)
            values = values if path.suffix == ".npy" else _grey(values, unit)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise InputError(f"{path}: holds {values.dtype} of shape {values.shape}, not numbers (h, w)")
    return values.astype(np.float32)


def _grey(values, unit):
    if values.dtype == np.uint16 and unit != "disparity":
        return depths.of_codes(values) / depths.MM_PER_UNIT["SYNTHIA"]
    if values.ndim == 3 and (values[..., :1] == values).all():
        return values[..., 0]
    return values


def in_mm(values: np.ndarray, unit: str, path: Path) -> np.ndarray:
    """Convert depths to mm, and disparities to depths of any scale, as COC does not depend on it. Raises InputError.

    Depths that are not finite, which stereo leaves where nothing was matched, take the nearest known depth.
    """
    if not np.isfinite(values).any():
        raise InputError(f"{path}: no depth is finite")
    values = depths.fill_holes(values)
    if not (values > 0).all():
        raise InputError(f"{path}: holds depths that are not above 0 (the least is {values.min():g})")
    if values.min() == values.max():
        raise InputError(f"{path}: every depth is {values.min():g}: nothing can be out of focus")
    return 1 / values if unit == "disparity" else values * np.float32(UNITS[unit])


def _lens(x, unit, max_coc, seed, focus):
    near, far = float(x.min()), float(x.max())
    at = np.random.default_rng(seed).uniform(near, far) if focus is None else focus
    if focus is not None:
        if not (focus > 0 and math.isfinite(focus)):
            raise InputError(f"--focus {focus:g}: must be above 0")
        at = 1 / focus if unit == "disparity" else focus * UNITS[unit]
    return lenses.lens_at(at, near, far, max_coc)
