"""Modulated deformable convolution 3x3 (Zhu et al. 2019; EDVR's alignment, docs/networks.md 5), in plain XLA.

    y = deform_conv(x, offsets, masks, kernel)      # stride 1, pad 1

Tap (i, j) of the kernel reads x at (row + i - 1 + dy, column + j - 1 + dx), bilinear, zero outside, times a mask. The
channels of x fall into G groups, each with offsets and masks of its own. A scan over the groups reads all nine taps of
one at once: its samples are then a matrix, and its part of the result is one product.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

MAX_OFFSET = 128.0  # pixels
_TAPS = 9


def split_offsets(x: Float[Array, "b h w n"]) -> tuple[Float[Array, "b h w g 9 2"], Float[Array, "b h w g 9"]]:
    """Split the 27 G channels that a convolution predicts into (offsets, masks), as published checkpoints order them.

    The first 18 G are offsets in (group, tap, (y, x)) order, pixels; the last 9 G masks before the sigmoid.
    """
    *plane, channels = x.shape
    groups = channels // (3 * _TAPS)
    offsets, masks = jnp.split(x, [2 * _TAPS * groups], -1)
    return offsets.reshape(*plane, groups, _TAPS, 2), jax.nn.sigmoid(masks).reshape(*plane, groups, _TAPS)


def deform_conv(
    x: Float[Array, "b h w c"],
    offsets: Float[Array, "b h w g 9 2"],
    masks: Float[Array, "b h w g 9"],
    kernel: Float[Array, "3 3 c o"],
    max_offset: float = MAX_OFFSET,
) -> Float[Array, "b h w o"]:
    """Convolve x at taps that are moved by their offsets (y, x) and multiplied by their masks; without bias.

    Offsets in pixels are clamped to +-max_offset (no gradient beyond), so that a diverging run stays finite: watch
    their mean. Positions are computed in float32 whatever x is. Raises ValueError unless the groups divide the
    channels.
    """
    b, h, w, c = x.shape
    groups = offsets.shape[3]
    if c % groups:
        raise ValueError(f"deform_conv: {c} channels do not fall into {groups} groups")
    width, depth = c // groups, kernel.shape[-1]

    def by_group(a):
        return a.transpose(3, 0, 1, 2, 4).reshape(groups, b, h * w * _TAPS)

    tap_row, tap_column = (n.astype(np.float32) - 1 for n in np.divmod(np.arange(_TAPS), 3))
    offsets = jnp.clip(offsets.astype(jnp.float32), -max_offset, max_offset)
    rows = jnp.arange(h, dtype=jnp.float32)[None, :, None, None, None] + tap_row[None, None, None, None]
    columns = jnp.arange(w, dtype=jnp.float32)[None, None, :, None, None] + tap_column[None, None, None, None]
    # Outside there is a border of zeros. Positions are clamped to it, so that every neighbour exists.
    rows = jnp.clip(rows + offsets[..., 0], -1, h)
    columns = jnp.clip(columns + offsets[..., 1], -1, w)
    # Without the barrier XLA computes the positions again for every channel that is read at them.
    moved = jax.lax.optimization_barrier((by_group(rows), by_group(columns), by_group(masks.astype(jnp.float32))))
    pixels = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))).reshape(b, (h + 2) * (w + 2), groups, width)
    kernels = kernel.astype(x.dtype).reshape(_TAPS, groups, width, depth).transpose(1, 0, 2, 3)
    fetch = jax.vmap(lambda pixels, index: pixels.at[index].get(mode="promise_in_bounds"))

    def add_group(total, group):
        (rows, columns, masks), pixels, kernel = group
        top, left = jnp.minimum(jnp.floor(rows), h - 1), jnp.minimum(jnp.floor(columns), w - 1)
        below, right = rows - top, columns - left
        weights = [(1 - below) * (1 - right), (1 - below) * right, below * (1 - right), below * right]
        index = ((top + 1) * (w + 2) + left + 1).astype(jnp.int32)
        index, weights = jax.lax.optimization_barrier((index, [(v * masks).astype(x.dtype) for v in weights]))
        samples = sum(
            fetch(pixels, index + step) * weight[..., None]
            for step, weight in zip((0, 1, w + 2, w + 3), weights, strict=True)
        )
        product = samples.reshape(b, h * w, _TAPS * width) @ kernel.reshape(_TAPS * width, depth)
        return total + product, None

    start = jnp.zeros((b, h * w, depth), x.dtype)
    total, _ = jax.lax.scan(add_group, start, (moved, pixels.transpose(2, 0, 1, 3), kernels))
    return total.reshape(b, h, w, depth)
