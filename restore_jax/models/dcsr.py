"""DCSR, super-resolution of a camera's image by that of a camera with a longer focal length (Wang et al. 2021).

See docs/networks.md 5. RefVSR's alignment of patches is built on this one's.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from restore_jax.models.interface import Input, Interface
from restore_jax.models.layers import REFERENCE_LEAK, ConvPair, ResidualChain, conv
from restore_jax.models.refvsr_alignment import MATCHED_WIDTH, InputNormalisation, PatchAffine
from restore_jax.models.refvsr_layers import CONFIDENCE_WIDTH, upsample_confidence
from restore_jax.models.vgg import VGG19
from restore_jax.ops.filtering import leaky_relu
from restore_jax.ops.matching import match_patches
from restore_jax.ops.patches import copy_patches
from restore_jax.ops.resize import block_mean, resize_bicubic_align_corners, upsample_bicubic

DETAIL_WIDTH = 32


class DCSR(nn.Module):
    """Dual-camera super-resolution network.

    Attributes:
      num_feat: width.
      scale: how many times larger the output is: 2 as published, or 4, which has one level more of everything.
      num_blocks: residual blocks of the input's encoder, of the decoder at the input's size, and at larger sizes.
      mode: "downsampled": both images are enlarged twice for matching; "hd": they are not, to go up to 8K.
      dtype: that of the computation; parameters and matching stay float32.

    `apply(params, lr, ref, train=False)`: lr (b, h, w, 3) in [0, 1] (sides even in mode "hd") and a reference
    (b, hr, wr, 3) whose pixels are as fine as the output's, sides multiples of the scale (of twice it for "hd").
    Returns a dict:
      image (b, s·h, s·w, 3): float32, clipped to [0, 1] unless `train`.
      confidence (b, h, w, 1) in [0, 1], index (b, h, w) or, for "hd", (b, h / 2, w / 2): the matching's.
      details (b, s·h, s·w, 3): the reference's high frequencies, aligned with the output.
    """

    num_feat: int = 64
    scale: int = 2
    num_blocks: tuple[int, int, int] = (8, 8, 4)
    mode: str = "downsampled"
    dtype: Any = jnp.float32

    @property
    def interface(self) -> Interface:
        """Return what the network takes and gives."""
        scale, coarser = self.scale, 2 if self.mode == "hd" else 1
        inputs = Input("lr", coarser), Input("ref", coarser * scale, factor=scale // 2)  # of half the view
        options = {"scale": scale, "references": ("wide",), "reference_scale": float(scale), "engine": "stills"}
        return Interface("DCSR", inputs, "vsr", **options)

    @nn.compact
    def __call__(
        self, lr: Float[Array, "b h w 3"], ref: Float[Array, "b hr wr 3"], train: bool = False
    ) -> dict[str, Any]:
        self._check(lr, ref)
        c, scale, dtype = self.num_feat, self.scale, self.dtype
        confidence, index = Matcher(self.mode == "downsampled", name="matcher")(lr, block_mean(ref, scale))
        factor = lr.shape[1] // index.shape[1]  # the index map is this much smaller than the input

        def aligned(x, name):
            """Copy patches of x, which is `zoom` times as fine as the input, to where they were matched."""
            zoom = x.shape[1] * scale // ref.shape[1]
            size = factor * zoom
            copied = copy_patches(x, index, size)
            if zoom == 1:
                return copied
            seen = copy_patches(block_mean(ref, scale // zoom) if zoom < scale else ref, index, size)
            return PatchAffine(size, dtype=dtype, name=name)(copied, upsample_bicubic(lr, zoom), seen)

        details = aligned(ref - upsample_bicubic(block_mean(ref, scale), scale), "affine_details")
        features = ReferencePyramid(c, scale, dtype, name="encoder")(ref)
        x = leaky_relu(conv(c, "conv_in", dtype=dtype)(lr.astype(dtype)), REFERENCE_LEAK)
        x = ResidualChain(c, self.num_blocks[0], dtype=dtype, name="blocks_in")(x)
        for zoom in (n for n in (1, 2, 4) if n <= scale):
            if zoom > 1:
                x = upsample_bicubic(x, 2)
            guide = upsample_confidence(confidence, zoom) if zoom > 1 else confidence
            reference = aligned(features[zoom], f"affine_{zoom}x")
            x = AdaptiveFusion(c, dtype, name=f"fuse_{zoom}x")(x, reference, guide)
            x = ResidualChain(c, self.num_blocks[min(zoom, 2)], dtype=dtype, name=f"blocks_{zoom}x")(x)
        x = leaky_relu(conv(c // 2, "conv_mid", dtype=dtype)(x), REFERENCE_LEAK)
        gate = jnp.concatenate([upsample_confidence(confidence, scale), details], -1).astype(dtype)
        gate = ConvPair((DETAIL_WIDTH, 3), dtype=dtype, size=7, name="gate")(gate)
        image = conv(3, "conv_out", dtype=dtype)(x).astype(jnp.float32) + details * gate.astype(jnp.float32)
        return {
            "image": image if train else jnp.clip(image, 0, 1),
            "confidence": confidence,
            "index": index,
            "details": details,
        }

    def _check(self, lr, ref):
        for field, known in (("scale", (2, 4)), ("mode", ("downsampled", "hd"))):
            if getattr(self, field) not in known:
                raise ValueError(f"dcsr: {field}={getattr(self, field)!r} is none of {', '.join(map(str, known))}")
        coarser = 2 if self.mode == "hd" else 1
        for frame, multiple in ((lr, coarser), (ref, coarser * self.scale)):
            if any(side % multiple for side in frame.shape[1:3]):
                raise ValueError(f"dcsr: {frame.shape[1]}x{frame.shape[2]} is not a multiple of {multiple}")


class Matcher(nn.Module):
    """Finds the most similar place of the reference for every place of the input, at equal scale.

    `apply(params, lr, ref)` returns the confidence (b, h, w, 1) in [0, 1] and the int32 index. The index has (b, h, w)
    if the images are first enlarged by 2, else (b, h / 2, w / 2), because the features have half their images' size.
    """

    enlarge: bool

    @nn.compact
    def __call__(self, lr, ref):
        encoder, normalisation = VGG19("relu2_1", name="vgg"), InputNormalisation(name="normalisation")
        projection = conv(MATCHED_WIDTH, "projection", 1)

        def features(image):
            if self.enlarge:
                image = resize_bicubic_align_corners(image, *(2 * side for side in image.shape[1:3]))
            return leaky_relu(projection(encoder(normalisation(image))["relu2_1"]), REFERENCE_LEAK)

        scores, index = match_patches(features(lr), features(ref))
        return jnp.clip(scores, 0, 1) if self.enlarge else upsample_confidence(scores), index[..., 0]


class ReferencePyramid(nn.Module):
    """Turns a reference into {zoom over the input: features}, each level half the size of the one before."""

    features: int
    scale: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, ref):
        x, levels, zoom = ref.astype(self.dtype), {}, self.scale
        while zoom:
            stride = 1 if zoom == self.scale else 2
            x = ConvPair((self.features,) * 2, stride, dtype=self.dtype, name=f"in_{zoom}x")(x)
            x = levels[zoom] = ResidualChain(self.features, 4, dtype=self.dtype, name=f"blocks_{zoom}x")(x)
            zoom //= 2
        return levels


class AdaptiveFusion(nn.Module):
    """Adds details of the aligned reference to x, weighted by the confidence of the matching."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, aligned, confidence):
        guide = ConvPair((CONFIDENCE_WIDTH, self.features), dtype=self.dtype, size=7, name="confidence")
        content = ConvPair((self.features,) * 2, dtype=self.dtype, size=5, name="content")
        return x + guide(confidence.astype(self.dtype)) * content(jnp.concatenate([aligned, x], -1))
