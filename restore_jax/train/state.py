"""The state of a run: everything a restart needs."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int


@flax.struct.dataclass
class TrainState:
    """The state of a run.

    step: number of updates made.
    params: {"params": ...}, the parameters that are trained.
    statistics: the other collections of variables, {"batch_stats": ...}, or {}.
    ema: the exponential mean of both, which is evaluated and shipped. Mean parameters need mean statistics: those of
      the last ten batches err by more than the network does.
    optimizer: an optimiser state for each of the task's phases.
    """

    step: Int[Array, ""]
    params: Any
    statistics: Any
    ema: Any
    optimizer: tuple


def create_state(variables, optimizer: optax.GradientTransformation, phases) -> TrainState:
    """Make the state at step 0 from a network's variables; phases: the task's."""
    params = {"params": variables["params"]}
    statistics = {name: collection for name, collection in variables.items() if name != "params"}
    states = tuple(optimizer.init(part(params, trains)) for trains, _ in phases)
    mean = jax.tree.map(jnp.copy, {**params, **statistics})
    return TrainState(jnp.zeros((), jnp.int32), params, statistics, mean, states)


def part(params: dict, trains: tuple[str, ...]) -> dict:
    """Return the modules (top-level names) of {"params": {...}} that a phase trains; () means all."""
    modules = params["params"]
    return {"params": {name: modules[name] for name in modules if not trains or name in trains}}


def with_part(params: dict, changed: dict) -> dict:
    """Return `params` with the modules of `changed` in place of its own."""
    return {"params": {**params["params"], **changed["params"]}}
