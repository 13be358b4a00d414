"""ops/warp: goldens of both grids, borders and gradients against SciPy and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from restore_jax.ops import warp

RNG = np.random.default_rng(0)
X = RNG.random((2, 7, 9, 3), np.float32)
FLOW = RNG.uniform(-4, 4, (2, 7, 9, 2)).astype(np.float32)


def channels_last(array):
    return jnp.asarray(np.moveaxis(array, 1, -1))


@pytest.mark.parametrize(("function", "name"), [(warp.warp, "warp_ac_true"), (warp.warp_released, "warp_ac_false")])
def test_goldens(golden, function, name):
    arrays = golden("ops_golden")
    ours = function(channels_last(arrays["gauss_in"]), channels_last(arrays["warp_flow"]))
    np.testing.assert_allclose(ours, channels_last(arrays[name]), atol=2e-6)


@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_warp_samples_at_x_plus_u(padding):
    ours = warp.warp(jnp.asarray(X), jnp.asarray(FLOW), padding)
    rows, columns = np.meshgrid(np.arange(7), np.arange(9), indexing="ij")
    # Padded as wide as the flow reaches: SciPy's zero mode ends abruptly at the last sample.
    mode = {"zeros": "constant", "border": "edge"}[padding]
    for b in range(2):
        where = [rows + 6 + FLOW[b, ..., 1], columns + 6 + FLOW[b, ..., 0]]
        for c in range(3):
            image = np.pad(X[b, ..., c].astype(np.float64), 6, mode)
            expected = ndimage.map_coordinates(image, where, order=1)
            np.testing.assert_allclose(ours[b, ..., c], expected, atol=1e-5)


def test_unknown_padding():
    with pytest.raises(ValueError, match="padding='mirror' is none of zeros, border"):
        warp.warp(jnp.asarray(X), jnp.asarray(FLOW), "mirror")


def test_released_grid_of_another_size_reaches_from_corner_to_corner():
    """docs/networks.md 4, quirk (a): twice the size, the flow still in pixels of x."""
    flow = RNG.uniform(-2, 2, (2, 14, 18, 2)).astype(np.float32)
    ours = warp.warp_released(jnp.asarray(X), jnp.asarray(flow))
    for b, i, j, c in [(0, 5, 6, 0), (1, 8, 11, 2), (0, 0, 17, 1), (1, 13, 0, 1)]:
        y = (-1 + 2 * i / 13 + 2 * flow[b, i, j, 1] / 6 + 1) * 7 / 2 - 0.5
        x = (-1 + 2 * j / 17 + 2 * flow[b, i, j, 0] / 8 + 1) * 9 / 2 - 0.5
        image = np.pad(X[b, ..., c].astype(np.float64), 6)
        expected = ndimage.map_coordinates(image, [[y + 6], [x + 6]], order=1)[0]
        np.testing.assert_allclose(ours[b, i, j, c], expected, atol=1e-5)


@pytest.mark.parametrize("function", [warp.warp, warp.warp_released])
def test_gradients(function):
    """Central differences in both arguments, away from the kinks at whole pixels."""
    flow = (np.floor(FLOW) + 0.4).astype(np.float32)
    direction = RNG.standard_normal((2, 7, 9, 3)).astype(np.float32)
    moves, brightens = (RNG.standard_normal(a.shape).astype(np.float32) for a in (FLOW, X))

    def total(x, flow):
        return jnp.sum(function(x, flow) * direction)

    x_bar, flow_bar = jax.grad(total, (0, 1))(jnp.asarray(X), jnp.asarray(flow))
    step = np.float32(0.01)
    for bar, low, high in (
        (np.sum(x_bar * brightens), (X - step * brightens, flow), (X + step * brightens, flow)),
        (np.sum(flow_bar * moves), (X, flow - step * moves), (X, flow + step * moves)),
    ):
        difference = (total(*map(jnp.asarray, high)) - total(*map(jnp.asarray, low))) / (2 * step)
        np.testing.assert_allclose(bar, difference, rtol=2e-2, atol=2e-2)
