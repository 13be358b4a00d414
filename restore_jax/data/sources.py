"""Sources of training examples: `open_source(config.data)` returns something with `len` and `[i]`.

An example is a dict of views, (h, w, 3) uint8 or uint16 arrays of one size:
    sharp                    alone: the task defocuses it
    blurred, sharp           a pair
    left, right              besides these, the views of a dual-pixel camera
    real                     alone: a defocused photograph without a truth
    binary, binary_map       a photograph, and a map of where it is blurred
or the material that clips of several cameras are cut from (see `transforms.training_example`):
    scene, number            (h, w, 3) or (t, h, w, 3), a photograph or a clip of a video that a virtual camera films
    lrs, refs, hr, ...       whole frames (t, h, w, 3), the truth hr (h, w, 3), by the names of `triple_camera.VIEWS`

Sources, by the name in data.source:
    photos                   folders of sharp photographs
    pairs                    folders that hold blurred/ and sharp/, and may hold left/ and right/
    tfds                     a dataset that `restore-jax data build` made
    dead_leaves              pictures that are drawn, for use without data
    triple_camera            photographs and videos, which the virtual camera films
    realmcvsr                the dataset RealMCVSR, built
"""

import pathlib
import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from restore_jax.data import checking
from restore_jax.data.built import built, records
from restore_jax.data.clips import open_real_clips, open_scenes
from restore_jax.data.dead_leaves import dead_leaves
from restore_jax.data.transforms import cut_size, halved, halved_size
from restore_jax.errors import InputError
from restore_jax.io.finding import sorted_out
from restore_jax.io.photos import Header, from_float, read_header, read_photo

MAX_SIDE = 1024  # larger sharp photographs are halved until they fit: sharper, and they all stay in memory
FOLDERS = {  # {view of a pair: names that its folder may have}
    "blurred": ("blurred", "source", "input"),
    "sharp": ("sharp", "target", "gt"),
    "left": ("left",),
    "right": ("right",),
    "binary": ("image",),
    "binary_map": ("map", "gt"),
}
FEATURES = {  # {view: names that its feature may have in a dataset}
    "blurred": ("combined", "source"),
    "sharp": ("target",),
    "left": ("left",),
    "right": ("right",),
    "real": ("image", "combined", "source"),
    "binary": ("image",),
    "binary_map": ("map",),
}


def open_source(data, say: Callable[[str], None] = print) -> Sequence[Mapping[str, np.ndarray]]:
    """Open the source that `data`, which is config.data or config.evaluation.data, describes.

    The headers of all files in data.folders are checked: InputError names those that cannot be used. With data.skip_bad
    they are left out instead, in a line that `say` takes, as it takes the progress of a check that lasts.

    Raises InputError if it cannot be opened. It reads data.source; data.folders for photos, pairs and triple_camera;
    data.name for tfds; data.split and data.directory for tfds and realmcvsr; data.views for all but photos;
    data.cache_mb, the megabytes of decoded pictures that are kept in memory.
    """
    openers = {
        "photos": lambda data: _photos(data, say),
        "pairs": lambda data: _pairs(data, say),
        "tfds": _tfds,
        "dead_leaves": lambda data: DrawnScenes() if "lrs" in data.views else DeadLeaves(_plain_views(data)),
        "triple_camera": lambda data: open_scenes(data, say),
        "realmcvsr": open_real_clips,
    }
    if data.source not in openers:
        raise InputError(f"data.source is {data.source!r}, must be one of {', '.join(openers)}")
    if data.source in ("photos", "pairs", "triple_camera") and not data.folders:
        raise InputError(f"data.source={data.source!r} needs data.folders: add --data FOLDER")
    source = openers[data.source](data)
    return Cached(source, data.cache_mb * 2**20) if data.cache_mb else source


class Files:
    """Examples from files: a list of {view: path}; `data` (see open_source) says what is cut from them.

    say: see open_source. max_side: reduce pictures to 8 bits and halve them until they fit. Without it they stay as
    they are, and all of a view's pictures must have the same number of bits, 8 or 16.
    """

    def __init__(
        self,
        examples: Sequence[Mapping[str, pathlib.Path]],
        data,
        say: Callable[[str], None],
        max_side: int | None = None,
    ):
        self._data, self._max_side = data, max_side
        found = checking.look(examples, self._check, say)
        if not max_side:
            found = _of_one_depth(examples, found)
        kept = checking.without_bad(examples, found, getattr(data, "skip_bad", False), say)
        self._examples = [example for example, _ in kept]
        self._dtypes = {} if max_side else {view: _dtype(read_photo(path)) for view, path in self._examples[0].items()}

    def __len__(self):
        return len(self._examples)

    def __getitem__(self, index):
        paths = self._examples[index]
        views = {view: self._read(view, path) for view, path in paths.items()}
        check_views(views, next(iter(paths.values())), self._data)
        return views

    def _check(self, paths):
        """Return the headers of an example's files, or raise InputError for what they show to be wrong."""
        headers = {view: read_header(path) for view, path in paths.items()}
        sizes = {view: (header.width, header.height) for view, header in headers.items()}
        if not all(header.upright for header in headers.values()):
            sizes = {view: tuple(sorted(size)) for view, size in sizes.items()}  # which side is up is not known yet
        if self._max_side:
            sizes = {view: halved_size(*size, self._max_side) for view, size in sizes.items()}
        of_size = {view: np.broadcast_to(np.uint8(0), (*size[::-1], 3)) for view, size in sizes.items()}
        check_views(of_size, next(iter(paths.values())), self._data)
        return headers

    def _read(self, view, path):
        photo = read_photo(path)
        if self._max_side:
            return halved(from_float(photo.pixels, np.uint8), self._max_side)
        if _dtype(photo) != self._dtypes[view]:
            first = self._examples[0][view]
            raise InputError(f"{path}: is {_dtype(photo).__name__}, but {first} is {self._dtypes[view].__name__}")
        return from_float(photo.pixels, self._dtypes[view])


class DeadLeaves:
    """Drawn pictures, equal in all views, for trying a configuration without data."""

    def __init__(self, views: Sequence[str] = ("sharp",)):
        self._views = views

    def __len__(self):
        return 32

    def __getitem__(self, index):
        return dict.fromkeys(self._views, dead_leaves(np.random.default_rng([index, 7]), (160, 160)))


class DrawnScenes:
    """Drawn pictures that a virtual camera films, for trying a configuration without data."""

    def __len__(self):
        return 16

    def __getitem__(self, index):
        return {"scene": dead_leaves(np.random.default_rng([index, 7]), (384, 384)), "number": np.int64(index)}


class Dataset:
    """A built TFDS dataset, whose features have the names of views."""

    def __init__(self, records, features: Mapping[str, str], data):
        self._records, self._features, self._data = records, features, data

    def __len__(self):
        return len(self._records)

    def __getitem__(self, index):
        record = self._records[index]
        views = {view: np.asarray(record[feature]) for view, feature in self._features.items()}
        check_views(views, f"{self._data.name}, example {index}", self._data)
        return views


class Cached:
    """A source whose decoded examples stay in memory up to `limit` bytes; others are decoded each time."""

    def __init__(self, source, limit: int):
        self._source, self._limit = source, limit
        self._forget()

    def _forget(self):
        self._kept, self._size, self._lock = {}, 0, threading.Lock()

    def __len__(self):
        return len(self._source)

    def __getitem__(self, index):
        if (example := self._kept.get(index)) is None:
            example = self._source[index]
            size = sum(view.nbytes for view in example.values())
            with self._lock:
                if index not in self._kept and self._size + size <= self._limit:
                    self._kept[index] = example
                    self._size += size
        return example

    # Worker processes start with an empty cache.
    def __getstate__(self):
        return {"_source": self._source, "_limit": self._limit}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._forget()


def check_views(views: Mapping[str, np.ndarray], name, data) -> None:
    """Raise InputError unless all views are (h, w, c) of one size, large enough for the crop that `data` asks for."""
    sizes = {view: array.shape[:2] for view, array in views.items()}
    if len(set(sizes.values())) > 1:
        listing = ", ".join(f"{view} {shape[1]}x{shape[0]}" for view, shape in sizes.items())
        raise InputError(f"{name}: its views differ in size: {listing}")
    try:
        cut_size(views, data)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def is_pairs(folder) -> bool:
    """Say whether `folder` holds pairs: a folder of blurred and one of sharp pictures."""
    return all(view_folder(folder, view) is not None for view in ("blurred", "sharp"))


def _plain_views(data):
    """Return the views that plain pictures stand for: sharp ones, from which the task makes the other views."""
    return ("sharp",) if "sharp" in data.views else tuple(data.views)


def has_view(folder, view: str) -> bool:
    """Say whether `folder` holds a folder of that view's pictures."""
    return view_folder(folder, view) is not None


def view_folder(folder, view: str) -> pathlib.Path | None:
    """Return the folder of that view's pictures in `folder`, or None."""
    for name in FOLDERS[view]:
        if (path := pathlib.Path(folder) / name).is_dir():
            return path
    return None


def _photos(data, say):
    view = _plain_views(data)[0]
    photos, left_out = sorted_out(data.folders)
    for line in left_out:
        say(line)
    return Files([{view: path} for path in photos], data, say, MAX_SIDE)


def _pairs(data, say):
    examples = []
    for folder in data.folders:
        views = {}
        for view in data.views:
            if (path := view_folder(folder, view)) is None:
                raise InputError(f"{folder}: has no folder {' or '.join(FOLDERS[view])} for the {view} pictures")
            views[view] = by_stem(path, say)
        for stem, first in next(iter(views.values())).items():
            for view, paths in views.items():
                if stem not in paths:
                    raise InputError(f"{first}: has no {view} picture beside it in {folder}")
            examples.append({view: paths[stem] for view, paths in views.items()})
    return Files(examples, data, say)


def _of_one_depth(examples, found: Sequence[Mapping[str, Header] | InputError]) -> list:
    """Return `found`, but an InputError for each example whose bits are not those of the first in the same view."""
    first: dict[str, tuple[int, pathlib.Path]] = {}
    judged = []
    for paths, headers in zip(examples, found, strict=True):
        wrong = None
        for view, header in {} if isinstance(headers, InputError) else headers.items():
            if header.bits is None:
                continue
            bits, path = first.setdefault(view, (header.bits, paths[view]))
            if header.bits != bits:
                wrong = InputError(f"{paths[view]}: is uint{header.bits}, but {path} is uint{bits}")
        judged.append(wrong or headers)
    return judged


def by_stem(folder, say: Callable[[str], None] = lambda line: None) -> dict[str, pathlib.Path]:
    """Return {name without ending: path} of a folder's pictures; raises InputError if two have the same name.

    say: takes a line on the files that are no pictures.
    """
    paths = {}
    photos, left_out = sorted_out([folder])
    for line in left_out:
        say(line)
    for path in photos:
        if path.stem in paths:
            raise InputError(f"{path}: {paths[path.stem].name} has the same name but for its ending")
        paths[path.stem] = path
    return paths


def _tfds(data):
    builder = built(data.name, data.split, data.directory)
    features = {}
    for view in data.views:
        there = [feature for feature in FEATURES[view] if feature in builder.info.features]
        if not there:
            raise InputError(f"{data.name}: has no {view} pictures")
        features[view] = there[0]
    return Dataset(records(builder, data.split, features.values()), features, data)


def _dtype(photo):
    return np.uint8 if photo.bits == 8 else np.uint16
