"""ops/filtering: the fast paths against the per-pixel definition and NumPy, gradients, dtypes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax.ops import filtering

RNG = np.random.default_rng(0)


def arrays(*shapes, scale=0.5):
    return [jnp.asarray(scale * RNG.standard_normal(shape), jnp.float32) for shape in shapes]


def iac_numpy(features, filters, biases, leak=0.1, final_leak=0.1):
    """IAC with np.roll-free indexing, one step, axis and tap after the other, in float64."""
    e = np.asarray(features, np.float64)
    steps, _, size = filters.shape[:3]
    for n in range(steps):
        for axis in (1, 2):
            length = e.shape[axis]
            index = np.arange(length)
            total = np.zeros_like(e)
            for t in range(size):
                source = np.clip(index + t - size // 2, 0, length - 1)
                total += np.asarray(filters[n, axis - 1, t], np.float64) * np.take(e, source, axis=axis)
            e = total
        e = e + np.asarray(biases[n], np.float64)
        slope = final_leak if n == steps - 1 else leak
        e = np.where(e > 0, e, e * (1 if slope is None else slope))
    return e


@pytest.mark.parametrize(("steps", "size"), [(1, 3), (4, 3), (2, 5), (3, 1)])
@pytest.mark.parametrize("function", [filtering.iac, filtering.iac_per_pixel, jax.jit(filtering.iac)])
def test_iac_is_its_definition(function, steps, size):
    features, filters, biases = arrays((2, 6, 7, 3), (steps, 2, size, 2, 6, 7, 3), (steps, 2, 6, 7, 3))
    np.testing.assert_allclose(function(features, filters, biases), iac_numpy(features, filters, biases), atol=2e-6)


def test_iac_without_activations():
    features, filters, biases = arrays((1, 5, 4, 2), (3, 2, 3, 1, 5, 4, 2), (3, 1, 5, 4, 2))
    ours = filtering.iac(features, filters, biases, leak=None, final_leak=None)
    np.testing.assert_allclose(ours, iac_numpy(features, filters, biases, None, None), atol=2e-6)


def test_iac_with_centre_taps_alone_is_the_activation():
    (features,) = arrays((1, 4, 5, 2))
    filters = jnp.zeros((2, 2, 3, 1, 4, 5, 2)).at[:, :, 1].set(1.0)
    out = filtering.iac(features, filters, jnp.zeros((2, 1, 4, 5, 2)))
    np.testing.assert_allclose(out, np.where(features > 0, features, 0.01 * features), rtol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 4])
@pytest.mark.parametrize("function", [filtering.fac, filtering.fac_per_pixel, jax.jit(filtering.fac)])
def test_fac_is_its_definition(function, size):
    features, filters = arrays((2, 5, 6, 3), (size, size, 2, 5, 6, 3))
    padded = np.pad(features, [(0, 0), *[(size // 2, size - 1 - size // 2)] * 2, (0, 0)], mode="edge")
    expected = sum(
        np.asarray(filters[i, j]) * padded[:, i : i + 5, j : j + 6] for i in range(size) for j in range(size)
    )
    np.testing.assert_allclose(function(features, filters), expected, atol=2e-6)


@pytest.mark.parametrize("shared", [False, True])
def test_filters_predicted_step_by_step_equal_the_whole_map(shared):
    n, k, d, c = 3, 3, 5, 4
    features, code, kernel, bias = arrays((2, 6, 5, c), (2, 6, 5, d), (n, 2 * k + 1, d, c), (n, 2 * k + 1, c))
    planes = jnp.einsum("bhwd,ntdc->ntbhwc", code, kernel) + bias[:, :, None, None, None]
    vertical, horizontal, biases = planes[:, :k], planes[:, k : 2 * k], planes[:, -1]
    filters = jnp.stack([vertical, vertical if shared else horizontal], 1)
    ours = filtering.predict_and_iac(features, code, kernel, bias, shared_taps=shared)
    np.testing.assert_allclose(ours, filtering.iac(features, filters, biases), atol=1e-5)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_gradients_are_those_of_the_definition(size):
    features, filters, biases, weight = arrays((1, 5, 6, 2), (2, 2, size, 1, 5, 6, 2), (2, 1, 5, 6, 2), (1, 5, 6, 2))

    def gradients(function):
        return jax.grad(lambda *a: jnp.sum(weight * function(*a)), argnums=(0, 1, 2))(features, filters, biases)

    for ours, definition in zip(gradients(filtering.iac), gradients(filtering.iac_per_pixel), strict=True):
        np.testing.assert_allclose(ours, definition, atol=2e-6)


def test_gradient_against_finite_differences():
    features, filters, biases = arrays((1, 4, 5, 1), (2, 2, 3, 1, 4, 5, 1), (2, 1, 4, 5, 1))
    weight = np.asarray(RNG.standard_normal((1, 4, 5, 1)))

    def value(filters):
        return float(np.sum(weight * iac_numpy(features, filters, biases)))

    ours = jax.grad(lambda f: jnp.sum(jnp.asarray(weight, jnp.float32) * filtering.iac(features, f, biases)))(filters)
    for index in [(0, 0, 0, 0, 0, 0, 0), (0, 1, 2, 0, 3, 4, 0), (1, 0, 1, 0, 2, 2, 0), (1, 1, 0, 0, 1, 0, 0)]:
        step = np.zeros(filters.shape)
        step[index] = 1e-6
        numeric = (value(np.asarray(filters, np.float64) + step) - value(np.asarray(filters, np.float64) - step)) / 2e-6
        assert float(ours[index]) == pytest.approx(numeric, rel=1e-3, abs=1e-5)


def test_bfloat16_stays_bfloat16_and_close():
    features, filters, biases = arrays((1, 6, 6, 4), (2, 2, 3, 1, 6, 6, 4), (2, 1, 6, 6, 4))
    low = filtering.iac(*(x.astype(jnp.bfloat16) for x in (features, filters, biases)))
    assert low.dtype == jnp.bfloat16
    np.testing.assert_allclose(low.astype(jnp.float32), filtering.iac(features, filters, biases), atol=0.03)
