"""The job of enlarging a video or a photograph, with the help of another of the same scene by a longer lens.

`enlarge` is what `restore-jax vsr` and the web page do: it finds how the two videos belong together, restores frame by
frame, and writes segments, so that a stopped job goes on where it was when it is started again.
"""

import dataclasses
import hashlib
import math
import os
import pathlib
import time
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, overload

import numpy as np

from restore_jax import io, video, weights
from restore_jax.cache import cache_folder
from restore_jax.errors import InputError
from restore_jax.io import naming, photos
from restore_jax.report import Report, Reporter
from restore_jax.version import __version__
from restore_jax.video import adaptation, engines, pairing, pipes, segments, still, stream

SAY_EVERY = 10  # seconds between lines about progress where there is no terminal
WITH_MEMORY = "basicvsr-memory-small"  # the weights for `memory` where none are named
MEMORY_FRAMES = 20  # frames of the reference that the memory learns unless told otherwise, as in Table 6.4


@dataclasses.dataclass(frozen=True)
class Options:
    """The inputs, method and output of `enlarge`. `restore-jax vsr --help` says more.

    wide, reference: paths of videos, of folders of frames, or with `image` of photographs; the reference is of the
      longer lens, None if there is none. "-" for `wide` is standard input.
    out: .mp4, .mov or .mkv, or a folder for PNG frames, or with `image` a photograph; "-" is standard output, to which
      a video is written as Matroska; None is `default_out`.
    weights: a name or a file, "bicubic", or None for the best that ships. scale: that of the weights, 2 or 4.
    start, end: seconds into `wide`; None is its end. fps: frames a second of folders of frames.
    fov: how many times as wide the view of `wide` is; offset: seconds by which the reference shows a moment later.
      Both are measured where they are None.
    crf: H.264 quality, 0 to 51, less is better.
    memory: "adapt" first lets the network's memory learn the reference, for at most `epochs` passes over `frames` of
      its frames, and at most `minutes`.
    tile: side in pixels of the largest square computed in one pass. dtype: "float32" or "bfloat16".
    """

    wide: str
    reference: str | None = None
    out: str | None = None
    weights: str | None = None
    scale: int = 4
    start: float = 0.0
    end: float | None = None
    crf: float = 17.0
    fov: float | None = None
    offset: float | None = None
    fps: Fraction = Fraction(30)
    memory: str | None = None
    epochs: int | None = None
    minutes: float | None = None
    frames: int | None = None
    image: bool = False
    tile: int = 512
    dtype: str = "float32"


@overload
def super_resolve(
    frames: str | os.PathLike[str],
    references: str | os.PathLike[str] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    reporter: Reporter | None = None,
    weights: str | None = None,
    scale: int = 4,
    start: float = 0.0,
    end: float | None = None,
    crf: float = 17.0,
    fov: float | None = None,
    offset: float | None = None,
    fps: Fraction = Fraction(30),
    memory: str | None = None,
    epochs: int | None = None,
    minutes: float | None = None,
    image: bool = False,
    tile: int = 512,
    dtype: str = "float32",
) -> pathlib.Path: ...


@overload
def super_resolve(
    frames: Iterable[np.ndarray],
    references: Iterable[np.ndarray] | None = None,
    *,
    weights: Any = None,
    scale: int = 4,
    fov: float | None = None,
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0),
    tile: int | None = stream.TILE,
    dtype: str = "float32",
) -> Iterator[np.ndarray]: ...


def super_resolve(frames, references=None, *, out=None, reporter=None, **options):
    """Enlarge a video with the help of a longer lens: frames to frames, or a file to a file.

    Arrays are restored one by one as `video.stream.super_resolve` says, and yielded. Paths are enlarged as by
    `restore-jax vsr`: what is written has the sound, rotation and colour tags of the first video, a stopped job goes on
    when it is called again, and the path of the result is returned. Then `options` are fields of `Options`, and
    `reporter` is told what is done. Raises InputError.
    """
    if not isinstance(frames, (str, os.PathLike)):
        if out is not None or reporter is not None:
            raise TypeError("out and reporter go with the path of a video, not with its frames")
        return stream.super_resolve(frames, references, **options)
    paths = {"wide": frames, "reference": references, "out": out}
    paths = {name: None if path is None else os.fspath(path) for name, path in paths.items()}
    return enlarge(Options(**paths, **options), reporter)


def enlarge(options: Options, reporter: Reporter | None = None) -> pathlib.Path:
    """Do what `options` say and return the path of the result; `reporter` is told about it (None: nobody).

    Raises InputError, one line that names the file or the option and the reason.
    """
    reporter = reporter or Report(quiet=True)
    _check(options)
    reporter.photo(pathlib.Path(options.wide).name)
    try:
        if options.out is None:
            options = dataclasses.replace(options, out=default_out(options))
        _check_out(options)
        if options.image:
            _enlarge_image(options, reporter)
        else:
            with pipes.in_files(options.wide, options.out) as (wide, out):
                _enlarge_video(dataclasses.replace(options, wide=wide, out=out), reporter)
    finally:
        reporter.clear()
    return pathlib.Path(options.out)


def default_out(options: Options) -> str:
    """Name the result after the input, beside it: NAME_enlarged, of the input's kind where that can be written."""
    wide = pathlib.Path(options.wide)
    if options.image:
        return str(naming.result_path(wide, "_enlarged", io.identify(wide)))
    if options.wide == photos.STANDARD:
        return photos.STANDARD
    if wide.is_dir():
        return str(wide.absolute().with_name(f"{wide.absolute().name}_enlarged"))
    ending = f"_enlarged{suffix_for(video.probe(wide), wide.suffix.lower())}"
    return str(wide.with_name(f"{naming.shortened(wide.stem, ending)}{ending}"))


def suffix_for(clip: video.Clip, first: str = ".mp4") -> str:
    """Return the ending of a video format that can hold the clip's sound: `first` if it can, else .mp4, else .mkv."""
    for suffix in (first, ".mp4"):
        try:
            video.left_out(clip, pathlib.Path(f"clip{suffix}"))
        except InputError:
            continue
        if suffix in video.SUFFIXES:
            return suffix
    return ".mkv"


def _check(options: Options) -> None:
    """Refuse options that cannot be, before any file is read."""
    if options.fov is not None and not 1 <= options.fov < float("inf"):
        raise InputError(f"--fov {options.fov:g}: WIDE's view is at least as wide as LONGER's, so 1 or more")
    if not 0 <= options.crf <= 51:
        raise InputError(f"--crf {options.crf:g}: is not between 0 and 51")
    if options.tile < 256:
        raise InputError(f"--tile {options.tile}: at least 256")
    for name in ("fov", "offset"):
        if getattr(options, name) is not None and options.reference is None:
            raise InputError(f"--{name}: says how --ref lies to WIDE, which is missing")
    for name in ("epochs", "minutes", "frames"):
        value = getattr(options, name)
        if value is not None and options.memory is None:
            raise InputError(f"--{name}: says how the memory learns; add --memory adapt")
        if value is not None and not value > 0:
            raise InputError(f"--{name} {value:g}: must be above 0")
    if options.memory and (options.reference is None or options.image):
        raise InputError("--memory: learns a reference video; add --ref, without --image")


def _check_out(options: Options) -> None:
    """Refuse to write over an input."""
    if options.out == photos.STANDARD:
        return
    inputs = [os.path.realpath(path) for path in (options.wide, options.reference) if path]
    if os.path.realpath(options.out) in inputs:
        raise InputError(f"{options.out}: is an input and would be overwritten; choose another -o")


def _enlarge_video(options: Options, reporter: Reporter) -> None:
    out = pathlib.Path(options.out)
    segments.check_target(options.out)
    reporter.status("looking through the file")
    wide = video.probe(options.wide, options.fps)
    reference = None if options.reference is None else video.probe(options.reference, options.fps)
    folder = segments.is_folder(options.out)
    for clip, lost in ((wide, video.left_out(wide, None if folder else out)), (reference, [])):
        for note in () if clip is None else (*clip.notes, *lost):
            reporter.done(f"{pipes.shown(clip.path)}: {note}")
    first, stop = _frame_range(options, wide)
    learnt, engine = None, None if options.memory else _engine(options, reporter)

    pair = None
    if reference is not None:
        if wide.files and reference.files and len(wide) != len(reference) and options.offset is None:
            raise InputError(
                f"{options.reference}: holds {len(reference)} frames, {options.wide} {len(wide)}; "
                "give folders of the same moments, or --offset"
            )
        reporter.status(f"looking for {reference.path.name} in it")
        pair = pairing.pair(wide, reference, first=first, fov=options.fov, offset=options.offset)
        _report_pairing(reporter, options, pair)
        _report_coverage(reporter, wide, reference, first, stop, pair)

    if options.memory:
        engine, learnt = _adapted_engine(options, reporter, wide, reference, pair)
    if folder:
        target = segments.folder_target(wide, engine.scale, first)
    else:
        target = segments.video_target(out, wide, engine.scale, options.crf, first, stop)
    job = _job(options, engine, learnt, pair, first, stop)
    progress = Progress(reporter, stop - first)
    began = time.monotonic()
    frames = stream.clip_frames(engine, wide, reference, pair, first, stop, options.tile)
    # Whole steps, so that a resumed run takes the same.
    length = max(1, segments.LENGTH // engine.stride) * engine.stride
    segments.write(out, target, job, stop - first, frames, progress, length)
    for clip in (wide,) if reference is None else (wide, reference):
        if mended := clip.mended_frames():
            reporter.done(f"{pipes.shown(clip.path)}: {mended}")
    size = f"{engine.scale * wide.width}x{engine.scale * wide.height}"
    reporter.done(f"{pipes.shown(options.out)}  {size}, {stop - first} frames, {time.monotonic() - began:.1f} s")


def _enlarge_image(options: Options, reporter: Reporter) -> None:
    wide = io.read_photo(options.wide)
    io.check_writable(options.out)
    reference = None if options.reference is None else io.read_photo(options.reference)
    engine = _engine(options, reporter)
    hints = {}
    if reference is not None:
        views = (io.from_float(photo.pixels, "uint8") for photo in (wide, reference))
        pair = pairing.pair_images(*views, fov=options.fov, names=(options.wide, options.reference))
        _report_pairing(reporter, options, pair)
        hints = {"fov": pair.fov, "gains": pair.gains}
    reporter.status("restoring (compiling first)", slow=True)
    references = None if reference is None else [reference.pixels]
    (image,) = stream.super_resolve([wide.pixels], references, weights=engine, tile=options.tile, **hints)
    gone = io.write_photo(options.out, image, like=still.enlarged(wide, engine.scale))
    reporter.done(f"{options.out}  {image.shape[1]}x{image.shape[0]}")
    for line in naming.remarks(options.out, gone, options.wide, wide.format):
        reporter.done(line)


def _engine(options: Options, reporter: Reporter):
    """Return the engine for the weights, and report it where it is not what a person would expect."""
    reporter.status("loading weights")
    engine = engines.engine(options.weights, options.reference is not None, options.dtype, options.scale)
    if options.reference is None:
        reporter.done(f"no reference video (--ref): enlarged by {engine.name}")
    elif not engine.takes_reference:
        why = "" if options.weights else "no weights that use a reference ship; "
        reporter.done(f"{options.reference}: {why}{engine.name} does not use it")
    return engine


def _adapted_engine(options: Options, reporter: Reporter, wide, reference, pair):
    """Return (engine, digest of its memory) for a network whose memory has learnt the reference video."""
    restorer = weights.load(options.weights or WITH_MEMORY)
    numbers = np.unique(np.linspace(0, len(reference) - 1, options.frames or MEMORY_FRAMES).round().astype(int))
    frames = [
        stream.fitted_reference(io.to_float(frame), wide.width, 2, pair.fov, pair.gains)
        for frame in video.frames(reference, numbers)
    ]

    def progress(epoch, psnr):
        reporter.status(f"memory learns {reference.path.name}: epoch {epoch}, {psnr:.2f} dB", slow=True)

    reporter.status(f"memory learns {reference.path.name} (compiling first)", slow=True)
    adapted = adaptation.adapt(
        restorer,
        frames,
        epochs=options.epochs or adaptation.EPOCHS,
        minutes=options.minutes,
        cache=cache_folder("memories"),
        progress=progress,
    )
    how = "found in the cache" if adapted.cached else f"{len(adapted.psnr) - 1} epochs of {len(frames)} frames"
    reporter.done(
        f"{options.reference}: remembered at {max(adapted.psnr):.2f} dB, "
        f"{adapted.psnr[0]:.2f} before it was learnt ({how})"
    )
    bank = adapted.weights.params["params"]["bank"]
    digest = hashlib.sha256(b"".join(np.asarray(bank[name]).tobytes() for name in adaptation.LEARNT)).hexdigest()
    return engines.engine(adapted.weights, False, options.dtype, options.scale), digest


def _frame_range(options: Options, wide: video.Clip) -> tuple[int, int]:
    """Return the number of the first frame, and of the one after the last."""
    if not 0 <= options.start < wide.duration:
        raise InputError(f"--start {options.start:g}: {options.wide} lasts {wide.duration:.2f} s")
    end = wide.duration if options.end is None else options.end
    first, stop = wide.frames_between(options.start, options.end)
    if stop <= first or math.isnan(end):
        raise InputError(f"--end {end:g}: leaves no frame after --start {options.start:g}")
    return first, stop


def _report_pairing(reporter: Reporter, options: Options, pair: pairing.Pairing) -> None:
    gains = " ".join(f"{gain:.3f}" for gain in pair.gains)
    parts = [
        f"offset {pair.offset:+.3f} s ({_trust(options.offset, pair.offset_confidence)})",
        f"field of view 1/{pair.fov:.3f} ({_trust(options.fov, pair.fov_confidence)})",
        f"colour gains {gains} ({_trust(None, pair.colour_confidence)})",
    ]
    if options.image:
        parts = parts[1:]
    reporter.done(f"{options.reference}: {', '.join(parts)}")
    if not pair.offset_confidence:
        reporter.done(
            f"{options.reference}: nothing in it tells the moment; offset 0 is assumed, --offset says another"
        )


def _trust(given: float | None, confidence: float) -> str:
    return "given" if given is not None else f"confidence {confidence:.2f}"


def _report_coverage(reporter: Reporter, wide, reference, first: int, stop: int, pair: pairing.Pairing) -> None:
    there = first + np.flatnonzero(pairing.covered(wide, reference, np.arange(first, stop), pair.offset))
    if len(there) < stop - first:
        reporter.done(
            f"{reference.path}: has the moments of frames {there[0] + 1} to {there[-1] + 1} of {first + 1} to {stop}; "
            "elsewhere its nearest frame is used"
        )


def _job(options: Options, engine, learnt: str | None, pair, first: int, stop: int) -> dict:
    """Return all that decides the result, so that a stopped job goes on only with the same."""

    def state_of(path):
        if path is None or not os.path.exists(path):
            return path
        about = os.stat(path)
        return [os.path.abspath(path), about.st_size, about.st_mtime_ns]

    return {
        "version": __version__,
        "inputs": [state_of(options.wide), state_of(options.reference)],
        "weights": [engine.name, None if engine.name == engines.Bicubic.name else weights.verify(engine.name), learnt],
        "pairing": pair and dataclasses.asdict(pair),
        "frames": [first, stop],
        "options": [options.scale, options.crf, options.tile, options.dtype, str(options.fps)],
    }


class Progress:
    """Tells a reporter how many of `total` frames are done and how many seconds are left."""

    def __init__(self, reporter: Reporter, total: int):
        self.reporter, self.total = reporter, total
        self.began = self.said = None

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if self.began is None:
            self.began, self.said, self.resumed = (now, done), now, done
            text = f"going on behind frame {done}" if done else f"frame 1 of {self.total} (compiling first)"
            self.reporter.status(text, slow=True)
            return
        if done == self.resumed + 1:
            self.began = (now, done)  # the first frame's time is mostly that of compiling
        text = f"frame {done} of {self.total}"
        if done > self.began[1]:
            left = (now - self.began[0]) / (done - self.began[1]) * (self.total - done)
            text += f", {left:.0f} s left"
        due = now - self.said >= SAY_EVERY
        self.said = now if due else self.said
        if self.reporter.terminal:
            self.reporter.progress("tile", done, self.total)  # moves the bar
        self.reporter.status(text, slow=due)
