"""Files that are whole or not there: written under another name, then moved into place; and one writer at a time."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import filelock

from restore_jax.errors import InputError

LOCK = ".lock"  # the name of the file


def temporary(path: Path) -> Path:
    """Return a name beside `path` for what is not whole yet."""
    return path.with_name(f".restore_jax-{secrets.token_hex(8)}.part")


def write(path: Path, data: bytes) -> None:
    """Write the whole file under another name, then rename: no moment with half a file. Raises InputError."""
    with writing(path):
        path = Path(os.path.realpath(path))  # a link stays a link
        unfinished = temporary(path)
        try:
            with open(unfinished, "xb") as fp:
                fp.write(data)
                fp.flush()
                os.fsync(fp.fileno())
            if path.exists():
                shutil.copymode(path, unfinished)
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Make the folder of `path` and see that a file can be written there. InputError, naming the file, if not."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder, not a file to write to")
    check_place(path)


def check_place(path: Path) -> None:
    """Make the folder of `path`, and see that a file or folder of that name can be put there. InputError if not."""
    with writing(path):
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(None, "it is read-only")
        probe = temporary(path)
        try:
            with open(probe, "xb"):
                pass
        finally:
            probe.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path, what: Path) -> Iterator[None]:
    """Hold a lock in `folder`, which is made if need be; InputError, naming `what`, if another run holds it.

    The lock is let go of by whatever ends the process. `folder` may be removed inside. On a file system
    without locks two runs may go on at once.
    """
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    with writing(folder / LOCK):
        try:
            lock.acquire()
        except filelock.Timeout:
            raise InputError(f"{what}: another run is writing it") from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
                raise
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make the folder of `path`, and raise errors of the file system as an InputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{path}: cannot be written: {path.parent} is not a folder") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
