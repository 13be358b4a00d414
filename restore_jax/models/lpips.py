"""LPIPS v0.1 on AlexNet (Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018).

Distance of two pictures: five AlexNet features after ReLU, channels scaled to unit length at each position, squared
differences weighted by one learnt weight a channel, averaged over positions, summed over layers.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

SHIFT = (-0.030, -0.088, -0.188)  # the published ImageNet normalisation, moved to [-1,1]
SCALE = (0.458, 0.448, 0.450)
KERNELS = ((11, 4, 2), (5, 1, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1))  # (size, stride, padding) of each convolution
PRECISION = jax.lax.Precision.HIGHEST  # a metric must not depend on an accelerator's default (TF32, bfloat16)
POOLED = (1, 2)  # convolutions with a 3x3 stride-2 max-pool before them
MIN_SIDE = 31  # the smallest picture that leaves a position in the last layer


class AlexNetFeatures(nn.Module):
    """Turns normalised pictures (b, h, w, 3) into a list: features after each ReLU of AlexNet's five convolutions."""

    widths: tuple[int, ...] = (64, 192, 384, 256, 256)

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"]) -> list[Float[Array, "b _ _ _"]]:
        features = []
        for i, (width, (size, stride, pad)) in enumerate(zip(self.widths, KERNELS, strict=True)):
            if i in POOLED:
                x = nn.max_pool(x, (3, 3), (2, 2))
            conv = nn.Conv(width, (size, size), stride, [(pad, pad)] * 2, precision=PRECISION, name=f"conv{i}")
            x = nn.relu(conv(x))
            features.append(x)
        return features


class LPIPS(nn.Module):
    """Computes the perceptual distance (b,) of two batches of pictures (b, h, w, 3) in [-1, 1].

    Sides are at least 31 pixels.
    """

    widths: tuple[int, ...] = (64, 192, 384, 256, 256)

    @nn.compact
    def __call__(self, first: Float[Array, "b h w 3"], second: Float[Array, "b h w 3"]) -> Float[Array, " b"]:
        shift, scale = (np.array(v, np.float32).reshape(1, 1, 1, 3) for v in (SHIFT, SCALE))
        alexnet = AlexNetFeatures(self.widths, name="alexnet")
        pairs = zip(alexnet((first - shift) / scale), alexnet((second - shift) / scale), strict=True)
        distance = jnp.zeros(first.shape[0], first.dtype)
        for i, (a, b) in enumerate(pairs):
            weights = self.param(f"lin{i}", nn.initializers.uniform(1.0), (a.shape[-1],))
            squared = (unit_length(a) - unit_length(b)) ** 2
            distance += jnp.matmul(squared, weights, precision=PRECISION).mean((1, 2))
        return distance


def unit_length(x: Float[Array, "*p c"], eps: float = 1e-10) -> Float[Array, "*p c"]:
    """Divide channels by (their Euclidean length + eps); zero stays zero, with a zero gradient."""
    squared = (x**2).sum(-1, keepdims=True)
    # The slope of sqrt at 0 is infinite, and positions where all ReLUs are off are exactly 0.
    length = jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1)), 0)
    return x / (length + eps)
