"""Reference memory: a plug-in that gives any video super-resolution network details learnt from reference videos.

Every pixel of a frame is looked up in a bank of keys and basis features. The result is fused with the network's
features in its method `fused`, which is all that a network needs. Source: dissertation, chapter VI; docs/networks.md 6.
"""

import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax.core import FrozenDict
from jaxtyping import Array, Float

from restore_jax.models.layers import conv
from restore_jax.ops.attention import attend, attend_convolved
from restore_jax.ops.filtering import leaky_relu
from restore_jax.ops.resize import block_mean, pixel_shuffle, upsample_bicubic

QUERY_WIDTH = 64
MODULES = ("bank", "memory_fusion")  # modules that a memory adds to a network


class QueryEncoder(nn.Module):
    """Turns a frame (b, h, w, 3) into queries (b, h, w, k) by three convolutions, so that a query sees 7x7 pixels."""

    channels: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, frame):
        x = leaky_relu(conv(QUERY_WIDTH, "conv_0", dtype=self.dtype)(frame))
        x = leaky_relu(conv(QUERY_WIDTH, "conv_1", dtype=self.dtype)(x))
        return conv(self.channels, "conv_2", dtype=self.dtype)(x)


class ReferenceMemory(nn.Module):
    """The bank, the encoders of its queries, and the reconstructor by which it is trained.

    keys, basis: channels of a key (k) and of a basis feature (b). size: the number of pairs of them (m).
    """

    keys: int = 128
    basis: int = 512
    size: int = 1024
    dtype: Any = jnp.float32

    def setup(self):
        self.bank_keys = self.param("keys", nn.initializers.lecun_normal(), (self.keys, self.size), jnp.float32)
        self.bank_basis = self.param("basis", nn.initializers.normal(1.0), (self.size, self.basis), jnp.float32)
        self.lr_queries = QueryEncoder(self.keys, self.dtype)
        self.reference_queries = QueryEncoder(self.keys, self.dtype)
        shape, init = (3, 3, self.basis, 12), nn.initializers.variance_scaling(0.1, "fan_in", "uniform")
        self.reconstructor_kernel = self.param("reconstructor_kernel", init, shape, jnp.float32)
        self.reconstructor_bias = self.param("reconstructor_bias", nn.initializers.zeros_init(), (12,), jnp.float32)

    def look_up(self, frame: Float[Array, "b h w 3"], kernel: Float[Array, "b c"]) -> Float[Array, "b h w c"]:
        """Look up reference features of an LR frame (Eq. 6.1) and apply a 1x1 convolution, in fact to the basis."""
        values = jnp.matmul(self.bank_basis.astype(self.dtype), kernel.astype(self.dtype))
        return attend(self.lr_queries(frame), self.bank_keys.astype(self.dtype), values)

    def reconstruct(self, reference: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        """Reconstruct the reference from its half, enlarged, and the bank's details; float32, not clipped (Eq. 6.2)."""
        half = block_mean(reference, 2)
        bank = (self.bank_keys, self.bank_basis, self.reconstructor_kernel)
        added = attend_convolved(self.reference_queries(half), *(x.astype(self.dtype) for x in bank))
        added = pixel_shuffle(added + self.reconstructor_bias.astype(self.dtype)[None, None, None], 2)
        return upsample_bicubic(half, 2) + added.astype(jnp.float32)


class MemoryFusion(nn.Module):
    """A residual block that fuses a network's features with the memory's; initially it changes nothing.

    The memory's features enter through a 1x1 convolution, whose kernel is given to `look_up`.
    """

    basis: int
    features: int
    dtype: Any = jnp.float32

    def setup(self):
        init = nn.initializers.lecun_normal()
        self.entrance = self.param("entrance", init, (self.basis, self.features), jnp.float32)
        self.conv_0 = conv(self.features, "conv_0", dtype=self.dtype)
        zeros = nn.initializers.zeros_init()
        self.conv_1 = nn.Conv(self.features, (3, 3), padding=1, kernel_init=zeros, dtype=self.dtype, name="conv_1")

    def __call__(self, features, remembered):
        x = leaky_relu(self.conv_0(jnp.concatenate([features, remembered.astype(self.dtype)], -1)))
        return features + self.conv_1(x)


@functools.cache
def with_memory(network: type[nn.Module]) -> type[nn.Module]:
    """Add a memory to a network: an attribute memory={"keys": k, "basis": b, "size": m} and a method.

    Inputs and outputs stay as they are. Before training the outputs are exactly those of the network's own weights.
    """

    class Remembering(network):
        memory: Mapping[str, int] = FrozenDict()

        def setup(self):
            super().setup()
            self.bank = ReferenceMemory(**self.memory, dtype=self.dtype)
            self.memory_fusion = MemoryFusion(self.bank.basis, self.num_feat, self.dtype)

        def fused(self, features, frame):
            features = super().fused(features, frame)
            if self.is_initializing():
                self.reconstruct_reference(jnp.zeros((1, 16, 16, 3)))
            return self.memory_fusion(features, self.bank.look_up(frame, self.memory_fusion.entrance))

        def reconstruct_reference(self, reference):
            """Reconstruct reference frames (b, h, w, 3), of even sides, from the memory (`reconstruct`)."""
            return self.bank.reconstruct(reference)

    Remembering.__name__ = Remembering.__qualname__ = f"{network.__name__}WithMemory"
    return Remembering
