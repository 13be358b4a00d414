"""The deblurring task: rendering on the device, augmentation, real views, evaluation."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from restore_jax import models, tasks
from restore_jax.data.dead_leaves import dead_leaves
from restore_jax.train.config import load_config

task = tasks.get("deblur")
VIEWS = ("blurred", "left", "right", "sharp")


@pytest.fixture(scope="module")
def sharp():
    return dead_leaves(np.random.default_rng(3), (80, 80))


def task_config(**augment):
    """configs/ifan.py:tiny, rendering without linear light, augmentation off but for what is given."""
    config = load_config("configs/ifan.py:tiny")
    with config.unlocked():
        config.augment.update({"grey": 0.0, "noise": 0.0, **augment})
        config.render.linear_light = 0.0
    return config


def inputs(example, config):
    return jax.jit(lambda example: task.inputs(example, jax.random.key(0), config))(example)


def test_rendered_views_belong_together(sharp):
    views = inputs({"sharp": sharp}, task_config())
    assert {name: view.shape for name, view in views.items()} == dict.fromkeys(VIEWS, (64, 64, 3))
    np.testing.assert_allclose(views["sharp"], sharp[8:-8, 8:-8] / np.float32(255), atol=1e-6)
    levels = 255 * np.asarray(views["blurred"])
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-3)
    # Each of the three is rounded to levels of its own.
    np.testing.assert_allclose((views["left"] + views["right"]) / 2, views["blurred"], atol=1.01 / 255)
    assert float(jnp.abs(views["left"] - views["right"]).max()) > 0.05


def test_noise_is_on_what_the_network_sees(sharp):
    clean = inputs({"sharp": sharp}, task_config())
    noisy = inputs({"sharp": sharp}, task_config(noise=1.0, noise_min=0.05, noise_max=0.05))
    np.testing.assert_array_equal(noisy["sharp"], clean["sharp"])
    inside = (np.asarray(clean["blurred"]) > 0.2) & (np.asarray(clean["blurred"]) < 0.8)
    noise = np.asarray(noisy["blurred"] - clean["blurred"])
    assert noise[inside].std() == pytest.approx(0.05, rel=0.1)


def test_grey_is_linear_luminance_encoded_as_srgb():
    views = {name: np.full((8, 8, 3), (n + 51, 102, 204), np.uint8) for n, name in enumerate(VIEWS)}
    grey = inputs(views, task_config(grey=1.0))
    for n, name in enumerate(VIEWS):
        luminance = 0.2126 * (n + 51) / 255 + 0.7152 * 0.4 + 0.0722 * 0.8
        np.testing.assert_allclose(grey[name], 1.055 * luminance ** (1 / 2.4) - 0.055, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_real_dual_pixel_views_are_taken_as_they_are(dtype):
    views = {name: np.full((16, 16, 3), 50 * n, dtype) for n, name in enumerate(VIEWS)}
    out = inputs(views, task_config())
    for n, name in enumerate(VIEWS):
        np.testing.assert_allclose(out[name], 50 * n / np.iinfo(dtype).max, rtol=1e-6)


def test_evaluation_is_not_augmented(sharp):
    config = task_config(grey=1.0, noise=1.0)
    views = task.evaluation_inputs({"sharp": sharp}, jax.random.key(0), config)
    np.testing.assert_allclose(views["sharp"], sharp[8:-8, 8:-8] / np.float32(255), atol=1e-6)
    pair = {"blurred": sharp, "sharp": sharp}
    np.testing.assert_allclose(
        task.evaluation_inputs(pair, jax.random.key(0), config)["blurred"], sharp / np.float32(255)
    )


def test_evaluation_metrics_are_skimages():
    config = task_config()
    model = models.create("ifan", width=2, num_filters=2)
    rng = np.random.default_rng(0)
    views = {name: rng.random((2, 24, 32, 3), np.float32) for name in VIEWS}
    params = task.initial_params(model, jax.random.key(0), config)
    values, pictures = jax.jit(lambda p, v: task.evaluate(model, p, v, config))(params, views)
    assert set(pictures) == {"input", "result", "truth", "disparity", "error x4"}
    assert all(picture.shape == (2, 24, 32, 3) for picture in pictures.values())
    for n in range(2):
        result, truth = np.asarray(pictures["result"][n]), views["sharp"][n]
        after = peak_signal_noise_ratio(truth, result, data_range=1)
        before = peak_signal_noise_ratio(truth, views["blurred"][n], data_range=1)
        assert float(values["psnr"][n]) == pytest.approx(after, abs=1e-4)
        assert float(values["gain_db"][n]) == pytest.approx(after - before, abs=1e-4)
        assert float(values["mae"][n]) == pytest.approx(np.abs(truth - result).mean(), abs=1e-6)
        ssim = structural_similarity(truth, result, channel_axis=2, data_range=1)
        assert float(values["ssim"][n]) == pytest.approx(ssim, abs=1e-5)
        np.testing.assert_allclose(pictures["error x4"][n], np.clip(4 * np.abs(result - truth), 0, 1), atol=1e-5)


def test_dropout_has_a_key_of_each_step(sharp):
    config = load_config("configs/dpdnet.py:dual,tiny")
    with config.unlocked():
        config.model.options.width = 2
    model = models.create("dpdnet", **config.model.options)
    params = task.initial_params(model, jax.random.key(0), config)
    example = dict.fromkeys(VIEWS, sharp[:32, :32])
    batch = jax.tree.map(lambda view: view[None], inputs(example, config))
    shapes = {name: view.shape[1:] for name, view in batch.items()}
    assert shapes == {**dict.fromkeys(VIEWS, (32, 32, 3)), "dropout": (2,)}
    loss = jax.jit(lambda params, batch: task.loss(model, params, batch, config)[0])
    first, again, other = (
        float(loss(params, {**batch, "dropout": batch["dropout"] + n})) for n in np.uint32([0, 0, 1])
    )
    assert first == again != other
    assert "dropout" not in task.evaluation_inputs(example, jax.random.key(0), config)


def test_identity_filters_change_nothing():
    model = models.create("ifan", width=2, num_filters=3)
    config = ml_collections.ConfigDict({"init": "identity_filters"})
    params = task.initial_params(model, jax.random.key(0), config)
    bias = np.asarray(params["params"]["filter_predictor"]["conv_out"]["bias"])
    taps = bias[: 3 * 2 * 8 * 3].reshape(3, 2, 8, 3)
    np.testing.assert_array_equal(taps, np.broadcast_to([0, 1, 0], taps.shape))
    assert not bias[3 * 2 * 8 * 3 :].any()
