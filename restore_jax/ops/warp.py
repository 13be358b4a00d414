"""Bilinear sampling of images at moved positions: a function for each convention of grid and border.

- `warp`: backward warp by a flow in pixels, position x + u ("align corners").
- `warp_released`: the grid RefVSR's published checkpoints were trained with.
- `warp_horizontal`: along rows alone, by a disparity.
- `taps`, `gather_bilinear`: the two halves of bilinear sampling, for other ops.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

PADDINGS = ("zeros", "border")


class Taps(NamedTuple):
    """The two samples along one axis that a position lies between, and their weights."""

    low: Int[Array, "b h w"]
    high: Int[Array, "b h w"]
    low_weight: Float[Array, "b h w"]
    high_weight: Float[Array, "b h w"]


def warp(x: Float[Array, "b h w c"], flow: Float[Array, "b h w 2"], padding: str = "zeros") -> Float[Array, "b h w c"]:
    """Sample x at (row + v, column + u); flow is (u, v) in pixels, u along a row. The flow carries a gradient.

    padding: what is outside the image: "zeros", or the nearest pixel of the "border".
    """
    _, h, w, _ = x.shape
    columns = jnp.arange(w, dtype=jnp.float32)[None, None, :] + flow[..., 0].astype(jnp.float32)
    rows = jnp.arange(h, dtype=jnp.float32)[None, :, None] + flow[..., 1].astype(jnp.float32)
    return gather_bilinear(x, taps(rows, h, padding), taps(columns, w, padding))


def warp_released(x: Float[Array, "b h w c"], flow: Float[Array, "b h2 w2 2"]) -> Float[Array, "b h2 w2 c"]:
    """Warp x as the published RefVSR does, zero outside (docs/networks.md 4, quirks a and b).

    A grid of the flow's size from corner to corner of x, moved by the flow in pixels of x, is read as if corners were
    those of the outermost pixels and not their centres. For a flow of x's size: x' = (x + u) W / (W - 1) - .5.
    """
    _, h, w, _ = x.shape

    def positions(size, grid, moves):
        return (grid + moves.astype(jnp.float32)) * (size / (size - 1)) - 0.5

    rows = positions(h, jnp.linspace(0.0, h - 1.0, flow.shape[1])[None, :, None], flow[..., 1])
    columns = positions(w, jnp.linspace(0.0, w - 1.0, flow.shape[2])[None, None, :], flow[..., 0])
    return gather_bilinear(x, taps(rows, h, "zeros"), taps(columns, w, "zeros"))


def taps(positions: Float[Array, "b h w"], size: int, padding: str = "zeros") -> Taps:
    """Find the neighbours and weights of positions along an axis of `size` samples; indices are always inside.

    padding: what is beyond the axis: "zeros" (weight 0), or the last sample ("border"). ValueError for another.
    """
    if padding not in PADDINGS:
        raise ValueError(f"padding={padding!r} is none of {', '.join(PADDINGS)}")
    if padding == "border":
        positions = jnp.clip(positions, 0, size - 1)
    low = jnp.floor(positions)
    high_weight = positions - low
    low_weight = 1 - high_weight
    if padding == "zeros":
        low_weight = jnp.where((low >= 0) & (low <= size - 1), low_weight, 0.0)
        high_weight = jnp.where((low >= -1) & (low <= size - 2), high_weight, 0.0)
    low = jnp.clip(low, -1, size - 1).astype(jnp.int32)
    return Taps(jnp.maximum(low, 0), jnp.minimum(low + 1, size - 1), low_weight, high_weight)


def gather_bilinear(x: Float[Array, "b h w c"], rows: Taps, columns: Taps) -> Float[Array, "b h2 w2 c"]:
    """Sum x, weighted, at the 2 x 2 neighbours that `rows` and `columns` name."""
    b, h, w, c = x.shape
    flat = x.reshape(b, h * w, c)
    # A pixel's channels are contiguous: they are fetched as one slice.
    fetch = jax.vmap(lambda pixels, index: pixels.at[index].get(mode="promise_in_bounds"))

    def corner(row, column, row_weight, column_weight):
        return fetch(flat, row * w + column) * (row_weight * column_weight)[..., None].astype(x.dtype)

    return (
        corner(rows.low, columns.low, rows.low_weight, columns.low_weight)
        + corner(rows.low, columns.high, rows.low_weight, columns.high_weight)
        + corner(rows.high, columns.low, rows.high_weight, columns.low_weight)
        + corner(rows.high, columns.high, rows.high_weight, columns.high_weight)
    )


def warp_horizontal(image: Float[Array, "b h w c"], disparity: Float[Array, "b h w 1"]) -> Float[Array, "b h w c"]:
    """Sample row y linearly at x + disparity(y, x); disparity in pixels, zero outside the image."""
    width = image.shape[2]
    position = jnp.arange(width, dtype=image.dtype)[None, None, :] + disparity[..., 0]
    left = jnp.floor(position)
    fraction = (position - left)[..., None]

    def sample(column):
        inside = (column >= 0) & (column <= width - 1)
        index = jnp.clip(column, 0, width - 1).astype(jnp.int32)
        return jnp.where(inside[..., None], jnp.take_along_axis(image, index[..., None], axis=2), 0.0)

    return sample(left) * (1 - fraction) + sample(left + 1) * fraction
