"""Resizing. Each method has one name, because each published number depends on which one was meant."""

import jax.numpy as jnp
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
