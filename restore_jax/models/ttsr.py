"""TTSR, super-resolution by textures of a reference (Yang et al. 2020; docs/networks.md 5).

Hard attention finds and transfers the textures; three scales integrate them.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from restore_jax.models.interface import Input, Interface
from restore_jax.models.layers import ResidualChain, conv
from restore_jax.models.refvsr_alignment import InputNormalisation
from restore_jax.models.srresnet import Discriminator
from restore_jax.models.vgg import VGG19
from restore_jax.ops.imresize import imresize
from restore_jax.ops.matching import match_patches
from restore_jax.ops.patches import transfer_patches
from restore_jax.ops.resize import pixel_shuffle, upsample_bicubic

SCALE = 4
TEXTURES = ("relu1_1", "relu2_1", "relu3_1")  # VGG19's layers at levels 1 (the output's size), 2 (half) and 3 (input's)


class TTSR(nn.Module):
    """Texture transformer network for super-resolution by 4.

    Attributes:
      num_feat, num_blocks: width, and residual blocks before and in the three stages.
      vgg_divisor: the widths of the texture extractor are divided by it; 1 as published.
      critic: with the discriminator, which training alone needs.
      dtype: that of the computation; parameters, textures and matching stay float32.

    `apply(params, lr, ref, train=False)`: lr (b, h, w, 3) in [0, 1], and a reference (b, hr, wr, 3) whose pixels are as
    fine as the output's, sides multiples of 4. Returns a dict:
      image (b, 4h, 4w, 3): float32, clipped to [0, 1] unless `train`.
      confidence (b, h, w, 1), index (b, h, w): the similarity S of the best match and its place in the reference.
      transferred: [T1 (b, 4h, 4w, 64), T2 (b, 2h, 2w, 128), T3 (b, h, w, 256)].
    `method="textures"` gives [level 1, 2, 3] of an image in [0, 1]; `method="judge"` the discriminator's logits (b,).
    """

    num_feat: int = 64
    num_blocks: tuple[int, int, int, int] = (16, 16, 8, 4)
    vgg_divisor: int = 1
    critic: bool = False
    dtype: Any = jnp.float32

    def setup(self):
        self.normalisation = InputNormalisation()
        self.extractor = VGG19(TEXTURES[-1], self.vgg_divisor)
        self.main = MainNet(self.num_feat, self.num_blocks, self.dtype)
        if self.critic:
            self.discriminator = Discriminator(self.num_feat // 2, normalised=False, dtype=self.dtype)

    @property
    def interface(self) -> Interface:
        """Return what the network takes and gives."""
        inputs = Input("lr"), Input("ref", SCALE, factor=SCALE // 2)  # as fine as the output, of half the view
        options = {"scale": SCALE, "references": ("wide",), "reference_scale": float(SCALE), "engine": "stills"}
        return Interface("TTSR", inputs, "vsr", **options)

    def __call__(
        self, lr: Float[Array, "b h w 3"], ref: Float[Array, "b hr wr 3"], train: bool = False
    ) -> dict[str, Any]:
        if any(side % SCALE for side in ref.shape[1:3]):
            raise ValueError(f"ttsr: the reference's {ref.shape[1]}x{ref.shape[2]} is not a multiple of {SCALE}")
        # The query must be as blurred as the key: the reference is reduced and enlarged again.
        query = self.textures(imresize(lr, SCALE))[-1]
        key = self.textures(imresize(imresize(ref, 1 / SCALE), SCALE))[-1]
        confidence, index = match_patches(query, key, padding="zero")
        index = index[..., 0]
        transferred = [
            transfer_patches(texture, index, size) for texture, size in zip(self.textures(ref), (4, 2, 1), strict=True)
        ]
        image = (self.main(2 * lr - 1, transferred, confidence) + 1) / 2
        if self.critic and self.is_initializing():
            self.judge(image)
        return {
            "image": image if train else jnp.clip(image, 0, 1),
            "confidence": confidence,
            "index": index,
            "transferred": transferred,
        }

    def textures(self, image: Float[Array, "b h w 3"]) -> list[Float[Array, "b _ _ _"]]:
        """Return features at the image's size, half and a quarter of it."""
        features = self.extractor(self.normalisation(image))
        return [features[layer] for layer in TEXTURES]

    def judge(self, image: Float[Array, "b h w 3"], train: bool = False) -> Float[Array, " b"]:
        """Return the critic's scores: large for photographs, small for results. `train` changes nothing."""
        return self.discriminator(image)


class MainNet(nn.Module):
    """Turns (b, h, w, 3) in [-1, 1] and transferred textures of levels 1 to 3 into (b, 4h, 4w, 3) in about [-1, 1]."""

    features: int
    num_blocks: tuple[int, int, int, int]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr, transferred, confidence):
        c, dtype = self.features, self.dtype
        blocks = self.num_blocks

        def transfer(x, level):
            """Add transferred textures to x, weighted by their similarity."""
            factor = x.shape[1] // confidence.shape[1]
            weight = (upsample_bicubic(confidence, factor) if factor > 1 else confidence).astype(dtype)
            seen = jnp.concatenate([x, transferred[level - 1].astype(dtype)], -1)
            return x + conv(c, f"transfer{level}", dtype=dtype)(seen) * weight

        def enlarge(x, name):
            return nn.relu(pixel_shuffle(conv(4 * c, name, dtype=dtype)(x), 2))

        def refine(scales, stage):
            """Exchange between scales, apply residual blocks in each, and add their input."""
            refined = []
            for n, x in enumerate(Exchange(c, dtype, name=f"exchange{stage}")(scales), start=1):
                x = ResidualChain(c, blocks[stage], 0.0, tail=False, dtype=dtype, name=f"blocks{stage}_{n}")(x)
                refined.append(scales[n - 1] + conv(c, f"tail{stage}_{n}", dtype=dtype)(x))
            return refined

        x = nn.relu(conv(c, "conv_in", dtype=dtype)(lr.astype(dtype)))
        x1 = ResidualChain(c, blocks[0], 0.0, dtype=dtype, name="shallow")(x)
        x1 = ResidualChain(c, blocks[1], 0.0, dtype=dtype, name="blocks1")(transfer(x1, 3))
        x1, x2 = refine([x1, transfer(enlarge(x1, "up2"), 2)], 2)
        x1, x2, x3 = refine([x1, x2, transfer(enlarge(x2, "up3"), 1)], 3)
        brought = [
            nn.relu(conv(c, f"bring{n}", 1, dtype=dtype)(upsample_bicubic(x, factor)))
            for n, (x, factor) in enumerate(((x1, 4), (x2, 2)), start=1)
        ]
        x = nn.relu(conv(c, "merge", dtype=dtype)(jnp.concatenate([x3, *brought], -1)))
        x = conv(c // 2, "conv_mid", dtype=dtype)(x)
        return conv(3, "conv_out", 1, dtype=dtype)(x).astype(jnp.float32)


class Exchange(nn.Module):
    """Merges every scale, coarsest first, with all others resized to it (cross-scale integration)."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, scales: Sequence[Float[Array, "b _ _ c"]]):
        merged = []
        for to, own in enumerate(scales, start=1):
            seen = [own] + [self._brought(x, at, to) for at, x in enumerate(scales, start=1) if at != to]
            merge = conv(self.features, f"merge{to}", dtype=self.dtype)
            merged.append(nn.relu(merge(jnp.concatenate(seen, -1))))
        return merged

    def _brought(self, x, at, to):
        if at < to:
            x = upsample_bicubic(x, 2 ** (to - at))
            return nn.relu(conv(self.features, f"from{at}_to{to}", 1, dtype=self.dtype)(x))
        for n in range(at - to):
            x = nn.relu(conv(self.features, f"from{at}_to{to}_{n}", stride=2, dtype=self.dtype)(x))
        return x
