"""models/refvsr_refill: the goldens of RefVSR-IR, keyframes as windows advance, parameters, published names."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax import models, weights
from restore_jax.models.refvsr import RefVSR
from restore_jax.models.refvsr_refill import RefVSRRefill, keyframe_places
from restore_jax.weights.building import parameter_shapes
from restore_jax.weights.converters.refvsr import our_name
from restore_jax.weights.tree import flatten
from tests.goldens import assert_image, channels_last, windows
from tests.places import GOLDEN

SMALL = {"mid_channels": 8, "num_blocks": 2, "refill": True}
FROZEN = ("flow_network/", "matcher/normalisation/")


@functools.cache
def load():
    names = ("refvsr_ir_golden", "refvsr_ir_weights", "spynet_weights")
    arrays = [dict(np.load(GOLDEN / f"{name}.npz")) for name in names]
    return arrays[0], weights.convert("refvsr", arrays[1] | arrays[2], **SMALL)


@functools.cache
def first_window():
    """(loss, outputs, gradients) of the first window, as in training."""
    arrays, params = load()
    model = models.create("refvsr", **SMALL, variant="released")
    target = channels_last(arrays["hr"])

    def loss(params):
        outputs = model.apply(params, *windows(arrays)[0], train=True)
        return jnp.abs(outputs["image"] - target).mean(), outputs

    (value, outputs), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    return value, outputs, gradients


def test_two_windows_are_the_published_network():
    arrays, params = load()
    outputs = first_window()[1]
    assert_image(outputs["image"], arrays["train_first"])
    assert_image(jnp.clip(outputs["image"], 0, 1), arrays["eval_first"])
    np.testing.assert_allclose(outputs["flow_forward"][:, 0], channels_last(arrays["flow_1to0"]), atol=1e-5)
    apply = jax.jit(models.create("refvsr", **SMALL, variant="released").apply)
    assert_image(apply(params, *windows(arrays)[1], outputs["state"])["image"], arrays["eval_second"])


def test_gradients_are_the_published_network():
    arrays, _ = load()
    value, _, gradients = first_window()
    assert float(value) == pytest.approx(float(arrays["l1_loss"]), abs=1e-6)
    gradients = flatten(gradients["params"])
    norms = {our_name(k.removeprefix("gradnorm/")): v for k, v in arrays.items() if k.startswith("gradnorm/")}
    for name, norm in norms.items():
        assert np.linalg.norm(np.ravel(gradients.pop(name))) == pytest.approx(float(norm), rel=1e-3, abs=1e-9), name
    assert all(name.startswith(FROZEN) and not np.any(value) for name, value in gradients.items())


@pytest.mark.parametrize("count", [3, 6, 13])
def test_the_grid_moves_back_with_each_window(count):
    """Every window refills its frames that are keyframes of the clip, and its last."""
    expected = [n % 5 == 0 for n in range(count + 7)]
    for shift in range(7):
        keys = expected[shift : shift + count]
        keys[-1] = True
        places = keyframe_places(count, 5, jnp.asarray(shift % 5))
        found = (np.arange(count)[:, None] == np.asarray(places)[None]).any(1)
        assert found.tolist() == keys


def test_create_gives_the_class_of_its_own():
    assert type(models.create("refvsr", **SMALL)) is RefVSRRefill
    assert type(models.create("refvsr", refill=False)) is RefVSR
    with pytest.raises(ValueError, match="refill=True needs both directions"):
        parameter_shapes("refvsr", {**SMALL, "bidirectional": False})


def test_parameters_are_the_published_ones():
    options = {"mid_channels": 36, "num_blocks": 30, "refill": True}
    path = GOLDEN / "refvsr_ir_manifest.json"
    published = {our_name(k): tuple(v) for k, v in json.loads(path.read_text()).items()}
    shapes = {k: v.shape for k, v in flatten(parameter_shapes("refvsr", options)["params"]).items()}
    assert published == {k: tuple(v[n] for n in (3, 2, 0, 1)) if len(v) == 4 else v for k, v in shapes.items()}
    assert sum(int(np.prod(v)) for k, v in shapes.items() if not k.startswith("flow_network/")) == 4_774_134
