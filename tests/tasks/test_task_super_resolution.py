"""The super-resolution task: what it makes of examples, its losses against NumPy, what each phase trains, a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import restore_jax as rj
from restore_jax import cli, models, tasks
from restore_jax.data.sources import open_source
from restore_jax.data.transforms import training_example
from restore_jax.ops.imresize import imresize
from restore_jax.train.config import load_config

task = tasks.get("super_resolution")


def config_of(name, **loss):
    config = load_config(f"configs/{name}")
    with config.unlocked():
        config.loss.update(loss)
    return config


def test_photographs_are_brought_down_by_imresize():
    sharp = np.random.default_rng(0).integers(0, 256, (32, 40, 3)).astype(np.uint8)
    config = config_of("rcan.py:photos,tiny")
    views = jax.jit(lambda x: task.inputs({"sharp": x}, jax.random.key(0), config))(sharp)
    np.testing.assert_allclose(views["hr"], sharp / np.float32(255), atol=1e-7)
    assert views["lr"].shape == (8, 10, 3)
    levels = 255 * np.asarray(views["lr"])
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)
    # MATLAB's 8 bits are rounded after each pass, ours once.
    assert np.abs(levels - imresize(sharp, 0.25)).max() <= 1.001


@pytest.mark.parametrize(("name", "factor"), [("dcsr.py:tiny", 2), ("dcsr.py:x2,tiny", 1), ("ttsr.py:tiny", 2)])
def test_references_are_as_fine_as_the_output(name, factor):
    rng = np.random.default_rng(1)
    scale = 2 * factor
    sizes = {"lrs": (1, 6, 8), "refs": (1, 12, 16), "hr": (6 * scale, 8 * scale), "refs_hr": (1, 24, 32)}
    example = {view: rng.integers(0, 256, (*size, 3)).astype(np.uint8) for view, size in sizes.items()}
    config = config_of(name)
    views = jax.jit(lambda example: task.inputs(example, jax.random.key(0), config))(example)
    shapes = {view: views[view].shape[:2] for view in ("lr", "hr", "ref", "details")}
    fine = (6 * scale, 8 * scale)
    assert shapes == {"lr": (6, 8), "hr": fine, "ref": (12 * factor, 16 * factor), "details": (24, 32)}
    np.testing.assert_allclose(views["lr"], example["lrs"][0] / np.float32(255), atol=1e-7)
    if factor == 1:
        np.testing.assert_allclose(views["ref"], example["refs"][0] / np.float32(255), atol=1e-7)


class Toy:
    """A network whose outputs are known: the result is the parameter times the input, enlarged."""

    scale = 2

    def apply(self, variables, image, *_, train=False, method=None):
        if method == "judge":  # of a picture its mean squared colour, times the discriminator's one parameter
            return variables["params"]["discriminator"] * jnp.mean(jnp.square(image), (1, 2, 3))
        if method == "textures":
            return [image, image[:, ::2, ::2]]
        enlarged = variables["params"]["generator"] * jnp.repeat(jnp.repeat(image, 2, 1), 2, 2)
        transferred = [jnp.zeros_like(enlarged), jnp.ones_like(image)]
        confidence = jnp.full_like(image[..., :1], 0.5)
        return {"image": enlarged, "confidence": confidence, "transferred": transferred}


@pytest.fixture
def toy():
    rng = np.random.default_rng(2)
    inputs = {"lr": rng.random((2, 4, 6, 3), np.float32), "hr": rng.random((2, 8, 12, 3), np.float32)}
    inputs["share"] = rng.random(2, np.float32)
    variables = {"params": {"generator": jnp.float32(0.7), "discriminator": jnp.float32(3.0)}}
    result = np.float64(0.7) * inputs["lr"].repeat(2, 1).repeat(2, 2)
    return variables, inputs, result


def softplus(x):
    return np.log1p(np.exp(x))


@pytest.mark.parametrize("critic", ["gan", "wgan"])
def test_losses_are_their_formulas(toy, critic):
    variables, inputs, result = toy
    config = config_of("ttsr.py:tiny", pixel=2.0, norm="l1", texture=0.1, adversarial=0.01, critic=critic, low=0.0)
    total, (terms, statistics) = task.loss(Toy(), variables, inputs, config)
    judged, of_photos = (3 * np.square(x.astype(np.float64)).mean((1, 2, 3)) for x in (result, inputs["hr"]))
    assert float(terms["pixel"]) == pytest.approx(2 * np.abs(result - inputs["hr"]).mean(), rel=1e-5)
    texture = (np.square(0.5 * result).mean() + np.square(0.5 * (result[:, ::2, ::2] - 1)).mean()) / 2
    assert float(terms["texture"]) == pytest.approx(0.1 * texture, rel=1e-4)
    fooled = {"gan": softplus(-judged), "wgan": -judged}[critic].mean()
    assert float(terms["adversarial"]) == pytest.approx(0.01 * fooled, rel=1e-5)
    assert float(total) == pytest.approx(sum(float(terms[name]) for name in ("pixel", "texture", "adversarial")))
    assert statistics == {}

    total, (terms, _) = task.discriminator_loss(Toy(), variables, inputs, config)
    if critic == "gan":
        expected = softplus(-of_photos).mean() + softplus(judged).mean()
    else:
        share = inputs["share"].reshape(-1, 1, 1, 1).astype(np.float64)
        between = share * inputs["hr"] + (1 - share) * result
        norm = np.sqrt(np.square(3 * 2 * between / between[0].size).sum((1, 2, 3)))
        expected = judged.mean() - of_photos.mean() + 10 * np.square(norm - 1).mean()
    assert float(total) == pytest.approx(expected, rel=1e-5)
    assert float(terms["discriminator"]) == float(total)


def test_without_a_truth_the_input_is_held_against_the_result_brought_down(toy):
    variables, inputs, result = toy
    config = config_of("dcsr.py:tiny", pixel=0.0, low=1.0)
    del inputs["hr"]
    total, (terms, _) = task.loss(Toy(), variables, inputs, config)
    assert "gain_db" not in terms
    kernel = np.array([0.2960964, 0.4078072, 0.2960964])

    def low(x):
        x = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), "reflect")
        x = sum(w * x[:, n : x.shape[1] - 2 + n] for n, w in enumerate(kernel))
        return sum(w * x[:, :, n : x.shape[2] - 2 + n] for n, w in enumerate(kernel))

    expected = np.abs(low(imresize(result, 0.5)) - low(inputs["lr"].astype(np.float64))).mean()
    assert float(total) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "name",
    ["srcnn.py:photos,tiny", "rcan.py:tiny", "srgan.py:tiny", "ttsr.py:tiny", "dcsr.py:x2,tiny", "dcsr.py:adapt,tiny"],
)
def test_every_variant_makes_a_step_and_an_evaluation(name):
    """Only shapes are computed: nothing is compiled."""
    config = load_config(f"configs/{name}")
    source = open_source(config.data)
    example = training_example(source[0], np.random.default_rng(0), config.data)
    batch = {view: np.stack([pixels] * 2) for view, pixels in example.items()}
    model = models.create(config.model.name, **config.model.options)

    def step(key, batch):
        variables = task.initial_params(model, key, config)
        inputs = jax.vmap(lambda example: task.inputs(example, key, config))(batch)
        gradients = [jax.grad(lambda v, f=f: f(model, v, inputs, config), has_aux=True) for _, f in task.phases(config)]
        return variables, [gradient(variables) for gradient in gradients]

    variables, results = jax.eval_shape(step, jax.random.key(0), batch)
    for _, (terms, statistics) in results:
        assert all(term.shape == () for term in terms.values())
        for collection, moved in statistics.items():
            assert jax.tree.structure(moved) == jax.tree.structure(variables[collection])
    if "hr" in example or "sharp" in example:
        evaluated = jax.eval_shape(
            lambda v, batch: task.evaluate(
                model, v, jax.vmap(lambda e: task.evaluation_inputs(e, None, config))(batch), config
            ),
            variables,
            batch,
        )
        assert {name: value.shape for name, value in evaluated[0].items()} == dict.fromkeys(
            ("psnr", "ssim", "gain_db"), (2,)
        )
        side = 32 if "x2" in name else 64
        assert {picture.shape for picture in evaluated[1].values()} == {(2, side, side, 3)}


def test_each_phase_trains_its_own_parameters():
    for name in ("srgan.py:tiny", "ttsr.py:tiny"):
        config = load_config(f"configs/{name}")
        model = models.create(config.model.name, **config.model.options)
        shapes = jax.eval_shape(lambda key, m=model, c=config: task.initial_params(m, key, c), jax.random.key(0))
        (generator, _), (critic, _) = task.phases(config)
        assert set(critic) == set(shapes["params"]) - set(generator) == {"discriminator"}
    assert [trains for trains, _ in task.phases(load_config("configs/ttsr.py:l1,tiny"))] == [()]


def test_a_run_with_a_discriminator_starts_from_one_without(tmp_path):
    few = [f"--config.{o}" for o in ("total_steps=2", "checkpoint_every=2", "log_every=1", "evaluation.every=0")]
    command = ["train", *few, "--config.model.options.num_blocks=1", "--config.model.options.num_feat=4"]
    before, after = tmp_path / "before", tmp_path / "after"
    assert cli.main([*command, "--config=configs/srgan.py:pretrain,photos,tiny", f"--workdir={before}"]) == 0
    generator = f"--config.generator={before / 'final.safetensors'}"
    config = load_config("configs/srgan.py:photos,tiny", [generator, *command[-2:]])
    started = task.initial_params(models.create("srresnet", **config.model.options), jax.random.key(0), config)
    pretrained = rj.load(before / "final.safetensors").params
    for collection in ("params", "batch_stats"):
        jax.tree.map(
            np.testing.assert_array_equal, started[collection]["generator"], pretrained[collection]["generator"]
        )
    assert cli.main([*command, "--config=configs/srgan.py:photos,tiny", generator, f"--workdir={after}"]) == 0
    moved = rj.load(after / "final.safetensors").params
    assert jax.tree.structure(moved) == jax.tree.structure(started)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(moved))
