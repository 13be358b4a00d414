"""ops/resize and ops/warp against NumPy and SciPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage
from skimage.transform import downscale_local_mean

from restore_jax.ops import resize, warp

X = np.random.default_rng(0).random((2, 8, 12, 3), np.float32)


def test_block_mean():
    expected = np.stack([downscale_local_mean(image, (4, 4, 1)) for image in X])
    np.testing.assert_allclose(resize.block_mean(jnp.asarray(X), 4), expected, atol=1e-6)


def test_block_mean_refuses_a_remainder():
    with pytest.raises(ValueError, match="8x12 is not a multiple of 5"):
        resize.block_mean(jnp.asarray(X), 5)


def test_every_nth_takes_the_first_of_each_block():
    np.testing.assert_array_equal(resize.every_nth(jnp.asarray(X), 4)[0, 1, 2], X[0, 4, 8])


def test_pixel_shuffle_is_pytorchs():
    shared = np.arange(2 * 3 * 5 * 8, dtype=np.float32).reshape(2, 3, 5, 8)
    out = resize.pixel_shuffle(jnp.asarray(shared), 2)
    for channel, dy, dx in [(0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 1)]:
        np.testing.assert_array_equal(out[:, dy::2, dx::2, channel], shared[..., 4 * channel + 2 * dy + dx])


def test_warp_horizontal_samples_at_x_plus_disparity():
    disparity = np.random.default_rng(1).uniform(-3, 3, (2, 8, 12, 1)).astype(np.float32)
    ours = warp.warp_horizontal(jnp.asarray(X), jnp.asarray(disparity))
    rows, columns = np.meshgrid(np.arange(8), np.arange(12), indexing="ij")
    for b in range(2):
        for c in range(3):
            # A wide border of zeros: SciPy's own zero mode ends abruptly at the last sample.
            image = np.pad(X[b, :, :, c].astype(np.float64), ((0, 0), (5, 5)))
            where = [rows, columns + 5 + disparity[b, :, :, 0]]
            np.testing.assert_allclose(ours[b, :, :, c], ndimage.map_coordinates(image, where, order=1), atol=1e-5)
