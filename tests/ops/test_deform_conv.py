"""ops/deform_conv: the definition in NumPy, a plain convolution, clamping, gradients against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from restore_jax.ops.deform_conv import deform_conv, split_offsets

B, H, W, C, GROUPS, DEPTH = 2, 5, 6, 4, 2, 3


def definition(x, offsets, masks, kernel, max_offset=np.inf):
    """Pixel by pixel, tap by tap, channel by channel, in float64."""

    def read(plane, y, x):
        """Bilinear; zero outside."""
        total = 0.0
        for row in (int(np.floor(y)), int(np.floor(y)) + 1):
            for column in (int(np.floor(x)), int(np.floor(x)) + 1):
                if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
                    total += plane[row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
        return total

    b, h, w, c = x.shape
    groups = masks.shape[3]
    x, offsets, masks, kernel = (np.asarray(a, np.float64) for a in (x, offsets, masks, kernel))
    out = np.zeros((b, h, w, kernel.shape[-1]))
    for n, row, column, channel in np.ndindex(b, h, w, c):
        group = channel // (c // groups)
        for tap in range(9):
            dy, dx = np.clip(offsets[n, row, column, group, tap], -max_offset, max_offset)
            value = read(x[n, :, :, channel], row + tap // 3 - 1 + dy, column + tap % 3 - 1 + dx)
            out[n, row, column] += masks[n, row, column, group, tap] * value * kernel[tap // 3, tap % 3, channel]
    return out


def inputs(spread, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(B, H, W, C))
    offsets = rng.normal(scale=spread, size=(B, H, W, GROUPS, 9, 2))
    masks = rng.random((B, H, W, GROUPS, 9))
    kernel = rng.normal(size=(3, 3, C, DEPTH))
    return [jnp.asarray(a, jnp.float32) for a in (x, offsets, masks, kernel)]


@pytest.mark.parametrize("spread", [0.3, 3.0, 200.0])
def test_the_definition(spread):
    """Offsets within a pixel, across borders, and far outside."""
    arrays = inputs(spread)
    y = jax.jit(deform_conv)(*arrays)
    assert y.shape == (B, H, W, DEPTH)
    np.testing.assert_allclose(y, definition(*arrays), atol=2e-5)


def test_whole_pixels_on_the_border():
    """Positions exactly on the last sample, on the first zero beyond it, and on the far side of the zeros."""
    x, offsets, masks, kernel = inputs(1.0)
    offsets = jnp.round(3 * offsets)
    np.testing.assert_allclose(deform_conv(x, offsets, masks, kernel), definition(x, offsets, masks, kernel), atol=2e-5)


def test_offsets_are_clamped():
    x, offsets, masks, kernel = inputs(2.0)
    y = deform_conv(x, offsets, masks, kernel, max_offset=1.5)
    np.testing.assert_allclose(y, definition(x, offsets, masks, kernel, 1.5), atol=2e-5)
    wild = jnp.where(offsets > 0, jnp.inf, -jnp.inf)
    assert np.all(np.isfinite(deform_conv(x, wild, masks, kernel)))


def test_without_offsets_it_is_a_convolution():
    x, offsets, masks, kernel = inputs(0.0)
    y = deform_conv(x, 0 * offsets, jnp.ones_like(masks), kernel)
    for n, depth in np.ndindex(B, DEPTH):
        planes = [
            scipy.signal.correlate2d(x[n, ..., c], kernel[..., c, depth], "same").astype(np.float64) for c in range(C)
        ]
        np.testing.assert_allclose(y[n, ..., depth], sum(planes), atol=2e-5)


@pytest.mark.parametrize("argument", range(4))
def test_gradients_are_finite_differences(argument):
    """Along random directions, with the definition's differences in float64; positions stay within their pixels."""
    arrays = [np.asarray(a, np.float64) for a in inputs(1.0)]
    fraction = arrays[1] % 1
    arrays[1] += np.clip(fraction, 0.1, 0.9) - fraction
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(B, H, W, DEPTH))
    gradient = jax.grad(
        lambda *a: jnp.sum(deform_conv(*a) * jnp.asarray(weights, jnp.float32)), argnums=argument
    )(*(jnp.asarray(a, jnp.float32) for a in arrays))  # fmt: skip
    direction = rng.normal(size=arrays[argument].shape)
    step = 1e-3

    def value(sign):
        moved = list(arrays)
        moved[argument] = arrays[argument] + sign * step * direction
        return np.sum(definition(*moved) * weights)

    expected = (value(1) - value(-1)) / (2 * step)
    found = np.sum(np.asarray(gradient, np.float64) * direction)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-2)


def test_bfloat16_is_close():
    x, offsets, masks, kernel = inputs(2.0)
    y = deform_conv(x.astype(jnp.bfloat16), offsets, masks, kernel)
    assert y.dtype == jnp.bfloat16
    expected = definition(x, offsets, masks, kernel)
    assert np.abs(y.astype(np.float32) - expected).max() < 0.03 * np.abs(expected).max()


def test_published_order_of_channels():
    """(group, tap, (y, x)), then (group, tap)."""
    channels = jnp.broadcast_to(jnp.arange(27.0 * GROUPS)[None, None, None], (1, 2, 3, 27 * GROUPS))
    offsets, masks = split_offsets(channels)
    assert offsets.shape == (1, 2, 3, GROUPS, 9, 2)
    assert offsets[0, 1, 2, 1, 4].tolist() == [18 + 8, 18 + 9]
    assert masks.shape == (1, 2, 3, GROUPS, 9)
    np.testing.assert_allclose(masks[0, 0, 0, 1, 3], 1 / (1 + np.exp(-(18.0 * GROUPS + 9 + 3))), rtol=1e-6)


def test_channels_must_fall_into_groups():
    x, offsets, masks, kernel = inputs(0.0)
    with pytest.raises(ValueError, match="3 channels do not fall into 2 groups"):
        deform_conv(x[..., :3], offsets, masks, kernel[:, :, :3])
