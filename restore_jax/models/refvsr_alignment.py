"""RefVSR's alignment of references: by matching patches, which are copied and affinely refined, or by optical flow.

Source: dissertation 5.2.3, after DCSR, and 5.4.5; docs/networks.md 4, "Matching", "Patch copy", "Patch-wise affine".
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from restore_jax.models.layers import REFERENCE_LEAK, ResidualChain, conv
from restore_jax.models.refvsr_layers import upsample_confidence
from restore_jax.models.vgg import IMAGENET_MEAN, IMAGENET_STD, VGG19
from restore_jax.ops.filtering import leaky_relu
from restore_jax.ops.matching import match_patches, patch_similarity
from restore_jax.ops.patches import affine_patches, copy_patches
from restore_jax.ops.resize import block_mean, every_nth, halve_bicubic, upsample_bicubic

MATCHED_WIDTH = 16
AFFINE_WIDTH = 32
LARGEST = 3.0  # bound of the affine parameters, which are scales and 1 + angle / ANGLE
ANGLE = 1.0472


class InputNormalisation(nn.Module):
    """ImageNet's colour statistics as a 1x1 convolution that is stored with the parameters and never trained."""

    @nn.compact
    def __call__(self, image):
        kernel = self.param("kernel", lambda _: jnp.diag(1 / jnp.array(IMAGENET_STD))[None, None])
        bias = self.param("bias", lambda _: -jnp.array(IMAGENET_MEAN) / jnp.array(IMAGENET_STD))
        kernel, bias = jax.lax.stop_gradient((kernel, bias))
        return jnp.einsum("bhwi,io->bhwo", image, kernel[0, 0], precision="highest") + bias[None, None, None]


class Matcher(nn.Module):
    """Finds the most similar place of the reference for every place of a frame (Eq. 5.4).

    halve: halve both images first (real-HD input). deep: use features at half their images' size.
    `apply(params, frame, reference, pooling=2)`: the reference has `pooling` pixels for one of the frame, on the same
    object. Returns the confidence (b, h, w, 1) in [0, 1] and int32 indices of the matched features' places,
    (b, h / n, w / n) for a matching at 1 / n of the frame's size. Indices carry no gradient. With search=False the
    reference lies on the frame already: the confidence is that of patches at the same place, and there is no index.
    """

    halve: bool
    deep: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        frame: Float[Array, "b h w 3"],
        reference: Float[Array, "b hr wr 3"],
        pooling: int = 2,
        search: bool = True,
    ):
        encoder = VGG19("relu2_1" if self.deep else "relu1_2", dtype=self.dtype, name="vgg")
        projection = conv(MATCHED_WIDTH, "projection", 1, dtype=self.dtype)
        normalisation = InputNormalisation(name="normalisation")

        def features(image):
            return leaky_relu(projection(encoder(normalisation(image))[encoder.last]), REFERENCE_LEAK)

        height = frame.shape[1]
        if self.halve:
            frame, reference = every_nth(frame, 2), every_nth(reference, 2)
        pair = features(frame), features(block_mean(reference, pooling) if pooling > 1 else reference)
        scores, index = match_patches(*pair) if search else (patch_similarity(*pair), None)
        factor = height // scores.shape[1]
        confidence = upsample_confidence(scores, factor) if factor > 1 else jnp.clip(scores, 0, 1)
        return confidence, None if index is None else index[..., 0]


class PatchAffine(nn.Module):
    """Turns and scales copied patches to fit the frame better.

    `apply(params, copied, query, copied_image)`: features (b, size·n, size·m, c) copied patch by patch, and likewise
    the reference's image; query: the frame upsampled to their size.
    """

    size: int
    border: str = "paper"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, copied, query, copied_image):
        width, dtype = AFFINE_WIDTH, self.dtype
        encoder_in = conv(width, "encoder_in", 5, dtype=dtype)
        encoder_block = ResidualChain(width, 1, tail=False, dtype=dtype, name="encoder_block")

        def encode(image):
            return leaky_relu(
                encoder_block(leaky_relu(encoder_in(image.astype(dtype)), REFERENCE_LEAK)), REFERENCE_LEAK
            )

        x = jnp.concatenate([encode(copied_image), encode(query)], -1)
        x = leaky_relu(conv(width, "conv_in", 5, self.size, dtype=dtype)(x), REFERENCE_LEAK)
        x = leaky_relu(ResidualChain(width, 1, tail=False, dtype=dtype, name="block")(x), REFERENCE_LEAK)
        x = conv(3, "conv_out", 1, dtype=dtype)(x).astype(jnp.float32)
        x = jnp.clip(x + 1, -LARGEST, LARGEST)
        return affine_patches(copied, x[..., :2], (x[..., 2] - 1) * ANGLE, self.border)


def copied_reference(
    frame: Float[Array, "b h w 3"],
    double: Float[Array, "b hr wr 3"],
    features: tuple[Array, Array],
    index: Int[Array, "b _ _"],
    n: int,
    affines: tuple[PatchAffine | None, PatchAffine],
    full_size_seen: bool = False,
) -> tuple[Array, Array]:
    """Copy reference features to where they were matched, and refine them: (b, h, w, c) and (b, 2h, 2w, c).

    double: the reference at 2 pixels for one of the frame. features: the reference's at 1 and at 2 pixels for one. n:
    the index map has 1 / n of the frame's size. full_size_seen: the published network shows the affine part of the
    smaller level `double` in place of the reference at the frame's scale (docs/networks.md 4, quirk c).
    """
    aligned, aligned_2x = (copy_patches(x, index, size) for x, size in zip(features, (n, 2 * n), strict=True))
    aligned_2x = affines[1](aligned_2x, upsample_bicubic(frame, 2), copy_patches(double, index, 2 * n))
    if n > 1:
        query = jnp.clip(halve_bicubic(frame), 0, 1)
        seen = double if full_size_seen else block_mean(double, 2)
        aligned = affines[0](aligned, upsample_bicubic(query, 2), copy_patches(seen, index, n))
    return aligned, aligned_2x


def copied_state(
    state: dict[str, Array],
    frame: Float[Array, "b h w 3"],
    found: dict[str, Array],
    n: int,
    affines: tuple[PatchAffine | None, PatchAffine],
) -> tuple[Array, Array, Array]:
    """Copy a neighbour's state to where it was matched, and refine it: features, those at 2x, confidence.

    found: {index, confidence (b, h, w, 1), neighbour (b, h, w, 3)}. The state's confidence is multiplied by the
    match's.
    """
    index, neighbour = found["index"], found["neighbour"]
    x, x_2x, confidence = (
        copy_patches(state[name], index, size)
        for name, size in (("features", n), ("features_2x", 2 * n), ("confidence", n))
    )
    copied = copy_patches(upsample_bicubic(neighbour, 2), index, 2 * n)
    x_2x = affines[1](x_2x, upsample_bicubic(frame, 2), copied)
    if n > 1:
        x = affines[0](x, frame, copy_patches(neighbour, index, n))
    return x, x_2x, confidence * found["confidence"]


def placed(x: Float[Array, "b hr wr c"], height: int, width: int, factor: int = 1) -> Float[Array, "b _ _ c"]:
    """Pad x with zeros around, or crop its middle, to (b, factor height, factor width, c)."""
    pads = []
    for size, target in ((x.shape[1], height), (x.shape[2], width)):
        before = factor * ((target - size // factor) // 2)
        pads.append((before, factor * target - size - before, 0))
    return jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *pads, (0, 0, 0)))
