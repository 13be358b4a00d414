"""BasicVSR (Chan et al. 2021; docs/networks.md 5).

Features are propagated through a clip from its end to its beginning and from its beginning to its end. Every frame is
restored from both.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from restore_jax.models.interface import WINDOW, Interface, pictures
from restore_jax.models.layers import conv
from restore_jax.models.spynet import SPyNet
from restore_jax.models.vsr_layers import Trunk, Upsampler, neighbouring_flows, reverse, scan_frames, with_start
from restore_jax.ops.filtering import leaky_relu
from restore_jax.ops.warp import warp


class BasicVSR(nn.Module):
    """Video super-resolution x4 of whole clips.

    Attributes:
      num_feat, num_blocks: width, and residual blocks of each direction.
      train_flow: whether a gradient reaches the flow network.
      dtype: that of the computation; parameters and flow stay float32.
      remat: compute each frame's activations again in the backward pass, so that memory grows by a frame's features
      alone.

    `apply(params, frames, train=False)`: frames (b, t, h, w, 3) in [0, 1]. Returns a dict:
      image (b, t, 4h, 4w, 3): float32, clipped to [0, 1] unless `train`.
      flow_backward, flow_forward (b, t - 1, h, w, 2): from frame i to i + 1, and from i + 1 to i.

    A stream computes a frame or a pair of frames at a time by `apply(..., method=)`: "flow", "propagate",
    "reconstruct"; `initial_state` is the state before either end of a clip.
    """

    num_feat: int = 64
    num_blocks: int = 30
    train_flow: bool = True
    dtype: Any = jnp.float32
    remat: bool = False

    def setup(self):
        self.flow_network = SPyNet()
        self.backward_trunk = Trunk(self.num_feat, self.num_blocks, self.dtype)
        self.forward_trunk = Trunk(self.num_feat, self.num_blocks, self.dtype)
        self.merge = conv(self.num_feat, None, 1, dtype=self.dtype)
        self.upsampler = Upsampler(self.num_feat, self.dtype)

    @property
    def interface(self) -> Interface:
        """Return what the network takes and gives."""
        return Interface("BasicVSR", pictures("frames"), "vsr", "clip", scale=4, window=WINDOW, engine="chunks")

    def __call__(self, frames: Float[Array, "b t h w 3"], train: bool = False) -> dict[str, Array]:
        b, _, h, w, _ = frames.shape
        flow_backward, flow_forward = neighbouring_flows(self, frames, self.remat)

        def back(self, state, seen, _):
            state = self.propagate(state, *seen, direction="backward")
            return state, state

        def forth(self, state, seen, _):
            frame, flow, backward = seen
            state = self.propagate(state, frame, flow)
            return state, self.reconstruct(backward, state, frame)

        start = self.initial_state(b, h, w)
        seen = (reverse(frames), with_start(reverse(flow_backward), frames))
        backward = reverse(scan_frames(self, back, start, seen, remat=self.remat)[1])
        seen = (frames, with_start(flow_forward, frames), backward)
        image = scan_frames(self, forth, start, seen, remat=self.remat)[1]
        return {
            "image": image if train else jnp.clip(image, 0, 1),
            "flow_backward": flow_backward,
            "flow_forward": flow_forward,
        }

    def initial_state(self, b: int, h: int, w: int) -> Float[Array, "b h w c"]:
        """Return the features before a clip's first frame and after its last: zeros."""
        return jnp.zeros((b, h, w, self.num_feat), self.dtype)

    def flow(self, frame: Float[Array, "b h w 3"], neighbour: Float[Array, "b h w 3"]) -> Float[Array, "b h w 2"]:
        """Compute the optical flow that warps `neighbour` onto `frame`."""
        flow = self.flow_network(frame, neighbour)
        return flow if self.train_flow else jax.lax.stop_gradient(flow)

    def propagate(
        self,
        state: Float[Array, "b h w c"],
        frame: Float[Array, "b h w 3"],
        flow: Float[Array, "b h w 2"],
        direction: str = "forward",
    ) -> Float[Array, "b h w c"]:
        """Make one step of a direction: from the neighbour's features and this frame to this frame's features.

        flow: from this frame to the neighbour; any value at an end, where there is no neighbour and `state` is zero.
        """
        trunk = self.forward_trunk if direction == "forward" else self.backward_trunk
        return trunk(frame, warp(state, flow))

    def fused(self, features: Float[Array, "b h w c"], frame: Float[Array, "b h w 3"]) -> Float[Array, "b h w c"]:
        """Return the fused features of `frame` unchanged; a network with a memory adds what it remembers here."""
        return features

    def reconstruct(
        self, backward: Float[Array, "b h w c"], forward: Float[Array, "b h w c"], frame: Float[Array, "b h w 3"]
    ) -> Float[Array, "b h2 w2 3"]:
        """Restore the frame from its features of both directions, float32, not clipped."""
        features = leaky_relu(self.merge(jnp.concatenate([backward, forward], -1)))
        return self.upsampler(self.fused(features, frame), frame)
