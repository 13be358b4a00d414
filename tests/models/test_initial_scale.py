"""Fresh weights have the scale of the papers: Xavier's bound, times the gain where a network names one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax import models
from restore_jax.models.layers import conv


def bound(kernel, gain):
    """The largest weight of Xavier's uniform distribution (Glorot and Bengio 2010)."""
    *window, inputs, outputs = kernel.shape
    return gain * np.sqrt(6 / (np.prod(window) * (inputs + outputs)))


def assert_uniform(kernel, gain):
    kernel, most = np.asarray(kernel, np.float64), bound(kernel, gain)
    assert np.abs(kernel).max() <= most * (1 + 1e-6)
    assert kernel.std() == pytest.approx(most / np.sqrt(3), rel=0.1)


@pytest.mark.parametrize(("gain", "size"), [(1.0, 3), (1.5, 3), (0.5, 1)])
def test_a_convolution_begins_within_xaviers_bound_times_its_gain(gain, size):
    params = conv(32, "conv", size, gain=gain).init(jax.random.key(0), jnp.zeros((1, 4, 4, 16)))["params"]
    assert_uniform(params["kernel"], gain)
    assert not np.asarray(params["bias"]).any()


@pytest.mark.slow
def test_the_filter_predictor_of_ifan_begins_with_a_gain_of_its_own():
    """The release draws its kernels 1.5 times as wide as those of the rest."""
    model = models.create("ifan", width=4, num_filters=2)
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))["params"]
    for name, gain in (("filter_features", 1.0), ("filter_predictor", 1.5)):
        for layer in ("conv_in", "conv_out"):
            assert_uniform(params[name][layer]["kernel"], gain)
        assert_uniform(params[name]["block_1"]["conv_0_0"]["kernel"], gain)
