"""models/spynet: the golden flow, sizes, parameters, published names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax import models, weights
from restore_jax.errors import InputError
from restore_jax.weights.building import parameter_shapes
from restore_jax.weights.converters.spynet import our_name


@pytest.fixture
def params(golden):
    return weights.convert("spynet", golden("spynet_weights"))


@pytest.mark.parametrize("kind", ["refvsr", "refvsr_hd"])
def test_the_golden_flow(golden, params, kind):
    """32x32, and 48x48: resized to 64x64 and back."""
    arrays = golden(f"{kind}_golden")
    first, second = (jnp.asarray(np.moveaxis(arrays["lrs"][:, n], 1, -1)) for n in (0, 1))
    flow = jax.jit(models.create("spynet").apply)(params, second, first)
    np.testing.assert_allclose(flow, np.moveaxis(arrays["flow_1to0"], 1, -1), atol=1e-5)
    assert flow.dtype == jnp.float32


def test_parameters(golden):
    assert sum(leaf.size for leaf in jax.tree.leaves(parameter_shapes("spynet", {}))) == 1_440_300


def test_basicsr_names(golden, params):
    """BasicSR numbers convolutions and activations alike, and stores the colour statistics beside them."""
    renamed = {"spynet.mean": np.zeros((1, 3, 1, 1)), "spynet.std": np.ones((1, 3, 1, 1))}
    for name, array in golden("spynet_weights").items():
        _, _, level, _, layer, _, kind = name.split(".")
        renamed[f"spynet.basic_module.{level}.basic_module.{2 * int(layer)}.{kind}"] = array
    converted = weights.convert("spynet", renamed)
    jax.tree.map(np.testing.assert_array_equal, converted, params)
    assert our_name("basic_module.5.basic_module.8.bias") == "level5/conv4/bias"
    for wrong in ("basic_module.6.basic_module.0.weight", "FlowNet.basic_module.0.basic_module.5.conv.weight"):
        assert our_name(wrong) is None
    del renamed["spynet.basic_module.2.basic_module.4.bias"]
    with pytest.raises(InputError, match="spynet: the checkpoint lacks the parameter for 'level2/conv2/bias'"):
        weights.convert("spynet", renamed)
