"""Attention of every pixel to a memory of keys and values, in blocks (dissertation Eq. 6.1).

A linear operation that follows the attention is cheaper on the memory's values, a thousand rows, than on the result,
which has a row for every pixel. `attend_convolved` applies a convolution that way.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

BLOCK = 4096  # queries whose attention exists at once: 16 MiB for a memory of 1,024


def attend(
    queries: Float[Array, "... k"], keys: Float[Array, "k m"], values: Float[Array, "m c"], block: int = BLOCK
) -> Float[Array, "... c"]:
    """Look every query up in a memory of m pairs: softmax(queries · keys) · values, without scaling.

    The softmax is over the m pairs, in float32. Attentions of `block` queries exist at a time, forward and backward:
    the backward pass computes each block again.
    """
    flat = queries.reshape(-1, queries.shape[-1])

    @jax.checkpoint
    def one(queries):
        scores = jnp.matmul(queries, keys, preferred_element_type=jnp.float32)
        return jnp.matmul(jax.nn.softmax(scores, axis=-1).astype(values.dtype), values)

    count = flat.shape[0]
    if count <= block:
        result = one(flat)
    else:
        padded = jnp.pad(flat, ((0, -count % block), (0, 0)))
        result = lax.map(one, padded.reshape(-1, block, flat.shape[1])).reshape(-1, values.shape[1])[:count]
    return result.reshape(*queries.shape[:-1], values.shape[1])


def attend_convolved(
    queries: Float[Array, "b h w k"],
    keys: Float[Array, "k m"],
    values: Float[Array, "m c"],
    kernel: Float[Array, "s s c d"],
    block: int = BLOCK,
) -> Float[Array, "b h w d"]:
    """Convolve the result of `attend` (odd side s, zero padding, no bias) without ever making its c channels."""
    side, _, _, features = kernel.shape
    projected = jnp.einsum("mc,yxcd->myxd", values, kernel).reshape(values.shape[0], -1)
    shares = attend(queries, keys, projected, block)
    _, h, w, _ = shares.shape
    margin = side // 2
    shares = jnp.pad(shares, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    shares = shares.reshape(*shares.shape[:3], side * side, features)
    taps = ((y, x) for y in range(side) for x in range(side))
    return sum(shares[:, y : y + h, x : x + w, n] for n, (y, x) in enumerate(taps))
