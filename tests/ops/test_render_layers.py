"""ops/render_layers and the filled background of ops/render against loops over layers and pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from restore_jax.ops import render
from restore_jax.ops.render_layers import render_layers
from tests import reference_layers, reference_render

RNG = np.random.default_rng(0)
IMAGE = RNG.random((41, 70, 3)).astype(np.float32)  # not a multiple of a tile
SIGMA = np.abs(np.linspace(-2.5, 5.5, 23)).astype(np.float32)
SLANTED = np.broadcast_to(np.linspace(0, 22, 70).round().astype(np.int32), (41, 70))
STEPS = np.full((41, 70), 8, np.int32)
STEPS[:, 35:], STEPS[8:30, 20:50] = 21, 2
JUMPS = np.full(
    (30, 40), 12.0, np.float32
)  # COC: a far wall, a slanted nearer one over it, both behind the focal plane
JUMPS[6:24, 14:26] = np.linspace(4, 6, 12)
RENDER = jax.jit(render_layers, static_argnames="max_sigma")


@pytest.mark.parametrize(
    "layer", [SLANTED, STEPS, RNG.integers(0, 23, (41, 70), np.int32)], ids=["slant", "steps", "noise"]
)
def test_tiles_equal_whole_images(layer):
    ours = RENDER(jnp.asarray(IMAGE), jnp.asarray(layer), jnp.asarray(SIGMA), max_sigma=5.5)
    np.testing.assert_allclose(ours, reference_layers.render(IMAGE, layer, SIGMA), atol=2e-5)


def test_a_single_sharp_layer_is_the_image():
    ours = RENDER(jnp.asarray(IMAGE), jnp.zeros((41, 70), jnp.int32), jnp.zeros(1), max_sigma=0.0)
    np.testing.assert_allclose(ours, IMAGE, atol=1e-6)


def test_a_single_layer_is_a_gaussian_filter():
    ours = RENDER(jnp.asarray(IMAGE), jnp.zeros((41, 70), jnp.int32), jnp.full(1, 7.0))
    np.testing.assert_allclose(ours, gaussian_filter(IMAGE, (7, 7, 0), mode="reflect"), atol=2e-6)


def hidden(image, coc, reach, **options):
    colours, behind = render.hidden_background(jnp.asarray(image), jnp.asarray(coc), reach, **options)
    return np.asarray(colours), np.asarray(behind)


@pytest.mark.parametrize("reach", [0, 1, 4, 20])
def test_hidden_background_equals_a_loop_over_pixels(reach):
    image = IMAGE[:30, :40]
    colours, behind = hidden(image, JUMPS, reach)
    expected = reference_layers.hidden_background(image, JUMPS, reach)
    assert {tuple(at) for at in np.argwhere(~np.isnan(behind)).tolist()} == set(expected)
    for at, (colour, coc) in expected.items():
        np.testing.assert_allclose([*colours[at], behind[at]], [*colour, coc], rtol=1e-4)
    assert (
        len(expected) == {0: 0, 1: 56, 4: 144, 20: 144}[reach]
    )  # rings of the nearer wall, 18 x 12 pixels, up to half its COC


def test_three_depths_one_behind_the_other():
    """Before a wall that hides part of a farther one: what continues behind a pixel is of what is farther than it."""
    coc = np.full((24, 24), 9.0, np.float32)
    coc[:, 10:], coc[8:16, 4:16] = 2.0, -7.0
    image = IMAGE[:24, :24]
    colours, behind = hidden(image, coc, 6)
    expected = reference_layers.hidden_background(image, coc, 6)
    assert {tuple(at) for at in np.argwhere(~np.isnan(behind)).tolist()} == set(expected)
    for at, (colour, value) in expected.items():
        np.testing.assert_allclose([*colours[at], behind[at]], [*colour, value], rtol=1e-4)
    assert np.nanmax(behind[8:16, 4:16]) > 8 > 3 > np.nanmin(behind[8:16, 4:16])


def test_what_is_continued_is_smooth():
    """Stripes across an edge are continued as their mean: deep behind it, next to nothing is left of them."""
    coc = np.where(np.arange(40) < 20, 12.0, -20.0).astype(np.float32)
    stripes = np.broadcast_to((np.arange(64) // 4 % 2).astype(np.float32)[:, None, None], (64, 40, 1))
    colours, behind = hidden(stripes, np.broadcast_to(coc, (64, 40)), 10)
    assert (~np.isnan(behind)).sum() == 64 * 10
    inner = colours[16:48, 20:30, 0]
    assert inner[:, 0].std() > 0.15
    assert inner[:, 4:].std(0).max() < 0.1
    np.testing.assert_allclose(inner[:, 4:].mean(0), 0.5, atol=0.03)


def test_nothing_is_hidden_on_a_slant_or_before_the_focal_plane_if_that_is_asked_for():
    slant = np.broadcast_to(np.linspace(0, 20, 40, dtype=np.float32), (30, 40))
    assert np.isnan(hidden(IMAGE[:30, :40], slant, 5)[1]).all()
    assert np.isnan(hidden(IMAGE[:30, :40], JUMPS - 12, 5, beyond=0)[1]).all()
    assert not np.isnan(hidden(IMAGE[:30, :40], JUMPS - 12, 5)[1]).all()


def test_layers_with_a_hidden_background_equal_the_loop():
    image, layer = IMAGE[:30, :40], JUMPS.round().astype(np.int32)
    sigma = np.arange(13, dtype=np.float32) / 4
    colours, behind = render.hidden_background(jnp.asarray(image), jnp.asarray(JUMPS), 6)
    at = jnp.where(jnp.isnan(behind), -1, jnp.round(behind)).astype(jnp.int32)
    ours = RENDER(jnp.asarray(image), jnp.asarray(layer), jnp.asarray(sigma), (colours, at), max_sigma=3.0)
    background = reference_layers.hidden_background(image, JUMPS, 6)
    background = {p: (colour, round(float(coc))) for p, (colour, coc) in background.items()}
    np.testing.assert_allclose(ours, reference_layers.render(image, layer, sigma, background), atol=2e-5)


def test_render_coc_fills_as_the_loop_does():
    image, coc = IMAGE[:30, :40], JUMPS.round()
    ours = render.render_coc(jnp.asarray(image), jnp.asarray(coc), 12, "gaussian", num_layers=9, fill=True)
    background = reference_layers.hidden_background(image, coc, 6)
    background = {p: (colour, round(float(c))) for p, (colour, c) in background.items()}
    sigma = np.arange(13) / 4
    theirs = reference_layers.render(image, coc.astype(int), sigma, background)
    # The FFT's Gaussian is not cut at 4 sigma, and its frame ends at half the largest COC.
    np.testing.assert_allclose(ours[8:-8, 8:-8], theirs[8:-8, 8:-8], atol=6e-3)
    plain = render.render_coc(jnp.asarray(image), jnp.asarray(coc), 12, "gaussian", num_layers=9)
    assert np.abs(ours - plain).max() > 0.03


def test_filled_is_nearer_to_the_scene_whose_background_is_known():
    """A white square before a smooth gradient: what is behind it is known, so is the true picture."""
    coc = np.full((64, 64), 12.0, np.float32)
    coc[20:44, 20:44] = 5.0
    background = np.broadcast_to(np.linspace(0, 0.5, 64, dtype=np.float32)[:, None, None], (64, 64, 1))
    sharp = np.where((coc == 5)[..., None], np.float32(1), background)
    cover = gaussian_filter((coc == 5).astype(np.float64), 5 / 4)[..., None]
    true = gaussian_filter(background.astype(np.float64), (3, 3, 0)) * (1 - cover) + cover
    errors = []
    for fill in (False, True):
        ours = render.render_coc(jnp.asarray(sharp), jnp.asarray(coc), 12, "gaussian", 8, fill)
        errors.append(np.abs(ours - true)[8:-8, 8:-8].max())
    assert errors[1] < 0.04
    assert errors[1] < errors[0] / 3


def test_render_defocus_passes_fill_on():
    depth = jnp.where(jnp.asarray(JUMPS) == 12, 9.0, 3.0)
    lens = {"focus": 2.0, "f_number": 8.0, "max_coc": 16, "psf": "gaussian", "num_layers": 9}
    image = jnp.asarray(IMAGE[:30, :40])
    filled, sigma = render.render_defocus(image, depth, fill=True, **lens)
    coc = sigma / render.SIGMA_PER_COC
    np.testing.assert_allclose(filled, render.render_coc(image, coc, 16, "gaussian", 9, True), atol=1e-6)


def test_gradient_through_the_filled_background_is_the_adjoint():
    image, other = jnp.asarray(IMAGE[:30, :40]), jnp.asarray(RNG.random((30, 40, 3)), jnp.float32)
    coc = jnp.asarray(JUMPS)
    out, vjp = jax.jit(lambda x: jax.vjp(lambda x: render.render_coc(x, coc, 12, fill=True), x))(image)
    assert float(jnp.vdot(out, other)) == pytest.approx(float(jnp.vdot(vjp(other)[0], image)), rel=1e-4)


def test_without_fill_the_reference_still_agrees():
    ours = render.render_coc(jnp.asarray(IMAGE[:30, :40]), jnp.asarray(JUMPS.round()), 12, "gaussian", num_layers=9)
    theirs = reference_render.render(IMAGE[:30, :40], JUMPS.round(), psf="gaussian", step=1.0)
    np.testing.assert_allclose(ours[8:-8, 8:-8], theirs[8:-8, 8:-8], atol=6e-3)
