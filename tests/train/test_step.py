"""One update of two phases: each moves its own modules and statistics, and accumulation gives the whole batch's."""

import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax.train.config import load_config
from restore_jax.train.mesh import abstract_on, make_mesh
from restore_jax.train.optim import make_optimizer
from restore_jax.train.state import create_state
from restore_jax.train.step import make_step


class Pair(nn.Module):
    """Two modules: y = critic(norm(maker(x)))."""

    @nn.compact
    def __call__(self, x):
        y = nn.Dense(4, name="maker")(x)
        return nn.Dense(1, name="critic")(nn.BatchNorm(use_running_average=False, name="norm")(y))


def loss_of(sign):
    def loss(model, variables, inputs, config):
        y, changed = model.apply(variables, inputs["x"], mutable=["batch_stats"])
        value = sign * jnp.mean(y)
        return value, ({"loss": value} if sign > 0 else {"critic": value}, changed if sign > 0 else {})

    return loss


FIRST, SECOND = (("maker", "norm"), loss_of(1)), (("critic",), loss_of(-1))


def steps(phases, accumulate=1, count=1):
    """(variables before, [(state, metrics) after each step of plain momentum]), of examples x of each step's own."""
    config = load_config("configs/ifan.py:tiny")
    with config.unlocked():
        config.accumulate = accumulate
        config.optim.update({"rate": 0.1, "warmup_steps": 0, "clip": 0.0, "weight_decay": 0.0, "schedule": "constant"})
    task = types.SimpleNamespace(inputs=lambda example, key, config: example, phases=lambda config: phases)
    model, mesh, optimizer = Pair(), make_mesh(devices=jax.devices()[:1]), make_optimizer(config.optim)
    x = np.random.default_rng(0).standard_normal((count, 4, 3)).astype(np.float32)
    variables = model.init(jax.random.key(0), x[0])
    state = create_state(jax.tree.map(jnp.copy, variables), optimizer, phases)
    abstract = abstract_on(mesh, jax.eval_shape(lambda: state))
    step, found = make_step(model, task, optimizer, config, mesh, abstract), []
    for rows in x:
        state, metrics = step(state, {"x": rows})
        found.append(jax.device_get((state, metrics)))  # the next step takes the state's memory
    return variables, found


def stepped(phases, accumulate=1):
    """(variables before, the state after one step, its metrics)."""
    variables, [(after, metrics)] = steps(phases, accumulate)
    return variables, after, metrics


def moved(before, after):
    return {
        name
        for name in before
        if any((a != b).any() for a, b in zip(jax.tree.leaves(before[name]), jax.tree.leaves(after[name]), strict=True))
    }


@pytest.mark.parametrize(
    ("phases", "modules", "logged"),
    [
        ((FIRST,), {"maker", "norm"}, {"loss", "gradient_norm"}),
        ((SECOND,), {"critic"}, {"critic", "gradient_norm"}),
        ((FIRST, SECOND), {"maker", "norm", "critic"}, {"loss", "critic", "gradient_norm"}),
        ((((), loss_of(1)),), {"maker", "norm", "critic"}, {"loss", "gradient_norm"}),
    ],
)
def test_a_phase_moves_its_own_modules(phases, modules, logged):
    before, after, metrics = stepped(phases)
    # The mean of normalised features does not depend on what comes before: only the bias of the norm has a gradient.
    expected = modules - {"maker"}
    assert expected <= moved(before["params"], after.params["params"]) <= modules
    assert bool(moved(before["batch_stats"], after.statistics["batch_stats"])) == (phases != (SECOND,))
    assert set(metrics) == logged
    assert int(after.step) == 1


def test_the_second_phase_sees_what_the_first_did():
    before, after, _ = stepped((FIRST, SECOND))
    _, alone, _ = stepped((SECOND,))
    difference = after.params["params"]["critic"]["kernel"] - alone.params["params"]["critic"]["kernel"]
    # Its gradient is minus the norm's bias, which the first phase has moved by 0.1 of its gradient, critic's kernel.
    np.testing.assert_allclose(difference, -0.1 * 0.1 * before["params"]["critic"]["kernel"], atol=1e-6)


def test_the_mean_is_of_parameters_and_statistics():
    """At step n (from 0) new values weigh 1 - n / (n + 10), while that is above 1 - config.ema_decay."""
    variables, found = steps((FIRST, SECOND), count=4)
    mean = variables
    for n, (state, _) in enumerate(found):
        kept = n / (n + 10)
        now = {**state.params, **state.statistics}
        mean = jax.tree.map(lambda old, new, kept=kept: kept * np.asarray(old) + (1 - kept) * new, mean, now)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), state.ema, mean)
    last = found[-1][0]
    assert moved(last.ema["batch_stats"], last.statistics["batch_stats"]) == {"norm"}
