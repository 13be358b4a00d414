"""EDVR (Wang et al. 2019; docs/networks.md 5): restores the centre of a few frames from all of them.

Its feature extractor serves IconVSR and RefVSR-IR too.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from restore_jax.models.edvr_alignment import AttentionFusion, PyramidAlignment
from restore_jax.models.interface import Interface, pictures
from restore_jax.models.layers import ResidualChain, conv
from restore_jax.models.vsr_layers import Upsampler, each_frame, scan_frames
from restore_jax.ops.filtering import leaky_relu

MULTIPLE = 4  # sides must be multiples of it, for the coarsest levels of the pyramid and of the attention


class Pyramid(nn.Module):
    """Turns a frame (b, h, w, 3) into features {level: (b, h, w, c)} at 1, 1/2 and 1/4 of its size."""

    features: int
    num_blocks: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, frame):
        def layer(name, x, stride=1):
            return leaky_relu(conv(self.features, name, stride=stride, dtype=self.dtype)(x))

        x = layer("conv_in", frame.astype(self.dtype))
        x = ResidualChain(self.features, self.num_blocks, 0.0, tail=False, dtype=self.dtype, name="blocks")(x)
        levels = {"l1": x}
        for level in ("l2", "l3"):
            x = layer(f"{level}_1", layer(f"{level}_0", x, 2))
            levels[level] = x
        return levels


class Extractor(nn.Module):
    """Extracts features of the centre frame from all frames around it: pyramid, alignment, fusion.

    `apply(params, frames (b, t, h, w, 3))`, t = num_frames, sides multiples of 4. Returns (features (b, h, w, c),
    offset (b, t)): the mean absolute offset in pixels of each frame's alignment, which a diverging run shows first.
    Its steps: `pyramid` of a frame, `align` of a frame's pyramid to the centre's, `fuse` of all.
    """

    features: int
    num_frames: int = 5
    num_blocks: int = 5
    groups: int = 8
    with_tsa: bool = True
    dtype: Any = jnp.float32
    remat: bool = False

    def setup(self):
        self.pyramid = Pyramid(self.features, self.num_blocks, self.dtype)
        self.align = PyramidAlignment(self.features, self.groups, self.dtype)
        if self.with_tsa:
            self.fusion = AttentionFusion(self.features, self.dtype)
        else:
            self.fusion = conv(self.features, None, 1, dtype=self.dtype)

    def __call__(self, frames: Float[Array, "b t h w 3"]):
        _, t, h, w, _ = frames.shape
        if t != self.num_frames:
            raise ValueError(f"edvr: {t} frames; this network sees {self.num_frames}")
        if h % MULTIPLE or w % MULTIPLE:
            raise ValueError(f"edvr: {h}x{w} is not a multiple of {MULTIPLE}")
        pyramids = each_frame(self, lambda self, frame: self.pyramid(frame), frames, self.remat)
        centre = jax.tree.map(lambda x: x[:, t // 2], pyramids)

        def step(self, carry, pyramid, centre):
            aligned, moved = self.align(pyramid, centre)
            return carry, (aligned, moved[:, None])

        _, (aligned, offset) = scan_frames(self, step, (), pyramids, centre, self.remat)
        return self.fuse(aligned), offset[..., 0]

    def fuse(self, aligned: Float[Array, "b t h w c"]) -> Float[Array, "b h w c"]:
        """Fuse the aligned features of all frames into features of the centre frame."""
        if self.with_tsa:
            return self.fusion(aligned, self.num_frames // 2)
        b, t, h, w, c = aligned.shape
        return self.fusion(aligned.transpose(0, 2, 3, 1, 4).reshape(b, h, w, t * c))


class EDVR(nn.Module):
    """Video super-resolution x4 of the centre of a few frames.

    Attributes:
      num_feat, num_frames, num_extract_blocks, num_reconstruct_blocks: 128, 5, 5 and 40; EDVR-M 64, 7, 5 and 10.
      deformable_groups: number of groups of channels that have offsets of their own.
      with_tsa: fuse by attention, or else by a 1x1 convolution.
      dtype: that of the computation; parameters and sampling positions stay float32.
      remat: compute each frame's activations again in the backward pass.

    `apply(params, frames, train=False)`: frames (b, num_frames, h, w, 3) in [0, 1], sides multiples of 4. Returns:
      image (b, 4h, 4w, 3): the centre frame, float32, clipped to [0, 1] unless `train`.
      offset (b, num_frames): mean absolute offset of each frame's alignment, pixels (see ops.deform_conv).
    """

    num_feat: int = 128
    num_frames: int = 5
    num_extract_blocks: int = 5
    num_reconstruct_blocks: int = 40
    deformable_groups: int = 8
    with_tsa: bool = True
    dtype: Any = jnp.float32
    remat: bool = False

    def setup(self):
        self.extractor = Extractor(
            self.num_feat, self.num_frames, self.num_extract_blocks, self.deformable_groups, self.with_tsa, self.dtype,
            self.remat,
        )  # fmt: skip
        chain = nn.remat(ResidualChain) if self.remat else ResidualChain
        self.blocks = chain(self.num_feat, self.num_reconstruct_blocks, 0.0, tail=False, dtype=self.dtype)
        self.upsampler = Upsampler(self.num_feat, self.dtype)

    @property
    def interface(self) -> Interface:
        """Return what the network takes and gives."""
        inputs, seen = pictures("frames", 4), {"window": self.num_frames, "any_window": False}
        return Interface("EDVR", inputs, "vsr", "window", scale=4, engine="clips", any_size=True, **seen)

    def __call__(self, frames: Float[Array, "b t h w 3"], train: bool = False) -> dict[str, Array]:
        features, offset = self.extractor(frames)
        image = self.reconstruct(features, frames[:, self.num_frames // 2])
        return {"image": image if train else jnp.clip(image, 0, 1), "offset": offset}

    def fused(self, features: Float[Array, "b h w c"], frame: Float[Array, "b h w 3"]) -> Float[Array, "b h w c"]:
        """Return the fused features of `frame` unchanged; a network with a memory adds what it remembers here."""
        return features

    def reconstruct(
        self, features: Float[Array, "b h w c"], frame: Float[Array, "b h w 3"]
    ) -> Float[Array, "b h2 w2 3"]:
        """Restore the frame from its fused features, float32, not clipped."""
        return self.upsampler(self.blocks(self.fused(features, frame)), frame)
