"""Videos from standard input and to standard output, by way of files: a video is read more than once."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from restore_jax.errors import InputError
from restore_jax.io import atomic
from restore_jax.io.photos import STANDARD

_PREFIX = "restore_jax-"  # of temporary folders
_INPUT, _OUTPUT = "standard input", "standard output.mkv"


def shown(path) -> str:
    """The path as messages name it."""
    named = Path(path).parent.name.startswith(_PREFIX) and Path(path).name in (_INPUT, _OUTPUT)
    return Path(path).stem if named else str(path)


@contextlib.contextmanager
def in_files(wide: str, out: str) -> Iterator[tuple[str, str]]:
    """The two paths, with temporary files in place of "-"; what is in that of `out` goes to standard output, Matroska.

    InputError if standard input holds nothing.
    """
    with contextlib.ExitStack() as stack:
        folder = None
        if STANDARD in (wide, out):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_PREFIX)))
        if wide == STANDARD:
            with atomic.writing(folder / _INPUT), open(folder / _INPUT, "wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
                if not file.tell():
                    raise InputError("standard input: holds nothing")
            wide = str(folder / _INPUT)
        result = out if out != STANDARD else folder / _OUTPUT
        try:
            yield wide, str(result)
        except InputError as error:
            raise InputError(str(error).replace(f"{folder}{os.sep}", "")) from error
        if out != STANDARD:
            return
        with atomic.writing(Path(STANDARD)), open(result, "rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
