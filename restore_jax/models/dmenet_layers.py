"""Layers of DMENet and its critics: convolutions with batch normalisation."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from restore_jax.models.vgg import convolve
from restore_jax.ops.filtering import leaky_relu

SLOPE = 0.2  # slope of every leaky ReLU below zero


def batch_norm(x, train: bool, name: str, dtype: Any, scale: bool = False):
    """Normalise a batch and shift it (and scale it, if `scale`), inside a compact method: decay 0.9, epsilon 1e-5.

    train: normalise by the batch's own mean and (biased) variance, and update the averages, which needs
    `apply(..., mutable=["batch_stats"])`; otherwise normalise by the averages. Statistics are float32. Under jit they
    are those of the whole batch, however it is sharded.
    """
    norm = nn.BatchNorm(
        use_running_average=not train,
        momentum=0.9,
        epsilon=1e-5,
        use_scale=scale,
        use_fast_variance=False,  # E[x^2] - E[x]^2 cancels where the mean is large
        dtype=jnp.float32,
        name=name,
    )
    return norm(x.astype(jnp.float32)).astype(dtype)


class ConvNorm(nn.Module):
    """A convolution with bias and symmetric padding, then batch normalisation."""

    features: int
    size: int = 3
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, train: bool):
        x = convolve(x, self.features, "conv", self.size, "symmetric", self.dtype)
        return batch_norm(x, train, "norm", self.dtype)


class ConvBlock(nn.Module):
    """`count` times a convolution, batch normalisation and leaky ReLU."""

    features: int
    count: int
    size: int = 3
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, train: bool):
        for n in range(1, self.count + 1):
            x = leaky_relu(ConvNorm(self.features, self.size, self.dtype, name=f"conv{n}")(x, train), SLOPE)
        return x
