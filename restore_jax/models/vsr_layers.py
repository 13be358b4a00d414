"""Parts that EDVR, BasicVSR, IconVSR and RefVSR share (docs/networks.md 5)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from restore_jax.models.layers import ResidualChain, conv
from restore_jax.ops.filtering import leaky_relu
from restore_jax.ops.resize import pixel_shuffle, upsample_bilinear

HR_WIDTH = 64  # channels at four times the frame's size, for networks of any width


class Trunk(nn.Module):
    """Aggregates a frame into propagated features: R of Eq. 5.3."""

    features: int
    count: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, *inputs):
        x = jnp.concatenate([x.astype(self.dtype) for x in inputs], -1)
        x = leaky_relu(conv(self.features, "conv_in", dtype=self.dtype)(x))
        return ResidualChain(self.features, self.count, 0.0, tail=False, dtype=self.dtype, name="blocks")(x)


class Upsampler(nn.Module):
    """Turns features (b, h, w, c) and their frame (b, h, w, 3) into the restored frame (b, 4h, 4w, 3), not clipped."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, frame):
        for n, width in enumerate((self.features, HR_WIDTH)):
            x = leaky_relu(pixel_shuffle(conv(4 * width, f"up_{n}", dtype=self.dtype)(x), 2))
        x = leaky_relu(conv(HR_WIDTH, "conv_hr", dtype=self.dtype)(x))
        return upsample_bilinear(frame, 4) + conv(3, "conv_out", dtype=self.dtype)(x).astype(jnp.float32)


def scan_frames(module: nn.Module, step, carry, frames, fixed=(), remat: bool = False):
    """Scan `step(module, carry, frame, fixed)` over the frames along axis 1, like `jax.lax.scan`.

    fixed: arrays that every step sees whole. remat: compute each step's activations again in the backward pass.
    """
    step = nn.remat(step, prevent_cse=False) if remat else step
    axes = {"in_axes": (1, nn.broadcast), "out_axes": 1}
    scan = nn.scan(step, variable_broadcast="params", split_rngs={"params": False}, **axes)
    return scan(module, carry, frames, fixed)


def each_frame(module: nn.Module, function, frames, remat: bool = False):
    """Apply `function(module, frame)` to every frame along axis 1 and stack the results there."""
    return scan_frames(module, lambda module, _, frame, __: ((), function(module, frame)), (), frames, remat=remat)[1]


def neighbouring_flows(
    module: nn.Module, frames: Float[Array, "b t h w 3"], remat: bool = False
) -> tuple[Float[Array, "b t1 h w 2"], Float[Array, "b t1 h w 2"]]:
    """Compute the flows of all t - 1 pairs by `module.flow`: backward (frame i to i + 1) and forward (i + 1 to i)."""
    here, following = frames[:, :-1], frames[:, 1:]
    if not here.shape[1]:
        nothing = jnp.zeros((*here.shape[:-1], 2))
        return nothing, nothing
    pairs = (jnp.concatenate([here, following], 1), jnp.concatenate([following, here], 1))
    flow = each_frame(module, lambda module, pair: module.flow(*pair), pairs, remat)
    return tuple(jnp.split(flow, 2, axis=1))


def with_start(flow: Float[Array, "b t1 h w 2"], frames: Float[Array, "b t h w 3"]) -> Float[Array, "b t h w 2"]:
    """Put a zero flow before the others for the first frame, which has no neighbour and zero features before it."""
    return jnp.concatenate([jnp.zeros((*frames[:, :1].shape[:-1], 2), flow.dtype), flow], 1)


def reverse(frames):
    """Reverse frames in time."""
    return jax.tree.map(lambda x: x[:, ::-1], frames)
