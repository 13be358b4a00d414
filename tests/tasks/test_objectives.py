"""The training objective of IFAN against its equations in NumPy, on outputs that are drawn: no network runs."""

import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax import tasks
from restore_jax.train.config import load_config

task = tasks.get("deblur")
SIZE, GRID = 32, 4  # pixels a side, of images and of the grid that disparity and reblurring live on
WEIGHTS = {"deblur": 2.0, "disparity": 0.5, "reblur": 3.0}


def drawn(seed, *shape):
    return np.random.default_rng(seed).random((2, *shape), np.float32)


@pytest.fixture
def views():
    """Four images that differ."""
    return {name: drawn(n, SIZE, SIZE, 3) for n, name in enumerate(("blurred", "sharp", "left", "right"))}


class Network:
    """Gives what was drawn, whatever it is shown, and keeps what that was."""

    def __init__(self, kind):
        self.input = kind
        self.outputs = {
            "image": drawn(10, SIZE, SIZE, 3) * 1.5 - 0.2,
            "disparity": 4 * drawn(11, GRID, GRID, 1) - 2,
            "reblurred": drawn(12, GRID, GRID, 3),
        }
        if kind == "single":
            self.outputs["disparity_right"] = 4 * drawn(13, GRID, GRID, 1) - 2

    def apply(self, params, blurred, **shown):
        self.shown = {"blurred": blurred, **shown}
        return {name: jnp.asarray(value) for name, value in self.outputs.items()}


def block_means(image):
    return image.astype(np.float64).reshape(2, GRID, 8, GRID, 8, 3).mean((2, 4))


def sampled(image, disparity):
    """Image (b, h, w, 3) at x + disparity, linear between pixels and zero outside of them."""
    result = np.zeros(image.shape)
    for b, y, x in np.ndindex(image.shape[:3]):
        place = x + float(disparity[b, y, x, 0])
        for column in (int(np.floor(place)), int(np.floor(place)) + 1):
            if 0 <= column < image.shape[2]:
                result[b, y, x] += (1 - abs(place - column)) * image[b, y, column]
    return result


def config(**changes):
    made = load_config("configs/ifan.py:tiny")
    with made.unlocked():
        made.loss.update({"pixel": "mse", **WEIGHTS, **changes})
    return made


def terms_of(network, views, settings):
    total, (values, _) = task.loss(network, {}, {name: jnp.asarray(view) for name, view in views.items()}, settings)
    return float(total), {name: float(value) for name, value in values.items()}


@pytest.mark.parametrize(("kind", "disparity"), [("single", "disparity_right"), ("dual", "disparity")])
def test_the_three_losses_are_their_equations(views, kind, disparity):
    """Eq. 4.2 takes the right view to the left one by its disparity, Eq. 4.3 makes the input of the sharp image."""
    network = Network(kind)
    total, values = terms_of(network, views, config())
    outputs = network.outputs
    moved = sampled(block_means(views["right"]), outputs[disparity])
    expected = {
        "deblur": np.mean((outputs["image"] - views["sharp"]) ** 2),
        "disparity": np.mean((moved - block_means(views["left"])) ** 2),
        "reblur": np.mean((outputs["reblurred"] - block_means(views["blurred"])) ** 2),
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(WEIGHTS[name] * value, rel=1e-4), name
    assert total == values["loss"] == pytest.approx(sum(values[name] for name in WEIGHTS), rel=1e-6)


@pytest.mark.parametrize("kind", ["single", "dual"])
def test_the_network_sees_each_view_as_what_it_is(views, kind):
    network = Network(kind)
    terms_of(network, views, config())
    assert network.shown.keys() == {"blurred", "left", "right", "sharp"}
    for name, shown in network.shown.items():
        np.testing.assert_array_equal(shown, views[name], err_msg=name)


def test_a_right_view_that_lies_two_cells_further_is_of_disparity_two(views):
    """A left view in which everything lies two cells of the grid further left than in the right one."""
    right = views["right"]
    left = np.concatenate([right[:, :, 16:], np.zeros((2, SIZE, 16, 3), np.float32)], 2)
    found = [float(task.disparity_loss(jnp.full((2, GRID, GRID, 1), d), right, left)) for d in (-2.0, 0.0, 2.0)]
    assert found[2] == pytest.approx(0, abs=1e-10)
    assert min(found[:2]) > 1e-3


def test_a_loss_of_weight_zero_asks_for_nothing(views):
    network = Network("single")
    only = {name: views[name] for name in ("blurred", "sharp")}
    _, values = terms_of(network, only, config(disparity=0.0, reblur=0.0))
    assert network.shown.keys() == {"blurred"}
    assert values.keys() == {"deblur", "loss", "gain_db"}
    assert values["loss"] == values["deblur"]


def test_the_published_objective_weighs_the_three_alike():
    """Eq. 4.4 is a plain sum of mean squared errors."""
    assert load_config("configs/ifan.py").loss.to_dict() == {
        "pixel": "mse",
        **dict.fromkeys(("deblur", "disparity", "reblur"), 1.0),
    }
