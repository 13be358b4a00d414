"""Defocus maps without learning: photographs blurred by known sigmas, and propagation against dense solutions."""

import math

import cv2
import numpy as np
import pytest
import scipy.ndimage as ndi
import skimage
from scipy import fft

from restore_jax.classical import ebdb, edges, jnb, propagation, zhuo

ESTIMATORS = pytest.mark.parametrize("estimator", [zhuo, jnb, ebdb], ids=["zhuo", "jnb", "ebdb"])


@pytest.fixture(scope="module")
def photo():
    """A photograph made sharp by reduction. What blur is left in it adds to the known one, as the root of squares."""
    return cv2.resize(skimage.img_as_float32(skimage.data.coffee()), (300, 200), interpolation=cv2.INTER_AREA)


def blur(image, sigma):
    return ndi.gaussian_filter(image, (sigma, sigma, 0), mode="reflect").astype(np.float32)


def textured(image):
    """The tenth of the pixels with the steepest gradients, by Sobel's operator."""
    steep = skimage.filters.sobel(image.mean(-1))
    return steep > np.quantile(steep, 0.9)


@ESTIMATORS
@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
def test_recovers_a_constant_blur(photo, estimator, sigma):
    blurred = blur(photo, sigma)
    found = estimator.estimate(blurred)
    assert found.shape == blurred.shape[:2]
    assert found.dtype == np.float32
    assert np.median(found[textured(blurred)]) == pytest.approx(sigma, rel=0.2, abs=0.3)


@ESTIMATORS
def test_tells_a_sharp_half_from_a_blurred_one(photo, estimator):
    half = photo.shape[1] // 2
    stepped = np.concatenate([photo[:, :half], blur(photo, 2.5)[:, half:]], 1)
    mirrored = estimator.estimate(np.ascontiguousarray(stepped[:, ::-1]))[:, ::-1]
    for found in (estimator.estimate(stepped), mirrored):
        sharp, blurred = found[:, : half - 20], found[:, half + 20 :]
        assert np.median(sharp) < 1.3
        assert np.median(blurred) > 1.8
        assert np.mean(sharp[::7, ::7].ravel()[:, None] < blurred[::7, ::7].ravel()[None, :]) > 0.9


@ESTIMATORS
def test_nothing_to_see_is_sharp_and_finite(estimator):
    np.testing.assert_array_equal(estimator.estimate(np.full((20, 30, 3), 0.5, np.float32)), np.zeros((20, 30)))


@pytest.mark.parametrize("sigma", [0.7, 1.5, 3.0])
def test_ratio_of_gradients_of_an_ideal_step(sigma):
    """A step blurred in closed form, at several scales."""
    step = np.array([0.5 + 0.5 * math.erf(x / (math.sqrt(2) * sigma)) for x in range(-40, 41)])
    image = np.tile(step, (5, 1))
    fine, coarse = (edges.gradient_magnitude(image, s)[2, 40] for s in (1.0, 2.0))
    assert edges.sigma_from_gradients(fine, coarse, 1.0, 2.0) == pytest.approx(sigma, abs=0.05)


def test_gradients_that_no_step_has_give_no_sigma():
    fine, coarse = np.array([1.0, 1.0, 1.0]), np.array([1.1, 1.0, 0.999])
    assert np.isnan(edges.sigma_from_gradients(fine, coarse, 1.0, 2.0)).all()


def test_zhuo_at_a_single_edge():
    step = np.zeros((60, 80, 3), np.float32)
    step[:, 40:] = 0.8
    sigma, found = zhuo.sparse_map(blur(step, 2.0))
    assert found.any()
    assert np.abs(np.nonzero(found)[1] - 39.5).max() < 2
    np.testing.assert_allclose(sigma[found], 2.0, atol=0.1)


def test_joint_bilateral_mends_an_outlier_and_keeps_colours_apart():
    image = np.zeros((40, 40, 3), np.float32)
    image[:, 20:] = 1.0
    found = np.ones((40, 40), bool)
    sigma = np.where(np.arange(40) < 20, 1.0, 3.0)[None].repeat(40, 0).astype(np.float32)
    sigma[10, 10] = 7.0
    refined = zhuo.joint_bilateral(image, sigma, found)
    assert refined[10, 10] < 1.2
    np.testing.assert_allclose(refined[30, [2, 18, 21, 38]], [1, 1, 3, 3], atol=0.05)


def test_connected_edge_filter_smooths_along_a_contour_only():
    found = np.zeros((20, 60), bool)
    found[5, 5:55] = True
    found[np.arange(8, 18), np.arange(8, 18)] = True
    noise = np.random.default_rng(0).normal(0, 0.2, found.shape)
    sigma = np.where(found, np.where(np.arange(20)[:, None] == 5, 1.0, 3.0) + noise, 0).astype(np.float32)
    smooth = ebdb.connected_edge_filter(sigma, found)
    assert (smooth[~found] == 0).all()
    assert smooth[5, 5:55].std() < sigma[5, 5:55].std() / 2
    assert smooth[5, 5:55].mean() == pytest.approx(1.0, abs=0.1)
    assert smooth[8:18, 8:18][np.eye(10, dtype=bool)].mean() == pytest.approx(3.0, abs=0.2)


def test_jnb_counts_are_of_the_cosine_basis():
    """Patches made of known numbers of atoms, whatever their contrast and brightness."""
    for atoms in (1, 4, 9):
        codes = np.zeros((8, 8))
        codes.ravel()[1 : 1 + atoms] = 1.0
        patch = fft.idctn(codes, norm="ortho")
        for gain in (0.3, 1.0):
            count, contrast = jnb.sparse_counts((0.4 + gain * patch).astype(np.float32))
            assert count.tolist() == [[atoms]]
            assert contrast[0, 0] == pytest.approx((gain * patch).std(), rel=1e-4)


def test_jnb_calibration_falls_with_blur():
    sigma, count = jnb.CALIBRATION.T
    assert (np.diff(sigma) > 0).all()
    assert (np.diff(count) < 0).all()
    np.testing.assert_allclose(jnb.sigma_from_count(count), sigma, atol=1e-6)


def dense_matting_laplacian(image, epsilon):
    """Levin's formula, element by element."""
    height, width, _ = image.shape
    out = np.zeros((height * width,) * 2)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            window = [(y + dy) * width + x + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
            colours = image.reshape(-1, 3)[window].astype(np.float64)
            mean = colours.mean(0)
            inverse = np.linalg.inv(np.cov(colours.T, bias=True) + epsilon / 9 * np.eye(3))
            for i, p in enumerate(window):
                for j, q in enumerate(window):
                    out[p, q] += (p == q) - (1 + (colours[i] - mean) @ inverse @ (colours[j] - mean)) / 9
    return out


@pytest.fixture(scope="module")
def tiny():
    """Two colours with a little texture, 7 x 9; the edge lies right of column 3."""
    image = 0.02 * np.random.default_rng(1).uniform(size=(7, 9, 3))
    image[:, 4:] += np.array([0.7, 0.4, 0.1])
    return image.astype(np.float32)


def test_propagation_is_the_dense_solution(tiny):
    laplacian = dense_matting_laplacian(tiny, 1e-5)
    np.testing.assert_allclose(propagation.matting_laplacian(tiny).toarray(), laplacian, atol=1e-6)
    value, weight = np.zeros((2, 63))
    value[[10, 40]], weight[[10, 40]] = (1.0, 3.0), 1.0
    expected = np.linalg.solve(laplacian + 0.001 * np.diag(weight), 0.001 * weight * value)
    solved = propagation.solve(propagation.matting_laplacian(tiny), value, 0.001 * weight)
    np.testing.assert_allclose(solved, expected, atol=1e-4)
    dense = propagation.propagate_laplacian(tiny, value.reshape(7, 9), weight.reshape(7, 9))
    np.testing.assert_allclose(dense, np.clip(expected, 1, 3).reshape(7, 9), atol=1e-4)


PROPAGATE = pytest.mark.parametrize("propagate", [propagation.propagate_laplacian, propagation.propagate_guided])


@PROPAGATE
def test_propagation_reproduces_a_constant_at_any_size(photo, propagate):
    for image in (photo, photo[:40, :60]):
        known = np.random.default_rng(2).uniform(size=image.shape[:2]) < 0.05
        dense = propagate(image, np.where(known, 1.7, np.nan), known.astype(np.float32))
        assert dense.shape == image.shape[:2]
        np.testing.assert_allclose(dense, 1.7, atol=1e-3)


@pytest.mark.parametrize(
    ("propagate", "leak"), [(propagation.propagate_laplacian, 0.3), (propagation.propagate_guided, 0.5)]
)
def test_propagation_respects_an_edge(propagate, leak):
    """A photograph larger than the working size, values known in bands beside the edge and nowhere within 10 pixels."""
    image = np.full((300, 400, 3), 0.2, np.float32)
    image[:, 200:] = (0.6, 0.7, 0.3)
    image += np.random.default_rng(3).normal(0, 0.005, image.shape).astype(np.float32)
    value, known = np.zeros((2, 300, 400), np.float32)
    known[::5, 150:190], value[:, 150:190] = 1, 1.0
    known[::5, 210:250], value[:, 210:250] = 1, 4.0
    assert known.size > propagation.WORK_PIXELS
    dense = propagate(image, value, known)
    np.testing.assert_allclose(dense[:, 150:197], 1.0, atol=leak)
    np.testing.assert_allclose(dense[:, 203:250], 4.0, atol=leak)


@PROPAGATE
def test_propagation_of_nothing_is_zero(photo, propagate):
    assert not propagate(photo, np.ones(photo.shape[:2]), np.zeros(photo.shape[:2])).any()


def test_guided_filter_is_he_et_als_dense_formula(tiny):
    """With equal weights, away from the border: a window's regression, averaged over the windows around a pixel."""
    value = np.random.default_rng(4).uniform(size=(7, 9))
    filtered = propagation.guided_filter(tiny, value, np.full((7, 9), 0.3), radius=1, epsilon=1e-3)

    def model(y, x):
        window = np.s_[y - 1 : y + 2, x - 1 : x + 2]
        colours, known = tiny[window].reshape(-1, 3).astype(np.float64), value[window].ravel()
        cross = (colours * known[:, None]).mean(0) - colours.mean(0) * known.mean()
        slope = np.linalg.inv(np.cov(colours.T, bias=True) + 1e-3 * np.eye(3)) @ cross
        return slope, known.mean() - slope @ colours.mean(0)

    for y, x in ((2, 2), (3, 4), (4, 6)):
        models = [model(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        expected = np.mean([slope @ tiny[y, x] + offset for slope, offset in models])
        assert filtered[y, x] == pytest.approx(expected, abs=1e-5)
