"""ops/resize: goldens of each interpolation, and dense formulas for the general ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax.ops import resize

X = np.random.default_rng(0).random((2, 6, 9, 3), np.float32)


def channels_last(array):
    return jnp.asarray(np.moveaxis(array, 1, -1))


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("bicubic_half", resize.halve_bicubic),
        ("bicubic_x2", lambda x: resize.upsample_bicubic(x, 2)),
        ("bicubic_x4", lambda x: resize.upsample_bicubic(x, 4)),
        ("bilinear_x2_ac", lambda x: resize.resize_bilinear_align_corners(x, 18, 22)),
        ("area_third", lambda x: resize.block_mean(x[:, :, :9], 3)),
    ],
)
def test_goldens(golden, name, function):
    arrays = golden("ops_golden")
    np.testing.assert_allclose(
        function(channels_last(arrays["gauss_in"])), channels_last(arrays[name]), atol=2e-6, err_msg=name
    )


def test_pixel_shuffle_golden(golden):
    arrays = golden("ops_golden")
    ours = resize.pixel_shuffle(channels_last(arrays["pixel_shuffle_in"]), 2)
    np.testing.assert_array_equal(ours, channels_last(arrays["pixel_shuffle_out"]))


def hats(n, positions):
    """Linear interpolation at `positions` as a matrix: hat functions around the samples, those beyond the ends cut."""
    positions = np.clip(positions, 0, n - 1)
    return np.maximum(0, 1 - np.abs(positions[:, None] - np.arange(n)[None]))


@pytest.mark.parametrize("size", [(6, 9), (7, 5), (32, 32), (1, 1), (12, 18)])
def test_bilinear_to_any_size(size):
    half_pixel = [hats(n, (np.arange(m) + 0.5) * n / m - 0.5) for n, m in zip((6, 9), size, strict=True)]
    expected = np.einsum("yi,xj,bijc->byxc", *half_pixel, X)
    np.testing.assert_allclose(resize.resize_bilinear(jnp.asarray(X), *size), expected, atol=1e-6)
    corners = [hats(n, np.linspace(0, n - 1, m)) for n, m in zip((6, 9), size, strict=True)]
    expected = np.einsum("yi,xj,bijc->byxc", *corners, X)
    np.testing.assert_allclose(resize.resize_bilinear_align_corners(jnp.asarray(X), *size), expected, atol=1e-6)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bilinear_upsampling_is_the_general_one(factor):
    matrices = [hats(n, (np.arange(factor * n) + 0.5) / factor - 0.5) for n in (6, 9)]
    expected = np.einsum("yi,xj,bijc->byxc", *matrices, X)
    np.testing.assert_allclose(resize.upsample_bilinear(jnp.asarray(X), factor), expected, atol=1e-6)


@pytest.mark.parametrize(
    "function",
    [
        resize.halve_bicubic,
        lambda x: resize.upsample_bicubic(x, 2),
        lambda x: resize.upsample_bilinear(x, 2),
        lambda x: resize.resize_bilinear(x, 8, 5),
    ],
)
def test_gradients_are_adjoints(function):
    y, vjp = jax.vjp(function, jnp.asarray(X))
    rng = np.random.default_rng(1)
    cotangent = jnp.asarray(rng.standard_normal(y.shape), jnp.float32)
    other = rng.standard_normal(X.shape).astype(np.float32)
    left = np.sum(np.asarray(vjp(cotangent)[0]) * other)
    np.testing.assert_allclose(left, np.sum(cotangent * function(jnp.asarray(other))), rtol=1e-4, atol=1e-4)


def test_dtype_stays():
    x = jnp.asarray(X, jnp.bfloat16)
    for y in (resize.upsample_bicubic(x, 2), resize.resize_bilinear(x, 8, 8), resize.halve_bicubic(x)):
        assert y.dtype == jnp.bfloat16
