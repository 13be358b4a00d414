"""Libraries in C that say what they think of a damaged file themselves: here they do not."""

import contextlib
import os
import threading
from collections.abc import Iterator

_lock = threading.Lock()
_kept: list[int] = []  # the true standard error, while any thread hides it
_hiding = 0  # threads that do


@contextlib.contextmanager
def no_stderr() -> Iterator[None]:
    """Hide what C libraries write to the process's standard error, past Python, until the last thread inside leaves."""
    global _hiding
    with _lock:
        _hiding += 1
        if _hiding == 1:
            with contextlib.suppress(OSError):  # there is none
                _kept.append(os.dup(2))
                with open(os.devnull, "wb") as nowhere:
                    os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        with _lock:
            _hiding -= 1
            if _hiding == 0 and _kept:
                os.dup2(_kept[0], 2)
                os.close(_kept.pop())
