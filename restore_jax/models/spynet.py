"""SPyNet (Ranjan and Black, 2017): optical flow by a pyramid of small networks.

RefVSR and the other video networks align frames with it (dissertation Eq. 5.3; docs/networks.md 4).
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from restore_jax.models.interface import Interface, pictures
from restore_jax.models.layers import conv
from restore_jax.models.vgg import imagenet_input
from restore_jax.ops.resize import block_mean, resize_bilinear, resize_bilinear_align_corners
from restore_jax.ops.warp import warp

LEVELS = 6
COARSEST = 2 ** (LEVELS - 1)
WIDTHS = (32, 64, 32, 16, 2)


class Level(nn.Module):
    """Predicts the flow's residual from [reference, warped neighbour, flow] by five convolutions 7x7."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        for n, width in enumerate(WIDTHS):
            x = conv(width, f"conv{n}", 7, dtype=self.dtype)(x)
            if n < len(WIDTHS) - 1:
                x = nn.relu(x)
        return x


class SPyNet(nn.Module):
    """Flow network of 1,440,300 parameters.

    `apply(params, reference, neighbour)`: images (b, h, w, 3) in [0, 1], any size. Returns the float32 flow
    (b, h, w, 2) in pixels, x first, that warps `neighbour` onto `reference` (`ops.warp.warp`).

    dtype: that of the convolutions; parameters stay float32.
    """

    dtype: Any = jnp.float32

    @property
    def interface(self) -> Interface:
        """Return what the network takes and gives."""
        return Interface("SPyNet", pictures("reference", views=("neighbour",)), output="flow")

    @nn.compact
    def __call__(
        self, reference: Float[Array, "b h w 3"], neighbour: Float[Array, "b h w 3"]
    ) -> Float[Array, "b h w 2"]:
        b, h, w, _ = reference.shape
        height, width = (-(-size // COARSEST) * COARSEST for size in (h, w))
        pyramid = [[imagenet_input(resize_bilinear(x, height, width)) for x in (reference, neighbour)]]
        for _ in range(LEVELS - 1):
            pyramid.append([block_mean(x, 2) for x in pyramid[-1]])

        flow = jnp.zeros((b, height // COARSEST, width // COARSEST, 2))
        for level, (first, second) in enumerate(reversed(pyramid)):
            if level:
                flow = 2 * resize_bilinear_align_corners(flow, *first.shape[1:3])
            seen = jnp.concatenate([first, warp(second, flow, "border"), flow], -1).astype(self.dtype)
            flow = flow + Level(self.dtype, name=f"level{level}")(seen).astype(jnp.float32)
        return resize_bilinear(flow, h, w) * jnp.array([w / width, h / height])[None, None, None]
