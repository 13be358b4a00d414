"""Metrics of defocus maps against loops over pixels and thresholds, and against integrals of the two PSFs."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from restore_jax.metrics import defocus as metrics


def noise(seed, shape=(9, 11), largest=7.0):
    return np.random.default_rng(seed).uniform(0, largest, shape).astype(np.float32)


# ------------------------------------------------------------------------------------------------------------- errors
def loop_errors(sigma, truth, largest, eight_bits):
    squares, absolutes = [], []
    for found, true in zip(sigma.ravel().tolist(), truth.ravel().tolist(), strict=True):
        if math.isnan(true):
            continue
        if eight_bits:  # what a PNG of DMENet's map, COC / 15, holds
            code = min(255, max(0, math.floor(255 * (2 * found + 1) / 15 + 0.5)))
            found = max(0.0, (15 * code / 255 - 1) / 2)
        if largest:
            found, true = min(found, largest) / largest, min(true, largest) / largest
        squares.append((found - true) ** 2)
        absolutes.append(abs(found - true))
    return sum(squares) / len(squares), sum(absolutes) / len(absolutes)


@pytest.mark.parametrize(
    ("convention", "largest", "eight_bits"),
    [("dmenet-matlab", 3.275, True), ("dmenet-py", 3.275, False), ("syndof", 7.0, False), ("px", None, False)],
)
def test_errors_are_those_of_a_loop_over_pixels(convention, largest, eight_bits):
    sigma, truth = noise(0, largest=9.0), noise(1, largest=9.0)
    truth[:, 8:] = np.nan
    found = metrics.errors(sigma, truth, convention)
    mse, mae = loop_errors(sigma, truth, largest, eight_bits)
    assert found == {"mse": pytest.approx(mse, rel=1e-6), "mae": pytest.approx(mae, rel=1e-6)}


def test_what_is_not_known_does_not_count():
    truth = noise(1)
    cut = np.where(np.arange(11) < 8, truth, np.nan).astype(np.float32)
    sigma = noise(0)
    assert metrics.errors(sigma, cut, "px") == metrics.errors(sigma[:, :8], truth[:, :8], "px")
    assert metrics.errors(sigma, cut, "px") != metrics.errors(sigma, truth, "px")


def test_eight_bits_of_a_map_or_of_the_sigma_it_stands_for_are_the_same():
    """A published PNG holds round(255 map); sigma of it is what the convention makes of sigma of the float map."""
    map_ = np.random.default_rng(3).random((40, 40))
    from_png = np.maximum(0, (15 * np.round(255 * map_) / 255 - 1) / 2)
    sigma = np.maximum(0, (15 * map_ - 1) / 2)
    truth = noise(4, (40, 40), 3.0)
    expected = metrics.errors(from_png, truth, "dmenet-py")
    found = metrics.errors(sigma, truth, "dmenet-matlab")
    assert found == {name: pytest.approx(value, abs=1e-9) for name, value in expected.items()}
    assert abs(found["mae"] - metrics.errors(sigma, truth, "dmenet-py")["mae"]) > 1e-6


# ------------------------------------------------------------------------------------------------------------ binary
def test_accuracy_thresholds_between_the_extremes():
    sigma = np.array([[1.0, 2.0], [2.2, 3.0], [4.0, 5.0]])  # the threshold is .3 5 + .7 1 = 2.2
    blurred = np.array([[False, True], [True, True], [True, False]])
    assert metrics.accuracy(sigma, blurred) == pytest.approx(3 / 6)  # 2.2 does not exceed it
    assert metrics.accuracy(10 * sigma, blurred) == metrics.accuracy(sigma, blurred)


def test_accuracy_of_noise_is_that_of_a_loop():
    sigma, blurred = noise(5), noise(6) > 3
    threshold = 0.3 * float(sigma.max()) + 0.7 * float(sigma.min())
    right = sum((s > threshold) == b for s, b in zip(sigma.ravel().tolist(), blurred.ravel().tolist(), strict=True))
    assert metrics.accuracy(sigma, blurred) == pytest.approx(right / sigma.size)


def test_precision_and_recall_are_those_of_a_loop_over_thresholds():
    sigma = np.random.default_rng(7).integers(0, 256, (12, 15)) / 4  # on the thresholds exactly
    sigma.flat[:2] = 0, 255 / 4
    blurred = noise(8, sigma.shape) > 2
    precision, recall = metrics.precision_recall(sigma, blurred)
    assert precision.shape == recall.shape == (metrics.LEVELS,)
    for k in range(metrics.LEVELS):
        called = sigma >= k / 4
        assert precision[k] == pytest.approx((called & blurred).sum() / called.sum())
        assert recall[k] == pytest.approx((called & blurred).sum() / blurred.sum())


def test_average_precision_is_the_sum_over_ranked_pixels():
    """For scores that differ it is the mean, over the blurred pixels, of the precision down to each one's rank."""
    sigma = np.random.default_rng(9).permutation(256).reshape(16, 16).astype(np.float64)
    blurred = noise(10, (16, 16)) > 4
    ranked = blurred.ravel()[np.argsort(-sigma.ravel())]
    expected = np.mean([ranked[: i + 1].mean() for i in range(ranked.size) if ranked[i]])
    assert metrics.average_precision(*metrics.precision_recall(sigma, blurred)) == pytest.approx(expected)


def test_the_ends_of_the_scale():
    blurred = noise(11) > 3
    share = blurred.mean()
    perfect = metrics.precision_recall(blurred.astype(np.float32), blurred)
    assert metrics.average_precision(*perfect) == pytest.approx(1.0)
    constant = metrics.precision_recall(np.full(blurred.shape, 2.0), blurred)
    assert metrics.average_precision(*constant) == pytest.approx(share)
    assert metrics.accuracy(np.full(blurred.shape, 2.0), blurred) == pytest.approx(1 - share)  # nothing exceeds it
    nowhere = metrics.precision_recall(noise(12), np.zeros_like(blurred))
    assert np.isnan(metrics.average_precision(*nowhere))


# ---------------------------------------------------------------------------------------------------- disc and Gaussian
def test_the_disc_of_a_gaussian_is_the_closest_of_all():
    """By a sum over a fine radial grid of (disc - Gaussian)^2, minimised over the radius."""
    step, sigma = 0.001, 1.7
    r = np.arange(step / 2, 12, step)
    gaussian = np.exp(-(r**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)

    def distance(radius):
        share = np.clip((radius - r) / step + 0.5, 0, 1)  # of a ring inside the disc
        disc = 1 / (np.pi * radius**2)
        inside, outside = (disc - gaussian) ** 2, gaussian**2
        return ((share * inside + (1 - share) * outside) * 2 * np.pi * r * step).sum()

    best = minimize_scalar(distance, bounds=(0.5, 8), method="bounded", options={"xatol": 1e-6}).x
    assert metrics.RADIUS_PER_SIGMA * sigma == pytest.approx(best, rel=5e-4)
    assert metrics.sigma_of_disc(best) == pytest.approx(sigma, rel=5e-4)


def test_the_largest_disc_of_rtf_is_what_the_published_evaluation_clips_at():
    assert metrics.sigma_of_disc(6.0) == pytest.approx(metrics.CONVENTIONS["dmenet-py"].largest, abs=5e-4)


# ------------------------------------------------------------------------------------------------------------ refused
@pytest.mark.parametrize(
    ("sigma", "truth", "convention", "message"),
    [
        (np.zeros((3, 4)), np.zeros((4, 3)), "px", "not \\(h, w\\) of one shape"),
        (np.zeros((3, 4, 1)), np.zeros((3, 4, 1)), "px", "not \\(h, w\\)"),
        (np.full((3, 4), np.nan), np.zeros((3, 4)), "px", "not finite"),
        (np.zeros((3, 4)), np.full((3, 4), np.nan), "px", "known nowhere"),
        (np.zeros((3, 4)), np.zeros((3, 4)), "rtf", "no convention 'rtf'"),
    ],
)
def test_what_cannot_be_compared_is_refused(sigma, truth, convention, message):
    with pytest.raises(ValueError, match=message):
        metrics.errors(sigma, truth, convention)
