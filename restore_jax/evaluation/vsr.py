"""Evaluation of video super-resolution by 4: clips of three cameras, and metrics (dissertation 5.4).

Clips are RealMCVSR's as `restore-jax data build` made it, "realmcvsr" or "realmcvsr_partial", or what the virtual
triple camera films of a folder's photographs and videos. Frames are restored as `restore_jax.video.stream` does it;
a data set's value is the mean over all frames (docs/networks.md 4, "FoV evaluation").
"""

import collections
import functools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from restore_jax import metrics, video
from restore_jax.data.built import built, records
from restore_jax.data.clips import VIDEOS
from restore_jax.data.triple_camera import TELE_CROP, triple_streams
from restore_jax.errors import InputError
from restore_jax.evaluation import costs
from restore_jax.evaluation.measuring import Item, compared, means, open_weights, scores_of
from restore_jax.evaluation.rows import Filled, Options, Outcome, digest
from restore_jax.io.photos import FORMATS, from_float, read_photo, to_float, write_photo
from restore_jax.metrics import fields_of_view as metrics_fov
from restore_jax.ops.imresize import imresize
from restore_jax.ops.resize import upsample_bicubic
from restore_jax.plots.panels import false_colours
from restore_jax.video import stream
from restore_jax.video.engines import Engine, engine

REALMCVSR = ("realmcvsr", "realmcvsr_partial")
CONVENTION = "refvsr"
SCALE = 4
MAX_SIZE = (136, 240)  # (height, width) of virtual LR frames at most
WIDE = 2  # the wide camera's pixels are this many times finer than the ultra-wide camera's
FINENESS = 2  # pixels of a scene for one of the virtual HR frame, so that the wide camera sees more than the other
MAX_FRAMES = 60  # frames of a filmed video, all of which are in memory
PHOTO_FRAMES = 15
OURS = "ours"  # the role whose weights `compare` takes
METHODS = ("bicubic", "refvsr", "basicvsr", "iconvsr", "edvr")


@dataclass(frozen=True)
class Moment:
    """One moment of a clip: LR frames of the three cameras, and the ultra-wide's HR frame, (h, w, 3) uint8."""

    frame: np.ndarray
    wide: np.ndarray
    tele: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True)
class Clip:
    """A clip of `count` moments, which `load(number)` reads."""

    name: str
    count: int
    load: Callable[[int], Moment]


# ---------------------------------------------------------------------------------------------------------------- data
def open_clips(name: str, num_frames: int | None = None) -> Iterator[Clip]:
    """Open the clips of RealMCVSR's test split, or those that the virtual camera films of a folder.

    num_frames: take the first frames of each clip only. Raises InputError if there are no clips.
    """
    if name in REALMCVSR:
        return open_dataset(name, num_frames)
    if not pathlib.Path(name).is_dir():
        raise InputError(f"{name}: no such folder, and not one of {', '.join(REALMCVSR)}")
    return open_folder(pathlib.Path(name), num_frames)


def open_dataset(name: str, num_frames: int | None = None, directory: str = "") -> Iterator[Clip]:
    """Open the clips of RealMCVSR as built. Raises InputError."""
    part = "_partial" if name.endswith("_partial") else ""
    low, high = (built(f"realmcvsr/{size}{part}", "test", directory) for size in (f"lrx{SCALE}", "hr"))
    lows = records(low, "test", ("ultra_wide", "wide", "tele"))
    highs = records(high, "test", ("ultra_wide",))

    def load(number, first):
        found = lows[first + number]
        views = (found[camera] for camera in ("ultra_wide", "wide", "tele"))
        return Moment(*map(np.asarray, views), np.asarray(highs[first + number]["ultra_wide"]))

    def clips():
        first = 0
        for clip, count in high.info.metadata["test"].items():
            yield Clip(clip, min(count, num_frames or count), functools.partial(load, first=first))
            first += count

    return clips()


def open_folder(folder: pathlib.Path, num_frames: int | None = None) -> Iterator[Clip]:
    """Film a folder's photographs and videos with the virtual triple camera, always alike. Raises InputError."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (*FORMATS, *VIDEOS))
    files = [path for path in files if path.name[0] != "."]
    if not files:
        raise InputError(f"{folder}: holds neither photographs nor videos ({', '.join([*FORMATS, *VIDEOS])})")
    return (_filmed(path, number, num_frames) for number, path in enumerate(files))


def _filmed(path, number, num_frames):
    """Film one file's clip, which is all in memory."""
    if path.suffix.lower() in VIDEOS:
        clip = video.probe(path)
        frames = video.frames(clip, range(min(len(clip), num_frames or MAX_FRAMES)))
        scene = np.stack([from_float(to_float(frame), np.uint8) for frame in frames])
    else:
        scene = from_float(read_photo(path).pixels, np.uint8)
    sides = zip(scene.shape[-3:-1], MAX_SIZE, strict=True)
    size = tuple(min(most, side // (FINENESS * SCALE) // 4 * 4) for side, most in sides)
    if min(size) < 16:
        height, width = scene.shape[-3:-1]
        raise InputError(f"{path}: {width}x{height} is too small; {16 * FINENESS * SCALE} pixels a side are needed")
    views = triple_streams(scene, np.random.default_rng([number, 7]), size, num_frames or PHOTO_FRAMES)
    arrays = [views[name] for name in ("uw_lr", "wide_lr", "tele_lr", "uw_hr")]
    return Clip(path.stem, len(arrays[0]), lambda number: Moment(*(array[number] for array in arrays)))


# ------------------------------------------------------------------------------------------------------------ restoring
def references_of(engine: Engine, moment: Moment):
    """Return the reference that an engine takes at a moment: float32, a pair for two cameras, or None."""
    frames = {"wide": functools.partial(_wide, engine, moment), "tele": functools.partial(_tele, engine, moment)}
    found = tuple(frames[camera]() for camera in engine.references)
    return found if len(found) > 1 else (*found, None)[0]


def _wide(engine, moment):
    """Return the wide camera's frame, as fine as the output for networks that take single frames."""
    frame, zoom = to_float(_cut(moment.wide, engine.multiple)), int(engine.matched_scale) // WIDE
    return np.clip(np.asarray(upsample_bicubic(jnp.asarray(frame[None]), zoom)[0]), 0, 1) if zoom > 1 else frame


def _tele(engine, moment):
    return to_float(_cut(imresize(moment.tele, TELE_CROP), engine.multiple))


def _cut(frame, multiple):
    height, width = (side // multiple * multiple for side in frame.shape[:2])
    return frame[:height, :width]


def restored(chosen, clip: Clip) -> Iterator[tuple[np.ndarray, np.ndarray | None, np.ndarray | None]]:
    """Restore every moment of a clip: (image, confidence, accumulated confidence).

    Images are (s·h, s·w, 3) float32 in [0, 1]. Confidences are (h, w) in [0, 1], the larger one for two references:
    that of matching the moment's reference, and that accumulated forwards up to it (Eq. 5.7). They are None for an
    engine that matches nothing, and for frames that are restored in tiles.
    """
    watched = _Watched(chosen)
    moments = (clip.load(number) for number in range(clip.count))
    pairs = stream.repeated(((to_float(m.frame), references_of(chosen, m)) for m in moments), chosen.repeats)
    for image, after in stream.restored(watched, pairs):
        state = after.get("tile0") if isinstance(after, dict) and len(after) == 1 else None
        if not isinstance(state, dict) or "confidence" not in state or not watched.seen:
            yield image, None, None
            continue
        height, width = (side // chosen.scale for side in image.shape[:2])
        maps = (np.asarray(c)[0].max(-1)[:height, :width] for c in (watched.seen[0], state["confidence"]))
        yield image, *maps


class _Watched:
    """An engine that keeps the matching confidences of the frame being restored and of later ones it has seen."""

    def __init__(self, chosen):
        self._chosen, self.seen = chosen, collections.deque(maxlen=chosen.ahead + 1)

    def __getattr__(self, name):
        return getattr(self._chosen, name)

    def prepare(self, *inputs):
        return self._noted(self._chosen.prepare(*inputs))

    def prepare_again(self, before):
        return self._noted(self._chosen.prepare_again(before))

    def _noted(self, prepared):
        confidence = self._chosen.confidence(prepared)
        if confidence is not None:
            self.seen.append(confidence)
        return prepared


# ------------------------------------------------------------------------------------------------------------ measuring
def score(result: np.ndarray, truth: np.ndarray, conventions: Sequence[str] = (CONVENTION,)) -> dict[str, float]:
    """Measure PSNR and SSIM of a frame, whole under each convention and by fields of view: {column: value}."""
    found = {
        f"{name.upper()} [{convention}]": getattr(metrics, name)(result, truth, convention)
        for convention in conventions
        for name in ("psnr", "ssim")
    }
    for rule in metrics_fov.RULES:
        for name in ("psnr", "ssim"):
            for part, value in getattr(metrics_fov, f"{name}_by_fov")(result, truth, rule).items():
                found[f"{name.upper()} {part} [{rule}]"] = value
    return {column: float(value) for column, value in found.items()}


def whole(column: str) -> bool:
    """Say whether a column of `score` is about whole frames."""
    return column.startswith(("PSNR [", "SSIM ["))


def by_fov(column: str) -> bool:
    """Say whether a column of `score` is about a field of view."""
    return not whole(column)


def inside_and_outside(column: str) -> bool:
    """Say whether a column is about whole frames, or about all inside or outside the overlapped field of view."""
    return whole(column) or column.split(" ")[1] in (metrics_fov.RANGES[0], metrics_fov.RANGES[-1])


def measure(
    data: str,
    weights,
    options: Options,
    label: str,
    columns: Callable[[str], bool] = by_fov,
    learn: Callable | None = None,
) -> Outcome:
    """Measure weights (a name or file, or "bicubic") on a data set; options.limit takes the first frames of each clip.

    columns: says whether a column of `score` is shown. learn(weights, clip): returns the weights that a clip is
    restored with in place of `weights`. Raises InputError for weights that cannot be read or restore no video, and for
    missing data.
    """
    clips = open_clips(data, options.limit)
    restorer, sha, name = open_weights(None if weights == "bicubic" else weights)
    plain = engine(restorer or weights, scale=SCALE)
    conventions = list(metrics.CONVENTIONS) if options.all_conventions else [CONVENTION]
    names = []

    def items():
        for clip in clips:
            first = clip.load(0)
            identity = digest(first.frame, first.wide, first.truth)
            picture = options.pictures and options.pictures / f"{clip.name.replace('/', '_')}_{label}.png"

            def compute(clip=clip, picture=picture):
                used = engine(learn(restorer, clip), scale=SCALE) if learn else plain
                return {"frames": _restore(used, clip, picture, conventions)}

            key = (data, clip.name, str(clip.count), identity, sha or plain.name, label if learn else "")
            key += tuple(conventions) if options.all_conventions else ()
            names.append(clip.name)
            yield Item(key, f"{data}: {label} {clip.name}, {clip.count} frames", compute, picture)

    frames = [frame for found in scores_of(items(), options) for frame in found["frames"]]
    everything = means(frames)
    values = {column: value for column, value in everything.items() if columns(column)}
    if sha:
        values["params (M)"] = parameters(plain) / 1e6
    details = {"data": data, "clips": names, "weights_sha256": sha, "all": everything}
    return Outcome(values, len(frames), name, details)


def parameters(chosen) -> int:
    """Count the parameters of an engine's network as the tables do."""
    return costs.parameters(chosen.params.get("params", chosen.params))


def _restore(chosen, clip, picture, conventions):
    """Measure all frames of a clip, and write pictures of the middle one."""
    scores = []
    for number, (image, *confidences) in enumerate(restored(chosen, clip)):
        truth = to_float(clip.load(number).truth)
        scores.append(score(image, truth, conventions))
        if picture and number == clip.count // 2:
            write_pictures(picture, image, truth, *confidences)
    return scores


def write_pictures(path: pathlib.Path, image, truth, confidence=None, accumulated=None) -> None:
    """Write PATH, PATH_truth and, if there are any, PATH_confidence and PATH_accumulated, bright where confident."""
    pictures = {"_truth": truth, "_confidence": colours(confidence), "_accumulated": colours(accumulated), "": image}
    for suffix, picture in pictures.items():
        if picture is not None:
            write_photo(path.with_stem(path.stem + suffix), np.clip(picture, 0, 1))


def colours(confidence: np.ndarray | None) -> np.ndarray | None:
    """Colour a confidence map (h, w) in [0, 1] as a picture (h, w, 3) float32 in [0, 1]; None stays None."""
    return None if confidence is None else to_float(false_colours(confidence))


def compare(data: str, methods: Sequence[str], options: Options) -> list[Filled]:
    """Measure each method on a data set, a row each, nothing printed beside it. Raises InputError."""

    def measured(method):
        weights = options.weights.get(OURS, method) if method != "bicubic" else method
        return measure(data, weights, options, method, inside_and_outside)

    return compared(methods, METHODS, measured)
