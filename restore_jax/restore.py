"""Restores images of any size with a convolutional network: pad to a size bucket, tile, apply, cross-fade, crop.

XLA compiles one program a shape, so shapes are kept few: sides are padded to multiples of 64, and an image above
`TILE`² pixels is cut into tiles that overlap. Near an edge of a tile the network lacks context and its output differs
from the whole image's; those pixels are dropped and the tiles cross-fade in the middle of their overlap.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from restore_jax.errors import InputError
from restore_jax.io.photos import to_float
from restore_jax.models.interface import computing_in

MIN_SIDE = 16  # pixels; the network's coarsest scale has an eighth of them
STEP = 64  # sides of compiled programs are multiples of this
TILE = 1152  # pixels: side of the largest square that is computed in one pass by default
OVERLAP = 128  # pixels shared by neighbouring tiles, at least; a multiple of GRID
FADE = 64  # the middle part of the overlap in which the tiles cross-fade; the rest of it is context only
GRID = 16  # tiles start at multiples of this: networks downsample by up to 16, and are equivariant to no finer shift
DTYPES = ("float32", "bfloat16")

Progress = Callable[[str, int, int], None]
_programs: dict[Any, Any] = {}  # compiled in this process: (model, dtype, shapes) -> executable


# ---------------------------------------------------------------------------------------------------- sizes and tiles
def bucket(size: int) -> int:
    """Return the compiled side that a side of `size` pixels is padded to: the next multiple of 64."""
    return max(STEP, -(-size // STEP) * STEP)


def starts(length: int, tile: int, overlap: int = OVERLAP) -> list[int]:
    """Return the first pixels of the fewest tiles that cover `length` and overlap by at least `overlap` pixels.

    The starts are multiples of `GRID`, evenly spread. The last tile ends at `length` rounded up to `GRID`.
    """
    padded = -(-length // GRID) * GRID
    if padded <= tile:
        return [0]
    count = -(-(padded - overlap) // (tile - overlap))
    return [i * (padded - tile) // (count - 1) // GRID * GRID for i in range(count)]


def axis_weights(tops: Sequence[int], tile: int, overlap: int = OVERLAP, fade: int = FADE) -> list[np.ndarray]:
    """Return the weight of every pixel of every tile along one axis, float32 `(tile,)` each; at a pixel they sum to 1.

    Between two neighbours the weight passes linearly from one to the other over the middle `fade` pixels of their
    overlap, so that what lies nearer than `(overlap - fade) / 2` to a tile's inner edge is never used.
    """
    weights = [np.ones(tile, np.float32) for _ in tops]
    for before, after, top, following in zip(weights, weights[1:], tops, tops[1:], strict=False):
        shared = top + tile - following
        first = (shared - min(fade, overlap)) // 2
        ramp = np.clip((np.arange(shared, dtype=np.float32) - first + 0.5) / max(min(fade, overlap), 1), 0, 1)
        before[tile - shared :] *= 1 - ramp
        after[:shared] *= ramp
    return weights


class Plan(NamedTuple):
    """A plan for computing an image: the tile's sides and where tiles start, in pixels."""

    height: int
    width: int
    tops: list[int]
    lefts: list[int]


def plan(height: int, width: int, tile: str | int | None = "auto", overlap: int = OVERLAP) -> Plan:
    """Plan the tiles for an image of `height` x `width` pixels.

    `tile`: None computes the image in one pass; a number is the side of the largest square computed in one pass (time
    and memory are those of `tile`² pixels); "auto" is `TILE`. The fewest tiles that fit are made as small as possible.
    """
    if tile == "auto":
        tile = TILE
    elif tile is not None and not (isinstance(tile, (int, np.integer)) and tile >= 2 * overlap):
        raise InputError(f'tile: {tile!r} is not "auto" or a number of pixels, at least {2 * overlap}')
    if tile is None or bucket(height) * bucket(width) <= tile * tile:
        return Plan(bucket(height), bucket(width), [0], [0])
    tile = tile // STEP * STEP or tile // GRID * GRID

    def axis(length):
        count = len(starts(length, tile, overlap))
        side = min(tile, bucket(math.ceil((length + (count - 1) * overlap) / count)))
        return side, starts(length, side, overlap)

    (tile_height, tops), (tile_width, lefts) = axis(height), axis(width)
    return Plan(tile_height, tile_width, tops, lefts)


# ------------------------------------------------------------------------------------------------------------ programs
@functools.lru_cache(maxsize=16)
def _jitted(model, dtype: str, output: str):
    """Return the function to compile: parameters are arguments, the result is float32 in [0, 1]."""
    model = computing_in(model, dtype)

    def apply(params, blurred, views):
        return jnp.clip(model.apply(params, blurred, **views)[output].astype(jnp.float32), 0, 1)

    return jax.jit(apply)


def _program(model, params, dtype, shape: tuple[int, ...], views: tuple[str, ...], output, say: Callable[[str], None]):
    """Return the compiled program for tiles of `shape` (1, h, w, 3); `say` is called if it must be compiled."""
    leaves, treedef = jax.tree.flatten(params)
    key = (
        model,
        dtype,
        shape,
        views,
        output,
        treedef,
        tuple((leaf.shape, leaf.dtype) for leaf in leaves),
        jax.devices()[0],
    )
    if key not in _programs:
        say(f"compiling {shape[2]}x{shape[1]}")
        tile = jax.ShapeDtypeStruct(shape, jnp.float32)
        _programs[key] = _jitted(model, dtype, output).lower(params, tile, dict.fromkeys(views, tile)).compile()
    return _programs[key]


# --------------------------------------------------------------------------------------------------------- restoration
def restore(
    model,
    params,
    image: np.ndarray,
    *,
    views: dict[str, np.ndarray] | None = None,
    tile: str | int | None = "auto",
    dtype: str = "float32",
    progress: Progress | None = None,
    overlap: int = OVERLAP,
    fade: int = FADE,
    output: str = "image",
) -> np.ndarray:
    """Apply `model` to one image of any size; returns its `output`, float32 `(h, w, c)` in [0, 1].

    `image`: `(h, w, 3)` float32 in [0,1]; `views`: further images of that shape by the name the model's
    `__call__` gives them. `progress(event, done, total)` is called with "compiling WxH" and "tile". `overlap` and
    `fade` in pixels. Raises InputError for an image below 16 pixels a side or views that do not fit.
    """
    views = views or {}
    height, width = image.shape[:2]
    check_size(height, width)
    for name, view in views.items():
        if view.shape != image.shape:
            raise InputError(f"{name}: {view.shape[1]}x{view.shape[0]} pixels, but the image is {width}x{height}")
    if dtype not in DTYPES:
        raise InputError(f"dtype: {dtype!r} is not one of {', '.join(DTYPES)}")
    say = progress or (lambda event, done, total: None)

    tiles = plan(height, width, tile, overlap)
    rows = axis_weights(tiles.tops, tiles.height, overlap, fade)
    columns = axis_weights(tiles.lefts, tiles.width, overlap, fade)
    total, done = len(rows) * len(columns), 0
    shape = (1, tiles.height, tiles.width, 3)
    params = jax.device_put(params)
    program = _program(model, params, dtype, shape, tuple(sorted(views)), output, lambda event: say(event, 0, total))

    result = None
    for top, row in zip(tiles.tops, rows, strict=True):
        for left, column in zip(tiles.lefts, columns, strict=True):
            say("tile", done, total)
            window = np.s_[top : top + tiles.height, left : left + tiles.width]
            inputs = {name: _padded(view[window], shape) for name, view in views.items()}
            restored = np.asarray(program(params, _padded(image[window], shape), inputs))[0]
            if not np.isfinite(restored).all():
                raise FloatingPointError(f"the network's output is not finite (dtype {dtype}): are the weights sound?")
            if result is None:
                result = np.zeros((height, width, restored.shape[-1]), np.float32)
            target = result[window]
            inside = np.s_[: target.shape[0], : target.shape[1]]
            target += restored[inside] * (row[:, None] * column)[inside][..., None]
            done += 1
    say("tile", done, total)
    return result


def _padded(window: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Pad a window to float32 `(1, h, w, 3)` of the compiled shape by mirroring at the bottom and the right."""
    height, width = window.shape[:2]
    pads = ((0, shape[1] - height), (0, shape[2] - width), (0, 0))
    return np.pad(window, pads, mode="reflect")[None]


def check_size(height: int, width: int) -> None:
    """Raise InputError for an image that is too small."""
    if min(height, width) < MIN_SIDE:
        raise InputError(f"{width}x{height} pixels is too small: at least {MIN_SIDE} a side are needed")


def needs_views(model) -> bool:
    """Say whether the model takes a left and a right dual-pixel view beside the image."""
    return bool(model.interface.views)


def colour_image(name: str, image) -> np.ndarray:
    """Convert an image, as `checked_image` takes it, to float32 `(h, w, 3)` in [0,1]; grey becomes three channels.

    Raises InputError.
    """
    array = checked_image(name, image)
    if array.ndim == 2:
        array = array[..., None]
    return np.broadcast_to(to_float(array[..., :3]), (*array.shape[:2], 3))


def checked_image(name: str, image) -> np.ndarray:
    """Return an image as an array `(h, w)`, `(h, w, 1)`, `(h, w, 3)` or `(h, w, 4)`, of 8 or 16 bits or floats.

    Raises InputError for anything else, calling it `name`.
    """
    array = np.asarray(image)
    if array.dtype not in (np.uint8, np.uint16, np.float32, np.float64):
        raise InputError(f"{name}: dtype {array.dtype} is not uint8, uint16, float32 or float64")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise InputError(f"{name}: shape {array.shape} is not (h, w), (h, w, 1), (h, w, 3) or (h, w, 4)")
    check_size(*array.shape[:2])
    return array
