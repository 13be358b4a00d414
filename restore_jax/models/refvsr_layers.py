"""Convolutional parts of RefVSR: encoder of references, confidence-guided fusion, upsampling.

Source: dissertation 5.2; docs/networks.md 4. Matching and alignment are in refvsr_alignment.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from restore_jax.models.layers import REFERENCE_LEAK, ConvPair, ResidualChain, conv
from restore_jax.ops.filtering import leaky_relu
from restore_jax.ops.resize import pixel_shuffle, upsample_bicubic

CONFIDENCE_WIDTH = 16


class ReferenceEncoder(nn.Module):
    """Turns a reference frame into features at full and half size, and at a quarter of it with levels=3."""

    features: int
    dtype: Any = jnp.float32
    levels: int = 2

    @nn.compact
    def __call__(self, image):
        x, found = image.astype(self.dtype), []
        for n, size in enumerate(("full", "half", "quarter")[: self.levels]):
            pair = (self.features, self.features)
            x = ConvPair(pair, 2 if n else 1, dtype=self.dtype, name=f"{size}_in")(x)
            x = ResidualChain(self.features, 4, dtype=self.dtype, name=f"{size}_blocks")(x)
            found.append(x)
        return tuple(found)


class Guided(nn.Module):
    """Computes conv(confidences) * conv([x, aligned]), which Eq. 5.6 adds to x."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, aligned, confidences):
        guide = ConvPair((CONFIDENCE_WIDTH, self.features), dtype=self.dtype, name="confidence")
        content = ConvPair((self.features, self.features), dtype=self.dtype, name="content")
        return guide(confidences.astype(self.dtype)) * content(jnp.concatenate([x, aligned], -1))


class Fusion(nn.Module):
    """Fuses aligned references into aggregated features, at the frame's size and at twice it."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, propagated_2x, aligned, aligned_2x, confidences):
        c, dtype = self.features, self.dtype
        x = x + Guided(c, dtype, name="guided")(x, aligned, confidences)
        x = ResidualChain(c, 8, dtype=dtype, name="blocks")(x)
        x2 = pixel_shuffle(conv(4 * c, "up", dtype=dtype)(x), 2)
        x2 = conv(c, "merge", dtype=dtype)(jnp.concatenate([propagated_2x, x2], -1))
        x2 = leaky_relu(x2, REFERENCE_LEAK)
        x2 = x2 + Guided(c, dtype, name="guided_2x")(x2, aligned_2x, upsample_confidence(confidences))
        return x, ResidualChain(c, 4, dtype=dtype, name="blocks_2x")(x2)


class Upsampler(nn.Module):
    """Turns features of both directions at twice the frame's size into the restored frame's residual (Eq. 5.2)."""

    features: int
    scale: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, directions, confidences):
        c, dtype = self.features, self.dtype
        x = conv(c, "merge", 1, dtype=dtype)(jnp.concatenate(directions, -1))
        if len(directions) == 2:
            x = x + Guided(c, dtype, name="guided")(*directions, upsample_confidence(confidences))
        x = ResidualChain(c, 4, dtype=dtype, name="blocks")(x)
        if self.scale == 4:
            x = leaky_relu(pixel_shuffle(conv(4 * c, "up", dtype=dtype)(x), 2))
        x = leaky_relu(conv(c, "conv_hr", dtype=dtype)(x))
        return conv(3, "conv_out", dtype=dtype)(x)


def upsample_confidence(confidence: Float[Array, "b h w n"], factor: int = 2) -> Float[Array, "b h2 w2 n"]:
    """Enlarge a confidence bicubically and clip it to [0, 1]."""
    return jnp.clip(upsample_bicubic(confidence, factor), 0, 1)
