"""Makes an aligned pair for training or testing from two photographs that a person took: files in, files out."""

import dataclasses
import os
from pathlib import Path

from data_prep.alignment import Alignment, Encoding, align
from restore_jax.errors import InputError
from restore_jax.io.photos import Photo, check_writable, read_photo, write_photo


def align_files(
    sharp: str | os.PathLike,
    blurred: str | os.PathLike,
    out_dir: str | os.PathLike,
    *,
    flow: bool = False,
    gain: bool = True,
    encoding: Encoding = "srgb",
) -> Alignment:
    """Write out_dir/blurred/NAME.png and out_dir/sharp/NAME.png, aligned and of one size; NAME is the blurred file's.

    The blurred photograph is only cropped, so that a network sees what a camera gives, noise included. The sharp one is
    resampled once onto its grid and gets its exposure (see `align` for the options). Each keeps its bits per sample (at
    most 16) and metadata, and loses its alpha channel. Existing pictures of that name are replaced, but never the two
    that are read.
    Raises InputError, naming the file or both, for what cannot be read, aligned or written.
    """
    out = {name: Path(out_dir) / name / f"{Path(blurred).stem}.png" for name in ("sharp", "blurred")}
    photos = {"sharp": read_photo(sharp), "blurred": read_photo(blurred)}
    for path in out.values():
        for source in (sharp, blurred):
            if path.exists() and path.samefile(source):
                raise InputError(f"{path}: is one of the photographs to align: choose another output folder")
    found = align(
        photos["sharp"].pixels,
        photos["blurred"].pixels,
        flow=flow,
        gain=gain,
        encoding=encoding,
        names=(str(sharp), str(blurred)),
    )
    for path in out.values():
        check_writable(path)
    colour = any(not photo.grey for photo in photos.values())
    write_photo(out["sharp"], found.image[found.crop], _like(photos["sharp"], colour))
    write_photo(out["blurred"], photos["blurred"].pixels[found.crop], _like(photos["blurred"], colour))
    return found


def _like(photo: Photo, colour: bool) -> Photo:
    return dataclasses.replace(photo, alpha=None, grey=not colour)


def summary(found: Alignment) -> str:
    """Summarise an alignment in one line: size in common, distance before and after, gains, quality of the fit."""
    height, width = (part.stop - part.start for part in found.crop)
    gains = " ".join(f"{gain:.3f}" for gain in found.gains)
    return (
        f"{width} x {height} px in common; {found.error_before:.1f} px apart before, {found.error_after:.2f} px after; "
        f"gains {gains}; {found.inliers} features agree, detail correlates by {found.correlation:.2f}"
    )
