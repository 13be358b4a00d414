"""One update: inputs, losses, gradients, optimiser, EMA; jitted over a mesh, the state donated."""

import functools

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec

from restore_jax.train.mesh import AXES, batch_sharding, replicated, shardings_of
from restore_jax.train.state import TrainState, part, with_part


def make_step(model, task, optimizer, config, mesh: Mesh, abstract: TrainState):
    """Make a jitted function (state, batch) -> (state, metrics), both over `mesh`, the state laid out as `abstract` is.

    Each of the task's phases updates its part of the parameters in turn, with an optimiser state of its own.
    config.accumulate: number of parts that the batch is taken in, one after another; their gradients are averaged.
    Randomness is a function of config.seed, the step and the example's row, so that it is the same for any mesh and any
    accumulation.
    """
    shardings = shardings_of(abstract)
    phases = task.phases(config)

    def prepared(batch, keys):
        return map_examples(functools.partial(task.inputs, config=config), batch, keys, mesh)

    def gradients_of(loss, trained, params, statistics, inputs):
        def objective(trained):
            return loss(model, {**with_part(params, trained), **statistics}, inputs, config)

        return jax.grad(objective, has_aux=True)(trained)

    @functools.partial(
        jax.jit,
        donate_argnums=0,
        in_shardings=(shardings, batch_sharding(mesh)),
        out_shardings=(shardings, replicated(mesh)),
    )
    def step(state: TrainState, batch):
        key = jax.random.fold_in(jax.random.key(config.seed), state.step)
        keys = jax.random.split(key, jax.tree.leaves(batch)[0].shape[0])
        if config.accumulate == 1:
            inputs = prepared(batch, keys)  # once for all phases
        else:
            parts = _split(batch, keys, config.accumulate)
        params, statistics, optimizers, metrics, norms = state.params, state.statistics, [], {}, []
        for (trains, loss), optimizer_state in zip(phases, state.optimizer, strict=True):
            trained = part(params, trains)
            function = functools.partial(gradients_of, loss, trained, params, statistics)
            if config.accumulate == 1:
                gradients, (values, changed) = function(inputs)
            else:
                gradients, (values, changed) = _mean(lambda part, f=function: f(prepared(*part)), parts)
            with jax.numpy_dtype_promotion("standard"):  # optax's own arithmetic is not strict
                updates, optimizer_state = optimizer.update(gradients, optimizer_state, trained)
            params = with_part(params, optax.apply_updates(trained, updates))
            statistics = {**statistics, **changed}
            optimizers.append(optimizer_state)
            metrics |= values
            norms.append(optax.tree.norm(gradients))
        # The mean reaches back at most a tenth of the run so far, so that it is useful early in a run.
        done = state.step.astype(jnp.float32)
        decay = jnp.minimum(config.ema_decay, done / (done + 10.0))
        now = {**params, **statistics}
        ema = jax.tree.map(lambda mean, new: decay * mean + (1 - decay) * new, state.ema, now)
        metrics = {**metrics, "gradient_norm": optax.tree.norm(norms)}
        return TrainState(state.step + 1, params, statistics, ema, tuple(optimizers)), metrics

    return step


def map_examples(function, batch, keys, mesh: Mesh):
    """Apply function(example, key) to every row, each on the device that holds it.

    On CPU it takes one row at a time: images rendered for a whole batch would not fit the cache.
    """

    def here(batch, keys):
        at_once = 1 if jax.default_backend() == "cpu" else keys.shape[0]
        return jax.lax.map(lambda row: function(*row), (batch, keys), batch_size=at_once)

    rows = PartitionSpec(AXES)
    return jax.shard_map(here, mesh=mesh, in_specs=(rows, rows), out_specs=rows, check_vma=False)(batch, keys)


def _split(batch, keys, parts: int):
    """Split (batch, keys) into a leading axis of parts, each every n-th row, so that rows stay on their devices."""

    def one(x):
        return jnp.moveaxis(x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 1, 0)

    return jax.tree.map(one, (batch, keys))


def _mean(function, parts):
    """Average a function's results (trees of arrays) over the leading axis, one after another."""

    def add(total, part):
        return jax.tree.map(jnp.add, total, function(part)), None

    shapes = jax.eval_shape(function, jax.tree.map(lambda x: x[0], parts))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    total, _ = jax.lax.scan(add, zeros, parts)
    count = jax.tree.leaves(parts)[0].shape[0]
    return jax.tree.map(lambda x: x / count, total)
