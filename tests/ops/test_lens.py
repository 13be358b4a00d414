"""Point-spread functions of random lenses, against areas and blurs by formula."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from restore_jax.ops.lens import Lens, point_spread, random_lens, transfer

REACH = 16
SETTINGS = ml_collections.ConfigDict(
    {"polygon": 0.5, "cut": 0.5, "gaussian": (0.3, 0.3), "rim": 0.6, "colour": 0.03, "motion": (0.5, 2.0)}
)


def lens(**parts):
    """A circular, flat, colourless lens that nobody shakes, but for `parts`."""
    plain = dict.fromkeys(Lens._fields, jnp.float32(0)) | {"motion": jnp.zeros(2)}
    return Lens(**plain | {name: jnp.asarray(value, jnp.float32) for name, value in parts.items()})


def area(psf):
    """Pixels that a PSF of one brightness covers: its sum is 1, its brightest pixels lie wholly inside of it."""
    return 1 / float(psf[..., 1].max())


@pytest.mark.parametrize("coc", [-20.0, 9.3, 24.0])
def test_a_circular_aperture_is_a_disc(coc):
    psf = point_spread(lens(), coc, REACH)
    assert area(psf) == pytest.approx(np.pi * coc**2 / 4, rel=0.03)
    np.testing.assert_allclose(psf, psf[::-1], atol=1e-6)
    np.testing.assert_allclose(psf[..., 0], psf[..., 2])
    y, x = np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1]
    second_moment = float((np.asarray(psf)[..., 1] * (x**2 + y**2)).sum())
    assert second_moment == pytest.approx(coc**2 / 8 + 1 / 6, rel=0.04)  # R^2 / 2, and that of a pixel


@pytest.mark.parametrize("blades", [5, 6, 9])
def test_blades_make_a_regular_polygon(blades):
    psf = point_spread(lens(blades=blades, rotation=0.4), 24.0, REACH)
    assert area(psf) == pytest.approx(blades / 2 * 12**2 * np.sin(2 * np.pi / blades), rel=0.02)


def test_in_front_of_the_focal_plane_the_aperture_is_upside_down():
    behind, before = (point_spread(lens(blades=5, rotation=0.4), coc, REACH) for coc in (20.0, -20.0))
    np.testing.assert_allclose(before, behind[::-1, ::-1], atol=1e-6)
    assert float(jnp.abs(before - behind).max()) > 1e-4


@pytest.mark.parametrize("coc", [8.0, -15.0])
def test_the_smooth_end_is_a_gaussian_of_a_quarter_of_the_coc(coc):
    one = np.zeros((2 * REACH + 1,) * 2)
    one[REACH, REACH] = 1
    psf = point_spread(lens(gaussian=1.0), coc, REACH)
    np.testing.assert_allclose(psf[..., 1], gaussian_filter(one, abs(coc) / 4), atol=8e-4)


def test_a_cat_s_eye_is_the_intersection_of_two_discs():
    radius, distance = 12.0, 0.6
    psf = point_spread(lens(cut=distance, cut_angle=0.7), 2 * radius, REACH)
    shared = 2 * radius**2 * np.arccos(distance / 2) - distance * radius**2 / 2 * np.sqrt(4 - distance**2)
    assert area(psf) == pytest.approx(shared, rel=0.03)


def test_a_rim_is_bright_on_one_side_of_focus_and_soft_on_the_other():
    behind, before = (point_spread(lens(rim=0.5), coc, REACH)[REACH, :, 1] for coc in (24.0, -24.0))
    middle, edge = REACH, REACH + 10  # at 10 of 12 pixels of radius: 1 + rim (2 (10 / 12)^2 - 1)
    assert float(behind[edge] / behind[middle]) == pytest.approx((1 + 0.5 * 0.389) / 0.5, rel=0.05)
    assert float(before[edge] / before[middle]) == pytest.approx((1 - 0.5 * 0.389) / 1.5, rel=0.05)


def test_colours_have_sizes_of_their_own():
    psf = point_spread(lens(colour=0.1), 24.0, REACH)
    areas = [1 / float(psf[..., c].max()) for c in range(3)]
    np.testing.assert_allclose(areas, np.pi * 12**2 * np.array([1.1, 1.0, 0.9]) ** 2, rtol=0.02)
    np.testing.assert_allclose(psf.sum((0, 1)), 1, rtol=1e-5)


def test_dual_pixel_views_are_the_halves_of_the_whole():
    parts = lens(gaussian=0.4)
    left, right, whole = (point_spread(parts, 14.0, REACH, side) for side in ("left", "right", None))
    np.testing.assert_allclose((left + right) / 2, whole, atol=1e-6)
    assert not np.any(left[:, REACH + 1 :])
    assert not np.any(right[:, :REACH])
    np.testing.assert_allclose(point_spread(parts, -14.0, REACH, "left"), right[::-1], atol=1e-6)


def test_nothing_blurred_is_one_pixel():
    psf = np.asarray(point_spread(lens(gaussian=0.5, blades=7), 0.0, REACH))
    assert psf[REACH, REACH].tolist() == [1, 1, 1]
    assert psf.sum() == 3


def test_a_shake_is_a_mean_along_a_line():
    rng = np.random.default_rng(0)
    image = rng.random((48, 48)).astype(np.float32)
    spectrum = np.fft.rfft2(image) * np.asarray(transfer(lens(motion=(0.0, 8.0)), 0.0, image.shape, REACH))[..., 0]
    shifts = np.arange(-400, 401) / 100  # trapezoid rule over 8 pixels, periodic like the FFT
    frequency = np.fft.fftfreq(48)
    phase = np.exp(-2j * np.pi * frequency[None] * shifts[:, None])
    weights = np.r_[0.5, np.ones(799), 0.5] / 800
    expected = np.fft.ifft(np.fft.fft(image, axis=1) * (weights @ phase)[None], axis=1).real
    np.testing.assert_allclose(np.fft.irfft2(spectrum, s=image.shape), expected, atol=2e-3)


def test_random_lenses_differ_and_stay_in_range():
    lenses = jax.vmap(lambda key: random_lens(key, SETTINGS))(jax.random.split(jax.random.key(0), 400))
    blades = np.asarray(lenses.blades)
    assert set(np.unique(blades)) == {0, 5, 6, 7, 8, 9}
    assert np.mean(blades > 0) == pytest.approx(0.5, abs=0.08)
    assert np.mean(np.asarray(lenses.gaussian) == 0) == pytest.approx(0.3, abs=0.08)
    assert np.mean(np.asarray(lenses.gaussian) == 1) == pytest.approx(0.3, abs=0.08)
    assert np.mean(np.asarray(lenses.cut) > 0) == pytest.approx(0.5, abs=0.08)
    assert np.abs(lenses.rim).max() <= 0.6
    assert np.abs(lenses.colour).max() <= 0.03
    lengths = np.linalg.norm(lenses.motion, axis=1)
    assert np.mean(lengths > 0) == pytest.approx(0.5, abs=0.08)
    assert lengths.max() <= 2
