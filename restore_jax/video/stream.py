"""Video super-resolution as a stream: frames in, frames out, in memory that does not grow with the clip's length.

Frames are restored once those around them that the engine needs are there (see `engines`). What depends on
one frame or on two neighbours is computed when the frame comes in, not once a window. A frame above `TILE`² pixels is
restored in tiles that overlap and cross-fade (see `restore_jax.restore`); each tile carries a state of its own, and
sees the whole reference.
"""

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import cv2
import numpy as np

from restore_jax import restore, video
from restore_jax.errors import InputError
from restore_jax.io.photos import from_float, to_float
from restore_jax.video import pairing
from restore_jax.video.engines import Engine, engine

TILE = 512  # side of the largest square, in pixels of the input, that is computed in one pass
OVERLAP = 128  # pixels shared by neighbouring tiles, at least
# Over so many pixels in the middle of the overlap tiles cross-fade: nearer than 32 to an inner edge nothing is used;
# over the 256 of a four times larger result no step between tiles exceeds 1/256, however much they disagree.
FADE = 64
MIN_SIDE = 16  # pixels, of a resized reference
MATCHED_SCALE = 2.0  # pixels of the reference for one of the frame, on the same object, as networks were trained


def super_resolve(
    frames: Iterable,
    references: Iterable | None = None,
    *,
    weights: Any = None,
    scale: int = 4,
    fov: float | None = None,
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0),
    tile: int | None = TILE,
    dtype: str = "float32",
) -> Iterator[np.ndarray]:
    """Restore the frames of a video one by one, `scale` times as large, with those of a longer lens as references.

    Args:
      frames, references: iterables of (h, w, 3) arrays, uint8, uint16 or float in [0, 1], of the same moments; those of
        one iterable have one size. Only as many as the engine looks at are held.
      weights: a name or path, or what `load` or `engine` returned; "bicubic" is plain enlargement. None is the best
        that ships.
      scale: that of the weights; plain enlargement takes any.
      fov: how many times as wide the frames' view is; with it the references are resized to the scale that networks
        were trained for. None takes them as they are.
      gains: of the references' red, green and blue, to have the frames' colours (`pairing` finds both).
      tile: side in pixels of the largest square computed in one pass, or None.
      dtype: what a network computes in, "float32" or "bfloat16".

    Yields arrays of the frames' dtype. Raises InputError for frames that do not fit each other, and where one iterable
    is longer than the other.
    """
    chosen = weights if isinstance(weights, Engine) else engine(weights, references is not None, dtype, scale)
    kind = []
    pairs = repeated(_fitted(chosen, _checked(frames, references, kind), fov, gains), chosen.repeats)
    for image, _ in restored(chosen, pairs, tile=tile):
        yield from_float(image, kind[0])


def clip_frames(
    chosen,
    wide: video.Clip,
    reference: video.Clip | None,
    found: pairing.Pairing | None,
    first: int,
    stop: int,
    tile: int | None = TILE,
) -> Callable[[int, Any], Iterator[tuple[np.ndarray, Any]]]:
    """Return what `segments.write` takes to write the restored frames `first` to `stop` of `wide`, in its depth.

    `found` says how `reference`, of which each frame takes the one nearest in time, lies to `wide`.
    """
    dtype = np.uint16 if wide.bits == 16 else np.uint8

    def frames(start, state):
        known = max(chosen.repeats, min(chosen.behind, start))
        indices = np.arange(first + start - known, stop + chosen.repeats)
        indices, counts = np.unique(np.clip(indices, first, stop - 1), return_counts=True)
        references = itertools.repeat(None)
        if chosen.takes_reference:
            references = video.frames(reference, pairing.nearest(reference, wide.times[indices] + found.offset))
        pairs = zip(video.frames(wide, indices), references, strict=False)
        pairs = ((to_float(a), None if b is None else to_float(b)) for a, b in pairs)
        fitted = _fitted(chosen, pairs, found and found.fov, found.gains if found else (1.0, 1.0, 1.0))
        again = itertools.chain.from_iterable(map(itertools.repeat, fitted, counts))
        for image, after in restored(chosen, again, state, tile, known=known):
            yield from_float(image, dtype), after

    return frames


def _checked(frames, references, kind: list):
    """Check pairs: (frame, reference or None) as float32, each of one size; `kind` receives the frames' dtype."""
    others = itertools.repeat(None) if references is None else iter(references)
    sizes = None
    count = 0
    for count, frame in enumerate(frames, 1):
        frame, other = np.asarray(frame), next(others, _END)
        if other is _END:
            raise InputError(f"references: there are {count - 1}, but more frames")
        pair = (frame,) if other is None else (frame, np.asarray(other))
        for name, array in zip(("frame", "reference"), pair, strict=False):
            if array.ndim != 3 or array.shape[2] != 3 or min(array.shape) < 3:
                raise InputError(f"{name} {count}: shape {array.shape} is not (h, w, 3)")
        if sizes is None:
            sizes = [array.shape for array in pair]
            kind.append(frame.dtype)
        for name, array, size in zip(("frame", "reference"), pair, sizes, strict=False):
            if array.shape != size:
                raise InputError(f"{name} {count}: shape {array.shape}, but that of the first is {size}")
        yield to_float(frame), None if other is None else to_float(pair[1])
    if references is not None and next(others, _END) is not _END:
        raise InputError(f"references: there are more than the {count} frames")


_END = object()


def repeated(pairs: Iterable, half: int) -> Iterator:
    """Yield the items, the first and the last of them `half` times more."""
    item = None
    for number, item in enumerate(pairs):
        yield from itertools.repeat(item, 1 if number else half + 1)
    if item is not None:
        yield from itertools.repeat(item, half)


def _fitted(chosen, pairs, fov: float | None, gains) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Fit references to the scale and colours that the network expects, or drop them if it takes none."""
    fov = fov and fov * MATCHED_SCALE / chosen.matched_scale
    for frame, reference in pairs:
        fits = chosen.takes_reference
        yield frame, fitted_reference(reference, frame.shape[1], chosen.multiple, fov, gains) if fits else None


def fitted_reference(reference: np.ndarray, width: int, multiple: int, fov: float | None, gains) -> np.ndarray:
    """Fit a reference (h, w, 3) float32 to what a network expects for frames `width` pixels wide.

    It is resized to `MATCHED_SCALE` pixels for one of a frame `fov` times as wide (None: as it is), cut to multiples of
    `multiple`, and its channels are multiplied by `gains`.
    """
    down, across = reference.shape[:2]
    factor = MATCHED_SCALE * width / (fov * across) if fov else 1.0
    if abs(factor - 1) > 0.01:
        size = (max(MIN_SIDE, round(factor * across)), max(MIN_SIDE, round(factor * down)))
        kernel = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        reference = cv2.resize(reference, size, interpolation=kernel)
    down, across = (side // multiple * multiple for side in reference.shape[:2])
    return np.clip(reference[:down, :across] * np.asarray(gains, np.float32), 0, 1)


def restored(
    chosen,
    pairs: Iterable,
    state: dict | None = None,
    tile: int | None = TILE,
    overlap: int = OVERLAP,
    fade: int = FADE,
    known: int | None = None,
) -> Iterator[tuple[np.ndarray, dict | None]]:
    """Yield (image, state after it) for each pair but the first `known` and the last `chosen.repeats`.

    Frames are (h, w, 3) float32, references of sides that are multiples of the engine's; images (s·h, s·w, 3) float32
    in [0, 1]. `state`: what came with the image before the first one, None at a clip's beginning. `tile`, `overlap`,
    `fade` in pixels of the frame. `known`: None is `chosen.repeats`, as at a clip's beginning.
    """
    tiles, held, at = None, 0, chosen.repeats if known is None else known
    for frame, reference in pairs:
        if tiles is None:
            tiles = _Tiles(chosen, frame.shape, state, tile, overlap, fade)
        tiles.take(frame, reference)
        held += 1
        if held == at + chosen.stride + chosen.ahead:
            after = min(at + chosen.stride, chosen.behind)
            yield from tiles.restored(at, chosen.stride, after)
            held, at = after + chosen.ahead, after
    if held > at + chosen.repeats:
        yield from tiles.restored(at, held - at - chosen.repeats, 0)


class _Tiles:
    """The parts of a stream's frames, each with its window and its state."""

    def __init__(self, chosen, shape, state, tile, overlap, fade):
        self._engine, (self._height, self._width, _) = chosen, shape
        plan = self._plan = _plan(self._height, self._width, tile, overlap, chosen.multiple)
        self._corners = list(itertools.product(plan.tops, plan.lefts))
        self._weights = _weights(plan, chosen.scale, overlap, fade)
        self._windows = [collections.deque() for _ in self._corners]
        self._last, self._seen = [None] * len(self._corners), (None, None)
        self._states = [state and state[f"tile{number}"] for number in range(len(self._corners))]

    def take(self, frame, reference) -> None:
        """Add a frame to the windows; the same array once more is reused."""
        plan, engine = self._plan, self._engine
        again = frame is self._seen[0] and reference is self._seen[1] and engine.prepares_again
        self._seen = (frame, reference)
        below, right = plan.tops[-1] + plan.height - self._height, plan.lefts[-1] + plan.width - self._width
        padded = np.pad(frame, ((0, below), (0, right), (0, 0)), mode="edge")  # as interpolation takes it
        for number, (top, left) in enumerate(self._corners):
            part = padded[top : top + plan.height, left : left + plan.width]
            last = self._last[number]
            self._last[number] = engine.prepare_again(last) if again else engine.prepare(part, reference, last)
            self._windows[number].append(self._last[number])

    def restored(self, at, count, after) -> list:
        """Restore `count` frames, number `at` and following: [(image, state after it), ...]; `after` are kept."""
        plan, scale = self._plan, self._engine.scale
        images, states = [None] * count, [{} for _ in range(count)]
        for number, ((top, left), window) in enumerate(zip(self._corners, self._windows, strict=True)):
            results = self._engine.step(window, self._states[number], at, count)
            self._states[number] = results[-1][1]
            for i, (image, state) in enumerate(results):
                states[i][f"tile{number}"] = state
                if len(self._corners) == 1:
                    images[i] = image
                    continue
                if images[i] is None:
                    size = (plan.tops[-1] + plan.height, plan.lefts[-1] + plan.width)
                    images[i] = np.zeros((*(scale * side for side in size), 3), np.float32)
                y, x = scale * top, scale * left
                images[i][y : y + image.shape[0], x : x + image.shape[1]] += image * self._weights[number]
            for _ in range(at + count - after):
                window.popleft()
        images = [image[: scale * self._height, : scale * self._width] for image in images]
        return [(image, None if state["tile0"] is None else state) for image, state in zip(images, states, strict=True)]


def _plan(height: int, width: int, tile: int | None, overlap: int, multiple: int) -> restore.Plan:
    """Plan the fewest tiles; one tile of the frame's size, rounded up for the network, where that is enough."""
    if tile is None or height * width <= tile * tile:
        sides = (-(-side // multiple) * multiple for side in (height, width))
        return restore.Plan(*sides, [0], [0])
    return restore.plan(height, width, tile, overlap)


def _weights(plan: restore.Plan, scale: int, overlap: int, fade: int) -> list[np.ndarray]:
    """Return, for each tile, the (s·h, s·w, 1) weights of its pixels."""
    rows, columns = (
        restore.axis_weights([scale * start for start in tops], scale * side, scale * overlap, scale * fade)
        for tops, side in ((plan.tops, plan.height), (plan.lefts, plan.width))
    )
    return [row[:, None, None] * column[None, :, None] for row, column in itertools.product(rows, columns)]
