"""Checkpoints inside zip archives: one is taken out by its name, and nothing else is written."""

import pathlib
import shutil
import zipfile
import zlib

from restore_jax.errors import InputError
from restore_jax.weights.checkpoints import is_checkpoint, refuse_bomb

_LISTED = 12  # names that a message lists


def enter(archive, file: str, folder, origin: str = "") -> pathlib.Path:
    """Find a checkpoint in a downloaded file.

    Args:
      archive: a zip archive that holds the checkpoint, in any of its folders, or the checkpoint itself.
      file: the checkpoint's name.
      folder: where it is written if it comes from an archive; nothing is ever written elsewhere.
      origin: how messages name the archive; by default by its path.
    Returns the checkpoint's path. Raises InputError for an archive that is damaged, does not hold the checkpoint, holds
    names that lead out of a folder, or would unpack to far more than it is.
    """
    archive, origin = pathlib.Path(archive), origin or str(archive)
    if not zipfile.is_zipfile(archive):
        with open(archive, "rb") as opened:
            if opened.read(4) == b"PK\x03\x04":
                raise InputError(f"{origin}: an archive that is cut short or damaged")
        return archive
    try:
        with zipfile.ZipFile(archive) as opened:
            if is_checkpoint(opened.namelist()) and file not in map(_last_part, opened.namelist()):
                return archive
            member = _member(origin, opened.infolist(), file)
            refuse_bomb(origin, member.file_size, member.compress_size)
            path = pathlib.Path(folder) / file
            with opened.open(member) as source, open(path, "xb") as target:
                shutil.copyfileobj(source, target)
            return path
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{origin}: {file} cannot be read from it ({' '.join(str(error).split())})") from error


def _member(origin: str, members: list[zipfile.ZipInfo], file: str) -> zipfile.ZipInfo:
    for member in members:
        path = pathlib.PureWindowsPath(member.filename)  # knows / and \, drives and ..
        if path.anchor or ".." in path.parts:
            raise InputError(f"{origin}: holds {member.filename!r}, which leads out of its folder; nothing was taken")
    found = [member for member in members if _last_part(member.filename) == file]
    if len(found) != 1:
        names = [member.filename for member in members if not member.is_dir()]
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        count = f"{len(found)} files" if found else "no file"
        raise InputError(f"{origin}: holds {count} named {file}; it holds {', '.join(names[:_LISTED])}{more}")
    return found[0]


def _last_part(name: str) -> str:
    return pathlib.PurePosixPath(name).name
