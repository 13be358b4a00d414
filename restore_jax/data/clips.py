"""Sources of clips: photographs and videos that the virtual camera films, and the dataset RealMCVSR."""

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np

from restore_jax import video
from restore_jax.data import checking
from restore_jax.data.built import built, records
from restore_jax.data.transforms import halved, halved_size
from restore_jax.data.triple_camera import VIEWS, Options, least_side
from restore_jax.errors import InputError
from restore_jax.io.photos import FORMATS, from_float, read_header, read_photo, to_float

MAX_SIDE = 2048  # larger photographs are halved until they fit
FEATURES = {"lrs": "ultra_wide", "refs": "wide", "teles": "tele"}  # {view: feature of RealMCVSR}
VIDEOS = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")


def open_scenes(data, say: Callable[[str], None] = print) -> "Scenes":
    """Open the source "triple_camera": the photographs and videos in data.folders.

    Raises InputError for a folder that has neither, for values of `data` that no camera has, and for files that cannot
    be used, which are left out with data.skip_bad. say: takes a line on these, and on the progress.
    """
    check_views(data.views)
    if not data.size:
        raise InputError("data.size is 0: a virtual camera films windows, whose side must be given")
    if data.reduction not in (1, 2, 4):
        raise InputError(f"data.reduction is {data.reduction}, must be 1, 2 or 4")
    if unknown := set(data.camera) - {field.name for field in dataclasses.fields(Options)}:
        raise InputError(f"data.camera has {', '.join(sorted(unknown))}: it sets fields of triple_camera.Options")
    scenes = []
    for folder in map(pathlib.Path, data.folders):
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder")
        # Names that begin with a dot are hidden: macOS leaves such files beside photographs on other disks.
        files = sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
        usable = [path for path in files if path.suffix.lower() in (*FORMATS, *VIDEOS)]
        if not usable:
            raise InputError(f"{folder}: holds neither photographs nor videos ({', '.join([*FORMATS, *VIDEOS])})")
        scenes += usable
    return Scenes(scenes, data, say)


def check_views(views) -> None:
    """Raise InputError for a name that is not in triple_camera.VIEWS."""
    if unknown := sorted(set(views) - set(VIEWS)):
        raise InputError(f"data.views names {', '.join(unknown)}; clips have {', '.join(VIEWS)}")


class Scenes:
    """Examples of scenes: each photograph is one, and each run of data.num_frames frames of a video.

    An example is {"scene": (h, w, 3) or (t, h, w, 3) uint8, "number": its index}.
    """

    def __init__(self, files, data, say: Callable[[str], None] = print):
        self._data, self._examples = data, []
        found = checking.look(files, self._check, say)
        for path, clip in checking.without_bad(files, found, getattr(data, "skip_bad", False), say):
            last = len(clip) - data.num_frames if clip else 0
            self._examples += [(path, clip, start) for start in range(0, last + 1, data.num_frames)]

    def _check(self, path):
        """Return what a video says of itself, None for a photograph. Raises InputError if it cannot be filmed."""
        if path.suffix.lower() not in VIDEOS:
            header = read_header(path)
            self._check_side(path, *halved_size(header.width, header.height, MAX_SIDE))
            return None
        clip = video.probe(path)
        if len(clip) < self._data.num_frames:
            raise InputError(f"{path}: has {len(clip)} frames, fewer than data.num_frames={self._data.num_frames}")
        self._check_side(path, clip.width, clip.height)
        return clip

    def _check_side(self, path, width, height):
        if min(height, width) < (least := least_side(self._data)):
            raise InputError(
                f"{path}: {width}x{height} is smaller than the {least} pixels a side that the sharpest of data.views "
                f"needs for data.size={self._data.size}"
            )

    def __len__(self):
        return len(self._examples)

    def __getitem__(self, index):
        path, clip, start = self._examples[index]
        if clip is None:
            scene = halved(from_float(read_photo(path).pixels, np.uint8), MAX_SIDE)
        else:
            frames = video.frames(clip, range(start, start + self._data.num_frames))
            scene = np.stack([frame if clip.bits == 8 else from_float(to_float(frame), np.uint8) for frame in frames])
        return {"scene": scene, "number": np.int64(index)}


def open_real_clips(data) -> "RealClips":
    """Open the source "realmcvsr": data.split of RealMCVSR as built in data.directory.

    data.reduction: 4, 2, or 1 for HD itself. data.name: "realmcvsr", or "realmcvsr_partial" for a part of it. Raises
    InputError if what data.views need is not built.
    """
    check_views(data.views)
    if data.reduction not in (1, 2, 4):
        raise InputError(f"data.reduction is {data.reduction}: RealMCVSR has 1, 2 and 4")
    part = "_partial" if data.name.endswith("_partial") else ""
    low = f"realmcvsr/{'hr' if data.reduction == 1 else f'lrx{data.reduction}'}{part}"
    low_views = {view: FEATURES[view] for view in ("lrs", *data.views) if not view.endswith(("hr", "hrs"))}
    high_views = {view: FEATURES[view.removesuffix("_hr")] for view in data.views if view.endswith("_hr")}
    if "hrs" in data.views:
        high_views["hrs"] = FEATURES["lrs"]
    truth = {"hr": FEATURES["lrs"]} if "hr" in data.views else {}
    parts = []
    for name, views in ((low, low_views), (f"realmcvsr/hr{part}", high_views), (f"realmcvsr/hr{part}", truth)):
        if views:
            builder = built(name, data.split, data.directory)
            parts.append((records(builder, data.split, views.values()), views))
            clips = builder.info.metadata[data.split]
    return RealClips(parts, clips, data)


class RealClips:
    """Examples of clips: a window of data.num_frames frames around each frame of a dataset.

    Past a clip's ends its first or last frame repeats. parts: (records, {view: feature}). clips: {name: number of
    frames}, in the order of the records. An example holds whole frames (t, h, w, 3) of the views, and "hr" (h, w, 3) of
    the middle one.
    """

    def __init__(self, parts, clips, data):
        self._parts, self._data = parts, data
        self._ends = np.cumsum(list(clips.values()))

    def __len__(self):
        return int(self._ends[-1])

    def __getitem__(self, index):
        clip = np.searchsorted(self._ends, index, "right")
        first, last = (self._ends[clip - 1] if clip else 0), self._ends[clip] - 1
        window = index + np.arange(self._data.num_frames) - self._data.num_frames // 2
        window = np.clip(window, first, last)
        example = {}
        for frames, views in self._parts:
            if "hr" in views:
                example["hr"] = frames[index][views["hr"]]
                continue
            decoded = {number: frames[int(number)] for number in np.unique(window)}  # each decoded once
            for view, feature in views.items():
                example[view] = np.stack([decoded[number][feature] for number in window])
        return example
