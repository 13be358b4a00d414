"""One update: inputs, loss, gradients, optimiser, EMA; jitted, the state donated."""

import functools

import jax
import jax.numpy as jnp
import optax

from restore_jax.training.state import TrainState


def make_step(model, task, optimizer, config):
    """A jitted function (state, batch) -> (state, metrics). Randomness is a function of config.seed and the step."""

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: TrainState, batch):
        key = jax.random.fold_in(jax.random.key(config.seed), state.step)
        inputs = task.inputs(batch, key, config)
        gradients, metrics = jax.grad(lambda p: task.loss(model, p, inputs, config), has_aux=True)(state.params)
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
