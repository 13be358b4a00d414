"""Training losses: functions of arrays that return a scalar."""

import jax.numpy as jnp
from jaxtyping import Array, Float

GAUSSIAN = (0.2960964, 0.4078072, 0.2960964)


def mse(a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, ""]:
    """Compute the mean squared error."""
    return jnp.mean(jnp.square(a - b))


def charbonnier(a: Float[Array, "..."], b: Float[Array, "..."], epsilon: float = 1e-3) -> Float[Array, ""]:
    """Average sqrt((a - b)^2 + epsilon^2), a smooth absolute error (Charbonnier et al. 1994)."""
    return jnp.mean(jnp.sqrt(jnp.square(a - b) + epsilon**2))


def l1(a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, ""]:
    """Compute the mean absolute error."""
    return jnp.mean(jnp.abs(a - b))


def low_frequencies(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Blur x by the 3x3 Gaussian of Eq. 5.8, mirrored at its edges; 2 pixels larger (docs/networks.md 4, "Losses").

    The kernel is the published one: a Gaussian of sigma 1, folded into three samples by mirroring.
    """
    x = jnp.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), "reflect")
    x = sum(weight * x[:, n : x.shape[1] - 2 + n] for n, weight in enumerate(GAUSSIAN))
    return sum(weight * x[:, :, n : x.shape[2] - 2 + n] for n, weight in enumerate(GAUSSIAN))
