"""Jobs on uploads, which know no page: read, restore by the library, write results into a folder.

A job refuses what the command of its name refuses, in the same words, and uploads beyond the limits too.
"""

import dataclasses
import pathlib
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np

from restore_jax import defocus, io, video
from restore_jax import weights as registry
from restore_jax.deblurring import deblurred
from restore_jax.errors import InputError
from restore_jax.io import naming
from restore_jax.video import stream
from restore_jax.video.enlarge import Options, suffix_for
from restore_jax.video.enlarge import enlarge as enlarge_files

SHOWN = 2048  # largest side in pixels of pictures for the screen; downloads have all pixels
SCALE = 4  # times that clips are enlarged


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits. megapixels: of a photograph and of an enlarged frame. seconds: of a clip. minutes: of a job."""

    megapixels: float = 34.0
    seconds: float = 20.0
    minutes: float = 15.0


class Cancelled(Exception):
    """Raised where a person has cancelled a job."""


class Job:
    """A running job: the folder that it writes to, the listener that it tells (as a `Report`), and its time limit.

    show(part, text): `part` of the work, in [0, 1], is done; None if that is not known. lines: the lines to keep.
    """

    terminal = True  # of a Report: `status` may be called for every frame

    def __init__(
        self,
        folder: pathlib.Path,
        limits: Limits,
        cancelled: threading.Event | None = None,
        show: Callable[[float | None, str], None] | None = None,
    ):
        self.folder, self.limits = folder, limits
        self._cancelled, self._show = cancelled or threading.Event(), show or (lambda part, text: None)
        self._until = time.monotonic() + 60 * limits.minutes
        self._part: float | None = None
        self.lines: list[str] = []

    def photo(self, name: str, number: int = 1, total: int = 1) -> None:
        """Say that work on a file begins."""
        self.status("reading")

    def status(self, text: str, slow: bool = False) -> None:
        """Say what comes next. Raises Cancelled, or InputError if the time is over."""
        if self._cancelled.is_set():
            raise Cancelled
        if time.monotonic() > self._until:
            raise InputError(f"stopped after {self.limits.minutes:g} minutes, the limit of this page")
        self._show(self._part, text)

    def progress(self, event: str, done: int, total: int) -> None:
        """Show the progress that `restore` reports."""
        self._part = done / total if event == "tile" and total > 1 else None
        self.status(f"part {min(done + 1, total)} of {total}" if event == "tile" else f"{event}: slower the first time")

    def done(self, text: str) -> None:
        """Keep a line that is worth keeping."""
        self.lines.append(text)

    def clear(self) -> None:
        """Say that the work is over."""


# -------------------------------------------------------------------------------------------------------- photographs
class Deblurred(NamedTuple):
    """Files: three pictures for the screen, the photograph, the map in 16 bits."""

    before: pathlib.Path
    after: pathlib.Path
    blur: pathlib.Path
    photo: pathlib.Path
    map: pathlib.Path


class Magnified(NamedTuple):
    """Files: two pictures for the screen, the photograph."""

    before: pathlib.Path
    after: pathlib.Path
    photo: pathlib.Path


def deblur(job: Job, photo: pathlib.Path, weights: Any, map_weights: Any) -> Deblurred:
    """Do what restore-jax deblur and defocus do; weights are names, files or loaded."""
    named = job.folder / photo.name
    picture = _read(job, photo)
    out = naming.result_path(photo, "_deblurred", picture.format, job.folder)
    io.check_writable(out)
    sigma = _sigma(job, photo, picture, map_weights)
    job.status("loading weights")
    loaded = registry.load(weights, "deblur")
    try:
        result, note = deblurred(loaded, picture.pixels, sigma=sigma, progress=job.progress)
    except InputError as error:
        raise InputError(f"{photo}: {error}") from None
    if note:
        job.done(note)
    job.status("writing")
    files = Deblurred(
        _shown(job.folder / "before.jpg", picture.pixels),
        _shown(job.folder / "after.jpg", result),
        job.folder / f"{named.stem}_defocus_colours.png",
        out,
        job.folder / f"{named.stem}_defocus.png",
    )
    defocus.write_colours(files.blur, sigma)
    defocus.write_map(files.map, sigma)
    for line in naming.remarks(out.name, io.write_photo(out, result, like=picture), photo, picture.format):
        job.done(line)
    return files


def magnify(job: Job, photo: pathlib.Path, scale: float, map_weights: Any) -> Magnified:
    """Do what restore-jax magnify does."""
    picture = _read(job, photo)
    out = naming.result_path(photo, "_magnified", picture.format, job.folder)
    io.check_writable(out)
    sigma = _sigma(job, photo, picture, map_weights)
    job.status("blurring")
    result = defocus.magnify(picture.pixels, sigma, scale)
    job.status("writing")
    files = Magnified(
        _shown(job.folder / "before.jpg", picture.pixels),
        _shown(job.folder / "after.jpg", result),
        out,
    )
    for line in naming.remarks(out.name, io.write_photo(out, result, like=picture), photo, picture.format):
        job.done(line)
    return files


def preview(job: Job, photo: pathlib.Path) -> pathlib.Path:
    """Write a picture of the photograph for the screen; photographs beyond the limits are refused here already."""
    return _shown(job.folder / "preview.jpg", _read(job, photo).pixels)


def _read(job, photo):
    job.status("reading")
    return io.read_photo(photo, max_pixels=round(1e6 * job.limits.megapixels))


def _sigma(job, photo, picture, weights):
    job.status("estimating defocus")
    return defocus.map_for(photo, picture.pixels, None, "dmenet", weights, job.progress)


def _shown(path, pixels):
    """Write (h, w, 3) floats for the screen, no larger than needed, without the file's metadata."""
    height, width = pixels.shape[:2]
    factor = SHOWN / max(height, width)
    if factor < 1:
        size = (max(1, round(factor * width)), max(1, round(factor * height)))
        pixels = np.clip(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), 0, 1)
    io.write_photo(path, pixels)
    return path


# -------------------------------------------------------------------------------------------------------------- clips
class Enlarged(NamedTuple):
    """Files: a frame from the middle, plainly enlarged and restored, for the screen; the video. lines: found out."""

    before: pathlib.Path
    after: pathlib.Path
    video: pathlib.Path
    lines: list[str]


def enlarge(
    job: Job, wide: pathlib.Path, longer: pathlib.Path | None = None, together: bool = False, weights: Any = None
) -> Enlarged:
    """Do what restore-jax vsr does. together: both clips begin at one moment. weights: None is the best that ships."""
    job.status("looking through the file")
    for path in filter(None, (wide, longer)):
        _check_clip(video.probe(path), job.limits, SCALE if path == wide else 1)
    out = job.folder / f"{wide.stem}_enlarged{suffix_for(video.probe(wide))}"  # .mp4 where it can be: browsers play it
    options = Options(
        wide=str(wide),
        reference=str(longer) if longer else None,
        out=str(out),
        weights=weights,
        scale=SCALE,
        offset=0.0 if longer and together else None,
    )
    enlarge_files(options, job)

    source, result = video.probe(wide), video.probe(out)
    middle = len(source) // 2
    (plain,) = stream.super_resolve(video.frames(source, [middle]), weights="bicubic", scale=SCALE)
    (restored,) = video.frames(result, [middle])
    files = (
        _shown(job.folder / f"{name}.jpg", io.to_float(frame))
        for name, frame in (("before", plain), ("after", restored))
    )
    return Enlarged(*files, out, job.lines)


def check_clip(job: Job, clip: pathlib.Path) -> None:
    """Refuse files that are no clip, and clips beyond the limits."""
    _check_clip(video.probe(clip), job.limits, 1)


def _check_clip(clip: video.Clip, limits: Limits, scale: int) -> None:
    seconds = len(clip) / float(clip.fps)
    if seconds > limits.seconds:
        raise InputError(f"{clip.path}: lasts {seconds:.1f} s: over the limit of {limits.seconds:g} s")
    width, height = scale * clip.width, scale * clip.height
    if width * height > 1e6 * limits.megapixels:
        becomes = "would become" if scale > 1 else "is"
        raise InputError(
            f"{clip.path}: {becomes} {width} x {height} px: over the limit of {limits.megapixels:.3g} megapixels"
        )
