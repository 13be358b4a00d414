"""ops/render and ops/scene against the independent NumPy/SciPy renderer and physics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax.ops import render, scene
from tests import reference_render as reference

RNG = np.random.default_rng(0)
IMAGE = RNG.random((40, 52, 3)).astype(np.float32)
STEPS = np.zeros((40, 52), np.float32)  # three depths: behind focus, in focus, before it, one occluding the other
STEPS[:, :20], STEPS[10:30, 34:] = 6.0, -4.0


@pytest.mark.parametrize("psf", ["disc", "gaussian"])
def test_three_depths_equal_the_independent_renderer(psf):
    ours = render.render_coc(jnp.asarray(IMAGE), jnp.asarray(STEPS), 8, psf, num_layers=21)
    theirs = reference.render(IMAGE, STEPS, psf=psf, step=0.5)
    np.testing.assert_allclose(ours, theirs, atol=6e-3)


@pytest.mark.parametrize("side", ["left", "right"])
def test_dual_pixel_views_equal_the_independent_renderer(side):
    left, right = render.render_dual_pixel(jnp.asarray(IMAGE), jnp.asarray(STEPS), 8, num_layers=21)
    theirs = reference.render(IMAGE, STEPS, psf="disc", step=0.5, side=side)
    np.testing.assert_allclose({"left": left, "right": right}[side], theirs, atol=0.02)


def test_a_slanted_plane_equals_the_independent_renderer():
    coc = np.broadcast_to(np.linspace(-5, 7, 52, dtype=np.float32), (40, 52))
    ours = render.render_coc(jnp.asarray(IMAGE), jnp.asarray(coc), 8, num_layers=25)
    np.testing.assert_allclose(ours, reference.render(IMAGE, coc, step=0.5), atol=0.02)


@pytest.mark.parametrize("psf", ["disc", "gaussian"])
def test_a_constant_image_stays_constant(psf):
    constant = jnp.full((40, 52, 3), 0.3)
    np.testing.assert_allclose(render.render_coc(constant, jnp.asarray(STEPS), 8, psf), 0.3, atol=1e-5)


def test_energy_is_conserved_away_from_the_border():
    spot = np.zeros((41, 41, 1), np.float32)
    spot[20, 20] = 1
    blurred = render.render_coc(jnp.asarray(spot), jnp.full((41, 41), 9.0), 9)
    assert float(blurred.sum()) == pytest.approx(1, abs=1e-4)
    # A disc of diameter 9 covers pi 4.5^2 pixels.
    assert float(blurred.max()) == pytest.approx(1 / (np.pi * 4.5**2), rel=0.03)


def test_what_is_in_focus_stays_as_it_is():
    ours = render.render_coc(jnp.asarray(IMAGE), jnp.asarray(STEPS), 8, num_layers=21)
    # 4 pixels from anything out of focus that lies before it; what lies behind does not reach over it.
    np.testing.assert_allclose(ours[:, 26:30], IMAGE[:, 26:30], atol=2e-5)
    flat = render.render_coc(jnp.asarray(IMAGE), jnp.zeros((40, 52)), 8)
    np.testing.assert_allclose(flat, IMAGE, atol=2e-5)


@pytest.mark.parametrize("coc", [-10.0, -5.0, 5.0, 10.0])
def test_disparity_of_the_views_has_the_sign_and_size_of_the_blur(coc):
    spot = np.zeros((41, 61, 1), np.float32)
    spot[20, 30] = 1
    left, right = render.render_dual_pixel(jnp.asarray(spot), jnp.full((41, 61), coc), 10)
    x = np.arange(61)
    centroids = [float((np.asarray(view)[..., 0].sum(0) * x).sum()) for view in (left, right)]
    assert centroids[1] - centroids[0] == pytest.approx(render.DISPARITY_PER_COC * coc, abs=0.1)
    np.testing.assert_allclose((left + right) / 2, render.render_coc(spot, jnp.full((41, 61), coc), 10), atol=1e-5)


def test_thin_lens():
    depth = jnp.array([[0.5, 1.0, 2.0, 4.0]])
    ours = render.coc_from_depth(depth, 2.0, 50.0, 1.8, 40.0)
    theirs = reference.coc_map(np.asarray(depth) * 1000, 2000.0, 50.0, 1.8, 40.0)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert float(ours[0, 2]) == 0
    # COC is linear in inverse depth: in disparity, that is.
    slope = np.diff(np.asarray(ours)[0]) / np.diff(1 / np.asarray(depth)[0])
    np.testing.assert_allclose(slope, slope[0], rtol=1e-4)
    disparity = 1 / depth
    np.testing.assert_allclose(render.coc_from_disparity(disparity, 0.5, -slope[0]), ours, atol=1e-3)


def test_render_defocus_gives_the_image_and_its_sigma():
    depth = jnp.where(jnp.asarray(STEPS) > 0, 6.0, 2.0)
    image, sigma = render.render_defocus(jnp.asarray(IMAGE), depth, focus=2.0, f_number=4.0, max_coc=28)
    coc = render.coc_from_depth(jnp.array([[6.0]]), 2.0, 50.0, 4.0, 40.0)[0, 0]
    np.testing.assert_allclose(sigma[5, 5], coc / 4, rtol=1e-5)
    assert float(sigma[5, 45]) == 0
    np.testing.assert_allclose(image[5, 45], IMAGE[5, 45], atol=2e-5)


def test_gradient_of_the_image_is_the_adjoint():
    # Rendering is linear in the image: <r(x), y> = <x, r'(y)>.
    other = jnp.asarray(RNG.random((40, 52, 3)), jnp.float32)
    out, vjp = jax.vjp(lambda x: render.render_coc(x, jnp.asarray(STEPS), 8), jnp.asarray(IMAGE))
    assert float(jnp.vdot(out, other)) == pytest.approx(float(jnp.vdot(vjp(other)[0], IMAGE)), rel=1e-4)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="psf is 'square'"):
        render.render_coc(jnp.asarray(IMAGE), jnp.asarray(STEPS), 8, "square")
    with pytest.raises(ValueError, match="at least 2"):
        render.render_coc(jnp.asarray(IMAGE), jnp.asarray(STEPS), 8, num_layers=1)


def test_random_scenes_are_plausible():
    keys = jax.random.split(jax.random.key(0), 64)
    cocs = np.asarray(jax.jit(jax.vmap(lambda k: scene.random_coc(k, (48, 64), 12.0)))(keys))
    largest = np.abs(cocs).max((1, 2))
    assert largest.min() >= 2 - 1e-3
    assert largest.max() <= 12 + 1e-3
    assert largest.max() - largest.min() > 6
    # Behind and before the focal plane, smooth and with edges.
    assert (cocs.max((1, 2)) > 1).any()
    assert (cocs.min((1, 2)) < -1).any()
    jumps = np.abs(np.diff(cocs, axis=2)).max((1, 2)) / largest
    assert (jumps < 0.1).sum() > 5
    assert (jumps > 0.2).sum() > 15
    again = scene.random_coc(keys[3], (48, 64), 12.0)
    np.testing.assert_allclose(again, cocs[3], atol=1e-4)
