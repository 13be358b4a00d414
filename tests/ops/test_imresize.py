"""ops/imresize: MATLAB's bicubic, against sums written sample by sample and weights worked out by hand."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax.ops.imresize import imresize


def kernel(t):
    """Keys, a = -1/2."""
    t = abs(t)
    if t <= 1:
        return 1.5 * t**3 - 2.5 * t**2 + 1
    return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t <= 2 else 0.0


def line(samples, scale):
    """One line by the documented steps: 1-based positions, ceil(width) + 2 taps from floor(u - width / 2), mirrored."""
    n = len(samples)
    stretch = min(scale, 1)
    width = 4 / stretch
    out = []
    for i in range(1, math.ceil(scale * n) + 1):
        u = i / scale + 0.5 * (1 - 1 / scale)
        left = math.floor(u - width / 2)
        total = weight = 0.0
        for index in range(left, left + math.ceil(width) + 2):
            mirrored = (index - 1) % (2 * n)
            mirrored = mirrored if mirrored < n else 2 * n - 1 - mirrored
            w = float(stretch * kernel(stretch * (u - index)))
            total, weight = total + w * samples[mirrored], weight + w
        out.append(total / weight)
    return np.array(out)


def reference(image, scale, rounded=False):
    """Rows first; with `rounded`, to 8 bits after each pass."""
    for axis in (0, 1):
        image = np.apply_along_axis(line, axis, image.astype(float), scale)
        if rounded:
            image = np.clip(np.floor(image + 0.5), 0, 255)
    return image


@pytest.mark.parametrize("scale", [Fraction(1, 4), Fraction(1, 2), Fraction(4, 5), Fraction(1, 3), Fraction(2), 0.37])
@pytest.mark.parametrize("size", [(12, 20), (13, 9)])
def test_the_documented_sums(scale, size):
    image = np.random.default_rng(0).random((*size, 3))
    expected = reference(image, scale)
    found = imresize(image, scale)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    found = jax.jit(imresize, static_argnums=1)(jnp.asarray(image, jnp.float32)[None, None], float(scale))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found[0, 0], expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("scale", [0.25, 0.5])
def test_eight_bits_are_rounded_after_each_pass(scale):
    picture = np.random.default_rng(1).integers(0, 2, (24, 36, 3), np.uint8) * 255  # rings over and under the range
    expected = reference(picture, Fraction(scale), rounded=True)
    assert (expected != np.clip(np.floor(reference(picture, Fraction(scale)) + 0.5), 0, 255)).any()
    on_device = jax.jit(imresize, static_argnums=1)(jnp.asarray(picture), scale)
    for found in (imresize(picture, scale), np.asarray(on_device)):
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)


def test_halves_round_up():
    """Weights for 1/2 are -3, -9, 29, 111, 111, 29, -9, -3 of 256; every second of them make one half."""
    found = imresize(np.array([0, 1] * 16, np.uint8)[None, :, None].repeat(2, 0), 0.5)
    np.testing.assert_array_equal(found[0, 2:-2, 0], 1)


def test_weights_by_hand():
    """Taps for 1/2 lie 1/4, 3/4, 5/4, 7/4 of the kernel off the middle, those for 1/4 odd eighths."""
    impulse = np.zeros((32, 2, 1))
    impulse[16] = 1
    found = imresize(impulse, 0.5)[5:11, 0, 0]
    np.testing.assert_allclose(found * 256, [0, -3, 29, 111, -9, 0], atol=1e-12)  # 7/4, 3/4, 1/4, 5/4
    impulse = np.zeros((64, 4, 1))
    impulse[32] = 1
    found = imresize(impulse, 0.25)[5:11, 0, 0]  # 13/8, 5/8, 3/8, 11/8
    np.testing.assert_allclose(found * 4096, [0, -45, 399, 745, -75, 0], atol=1e-12)


def test_what_is_even_stays_even_and_ramps_stay_straight():
    np.testing.assert_array_equal(imresize(np.full((9, 10, 3), 77, np.uint8), 0.25), np.full((3, 3, 3), 77))
    ramp = np.arange(40.0)[None, :, None].repeat(8, 0)
    inner = imresize(ramp, 0.25)[0, 2:-2, 0]
    np.testing.assert_allclose(inner, 4 * np.arange(2, 8) + 1.5, atol=1e-12)


def test_sizes_are_rounded_up_but_not_by_an_error_in_binary():
    assert imresize(np.zeros((270, 481, 3), np.float32), 0.25).shape == (68, 121, 3)
    assert imresize(np.zeros((10, 30, 3), np.float32), 1.1).shape == (11, 33, 3)
    assert imresize(np.zeros((2, 160, 160, 3), np.uint8), 4 / 5).shape == (2, 128, 128, 3)


def test_the_adjoint_is_the_gradient():
    """<A x, y> = <x, A' y>."""
    rng = np.random.default_rng(2)
    x, y = (jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in ((12, 16, 3), (3, 4, 3)))
    out, pull = jax.vjp(jax.jit(lambda x: imresize(x, 0.25)), x)
    assert float((out * y).sum()) == pytest.approx(float((x * pull(y)[0]).sum()), rel=1e-4)


def test_a_scale_that_is_none():
    with pytest.raises(ValueError, match="scale is 0"):
        imresize(np.zeros((4, 4, 3)), 0)
