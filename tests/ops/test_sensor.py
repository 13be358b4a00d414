"""Noise and processing of a sensor, against their formulas and SciPy's filters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from restore_jax.ops import sensor


@pytest.mark.parametrize(("light", "shot", "read"), [(0.4, 1e-3, 0.0), (0.0, 1e-3, 5e-3), (0.8, 4e-4, 0.01)])
def test_noise_is_poisson_gaussian(light, shot, read):
    noise = sensor.noise(jax.random.key(0), jnp.full((200, 200, 3), light), shot, read)
    assert float(noise.std()) == pytest.approx(np.sqrt(shot * light + read**2), rel=0.02)
    assert abs(float(noise.mean())) < 1e-4


def test_smoothed_noise_is_weaker_and_coarser():
    noise = np.asarray(sensor.noise(jax.random.key(0), jnp.full((200, 200, 3), 0.5), 1e-3, 0.0, 1.0))
    # The sum of squares of a Gaussian kernel of sigma 1 is 1 / (4 pi) in two axes.
    assert noise.std() == pytest.approx(np.sqrt(5e-4 / (4 * np.pi)), rel=0.03)
    neighbours = np.mean(noise[:, 1:] * noise[:, :-1]) / noise.var()
    assert neighbours == pytest.approx(np.exp(-1 / 4), abs=0.03)


@pytest.mark.parametrize("sigma", [0.6, 1.5])
def test_gaussian_is_scipys(sigma):
    image = np.random.default_rng(0).random((20, 24, 3)).astype(np.float32)
    theirs = gaussian_filter(image, (sigma, sigma, 0), mode="nearest", radius=(4, 4, 0))
    np.testing.assert_allclose(sensor.gaussian(image, sigma), theirs, atol=1e-5)
    np.testing.assert_allclose(sensor.gaussian(image, 0.0), image, atol=1e-6)
    sharpened = sensor.sharpen(image, 0.7, sigma)
    np.testing.assert_allclose(sharpened, image + 0.7 * (image - theirs), atol=1e-5)


def test_the_tone_curve_clips_light():
    light = jnp.array([[[-0.2, 0.25, 3.0]]])
    np.testing.assert_allclose(sensor.encode(light, 2.0), [[[0, 0.5, 1]]])
