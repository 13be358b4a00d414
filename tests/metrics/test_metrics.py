"""PSNR, SSIM and MAE against skimage in float64, under every convention."""

import dataclasses

import jax
import numpy as np
import pytest
import skimage.data
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from restore_jax import metrics
from restore_jax.errors import InputError
from restore_jax.metrics.images import CONVENTIONS, mae, psnr, ssim

TOLERANCE = {"rtol": 1e-6, "atol": 1e-6}


def pictures():
    """Name to (result, truth), float32: what a restoration sees, and what cancels in float32."""
    rng = np.random.default_rng(0)
    photo = skimage.data.astronaut()[80:176, 180:281].astype(np.float32) / 255
    noisy = (photo + rng.normal(0, 0.02, photo.shape)).clip(0, 1)
    flat = 0.9 + rng.normal(0, 1e-4, photo.shape)
    return {
        "photo": (gaussian_filter(photo, (2, 2, 0)), photo),
        "noise": (noisy.astype(np.float32), photo),
        "unrelated": tuple(rng.random((2, *photo.shape), np.float32)),
        "nearly flat": (flat.astype(np.float32), (flat + rng.normal(0, 1e-4, flat.shape)).astype(np.float32)),
    }


PICTURES = pictures()


@pytest.fixture(params=PICTURES)
def pair(request):
    return PICTURES[request.param]


def luma(image, crop):
    """BT.601 luma, 16..235, of the 8-bit picture."""
    codes = np.round(image * np.float32(255)).astype(np.uint8)
    return rgb2ycbcr(codes)[crop : image.shape[0] - crop, crop : image.shape[1] - crop, 0]


@pytest.mark.parametrize("convention", ["ifan", "refvsr"])
def test_float_rgb_equals_skimage(pair, convention):
    a, b = (x.astype(np.float64) for x in pair)
    np.testing.assert_allclose(psnr(*pair, convention), peak_signal_noise_ratio(b, a, data_range=1), **TOLERANCE)
    expected = structural_similarity(a, b, data_range=1, channel_axis=-1)
    np.testing.assert_allclose(ssim(*pair, convention), expected, **TOLERANCE)
    np.testing.assert_allclose(mae(*pair, convention), np.abs(a - b).mean(), **TOLERANCE)


@pytest.mark.parametrize("crop", [0, 4])
def test_basicsr_y_equals_skimage_on_8_bit_luma(pair, crop):
    convention = dataclasses.replace(CONVENTIONS["basicsr-y"], crop=crop)
    a, b = (luma(x, crop) for x in pair)
    np.testing.assert_allclose(psnr(*pair, convention), peak_signal_noise_ratio(b, a, data_range=255), **TOLERANCE)
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = structural_similarity(a, b, data_range=255, **wang)
    np.testing.assert_allclose(ssim(*pair, convention), expected, **TOLERANCE)
    np.testing.assert_allclose(mae(*pair, convention), np.abs(a - b).mean() / 255, **TOLERANCE)
    if crop == 0:
        assert psnr(*pair, "basicsr-y") == psnr(*pair, convention)


def test_a_large_picture_keeps_its_digits():
    rng = np.random.default_rng(1)
    truth = rng.random((1200, 1600, 3), np.float32)
    result = (truth + np.float32(0.01) * rng.random(truth.shape, np.float32)).clip(0, 1)
    exact = np.mean((result.astype(np.float64) - truth) ** 2)
    np.testing.assert_allclose(psnr(result, truth), -10 * np.log10(exact), **TOLERANCE)


@pytest.mark.parametrize("metric", [psnr, ssim, mae])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_batches_and_jit_change_nothing(metric, convention):
    rng = np.random.default_rng(2)
    a, b = rng.random((2, 3, 24, 31, 3), np.float32)
    batch = metric(a, b, convention)
    assert batch.shape == (3,)
    single = metric(a[1], b[1], convention)
    assert single.shape == ()
    # What lies between two of 8-bit codes may be rounded either way.
    tolerance = 2e-5 if CONVENTIONS[convention].rounded else 1e-6
    np.testing.assert_allclose(batch[1], single, rtol=tolerance)
    inside = jax.jit(lambda a, b: metric(a, b, convention))(a, b)
    np.testing.assert_allclose(inside, batch, rtol=tolerance)


@pytest.mark.parametrize("metric", [psnr, ssim, mae])
def test_without_jit_it_is_the_same(metric):
    a, b = np.random.default_rng(4).random((2, 24, 31, 3), np.float32)
    expected = metric(a, b)
    with jax.disable_jit():
        np.testing.assert_allclose(metric(a, b), expected, rtol=1e-6)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_results_are_clipped(convention):
    rng = np.random.default_rng(3)
    truth = rng.random((20, 20, 3), np.float32)
    wild = truth + rng.normal(0, 1, truth.shape).astype(np.float32)
    for metric in (psnr, ssim, mae):
        assert metric(wild, truth, convention) == metric(wild.clip(0, 1), truth, convention)


def test_equal_pictures():
    truth = PICTURES["photo"][1]
    assert psnr(truth, truth) == np.inf
    assert ssim(truth, truth) == pytest.approx(1, abs=1e-6)
    assert mae(truth, truth) == 0


def test_float64_and_half_are_accepted():
    a, b = PICTURES["unrelated"]
    assert psnr(a.astype(np.float64), b.astype(np.float64)) == psnr(a, b)
    half = b.astype(np.float16)
    np.testing.assert_allclose(mae(a, half), np.abs(a - half.astype(np.float32)).mean(), rtol=1e-5)


@pytest.mark.parametrize(
    ("result", "truth", "convention", "message"),
    [
        (np.zeros((9, 9, 3)), np.zeros((9, 8, 3)), "ifan", r"\(9, 9, 3\) and truth \(9, 8, 3\) differ"),
        (np.zeros((9, 9)), np.zeros((9, 9)), "ifan", r"must be \(h, w, 3\)"),
        (np.zeros((9, 9, 4)), np.zeros((9, 9, 4)), "ifan", r"must be \(h, w, 3\)"),
        (np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 3)), "ifan", "result is uint8"),
        (np.zeros((9, 9, 3)), np.zeros((9, 9, 3), np.uint8), "ifan", "truth is uint8"),
        (np.zeros((9, 9, 3)), np.zeros((9, 9, 3)), "psnr-b", "no convention 'psnr-b'; there are ifan, "),
        (np.zeros((6, 9, 3)), np.zeros((6, 9, 3)), "ifan", "too small: 7 pixels"),
        (np.zeros((9, 9, 3)), np.zeros((9, 9, 3)), "basicsr-y", "too small: 11 pixels"),
    ],
)
def test_what_cannot_be_compared_is_refused(result, truth, convention, message):
    with pytest.raises(ValueError, match=message):
        ssim(result, truth, convention)


def test_lpips_without_weights_says_where_they_are():
    with pytest.raises(
        InputError, match=r"not shipped.*torchvision.*alex\.pth.*restore-jax weights convert lpips"
    ) as error:
        metrics.lpips(np.zeros((32, 32, 3)), np.zeros((32, 32, 3)), None)
    assert "\n" not in str(error.value)
