"""The state of a run: everything a restart needs."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int


@flax.struct.dataclass
class TrainState:
    """step: updates made. ema: exponential mean of params, what is evaluated and shipped."""

    step: Int[Array, ""]
    params: Any
    ema: Any
    optimizer: Any


def create_state(params, optimizer: optax.GradientTransformation) -> TrainState:
    """A fresh state at step 0."""
    return TrainState(jnp.zeros((), jnp.int32), params, jax.tree.map(jnp.copy, params), optimizer.init(params))
