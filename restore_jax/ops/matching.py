"""Patch matching: for every 3x3 patch of one feature map, the most similar patches of another (dissertation Eq. 5.4).

The similarity matrix is computed in blocks and never exists as a whole, forward or backward: for 270x480 features
against 135x240 it would take 15.6 GiB. The search only finds indices; scores are then computed anew from the winning
patches alone, so that they do not depend on the blocks, and their gradient needs memory for one patch a score.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

BLOCK = (512, 1024)  # patches of the query and of the reference in one product: 2 MiB of scores stay in cache
GROUP = 64  # scores whose maximum is taken at once: on CPU a maximum is nearly free and its position is not
SIDE = 3
LEAST_NORM = 1e-12


def match_patches(
    query: Float[Array, "b h w c"],
    reference: Float[Array, "b h1 w1 c"],
    top_k: int = 1,
    block: tuple[int, int] = BLOCK,
    padding: str = "reflect",
    recall: float | None = None,
) -> tuple[Float[Array, "b h w k"], Int[Array, "b h w k"]]:
    """Find the `top_k` reference patches most similar to every 3x3 query patch, and their cosine similarities.

    Returns float32 scores in [-1, 1], best first, and int32 indices into the reference's patches in row-major order.
    Of equal patches the first wins. Scores carry a gradient to both feature maps, indices none.

    block: patches of the query and of the reference in one product; memory is b times their product, and the
    patches themselves. padding: of both maps, "reflect" (RefVSR) or "zero" (TTSR). recall: on a TPU, find each best
    patch with this probability only, but faster (`jax.lax.approx_max_k`); elsewhere the result stays exact.
    Raises ValueError if the reference has fewer than `top_k` patches.
    """
    b, h, w, _ = query.shape
    patches = reference.shape[1] * reference.shape[2]
    if not 1 <= top_k <= patches:
        raise ValueError(f"match_patches: top_k={top_k}, but the reference has {patches} patches")

    def one(query, reference):
        query, reference = (_padded(x, padding) for x in (query, reference))
        norms, reference_norms = _norms(query), _norms(reference)
        units = lax.stop_gradient((_unit_patches(query, norms), _unit_patches(reference, reference_norms)))
        index = largest_products(*units, top_k, block, recall)
        return _products(query, reference, index) / (norms.reshape(-1, 1) * reference_norms.reshape(-1)[index]), index

    scores, index = jax.vmap(one)(query, reference)
    return scores.reshape(b, h, w, top_k), index.reshape(b, h, w, top_k)


def patch_similarity(
    query: Float[Array, "b h w c"], reference: Float[Array, "b h w c"], padding: str = "reflect"
) -> Float[Array, "b h w 1"]:
    """Return the cosine similarity, float32, of every 3x3 query patch and the reference's patch at its place."""

    def one(query, reference):
        query, reference = (_padded(x, padding) for x in (query, reference))
        products = sum(_taps(jnp.sum(query * reference, axis=-1)))
        return (products / (_norms(query) * _norms(reference)))[..., None]

    return jax.vmap(one)(query, reference)


def _padded(x, padding):
    """Pad (h, w, c) to float32 (h + 2, w + 2, c)."""
    mode = {"reflect": "reflect", "zero": "constant"}[padding]
    return jnp.pad(x.astype(jnp.float32), ((1, 1), (1, 1), (0, 0)), mode=mode)


def _taps(padded):
    """The nine (h, w, ...) views of a padded map whose values at a pixel are that pixel's patch."""
    h, w = padded.shape[0] - 2, padded.shape[1] - 2
    return [padded[dy : dy + h, dx : dx + w] for dy in range(SIDE) for dx in range(SIDE)]


def _norms(padded):
    """L2 norms (h, w) of the patches of a padded map, at least LEAST_NORM."""
    squares = sum(_taps(jnp.sum(padded * padded, axis=-1)))
    return jnp.sqrt(jnp.maximum(squares, LEAST_NORM**2))


def _unit_patches(padded, norms):
    """Patches (n, 9c) of a padded map, row-major, divided by their norms."""
    return jnp.concatenate([tap / norms[..., None] for tap in _taps(padded)], axis=-1).reshape(norms.size, -1)


def _products(query, reference, index):
    """Inner products (n, k) of every patch of one padded map with its patches `index` (n, k) of another."""
    width = reference.shape[1]
    y, x = jnp.divmod(index, width - 2)
    corner, reference = y * width + x, reference.reshape(-1, reference.shape[2])
    steps = [dy * width + dx for dy in range(SIDE) for dx in range(SIDE)]
    taps = [tap.reshape(-1, 1, tap.shape[2]) for tap in _taps(query)]
    return sum(jnp.sum(tap * reference[corner + step], axis=-1) for tap, step in zip(taps, steps, strict=True))


def largest_products(
    query: Float[Array, "n d"],
    reference: Float[Array, "m d"],
    k: int,
    block: tuple[int, int] = BLOCK,
    recall: float | None = None,
) -> Int[Array, "n k"]:
    """Find the int32 rows of `reference` whose inner products with each row of `query` are largest, best first.

    `block` and `recall` are those of `match_patches`. It has no gradient: pass arrays through `jax.lax.stop_gradient`.
    """
    n, m = len(query), len(reference)
    rows, columns = min(block[0], n), min(block[1], m)
    group = min(GROUP, columns)
    columns += -columns % group
    blocks = jnp.pad(reference, ((0, -m % columns), (0, 0))).reshape(-1, columns, reference.shape[1])
    starts = jnp.arange(len(blocks), dtype=jnp.int32) * columns

    def step(best, x, *, query_block):
        reference_block, start = x
        scores = lax.dot_general(query_block, reference_block, (((1,), (1,)), ((), ())), lax.Precision.HIGHEST)
        # The barrier keeps one value a score: those compared below must not be computed twice.
        scores = lax.optimization_barrier(scores)
        present = start + jnp.arange(columns, dtype=jnp.int32) < m
        scores = jnp.where(present[None], scores, -jnp.inf)
        candidates, place = _largest(scores, k, group) if recall is None else _roughly_largest(scores, k, recall)
        # Earlier blocks come first, so that of equal scores theirs stays.
        scores, place_of_best = lax.top_k(jnp.concatenate([best[0], candidates], axis=1), k)
        index = jnp.take_along_axis(jnp.concatenate([best[1], start + place], axis=1), place_of_best, axis=1)
        return (scores, index), None

    def search_block(query_block):
        nothing = jnp.full((rows, k), -jnp.inf), jnp.zeros((rows, k), jnp.int32)
        return lax.scan(functools.partial(step, query_block=query_block), nothing, (blocks, starts))[0][1]

    # The last block begins early enough to be full: padding the query would copy it as a whole.
    count = -(-n // rows)
    first_rows = jnp.minimum(jnp.arange(count, dtype=jnp.int32) * rows, n - rows)
    index = lax.map(lambda i: search_block(lax.dynamic_slice_in_dim(query, i, rows)), first_rows)
    last = n - (count - 1) * rows
    return jnp.concatenate([index[:-1].reshape(-1, k), index[-1, rows - last :]])


def _largest(scores, k, group):
    """Return candidates that include the k largest scores of each row, and their int32 places, places ascending.

    The k largest lie in the k groups with the largest maxima, ties included: a score in any other group has k groups
    before it whose maxima are at least as large, so it is not among the first k.
    """
    rows, columns = scores.shape
    grouped = scores.reshape(rows, columns // group, group)
    groups = jnp.sort(lax.top_k(grouped.max(axis=-1), min(k, columns // group))[1], axis=1)
    candidates = jnp.take_along_axis(grouped, groups[:, :, None], axis=1)
    place = groups[:, :, None] * group + jnp.arange(group, dtype=jnp.int32)[None, None]
    return candidates.reshape(rows, -1), place.reshape(rows, -1)


def _roughly_largest(scores, k, recall):
    return lax.approx_max_k(scores, min(k, scores.shape[1]), recall_target=recall)
