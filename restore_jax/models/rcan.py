"""RCAN, residual groups of blocks with channel attention (Zhang et al. 2018; docs/networks.md 5)."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from restore_jax.models.interface import Interface, pictures
from restore_jax.models.layers import BLOCK_GAIN, conv
from restore_jax.ops.resize import pixel_shuffle

MEAN = (0.4488, 0.4371, 0.4040)  # the mean colour of DIV2K


class RCAN(nn.Module):
    """Residual channel attention network.

    Attributes:
      num_feat, num_groups, num_blocks: width, groups, and blocks of a group.
      reduction: divisor of the number of channels inside channel attention.
      scale: how many times larger the output is, 2 or 4.
      dtype: that of the computation; parameters stay float32.

    `apply(params, lr, train=False)`: lr (b, h, w, 3) in [0, 1]. Returns {"image" (b, s·h, s·w, 3) float32, clipped to
    [0, 1] unless `train`, "features" (b, h, w, c)}.
    """

    num_feat: int = 64
    num_groups: int = 10
    num_blocks: int = 20
    reduction: int = 16
    scale: int = 4
    dtype: Any = jnp.float32

    @property
    def interface(self) -> Interface:
        """Return what the network takes and gives."""
        return Interface("RCAN", pictures("lr"), "vsr", scale=self.scale, engine="stills", any_size=True)

    @nn.compact
    def __call__(self, lr: Float[Array, "b h w 3"], train: bool = False) -> dict[str, Array]:
        if self.scale not in (2, 4):
            raise ValueError(f"rcan: scale={self.scale} is none of 2, 4")
        c, dtype, mean = self.num_feat, self.dtype, np.array(MEAN, np.float32).reshape(1, 1, 1, 3)
        x = skip = conv(c, "conv_in", dtype=dtype)((255 * (lr.astype(jnp.float32) - mean)).astype(dtype))
        for n in range(self.num_groups):
            x = AttentionGroup(c, self.num_blocks, self.reduction, dtype, name=f"group_{n}")(x)
        x = features = skip + conv(c, "conv_mid", dtype=dtype)(x)
        for n in range(self.scale // 2):
            x = pixel_shuffle(conv(4 * c, f"up_{n}", dtype=dtype)(x), 2)
        image = conv(3, "conv_out", dtype=dtype)(x).astype(jnp.float32) / 255 + mean
        return {"image": image if train else jnp.clip(image, 0, 1), "features": features}


class AttentionGroup(nn.Module):
    """Applies x + attention(conv(ReLU(conv x))) `count` times, then a convolution, and adds the group's input."""

    features: int
    count: int
    reduction: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        skip = x
        for n in range(self.count):
            y = nn.relu(conv(self.features, f"conv_{n}_0", gain=BLOCK_GAIN, dtype=self.dtype)(x))
            y = conv(self.features, f"conv_{n}_1", gain=BLOCK_GAIN, dtype=self.dtype)(y)
            x = x + ChannelAttention(self.features, self.reduction, self.dtype, name=f"attention_{n}")(y)
        return skip + conv(self.features, "conv_out", dtype=self.dtype)(x)


class ChannelAttention(nn.Module):
    """Multiplies each channel by a weight in [0, 1], which is computed from the means of all channels."""

    features: int
    reduction: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        y = jnp.mean(x, (1, 2), keepdims=True)
        y = nn.relu(conv(self.features // self.reduction, "squeeze", 1, dtype=self.dtype)(y))
        return x * nn.sigmoid(conv(self.features, "excite", 1, dtype=self.dtype)(y))
