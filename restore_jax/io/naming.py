"""Names for results beside, or in a folder of, the photographs they were made from."""

import os
import zlib
from pathlib import Path

from restore_jax.io.photos import STANDARD, output_suffix

_LONGEST = 255  # bytes of a file's name


def result_path(photo: Path, ending: str, kind: str, folder: Path | None = None) -> Path:
    """NAME_ending.EXT of the photograph `photo`, whose format is `kind`, in `folder` (None: beside it).

    EXT is the photograph's own where that can be written. The result of standard input is standard output.
    """
    if os.fspath(photo) == STANDARD and folder is None:
        return Path(STANDARD)
    suffix = output_suffix(photo, kind)
    return (folder or photo.parent) / f"{shortened(photo.stem, ending + suffix)}{ending}{suffix}"


def shortened(stem: str, ending: str) -> str:
    """The stem of a name that `ending` follows, cut where the name would be longer than file systems take."""
    name, more = os.fsencode(stem), len(os.fsencode(ending))
    if len(name) + more <= _LONGEST:
        return stem
    mark = f"~{zlib.crc32(name):08x}"  # which keeps names apart that begin alike
    return name[: _LONGEST - more - len(mark)].decode("utf-8", "ignore") + mark
