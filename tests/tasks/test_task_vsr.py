"""The task and configs of video super-resolution without references, and with the memory (losses: test_memory.py)."""

import jax
import numpy as np
import pytest

import restore_jax as rj
from restore_jax import cli, models, tasks, weights
from restore_jax.data.sources import open_source
from restore_jax.data.transforms import training_example
from restore_jax.train.config import load_config
from restore_jax.weights.tree import flatten

task = tasks.get("vsr")


@pytest.mark.parametrize("variant", ["tiny", "iconvsr,memory,tiny", "edvr,memory,tiny", "memorise,k4,b6,m5,tiny"])
def test_every_variant_makes_a_step_and_an_evaluation(variant):
    """By their shapes: nothing is computed."""
    config = load_config(f"configs/vsr.py:{variant}")
    example = training_example(open_source(config.data)[0], np.random.default_rng(0), config.data)
    batch = {view: np.stack([pixels] * 2) for view, pixels in example.items()}
    model = models.create(config.model.name, **config.model.options)

    def step(key, batch):
        variables = task.initial_params(model, key, config)
        inputs = jax.vmap(lambda example: task.inputs(example, key, config))(batch)
        ((_, loss),) = task.phases(config)
        return variables, jax.grad(lambda v: loss(model, v, inputs, config), has_aux=True)(variables)

    variables, (gradient, (terms, _)) = jax.eval_shape(step, jax.random.key(0), batch)
    assert jax.tree.structure(gradient) == jax.tree.structure(variables)
    assert all(term.shape == () for term in terms.values())
    assert ("memory_db" in terms) == ("mem" in variant)
    assert ("gain_db" in terms) == ("memorise" not in variant)
    if "memorise" in variant:
        return
    floats = jax.vmap(lambda e: task.evaluation_inputs(e, None, config))
    values, pictures = jax.eval_shape(lambda v, b: task.evaluate(model, v, floats(b), config), variables, batch)
    assert {name: value.shape for name, value in values.items()} == {"psnr": (2,), "gain_db": (2,)}
    assert {picture.shape for picture in pictures.values()} == {(2, 64, 64, 3)}


def test_evaluation_is_of_the_centre_frame():
    """A network that gives the truth but for the centre frame, which is .1 off: 20 dB."""
    truth = np.random.default_rng(0).random((1, 3, 64, 64, 3), np.float32) * 0.8
    result = truth.copy()
    result[:, 1] += 0.1
    inputs = {"lrs": np.zeros((1, 3, 16, 16, 3), np.float32), "hrs": truth}

    class Fixed:
        def apply(self, params, lrs):
            return {"image": result}

    values, pictures = task.evaluate(Fixed(), {}, inputs, None)
    np.testing.assert_allclose(values["psnr"], 20, atol=1e-3)
    np.testing.assert_allclose(values["gain_db"], 20 + 10 * np.log10(np.mean(truth[:, 1] ** 2)), atol=1e-3)
    np.testing.assert_array_equal(pictures["truth"], truth[:, 1])


def test_memorising_moves_the_memory_alone_and_training_goes_on_from_it(tmp_path, monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")
    options = {"num_feat": 4, "num_blocks": 1, "train_flow": False}
    plain = models.create("basicvsr", **options)
    shapes = jax.eval_shape(plain.init, jax.random.key(0), np.zeros((1, 2, 16, 16, 3), np.float32))
    rng = np.random.default_rng(0)
    backbone = jax.tree.map(lambda x: rng.normal(0, 0.05, x.shape).astype(np.float32), shapes)
    weights.save(tmp_path / "backbone.safetensors", backbone, "basicvsr", options)
    few = [f"--config.{o}" for o in ("total_steps=2", "checkpoint_every=2", "log_every=1", "optim.warmup_steps=0")]
    few += ["--config.evaluation.every=0"]
    few += [f"--config.model.options.{name}={options[name]}" for name in ("num_feat", "num_blocks")]
    command = ["train", *few, f"--config.backbone={tmp_path}/backbone.safetensors", "--config.ema_decay=0.0"]
    assert cli.main([*command, "--config=configs/vsr.py:memorise,tiny", f"--workdir={tmp_path}/run"]) == 0
    found = flatten(rj.load(tmp_path / "run" / "final.safetensors").params["params"])
    for path, value in flatten(backbone["params"]).items():
        np.testing.assert_array_equal(found[path], value, err_msg=path)
    assert {path.split("/")[0] for path in found} - {path.split("/")[0] for path in flatten(backbone["params"])} == {
        "bank",
        "memory_fusion",
    }

    config = load_config("configs/vsr.py:memory,tiny")
    with config.unlocked():
        config.model.options.update(options | {"train_flow": True})
        config.memorised = str(tmp_path / "run" / "final.safetensors")
    start = flatten(task.initial_params(models.create("basicvsr", **config.model.options), jax.random.key(1), config))
    for path in found:
        if path.startswith("bank/"):
            remembered = found[path.replace("lr_queries", "reference_queries")]
            np.testing.assert_array_equal(start[f"params/{path}"], remembered, err_msg=path)
