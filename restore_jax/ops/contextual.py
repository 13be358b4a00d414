"""Contextual losses between feature maps that need not be aligned (Mechrez et al. 2018; dissertation Eq. 5.8, 5.9).

The matrix of distances between all pixels of one map and all of the other is computed a block of rows at a time,
forward and again backward, and never exists as a whole.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from restore_jax.ops.matching import largest_products

BLOCK = 256  # pixels whose distances to all others are in memory at once
BANDWIDTH = 0.5
EPSILON = 1e-5
LEAST_NORM = 1e-12


def contextual_loss(
    x: Float[Array, "b h w c"], y: Float[Array, "b h1 w1 c"], block: int = BLOCK
) -> tuple[Float[Array, ""], Float[Array, "b h1 w1"]]:
    """Compare features `x` with target features `y`: the contextual loss, and the weight of every target pixel.

    d_ij is the cosine distance of features centred by y's channel mean, d~_ij is d_ij over its minimum over j, and
    CX_ij is the share of exp((1 - d~_ij) / .5) in its sum over j. For every j the i of the largest CX is found. The
    loss is -log of the mean of these CX, weighted by exp((1 - d_ij) / .5), averaged over the batch. Gradients go to
    both maps, through the weights too. Memory is b * `block` * h1 * w1 floats.
    """

    def one(x, y):
        nearest, total, pixel = _rows(x, y, block)
        distance = jnp.maximum(1 - jnp.sum(x[pixel] * y, axis=-1), 0)
        similarity = _similarity(distance, nearest[pixel]) / (total[pixel] + EPSILON)
        weight = jnp.exp((1 - distance) / BANDWIDTH)
        return -jnp.log(jnp.sum(similarity * weight) / jnp.sum(weight) + EPSILON), weight

    losses, weights = jax.vmap(one)(*_centred(x, y))
    return losses.mean(), weights.reshape(y.shape[:3])


def multi_reference_contextual_loss(
    x: Float[Array, "b h w c"], references: Float[Array, "b t h1 w1 c"], block: int = BLOCK
) -> Float[Array, ""]:
    """Average `contextual_loss` of x against each of t references: multi-reference fidelity as published."""
    return lax.map(lambda y: contextual_loss(x, y, block)[0], jnp.moveaxis(references, 1, 0)).mean()


def multi_reference_fidelity(
    x: Float[Array, "b h w c"],
    references: Float[Array, "b t h1 w1 c"],
    confidence: Float[Array, "b t h w"],
    block: int = BLOCK,
) -> Float[Array, ""]:
    """Average the distance of every pixel of x to the nearest pixel of each reference, weighted by the confidence.

    Dissertation Eq. 5.9: one weighted mean over all t and pixels of a sample, then the mean over the batch; the
    distance is the cosine distance of features centred by the reference's channel mean. A total confidence below 1e-5
    counts as 1e-5.
    """

    def distances(y):
        centred = _centred(x, y)
        return jax.vmap(lambda x, y: _nearest_distance(x, y, block))(*centred).reshape(x.shape[:3])

    distance = jnp.moveaxis(lax.map(distances, jnp.moveaxis(references, 1, 0)), 0, 1)
    total = jnp.sum(confidence, axis=(1, 2, 3))
    return jnp.mean(jnp.sum(distance * confidence, axis=(1, 2, 3)) / jnp.maximum(total, EPSILON))


def _centred(x, y):
    """Return float32 unit features (b, n, c) and (b, m, c), both centred by the mean of y's pixels over the batch."""
    x, y = (features.astype(jnp.float32) for features in (x, y))
    mean = y.mean((0, 1, 2), keepdims=True)
    return _unit_pixels(x - mean), _unit_pixels(y - mean)


def _unit_pixels(x):
    squares = jnp.sum(x * x, axis=-1, keepdims=True)
    return (x / jnp.sqrt(jnp.maximum(squares, LEAST_NORM**2))).reshape(x.shape[0], -1, x.shape[-1])


def _similarity(distance, nearest):
    return jnp.exp((1 - distance / (nearest + EPSILON)) / BANDWIDTH)


def _nearest_distance(x, y, block):
    index = largest_products(lax.stop_gradient(x), lax.stop_gradient(y), 1, (block, y.shape[0]))[:, 0]
    return jnp.maximum(1 - jnp.sum(x * y[index], axis=-1), 0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _rows(x, y, block):
    """Return three vectors about the rows of x (n, c) and y (m, c).

    The least distance of each row of x to y, (n,); the sum of its similarities, (n,); and for each row of y the int32
    row of x with the largest share, (m,), which has no gradient.
    """
    n = len(x)
    blocks = _blocks(x, block)
    rows = blocks.shape[1]
    starts = jnp.arange(len(blocks), dtype=jnp.int32) * rows

    def step(best, inputs):
        x_block, start = inputs
        similarity, nearest, total = _block_of_rows(x_block, y)
        present = start + jnp.arange(rows, dtype=jnp.int32) < n
        # Rows of padding get shares of 0. (XLA would hoist a mask of all shares out of an outer scan, as a whole.)
        share = similarity / jnp.where(present, total + EPSILON, jnp.inf)[:, None]
        largest, row = share.max(axis=0), start + jnp.argmax(share, axis=0).astype(jnp.int32)
        larger = largest > best[0]  # of equal shares the first row's stays
        return (jnp.where(larger, largest, best[0]), jnp.where(larger, row, best[1])), (nearest, total)

    nothing = jnp.full(len(y), -1, jnp.float32), jnp.zeros(len(y), jnp.int32)
    (_, row), (nearest, total) = lax.scan(step, nothing, (blocks, starts))
    return nearest.reshape(-1)[:n], total.reshape(-1)[:n], row


def _rows_forward(x, y, block):
    return _rows(x, y, block), (x, y)


def _rows_backward(block, residuals, bars):
    # Distances are computed again, block by block: autodiff of the scan would keep them all.
    x, y = residuals

    def step(y_bar, inputs):
        x_block, *block_bars = inputs
        pull = jax.vjp(lambda x, y: _block_of_rows(x, y)[1:], x_block, y)[1]
        x_bar, y_bar_of_block = pull(tuple(block_bars))
        return y_bar + y_bar_of_block, x_bar

    blocks = [_blocks(rows, block) for rows in (x, *bars[:2])]
    y_bar, x_bar = lax.scan(step, jnp.zeros_like(y), blocks)
    return x_bar.reshape(-1, x.shape[1])[: len(x)], y_bar


_rows.defvjp(_rows_forward, _rows_backward)


def _block_of_rows(x, y):
    products = lax.dot_general(x, y, (((1,), (1,)), ((), ())), lax.Precision.HIGHEST)
    distance = jnp.maximum(1 - products, 0)
    nearest = distance.min(axis=1)
    similarity = _similarity(distance, nearest[:, None])
    return similarity, nearest, similarity.sum(axis=1)


def _blocks(rows, block):
    """Cut (n, ...) into (blocks, size, ...); the last block is filled up with zeros."""
    size = min(block, len(rows))
    return jnp.pad(rows, [(0, -len(rows) % size)] + [(0, 0)] * (rows.ndim - 1)).reshape(-1, size, *rows.shape[1:])
