"""Records which files belong to which page, so that nothing outlives the page that it was uploaded to.

Below `root`, all of which the server may hand out:
    HASH/NAME            uploads, where Gradio puts them; two people who upload the same file share it
    sessions/SECRET/     results of one open page
    examples/            inputs to try, kept
"""

import contextlib
import dataclasses
import pathlib
import secrets
import shutil
import threading
import time

ABANDONED = 600  # seconds after which an upload that no page claims is removed
IDLE = 12 * 3600  # seconds after which a page that does nothing counts as closed


@dataclasses.dataclass
class Session:
    """An open page. cancels: {kind of job: the flag that stops the running one}."""

    folder: pathlib.Path
    uploads: set[pathlib.Path] = dataclasses.field(default_factory=set)
    cancels: dict[str, threading.Event] = dataclasses.field(default_factory=dict)
    used: float = dataclasses.field(default_factory=time.monotonic)


class Sessions:
    """The open pages; methods may be called from any thread. An unknown name starts a new page."""

    def __init__(self, root: pathlib.Path):
        self.root, self.examples = root, root / "examples"
        self._open: dict[str, Session] = {}
        self._lock = threading.Lock()

    def start(self, name: str, kind: str, uploads) -> tuple[pathlib.Path, threading.Event]:
        """Return an empty folder for a job's results, in place of the last of its kind, and the job's stop flag."""
        with self._lock:
            session = self._session(name, uploads)
            flag = session.cancels[kind] = threading.Event()
            folder = session.folder / f"{kind}-{secrets.token_hex(8)}"
            for earlier in session.folder.glob(f"{kind}-*"):
                _remove(earlier)
            folder.mkdir(parents=True)
            return folder, flag

    def finish(self, name: str, kind: str, flag: threading.Event) -> None:
        """Say that the job with that flag is over."""
        with self._lock:
            if name in self._open and self._open[name].cancels.get(kind) is flag:
                del self._open[name].cancels[kind]

    def cancel(self, name: str, kind: str) -> None:
        """Stop the page's job of that kind, if one runs."""
        with self._lock:
            if name in self._open and kind in self._open[name].cancels:
                self._open[name].cancels[kind].set()

    def end(self, name: str) -> None:
        """Close a page: its jobs stop and its files are removed."""
        with self._lock:
            self._end(name)

    def sweep(self) -> None:
        """Remove files that no open page claims: broken uploads, and results of jobs that outlived their page."""
        with self._lock:
            for name, session in list(self._open.items()):
                if time.monotonic() - session.used > IDLE:
                    self._end(name)
            claimed = {path.parent for session in self._open.values() for path in session.uploads}
            for path in self.root.iterdir():
                kept = path in claimed or path in (self.examples, self.root / "sessions")
                if not kept and time.time() - _modified(path) > ABANDONED:
                    _remove(path)
            folders = {session.folder for session in self._open.values()}
            for path in (self.root / "sessions").glob("*"):
                if path not in folders:
                    _remove(path)

    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(path.stat().st_size for path in self.root.rglob("*") if path.is_file())

    def close(self) -> None:
        """Close all pages."""
        with self._lock:
            for name in list(self._open):
                self._end(name)

    def _session(self, name: str, uploads) -> Session:
        if name not in self._open:
            self._open[name] = Session(self.root / "sessions" / secrets.token_hex(16))
        session = self._open[name]
        session.used = time.monotonic()
        session.uploads |= {path for path in map(pathlib.Path, uploads) if self.examples not in path.parents}
        return session

    def _end(self, name: str) -> None:
        session = self._open.pop(name, None)
        if session is None:
            return
        for flag in session.cancels.values():
            flag.set()
        shared = {path for other in self._open.values() for path in other.uploads}
        for path in session.uploads - shared:
            if self.root in path.parents:
                _remove(path)
                with contextlib.suppress(OSError):
                    path.parent.rmdir()
        _remove(session.folder)


def _modified(path: pathlib.Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def _remove(path: pathlib.Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
