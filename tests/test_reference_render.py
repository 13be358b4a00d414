"""The oracle renderer against formulas: an oracle that is wrong proves nothing."""

import numpy as np
import pytest

from tests.reference_render import coc_map, disc_psf, gaussian_psf, half_psf, make_psf, render

DIAMETERS = (3.5, 7.0, 8.3, 12.0)
SIDES = {None: 0, "left": -1, "right": 1}


def moments(psf):
    """Centroid x and the variances along y and x, in pixels."""
    t = np.arange(len(psf)) - len(psf) // 2
    mean = psf.sum(0) @ t
    return mean, psf.sum(1) @ t**2, psf.sum(0) @ (t - mean) ** 2


def test_coc_is_the_blur_disc_of_similar_triangles():
    focal, stop, focus, depth = 50.0, 2.0, 2000.0, np.array([1000.0, 2000.0, 4000.0])
    sensor, image = (1 / (1 / focal - 1 / s) for s in (focus, depth))  # the lens equation
    cone = focal / stop * (sensor - image) / image  # the aperture's cone, cut at the sensor
    np.testing.assert_allclose(coc_map(depth, focus, focal, stop, 20.0), 20 * cone, rtol=1e-12, atol=1e-12)
    assert cone[0] < 0 == cone[1] < cone[2]


@pytest.mark.parametrize(("depth", "focus"), [(1000.0, 50.0), (0.0, 2000.0)])
def test_coc_refuses_what_no_lens_can_do(depth, focus):
    with pytest.raises(ValueError, match=r"focal length|positive"):
        coc_map(depth, focus, 50.0, 2.0, 20.0)


@pytest.mark.parametrize("diameter", [0.0, 0.7, *DIAMETERS])
def test_psfs_sum_to_one_and_mirror(diameter):
    for psf in (disc_psf(diameter), gaussian_psf(diameter / 4), *(half_psf(diameter, s) for s in ("left", "right"))):
        assert psf.sum() == pytest.approx(1, abs=1e-12)
        assert psf.min() >= 0
        np.testing.assert_allclose(psf, psf[::-1], atol=1e-15)
    np.testing.assert_allclose(half_psf(diameter, "left"), half_psf(diameter, "right")[:, ::-1], atol=1e-15)
    np.testing.assert_allclose(half_psf(diameter, "left"), half_psf(-diameter, "right"), atol=1e-15)
    halves = (half_psf(diameter, "left") + half_psf(diameter, "right")) / 2
    np.testing.assert_allclose(halves, disc_psf(diameter), atol=1e-15)


@pytest.mark.parametrize("diameter", DIAMETERS)
def test_disc_spreads_as_a_disc(diameter):
    _, *variances = moments(disc_psf(diameter))
    # d^2/16 of the disc, 1/12 of the pixel that its area is collected in
    np.testing.assert_allclose(variances, diameter**2 / 16 + 1 / 12, rtol=0.03)


def test_disc_covers_pixels_by_area():
    psf = disc_psf(7.0)
    area = np.pi * 3.5**2
    assert psf[3, 3] * area == pytest.approx(1, rel=1e-3)  # the middle pixel lies inside
    # the top pixel: area under the circle from x = -.5 to .5, above y = 2.5
    half = 0.5 * np.sqrt(3.5**2 - 0.25) + 3.5**2 * np.arcsin(0.5 / 3.5) - 2.5
    assert psf[0, 3] * area == pytest.approx(half, rel=2e-2)


@pytest.mark.parametrize("diameter", DIAMETERS)
def test_half_disc_lies_beside_the_centre(diameter):
    for side in ("left", "right"):
        mean, *_ = moments(half_psf(diameter, side))
        assert mean == pytest.approx(SIDES[side] * 2 * diameter / (3 * np.pi), rel=0.06)


def test_gaussian_spreads_by_sigma():
    _, *variances = moments(gaussian_psf(2.5))
    np.testing.assert_allclose(variances, 2.5**2, rtol=0.01)


@pytest.fixture
def scene():
    """A random picture over a step and a slope: COC -9 .. 9 px with a plane in focus."""
    rng = np.random.default_rng(0)
    coc = np.linspace(-9, 9, 48)[None].repeat(40, 0)
    coc[10:30, 30:] = 0
    return rng.random((40, 48, 3)), coc


@pytest.mark.parametrize(("psf", "side"), [("disc", None), ("gaussian", None), ("disc", "left"), ("disc", "right")])
def test_constant_picture_stays_constant(scene, psf, side):
    flat = np.broadcast_to([0.2, 0.5, 0.9], scene[0].shape)
    np.testing.assert_allclose(render(flat, scene[1], psf, side=side), flat, atol=1e-12)


def test_focal_plane_is_unchanged(scene):
    sharp, coc = scene
    np.testing.assert_allclose(render(sharp, 0 * coc), sharp, atol=1e-15)
    # in front of everything that is blurred, too
    np.testing.assert_allclose(render(sharp, np.abs(coc))[10:30, 30:], sharp[10:30, 30:], atol=1e-12)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("coc", [6.0, -6.0])
def test_a_point_becomes_its_psf(coc, side):
    point = np.zeros((21, 21, 3))
    point[10, 10] = 1
    out = render(point, np.full((21, 21), coc), side=side)
    np.testing.assert_allclose(out[7:14, 7:14, 1], make_psf(coc, "disc", side), atol=1e-12)
    assert out.sum() == pytest.approx(3, abs=1e-10)


def test_nearer_layer_covers_the_farther():
    sharp = np.zeros((21, 40, 3))
    sharp[:, :20] = 1
    coc = np.where(np.arange(40) < 20, -6.0, 6.0) * np.ones((21, 1))
    edge = 1 - np.cumsum(disc_psf(6.0).sum(0))  # a blurred edge falls from 1 to 0 over the disc's 7 columns
    near = np.concatenate([np.ones(17), edge, np.zeros(16)])
    expected = near / (near + (1 - near) * (1 - near))  # white near mask over the far one, normalised
    np.testing.assert_allclose(render(sharp, coc)[10, :, 0], expected, atol=1e-12)


def test_steps_quantise(scene):
    sharp, coc = scene
    np.testing.assert_allclose(render(sharp, coc, step=1.0), render(sharp, np.round(coc), step=0.5), atol=1e-12)


def test_disagreeing_shapes_are_refused(scene):
    with pytest.raises(ValueError, match="do not belong together"):
        render(scene[0], scene[1][1:])
