"""Names for results of photographs, and what is said of those results."""

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

from restore_jax.io.left_out import FORMATS, NAMES
from restore_jax.io.photos import STANDARD, output_suffix, writable

_LONGEST = 255  # bytes of a file's name


def result_path(photo: Path, ending: str, kind: str, folder: Path | None = None) -> Path:
    """Return NAME_ending.EXT of the photograph `photo`, whose format is `kind`, in `folder` (None: beside it).

    EXT is the photograph's own where that can be written. The result of standard input is standard output.
    """
    if os.fspath(photo) == STANDARD and folder is None:
        return Path(STANDARD)
    suffix = output_suffix(photo, kind)
    return (folder or photo.parent) / f"{shortened(photo.stem, ending + suffix)}{ending}{suffix}"


def shortened(stem: str, ending: str) -> str:
    """Return the stem of a name that `ending` follows, cut where the name would be longer than file systems take."""
    name, more = os.fsencode(stem), len(os.fsencode(ending))
    if len(name) + more <= _LONGEST:
        return stem
    mark = f"~{zlib.crc32(name):08x}"  # which keeps names apart that begin alike
    return name[: _LONGEST - more - len(mark)].decode("utf-8", "ignore") + mark


def remarks(out: str | os.PathLike, gone: Sequence[str], photo: str | os.PathLike, kind: str) -> list[str]:
    """Return the line, if any, to say of a file written from a photograph of format `kind` without what is `gone`.

    It names the new format too where the person who gave the names did not ask for another.
    """
    out, photo = Path(out), Path(photo)
    written, said = FORMATS.get(out.suffix.lower(), kind), []
    if written != kind and out.suffix == photo.suffix:
        said.append(f"{NAMES[written]}, as its name says; {photo.name} is {NAMES[kind]}")
    elif not writable(kind) and out.suffix == output_suffix(photo, kind):
        said.append(f"{NAMES[written]}, as {NAMES[kind]} cannot be written")
    if gone:
        *first, last = gone
        said.append(f"without {', '.join(first)}{' and ' if first else ''}{last}")
    return [f"{out}: {'; '.join(said)}"] if said else []
