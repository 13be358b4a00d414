"""The defocus map task: its losses against NumPy, which parameters each phase moves, what its configs train."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import restore_jax as rj
from restore_jax import cli, models, tasks
from restore_jax.models.vgg import VGG19, caffe_input
from restore_jax.train.config import load_config

task = tasks.get("defocus_map")


def config_of(words="bdcs,tiny"):
    return load_config(f"configs/dmenet.py:{words}")


@pytest.fixture(scope="module")
def setting():
    """The tiny network with its critics, variables and inputs of two examples."""
    config = config_of()
    model = models.create("dmenet", **config.model.options)
    variables = task.initial_params(model, jax.random.key(0), config)
    rng = np.random.default_rng(0)
    inputs = {name: rng.random((2, 64, 64, 3), np.float32) for name in ("image", "real", "binary")}
    inputs |= {name: rng.random((2, 64, 64, 1), np.float32).round() for name in ("map", "binary_map")}
    return config, model, variables, inputs


def mse(a, b):
    return np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2)


def cross_entropy(logits, label):
    x = np.asarray(logits, np.float64)
    p = 1 / (1 + np.exp(-x))
    return np.mean(-label * np.log(p) - (1 - label) * np.log(1 - p))


def outputs_of(model, variables, image):
    return model.apply(variables, image, train=True, mutable=["batch_stats"])


def nearest(label, side):
    index = np.floor(np.arange(side) * (label.shape[1] - 1) / (side - 1) + 0.5).astype(int)
    return label[:, index][:, :, index]


def test_losses_are_their_equations(setting):
    config, model, variables, inputs = setting
    _, (terms, statistics) = jax.jit(lambda v, i: task.generator_loss(model, v, i, config))(variables, inputs)
    outputs = jax.jit(lambda v, i: [outputs_of(model, v, i[name])[0] for name in ("image", "binary", "real")])
    synthetic, binary, real = outputs(variables, inputs)
    assert float(terms["defocus"]) == pytest.approx(mse(synthetic["defocus"], inputs["map"]), rel=1e-4)  # 3.5
    auxiliary = sum(mse(m, nearest(inputs["map"], m.shape[1])) for m in synthetic["aux"].values())
    assert float(terms["auxiliary"]) == pytest.approx(auxiliary, rel=1e-4)  # 3.6
    calibration = cross_entropy(binary["sharpness_logits"], inputs["binary_map"])
    assert float(terms["calibration"]) == pytest.approx(2e-2 * calibration, rel=1e-4)  # 3.10
    adversarial = (cross_entropy(real["domain_logits"], 1) + cross_entropy(binary["domain_logits"], 1)) / 2
    assert float(terms["adversarial"]) == pytest.approx(1e-3 * adversarial, rel=1e-4)  # 3.8
    assert float(terms["loss"]) == pytest.approx(sum(float(v) for k, v in terms.items() if k != "loss"), rel=1e-6)
    # The generator's step leaves D's averages alone.
    before, after = variables["batch_stats"]["discriminator"], statistics["batch_stats"]["discriminator"]
    jax.tree.map(np.testing.assert_array_equal, before, after)

    _, (terms, statistics) = jax.jit(lambda v, i: task.discriminator_loss(model, v, i, config))(variables, inputs)
    real_terms = (cross_entropy(real["domain_logits"], 0) + cross_entropy(binary["domain_logits"], 0)) / 2
    expected = 1e-3 * (cross_entropy(synthetic["domain_logits"], 1) + real_terms)
    assert float(terms["discriminator"]) == pytest.approx(expected, rel=1e-4)  # 3.7
    for name in ("encoder", "decoder", "refinement", "calibration"):
        if name in variables["batch_stats"]:
            jax.tree.map(np.testing.assert_array_equal, variables["batch_stats"][name], statistics["batch_stats"][name])


def test_content_loss_is_that_of_vgg_features():
    network = VGG19("relu4_4")
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
    rng = np.random.default_rng(0)
    vgg = jax.tree.map(lambda x: (rng.standard_normal(x.shape) * 0.02).astype(np.float32), shapes)
    a, b = rng.random((2, 1, 16, 16, 1), np.float32)
    features = [network.apply(vgg, caffe_input(np.repeat(x, 3, -1)))["relu4_4"] for x in (a, b)]
    assert float(task.content_loss(vgg["params"], a, b)) == pytest.approx(mse(*features), rel=1e-4)


def test_each_phase_trains_its_own_parameters(setting):
    config, _, variables, _ = setting
    (generator, _), (critic, _) = task.phases(config)
    assert set(generator) | set(critic) == set(variables["params"])
    assert not set(generator) & set(critic)


def test_rendered_maps_are_sigma_over_seven():
    config = config_of("b,tiny")
    sharp = np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8)  # as textured everywhere
    views = jax.jit(lambda x, key: task.evaluation_inputs({"sharp": x}, key, config))(sharp, jax.random.key(3))
    assert views["image"].shape == (64, 64, 3)
    assert views["map"].shape == (64, 64, 1)
    # COCs reach 4 to 8 px, sigma a quarter of it.
    assert 4 / 4 / 7 <= float(views["map"].max()) <= 8 / 4 / 7 + 1e-6
    # Where the map is smallest the picture is nearer to the sharp one than where it is largest.
    inside, label = sharp[8:72, 8:72].astype(np.float32) / 255, np.asarray(views["map"][..., 0])
    error = np.abs(np.asarray(views["image"]) - inside).mean(-1)
    low, high = np.quantile(label, (0.2, 0.8))
    assert error[label <= low].mean() < 0.8 * error[label >= high].mean()


@pytest.mark.parametrize(
    "words", ["", "b", "bd", "bdc", "bdcs", "no_auxiliary", "large_s", "small", "b,tiny", "bdcs,tiny"]
)
def test_every_variant_makes_its_network(words):
    config = config_of(words)
    model = models.create("dmenet", **config.model.options)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    for trains, _ in task.phases(config):
        assert set(trains) & set(shapes["params"])
    letters = words.split(",")[0] if words.startswith("b") else "b" if words == "small" else "bdcs"
    assert (config.loss.adversarial > 0) == ("d" in letters)
    assert (config.loss.calibration > 0) == ("s" in letters)
    assert set(config.streams) == {name for name, letter in (("binary", "s"), ("real", "d")) if letter in letters}


def test_a_killed_run_with_critics_ends_the_same(tmp_path):
    few = [f"--config.{o}" for o in ("total_steps=4", "checkpoint_every=2", "log_every=2", "evaluation.every=0")]
    command = ["train", "--config=configs/dmenet.py:bdcs,tiny", *few]
    assert cli.main([*command, f"--workdir={tmp_path / 'whole'}"]) == 0
    # The same with what a run that was killed after two steps leaves behind.
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    (tmp_path / "parts" / "final.safetensors").unlink()
    shutil.rmtree(tmp_path / "parts" / "checkpoints" / "4")
    assert cli.main([*command, f"--workdir={tmp_path / 'parts'}"]) == 0
    whole, parts = ((tmp_path / name / "final.safetensors").read_bytes() for name in ("whole", "parts"))
    assert whole == parts
    # Its maps are of COC / 28, not as those of the published network: without a unit they would be taken for such.
    assert rj.load(tmp_path / "whole" / "final.safetensors").card["sigma_unit"] == 28 / 4
