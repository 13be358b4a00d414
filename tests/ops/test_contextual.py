"""ops/contextual: against the golden outputs, the formulas in NumPy, gradients, memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax.ops import contextual
from tests.gradients import assert_gradients


def maps(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes]


def distances_numpy(x, y):
    """Cosine distances (b, n, m) in float64 of features centred by y's channel mean."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    mean = y.mean((0, 1, 2))
    x, y = ((f - mean).reshape(len(f), -1, f.shape[-1]) for f in (x, y))
    x, y = (f / np.linalg.norm(f, axis=-1, keepdims=True) for f in (x, y))
    return np.maximum(1 - np.einsum("bic,bjc->bij", x, y), 0)


def contextual_numpy(x, y):
    losses, weights = [], []
    for d in distances_numpy(x, y):
        w = np.exp((1 - d / (d.min(1, keepdims=True) + 1e-5)) / 0.5)
        cx = w / (w.sum(1, keepdims=True) + 1e-5)
        best = cx.argmax(0)
        columns = np.arange(d.shape[1])
        weights.append(np.exp((1 - d[best, columns]) / 0.5))
        losses.append(-np.log((cx[best, columns] * weights[-1]).sum() / weights[-1].sum() + 1e-5))
    return np.mean(losses), np.stack(weights).reshape(np.shape(y)[:3])


def test_golden(golden):
    arrays = golden("contextual_golden")
    x, y, expected = (jnp.asarray(np.moveaxis(arrays[key], 1, -1)) for key in ("x", "y", "grad"))
    for block in (256, 5):
        value = jax.jit(
            jax.value_and_grad(lambda x, block=block: contextual.contextual_loss(x, y, block), has_aux=True)
        )
        (loss, weight), gradient = value(x)
        np.testing.assert_allclose(loss, arrays["loss"], atol=1e-5)
        np.testing.assert_allclose(weight, arrays["weight"][:, 0], atol=1e-5)
        np.testing.assert_allclose(gradient, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("block", [1, 7, 11, 30, 64])
def test_it_is_the_formula_with_blocks_of_any_size(block):
    x, y = maps((2, 5, 6, 4), (2, 4, 7, 4))
    loss, weight = jax.jit(lambda x, y: contextual.contextual_loss(x, y, block))(x, y)
    expected = contextual_numpy(x, y)
    np.testing.assert_allclose(loss, expected[0], rtol=1e-5)
    np.testing.assert_allclose(weight, expected[1], rtol=1e-5)


def test_jit_changes_nothing():
    x, y = maps((2, 5, 6, 4), (2, 4, 7, 4))
    jitted = jax.jit(contextual.contextual_loss, static_argnums=2)(x, y, 8)
    np.testing.assert_allclose(contextual.contextual_loss(x, y, 8)[0], jitted[0], rtol=1e-6)


@pytest.mark.parametrize("block", [7, 64])
def test_gradients(block):
    arrays = maps((2, 3, 4, 5), (2, 4, 3, 5))
    loss = lambda x, y: contextual.contextual_loss(x, y, block)[0]  # noqa: E731
    assert_gradients(loss, lambda x, y: contextual_numpy(x, y)[0], arrays)


def test_equal_maps_lose_next_to_nothing():
    (x,) = maps((1, 6, 6, 8))
    loss, weight = contextual.contextual_loss(x, x)
    assert abs(loss) < 5e-3  # distances of 6e-8, float32's rounding of 1, count beside the 1e-5 they are divided by
    np.testing.assert_allclose(weight, np.exp(2), rtol=1e-5)


def test_flat_features_have_finite_gradients():
    flat = jnp.ones((1, 4, 4, 3))
    gradient = jax.grad(lambda x: contextual.contextual_loss(x, flat)[0])(flat)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("block", [7, 256])
def test_the_released_fidelity_is_the_mean_over_pairs(block):
    x, references = maps((2, 5, 4, 8), (2, 3, 4, 6, 8))
    loss = jax.jit(lambda x, r: contextual.multi_reference_contextual_loss(x, r, block))(x, references)
    expected = np.mean([contextual_numpy(x, references[:, t])[0] for t in range(3)])
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_gradients_of_the_released_fidelity():
    arrays = maps((1, 3, 4, 5), (1, 2, 4, 3, 5))
    loss = lambda x, r: contextual.multi_reference_contextual_loss(x, r, 7)  # noqa: E731
    assert_gradients(loss, lambda x, r: np.mean([contextual_numpy(x, r[:, t])[0] for t in (0, 1)]), arrays)


@pytest.mark.parametrize("block", [7, 256])
def test_the_fidelity_of_equation_5_9(block):
    x, references = maps((2, 5, 4, 8), (2, 3, 4, 6, 8))
    c = np.random.default_rng(2).random((2, 3, 5, 4))

    def loss(x, references):
        return contextual.multi_reference_fidelity(x, references, jnp.asarray(c, jnp.float32), block)

    def formula(x, references):
        delta = [distances_numpy(x, references[:, t]).min(2).reshape(2, 5, 4) for t in range(3)]
        return ((np.stack(delta, 1) * c).sum((1, 2, 3)) / c.sum((1, 2, 3))).mean()

    np.testing.assert_allclose(jax.jit(loss)(x, references), formula(x, references), rtol=1e-5)
    assert_gradients(loss, formula, (x, references))


def test_without_confidence_the_fidelity_is_zero():
    x, references = maps((1, 3, 4, 3), (1, 2, 3, 4, 3))
    assert contextual.multi_reference_fidelity(x, references, jnp.zeros((1, 2, 3, 4))) == 0


LOSSES = {
    "contextual": (lambda x, y: contextual.contextual_loss(x, y[:, 0])[0], 60e6),
    "released": (contextual.multi_reference_contextual_loss, 60e6),
    "paper": (lambda x, y: contextual.multi_reference_fidelity(x, y, jnp.ones((1, 2, 96, 96))), 60e6),
}


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_the_matrix_of_distances_never_exists(name, gradient):
    """96x96 against 96x96 pixels: it would take 340 MB, a block of 256 rows takes 9.4."""
    loss, most = LOSSES[name]
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((1, 96, 96, 8), (1, 2, 96, 96, 8))]
    memory = jax.jit(jax.grad(loss, (0, 1)) if gradient else loss).lower(*shapes).compile().memory_analysis()
    assert memory.temp_size_in_bytes < most
