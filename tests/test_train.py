"""train.py on CPU: the loop, resuming, configs and overrides, the deblurring task, optimisers."""

import json

import imageio.v3 as iio
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

import restore_jax as rj
from restore_jax import cli, losses, models, tasks, train
from restore_jax.data import photos
from restore_jax.training.optim import ADAM_SHARE, make_optimizer, make_schedule
from restore_jax.weights.files import flatten

CONFIG = "configs/ifan.py:tiny"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three photographs of noise and gradients."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for n in range(3):
        coarse = rng.integers(0, 256, (12, 14, 3)).astype(np.uint8)
        iio.imwrite(folder / f"{n}.png", coarse.repeat(8, 0).repeat(8, 1))
    return folder


def arguments(folder, workdir, *more):
    small = ["--config.total_steps=6", "--config.checkpoint_every=2", "--config.log_every=2"]
    where = f"--config.data.folders=('{folder}',)"
    return ["train", f"--config={CONFIG}", f"--workdir={workdir}", where, *small, *more]


def test_a_run_that_dies_goes_on_and_ends_where_it_would_have(folder, tmp_path, monkeypatch):
    assert cli.main(arguments(folder, tmp_path / "whole")) == 0
    make = photos.batch

    def dies(sources, seed, step, *rest):
        if step == 5:
            raise KeyboardInterrupt
        return make(sources, seed, step, *rest)

    monkeypatch.setattr(photos, "batch", dies)
    assert cli.main(arguments(folder, tmp_path / "broken")) == 130
    assert not (tmp_path / "broken" / "final.safetensors").exists()
    monkeypatch.setattr(photos, "batch", make)
    assert cli.main(arguments(folder, tmp_path / "broken")) == 0
    whole, broken = (rj.load(tmp_path / name / "final.safetensors") for name in ("whole", "broken"))
    for name, value in flatten(whole.params).items():
        np.testing.assert_array_equal(value, flatten(broken.params)[name], err_msg=name)

    log = [json.loads(line) for line in (tmp_path / "broken" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [2, 4, 6]
    assert {"loss", "deblur", "disparity", "reblur", "gain_db", "gradient_norm"} <= log[0].keys()
    assert json.loads((tmp_path / "broken" / "config.json").read_text())["total_steps"] == 6
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)
    assert rj.deblur(image, weights=tmp_path / "whole" / "final.safetensors").shape == image.shape


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--config.optim.speed=3", "--config.optim.speed: the config has no such key; it has"),
        ("--config.nothing.rate=3", "--config.nothing.rate: the config has no 'nothing'"),
        ("--config.total_steps=many", "--config.total_steps=many: "),
        ("--rate=3", "--rate=3: unknown argument"),
        ("--config.data.folders=('nowhere',)", "nowhere"),
    ],
)
def test_bad_arguments_are_one_line(folder, tmp_path, capsys, argument, message):
    assert cli.main(arguments(folder, tmp_path, argument)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_a_missing_config_is_one_line(tmp_path, capsys):
    assert cli.main(["train", "--config=nothing.py", f"--workdir={tmp_path}"]) == 2
    assert "nothing.py: no such config file" in capsys.readouterr().err


@pytest.mark.parametrize("variant", ["", "paper", "small", "tiny"])
def test_every_variant_makes_its_network(variant):
    config = train.load_config(f"configs/ifan.py:{variant}", [])
    models.create(config.model.name, **config.model.options)
    tasks.get(config.task)
    make_optimizer(config.optim)


def test_paper_config_is_the_dissertations():
    optim = train.load_config("configs/ifan.py", []).optim
    assert (optim.name, optim.b1, optim.b2, optim.weight_decay, optim.clip) == ("radam", 0.9, 0.99, 0.01, 0.5)
    rates = make_schedule(optim)
    assert [float(rates(step)) for step in (0, 499_999, 500_001, 550_001)] == pytest.approx([1e-4, 1e-4, 5e-5, 2.5e-5])


def test_batches_are_a_function_of_seed_and_step(folder):
    sources = photos.load_photos([folder], 40)
    assert len(sources) == 3
    first = photos.batch(sources, 0, 7, 40, 4)
    assert first.shape == (4, 40, 40, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, photos.batch(sources, 0, 7, 40, 4))
    assert (first != photos.batch(sources, 0, 8, 40, 4)).any()
    assert (first != photos.batch(sources, 1, 7, 40, 4)).any()
    with pytest.raises(rj.errors.InputError, match="no photograph of at least 500 px"):
        photos.load_photos([folder], 500)


def task_config(**augment):
    config = train.load_config(CONFIG, [])
    with config.unlocked():
        config.augment.update({"grey": 0.0, "noise": 0.0, **augment})
        config.render.linear_light = 0.0
    return config


def test_rendered_views_belong_together(folder):
    config = task_config()
    sharp = photos.batch(photos.load_photos([folder], 80), 0, 0, 80, 2)
    views = tasks.get("deblur").inputs({"sharp": sharp}, jax.random.key(0), config)
    assert {name: view.shape for name, view in views.items()} == dict.fromkeys(
        ("sharp", "blurred", "left", "right"), (2, 64, 64, 3)
    )
    np.testing.assert_allclose(views["sharp"], sharp[:, 8:-8, 8:-8] / np.float32(255), atol=1e-5)
    levels = 255 * np.asarray(views["blurred"])
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-3)
    # Each of the three is rounded to levels of its own.
    np.testing.assert_allclose((views["left"] + views["right"]) / 2, views["blurred"], atol=1.01 / 255)
    assert float(jnp.abs(views["left"] - views["right"]).max()) > 0.05


def test_augmentation_greys_everything_and_noises_what_the_network_sees(folder):
    sharp = photos.batch(photos.load_photos([folder], 80), 0, 0, 80, 2)
    task = tasks.get("deblur")
    clean = task.inputs({"sharp": sharp}, jax.random.key(0), task_config())
    noisy = task.inputs({"sharp": sharp}, jax.random.key(0), task_config(noise=1.0, noise_min=0.05, noise_max=0.05))
    np.testing.assert_array_equal(noisy["sharp"], clean["sharp"])
    inside = (np.asarray(clean["blurred"]) > 0.2) & (np.asarray(clean["blurred"]) < 0.8)
    noise = np.asarray(noisy["blurred"] - clean["blurred"])
    assert noise[inside].std() == pytest.approx(0.05, rel=0.05)
    grey = task.inputs({"sharp": sharp}, jax.random.key(0), task_config(grey=1.0))
    for name in ("sharp", "blurred", "left"):
        np.testing.assert_allclose(np.ptp(grey[name], axis=-1), 0, atol=1 / 255 + 1e-5)


def test_real_dual_pixel_views_are_taken_as_they_are():
    views = {name: np.full((1, 16, 16, 3), n, np.uint8) for n, name in enumerate(("blurred", "left", "right", "sharp"))}
    out = tasks.get("deblur").inputs(views, jax.random.key(0), task_config())
    for n, name in enumerate(("blurred", "left", "right", "sharp")):
        np.testing.assert_allclose(out[name], n / 255, atol=1e-6)


def test_a_few_steps_overfit_one_scene():
    config = task_config()
    with config.unlocked():
        config.loss.update({"disparity": 0.0, "reblur": 0.0})
        config.model.options.reblur = False
        config.optim.update(
            {"name": "adam", "rate": 3e-3, "schedule": "constant", "warmup_steps": 0, "weight_decay": 0.0}
        )
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (1, 4, 4, 3)).repeat(8, 1).repeat(8, 2).astype(np.float32) / 255
    batch = {"sharp": sharp, "blurred": 0.5 * sharp + 0.2, "left": sharp, "right": sharp}
    from restore_jax.training.state import create_state
    from restore_jax.training.step import make_step

    model, task = models.create("ifan", **config.model.options), tasks.get("deblur")
    optimizer = make_optimizer(config.optim)
    state = create_state(task.initial_params(model, jax.random.key(0), config), optimizer)
    step = make_step(model, task, optimizer, config)
    values = []
    for _ in range(80):
        state, metrics = step(state, batch)
        values.append(float(metrics["loss"]))
    assert values[-1] < 0.2 * values[0]
    assert int(state.step) == 80


def test_identity_filters_change_nothing():
    model = models.create("ifan", width=2, num_filters=3)
    config = ml_collections.ConfigDict({"init": "identity_filters"})
    params = tasks.get("deblur").initial_params(model, jax.random.key(0), config)
    bias = np.asarray(params["params"]["filter_predictor"]["conv_out"]["bias"])
    taps = bias[: 3 * 2 * 8 * 3].reshape(3, 2, 8, 3)
    np.testing.assert_array_equal(taps, np.broadcast_to([0, 1, 0], taps.shape))
    assert not bias[3 * 2 * 8 * 3 :].any()


def radam_numpy(gradients, rate, b1, b2, weight_decay, clip, start, epsilon=1e-8):
    """RAdam (Liu et al. 2020, Algorithm 2) with clipping by norm and decoupled weight decay, on one vector."""
    x, m, v = start.astype(np.float64), 0.0, 0.0
    longest = 2 / (1 - b2) - 1
    for t, g in enumerate(gradients, start=1):
        g = g * min(1.0, clip / np.linalg.norm(g))
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        length = longest - 2 * t * b2**t / (1 - b2**t)
        update = m / (1 - b1**t)
        if length >= 5:
            r = np.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
            update = r * update / (np.sqrt(v / (1 - b2**t)) + epsilon)
        x = x - rate * (update + weight_decay * x)
    return x


def test_radam_is_the_papers():
    config = ml_collections.ConfigDict(
        {
            "name": "radam", "rate": 0.01, "b1": 0.9, "b2": 0.99, "weight_decay": 0.01, "clip": 0.5,
            "schedule": "constant", "warmup_steps": 0, "skip_nonfinite": 0,
        }
    )  # fmt: skip
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal(5), rng.standard_normal((12, 5))
    optimizer = make_optimizer(config)
    params = jnp.asarray(start, jnp.float32)
    state = optimizer.init(params)
    for gradient in gradients:
        with jax.numpy_dtype_promotion("standard"):  # optax's own arithmetic
            updates, state = optimizer.update(jnp.asarray(gradient, jnp.float32), state, params)
        params = params + updates
    np.testing.assert_allclose(params, radam_numpy(gradients, 0.01, 0.9, 0.99, 0.01, 0.5, start), rtol=1e-4)


def test_muon_steps_are_orthogonal():
    config = ml_collections.ConfigDict(
        {
            "name": "muon",
            "rate": 0.1,
            "weight_decay": 0.0,
            "clip": 0.0,
            "schedule": "constant",
            "warmup_steps": 0,
            "skip_nonfinite": 0,
        }
    )
    kernel = jnp.asarray(np.random.default_rng(0).standard_normal((3, 3, 4, 6)), jnp.float32)
    params = {"kernel": kernel, "bias": jnp.ones(6)}
    optimizer = make_optimizer(config)
    with jax.numpy_dtype_promotion("standard"):  # optax's own arithmetic
        updates, _ = optimizer.update(params, optimizer.init(params), params)
    singular = np.linalg.svd(np.asarray(updates["kernel"]).reshape(36, 6), compute_uv=False)
    # Five Newton-Schulz iterations bring singular values near 1, times the rate.
    assert singular.min() > 0.06
    assert singular.max() < 0.13
    assert float(jnp.vdot(updates["kernel"], kernel)) < 0
    # What is no matrix gets Adam's first step with Nesterov momentum: 1 + b1 (1 - b1) / (1 - b1^2), b1 = .9.
    np.testing.assert_allclose(updates["bias"], -0.1 * ADAM_SHARE * (1 + 0.09 / 0.19), rtol=1e-3)


def test_losses_are_their_formulas():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 3, 4, 5, 3))
    a32, b32 = jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)
    assert float(losses.mse(a32, b32)) == pytest.approx(((a - b) ** 2).mean(), rel=1e-5)
    assert float(losses.charbonnier(a32, b32, 0.1)) == pytest.approx(np.sqrt((a - b) ** 2 + 0.01).mean(), rel=1e-5)
    per_image = ((a - b) ** 2).mean((1, 2, 3))
    assert float(losses.log_mse(a32, b32, 0.01)) == pytest.approx(np.log(per_image + 0.01).mean(), rel=1e-5)
