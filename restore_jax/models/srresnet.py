"""SRResNet, the generator of SRGAN, and SRGAN's discriminator (Ledig et al. 2017; docs/networks.md 5)."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from restore_jax.models.dmenet_layers import SLOPE, batch_norm
from restore_jax.models.interface import Interface, pictures
from restore_jax.models.layers import BLOCK_GAIN, conv
from restore_jax.ops.filtering import leaky_relu
from restore_jax.ops.resize import pixel_shuffle


class SRResNet(nn.Module):
    """Residual blocks with batch normalisation, then sub-pixel convolutions.

    Attributes:
      num_feat, num_blocks: width and residual blocks.
      scale: how many times larger the output is, 2 or 4.
      critic: with SRGAN's discriminator, which training alone needs.
      dtype: that of the computation; parameters and statistics stay float32.

    `apply(variables, lr, train=False)`: lr (b, h, w, 3) in [0, 1]. With `train` batches are normalised by their own
    statistics: `mutable=["batch_stats"]`. Returns {"image" (b, s·h, s·w, 3) float32, clipped to [0, 1] unless `train`,
    "features" (b, h, w, c)}. `apply(variables, image, train=False, method="judge")`: the discriminator's logits (b,).
    """

    num_feat: int = 64
    num_blocks: int = 5
    scale: int = 4
    critic: bool = False
    dtype: Any = jnp.float32

    def setup(self):
        if self.scale not in (2, 4):
            raise ValueError(f"srresnet: scale={self.scale} is none of 2, 4")
        self.generator = Generator(self.num_feat, self.num_blocks, self.scale, self.dtype)
        if self.critic:
            self.discriminator = Discriminator(self.num_feat, dtype=self.dtype)

    @property
    def interface(self) -> Interface:
        """Return what the network takes and gives."""
        return Interface("SRResNet", pictures("lr"), "vsr", scale=self.scale, engine="stills", any_size=True)

    def __call__(self, lr: Float[Array, "b h w 3"], train: bool = False) -> dict[str, Array]:
        image, features = self.generator(lr.astype(self.dtype), train)
        image = image.astype(jnp.float32)
        if self.critic and self.is_initializing():
            self.judge(image)
        return {"image": image if train else jnp.clip(image, 0, 1), "features": features}

    def judge(self, image: Float[Array, "b h w 3"], train: bool = False) -> Float[Array, " b"]:
        """Return the discriminator's logits: large for photographs, small for results."""
        return self.discriminator(image, train)


class Generator(nn.Module):
    """Turns (b, h, w, 3) into the image and the features before enlargement."""

    features: int
    count: int
    scale: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr, train: bool):
        c, dtype = self.features, self.dtype

        def normalised_conv(x, name, gain=1.0):
            x = conv(c, name, gain=gain, dtype=dtype)(x)
            return batch_norm(x, train, f"{name}_norm", dtype, scale=True)

        x = skip = prelu("relu_in")(conv(c, "conv_in", 9, dtype=dtype)(lr))
        for n in range(self.count):
            y = prelu(f"relu_{n}")(normalised_conv(x, f"conv_{n}_0", BLOCK_GAIN))
            x = x + normalised_conv(y, f"conv_{n}_1", BLOCK_GAIN)
        x = features = skip + normalised_conv(x, "conv_mid")
        for n in range(self.scale // 2):
            x = prelu(f"relu_up_{n}")(pixel_shuffle(conv(4 * c, f"up_{n}", dtype=dtype)(x), 2))
        return conv(3, "conv_out", 9, dtype=dtype)(x), features


def prelu(name: str):
    """Return a leaky ReLU with one learnt slope, initially a quarter."""
    return nn.PReLU(negative_slope_init=0.25, name=name)


class Discriminator(nn.Module):
    """Tells photographs (b, h, w, 3) from results by logits (b,).

    It has eight convolutions, every second of stride 2. The two dense layers see the mean over space, so that crops may
    have any size. normalised: use batch normalisation, as SRGAN does; WGAN-GP needs it off.
    """

    features: int = 64
    normalised: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, image, train: bool = False):
        x = image.astype(self.dtype)
        for n in range(8):
            width = self.features * 2 ** (n // 2)
            x = conv(width, f"conv_{n}", stride=1 + n % 2, dtype=self.dtype)(x)
            if self.normalised and n:
                x = batch_norm(x, train, f"norm_{n}", self.dtype, scale=True)
            x = leaky_relu(x, SLOPE)
        x = jnp.mean(x.astype(jnp.float32), (1, 2))
        x = leaky_relu(nn.Dense(16 * self.features, name="hidden")(x), SLOPE)
        return nn.Dense(1, name="logit")(x)[:, 0]
