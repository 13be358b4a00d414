"""ops/patches against loops over patches and taps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax.ops.patches import affine_patches, copy_patches

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_copied_patches_are_those_the_index_names(size):
    source = RNG.random((2, 9, 13, 3), np.float32)  # neither side a multiple: the rest belongs to no patch
    rows, columns = 9 // size, 13 // size
    index = RNG.integers(0, rows * columns, (2, 3, 5)).astype(np.int32)
    ours = copy_patches(jnp.asarray(source), jnp.asarray(index), size)
    assert ours.shape == (2, 3 * size, 5 * size, 3)
    for b, i, j in np.ndindex(2, 3, 5):
        y, x = (size * n for n in divmod(index[b, i, j], columns))
        tile = ours[b, size * i : size * (i + 1), size * j : size * (j + 1)]
        np.testing.assert_array_equal(tile, source[b, y : y + size, x : x + size])


def affine_loops(x, scale, angle, border):
    b, hs, ws, _ = x.shape
    size = hs // scale.shape[1]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect").astype(np.float64)
    last = np.array(padded.shape[1:3]) - 1
    out = np.zeros_like(x)
    for n, i, j in np.ndindex(b, hs, ws):
        patch = np.array([i // size, j // size])
        tap = (np.array([i, j]) - patch * size - (size - 1) / 2) * scale[n, patch[0], patch[1]]
        a = angle[n, patch[0], patch[1]]
        turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
        p = patch * size + (size - 1) / 2 + 1 + tap @ turn
        if border == "paper":
            p = np.clip(p, 0, last)
        low = np.floor(p)
        low, high, p = (np.clip(q, 0, last) for q in (low, low + 1, p))
        near, far = 1 + low - p, (1 - high + p if border == "released" else p - low)
        for q, w in ((low, near), (high, far)):
            for r, v in ((low, near), (high, far)):
                out[n, i, j] += w[0] * v[1] * padded[n, int(q[0]), int(r[1])]
    return out


@pytest.mark.parametrize("border", ["paper", "released"])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_affine_patches(size, border):
    x = RNG.random((2, 3 * size, 4 * size, 2), np.float32)
    scale = RNG.uniform(-3, 3, (2, 3, 4, 2)).astype(np.float32)
    angle = RNG.uniform(-4, 4, (2, 3, 4)).astype(np.float32)
    ours = affine_patches(*map(jnp.asarray, (x, scale, angle)), border)
    np.testing.assert_allclose(ours, affine_loops(x, scale, angle, border), atol=1e-4)


def test_scale_1_and_angle_0_change_nothing():
    x = jnp.asarray(RNG.random((1, 8, 12, 2), np.float32))
    for border in ("paper", "released"):
        same = affine_patches(x, jnp.ones((1, 2, 3, 2)), jnp.zeros((1, 2, 3)), border)
        np.testing.assert_allclose(same, x, atol=1e-6)


def test_gradients_reach_features_scale_and_angle():
    x = jnp.asarray(RNG.random((1, 6, 6, 2), np.float32))
    scale, angle = jnp.full((1, 3, 3, 2), 0.6), jnp.full((1, 3, 3), 0.5)  # away from whole pixels
    weights = jnp.asarray(RNG.standard_normal((1, 6, 6, 2)), jnp.float32)

    def total(*arguments):
        return jnp.sum(affine_patches(*arguments) * weights)

    bars = jax.grad(total, (0, 1, 2))(x, scale, angle)
    for n, (bar, value) in enumerate(zip(bars, (x, scale, angle), strict=True)):
        step = jnp.asarray(RNG.standard_normal(value.shape) * 0.01, jnp.float32)
        high, low = ([x, scale, angle] for _ in range(2))
        high[n], low[n] = value + step, value - step
        np.testing.assert_allclose(jnp.sum(bar * step), (total(*high) - total(*low)) / 2, rtol=2e-2, atol=1e-4)


def test_patches_that_do_not_tile_are_refused():
    with pytest.raises(ValueError, match="affine_patches: 3x2 square patches do not tile 6x6"):
        affine_patches(jnp.zeros((1, 6, 6, 1)), jnp.ones((1, 3, 2, 2)), jnp.zeros((1, 3, 2)))
    with pytest.raises(ValueError, match="border='zeros' is none of paper, released"):
        affine_patches(jnp.zeros((1, 6, 6, 1)), jnp.ones((1, 3, 3, 2)), jnp.zeros((1, 3, 3)), "zeros")
