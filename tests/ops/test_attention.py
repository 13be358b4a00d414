"""Attention to a memory against NumPy, in blocks and not, and its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax.ops.attention import attend, attend_convolved


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def memory(rng):
    return rng.standard_normal((5, 12)).astype(np.float32), rng.standard_normal((12, 6)).astype(np.float32)


def by_numpy(queries, keys, values):
    scores = np.exp(queries.astype(np.float64) @ keys)
    return scores / scores.sum(-1, keepdims=True) @ values


@pytest.mark.parametrize("block", [7, 30, 4096])
def test_attend_is_softmax_times_values(rng, memory, block):
    queries = rng.standard_normal((2, 3, 5, 5)).astype(np.float32)
    result = jax.jit(attend, static_argnums=3)(queries, *memory, block)
    np.testing.assert_allclose(result, by_numpy(queries, *memory), atol=2e-6)


def test_large_scores_do_not_overflow(memory):
    queries = np.full((3, 5), 400, np.float32)
    best = np.argmax(queries[0] @ memory[0])
    np.testing.assert_allclose(
        attend(*map(jnp.asarray, (queries, *memory))), np.tile(memory[1][best], (3, 1)), atol=1e-5
    )


def test_blocks_give_the_same_gradient(rng, memory):
    queries = rng.standard_normal((20, 5)).astype(np.float32)
    weights = rng.standard_normal((20, 6)).astype(np.float32)

    def loss(queries, keys, values, block):
        return jnp.sum(attend(queries, keys, values, block) * weights)

    gradients = [jax.grad(loss, (0, 1, 2))(queries, *memory, block) for block in (6, 20)]
    for blocked, whole in zip(*gradients, strict=True):
        np.testing.assert_allclose(blocked, whole, atol=1e-5)
    step = 1e-2
    for n in range(3):
        moved = [x.astype(np.float64) for x in (queries, *memory)]
        moved[n].flat[4] += step
        high = np.sum(by_numpy(*moved) * weights)
        moved[n].flat[4] -= 2 * step
        slope = (high - np.sum(by_numpy(*moved) * weights)) / (2 * step)
        np.testing.assert_allclose(np.ravel(gradients[0][n])[4], slope, rtol=1e-2)


@pytest.mark.parametrize("block", [256, 4096])
def test_the_attention_exists_in_blocks_forward_and_backward(block):
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((4096, 8), (8, 512), (512, 4))]
    gradient = jax.jit(jax.grad(lambda *x: jnp.sum(jnp.square(attend(*x, block))), (0, 1, 2)))
    memory = gradient.lower(*shapes).compile().memory_analysis().temp_size_in_bytes
    whole = 4096 * 512 * 4
    assert (memory > whole) == (block == 4096)
    assert memory < whole / 4 or block == 4096


@pytest.mark.parametrize("side", [1, 3])
def test_convolved_is_the_convolution_of_what_attend_gives(rng, memory, side):
    from scipy.signal import correlate

    queries = rng.standard_normal((1, 4, 5, 5)).astype(np.float32)
    kernel = rng.standard_normal((side, side, 6, 2)).astype(np.float32)
    found = by_numpy(queries, *memory)[0]
    expected = np.stack(
        [sum(correlate(found[..., c], kernel[..., c, d], "same") for c in range(6)) for d in range(2)], -1
    )
    result = attend_convolved(*map(jnp.asarray, (queries, *memory, kernel)))
    np.testing.assert_allclose(result[0], expected, atol=2e-5)
