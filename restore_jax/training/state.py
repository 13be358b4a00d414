"""The state of a run: everything a restart needs."""

from typing import Any

import flax.struct
import jax
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
    return TrainState(
        jax.numpy.zeros((), jax.numpy.int32), params, jax.tree.map(lambda x: x.copy(), params), optimizer.init(params)
    )
