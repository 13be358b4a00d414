"""Names for results beside, or in a folder of, the photographs they were made from."""

import os
import zlib
from pathlib import Path

from restore_jax.io.photos import STANDARD, output_suffix

_LONGEST = 255  # bytes of a file's name


def result_path(photo: Path, ending: str, kind: str, folder: Path | None = None) -> Path:
    """NAME_ending.EXT of the photograph `photo`, whose format is `kind`, in `folder` (None: beside it).

    EXT is the photograph's own where that can be written. A name too long for a file system is shortened, and keeps
    apart from others that begin alike. The result of standard input is standard output.
    """
    if os.fspath(photo) == STANDARD and folder is None:
        return Path(STANDARD)
    suffix = output_suffix(photo, kind)
    return (folder or photo.parent) / f"{_fitting(photo.stem, len(os.fsencode(ending + suffix)))}{ending}{suffix}"


def _fitting(stem: str, more: int) -> str:
    """The stem of a name that has `more` bytes behind it."""
    name = os.fsencode(stem)
    if len(name) + more <= _LONGEST:
        return stem
    mark = f"~{zlib.crc32(name):08x}"
    return os.fsencode(stem)[: _LONGEST - more - len(mark)].decode("utf-8", "ignore") + mark
