"""Resizing. Each method has one name, because each published number depends on which one was meant."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def block_mean(x: Float[Array, "b h w c"], factor: int) -> Float[Array, "b h1 w1 c"]:
    """Downsample by the mean of factor x factor blocks. Raises ValueError if a side is no multiple of `factor`."""
    b, h, w, c = x.shape
    if h % factor or w % factor:
        raise ValueError(f"block_mean: {h}x{w} is not a multiple of {factor}")
    return x.reshape(b, h // factor, factor, w // factor, factor, c).mean((2, 4))


def every_nth(x: Float[Array, "b h w c"], factor: int) -> Float[Array, "b h1 w1 c"]:
    """Downsample by taking sample `factor * i`, nearest-neighbour as PyTorch does it."""
    return x[:, ::factor, ::factor]


def pixel_shuffle(x: Float[Array, "b h w cr"], factor: int) -> Float[Array, "b h2 w2 c"]:
    """Depth to space: channel (c, dy, dx) of PyTorch's order goes to pixel (dy, dx) of a factor x factor block."""
    b, h, w, channels = x.shape
    x = x.reshape(b, h, w, channels // factor**2, factor, factor)
    return jnp.transpose(x, (0, 1, 4, 2, 5, 3)).reshape(b, h * factor, w * factor, -1)


def nearest_align_corners(x: Float[Array, "b h w c"], height: int, width: int) -> Float[Array, "b h2 w2 c"]:
    """Resize by taking the nearest sample, first and last samples falling on each other (TensorFlow 1's align_corners).

    Output i takes input round(i (n - 1) / (m - 1)), halves upwards.
    """

    def index(n, m):
        steps = max(m - 1, 1)
        return (2 * np.arange(m) * (n - 1) + steps) // (2 * steps)

    return x[:, index(x.shape[1], height)][:, :, index(x.shape[2], width)]


def upsample_nearest(x: Float[Array, "b h w c"], factor: int) -> Float[Array, "b h2 w2 c"]:
    """Repeat each sample factor x factor times; for factor 2 this is also `nearest_align_corners`."""
    b, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (b, h, factor, w, factor, c))
    return x.reshape(b, h * factor, w * factor, c)
