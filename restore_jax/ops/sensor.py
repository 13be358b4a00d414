"""Effects of a sensor and a camera's processing on linear light: noise, smoothing, tone curve, sharpening.

    noisy = linear + noise(key, linear, shot=1e-3, read=2e-3, smoothing=0.7)
    sharpened = sharpen(encoded, amount=0.5, sigma=1.0)

Source: Foi et al., "Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data", 2008; typical
strengths are those of Brooks et al., "Unprocessing images for learned raw denoising", 2019.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

_TAPS = 4  # on each side of a Gaussian's middle: 2 sigmas of the largest


def noise(key: Key[Array, ""], linear: Float[Array, "h w c"], shot, read, smoothing=0.0) -> Float[Array, "h w c"]:
    """Noise to add to linear light: variance shot * light + read^2, smoothed by a Gaussian of sigma `smoothing` pixels.

    Smoothing is what a camera's denoising leaves: less noise, and coarser.
    """
    sigma = jnp.sqrt(shot * jnp.clip(linear, 0, None) + read**2)
    return gaussian(sigma * jax.random.normal(key, linear.shape), smoothing)


def sharpen(image: Float[Array, "h w c"], amount, sigma) -> Float[Array, "h w c"]:
    """An unsharp mask: the image plus `amount` of what a Gaussian of `sigma` pixels (at most 2) takes from it."""
    return image + amount * (image - gaussian(image, sigma))


def gaussian(image: Float[Array, "h w c"], sigma) -> Float[Array, "h w c"]:
    """A Gaussian blur of sigma pixels (at most 2, may be traced; 0 changes nothing), borders repeated."""
    offsets = jnp.arange(-_TAPS, _TAPS + 1, dtype=jnp.float32)
    weights = jnp.exp(-0.5 * jnp.square(offsets / jnp.maximum(sigma, 1e-3)))
    weights = weights / weights.sum()
    for axis in (0, 1):
        padding = [(_TAPS, _TAPS) if a == axis else (0, 0) for a in range(3)]
        padded = jnp.pad(image, padding, "edge")
        parts = (
            weight * jax.lax.slice_in_dim(padded, n, n + image.shape[axis], axis=axis)
            for n, weight in enumerate(weights)
        )
        image = sum(parts)
    return image


def encode(linear: Float[Array, "h w c"], gamma) -> Float[Array, "h w c"]:
    """Linear light, clipped to [0, 1], through the tone curve light^(1 / gamma)."""
    return jnp.clip(linear, 0, 1) ** (1 / gamma)
