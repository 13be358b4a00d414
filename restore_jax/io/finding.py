"""Photographs that files, folders and glob patterns name, and what a folder holds besides."""

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from restore_jax.errors import InputError
from restore_jax.io.photos import STANDARD, SUFFIXES, identify

_MOST_NAMED = 5  # files in one line


def find_photos(args: Sequence[str | os.PathLike]) -> list[Path]:
    """Return the photographs that files, folders (not those below them) and globs name: sorted in each, none twice.

    In a folder those with a suffix of a photograph are taken, and those whose content is one. "-" is standard input.
    InputError for a missing file, a folder without photographs, a glob without a match.
    """
    return sorted_out(args)[0]


def sorted_out(args: Sequence[str | os.PathLike]) -> tuple[list[Path], list[str]]:
    """Return the photographs as `find_photos`, and a line for each folder or glob that says what else it holds."""
    photos: dict[str, Path] = {}
    lines = []
    for arg in args:
        try:
            taken, others = _photos_of(arg)
        except OSError as error:
            raise InputError(f"{arg}: {error.strerror or error}") from error
        for path in taken:
            photos.setdefault(os.path.abspath(path), path)
        if others:
            lines.append(f"{arg}: {counted(others)}")
    return list(photos.values()), lines


def _photos_of(arg: str | os.PathLike) -> tuple[list[Path], dict[Path, str]]:
    """Return the photographs, and why each other file is none."""
    path = Path(arg).expanduser()
    if not os.fspath(arg):
        raise InputError("photo: an empty name")
    if os.fspath(arg) == STANDARD:
        return [path], {}
    if path.is_dir():
        here, nothing = path.iterdir(), "holds no photographs"
    elif path.exists():
        return [path], {}
    elif glob.has_magic(str(path)):
        here, nothing = map(Path, glob.glob(str(path), recursive=True)), "matches no photographs"
    else:
        raise InputError(f"{arg}: no such file or folder")
    photos, others = parted(here)
    if not photos:
        raise InputError(f"{arg}: {nothing} ({', '.join(SUFFIXES)})")
    return photos, others


def parted(files: Iterable[Path]) -> tuple[list[Path], dict[Path, str]]:
    """Return those of the files that are photographs by name or content, sorted, and why each of the others is none.

    Names with a dot in front are hidden: macOS leaves such files beside photographs on foreign disks.
    """
    photos, others = [], {}
    for path in sorted(files):
        if path.name[0] == "." or not (path.is_file() or path.is_dir()):
            continue
        if path.is_dir():
            others[path] = "a folder"
            continue
        try:
            if path.suffix.lower() not in SUFFIXES:
                identify(path)
            photos.append(path)
        except InputError as error:
            others[path] = str(error).removeprefix(f"{path}: ")
    return photos, others


def counted(others: dict[Path, str]) -> str:
    """Say how many files are left out, which, and why: the names of a few."""
    named = [f"{path.name} ({reason})" for path, reason in list(others.items())[:_MOST_NAMED]]
    if len(others) > _MOST_NAMED:
        named.append(f"and {len(others) - _MOST_NAMED} more")
    return f"{len(others)} file{'s' * (len(others) > 1)} left out: {', '.join(named)}"
