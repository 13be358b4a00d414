"""models/basicvsr: the golden, parts, options, parameters, published names of both libraries."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax import models, weights
from restore_jax.models.basicvsr import BasicVSR
from restore_jax.weights.building import parameter_shapes
from restore_jax.weights.converters.basicvsr import our_name
from restore_jax.weights.tree import flatten
from tests.goldens import channels_last
from tests.mmagic_names import basicvsr_in_mmagic
from tests.places import GOLDEN

SMALL = {"num_feat": 8, "num_blocks": 2}


@functools.cache
def load():
    golden, published = (dict(np.load(GOLDEN / f"basicvsr_{kind}.npz")) for kind in ("golden", "weights"))
    return {name: channels_last(array) for name, array in golden.items()}, published


@functools.cache
def params():
    return weights.convert("basicvsr", load()[1], **SMALL)


def test_the_published_network_whole_and_by_parts():
    """A stream that computes every pair and frame by itself restores what the whole clip's scan does."""
    golden = load()[0]
    frames, expected = golden["lrs"], golden["sr"]
    model = models.create("basicvsr", **SMALL)
    outputs = jax.jit(model.apply)(params(), frames)
    np.testing.assert_allclose(outputs["image"], expected, atol=1e-5)
    np.testing.assert_allclose(outputs["flow_forward"][:, 0], golden["flow_fwd_1"], atol=1e-4)
    assert outputs["image"].dtype == jnp.float32
    assert outputs["flow_backward"].shape == (1, 3, 64, 64, 2)

    def part(method, **static):
        return jax.jit(functools.partial(model.apply, params(), method=method, **static))

    flow, back, forth = part("flow"), part("propagate", direction="backward"), part("propagate")
    state, backward = model.initial_state(1, 64, 64), {}
    anything = jnp.full((1, 64, 64, 2), 3.0)  # the flow where there is no neighbour
    for n in (3, 2, 1, 0):
        state = back(state, frames[:, n], flow(frames[:, n], frames[:, n + 1]) if n < 3 else anything)
        backward[n] = state
    state = model.initial_state(1, 64, 64)
    for n in range(4):
        state = forth(state, frames[:, n], flow(frames[:, n], frames[:, n - 1]) if n else anything)
        image = part("reconstruct")(backward[n], state, frames[:, n]) if n in (0, 2) else expected[:, n]
        np.testing.assert_allclose(image, expected[:, n], atol=1e-5)


@pytest.mark.parametrize("train_flow", [True, False])
def test_gradients(train_flow):
    """Every parameter has one, the flow network's unless it is frozen; remat is on."""
    frames = load()[0]["lrs"][:, :2, :8, :8]
    model = models.create("basicvsr", **SMALL, train_flow=train_flow, remat=True)
    gradient = jax.jit(jax.grad(lambda p: jnp.mean(model.apply(p, frames, train=True)["image"] ** 2)))(params())
    flat = flatten(gradient["params"])
    for name in flat:
        if not name.startswith("flow_network/"):
            assert np.any(flat[name]), name
    assert any(np.any(v) for k, v in flat.items() if k.startswith("flow_network/")) == train_flow


def test_the_hook_sees_fused_features_and_their_frame():
    golden = load()[0]
    frame = golden["lrs"][:, 0, :8, :8]
    features = jnp.ones((1, 8, 8, 8))
    seen = []

    class Remembering(BasicVSR):
        def fused(self, features, frame):
            seen.append((features.shape, frame))
            return 0 * features

    ours = Remembering(**SMALL).apply(params(), features, features, frame, method="reconstruct")
    assert seen[0][0] == (1, 8, 8, 8)
    assert seen[0][1] is frame
    upsampler = Remembering(**SMALL).bind(params()).upsampler
    np.testing.assert_allclose(ours, upsampler(jnp.zeros((1, 8, 8, 8)), frame), atol=1e-6)


def test_parameters_are_the_published_ones():
    path = GOLDEN / "basicvsr_manifest.json"
    published = {our_name(k): tuple(v) for k, v in json.loads(path.read_text()).items()}
    for constant in ("mean", "std"):
        assert published.pop(f"flow_network/{constant}") == (1, 3, 1, 1)
    shapes = {k: v.shape for k, v in flatten(parameter_shapes("basicvsr", {})["params"]).items()}
    assert published == {k: tuple(v[n] for n in (3, 2, 0, 1)) if len(v) == 4 else v for k, v in shapes.items()}
    assert sum(int(np.prod(v)) for k, v in shapes.items() if not k.startswith("flow_network/")) == 4_851_011


def test_both_libraries_names():
    renamed = {basicvsr_in_mmagic(name): array for name, array in load()[1].items()}
    assert "generator.spynet.basic_module.0.basic_module.1.conv.weight" in renamed
    assert "generator.forward_resblocks.main.2.1.conv2.bias" in renamed
    converted = weights.convert("basicvsr", renamed | {"step_counter": np.zeros(1)}, **SMALL)
    jax.tree.map(np.testing.assert_array_equal, converted, params())
    for wrong in ("forward_trunk.main.1.weight", "upconv3.weight", "fusion.gamma", "edvr.conv_first.weight"):
        assert our_name(wrong) is None


def test_one_frame_is_a_clip():
    model = models.create("basicvsr", **SMALL)
    outputs = jax.eval_shape(model.apply, parameter_shapes("basicvsr", SMALL), jnp.zeros((2, 1, 10, 12, 3)))
    assert outputs["image"].shape == (2, 1, 40, 48, 3)
    assert outputs["flow_forward"].shape == (2, 0, 10, 12, 2)
