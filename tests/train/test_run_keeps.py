"""A run keeps the mean, which is evaluated and shipped, and the right checkpoints; rates drop when they should."""

import types

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

import restore_jax as rj
from restore_jax.data.dead_leaves import dead_leaves
from restore_jax.errors import InputError
from restore_jax.train import loop
from restore_jax.train.checkpoint import Checkpoints
from restore_jax.train.config import load_config
from restore_jax.train.log import Log
from restore_jax.train.mesh import abstract_on, make_mesh
from restore_jax.train.optim import make_optimizer, make_schedule
from restore_jax.train.state import create_state
from restore_jax.train.step import make_step
from restore_jax.weights.tree import flatten


# ------------------------------------------------------------------------------------------------------------ the mean
def a_state(value=1.0):
    """A state whose parameters, statistics and their mean all differ."""
    variables = {"params": {"a": jnp.float32(value)}, "batch_stats": {"b": jnp.float32(2 * value)}}
    state = create_state(variables, optax.sgd(1.0), (((), None),))
    return state.replace(ema=jax.tree.map(lambda x: x + 10, state.ema))


def test_the_mean_is_what_is_evaluated(tmp_path):
    config = load_config("configs/ifan.py:tiny")
    with config.unlocked():
        config.evaluation.data.update({"size": 16, "margin": 0, "batch_size": 2})

    def evaluate(model, variables, inputs, config):
        rows = inputs["sharp"].shape[0]
        a, b = variables["params"]["a"], variables["batch_stats"]["b"]
        return {"a": jnp.full(rows, a), "b": jnp.full(rows, b)}, {}

    def evaluation_inputs(example, key, config):
        return {"sharp": example["sharp"].astype(jnp.float32)}

    task = types.SimpleNamespace(evaluate=evaluate, evaluation_inputs=evaluation_inputs)
    source = [{"sharp": dead_leaves(np.random.default_rng(n), (16, 16))} for n in range(3)]
    lines = []
    log = types.SimpleNamespace(write=lambda step, values: lines.append((step, values)), say=lambda text: None)
    mesh, state = make_mesh(devices=jax.devices()[:1]), a_state()
    abstract = abstract_on(mesh, jax.eval_shape(lambda: state))
    loop.make_evaluate(None, task, config, mesh, abstract, source, log, tmp_path)(7, state)
    assert lines == [(7, {"evaluation/a": 11.0, "evaluation/b": 12.0})]


def test_the_mean_is_what_ships(tmp_path):
    model = rj.models.create("srcnn")
    params = model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    state = create_state(params, optax.sgd(1.0), (((), None),))
    mean = jax.tree.map(lambda x: x + 1, jax.device_get(state.ema))
    config = load_config("configs/srcnn.py")
    mesh = make_mesh(devices=jax.devices()[:1])
    sharding = jax.tree.map(lambda x: x.sharding, abstract_on(mesh, jax.eval_shape(lambda: mean)))
    state = state.replace(ema=jax.device_put(mean, sharding))
    log = types.SimpleNamespace(say=lambda text: None)
    path = loop.write_weights(tmp_path / "final.safetensors", state, types.SimpleNamespace(), config, log)
    found = flatten(rj.load(path).params)
    for name, value in flatten(mean).items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_the_mean_reaches_back_no_further_than_ema_decay():
    """One parameter that loses the rate at every step, so that what is averaged is known."""
    config = load_config("configs/ifan.py:tiny")
    with config.unlocked():
        config.ema_decay = 0.12  # n / (n + 10) is above it from the second step on

    def loss(model, params, inputs, config):
        value = jnp.sum(params["params"]["a"]) + 0.0 * jnp.mean(inputs["x"])
        return value, ({"loss": value}, {})

    task = types.SimpleNamespace(inputs=lambda example, key, config: example, phases=lambda config: (((), loss),))
    mesh, optimizer = make_mesh(devices=jax.devices()[:1]), optax.sgd(0.5)
    state = create_state({"params": {"a": jnp.zeros(())}}, optimizer, task.phases(config))
    step = make_step(None, task, optimizer, config, mesh, abstract_on(mesh, jax.eval_shape(lambda: state)))
    mean = 0.0
    for n in range(5):
        state, _ = step(state, {"x": np.zeros((2, 1), np.float32)})
        kept = [0.0, 1 / 11, 0.12, 0.12, 0.12][n]
        mean = kept * mean + (1 - kept) * -0.5 * (n + 1)
        assert float(state.ema["params"]["a"]) == pytest.approx(mean, rel=1e-5)


# --------------------------------------------------------------------------------------------------------- checkpoints
def kept(folder):
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def saved(folder, steps, **options):
    """A folder of checkpoints after saves at all of the steps."""
    checkpoints = Checkpoints(folder, **options)
    for step in steps:
        checkpoints.save(step, a_state(float(step)))
    checkpoints.close()
    return folder


def test_the_newest_checkpoints_stay_and_those_of_every_period(tmp_path):
    assert kept(saved(tmp_path / "a", range(1, 8), keep=2)) == [6, 7]
    assert kept(saved(tmp_path / "b", range(1, 8), keep=2, keep_period=3)) == [3, 6, 7]


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied"),
        OSError(5, "Input/output error"),
        TimeoutError("no answer"),
        ConnectionResetError(104, "Connection reset by peer"),
        MemoryError(),
        ValueError("UNAVAILABLE: Error reading: the service is down"),
        ValueError("PERMISSION_DENIED: Error opening file"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory"),
    ],
)
def test_a_storage_that_fails_is_no_damage(tmp_path, monkeypatch, error):
    """Nothing is moved and no older checkpoint is taken: the next start may find the storage well again."""
    import orbax.checkpoint as ocp

    folder, said = saved(tmp_path / "checkpoints", (1, 2)), []
    checkpoints = Checkpoints(folder)
    with monkeypatch.context() as patch:
        patch.setattr(ocp.CheckpointManager, "restore", lambda *_, **__: (_ for _ in ()).throw(error))
        with pytest.raises(InputError) as raised:
            checkpoints.restore_newest(a_state(), said.append)
    assert f"{folder / '2'}: cannot be read: " in str(raised.value)
    assert "\n" not in str(raised.value)
    assert said == []
    assert kept(folder) == [1, 2]
    assert not (tmp_path / "damaged").exists()
    step, state = checkpoints.restore_newest(a_state(), said.append)
    checkpoints.close()
    assert (step, float(state.params["params"]["a"]), said) == (2, 2.0, [])


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [cut, lambda path: path.unlink()])
def test_damage_sets_a_checkpoint_aside(tmp_path, damage):
    folder, said = saved(tmp_path / "checkpoints", (1, 2)), []
    for path in [path for path in (folder / "2").rglob("*") if path.is_file()]:
        damage(path)
    checkpoints = Checkpoints(folder)
    step, state = checkpoints.restore_newest(a_state(), said.append)
    checkpoints.close()
    assert (step, float(state.params["params"]["a"])) == (1, 1.0)
    assert said[0].startswith(f"{folder / '2'}: damaged, the one before is used (")
    assert kept(folder) == [1]
    assert len(list((tmp_path / "damaged").iterdir())) == 1


# --------------------------------------------------------------------------------------------------- rates and the log
def test_boundaries_count_from_the_beginning_of_the_run_with_a_warm_up_too():
    optim = load_config("configs/ifan.py").optim.copy_and_resolve_references()
    with optim.unlocked():
        optim.update({"schedule": "step", "rate": 1.0, "warmup_steps": 10, "boundaries": (20, 30), "decay": 0.5})
    rates = make_schedule(optim)
    assert [float(rates(step)) for step in (0, 5, 10, 19, 21, 29, 31)] == [0, 0.5, 1, 1, 0.5, 0.5, 0.25]


def skipping(limit):
    return ml_collections.ConfigDict(
        {"log_every": 1, "total_steps": 100, "data": {"batch_size": 1}, "optim": {"skip_nonfinite": limit}}
    )


def logged(tmp_path, values, limit):
    """The step at which the log stops a run with losses `values`, None if it does not."""
    tmp_path.mkdir()
    log = Log(tmp_path, skipping(limit), 0)
    try:
        for step, value in enumerate(values, 1):
            log.step(step, {"loss": jnp.float32(value), "gradient_norm": jnp.float32(1)})
        log.flush()
    except FloatingPointError as error:
        return int(str(error).split("step ")[1].split(";")[0])
    finally:
        log.close()


def test_so_many_batches_in_a_row_may_be_skipped_and_no_more(tmp_path):
    bad = float("nan")
    assert logged(tmp_path / "a", [1, bad, bad, 1, bad, bad, 1], 2) is None
    assert logged(tmp_path / "b", [1, bad, 1, bad, bad, bad, 1], 2) == 6
    assert logged(tmp_path / "c", [1, bad, 1], 0) == 2


def test_a_skipped_batch_moves_no_parameter():
    config = load_config("configs/ifan.py:tiny").optim.copy_and_resolve_references()
    with config.unlocked():
        config.update({"name": "adam", "schedule": "constant", "warmup_steps": 0, "skip_nonfinite": 2})
    optimizer = make_optimizer(config)
    params = {"a": jnp.ones(())}
    state = optimizer.init(params)
    with jax.numpy_dtype_promotion("standard"):
        updates, state = optimizer.update({"a": jnp.float32(jnp.nan)}, state, params)
        assert float(updates["a"]) == 0
        updates, state = optimizer.update({"a": jnp.float32(1)}, state, params)
    assert float(updates["a"]) < 0
