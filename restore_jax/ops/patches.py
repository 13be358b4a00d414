"""Patches of a reference put where matching says.

RefVSR copies them whole and turns and scales each by an affine map of its own (dissertation 5.2.3; docs/networks.md 4,
"Patch copy" and "Patch-wise affine"). TTSR lays overlapping patches over each other (docs/networks.md 5).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from restore_jax.ops.warp import Taps, gather_bilinear, taps


def copy_patches(source: Float[Array, "b hs ws c"], index: Int[Array, "b h w"], size: int) -> Float[Array, "b h2 w2 c"]:
    """Cut `source` into size x size patches, row-major, and tile those that `index` names: (b, size·h, size·w, c).

    Rows and columns of `source` beyond a multiple of `size` belong to no patch. The index carries no gradient.
    """
    b, hs, ws, c = source.shape
    rows, columns = hs // size, ws // size
    cut = source[:, : rows * size, : columns * size].reshape(b, rows, size, columns, size, c)
    cut = cut.transpose(0, 1, 3, 2, 4, 5).reshape(b, rows * columns, size * size * c)
    tiles = jax.vmap(lambda patches, i: patches.at[i].get(mode="promise_in_bounds"))(cut, index)
    _, h, w = index.shape
    return tiles.reshape(b, h, w, size, size, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h * size, w * size, c)


def transfer_patches(
    source: Float[Array, "b hs ws c"], index: Int[Array, "b h w"], size: int
) -> Float[Array, "b h2 w2 c"]:
    """Add up the overlapping patches that `index` names and divide by nine: (b, size·h, size·w, c).

    Patches have sides of 3·size and steps of `size`. They are centred on the size x size cells of `source`, which is
    zero outside. Nine patches meet in an output cell; at the borders there are fewer, but the sum is divided by nine
    there too. The index carries no gradient. Raises ValueError if a side of `source` is no multiple of `size`.
    """
    b, hs, ws, c = source.shape
    _, h, w = index.shape
    columns = ws // size
    if (hs % size, ws % size) != (0, 0):
        raise ValueError(f"transfer_patches: {hs}x{ws} is not a multiple of {size}")
    cells = jnp.pad(source, ((0, 0), (size, size), (size, size), (0, 0)))
    y, x = jnp.divmod(index, columns)
    centre = (y + 1) * (columns + 2) + x + 1  # of the padded source's cells
    centre = jnp.pad(centre, ((0, 0), (1, 1), (1, 1)), constant_values=-1)

    def add(total, step):
        dy, dx = step
        match = jax.lax.dynamic_slice(centre, (jnp.int32(0), 1 + dy, 1 + dx), (b, h, w))
        # The neighbour at (dy, dx) adds to this cell the cell at (-dy, -dx) of its own match. Where there is no
        # neighbour, cell 0 is taken: a corner of the padding, which is zero.
        cell = jnp.where(match < 0, 0, match - dy * (columns + 2) - dx)
        return total + copy_patches(cells, cell, size), None

    steps = jnp.array([(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)], jnp.int32)
    nothing = jnp.zeros((b, h * size, w * size, c), source.dtype)
    return jax.lax.scan(add, nothing, steps)[0] / 9


def affine_patches(
    x: Float[Array, "b hs ws c"],
    scale: Float[Array, "b h w 2"],
    angle: Float[Array, "b h w"],
    border: str = "paper",
) -> Float[Array, "b hs ws c"]:
    """Resample every patch of x about its centre: taps scaled by (scale_y, scale_x), then turned by `angle`, bilinear.

    x is tiled by h x w square patches. A position may reach into the neighbouring ones, and one pixel beyond x, where x
    is mirrored. angle: radians. border "paper" clamps positions to that range; "released" clamps the neighbours too and
    takes the weights afterwards, so that a clamped sample counts twice (docs/networks.md 4, quirk d).
    """
    _, hs, ws, _ = x.shape
    _, h, w, _ = scale.shape
    size = hs // h
    if (size * h, size * w) != (hs, ws):
        raise ValueError(f"affine_patches: {h}x{w} square patches do not tile {hs}x{ws}")
    if border not in ("paper", "released"):
        raise ValueError(f"border={border!r} is none of paper, released")
    offsets = jnp.arange(size, dtype=jnp.float32) - (size - 1) / 2
    # Axes (b, h, tap row, w, tap column), the layout of the tiled image.
    scale_y, scale_x = (scale[:, :, None, :, None, axis] for axis in (0, 1))
    cos, sin = (f(angle)[:, :, None, :, None] for f in (jnp.cos, jnp.sin))
    y = offsets[None, None, :, None, None] * scale_y
    z = offsets[None, None, None, None, :] * scale_x
    centre = (size - 1) / 2 + 1  # 1 for the padding
    rows = (jnp.arange(h, dtype=jnp.float32) * size + centre)[None, :, None, None, None] + y * cos - z * sin
    columns = (jnp.arange(w, dtype=jnp.float32) * size + centre)[None, None, None, :, None] + y * sin + z * cos
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")

    def neighbours(positions, length):
        positions = positions.reshape(-1, hs, ws)
        return taps(positions, length, "border") if border == "paper" else _released_taps(positions, length)

    return gather_bilinear(padded, neighbours(rows, hs + 2), neighbours(columns, ws + 2))


def _released_taps(positions, size: int) -> Taps:
    low = jnp.floor(positions)
    low, high, positions = (jnp.clip(p, 0, size - 1) for p in (low, low + 1, positions))
    return Taps(low.astype(jnp.int32), high.astype(jnp.int32), 1 + low - positions, 1 - high + positions)
