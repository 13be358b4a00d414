"""LPIPS against the same formula in NumPy and SciPy (float64), from weights under their published names."""

import re

import jax
import numpy as np
import pytest
from scipy.signal import correlate

from restore_jax import metrics
from restore_jax.errors import InputError
from restore_jax.models.lpips import LPIPS, MIN_SIDE, unit_length
from restore_jax.weights.converters.lpips import convert_lpips

NARROW = (8, 12, 10, 9, 7)
FULL = (64, 192, 384, 256, 256)
SIZES = (11, 5, 3, 3, 3)


def published(widths, seed=0):
    """Random arrays under the names and in the layouts of the two published files."""
    rng = np.random.default_rng(seed)
    arrays, channels = {}, 3
    for i, (place, width, size) in enumerate(zip((0, 3, 6, 8, 10), widths, SIZES, strict=True)):
        std = np.sqrt(2 / (channels * size**2))
        kernel = rng.normal(0, std, (width, channels, size, size))
        arrays[f"features.{place}.weight"] = kernel.astype(np.float32)
        arrays[f"features.{place}.bias"] = rng.normal(0, 0.2, width).astype(np.float32)
        arrays[f"lin{i}.model.1.weight"] = rng.random((1, width, 1, 1), np.float32)
        channels = width
    return arrays


def oracle_features(image, arrays):
    """The five ReLU features of one picture (h, w, 3) in [-1,1], each (h', w', c)."""
    x = (image.astype(np.float64) - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]
    for place, stride, pad, pool in (
        (0, 4, 2, False),
        (3, 1, 2, True),
        (6, 1, 1, True),
        (8, 1, 1, False),
        (10, 1, 1, False),
    ):
        if pool:
            h, w = ((n - 3) // 2 + 1 for n in x.shape[:2])
            x = np.array([[x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((0, 1)) for j in range(w)] for i in range(h)])
        x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
        kernels = arrays[f"features.{place}.weight"].transpose(0, 2, 3, 1).astype(np.float64)
        planes = [correlate(x, k, "valid", "direct")[::stride, ::stride, 0] for k in kernels]
        x = np.maximum(np.stack(planes, -1) + arrays[f"features.{place}.bias"], 0)
        yield x


def oracle(first, second, arrays):
    total = 0
    for i, (a, b) in enumerate(zip(oracle_features(first, arrays), oracle_features(second, arrays), strict=True)):
        a, b = (f / (np.linalg.norm(f, axis=-1, keepdims=True) + 1e-10) for f in (a, b))
        total += ((a - b) ** 2 * arrays[f"lin{i}.model.1.weight"].ravel()).sum(-1).mean()
    return total


@pytest.mark.parametrize("size", [(MIN_SIDE, 36), (47, 64)])
def test_equals_the_formula(size):
    arrays = published(NARROW)
    first, second = np.random.default_rng(1).uniform(-1, 1, (2, 2, *size, 3)).astype(np.float32)
    params = convert_lpips(arrays, widths=NARROW)
    found = jax.jit(LPIPS(NARROW).apply)(params, first, second)
    expected = [oracle(a, b, arrays) for a, b in zip(first, second, strict=True)]
    assert min(expected) > 0.1
    np.testing.assert_allclose(found, expected, rtol=2e-5)


@pytest.fixture(scope="module")
def full():
    return convert_lpips({**published(FULL), "classifier.6.bias": np.zeros(1000, np.float32)})


def test_the_metric_takes_pictures_in_0_1(full):
    first, second = np.random.default_rng(2).random((2, 2, 40, 35, 3), np.float32)
    expected = LPIPS().apply(full, 2 * first - 1, 2 * second - 1)
    found = metrics.lpips(first, second, full)
    assert found.shape == (2,)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(metrics.lpips(first[1], second[1], full), expected[1], rtol=1e-5)
    np.testing.assert_allclose(metrics.lpips(second, first, full), expected, rtol=1e-5)
    np.testing.assert_allclose(metrics.lpips(first, first, full), 0, atol=1e-12)
    wild = first * 3 - 1
    np.testing.assert_allclose(metrics.lpips(wild, second, full), metrics.lpips(wild.clip(0, 1), second, full))


def test_parameters_are_the_published_ones(full):
    image = jax.ShapeDtypeStruct((1, MIN_SIDE, MIN_SIDE, 3), np.float32)
    expected = jax.eval_shape(LPIPS().init, jax.random.key(0), image, image)
    assert jax.tree.map(np.shape, full) == jax.tree.map(lambda a: a.shape, expected)
    # AlexNet's convolutions, and one weight for each of their 1,152 channels
    assert sum(a.size for a in jax.tree.leaves(expected)) == 2_469_696 + 1_152


def test_gradient_is_finite_where_features_are_dead():
    x = np.array([[0.0, 0.0], [3.0, 4.0]], np.float32)
    np.testing.assert_allclose(unit_length(x), [[0, 0], [0.6, 0.8]], rtol=1e-6)
    gradient = jax.grad(lambda x: unit_length(x)[:, 0].sum())(x)
    assert np.isfinite(gradient).all()
    # d/dx of x / |(x, y)| = y^2 / |.|^3, and of y: -x y / |.|^3
    np.testing.assert_allclose(gradient[1], [16 / 125, -12 / 125], rtol=1e-5)


def test_too_small_a_picture_is_refused(full):
    small = np.zeros((MIN_SIDE - 1, 40, 3), np.float32)
    with pytest.raises(ValueError, match="31 pixels"):
        metrics.lpips(small, small, full)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features.6.bias": None}, "features.6.bias is missing"),
        ({"lin3.model.1.weight": None}, "lin3.model.1.weight is missing"),
        ({"features.3.weight": np.zeros((12, 8, 3, 3))}, "features.3.weight has shape (12, 8, 3, 3) where"),
        ({"features.12.weight": np.zeros(1)}, "features.12.weight is not a weight of LPIPS"),
    ],
)
def test_files_that_do_not_fit_are_refused(change, message):
    arrays = {name: a for name, a in (published(NARROW) | change).items() if a is not None}
    with pytest.raises(InputError, match=re.escape(message)):
        convert_lpips(arrays, widths=NARROW)
