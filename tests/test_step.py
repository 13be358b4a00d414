"""One update of two phases: each moves its own modules and statistics, and accumulation gives the whole batch's."""

import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax.config import load_config
from restore_jax.training.mesh import abstract_on, make_mesh
from restore_jax.training.optim import make_optimizer
from restore_jax.training.state import create_state
from restore_jax.training.step import make_step


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


def stepped(phases, accumulate=1):
    """(variables before, the state after one step of plain momentum), of examples x."""
    config = load_config("configs/ifan.py:tiny")
    with config.unlocked():
        config.accumulate = accumulate
        config.optim.update({"rate": 0.1, "warmup_steps": 0, "clip": 0.0, "weight_decay": 0.0, "schedule": "constant"})
    task = types.SimpleNamespace(inputs=lambda example, key, config: example, phases=lambda config: phases)
    model, mesh, optimizer = Pair(), make_mesh(devices=jax.devices()[:1]), make_optimizer(config.optim)
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    variables = model.init(jax.random.key(0), x)
    state = create_state(jax.tree.map(jnp.copy, variables), optimizer, phases)
    abstract = abstract_on(mesh, jax.eval_shape(lambda: state))
    after, metrics = make_step(model, task, optimizer, config, mesh, abstract)(state, {"x": x})
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
