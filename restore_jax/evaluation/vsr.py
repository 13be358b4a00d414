"""Evaluation of video super-resolution by 4: clips of three cameras, and the tables of chapter V (dissertation 5.4).

Clips are RealMCVSR's as `restore-jax data build` made it, "realmcvsr" or "realmcvsr_partial", or what the virtual
triple camera films of a folder's photographs and videos. Frames are restored as `restore_jax.video.stream` does it;
a data set's value is the mean over all frames (networks.md 4, "FoV evaluation").
"""

import collections
import functools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from restore_jax import metrics
from restore_jax.data.clips import VIDEOS
from restore_jax.data.triple_camera import TELE_CROP, triple_streams
from restore_jax.errors import InputError
from restore_jax.evaluation import costs as counts
from restore_jax.evaluation.published import required
from restore_jax.evaluation.rows import Filled, Options, Outcome, Row, Table, digest, mean
from restore_jax.io.photos import FORMATS, from_float, read_photo, to_float, write_photo
from restore_jax.metrics import fields_of_view as metrics_fov
from restore_jax.ops.imresize import imresize
from restore_jax.ops.resize import upsample_bicubic
from restore_jax.plots.panels import false_colours
from restore_jax.version import __version__
from restore_jax.video import stream
from restore_jax.video.engines import engine

REALMCVSR = ("realmcvsr", "realmcvsr_partial")
CONVENTION = "refvsr"
SCALE = 4
MAX_SIZE = (136, 240)  # (height, width) of virtual LR frames at most
WIDE = 2  # times finer than the ultra-wide camera's are the wide camera's pixels
FINENESS = 2  # pixels of a scene for one of the virtual HR frame: then the wide camera sees what the other does not
MAX_FRAMES = 60  # of a video that is filmed; they are in memory
PHOTO_FRAMES = 15
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
    """The clips of RealMCVSR's test split, or of the virtual camera in a folder; the first frames of each alone.

    Raises InputError if there are none.
    """
    if name in REALMCVSR:
        return open_dataset(name, num_frames)
    if not pathlib.Path(name).is_dir():
        raise InputError(f"{name}: no such folder, and not one of {', '.join(REALMCVSR)}")
    return open_folder(pathlib.Path(name), num_frames)


def open_dataset(name: str, num_frames: int | None = None, directory: str = "") -> Iterator[Clip]:
    """The clips of RealMCVSR as built. Raises InputError."""
    from restore_jax.data.built import built, records

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
    """What the virtual triple camera films of a folder's photographs and videos, always the same. InputError."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (*FORMATS, *VIDEOS))
    files = [path for path in files if path.name[0] != "."]
    if not files:
        raise InputError(f"{folder}: holds neither photographs nor videos ({', '.join([*FORMATS, *VIDEOS])})")
    return (_filmed(path, number, num_frames) for number, path in enumerate(files))


def _filmed(path, number, num_frames):
    """One file's clip, all of it in memory."""
    if path.suffix.lower() in VIDEOS:
        from restore_jax import video

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
def references_of(chosen, moment: Moment):
    """What an engine takes as the reference of a moment: float32, or for two of them a pair, or None."""
    if not chosen.takes_reference:
        return None
    kind = getattr(chosen, "references", "")
    wide = to_float(_cut(moment.wide, chosen.multiple))
    if kind == "wide":
        return wide
    if not kind:  # of a single frame's network, which takes it as fine as its output (as `tasks.super_resolution`)
        return np.clip(np.asarray(upsample_bicubic(wide[None], chosen.scale // WIDE)[0]), 0, 1)
    tele = to_float(_cut(imresize(moment.tele, TELE_CROP), chosen.multiple))
    return tele if kind == "tele" else (wide, tele)


def _cut(frame, multiple):
    height, width = (side // multiple * multiple for side in frame.shape[:2])
    return frame[:height, :width]


def restored(chosen, clip: Clip) -> Iterator[tuple[np.ndarray, np.ndarray | None, np.ndarray | None]]:
    """(image, confidence, accumulated confidence) of every moment of a clip.

    Images (s·h, s·w, 3) float32 in [0, 1]. Confidences (h, w) in [0, 1], of two references the larger: of matching the
    moment's reference, and accumulated forwards up to it (Eq. 5.7). None of an engine that matches nothing, and of
    frames that are restored in tiles.
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
    """An engine, and the matching confidences of the frame that is restored and those after it that it has seen."""

    def __init__(self, chosen):
        self._chosen, self.seen = chosen, collections.deque(maxlen=chosen.ahead + 1)
        if hasattr(chosen, "prepare_again"):
            self.prepare_again = lambda before: self._noted(chosen.prepare_again(before))

    def __getattr__(self, name):
        return getattr(self._chosen, name)

    def prepare(self, *inputs):
        return self._noted(self._chosen.prepare(*inputs))

    def _noted(self, found):
        if isinstance(found, tuple) and isinstance(found[0], dict) and "confidence" in found[0]:
            self.seen.append(found[0]["confidence"])
        return found


# ------------------------------------------------------------------------------------------------------------ measuring
def score(result: np.ndarray, truth: np.ndarray, conventions: Sequence[str] = (CONVENTION,)) -> dict[str, float]:
    """PSNR and SSIM of a frame, whole under each convention and by fields of view, {column: value}."""
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
    """Whether a column of `score` is of whole frames."""
    return column.startswith(("PSNR [", "SSIM ["))


def by_fov(column: str) -> bool:
    """Whether it is of a field of view."""
    return not whole(column)


def inside_and_outside(column: str) -> bool:
    """Whether it is of whole frames, or all that is inside or outside the overlapped field of view."""
    return whole(column) or column.split(" ")[1] in (metrics_fov.RANGES[0], metrics_fov.RANGES[-1])


def measure(
    data: str,
    weights,
    options: Options,
    label: str,
    columns: Callable[[str], bool] = by_fov,
    learn: Callable | None = None,
) -> Outcome:
    """Metrics of weights (a name or file, or "bicubic") over a data set; options.limit is of frames a clip.

    learn(weights, clip): what is used for a clip in place of the weights.

    Clips found in the journal are not restored again, unless their pictures are lacking. columns: of `score`, which
    are shown. InputError for weights that cannot be read or that restore no video, and for data that is not there.
    """
    from restore_jax import weights as registry

    clips = open_clips(data, options.limit)
    sha = "" if weights == "bicubic" else registry.verify(weights)
    loaded = weights if weights == "bicubic" else registry.load(weights)
    chosen = engine(loaded, scale=SCALE)
    conventions = list(metrics.CONVENTIONS) if options.all_conventions else [CONVENTION]
    frames, names = [], []
    for clip in clips:
        first = clip.load(0)
        identity = digest(first.frame, first.wide, first.truth)
        learnt = label if learn else ""
        key = (data, clip.name, str(clip.count), identity, sha or chosen.name, __version__, learnt)
        key += tuple(conventions) if options.all_conventions else ()
        picture = options.pictures and options.pictures / f"{clip.name.replace('/', '_')}_{label}.png"
        if (found := options.journal.get(key)) is None or (picture and not picture.exists()):
            options.say(f"{data}: {label} {clip.name}, {clip.count} frames")
            used = engine(learn(loaded, clip), scale=SCALE) if learn else chosen
            found = {"frames": _restore(used, clip, picture, conventions)}
            options.journal.add(key, found)
        frames += found["frames"]
        names.append(clip.name)
    values = {column: mean(frame[column] for frame in frames) for column in frames[0] if columns(column)}
    if sha:
        values["params (M)"] = parameters(chosen) / 1e6
    everything = {column: mean(frame[column] for frame in frames) for column in frames[0]}
    details = {"data": data, "clips": names, "weights_sha256": sha, "all": everything}
    return Outcome(values, len(frames), "-" if not sha else registry.card(weights)["name"], details)


def parameters(chosen) -> int:
    """Parameters of an engine's network, as the tables count them."""
    return counts.parameters(chosen.params.get("params", chosen.params))


def _restore(chosen, clip, picture, conventions):
    """The scores of all frames of a clip, and pictures of the middle one."""
    scores = []
    for number, (image, *confidences) in enumerate(restored(chosen, clip)):
        truth = to_float(clip.load(number).truth)
        scores.append(score(image, truth, conventions))
        if picture and number == clip.count // 2:
            write_pictures(picture, image, truth, *confidences)
    return scores


def write_pictures(path: pathlib.Path, image, truth, confidence=None, accumulated=None) -> None:
    """PATH, beside it PATH_truth, and where there are any PATH_confidence and PATH_accumulated, bright where sure."""
    pictures = {"_truth": truth, "_confidence": colours(confidence), "_accumulated": colours(accumulated), "": image}
    for suffix, picture in pictures.items():
        if picture is not None:
            write_photo(path.with_stem(path.stem + suffix), np.clip(picture, 0, 1))


def colours(confidence: np.ndarray | None) -> np.ndarray | None:
    """A picture (h, w, 3) float32 in [0, 1] of a confidence map (h, w) in [0, 1]; None of None."""
    return None if confidence is None else to_float(false_colours(confidence))


def compare(data: str, methods: Sequence[str], options: Options) -> list[Filled]:
    """A row for each of METHODS on a data set, nothing printed beside it. Raises InputError."""
    for method in methods:
        if method not in METHODS:
            raise InputError(f"--method {method}: is not one of {', '.join(METHODS)}")
    return [
        Filled(method, {}, measure(data, _named(method, options), options, method, inside_and_outside))
        for method in methods
    ]


def _named(method, options):
    return options.weights.get(OURS, method) if method != "bicubic" else method


# --------------------------------------------------------------------------------------------------------------- tables
OURS = "ours"


def table(number: str, data: str = "realmcvsr") -> Table:
    """A table of chapter V, its rows computed on a data set. Raises KeyError for a number that is not of TABLES."""
    title, rows, fields = TABLES[number]
    columns = by_fov if fields else whole
    filled = []
    for label, role, *printed in rows:
        compute = functools.partial(_measured, data=data, role=role, columns=columns)
        filled.append(Row(label, _by_fov(printed) if fields else _printed(*printed), compute, role))
    note = "printed: the dissertation's numbers, on RealMCVSR's test clips"
    if fields:
        note += "; [refvsr]: borders as the release rounds them, [paper]: to the nearest pixel"
    return Table(title if data in REALMCVSR else f"{title}, measured on {data}", tuple(filled), note)


def _measured(options: Options, *, data: str, role: str, columns) -> Outcome:
    """A row that is some weights on a data set."""
    return measure(data, role if role == "bicubic" else required(options, role), options, role, columns)


def _printed(psnr, ssim, params=None, macs=None):
    found = {"PSNR": psnr, "SSIM": ssim, "params (M)": params, "MACs (G)": macs}
    return {name: value for name, value in found.items() if value is not None}


def _by_fov(numbers: Iterable[float]) -> dict[str, float]:
    """Of (PSNR, SSIM) of each of metrics_fov.RANGES, and the parameters if there are any."""
    numbers = list(numbers)
    pairs = zip(metrics_fov.RANGES, numbers[0:12:2], numbers[1:12:2], strict=True)
    found = {}
    for part, psnr, ssim in pairs:
        found |= {f"PSNR {part}": psnr, f"SSIM {part}": ssim}
    return found if len(numbers) == 12 else {**found, "params (M)": numbers[12]}


# Number: title, (label, role, PSNR, SSIM, M parameters, G MACs) of each row, whether by field of view.
TABLES = {
    "5.1": (
        "Table 5.1: references, and what details are supervised by",
        (
            ("tele, tele, 32x32", "tele", 29.81, 0.893, 4.277),
            ("wide, tele, 32x32", "tele_supervision", 30.41, 0.895, 4.277),
            ("wide, wide, 32x32", "wide32", 30.36, 0.897, 4.277, 58_100),
            ("dual, dual, 32x32", "dual", 30.39, 0.888, 5.076, 71_500),
            ("wide, wide, 64x64", OURS, 31.68, 0.914, 4.277),
        ),
        False,
    ),
    "5.2": (
        "Table 5.2: multi-reference fidelity and propagative temporal fusion",
        (
            ("neither", "baseline", 30.71, 0.894, 4.2768),
            ("L_Mfid", "current_fusion", 31.31, 0.913, 4.2768),
            ("L_Mfid, PTF", OURS, 31.68, 0.914, 4.2772),
        ),
        False,
    ),
    "5.3": (
        "Table 5.3: one direction and two",
        (
            ("forward", "forward_baseline", 30.07, 0.890, 4.2653),
            ("forward, L_Mfid, PTF", "forward", 31.02, 0.906, 4.2656),
            ("both", "baseline", 30.71, 0.894, 4.2768),
            ("both, L_Mfid, PTF", OURS, 31.68, 0.914, 4.2772),
        ),
        False,
    ),
    "5.4": (
        "Table 5.4: alignment of frames and of references",
        (
            ("frames matched, flow to references", "match_frames_flow_reference", 29.33, 0.872, 4.408, 8_303),
            ("frames matched, references matched", "match_frames", 31.68, 0.920, 3.059, 9_364),
            ("flow to frames and references", "flow_reference", 29.35, 0.878, 5.627, 1_975),
            ("flow to frames, references matched", OURS, 31.68, 0.914, 4.277, 2_737),
        ),
        False,
    ),
    "5.5": (
        "Table 5.5: comparison",
        (
            ("Bicubic", "bicubic", 26.65, 0.800),
            ("SRGAN", "srgan", 29.38, 0.877, 0.734),
            ("RCAN-l1", "rcan", 31.07, 0.915, 15.89),
            ("TTSR", "ttsr", 30.31, 0.905, 6.730),
            ("TTSR-l1", "ttsr_l1", 30.83, 0.911, 6.730),
            ("DCSR", "dcsr", 30.63, 0.895, 5.419),
            ("DCSR-l1", "dcsr_l1", 32.43, 0.933, 5.419),
            ("EDVR-M-ch", "edvr_m", 33.26, 0.946, 3.317),
            ("EDVR-ch", "edvr", 33.47, 0.948, 20.63),
            ("BasicVSR-ch", "basicvsr", 33.66, 0.951, 4.851),
            ("IconVSR-ch", "iconvsr", 33.80, 0.951, 7.255),
            ("Ours-small", "small", 31.63, 0.912, 1.052),
            ("Ours-small-l1", "small_l1", 33.88, 0.951, 1.052),
            ("Ours", OURS, 31.68, 0.914, 4.277),
            ("Ours-l1", "ours_l1", 34.74, 0.958, 4.277),
            ("Ours-IR", "ir", 31.73, 0.916, 4.774),
            ("Ours-IR-l1", "ir_l1", 34.86, 0.959, 4.774),
        ),
        False,
    ),
    "5.6": (
        "Table 5.6: by field of view",
        (
            ("Bicubic", "bicubic", 25.38, 0.757, 26.30, 0.785, 26.42, 0.789, 26.71, 0.798, 26.99, 0.801, 27.29, 0.815),
            (
                *("RCAN-l1", "rcan", 29.77, 0.895, 30.69, 0.908, 30.86, 0.910, 31.17, 0.914, 31.50, 0.918),
                *(31.80, 0.921, 15.89),
            ),
            (
                *("DCSR-l1", "dcsr_l1", 34.90, 0.963, 31.96, 0.927, 31.61, 0.921, 31.58, 0.919, 31.81, 0.921),
                *(31.93, 0.923, 5.419),
            ),
            (
                *("IconVSR-ch", "iconvsr", 32.79, 0.946, 33.43, 0.949, 33.60, 0.950, 33.89, 0.951, 34.19, 0.953),
                *(34.40, 0.953, 7.255),
            ),
            (
                *("Ours-l1", "ours_l1", 36.02, 0.971, 34.59, 0.958, 34.31, 0.956, 34.23, 0.954, 34.40, 0.955),
                *(34.50, 0.954, 4.277),
            ),
            (
                *("Ours-IR-l1", "ir_l1", 36.14, 0.971, 34.66, 0.959, 34.40, 0.956, 34.34, 0.955, 34.52, 0.955),
                *(34.63, 0.955, 4.774),
            ),
        ),
        True,
    ),
}
