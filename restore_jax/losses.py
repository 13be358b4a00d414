"""Training losses: functions of arrays that return a scalar."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def mse(a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, ""]:
    """Mean squared error."""
    return jnp.mean(jnp.square(a - b))


def charbonnier(a: Float[Array, "..."], b: Float[Array, "..."], epsilon: float = 1e-3) -> Float[Array, ""]:
    """Mean of sqrt((a - b)^2 + epsilon^2), a smooth absolute error (Charbonnier et al. 1994)."""
    return jnp.mean(jnp.sqrt(jnp.square(a - b) + epsilon**2))


def log_mse(a: Float[Array, "b h w c"], b: Float[Array, "b h w c"], floor: float = 1e-5) -> Float[Array, ""]:
    """Mean over images of log(mse + floor): PSNR up to a factor, so that a sharp image counts as much as a blurred one.

    floor: the error (50 dB by default) below which an image no longer matters.
    """
    return jnp.mean(jnp.log(jnp.mean(jnp.square(a - b), axis=(1, 2, 3)) + floor))
