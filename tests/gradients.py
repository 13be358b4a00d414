"""Gradients of functions of features, against formulas in NumPy."""

import jax
import numpy as np


def assert_gradients(loss, formula, arrays, rtol=1e-3, seed=1):
    """Gradients of `loss` by all arrays, in random directions, against differences of `formula`, float64 NumPy."""
    gradients = jax.jit(jax.grad(loss, tuple(range(len(arrays)))))(*arrays)
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(array, np.float64) for array in arrays]
    for which, gradient in enumerate(gradients):
        for _ in range(4):
            direction = rng.standard_normal(gradient.shape)
            ends = [[a + s * direction if i == which else a for i, a in enumerate(arrays)] for s in (-1e-7, 1e-7)]
            slope = (formula(*ends[1]) - formula(*ends[0])) / 2e-7
            np.testing.assert_allclose(np.vdot(gradient, direction), slope, rtol=rtol, atol=1e-4)
