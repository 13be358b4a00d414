"""EDVR's alignment of frames by deformable convolutions (PCD), and their fusion (TSA); docs/networks.md 5."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from restore_jax.models.layers import conv
from restore_jax.ops.deform_conv import deform_conv, split_offsets
from restore_jax.ops.filtering import leaky_relu
from restore_jax.ops.resize import upsample_bilinear

LEVELS = ("l1", "l2", "l3")  # at the frame's size, 1/2 and 1/4 of it


class DeformableConv(nn.Module):
    """Modulated deformable convolution 3x3 of `x`, with offsets and masks that are predicted from `guide`.

    Returns (y, moved): moved (b,) is the mean absolute offset in pixels, before it is clamped.
    """

    features: int
    groups: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, guide):
        kernel = self.param("kernel", nn.initializers.xavier_uniform(), (3, 3, x.shape[-1], self.features), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32)
        # Offsets start at zero and masks at a half, which is a plain convolution.
        predicted = conv(27 * self.groups, "offset", gain=0.0, dtype=self.dtype)(guide).astype(jnp.float32)
        offsets, masks = split_offsets(predicted)
        y = deform_conv(x.astype(self.dtype), offsets, masks, kernel)
        return y + bias.astype(self.dtype)[None, None, None], jnp.abs(offsets).mean((1, 2, 3, 4, 5))


class PyramidAlignment(nn.Module):
    """Aligns a neighbour's features with the centre's, from the coarsest level to the finest, and once more.

    `apply(params, neighbour, centre)`: features {level: (b, h, w, c)}. Returns (aligned (b, h, w, c), moved (b,)), the
    mean absolute offset of the convolution whose offsets are largest.
    """

    features: int
    groups: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, neighbour: dict[str, Array], centre: dict[str, Array]):
        guide = aligned = None
        moved = []

        def layer(name, *inputs):
            x = inputs[0] if len(inputs) == 1 else jnp.concatenate(inputs, -1)
            return conv(self.features, name, dtype=self.dtype)(x)

        def deform(name, x, guide):
            y, offset = DeformableConv(self.features, self.groups, self.dtype, name=f"{name}_dcn")(x, guide)
            moved.append(offset)
            return y

        for level in reversed(LEVELS):
            x = leaky_relu(layer(f"{level}_offset_0", neighbour[level], centre[level]))
            if guide is None:
                guide = leaky_relu(layer(f"{level}_offset_1", x))
                aligned = leaky_relu(deform(level, neighbour[level], guide))
                continue
            x = leaky_relu(layer(f"{level}_offset_1", x, 2 * upsample_bilinear(guide, 2)))
            guide = leaky_relu(layer(f"{level}_offset_2", x))
            aligned = layer(f"{level}_merge", deform(level, neighbour[level], guide), upsample_bilinear(aligned, 2))
            aligned = aligned if level == "l1" else leaky_relu(aligned)
        guide = leaky_relu(layer("cascade_offset_0", aligned, centre["l1"]))
        guide = leaky_relu(layer("cascade_offset_1", guide))
        aligned = leaky_relu(deform("cascade", aligned, guide))
        return aligned, jnp.stack(moved).max(0)


class AttentionFusion(nn.Module):
    """Fuses aligned frames into the features of one, by temporal and spatial attention (TSA).

    `apply(params, aligned (b, t, h, w, c), centre)`: `centre` is the number of the frame that is restored. Sides are
    multiples of 4.
    """

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, aligned: Float[Array, "b t h w c"], centre: int) -> Float[Array, "b h w c"]:
        def layer(name, size, *inputs):
            x = inputs[0] if len(inputs) == 1 else jnp.concatenate(inputs, -1)
            return conv(self.features, name, size, dtype=self.dtype)(x)

        def pooled(x):
            window, strides, padding = (3, 3), (2, 2), ((1, 1), (1, 1))
            total = nn.pool(x, 0.0, jax.lax.add, window, strides, padding)
            return nn.max_pool(x, window, strides, padding), total / 9  # the padding counts

        b, t, h, w, c = aligned.shape
        query = layer("temporal_centre", 3, aligned[:, centre])
        keys = layer("temporal_frames", 3, aligned.reshape(b * t, h, w, c)).reshape(aligned.shape)
        similarity = jnp.sum((keys * query[:, None]).astype(jnp.float32), -1, keepdims=True)
        aligned = aligned * nn.sigmoid(similarity).astype(self.dtype)
        x = aligned.transpose(0, 2, 3, 1, 4).reshape(b, h, w, t * c)  # frame by frame

        fused = leaky_relu(layer("fusion", 1, x))
        attention = leaky_relu(layer("spatial_0", 1, x))
        attention = leaky_relu(layer("spatial_1", 1, *pooled(attention)))
        level = leaky_relu(layer("level_0", 1, attention))
        level = leaky_relu(layer("level_1", 3, *pooled(level)))
        level = upsample_bilinear(leaky_relu(layer("level_2", 3, level)), 2)
        attention = leaky_relu(layer("spatial_2", 3, attention)) + level
        attention = upsample_bilinear(leaky_relu(layer("spatial_3", 1, attention)), 2)
        attention = layer("spatial_4", 3, attention)
        added = layer("added_1", 1, leaky_relu(layer("added_0", 1, attention)))
        return fused * nn.sigmoid(attention) * 2 + added
