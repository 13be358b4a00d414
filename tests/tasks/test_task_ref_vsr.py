"""The task and configs of RefVSR: the loss by its formulas, what is frozen, a step of every config word."""

import functools
import types

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from scipy.ndimage import correlate1d
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from configs import refvsr
from restore_jax import models, tasks
from restore_jax.data.sources import open_source
from restore_jax.data.transforms import training_example
from restore_jax.ops.imresize import imresize
from restore_jax.train.config import load_config
from restore_jax.train.optim import make_optimizer
from restore_jax.weights.tree import flatten
from tests.random_weights import by_size
from tests.random_weights import drawn as drawn_weights

task = tasks.get("ref_vsr")
SHAPES = {"lrs": (2, 5, 4, 6, 3), "hr": (2, 16, 24, 3), "refs_hr": (2, 5, 12, 8, 3), "teles_hr": (2, 5, 8, 8, 3)}
SHAPES |= {"refs": (2, 5, 4, 6, 3), "teles": (2, 5, 8, 8, 3)}
PROJECTIONS = {n: np.random.default_rng(n).normal(size=(3 * n**2, 12)).astype(np.float32) for n in (4, 8)}


# ------------------------------------------------------------------------------------------------ terms of the loss
def fake_features(vgg, image, layer):
    """In place of VGG19: blocks of 4x4 pixels ("relu3_4") or 8x8, mixed and rectified."""
    side = {"relu3_4": 4, "relu4_4": 8}[layer]
    xp = np if isinstance(image, np.ndarray) else jnp
    *lead, h, w, _ = image.shape
    blocks = xp.moveaxis(image.reshape(*lead, h // side, side, w // side, side, 3), -3, -4)
    return xp.maximum(blocks.reshape(*lead, h // side, w // side, -1) @ PROJECTIONS[side], 0)


def fake_model(image, confidence, references="wide"):
    def apply(params, lrs, refs, train=False):
        return {"image": image, "confidence": confidence}

    return types.SimpleNamespace(apply=apply, scale=4, references=references)


def config_of(**weights):
    loss = {"pixel": 0.0, "low": 0.0, "contextual": 0.0, "fidelity": 0.0}
    loss |= {"layer": "relu3_4", "supervision": "refs_hr", "fidelity_window": 7}
    return ml_collections.ConfigDict({"vgg": "", "loss": {**loss, **weights}})


@pytest.fixture
def drawn(monkeypatch):
    """Views, a result and confidences of two cameras, drawn; VGG19 replaced."""
    monkeypatch.setattr(task, "features", fake_features)
    monkeypatch.setattr(task, "load_for", lambda input, path: None)
    rng = np.random.default_rng(0)
    views = {name: rng.random(shape, np.float32) for name, shape in SHAPES.items()}
    return views, rng.random((2, 16, 24, 3), np.float32), rng.random((2, 5, 4, 6, 2), np.float32)


def terms_of(config, views, result, confidence, **options):
    model = fake_model(jnp.asarray(result), jnp.asarray(confidence), **options)
    total, (values, _) = jax.jit(lambda views: task.loss(model, {}, views, config))(views)
    assert float(total) == pytest.approx(float(values["loss"]))
    return {name: float(value) for name, value in values.items()}


def distances(x, y):
    """Cosine distances (n, m) of one example's features; all centred by `mean`."""
    x, y = (f / np.linalg.norm(f, axis=1, keepdims=True) for f in (x, y))
    return np.maximum(1 - x @ y.T, 0)


def centred(x, y):
    """(b, n, c), (b, m, c) in float64, less the mean of y."""
    x, y = (np.asarray(f, np.float64).reshape(len(f), -1, f.shape[-1]) for f in (x, y))
    return x - y.mean((0, 1)), y - y.mean((0, 1))


def fidelity_numpy(features, references, confidence):
    """Eq. 5.9: (b, h, w, c), (b, t, h1, w1, c), (b, t, h, w)."""
    found = []
    for t in range(references.shape[1]):
        found.append([distances(*pair).min(1) for pair in zip(*centred(features, references[:, t]), strict=True)])
    found = np.array(found).swapaxes(0, 1).reshape(confidence.shape)
    return np.mean((found * confidence).sum((1, 2, 3)) / confidence.sum((1, 2, 3)))


def low_numpy(image):
    """Eq. 5.8's blur: scipy's Gaussian of a 3x3 impulse, mirrored, two pixels larger."""
    impulse = np.zeros(3)
    impulse[1] = 1
    weights = correlate1d(impulse, np.exp(-(np.arange(-4, 5) ** 2) / 2) / np.exp(-(np.arange(-4, 5) ** 2) / 2).sum())
    padded = np.pad(image.astype(np.float64), ((0, 0), (2, 2), (2, 2), (0, 0)), "reflect")
    return correlate1d(correlate1d(padded, weights, 1), weights, 2)[:, 1:-1, 1:-1]


def test_the_mean_absolute_error_is_the_only_term_of_l1(drawn):
    views, result, confidence = drawn
    found = terms_of(config_of(pixel=2.0), views, result, confidence)
    assert found["pixel"] == pytest.approx(2 * np.abs(result - views["hr"]).mean(), rel=1e-5)
    assert set(found) == {"pixel", "loss", "gain_db"}


def test_reconstruction_is_equation_5_8(drawn):
    views, result, confidence = drawn
    found = terms_of(config_of(low=1.0, contextual=0.01), views, result, confidence)
    low = np.abs(low_numpy(result) - low_numpy(views["hr"])).mean()
    assert found["low"] == pytest.approx(low, rel=1e-4)
    losses = []
    for x, y in zip(*centred(*(fake_features(None, image, "relu3_4") for image in (result, views["hr"]))), strict=True):
        d = distances(x, y)
        w = np.exp((1 - d / (d.min(1, keepdims=True) + 1e-5)) / 0.5)
        cx = w / (w.sum(1, keepdims=True) + 1e-5)
        best, columns = cx.argmax(0), np.arange(d.shape[1])
        weight = np.exp((1 - d[best, columns]) / 0.5)
        losses.append(-np.log((cx[best, columns] * weight).sum() / weight.sum() + 1e-5))
    assert found["contextual"] == pytest.approx(0.01 * np.mean(losses), rel=1e-4)
    assert found["loss"] == pytest.approx(found["low"] + found["contextual"])


@pytest.mark.parametrize("window", [1, 3, 7])
def test_fidelity_is_equation_5_9_over_the_frames_around_the_centre(drawn, window):
    views, result, confidence = drawn
    found = terms_of(config_of(fidelity=0.05, fidelity_window=window), views, result, confidence[..., :1])
    frames = slice(max(0, 2 - window // 2), 3 + window // 2)
    details = fake_features(None, views["refs_hr"][:, frames], "relu3_4")
    expected = fidelity_numpy(fake_features(None, result, "relu3_4"), details, confidence[:, frames, :, :, 0])
    assert found["fidelity"] == pytest.approx(0.05 * expected, rel=1e-4)


@pytest.mark.parametrize(("references", "channels"), [("dual", (0, 1)), ("wide", (0, 0))])
def test_fidelity_to_two_cameras_is_a_sum(drawn, references, channels):
    """For each camera its own confidence, if the network matches it."""
    views, result, confidence = drawn
    config = config_of(fidelity=0.05, supervision="refs_hr,teles_hr")
    given = confidence if references == "dual" else confidence[..., :1]
    found = terms_of(config, views, result, given, references=references)
    features = fake_features(None, result, "relu3_4")
    expected = sum(
        fidelity_numpy(features, fake_features(None, views[name], "relu3_4"), confidence[..., channel])
        for name, channel in zip(("refs_hr", "teles_hr"), channels, strict=True)
    )
    assert found["fidelity"] == pytest.approx(0.05 * expected, rel=1e-4)


def test_adaptation_is_equation_5_11(drawn):
    """No truth: the result, reduced, against the frame; the telephoto's details at an eighth of the result's size."""
    views, result, confidence = drawn
    config = config_of(low=1.0, fidelity=0.1, layer="relu4_4", supervision="teles")
    del views["hr"]
    found = terms_of(config, views, result, confidence[..., :1])
    small = np.stack([imresize(image.astype(np.float64), 0.25) for image in result])
    assert found["low"] == pytest.approx(np.abs(low_numpy(small) - low_numpy(views["lrs"][:, 2])).mean(), rel=1e-4)
    halves = confidence[..., 0].reshape(2, 5, 2, 2, 3, 2).mean((3, 5))
    features, details = (fake_features(None, image, "relu4_4") for image in (result, views["teles"]))
    assert found["fidelity"] == pytest.approx(0.1 * fidelity_numpy(features, details, halves), rel=1e-4)
    assert "gain_db" not in found


def test_evaluation_metrics_are_skimages(drawn):
    views, result, confidence = drawn
    model = fake_model(jnp.asarray(result), jnp.asarray(confidence))
    values, pictures = jax.jit(lambda views: task.evaluate(model, {}, views, config_of()))(views)
    assert {name: picture.shape for name, picture in pictures.items()} == dict.fromkeys(
        ("input", "result", "truth"), (2, 16, 24, 3)
    )
    for n in range(2):
        after = peak_signal_noise_ratio(views["hr"][n], result[n], data_range=1)
        before = peak_signal_noise_ratio(views["hr"][n], np.asarray(pictures["input"][n]), data_range=1)
        assert float(values["psnr"][n]) == pytest.approx(after, abs=1e-4)
        assert float(values["gain_db"][n]) == pytest.approx(after - before, abs=1e-4)
        ssim = structural_similarity(views["hr"][n], result[n], channel_axis=2, data_range=1)
        assert float(values["ssim"][n]) == pytest.approx(ssim, abs=1e-5)


# -------------------------------------------------------------------------------------------------- what is trained
def small_model(config, **changes):
    return models.create("refvsr", **{**config.model.options, "mid_channels": 4, "num_blocks": 1, **changes})


@pytest.mark.parametrize("words", ["", "match_frames", "flow_reference"])
def test_the_flow_network_and_the_normalisation_are_frozen(words):
    """But not the flow network of references."""
    config = load_config(f"configs/refvsr.py:{words}")
    model = small_model(config)
    params = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes_of(model)["params"])
    optimizer = make_optimizer(config.optim)
    gradients = jax.tree.map(jnp.ones_like, params)
    with jax.numpy_dtype_promotion("standard"):
        state = optimizer.init(params)
        updates, _ = jax.jit(optimizer.update)(gradients, state, params)
    for name, update in flatten(updates).items():
        frozen = name.startswith("flow_network/") or "matcher/normalisation/" in name
        assert bool(np.all(update == 0)) == frozen, name


def test_published_flow_and_vgg_weights_are_where_training_starts(monkeypatch):
    config = load_config("configs/refvsr.py:match_frames,flow_reference", ["--config.vgg=V", "--config.spynet=S"])
    model = small_model(config)
    known = jax.tree.map(lambda x: jnp.full(x.shape, 2.0, x.dtype), shapes_of(model)["params"])
    loaded = {"spynet": known["reference_flow"], "vgg19": {**known["matcher"]["vgg"], "conv5_4": None}}
    monkeypatch.setattr(task, "load_into", lambda path, network, options: {"params": loaded[network]})
    monkeypatch.setattr(task, "load_for", lambda input, path: loaded["vgg19"] if input == "imagenet" else None)
    monkeypatch.setattr(jax, "jit", lambda function: function)
    monkeypatch.setattr(
        type(model), "init", lambda self, key, **inputs: {"params": jax.tree.map(jnp.zeros_like, known)}
    )
    params = flatten(task.initial_params(model, jax.random.key(0), config)["params"])
    given = {name for name, value in params.items() if np.all(value == 2)}
    assert given == {name for name in params if name.startswith("reference_flow/") or "matcher/vgg/" in name}


def test_windows_of_the_l1_models_have_13_frames():
    """The truth is that of the middle one."""
    config = load_config("configs/refvsr.py:l1,virtual")
    assert config.evaluation.data.num_frames == 13
    with config.unlocked():
        config.data.update({"size": 8, "shift": 0.0, "turn": False, "camera": {"noise": 0.0}})
    scene = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    views = training_example({"scene": scene, "number": np.int64(0)}, np.random.default_rng(0), config.data)
    assert {name: view.shape for name, view in views.items()} == {
        "lrs": (13, 8, 8, 3), "refs": (13, 16, 16, 3), "hr": (32, 32, 3)
    }  # fmt: skip
    reduced = imresize(views["hr"], 0.25)
    off = [np.abs(reduced.astype(int) - frame).mean() for frame in views["lrs"]]
    assert int(np.argmin(off)) == 6
    assert off[6] == 0


# ---------------------------------------------------------------------------------------------------- config words
def tiny_config(words):
    config = load_config(f"configs/refvsr.py:{words},tiny")
    with config.unlocked():
        config.data.update({"size": 8, "num_frames": 3, "batch_size": 1})
        config.evaluation.data.update({"size": 8, "num_frames": 3, "batch_size": 1})
    return config


@functools.cache
def scene():
    return open_source(load_config("configs/refvsr.py:tiny").data)[0]


@functools.cache
def shapes_of(model):
    return models.variable_shapes(model)


def first_batch(config, data):
    example = training_example(scene(), np.random.default_rng(0), data)
    views = task.inputs(example, None, config)
    return {name: view[None] for name, view in views.items()}


def words_known():
    known = {field.name for field in models.create("refvsr").__dataclass_fields__.values()}
    return [word for word in refvsr.WORDS if word not in ("ir", "tiny") or (word == "ir" and "refill" in known)]


@pytest.mark.parametrize("word", words_known())
def test_every_word_makes_a_step_and_an_evaluation(word):
    """On what its data give; traced, not compiled: shapes, views and options fit."""
    config = tiny_config(word)
    model = small_model(config)
    variables = shapes_of(model)
    inputs = first_batch(config, config.data)
    total, (values, _) = jax.eval_shape(lambda *args: task.loss(model, *args, config), variables, inputs)
    assert total.shape == ()
    assert {"loss"} < set(values)
    make_optimizer(config.optim).init(variables["params"])  # refuses groups of no parameter
    assert open_source(config.data) is not None
    if config.evaluation.every:
        held_out = first_batch(config, config.evaluation.data)
        assert all(held_out[name].shape == inputs[name].shape for name in held_out.keys() & inputs.keys())
        assert "hr" in held_out
        task._references(model, held_out)


@pytest.mark.parametrize("words", ["dual,flow_reference", "tele,match_frames"])
def test_a_step_of_other_references_and_alignments_reaches_every_parameter(words):
    config = tiny_config(words)
    model = small_model(config)
    variables = drawn_weights(shapes_of(model), by_size)

    def loss(variables, inputs):
        return task.loss(model, variables, inputs, config)

    gradients, (values, _) = jax.jit(jax.grad(loss, has_aux=True))(variables, first_batch(config, config.data))
    assert np.isfinite(float(values["loss"]))
    frozen = ("flow_network/", "matcher/normalisation/", "frame_matcher/normalisation/")
    for name, gradient in flatten(gradients["params"]).items():
        assert np.isfinite(gradient).all(), name
        assert np.any(gradient) != name.startswith(frozen), name
