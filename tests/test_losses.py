"""Training losses against their formulas."""

import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax import losses


def test_losses_are_their_formulas():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 3, 4, 5, 3))
    a32, b32 = jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)
    assert float(losses.mse(a32, b32)) == pytest.approx(((a - b) ** 2).mean(), rel=1e-5)
    assert float(losses.charbonnier(a32, b32, 0.1)) == pytest.approx(np.sqrt((a - b) ** 2 + 0.01).mean(), rel=1e-5)
    assert float(losses.l1(a32, b32)) == pytest.approx(np.abs(a - b).mean(), rel=1e-5)


def test_low_frequencies_are_those_of_the_release(golden):
    arrays = golden("losses_golden")
    found = losses.low_frequencies(jnp.asarray(arrays["gauss_in"]).transpose(0, 2, 3, 1))
    np.testing.assert_allclose(found, arrays["gauss_out"].transpose(0, 2, 3, 1), atol=1e-6)
