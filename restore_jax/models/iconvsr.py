"""IconVSR (Chan et al. 2021; docs/networks.md 5): BasicVSR with refill at keyframes and coupled directions.

The propagated features are refilled at keyframes, and the forward direction sees the backward one's features.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from restore_jax.models.edvr import MULTIPLE, Extractor
from restore_jax.models.interface import WINDOW, Interface, pictures
from restore_jax.models.layers import conv
from restore_jax.models.spynet import SPyNet
from restore_jax.models.vsr_layers import (
    Trunk,
    Upsampler,
    each_frame,
    neighbouring_flows,
    reverse,
    scan_frames,
    with_start,
)
from restore_jax.ops.warp import warp

REACH = 2  # frames on either side of a keyframe that its features are extracted from


class IconVSR(nn.Module):
    """Video super-resolution x4 of whole clips.

    Attributes:
      num_feat, num_blocks: width, and residual blocks of each direction.
      keyframe_stride: distance of keyframes, at which features are refilled; the last frame is a keyframe too.
      extractor_frames: number of frames that the features of a keyframe are extracted from, the keyframe in their
        middle: 5, or 7 in the checkpoints trained on Vimeo-90K.
      train_flow, dtype, remat: as in BasicVSR.

    `apply(params, frames, train=False)`: frames (b, t, h, w, 3) in [0, 1]. Returns a dict:
      image (b, t, 4h, 4w, 3): float32, clipped to [0, 1] unless `train`.
      flow_backward, flow_forward (b, t - 1, h, w, 2): from frame i to i + 1, and from i + 1 to i.
      offset (b, n, extractor_frames): mean absolute offset, pixels, of the alignments at the n keyframes.

    Its steps by themselves, a frame at a time, by `apply(..., method=)`: "flow", "keyframe_features", "propagate",
    "reconstruct", of frames padded with `pad_sides`; `initial_state` is the state before either end of a clip.
    """

    num_feat: int = 64
    num_blocks: int = 30
    keyframe_stride: int = 5
    extractor_frames: int = 2 * REACH + 1
    train_flow: bool = True
    dtype: Any = jnp.float32
    remat: bool = False

    def setup(self):
        if self.extractor_frames not in (5, 7):
            raise ValueError(f"iconvsr: extractor_frames={self.extractor_frames} is none of 5, 7")
        c, dtype = self.num_feat, self.dtype
        self.flow_network = SPyNet()
        self.extractor = Extractor(c, self.extractor_frames, dtype=dtype, remat=self.remat)
        self.backward_refill = conv(c, None, dtype=dtype)
        self.forward_refill = conv(c, None, dtype=dtype)
        self.backward_trunk = Trunk(c, self.num_blocks, dtype)
        self.forward_trunk = Trunk(c, self.num_blocks, dtype)
        self.upsampler = Upsampler(c, dtype)

    @property
    def interface(self) -> Interface:
        """Return what the network takes and gives."""
        options = {"scale": 4, "window": WINDOW, "period": self.keyframe_stride, "engine": "clips"}
        return Interface("IconVSR", pictures("frames"), "vsr", "clip", **options)

    def __call__(self, frames: Float[Array, "b t h w 3"], train: bool = False) -> dict[str, Array]:
        b, t, height, width, _ = frames.shape
        frames = pad_sides(frames)
        h, w = frames.shape[2:4]
        flow_backward, flow_forward = neighbouring_flows(self, frames, self.remat)
        keys = keyframes(t, self.keyframe_stride)
        extended = extend_ends(frames, self.extractor_frames // 2)
        windows = extended[:, np.add.outer(np.flatnonzero(keys), np.arange(self.extractor_frames))]
        refills, offset = each_frame(self, lambda self, window: self.keyframe_features(window), windows, self.remat)
        # For every frame: whether it is a keyframe, and the number of the last keyframe up to it.
        marks = (jnp.asarray(keys)[None], jnp.asarray(np.cumsum(keys) - 1)[None])

        def back(self, state, seen, refills):
            frame, flow, (key, number) = seen
            refill = jnp.take(refills, number, 1)[:, 0]
            state = self.propagate(state, frame, flow, refill, key, direction="backward")
            return state, state

        def forth(self, state, seen, refills):
            frame, flow, (key, number), backward = seen
            refill = jnp.take(refills, number, 1)[:, 0]
            state = self.propagate(state, frame, flow, refill, key, backward)
            return state, self.reconstruct(state, frame)

        start = self.initial_state(b, h, w)
        seen = (reverse(frames), with_start(reverse(flow_backward), frames), reverse(marks))
        backward = reverse(scan_frames(self, back, start, seen, refills, self.remat)[1])
        seen = (frames, with_start(flow_forward, frames), marks, backward)
        image = scan_frames(self, forth, start, seen, refills, self.remat)[1][:, :, : 4 * height, : 4 * width]
        return {
            "image": image if train else jnp.clip(image, 0, 1),
            "flow_backward": flow_backward[:, :, :height, :width],
            "flow_forward": flow_forward[:, :, :height, :width],
            "offset": offset,
        }

    def initial_state(self, b: int, h: int, w: int) -> Float[Array, "b h w c"]:
        """Return the features before a clip's first frame and after its last: zeros."""
        return jnp.zeros((b, h, w, self.num_feat), self.dtype)

    def flow(self, frame: Float[Array, "b h w 3"], neighbour: Float[Array, "b h w 3"]) -> Float[Array, "b h w 2"]:
        """Compute the optical flow that warps `neighbour` onto `frame`."""
        flow = self.flow_network(frame, neighbour)
        return flow if self.train_flow else jax.lax.stop_gradient(flow)

    def keyframe_features(self, window: Float[Array, "b n h w 3"]) -> tuple[Array, Array]:
        """Extract the features (b, h, w, c) that refill a keyframe, and offset (b, n), from the n frames around it."""
        return self.extractor(window)

    def propagate(
        self,
        state: Float[Array, "b h w c"],
        frame: Float[Array, "b h w 3"],
        flow: Float[Array, "b h w 2"],
        refill: Float[Array, "b h w c"] | None = None,
        key: Bool[Array, "1"] | None = None,
        backward: Float[Array, "b h w c"] | None = None,
        direction: str = "forward",
    ) -> Float[Array, "b h w c"]:
        """Make one step of a direction: from the neighbour's features and this frame to this frame's features.

        flow: from this frame to the neighbour; any value at an end, where there is no neighbour and `state` is zero.
        refill: the frame's `keyframe_features`; None, or `key` false: not a keyframe. backward: the frame's features of
        the backward direction, which the forward one needs.
        """
        state = warp(state, flow)
        if refill is not None:
            merge = self.forward_refill if direction == "forward" else self.backward_refill
            refilled = merge(jnp.concatenate([state, refill], -1))
            state = refilled if key is None else jnp.where(key[:, None, None, None], refilled, state)
        if direction == "forward":
            return self.forward_trunk(frame, backward, state)
        return self.backward_trunk(frame, state)

    def fused(self, features: Float[Array, "b h w c"], frame: Float[Array, "b h w 3"]) -> Float[Array, "b h w c"]:
        """Return the forward features of `frame` unchanged; a network with a memory adds what it remembers here."""
        return features

    def reconstruct(
        self, forward: Float[Array, "b h w c"], frame: Float[Array, "b h w 3"]
    ) -> Float[Array, "b h2 w2 3"]:
        """Restore the frame from its features of the forward direction, float32, not clipped."""
        return self.upsampler(self.fused(forward, frame), frame)


def keyframes(count: int, stride: int) -> np.ndarray:
    """Say which of `count` frames are keyframes, (count,) bool: every stride-th from the first, and the last."""
    numbers = np.arange(count)
    return (numbers % stride == 0) | (numbers == count - 1)


def extend_ends(frames: Float[Array, "b t h w 3"], reach: int = REACH) -> Float[Array, "b t2 h w 3"]:
    """Add `reach` frames at either end as the published networks do.

    For 2 these are frames 4, 3 before and -4, -5 after; for 3 frames 6, 5, 4 before and -5, -6, -7 after. A clip that
    has no such frames repeats its farthest frame.
    """
    last = frames.shape[1] - 1
    near = {2: 3, 3: 4}[reach]  # the distance from an end to the nearest frame repeated there
    away = np.arange(near, near + reach)
    numbers = np.clip([*away[::-1], *range(last + 1), *(last - away)], 0, last)
    return frames[:, numbers]


def pad_sides(frames: Float[Array, "b t h w 3"]) -> Float[Array, "b t h1 w1 3"]:
    """Mirror frames at the bottom and the right up to multiples of 4."""
    h, w = (-size % MULTIPLE for size in frames.shape[2:4])
    return jnp.pad(frames, ((0, 0), (0, 0), (0, h), (0, w), (0, 0)), "reflect") if h or w else frames
