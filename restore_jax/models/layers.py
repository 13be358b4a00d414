"""Layers the networks share. Weights are Xavier uniform (times `gain`), biases zero."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from restore_jax.ops.convolution import convolution, transposed_convolution_4x4_s2
from restore_jax.ops.filtering import leaky_relu

REFERENCE_LEAK = 0.2  # slope of LeakyReLU in what matches and fuses references; elsewhere it is `ops.filtering.LEAK`
BLOCK_GAIN = 0.1  # factor of initial weights inside residual blocks, so that a chain of 30 is close to the identity


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


class ResidualChain(nn.Module):
    """Applies x + conv(LeakyReLU(conv x)) `count` times; a `tail` is one more convolution, plus the chain's input."""

    features: int
    count: int
    leak: float = REFERENCE_LEAK
    tail: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        skip = x
        for n in range(self.count):
            y = conv(self.features, f"conv_{n}_0", gain=BLOCK_GAIN, dtype=self.dtype)(x)
            x = x + conv(self.features, f"conv_{n}_1", gain=BLOCK_GAIN, dtype=self.dtype)(leaky_relu(y, self.leak))
        return skip + conv(self.features, "tail", dtype=self.dtype)(x) if self.tail else x


class ConvPair(nn.Module):
    """Two convolutions, each followed by LeakyReLU(.2); stride and size are those of the first."""

    widths: tuple[int, int]
    stride: int = 1
    dtype: Any = jnp.float32
    size: int = 3

    @nn.compact
    def __call__(self, x):
        x = leaky_relu(conv(self.widths[0], "conv_0", self.size, self.stride, dtype=self.dtype)(x), REFERENCE_LEAK)
        return leaky_relu(conv(self.widths[1], "conv_1", dtype=self.dtype)(x), REFERENCE_LEAK)
