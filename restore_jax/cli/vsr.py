"""restore-jax vsr: a video enlarged with the help of one that a longer lens took of the same scene."""

import argparse
import dataclasses
import os
import pathlib
import time
from fractions import Fraction

from restore_jax.cache import cache_folder
from restore_jax.errors import InputError

EXAMPLES = """restore-jax vsr wide.mp4 --ref tele.mp4 -o out.mp4
         restore-jax vsr wide.mp4 --ref tele.mp4 -o out.mp4 --start 2 --end 5 --fov 2 --offset 0
         restore-jax vsr wide_frames/ --ref tele_frames/ -o out_frames/
         restore-jax vsr wide.jpg --ref tele.jpg --image -o out.png
         restore-jax vsr wide.mp4 --ref tele.mp4 --memory adapt -o out.mp4

A stopped run goes on where it was when the same command is given again. What is written has the fps, sound, rotation
and colour tags of the first video."""
SAY_EVERY = 10  # seconds, between lines about progress where there is no terminal
WITH_MEMORY = "basicvsr-memory-small"  # for --memory without --weights
MEMORY_FRAMES = 20  # of the reference, as in Table 6.4


def add_verbs(verbs, verb) -> None:
    """Adds the verb to the subparsers `verbs`; `verb` makes one as `restore_jax.cli.parser` does."""
    sub = verb(verbs, "vsr", vsr, "enlarge a video with the help of a longer lens", EXAMPLES)
    sub.add_argument("wide", metavar="WIDE", help="video, or folder of PNG or JPEG frames, of the wider lens")
    sub.add_argument("--ref", metavar="LONGER", help="the same of the longer lens")
    sub.add_argument("-o", "--out", required=True, metavar="OUT", help=".mp4, .mov or .mkv, or a folder for PNG frames")
    sub.add_argument("--weights", metavar="NAME|FILE", help="default: the best that ships; bicubic needs none")
    sub.add_argument("--scale", type=int, default=4, choices=(2, 4), help="that of the weights (4)")
    sub.add_argument("--start", type=float, default=0.0, metavar="S", help="seconds into WIDE to begin at")
    sub.add_argument("--end", type=float, metavar="S", help="seconds into WIDE to stop at")
    sub.add_argument("--crf", type=float, default=17.0, help="H.264 quality, 0 to 51, less is better (17)")
    sub.add_argument("--fov", type=float, metavar="X", help="WIDE's view is X times as wide; else it is measured")
    sub.add_argument("--offset", type=float, metavar="S", help="LONGER shows a moment S seconds later; else measured")
    sub.add_argument("--fps", type=_rate, default=Fraction(30), help="of folders of frames (30)")
    sub.add_argument("--memory", choices=("adapt",), help="a network whose memory first learns LONGER, in minutes")
    sub.add_argument("--epochs", type=int, metavar="N", help="of --memory: at most so many times through (10)")
    sub.add_argument("--minutes", type=float, metavar="M", help="of --memory: at most so long")
    sub.add_argument("--frames", type=int, metavar="N", help="of --memory: learns so many of LONGER's frames (20)")
    sub.add_argument("--image", action="store_true", help="WIDE, LONGER and OUT are photographs")
    sub.add_argument("--tile", type=int, default=512, metavar="N", help="side computed at once, pixels (512)")
    sub.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="what it is computed in")
    sub.add_argument("--quiet", action="store_true", help="print errors only")


def _rate(text: str) -> Fraction:
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of frames a second")
    return rate.limit_denominator(1001)


def vsr(args, report=None) -> int:
    """restore-jax vsr; `report` is told what it does in place of the terminal."""
    from restore_jax.report import Report

    _check(args)
    report = report or Report(1, args.quiet)
    report.photo(pathlib.Path(args.wide).name)
    try:
        (_image if args.image else _video)(args, report)
    finally:
        report.clear()
    return 0


def _check(args) -> None:
    """What is wrong with the arguments before any file is read."""
    if args.fov is not None and not 1 <= args.fov < float("inf"):
        raise InputError(f"--fov {args.fov:g}: WIDE's view is at least as wide as LONGER's, so 1 or more")
    if not 0 <= args.crf <= 51:
        raise InputError(f"--crf {args.crf:g}: is not between 0 and 51")
    if args.tile < 256:
        raise InputError(f"--tile {args.tile}: at least 256")
    for name in ("fov", "offset"):
        if getattr(args, name) is not None and args.ref is None:
            raise InputError(f"--{name}: says how --ref lies to WIDE, which is missing")
    for name in ("epochs", "minutes", "frames"):
        value = getattr(args, name)
        if value is not None and args.memory is None:
            raise InputError(f"--{name}: says how the memory learns; add --memory adapt")
        if value is not None and not value > 0:
            raise InputError(f"--{name} {value:g}: must be above 0")
    if args.memory and (args.ref is None or args.image):
        raise InputError("--memory: learns a reference video; add --ref, without --image")
    inputs = [os.path.realpath(path) for path in (args.wide, args.ref) if path]
    if os.path.realpath(args.out) in inputs:
        raise InputError(f"{args.out}: is an input and would be overwritten; choose another -o")


def _video(args, report) -> None:
    from restore_jax import video
    from restore_jax.video import pairing, segments, stream

    out = pathlib.Path(args.out)
    segments.check_target(args.out)
    report.status("looking through the file")
    wide = video.probe(args.wide, args.fps)
    reference = None if args.ref is None else video.probe(args.ref, args.fps)
    first, stop = _range(args, wide)
    learnt, engine = None, None if args.memory else _engine(args, report)

    found = None
    if reference is not None:
        if wide.files and reference.files and len(wide) != len(reference) and args.offset is None:
            raise InputError(
                f"{args.ref}: holds {len(reference)} frames, {args.wide} {len(wide)}; "
                "give folders of the same moments, or --offset"
            )
        report.status(f"looking for {reference.path.name} in it")
        found = pairing.pair(wide, reference, first=first, fov=args.fov, offset=args.offset)
        _say(report, args, found)
        _say_coverage(report, wide, reference, first, stop, found)

    if args.memory:
        engine, learnt = _adapted(args, report, wide, reference, found)
    if segments.is_folder(args.out):
        target = segments.folder_target()
    else:
        target = segments.video_target(out, wide, engine.scale, args.crf, first, stop)
    job = _job(args, engine, learnt, found, first, stop)
    progress = Progress(report, stop - first)
    began = time.monotonic()
    frames = stream.clip_frames(engine, wide, reference, found, first, stop, args.tile)
    # Whole steps, so that a resumed run takes the same.
    length = max(1, segments.LENGTH // engine.stride) * engine.stride
    segments.write(out, target, job, stop - first, frames, progress, length)
    size = f"{engine.scale * wide.width}x{engine.scale * wide.height}"
    report.done(f"{args.out}  {size}, {stop - first} frames, {time.monotonic() - began:.1f} s")


def _image(args, report) -> None:
    from restore_jax import io
    from restore_jax.video import pairing, stream

    io.check_writable(args.out)
    wide = io.read_photo(args.wide)
    reference = None if args.ref is None else io.read_photo(args.ref)
    engine = _engine(args, report)
    hints = {}
    if reference is not None:
        views = (io.from_float(photo.pixels, "uint8") for photo in (wide, reference))
        found = pairing.pair_images(*views, fov=args.fov, names=(args.wide, args.ref))
        _say(report, args, found)
        hints = {"fov": found.fov, "gains": found.gains}
    report.status("restoring (compiling first)", slow=True)
    references = None if reference is None else [reference.pixels]
    (image,) = stream.super_resolve([wide.pixels], references, weights=engine, tile=args.tile, **hints)
    io.write_photo(args.out, image, like=dataclasses.replace(wide, alpha=None))
    report.done(f"{args.out}  {image.shape[1]}x{image.shape[0]}")


def _engine(args, report):
    """The engine for --weights, and a line where it is not what a person would expect."""
    from restore_jax.video import engines

    report.status("loading weights")
    engine = engines.engine(args.weights, args.ref is not None, args.dtype, args.scale)
    if args.ref is None:
        report.done(f"no reference video (--ref): enlarged by {engine.name}")
    elif not engine.takes_reference:
        why = "" if args.weights else "no weights that use a reference ship; "
        report.done(f"{args.ref}: {why}{engine.name} does not use it")
    return engine


def _adapted(args, report, wide, reference, found):
    """(engine, digest of its memory) of a network whose memory has learnt the reference video."""
    import hashlib

    import numpy as np

    from restore_jax import video, weights
    from restore_jax.io.photos import to_float
    from restore_jax.video import adaptation, engines, stream

    chosen = weights.load(args.weights or WITH_MEMORY)
    numbers = np.unique(np.linspace(0, len(reference) - 1, args.frames or MEMORY_FRAMES).round().astype(int))
    frames = [
        stream.fitted_reference(to_float(frame), wide.width, 2, found.fov, found.gains)
        for frame in video.frames(reference, numbers)
    ]

    def progress(epoch, psnr):
        report.status(f"memory learns {reference.path.name}: epoch {epoch}, {psnr:.2f} dB", slow=True)

    report.status(f"memory learns {reference.path.name} (compiling first)", slow=True)
    cache = cache_folder("memories")
    epochs = args.epochs or adaptation.EPOCHS
    adapted = adaptation.adapt(chosen, frames, epochs=epochs, minutes=args.minutes, cache=cache, progress=progress)
    how = "found in the cache" if adapted.cached else f"{len(adapted.psnr) - 1} epochs of {len(frames)} frames"
    report.done(
        f"{args.ref}: remembered at {max(adapted.psnr):.2f} dB, {adapted.psnr[0]:.2f} before it was learnt ({how})"
    )
    bank = adapted.weights.params["params"]["bank"]
    digest = hashlib.sha256(b"".join(np.asarray(bank[name]).tobytes() for name in adaptation.LEARNT)).hexdigest()
    return engines.engine(adapted.weights, False, args.dtype, args.scale), digest


def _range(args, wide) -> tuple[int, int]:
    """First frame, and the one after the last."""
    seconds = len(wide) / float(wide.fps)
    end = seconds if args.end is None else args.end
    if not 0 <= args.start < seconds:
        raise InputError(f"--start {args.start:g}: {args.wide} lasts {seconds:.2f} s")
    first = round(args.start * wide.fps)
    stop = min(len(wide), round(min(end, seconds) * wide.fps)) if end > 0 else 0
    if stop <= first:
        raise InputError(f"--end {end:g}: leaves no frame after --start {args.start:g}")
    return first, stop


def _say(report, args, found) -> None:
    gains = " ".join(f"{gain:.3f}" for gain in found.gains)
    parts = [
        f"offset {found.offset:+.3f} s ({_trust(args.offset, found.offset_confidence)})",
        f"field of view 1/{found.fov:.3f} ({_trust(args.fov, found.fov_confidence)})",
        f"colour gains {gains} ({_trust(None, found.colour_confidence)})",
    ]
    if args.image:
        parts = parts[1:]
    report.done(f"{args.ref}: {', '.join(parts)}")
    if not found.offset_confidence:
        report.done(f"{args.ref}: nothing in it tells the moment; offset 0 is assumed, --offset says another")


def _trust(given, confidence: float) -> str:
    return "given" if given is not None else f"confidence {confidence:.2f}"


def _say_coverage(report, wide, reference, first: int, stop: int, found) -> None:
    import numpy as np

    from restore_jax.video import pairing

    there = first + np.flatnonzero(pairing.covered(wide, reference, np.arange(first, stop), found.offset))
    if len(there) < stop - first:
        report.done(
            f"{reference.path}: has the moments of frames {there[0] + 1} to {there[-1] + 1} of {first + 1} to {stop}; "
            "elsewhere its nearest frame is used"
        )


def _job(args, engine, learnt, found, first: int, stop: int) -> dict:
    """All that decides the result, so that a stopped run goes on with the same."""
    from restore_jax import weights
    from restore_jax.version import __version__
    from restore_jax.video import engines

    def state_of(path):
        if path is None or not os.path.exists(path):
            return path
        about = os.stat(path)
        return [os.path.abspath(path), about.st_size, about.st_mtime_ns]

    return {
        "version": __version__,
        "inputs": [state_of(args.wide), state_of(args.ref)],
        "weights": [engine.name, None if engine.name == engines.Bicubic.name else weights.verify(engine.name), learnt],
        "pairing": found and dataclasses.asdict(found),
        "frames": [first, stop],
        "options": [args.scale, args.crf, args.tile, args.dtype, str(args.fps)],
    }


class Progress:
    """Tells a report how many of `total` frames are done and how many seconds are left."""

    def __init__(self, report, total: int):
        self.report, self.total = report, total
        self.began = self.said = None

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if self.began is None:
            self.began, self.said, self.resumed = (now, done), now, done
            text = f"going on behind frame {done}" if done else f"frame 1 of {self.total} (compiling first)"
            self.report.status(text, slow=True)
            return
        if done == self.resumed + 1:
            self.began = (now, done)  # the first frame's time is mostly that of compiling
        text = f"frame {done} of {self.total}"
        if done > self.began[1]:
            left = (now - self.began[0]) / (done - self.began[1]) * (self.total - done)
            text += f", {left:.0f} s left"
        due = now - self.said >= SAY_EVERY
        self.said = now if due else self.said
        if self.report.terminal:
            self.report.progress("tile", done, self.total)  # moves the bar
        self.report.status(text, slow=due)
