"""Tiles begin on the grid of the networks that halve most often, such as DMENet and DPDNet: four times."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax import restore as rs
from restore_jax.ops.resize import block_mean


class Blocks(nn.Module):
    """Gives each pixel the mean of its block of 16x16: the finest shift that changes nothing is 16 pixels."""

    def __call__(self, blurred):
        coarse = block_mean(blurred, 16)
        return {"image": jnp.repeat(jnp.repeat(coarse, 16, 1), 16, 2)}


@pytest.mark.parametrize(("height", "width"), [(350, 210), (210, 460)])
def test_tiles_of_a_network_that_halves_four_times_are_the_whole_image(height, width, monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")
    image = np.random.default_rng(0).random((height, width, 3), np.float32)
    whole, tiled = (
        rs.restore(Blocks(), {}, image, **options)
        for options in ({"tile": None}, {"tile": 160, "overlap": 64, "fade": 32})
    )
    plan = rs.plan(height, width, 160, 64)
    assert len(plan.tops) * len(plan.lefts) > 3
    inside = np.s_[: height // 16 * 16, : width // 16 * 16]  # beyond it both mirror, from different pixels
    np.testing.assert_allclose(tiled[inside], whole[inside], atol=1e-6)
