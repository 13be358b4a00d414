"""DMENet: a defocus map from one defocused image (dissertation, chapter III; docs/networks.md 2).

B is a U-Net with VGG19 as its encoder and residual blocks that refine its last features. The networks that train it
are in dmenet_critics.py (D and S) and vgg.py (C).
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from restore_jax.models.dmenet_critics import DomainDiscriminator, SharpnessCalibration
from restore_jax.models.dmenet_layers import SLOPE, ConvBlock, ConvNorm
from restore_jax.models.interface import Interface, pictures
from restore_jax.models.vgg import VGG19, caffe_input, convolve
from restore_jax.ops.filtering import leaky_relu
from restore_jax.ops.resize import upsample_nearest

SKIPS = ("relu1_2", "relu2_2", "relu3_4", "relu4_4", "relu5_4")  # VGG19's features d0 to d4
LEVELS = {3: (256, 3), 2: (128, 3), 1: (64, 3), 0: (64, 1)}  # {level of the decoder: (width, convolutions)}
AUXILIARY = {4: 256, 3: 128, 2: 64, 1: 32, 0: 32}  # level: width of its auxiliary head
REFINEMENTS = 7


class Decoder(nn.Module):
    """Turns the encoder's features d0 to d4 into {level: features}: 3 at 1/8 of the image's size, 0 at all of it."""

    width_divisor: int
    dtype: Any

    @nn.compact
    def __call__(self, skips, train: bool):
        x, levels = skips[4], {}
        for level, (width, count) in LEVELS.items():
            x = jnp.concatenate([upsample_nearest(x, 2), skips[level]], -1)
            x = ConvBlock(width // self.width_divisor, count, dtype=self.dtype, name=f"level{level}")(x, train)
            levels[level] = x
        return levels


class AuxiliaryHeads(nn.Module):
    """Turns {level: features} into {"u4" ... "u0": defocus map of that level's size}."""

    width_divisor: int
    dtype: Any

    @nn.compact
    def __call__(self, levels, train: bool):
        maps = {}
        for level, width in AUXILIARY.items():
            name = f"u{level}"
            x = ConvNorm(width // self.width_divisor, dtype=self.dtype, name=f"{name}_hidden")(levels[level], train)
            x = ConvNorm(1, dtype=self.dtype, name=f"{name}_map")(leaky_relu(x, SLOPE), train)
            maps[name] = nn.sigmoid(x.astype(jnp.float32))
        return maps


class Refinement(nn.Module):
    """Turns the decoder's last features into the defocus map: residual blocks, then the head."""

    width_divisor: int
    dtype: Any

    @nn.compact
    def __call__(self, x, train: bool):
        width = 64 // self.width_divisor
        for n in range(REFINEMENTS):
            skip = ConvBlock(width, 1, 1, self.dtype, name=f"skip{n}")(x, train)
            x = ConvBlock(width, 2, dtype=self.dtype, name=f"block{n}")(x, train) + skip
        x = ConvBlock(width, 1, dtype=self.dtype, name="head1")(x, train)
        x = ConvBlock(width // 2, 1, dtype=self.dtype, name="head2")(x, train)
        return nn.sigmoid(convolve(x, 1, "head3", 3, "symmetric", self.dtype).astype(jnp.float32))


class DMENet(nn.Module):
    """Defocus map estimation network.

    Attributes:
      width_divisor: all widths are divided by it; 1 as published, at most 16.
      auxiliary: with the five heads of the scale-wise auxiliary loss.
      critics: with D and S, which only training needs.
      calibration_size: side of S's convolutions, 1, or 3 for the ablation of section 3.4.3.
      dtype: that of the computation; parameters and batch statistics stay float32.

    `apply(variables, image, train=False)`: image (b, h, w, 3) float32 in [0, 1], sides multiples of 16; variables
    {"params", "batch_stats"}. train=True normalises by the batch's statistics (see dmenet_layers.batch_norm). Returns
    a dict:
      defocus (b, h, w, 1): in [0, 1], float32; its unit is that of the labels (docs/networks.md: published, COC / 15
      px). aux: {"u4" ... "u0"}: the same estimated at 1/16, 1/8, 1/4, 1/2 and all of the size, for the auxiliary loss.
      d0 ... d4: the encoder's features, at all of the size to 1/16 of it.
      domain_features (b, h, w, 64): the decoder's last, what D sees.
      domain_logits, sharpness_logits: D of `domain_features` (positive: synthetic), S of `defocus`; with critics.
    D and S alone: `apply(variables, features, method="discriminate")`, `apply(variables, map, method="calibrate")`.
    """

    width_divisor: int = 1
    auxiliary: bool = True
    critics: bool = False
    calibration_size: int = 1
    dtype: Any = jnp.float32

    def setup(self):
        self.encoder = VGG19(SKIPS[-1], self.width_divisor, "symmetric", self.dtype)
        self.decoder = Decoder(self.width_divisor, self.dtype)
        self.refinement = Refinement(self.width_divisor, self.dtype)
        if self.auxiliary:
            self.auxiliary_heads = AuxiliaryHeads(self.width_divisor, self.dtype)
        if self.critics:
            self.discriminator = DomainDiscriminator(self.width_divisor, self.dtype)
            self.calibration = SharpnessCalibration(self.width_divisor, self.calibration_size, self.dtype)

    @property
    def interface(self) -> Interface:
        """Return what the network takes and gives."""
        return Interface("DMENet", pictures("image", 16), "defocus", output="defocus", any_size=True)

    def __call__(self, image: Float[Array, "b h w 3"], train: bool = False) -> dict:
        if image.shape[1] % 16 or image.shape[2] % 16:
            raise ValueError(f"dmenet: {image.shape[1]}x{image.shape[2]} is not a multiple of 16")
        features = self.encoder(caffe_input(image))
        skips = [features[layer] for layer in SKIPS]
        levels = self.decoder(skips, train)
        outputs = {f"d{n}": skip for n, skip in enumerate(skips)}
        outputs["domain_features"] = levels[0]
        outputs["defocus"] = self.refinement(levels[0], train)
        if self.auxiliary:
            outputs["aux"] = self.auxiliary_heads({4: skips[4], **levels}, train)
        if self.critics:
            outputs["domain_logits"] = self.discriminate(levels[0], train)
            outputs["sharpness_logits"] = self.calibrate(outputs["defocus"], train)
        return outputs

    def discriminate(self, features: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b _ _ 1"]:
        """Return D's logits of `domain_features`."""
        return self.discriminator(features, train)

    def calibrate(self, defocus: Float[Array, "b h w 1"], train: bool = False) -> Float[Array, "b h w 1"]:
        """Return S's logits of a defocus map."""
        return self.calibration(defocus, train)
