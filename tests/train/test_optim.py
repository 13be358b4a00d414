"""Optimisers and schedules against formulas: RAdam, Muon, groups of parameters, rates."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from restore_jax.train.config import load_config
from restore_jax.train.optim import ADAM_SHARE, make_optimizer, make_schedule


def settings(**changes):
    """optim of a config, plain: constant rate, no clipping, no decay."""
    config = {
        "rate": 0.01,
        "b1": 0.9,
        "b2": 0.99,
        "weight_decay": 0.0,
        "decay_biases": True,
        "clip": 0.0,
        "schedule": "constant",
    }
    config |= {"warmup_steps": 0, "skip_nonfinite": 0, "groups": (), **changes}
    return ml_collections.ConfigDict(config)


def updates_of(optimizer, gradients, params):
    """The parameters after each of the gradients."""
    state, after = optimizer.init(params), []
    for gradient in gradients:
        with jax.numpy_dtype_promotion("standard"):  # optax's own arithmetic
            updates, state = optimizer.update(gradient, state, params)
        params = jax.tree.map(jnp.add, params, updates)
        after.append(params)
    return after


def test_paper_config_is_the_dissertations():
    optim = load_config("configs/ifan.py").optim
    assert (optim.name, optim.b1, optim.b2, optim.weight_decay, optim.clip) == ("radam", 0.9, 0.99, 0.01, 0.5)
    rates = make_schedule(optim)
    assert [float(rates(step)) for step in (0, 499_999, 500_001, 550_001)] == pytest.approx([1e-4, 1e-4, 5e-5, 2.5e-5])


def test_cosine_with_warm_up():
    config = settings(schedule="cosine", rate=2e-4, final_rate=1e-6, total_steps=1000, warmup_steps=100)
    rates = make_schedule(config)
    half = 1e-6 + (2e-4 - 1e-6) * 0.5
    assert [float(rates(step)) for step in (0, 50, 100, 550, 1000)] == pytest.approx(
        [0, 1e-4, 2e-4, half, 1e-6], rel=1e-4
    )


def radam_numpy(gradients, rate, b1, b2, weight_decay, clip, start, epsilon=1e-8):
    """RAdam (Liu et al. 2020, Algorithm 2) with clipping by norm and decoupled weight decay, on one vector."""
    x, m, v = start.astype(np.float64), 0.0, 0.0
    longest = 2 / (1 - b2) - 1
    for t, g in enumerate(gradients, start=1):
        g = g * min(1.0, clip / np.linalg.norm(g))
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        length = longest - 2 * t * b2**t / (1 - b2**t)
        update = m / (1 - b1**t)
        if length >= 5:
            r = np.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
            update = r * update / (np.sqrt(v / (1 - b2**t)) + epsilon)
        x = x - rate * (update + weight_decay * x)
    return x


def test_radam_is_the_papers():
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal(5), rng.standard_normal((12, 5))
    optimizer = make_optimizer(settings(name="radam", weight_decay=0.01, clip=0.5))
    after = updates_of(optimizer, jnp.asarray(gradients, jnp.float32), jnp.asarray(start, jnp.float32))
    for steps in (1, 2, 3, 12):
        expected = radam_numpy(gradients[:steps], 0.01, 0.9, 0.99, 0.01, 0.5, start)
        np.testing.assert_allclose(after[steps - 1], expected, rtol=1e-4)


def test_adamw_is_adam_and_decay():
    params, gradient = jnp.asarray([1.0, -2.0]), jnp.asarray([0.5, 3.0])
    (plain,), (decayed,) = (
        updates_of(make_optimizer(settings(name=name, weight_decay=decay)), [gradient], params)
        for name, decay in (("adam", 0.0), ("adamw", 0.1))
    )
    np.testing.assert_allclose(plain, params - 0.01 * jnp.sign(gradient), rtol=1e-5)  # Adam's first step
    np.testing.assert_allclose(plain - decayed, 0.01 * 0.1 * params, rtol=1e-3)


def test_biases_are_spared_from_decay_where_asked():
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    config = settings(name="adamw", weight_decay=0.1, decay_biases=False)
    (after,) = updates_of(make_optimizer(config), [jax.tree.map(jnp.zeros_like, params)], params)
    np.testing.assert_allclose(after["kernel"], 1 - 0.01 * 0.1)
    np.testing.assert_array_equal(after["bias"], 1)


def test_groups_have_their_own_rates_and_frozen_ones_do_not_count():
    params = {
        "encoder": {"kernel": jnp.asarray([3.0])},
        "head": {"kernel": jnp.asarray([3.0]), "bias": jnp.asarray([3.0])},
    }
    gradient = {
        "encoder": {"kernel": jnp.asarray([100.0])},
        "head": {"kernel": jnp.asarray([4.0]), "bias": jnp.asarray([3.0])},
    }
    groups = (("^encoder/", 0), ("kernel$", 0.5))
    # Plain gradient steps could not tell clipping apart from Adam's own scaling: compare with momentum's first step,
    # which RAdam's is.
    (after,) = updates_of(make_optimizer(settings(name="radam", clip=1.0, groups=groups)), [gradient], params)
    assert float(after["encoder"]["kernel"][0]) == 3.0
    # Clipped to norm 1 over the head alone: 4/5 and 3/5.
    np.testing.assert_allclose(after["head"]["kernel"], [3.0 - 0.01 * 0.8 * 0.5], rtol=1e-6)
    np.testing.assert_allclose(after["head"]["bias"], [3.0 - 0.01 * 0.6], rtol=1e-6)


def test_a_group_that_fits_nothing_is_an_error():
    with pytest.raises(ValueError, match="'decoder' is found in no parameter's path, such as encoder/kernel"):
        make_optimizer(settings(name="adam", groups=(("decoder", 0.1),))).init({"encoder": {"kernel": jnp.ones(2)}})


@pytest.mark.parametrize(("key", "value"), [("name", "sgdd"), ("schedule", "linear")])
def test_unknown_names_are_errors(key, value):
    with pytest.raises(ValueError, match=value):
        make_optimizer(settings(**{"name": "adam", key: value}))


def test_batches_that_are_not_finite_change_nothing():
    optimizer = make_optimizer(settings(name="adam", skip_nonfinite=2))
    start = jnp.asarray([1.0])
    bad, good = jnp.asarray([jnp.nan]), jnp.asarray([1.0])
    first, second, third = updates_of(optimizer, [bad, bad, good], start)
    assert float(first[0]) == float(second[0]) == 1.0
    np.testing.assert_allclose(third, [0.99], rtol=1e-5)


def test_muon_steps_are_orthogonal():
    kernel = jnp.asarray(np.random.default_rng(0).standard_normal((3, 3, 4, 6)), jnp.float32)
    params = {"kernel": kernel, "bias": jnp.ones(6)}
    optimizer = make_optimizer(settings(name="muon", rate=0.1))
    with jax.numpy_dtype_promotion("standard"):  # optax's own arithmetic
        updates, _ = optimizer.update(params, optimizer.init(params), params)
    singular = np.linalg.svd(np.asarray(updates["kernel"]).reshape(36, 6), compute_uv=False)
    # Five Newton-Schulz iterations bring singular values near 1, times the rate.
    assert singular.min() > 0.06
    assert singular.max() < 0.13
    assert float(jnp.vdot(updates["kernel"], kernel)) < 0
    # What is no matrix gets Adam's first step with Nesterov momentum: 1 + b1 (1 - b1) / (1 - b1^2), b1 = .9.
    np.testing.assert_allclose(updates["bias"], -0.1 * ADAM_SHARE * (1 + 0.09 / 0.19), rtol=1e-3)
