"""Sampling images at moved positions."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def warp_horizontal(image: Float[Array, "b h w c"], disparity: Float[Array, "b h w 1"]) -> Float[Array, "b h w c"]:
    """Linear sampling of row y at x + disparity(y, x), disparity in pixels, zero outside the image."""
    width = image.shape[2]
    position = jnp.arange(width, dtype=image.dtype)[None, None, :] + disparity[..., 0]
    left = jnp.floor(position)
    fraction = (position - left)[..., None]

    def sample(column):
        inside = (column >= 0) & (column <= width - 1)
        index = jnp.clip(column, 0, width - 1).astype(jnp.int32)
        return jnp.where(inside[..., None], jnp.take_along_axis(image, index[..., None], axis=2), 0.0)

    return sample(left) * (1 - fraction) + sample(left + 1) * fraction
