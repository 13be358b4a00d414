"""ops/matching: against brute force in NumPy, ties, blocks of every size, gradients, memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax.ops import matching
from tests.gradients import assert_gradients

BLOCKS = [(512, 1024), (7, 5), (16, 8), (1, 1), (1, 64), (64, 1), (30, 13)]


match = jax.jit(matching.match_patches, static_argnames=("top_k", "block", "padding", "recall"))


def maps(*shapes):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes]


def patches_numpy(x, mode):
    """Unit 3x3 patches (n, 9c) in float64, one loop a pixel."""
    h, w, _ = x.shape
    padded = np.pad(np.asarray(x, np.float64), ((1, 1), (1, 1), (0, 0)), mode=mode)
    patches = np.stack([padded[i : i + 3, j : j + 3].ravel() for i in range(h) for j in range(w)])
    return patches / np.maximum(np.linalg.norm(patches, axis=1, keepdims=True), 1e-12)


def match_numpy(query, reference, k=1, mode="reflect"):
    """Scores and indices (b, h, w, k) from the whole similarity matrix; of equal scores the first."""
    scores, indices = [], []
    for q, r in zip(query, reference, strict=True):
        similarity = patches_numpy(q, mode) @ patches_numpy(r, mode).T
        order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        scores.append(np.take_along_axis(similarity, order, 1).reshape(*q.shape[:2], k))
        indices.append(order.reshape(*q.shape[:2], k))
    return np.stack(scores), np.stack(indices)


@pytest.mark.parametrize("padding", ["reflect", "zero"])
def test_similarity_at_the_same_place_is_the_diagonal(padding):
    query, reference = maps((2, 4, 5, 3), (2, 4, 5, 3))
    mode = {"reflect": "reflect", "zero": "constant"}[padding]
    found = matching.patch_similarity(query, reference, padding)
    for n in range(2):
        expected = np.sum(patches_numpy(query[n], mode) * patches_numpy(reference[n], mode), 1)
        np.testing.assert_allclose(found[n].ravel(), expected, atol=1e-6)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("top_k", [1, 3])
def test_it_is_brute_force(block, top_k):
    query, reference = maps((2, 6, 7, 3), (2, 5, 9, 3))
    scores, index = match(query, reference, top_k, block)
    expected = match_numpy(query, reference, top_k)
    assert (scores.dtype, index.dtype) == (jnp.float32, jnp.int32)
    np.testing.assert_array_equal(index, expected[1])
    np.testing.assert_allclose(scores, expected[0], atol=1e-6)


@pytest.mark.parametrize("top_k", [1, 4])
def test_the_blocks_do_not_matter(top_k):
    query, reference = maps((1, 11, 13, 4), (1, 17, 19, 4))
    first = match(query, reference, top_k)
    for block in ((40, 64), (143, 323), (50, 100), (13, 130), (9, 65)):
        scores, index = match(query, reference, top_k, block)
        np.testing.assert_array_equal(index, first[1])
        np.testing.assert_array_equal(scores, first[0])


@pytest.mark.parametrize("block", [(512, 1024), (64, 128), (33, 70), (16, 7), (1000, 2000)])
def test_of_equal_patches_the_first_wins(block):
    """A reference periodic by 4 holds 12 x 14 of each patch, spread over and within blocks; the query shows them."""
    (tile,) = maps((1, 4, 4, 16))
    reference = jnp.tile(tile, (1, 12, 14, 1))
    query = jnp.tile(tile, (1, 3, 3, 1))
    scores, index = match(query, reference, 3, block)
    y, x = np.mgrid[1:11, 1:11]
    # Inside the border, patch (y, x) is first shown at the same place modulo 4, from row and column 1 on.
    first = ((y - 1) % 4 + 1) * 56 + (x - 1) % 4 + 1
    expected = np.stack([first, first + 4, first + 8], axis=-1)
    np.testing.assert_array_equal(index[0, 1:11, 1:11], expected)
    np.testing.assert_allclose(scores[0, 1:11, 1:11], 1, atol=1e-6)


@pytest.mark.parametrize("block", [(512, 1024), (5, 64), (100, 3)])
def test_flat_features_match_the_first_patch(block):
    flat = jnp.ones((1, 9, 20, 16)) * jnp.arange(1, 17, dtype=jnp.float32)[None, None, None]
    scores, index = match(flat, 3 * flat, 2, block)
    np.testing.assert_array_equal(index, np.broadcast_to([0, 1], (1, 9, 20, 2)))
    np.testing.assert_allclose(scores, 1, atol=1e-6)


def test_patches_of_zeros_score_zero_and_short_ones_are_divided_by_the_least_norm():
    query, reference = maps((1, 5, 6, 3), (1, 5, 6, 3))
    scores = match(query, reference)[0]
    np.testing.assert_array_equal(match(0 * query, reference)[0], 0)
    np.testing.assert_allclose(match(1e-9 * query, reference)[0], scores, atol=1e-6)
    corner = np.pad(np.asarray(query[0]), ((1, 1), (1, 1), (0, 0)), mode="reflect")[:3, :3]
    expected = scores[0, 0, 0] * np.linalg.norm(corner) * 1e-14 / 1e-12
    np.testing.assert_allclose(match(1e-14 * query, reference)[0][0, 0, 0], expected, rtol=1e-5)


def test_gradients_at_patches_of_zeros_are_finite():
    (reference,) = maps((1, 5, 6, 3))
    gradient = jax.jit(jax.grad(lambda q, r: matching.match_patches(q, r)[0].sum(), (0, 1)))
    gradients = gradient(jnp.zeros((1, 4, 4, 3)), reference)
    assert all(np.isfinite(g).all() for g in gradients)
    # Dividing by the least norm, the gradient to the query is the best patches' over 1e-12, as PyTorch has it.
    assert np.abs(gradients[0]).max() > 1e10
    np.testing.assert_array_equal(gradients[1], 0)


@pytest.mark.parametrize(("top_k", "padding"), [(1, "reflect"), (3, "reflect"), (2, "zero")])
def test_gradients_are_differences_of_brute_force(top_k, padding):
    arrays = maps((2, 4, 5, 2), (2, 4, 6, 2))
    weights = np.random.default_rng(1).standard_normal((2, 4, 5, top_k))

    def loss(query, reference):
        scores = matching.match_patches(query, reference, top_k, (7, 10), padding)[0]
        return jnp.vdot(jnp.asarray(weights, jnp.float32), scores)

    def formula(*arrays):
        mode = {"reflect": "reflect", "zero": "constant"}[padding]
        return np.vdot(weights, match_numpy(*arrays, top_k, mode)[0])

    assert_gradients(loss, formula, arrays, rtol=1e-4, seed=2)


def test_batch_is_a_loop_and_jit_changes_nothing():
    query, reference = maps((2, 6, 5, 4), (2, 7, 8, 4))
    scores, index = matching.match_patches(query, reference, 2, (8, 16))
    jitted = match(query, reference, 2, (8, 16))
    np.testing.assert_allclose(scores, jitted[0], atol=1e-6)
    np.testing.assert_array_equal(index, jitted[1])
    for i in range(2):
        one = match(query[i : i + 1], reference[i : i + 1], 2, (8, 16))
        np.testing.assert_allclose(scores[i], one[0][0], atol=1e-6)
        np.testing.assert_array_equal(index[i], one[1][0])


def test_zero_padding():
    query, reference = maps((1, 5, 6, 3), (1, 4, 7, 3))
    scores, index = match(query, reference, 2, (8, 9), padding="zero")
    expected = match_numpy(query, reference, 2, "constant")
    np.testing.assert_array_equal(index, expected[1])
    np.testing.assert_allclose(scores, expected[0], atol=1e-6)
    assert (expected[1] != match_numpy(query, reference, 2)[1]).any()


def test_bfloat16_features_are_compared_in_float32():
    query, reference = (x.astype(jnp.bfloat16) for x in maps((1, 5, 6, 8), (1, 6, 7, 8)))
    scores, index = match(query, reference)
    exact = match(query.astype(jnp.float32), reference.astype(jnp.float32))
    assert scores.dtype == jnp.float32
    np.testing.assert_array_equal(scores, exact[0])
    np.testing.assert_array_equal(index, exact[1])


def test_roughly_largest_finds_the_share_asked_for():
    """On CPU approx_max_k is exact, so its recall here is 1; on a TPU this test measures it."""
    query, reference = maps((1, 24, 24, 4), (1, 30, 30, 4))
    for top_k in (1, 3):
        exact = np.asarray(match(query, reference, top_k, (128, 256))[1])
        rough = np.asarray(match(query, reference, top_k, (128, 256), recall=0.9)[1])
        recall = (exact[..., None] == rough[..., None, :]).any(-1).mean()
        assert recall >= (1.0 if jax.default_backend() == "cpu" else 0.88)


@pytest.mark.parametrize("top_k", [0, 13])
def test_as_many_patches_as_asked_for_must_be_there(top_k):
    with pytest.raises(ValueError, match=rf"top_k={top_k}, but the reference has 12 patches"):
        match(*maps((1, 3, 3, 2), (1, 3, 4, 2)), top_k)


def test_all_patches_can_be_asked_for():
    query, reference = maps((1, 3, 4, 2), (1, 4, 5, 2))
    index = match(query, reference, 20, (5, 6))[1]
    np.testing.assert_array_equal(index, match_numpy(query, reference, 20)[1])


@pytest.mark.parametrize("gradient", [False, True])
def test_the_similarity_matrix_never_exists(gradient):
    """128x128 against 96x96 features: the matrix would take 604 MB; patches of 72 values take 4.7 and 2.7."""
    shapes = [jax.ShapeDtypeStruct((1, side, side, 8), jnp.float32) for side in (128, 96)]

    def loss(query, reference):
        return matching.match_patches(query, reference)[0].sum()

    function = jax.grad(loss, (0, 1)) if gradient else matching.match_patches
    memory = jax.jit(function).lower(*shapes).compile().memory_analysis()
    assert memory.temp_size_in_bytes < (60e6 if gradient else 30e6)
