"""DMENet's discriminator and calibration network, for training (dissertation 3.3.3, 3.3.5; docs/networks.md 2)."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from restore_jax.models.dmenet_layers import SLOPE, ConvBlock, batch_norm
from restore_jax.models.vgg import convolve
from restore_jax.ops.filtering import leaky_relu


class StridedBlock(nn.Module):
    """A convolution 4x4 of stride 2 without bias, batch normalisation and leaky ReLU."""

    features: int
    dtype: Any

    @nn.compact
    def __call__(self, x, train: bool):
        x = halving_conv(self.features, "conv", self.dtype)(x)
        return leaky_relu(batch_norm(x, train, "norm", self.dtype), SLOPE)


def halving_conv(features: int, name: str, dtype: Any):
    """A convolution 4x4 of stride 2 without bias; sides are rounded up, zeros pad the end more than the beginning."""
    init = nn.initializers.he_normal()
    return nn.Conv(features, (4, 4), 2, "SAME", use_bias=False, kernel_init=init, dtype=dtype, name=name)


class DomainDiscriminator(nn.Module):
    """D: tells features of synthetic images from those of real ones.

    Features (b, h, w, c) give logits (b, h/32, w/32, 1), sides rounded up; positive means synthetic.
    """

    width_divisor: int = 1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b _ _ 1"]:
        for n, width in enumerate((64, 128, 256, 512)):
            x = StridedBlock(width // self.width_divisor, self.dtype, name=f"block{n}")(x, train)
        return halving_conv(1, "logit", self.dtype)(x).astype(jnp.float32)


class SharpnessCalibration(nn.Module):
    """S: tells blurred pixels of a defocus map from sharp ones; (b, h, w, 1) gives logits of that size.

    size: side of the convolutions. With 1 a pixel's gradient reaches no other pixel; 3 smears the map (section 3.4.3).
    """

    width_divisor: int = 1
    size: int = 1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, defocus: Float[Array, "b h w 1"], train: bool = False) -> Float[Array, "b h w 1"]:
        x = defocus
        for n, width in enumerate((64, 32, 16), start=1):
            x = ConvBlock(width // self.width_divisor, 3, self.size, self.dtype, name=f"block{n}")(x, train)
        return convolve(x, 1, "logit", self.size, "symmetric", self.dtype).astype(jnp.float32)
