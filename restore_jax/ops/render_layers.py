"""Rendering of defocus blur with hundreds of Gaussian layers, tile by tile.

Each tile visits only the layers that reach it, and a Gaussian blur of a tile is two small matrix products. Up to
rounding the result is that of a loop over whole images. `render.render_coc` is the differentiable counterpart for the
few layers of a training step.

    image = render_layers(sharp, layer, sigma)      # layer: (h, w), 0 is the nearest; sigma: of each layer, in pixels

Source: dissertation section 3.2.3 and docs/networks.md 3.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

REACH = 4  # a kernel ends at this many sigmas
_BLOCK = 8  # pixels: layers are looked up in squares of this side
_TILE = 32  # pixels, a multiple of _BLOCK
_LEAST = 1e-3  # smallest accumulated mask that colours are divided by


def render_layers(
    image: Float[Array, "h w c"],
    layer: Int[Array, "h w"],
    sigma: Float[Array, " n"],
    hidden: tuple[Float[Array, "h w c"], Int[Array, "h w"]] | None = None,
    max_sigma: float = 7.0,
) -> Float[Array, "h w c"]:
    """Blur every layer, colours and mask together, and lay it over the farther ones; divide by the accumulated mask.

    Args:
      image: any range, usually [0, 1]. Its borders are mirrored, edge included.
      layer: each pixel's layer, from 0, the nearest, to n - 1.
      sigma: each layer's Gaussian in pixels, at most `max_sigma` (static under jit); 0 leaves it sharp.
      hidden: colours behind the pixels, and their layers, -1 where there are none; see `render.hidden_background`.
    """
    height, width, channels = image.shape
    radius = _BLOCK * max(1, math.ceil(math.ceil(REACH * max_sigma) / _BLOCK))
    rows, columns = math.ceil(height / _TILE), math.ceil(width / _TILE)
    pads = ((radius, radius + rows * _TILE - height), (radius, radius + columns * _TILE - width))
    samples = [(image, layer)] if hidden is None else [(image, layer), hidden]
    # Channels between rows and columns: both blurs are then plain matrix products.
    colours = [
        jnp.pad(jnp.concatenate([c, jnp.ones_like(c[..., :1])], -1), (*pads, (0, 0)), "symmetric").transpose(0, 2, 1)
        for c, _ in samples
    ]
    layers = [jnp.pad(at, pads, "symmetric") for _, at in samples]

    # A layer's reach is whole blocks: sharper layers need less of their surroundings.
    reaches = range(_BLOCK, radius + 1, _BLOCK)
    reach = jnp.clip(jnp.ceil(REACH * sigma / _BLOCK).astype(jnp.int32) - 1, 0, len(reaches) - 1)
    order, counts = _layers_of_tiles(layers, reach, radius)
    kernels = _matrices(sigma, radius)

    def blur(inner, n, corner):
        """Blur layer n of the tile at `corner` by a kernel that reaches `inner` pixels."""
        start, side = [at + radius - inner for at in corner], _TILE + 2 * inner
        source = jnp.zeros((side, channels + 1, side), image.dtype)
        for colour, at in zip(colours, layers, strict=True):
            patch = jax.lax.dynamic_slice(colour, (start[0], 0, start[1]), source.shape)
            inside = jax.lax.dynamic_slice(at, start, (side, side)) == n
            source += jnp.where(inside[:, None], patch, 0)
        kernel = kernels[n][:, radius - inner : radius + _TILE + inner]
        across = jnp.dot(kernel, source.reshape(side, -1), precision="highest")
        return jnp.dot(across.reshape(-1, side), kernel.T, precision="highest").reshape(_TILE, channels + 1, _TILE)

    blurs = [functools.partial(blur, inner) for inner in reaches]

    def render_tile(index):
        def add_layer(i, behind):
            n = order[index, i]
            blurred = jax.lax.switch(reach[n], blurs, n, (index // columns * _TILE, index % columns * _TILE))
            return behind * (1 - jnp.clip(blurred[:, -1:], 0, 1)) + blurred

        start = jnp.zeros((_TILE, channels + 1, _TILE), image.dtype)
        out = jax.lax.fori_loop(0, counts[index], add_layer, start)
        return out[:, :-1] / jnp.maximum(out[:, -1:], _LEAST)

    out = jax.lax.map(render_tile, jnp.arange(rows * columns)).reshape(rows, columns, _TILE, channels, _TILE)
    return out.transpose(0, 2, 1, 4, 3).reshape(rows * _TILE, columns * _TILE, channels)[:height, :width]


def _layers_of_tiles(layers, reach, radius):
    """List the layers whose blur enters each tile, (tiles, n), farthest first, and how many there are, (tiles,)."""
    height, width = layers[0].shape
    y, x = (jnp.arange(side // _BLOCK * _BLOCK) // _BLOCK for side in (height, width))
    present = jnp.zeros((height // _BLOCK, width // _BLOCK, len(reach)), bool)
    for at in layers:
        at = jnp.where(at < 0, len(reach), at)  # a negative number would count from the end
        present = present.at[y[:, None], x[None], at[: len(y), : len(x)]].set(True, mode="drop")
    found, stride, around = False, _TILE // _BLOCK, radius // _BLOCK
    for blocks in range(1, around + 1):
        near, size = present, stride + 2 * blocks
        for axis in (0, 1):
            near = jax.lax.slice_in_dim(near, around - blocks, near.shape[axis] - around + blocks, axis=axis)
            window, strides = ([n if a == axis else 1 for a in range(3)] for n in (size, stride))
            near = jax.lax.reduce_window(near, False, jax.lax.bitwise_or, window, strides, "VALID")
        found = jnp.where((reach == blocks - 1)[None, None], near, found)
    found = found.reshape(-1, len(reach))[:, ::-1]
    return len(reach) - 1 - jnp.argsort(~found, axis=1, stable=True), found.sum(1)


def _matrices(sigma, radius):
    """Return (n, _TILE, _TILE + 2 radius): row t is the layer's Gaussian around t + radius, cut at REACH sigmas."""
    column, row = (jnp.arange(n, dtype=sigma.dtype) for n in (_TILE + 2 * radius, _TILE))
    distance = column[None] - row[:, None] - radius
    sigma = sigma[:, None, None]
    weights = jnp.exp(-0.5 * jnp.square(distance[None] / jnp.maximum(sigma, 1e-3)))
    weights = jnp.where(jnp.abs(distance)[None] <= jnp.ceil(REACH * sigma), weights, 0)
    return weights / weights.sum(-1, keepdims=True)
