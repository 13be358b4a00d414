"""The optical flow task: pairs whose flow is true, by SciPy's interpolation, and its error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from restore_jax import models, tasks
from restore_jax.train.config import load_config

task = tasks.get("optical_flow")


@pytest.fixture(scope="module")
def config():
    return load_config("configs/spynet.py:tiny")


@pytest.fixture(scope="module")
def photo(config):
    """A smooth picture, in which a flow that is off by a tenth of a pixel shows."""
    side = config.data.size + 2 * config.data.margin
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(side, side, 3)), (3, 3, 0))
    return np.round(127 + 40 * noise / noise.std()).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
def test_the_flow_leads_from_one_view_to_the_other(photo, config, seed):
    pair = jax.jit(lambda x, key: task.evaluation_inputs({"sharp": x}, key, config))(photo, jax.random.key(seed))
    reference, neighbour, flow = (np.asarray(pair[name]) for name in ("reference", "neighbour", "flow"))
    assert reference.shape == (config.data.size // 2,) * 2 + (3,)
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]]
    at = np.stack([y + flow[..., 1], x + flow[..., 0]])
    moved = np.stack([map_coordinates(neighbour[..., c], at, order=3, mode="nearest") for c in range(3)], -1)
    inside = ((at >= 0) & (at <= np.array(flow.shape[:2])[:, None, None] - 1)).all(0)
    # At the outlines of cut-outs a pixel is the mean of two motions.
    errors = np.abs(moved - reference)[inside]
    unmoved = np.abs(neighbour - reference)[inside]
    assert np.median(errors) < 0.003
    assert np.median(unmoved) > 3 * np.median(errors)


def test_flows_are_of_all_lengths_up_to_the_largest():
    flows = jax.jit(jax.vmap(lambda key: task.random_flow(key, (40, 56), 8.0)))(jax.random.split(jax.random.key(0), 50))
    longest = np.linalg.norm(flows, axis=-1).max((1, 2))
    assert longest.max() <= 8 * (1 + 1e-5)
    assert longest.max() > 6
    assert longest.min() < 1


def test_views_differ_in_exposure_and_noise_where_the_config_says_so(photo, config):
    with config.unlocked():
        config.augment.update({"gain": 0.05, "noise_max": 0.0})
    pair = jax.jit(lambda x, key: task.inputs({"sharp": x}, key, config))(photo, jax.random.key(0))
    plain = jax.jit(lambda x, key: task.evaluation_inputs({"sharp": x}, jax.random.split(key, 3)[0], config))(
        photo, jax.random.key(0)
    )
    np.testing.assert_allclose(pair["flow"], plain["flow"], atol=1e-6)
    for name in ("reference", "neighbour"):
        gains = np.asarray(pair[name]).mean((0, 1)) / np.asarray(plain[name]).mean((0, 1))
        assert 0.005 < np.abs(gains - 1).max() < 0.2


def test_loss_and_evaluation_are_end_point_errors(config):
    rng = np.random.default_rng(1)
    frames = rng.random((2, 2, 32, 32, 3)).astype(np.float32)
    truth = rng.normal(size=(2, 32, 32, 2)).astype(np.float32)
    inputs = {"reference": jnp.asarray(frames[0]), "neighbour": jnp.asarray(frames[1]), "flow": jnp.asarray(truth)}
    model = models.create("spynet")
    params = task.initial_params(model, jax.random.key(0), config)
    flow = np.asarray(jax.jit(model.apply)(params, frames[0], frames[1]))
    distance = np.sqrt(((flow - truth) ** 2).sum(-1))
    value, (named, _) = jax.jit(lambda params, inputs: task.loss(model, params, inputs, config))(params, inputs)
    assert float(value) == pytest.approx(np.sqrt(distance**2 + 1e-4).mean(), rel=1e-4)
    assert float(named["loss"]) == float(value)
    values, pictures = jax.jit(lambda params, inputs: task.evaluate(model, params, inputs, config))(params, inputs)
    np.testing.assert_allclose(values["epe"], distance.mean((1, 2)), rtol=1e-4)
    np.testing.assert_allclose(values["epe_of_zero"], np.sqrt((truth**2).sum(-1)).mean((1, 2)), rtol=1e-4)
    assert {name: picture.shape for name, picture in pictures.items()} == dict.fromkeys(
        ("reference", "neighbour", "warped"), (2, 32, 32, 3)
    )
