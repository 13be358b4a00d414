"""One update: inputs, loss, gradients, optimiser, EMA; jitted over a mesh, the state donated."""

import functools

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec

from restore_jax.training.mesh import AXES, batch_sharding, replicated
from restore_jax.training.state import TrainState


def make_step(model, task, optimizer, config, mesh: Mesh, abstract: TrainState):
    """A jitted function (state, batch) -> (state, metrics), both over `mesh`, the state laid out as `abstract` is.

    config.accumulate: the batch is taken in so many parts, one after another, and their gradients averaged.
    Randomness is a function of config.seed, the step and the example's row: the same at any mesh and accumulation.
    """
    shardings = jax.tree.map(lambda x: x.sharding, abstract)
    rows_over_devices = batch_sharding(mesh)

    def gradients_of(params, batch, keys):
        inputs = map_examples(functools.partial(task.inputs, config=config), batch, keys, mesh)
        return jax.grad(lambda p: task.loss(model, p, inputs, config), has_aux=True)(params)

    @functools.partial(
        jax.jit,
        donate_argnums=0,
        in_shardings=(shardings, rows_over_devices),
        out_shardings=(shardings, replicated(mesh)),
    )
    def step(state: TrainState, batch):
        key = jax.random.fold_in(jax.random.key(config.seed), state.step)
        count = jax.tree.leaves(batch)[0].shape[0]
        keys = jax.random.split(key, count)
        if config.accumulate == 1:
            gradients, metrics = gradients_of(state.params, batch, keys)
        else:
            gradients, metrics = _accumulated(functools.partial(gradients_of, state.params), batch, keys, config)
        with jax.numpy_dtype_promotion("standard"):  # optax's own arithmetic is not strict
            updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        # The mean reaches back at most a tenth of the run so far, so that it is of use early on.
        done = state.step.astype(jnp.float32)
        decay = jnp.minimum(config.ema_decay, done / (done + 10.0))
        ema = jax.tree.map(lambda mean, new: decay * mean + (1 - decay) * new, state.ema, params)
        metrics = {**metrics, "gradient_norm": optax.tree.norm(gradients)}
        return TrainState(state.step + 1, params, ema, optimizer_state), metrics

    return step


def map_examples(function, batch, keys, mesh: Mesh):
    """function(example, key) of every row, each on the device that holds it.

    On CPU one row at a time: what is rendered for a whole batch does not fit the cache.
    """

    def here(batch, keys):
        at_once = 1 if jax.default_backend() == "cpu" else keys.shape[0]
        return jax.lax.map(lambda row: function(*row), (batch, keys), batch_size=at_once)

    rows = PartitionSpec(AXES)
    return jax.shard_map(here, mesh=mesh, in_specs=(rows, rows), out_specs=rows, check_vma=False)(batch, keys)


def _accumulated(gradients_of, batch, keys, config):
    """Mean gradients and metrics over config.accumulate parts of a batch: every n-th row, so that rows stay put."""
    parts = config.accumulate

    def split(x):
        return jnp.moveaxis(x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 1, 0)

    batch, keys = jax.tree.map(split, batch), split(keys)

    def add(total, part):
        return jax.tree.map(jnp.add, total, gradients_of(*part)), None

    shapes = jax.eval_shape(gradients_of, *jax.tree.map(lambda x: x[0], (batch, keys)))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    total, _ = jax.lax.scan(add, zeros, (batch, keys))
    return jax.tree.map(lambda x: x / parts, total)
