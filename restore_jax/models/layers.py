"""Layers the networks share. Weights are Xavier uniform (times `gain`), biases zero."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from restore_jax.ops.convolution import convolution, transposed_convolution_4x4_s2
from restore_jax.ops.filtering import leaky_relu


def conv(features: int, name: str | None, size: int = 3, stride: int = 1, gain: float = 1.0, dtype: Any = jnp.float32):
    """Return a convolution with zero padding of size // 2; in `setup` its name is None."""
    init = nn.initializers.variance_scaling(gain**2, "fan_avg", "uniform")
    return nn.Conv(
        features, (size, size), stride, padding=size // 2, kernel_init=init, dtype=dtype, name=name,
        conv_general_dilated=convolution,
    )  # fmt: skip


class ResidualBlocks(nn.Module):
    """n times x = LeakyReLU(x + conv(LeakyReLU(conv(x)))); for n > 1 the input of the whole is added at the end."""

    features: int
    count: int
    gain: float = 1.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        skip = x
        for n in range(self.count):
            y = leaky_relu(conv(self.features, f"conv_{n}_0", gain=self.gain, dtype=self.dtype)(x))
            x = leaky_relu(x + conv(self.features, f"conv_{n}_1", gain=self.gain, dtype=self.dtype)(y))
        return x + skip if self.count > 1 else x


class TransposedConv(nn.Module):
    """Transposed convolution 4x4, stride 2, padding 1."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        shape = (4, 4, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.xavier_uniform(), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32)
        y = transposed_convolution_4x4_s2(x.astype(self.dtype), kernel.astype(self.dtype))
        return y + bias.astype(self.dtype)[None, None, None]
