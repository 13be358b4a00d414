"""Chance: draws differ between steps, rows and uses, they have the probabilities of the config, and they repeat."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax import tasks
from restore_jax.train.config import load_config
from restore_jax.train.evaluation import make_evaluation
from restore_jax.train.mesh import abstract_on, make_mesh, replicated
from restore_jax.train.optim import make_optimizer
from restore_jax.train.state import create_state
from restore_jax.train.step import make_step

ROWS = 4
DRAWS = ("uniform", "normal", "bernoulli", "randint", "truncated_normal", "permutation", "categorical", "choice")


# ---------------------------------------------------------------------------------------------------- steps and rows
def drawing(steps, first=0, seed=0, accumulate=1):
    """(steps, ROWS) numbers that a task draws, one for each row, in steps `first` and following."""
    config = load_config("configs/ifan.py:tiny")
    with config.unlocked():
        config.seed, config.accumulate = seed, accumulate

    def loss(model, params, inputs, config):
        value = jnp.mean(inputs["drawn"]) * params["params"]["a"]
        return value, ({"loss": value, "drawn": inputs["drawn"]}, {})

    task = types.SimpleNamespace(
        inputs=lambda example, key, config: {"drawn": jax.random.uniform(key)}, phases=lambda config: (((), loss),)
    )
    mesh, optimizer = make_mesh(devices=jax.devices()[:1]), make_optimizer(config.optim)
    state = create_state({"params": {"a": jnp.ones(())}}, optimizer, task.phases(config))
    state = state.replace(step=jnp.asarray(first, jnp.int32))
    step, found = make_step(None, task, optimizer, config, mesh, abstract_on(mesh, jax.eval_shape(lambda: state))), []
    for _ in range(steps):
        state, metrics = step(state, {"x": np.zeros((ROWS, 1), np.float32)})
        found.append(np.asarray(metrics["drawn"]))
    return np.stack(found)


def test_every_row_of_every_step_has_a_draw_of_its_own_that_a_restart_repeats():
    whole = drawing(3)
    assert len(np.unique(whole)) == whole.size
    np.testing.assert_array_equal(drawing(2, first=1), whole[1:])
    assert not np.intersect1d(drawing(3, seed=1), whole).size


def test_evaluation_draws_by_the_number_of_the_example():
    config = load_config("configs/ifan.py:tiny")
    task = types.SimpleNamespace(
        evaluation_inputs=lambda example, key, config: {"drawn": jax.random.uniform(key)},
        evaluate=lambda model, variables, inputs, config: ({"drawn": inputs["drawn"]}, {}),
    )
    mesh = make_mesh(devices=jax.devices()[:1])
    evaluate = make_evaluation(None, task, config, mesh, replicated(mesh))

    def drawn(*numbers):
        rows = {"x": np.zeros((ROWS, 1), np.float32), "mask": np.ones(ROWS, bool)}
        return np.asarray(evaluate({}, {**rows, "index": np.int32(numbers)})[0]["drawn"])

    first = drawn(0, 1, 2, 3)
    assert len(set(first.tolist())) == ROWS
    np.testing.assert_array_equal(drawn(3, 2, 1, 0), first[::-1])
    assert not np.intersect1d(drawn(4, 5, 6, 7), first).size


# ---------------------------------------------------------------------------------------------------------------- uses
def photo(side):
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)


EXAMPLES = {
    "deblur": ("configs/ifan.py:tiny", {"sharp": photo(32)}),
    "defocus_map": ("configs/dmenet.py:b,tiny", {"sharp": photo(32)}),
    "optical_flow": ("configs/spynet.py", {"sharp": photo(96)}),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_key_is_used_twice(name, monkeypatch):
    """Two draws from one key are one draw: a photograph's noise would say how strong it is."""
    source, example = EXAMPLES[name]
    used = []

    def spied(draw):
        def noted(key, *arguments, **options):
            used.append(np.asarray(jax.random.key_data(key)).tobytes())
            return draw(key, *arguments, **options)

        return noted

    for draw in DRAWS:
        monkeypatch.setattr(jax.random, draw, spied(getattr(jax.random, draw)))
    with jax.disable_jit():  # keys are numbers, not names for them
        tasks.get(name).inputs(example, jax.random.key(0), load_config(source))
    assert len(used) > 3
    assert len(set(used)) == len(used)


# ------------------------------------------------------------------------------------------------------- probabilities
COUNT = 400


def prepared(name, words, example, only, **changes):
    """{view: (COUNT, ...)} of `only` these views of one example, prepared with COUNT keys."""
    config = load_config(words)
    with config.unlocked():
        config.augment.update(changes)

    def one(key):
        found = tasks.get(name).inputs(example, key, config)
        return {view: found[view] for view in only}

    keys = jax.random.split(jax.random.key(3), COUNT)
    return jax.device_get(jax.jit(lambda keys: jax.lax.map(one, keys))(keys))


def assert_share(chosen, probability):
    """So many of COUNT, within four standard deviations."""
    assert abs(np.mean(chosen) - probability) < 4 * (probability * (1 - probability) / COUNT) ** 0.5


@pytest.fixture
def pair():
    """A blurred and a sharp picture of one colour, mid-way so that noise is not clipped."""
    colour = np.uint8([90, 128, 150])
    return {name: np.broadcast_to(colour, (8, 8, 3)) for name in ("blurred", "sharp", "left", "right")}


def test_deblurring_makes_grey_and_noisy_what_the_config_says(pair):
    views = prepared("deblur", "configs/ifan.py:tiny", pair, ("blurred", "sharp"), grey=0.3, noise=0.2)
    assert_share(np.ptp(views["sharp"], -1).max((1, 2)) < 1e-6, 0.3)
    noise = (views["blurred"] - views["sharp"]).std((1, 2, 3))
    assert_share(noise > 1e-4, 0.2)
    noise = noise[noise > 1e-4]
    assert noise.max() < 1.3 * 0.07
    assert abs(noise.mean() - (0.001 + 0.07) / 2) < 4 * 0.07 / 12**0.5 / len(noise) ** 0.5 + 0.002


def test_maps_are_made_grey_and_noisy_as_the_config_says():
    config = load_config("configs/dmenet.py:b,tiny")
    side = 16 + 2 * config.data.margin
    example = {"sharp": np.broadcast_to(np.uint8([90, 128, 150]), (side, side, 3))}
    most = 0.04
    (image,) = prepared(
        "defocus_map", "configs/dmenet.py:b,tiny", example, ("image",), grey=0.4, noise_max=most
    ).values()
    means = image.mean((1, 2))
    # Colours differ by 60 levels; the noise of a mean of 256 pixels is below one.
    assert_share(np.ptp(means, -1) < 0.05, 0.4)
    sigma = (image - means[:, None, None]).std((1, 2, 3))
    assert sigma.max() < 1.1 * most
    assert abs(sigma.mean() - most / 2) < 4 * most / 12**0.5 / COUNT**0.5 + 0.001
