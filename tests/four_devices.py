"""Ten steps and an evaluation on meshes of 1, 2 and 4 CPU devices; `python -m tests.four_devices` prints JSON.

A process of its own, because the number of CPU devices is fixed when JAX starts.
"""

import json
import os
import sys

if __name__ == "__main__":  # not where it is imported
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"

import jax
import numpy as np

from restore_jax.data.loader import evaluation_batches, training_batches
from restore_jax.data.sources import DeadLeaves
from restore_jax.train.config import load_config
from restore_jax.train.evaluation import evaluate_all, make_evaluation
from restore_jax.train.mesh import abstract_on, gathered, global_batch, make_mesh
from restore_jax.train.optim import make_optimizer
from restore_jax.train.state import create_state
from restore_jax.train.step import make_step
from tests import toy_task

MESHES = {"1x1": (1, 1), "4x1": (4, 1), "1x2": (2, 2), "2x2": (4, 2)}  # data x fsdp: devices, fsdp
STEPS = 10


class Seven(DeadLeaves):
    """Seven examples: the last batch of four is ragged."""

    def __len__(self):
        return 7


def settings():
    """The tiny config on batches of four."""
    config = load_config("configs/ifan.py:tiny")
    with config.unlocked():
        config.data.batch_size = config.evaluation.data.batch_size = 4
        config.data.size = config.evaluation.data.size = 32
        config.data.margin = 0
        config.optim.rate = 1e-2
    return config


def facts(devices: int, fsdp: int) -> dict:
    """Losses and gradient norms of the steps, evaluation means, shardings of the parameters and of the optimiser."""
    config = settings()
    mesh = make_mesh(fsdp, jax.devices()[:devices])
    model, task, optimizer = toy_task.Model(), toy_task, make_optimizer(config.optim)

    def fresh():
        return create_state(task.initial_params(model, jax.random.key(0), config), optimizer, task.phases(config))

    abstract = abstract_on(mesh, jax.eval_shape(fresh))
    layout = jax.tree.map(lambda x: x.sharding, abstract)
    state = jax.device_put(jax.jit(fresh)(), layout)
    step = make_step(model, task, optimizer, config, mesh, abstract)
    rows, steps = training_batches(DeadLeaves(), config.data, 0, 0), []
    for _ in range(STEPS):
        state, metrics = step(state, global_batch(next(rows), mesh))
        steps.append({name: float(value) for name, value in metrics.items()})
    function = make_evaluation(model, task, config, mesh, layout.ema)
    means, _ = evaluate_all(function, state.ema, evaluation_batches(Seven(), config.evaluation.data), mesh)
    whole = gathered(state.ema)
    params = jax.tree_util.tree_leaves_with_path(state.params)
    moments = jax.tree_util.tree_leaves_with_path(state.optimizer)
    return {
        "steps": steps,
        "evaluation": means.values(),
        "count": means.count,
        "sum": float(sum(np.abs(x).sum(dtype=np.float64) for x in jax.tree.leaves(whole))),
        "params": {jax.tree_util.keystr(k): (x.shape, list(x.sharding.spec)) for k, x in params},
        "optimizer": {jax.tree_util.keystr(k): (x.shape, list(x.sharding.spec)) for k, x in moments},
        "bytes_here": sum(x.addressable_shards[0].data.nbytes for _, x in params),
    }


if __name__ == "__main__":
    # Prefers JSON on stdout and nothing else there.
    json.dump({name: facts(*mesh) for name, mesh in MESHES.items()}, sys.stdout)
