"""Crash-safe output of a stream of frames: in segments, each whole or not there, joined in the end.

OUT.parts/ holds the segments, progress.json (the job, and how many segments are whole) and the state the network
carried out of the last one. A run that finds there the segments of the same job goes on behind them; as every segment
is encoded on its own and the state is kept exactly, the result is that of a run that was never stopped.
"""

import dataclasses
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy

from restore_jax import io, video
from restore_jax.errors import InputError
from restore_jax.io import atomic, left_out, naming
from restore_jax.video import still
from restore_jax.weights.tree import flatten, unflatten

LENGTH = 32  # frames a segment: what a stopped run loses at most


class Target(NamedTuple):
    """The file or folder that frames are written to.

    suffix: of a part. open(path, first): a context manager with write(frame), for a part that begins with frame
    `first`. join(paths, counts, path): makes the one file or folder of the parts, which hold `counts` frames.
    """

    suffix: str
    open: Callable[[pathlib.Path, int], Any]
    join: Callable[[list[pathlib.Path], list[int], pathlib.Path], None]


def video_target(out: pathlib.Path, clip: video.Clip, scale: int, crf: float, first: int, stop: int) -> Target:
    """Make a target: an H.264 file of the frames `first` to `stop` of `clip`, enlarged, with all else it holds."""
    size = (clip.width * scale, clip.height * scale)
    return Target(
        ".mp4",
        lambda path, done: video.VideoWriter(path, *size, clip, crf, first + done),
        lambda paths, counts, path: video.join(paths, counts, path, clip, first, stop),
    )


def folder_target(clip: video.Clip | None = None, scale: int = 1, first: int = 0) -> Target:
    """Make a target: a folder of PNG files, numbered from 1, of the frames of `clip` from `first` on, enlarged.

    They keep the transparency of the clip's frames and, if it is a folder, their depth and metadata.
    """

    def join(paths, counts, path):
        path.mkdir(exist_ok=True)
        for part in paths:
            for frame in part.iterdir():  # none, if they were moved before an earlier stop
                os.replace(frame, path / frame.name)

    return Target("", lambda path, done: _FolderPart(path, done, clip, scale, first), join)


class _FolderPart:
    def __init__(self, path: pathlib.Path, done: int, clip: video.Clip | None, scale: int, first: int):
        self.path, self.number, self.clip, self.scale, self.first = path, done, clip, scale, first
        self.alphas = None
        self.said = left_out.fitted(io.read_photo(clip.files[0]), "png")[1] if clip is not None and clip.files else ()
        if clip is not None and clip.alpha and not clip.files:
            self.alphas = video.alphas(clip, range(first + done, len(clip)))

    def __enter__(self):
        self.path.mkdir()
        return self

    def __exit__(self, *_):
        pass

    def write(self, frame: np.ndarray) -> None:
        like = io.Photo(frame, bits=8 * frame.dtype.itemsize)
        if self.clip is not None and self.clip.files:
            like = io.read_photo(self.clip.files[self.first + self.number])
        elif self.alphas is not None:
            like = dataclasses.replace(like, alpha=next(self.alphas))
        self.number += 1
        like = still.enlarged(like, self.scale)
        gone = io.write_photo(self.path / f"frame_{self.number:06}.png", io.to_float(frame), like=like)
        for name in set(gone) - set(self.said):
            self.clip.mended.setdefault(f"frames were written without {name}", set()).add(self.number)


def is_folder(out: str) -> bool:
    """Say whether an output is a folder of frames: it is there, ends in /, or has no suffix."""
    return out.endswith(("/", os.sep)) or pathlib.Path(out).is_dir() or not pathlib.Path(out).suffix


def check_target(out: str) -> None:
    """Check that a video or a folder of frames can be written as `out`. Raises InputError."""
    path = pathlib.Path(out)
    if not is_folder(out):
        if path.suffix.lower() not in video.SUFFIXES:
            known = ", ".join(video.SUFFIXES)
            raise InputError(f"{out}: cannot write {path.suffix} videos: use {known}, or a folder for frames")
    elif path.is_dir() and any(path.iterdir()):
        raise InputError(f"{out}: this folder is not empty; name another")
    elif path.exists() and not path.is_dir():
        raise InputError(f"{out}: is a file, not a folder; a video needs an ending such as .mp4")
    atomic.check_place(path)


def write(
    out: pathlib.Path,
    target: Target,
    job: dict,
    total: int,
    frames: Callable[[int, Any], Iterator[tuple[np.ndarray, Any]]],
    progress: Callable[[int], None],
    length: int = LENGTH,
) -> None:
    """Write `total` frames to `out`, and continue where a stopped run of the same `job` ended.

    job: all that decides the result, as JSON. frames(first, state): (frame, state after it) for the frames from
    number `first` on, given the state after the one before it (None for the first); a state is a nested dict of
    arrays. progress(done) is called before the first frame and after each.

    Raises InputError if `out` cannot be written, or is being written by another run, or if it comes from `frames`: then
    no part is left, as going on would meet it again.
    """
    parts = out.with_name(naming.shortened(out.name, ".parts") + ".parts")
    counts = [min(length, total - first) for first in range(0, total, length)]
    paths = [parts / f"{number:05}{target.suffix}" for number in range(len(counts))]
    with atomic.writing(out), atomic.locked(parts, out):
        whole = _resumed(parts, job)
        progress(sum(counts[:whole]))
        if whole < len(counts):
            source = frames(whole * length, _read_state(parts, whole))
        for number in range(whole, len(counts)):
            first = number * length
            unfinished = parts / f"unfinished{target.suffix}"
            _remove(unfinished, paths[number])
            with target.open(unfinished, first) as part:
                for done in range(first + 1, first + counts[number] + 1):
                    try:
                        frame, state = next(source)
                    except InputError:
                        shutil.rmtree(parts)
                        raise
                    part.write(frame)
                    progress(done)
            _sync(unfinished)
            os.replace(unfinished, paths[number])
            _write_state(parts, number + 1, state)
            _record(parts, job, number + 1)
            _remove(_state_file(parts, number))
        joined = parts / f"joined{out.suffix}"
        target.join(paths, counts, joined)
        _sync(joined)
        if out.is_dir():
            out.rmdir()
        os.replace(joined, out)
        shutil.rmtree(parts)


def _resumed(parts: pathlib.Path, job: dict) -> int:
    """Return the number of whole segments of this job; what another job left is removed."""
    try:
        found = json.loads((parts / "progress.json").read_text())
        if found["job"] == json.loads(json.dumps(job)):
            return found["segments"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    _remove(*(path for path in parts.iterdir() if path.name != atomic.LOCK))
    _record(parts, job, 0)
    return 0


def _record(parts: pathlib.Path, job: dict, segments: int) -> None:
    atomic.write(parts / "progress.json", json.dumps({"job": job, "segments": segments}).encode())


def _state_file(parts: pathlib.Path, segments: int) -> pathlib.Path:
    return parts / f"state_{segments:05}.safetensors"


def _write_state(parts: pathlib.Path, segments: int, state) -> None:
    if state is not None:
        arrays = {name: np.asarray(array, order="C") for name, array in flatten(state).items()}
        atomic.write(_state_file(parts, segments), safetensors.numpy.save(arrays))


def _read_state(parts: pathlib.Path, segments: int):
    path = _state_file(parts, segments)
    return unflatten(safetensors.numpy.load_file(path)) if path.exists() else None


def _remove(*paths: pathlib.Path) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _sync(path: pathlib.Path) -> None:
    """Make sure that the file's content reaches the disk before it gets its name."""
    if path.is_file():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
