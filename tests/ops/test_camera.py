"""The training camera: each part alone, and that draws differ."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import convolve

from restore_jax.data.dead_leaves import dead_leaves
from restore_jax.ops import camera
from restore_jax.ops.render import composite
from restore_jax.train.config import load_config

SIZE, MARGIN = 48, 20
SHARP = (dead_leaves(np.random.default_rng(5), (SIZE + 2 * MARGIN,) * 2) / 255).astype(np.float32)
CROP = SHARP[MARGIN:-MARGIN, MARGIN:-MARGIN]
OFF = {"sharp": 1.0, "cut_out": 0.0, "highlights": 0.0, "noise": 0.0, "sharpen": 0.0, "reduce": 0.0, "jpeg": 0.0}


def settings(**parts):
    """config.camera of `ifan.py:small` with every part off but for `parts`."""
    config = load_config("configs/ifan.py:small")
    with config.unlocked():
        config.camera.update({**OFF, "num_layers": 6, "linear_light": 0.0, **parts})
        config.camera.lens.update({"cut": 0.0, "polygon": 0.0, "rim": 0.0, "colour": 0.0, "motion": (0.0, 2.0)})
    return config.camera


def photographs(keys=1, dual=False, **parts):
    """Views of the same photograph by `keys` cameras."""
    one = lambda key: camera.photograph(key, jnp.asarray(SHARP), settings(**parts), SIZE, dual)  # noqa: E731
    return jax.device_get(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(3), keys)))


def test_a_camera_with_every_part_off_is_the_photograph():
    views = photographs(2)
    for n in range(2):
        np.testing.assert_allclose(views["sharp"][n], CROP, atol=1e-5)
        np.testing.assert_allclose(views["blurred"][n], np.round(255 * CROP) / 255, atol=1e-5)
    assert not views["coc"].any()


def test_one_lens_and_one_depth_is_a_convolution():
    radius, offsets = 4, np.arange(-4, 5)
    kernel = (np.hypot(*np.meshgrid(offsets, offsets)) <= radius).astype(np.float32)
    kernel /= kernel.sum()

    def kernels(coc, size):
        placed = jnp.zeros(size).at[:9, :9].set(kernel)
        return jnp.fft.rfft2(jnp.roll(placed, (-4, -4), (0, 1)))[..., None]

    (blurred,) = composite(SHARP, jnp.full(SHARP.shape[:2], 8.0), 3, [kernels])
    np.testing.assert_allclose(blurred, convolve(SHARP, kernel[..., None], mode="wrap"), atol=1e-5)


def test_what_a_cut_out_hides_is_seen_through_its_blurred_edge():
    # A black thing before a white wall that is in focus: all around the edge the wall goes on behind it.
    inside = np.hypot(*np.mgrid[-44:44, -44:44]) < 20
    image, coc = np.where(inside[..., None], 0.0, 1.0) * np.ones(3), np.where(inside, -8.0, 0.0)
    hidden = np.ones((88, 88, 3)), np.where(inside, 0.0, np.nan)
    kernel = (np.hypot(*np.mgrid[-4:5, -4:5]) <= 4).astype(np.float32)
    kernel /= kernel.sum()

    def kernels(layer_coc, size):
        placed = jnp.zeros(size).at[:9, :9].set(kernel)
        blurred = jnp.fft.rfft2(jnp.roll(placed, (-4, -4), (0, 1)))[..., None]
        return jnp.where(layer_coc < -4, blurred, jnp.ones_like(blurred))

    arguments = [jnp.asarray(x, jnp.float32) for x in (image, coc)]
    (seen,) = composite(*arguments, 2, [kernels], hidden=tuple(jnp.asarray(x, jnp.float32) for x in hidden))
    shadow = convolve(inside.astype(np.float32), kernel, mode="wrap")
    np.testing.assert_allclose(seen[..., 0], 1 - shadow, atol=1e-4)


def test_blur_reaches_as_far_as_is_asked_and_the_margin_allows():
    views = photographs(64, sharp=0.0)
    largest = views["coc"].max((1, 2, 3))
    assert largest.max() <= 2 * MARGIN - 3
    assert np.median(largest) < 15 < largest.max()  # log-uniform
    rough = np.abs(views["blurred"] - CROP).mean((1, 2, 3))
    assert np.corrcoef(rough, largest)[0, 1] > 0.5
    np.testing.assert_allclose(views["sharp"], np.broadcast_to(CROP, views["sharp"].shape), atol=1e-5)


def test_a_share_is_wholly_sharp():
    views = photographs(64, sharp=0.5)
    assert np.mean(views["coc"].max((1, 2, 3)) == 0) == pytest.approx(0.5, abs=0.15)


def test_scenes_are_cut_out_of_the_photograph_itself():
    key = jax.random.key(1)
    image, coc, (behind, hidden) = camera.random_scene(key, jnp.asarray(SHARP), 20.0, settings(sharp=0.0, cut_out=1.0))
    mask = ~np.isnan(hidden)
    assert 0.01 < mask.mean() < 1
    np.testing.assert_array_equal(image, np.where(mask[..., None], SHARP[::-1, ::-1], SHARP))
    np.testing.assert_array_equal(behind, SHARP)
    assert (np.asarray(coc)[mask] <= np.asarray(hidden)[mask]).all()  # nearer than what it hides


def test_nothing_shines_through_what_is_in_focus():
    views = photographs(16, cut_out=1.0)
    np.testing.assert_allclose(views["blurred"], views["sharp"], atol=0.51 / 255)
    assert any(np.abs(view - CROP).max() > 0.05 for view in views["sharp"])  # there is something cut out


def test_noise_is_on_the_photograph_alone_and_each_view_has_its_own():
    views = photographs(dual=True, noise=1.0, shot=(1e-3, 1.0001e-3), read=(1e-4, 1.0001e-4), smoothing=0.0)
    np.testing.assert_allclose(views["sharp"][0], CROP, atol=1e-5)
    inside = (CROP > 0.2) & (CROP < 0.8)
    left, right, both = (np.where(inside, views[name][0] - CROP, np.nan) for name in ("left", "right", "blurred"))
    light = np.where(inside, CROP, np.nan)
    assert np.nanmean(left**2) == pytest.approx(2 * np.nanmean(1e-3 * light), rel=0.1)
    assert np.nanmean(both**2) == pytest.approx(np.nanmean(1e-3 * light), rel=0.1)
    assert abs(np.nanmean(left * right)) < 0.1 * np.nanmean(left**2)


def test_highlights_bleed_beyond_white():
    lamp = jnp.zeros((88, 88, 3)).at[42:46, 42:46].set(1.0)
    peaks = []
    for highlights in (0.0, 1.0):
        key = jax.random.key(7)
        gamma, (light,) = camera.random_light(key, (lamp,), settings(highlights=highlights, linear_light=1.0))
        peaks.append(float(light.max()))
        assert camera.GAMMAS[0] <= float(gamma) <= camera.GAMMAS[1]
    assert peaks[0] == 1 < peaks[1] <= camera.BRIGHTEST


def test_truth_and_photograph_are_reduced_and_sharpened_alike():
    views = photographs(16, reduce=1.0, sharpen=1.0)
    np.testing.assert_allclose(views["blurred"], views["sharp"], atol=0.51 / 255)
    assert all(np.abs(view - CROP).mean() > 0.005 for view in views["sharp"])
    assert not any((view[edge] == 0).all() for view in views["sharp"] for edge in (0, -1))  # no border of black


def test_the_file_is_a_jpeg_as_often_as_asked():
    assert np.abs(photographs(4)["blurred"] - CROP).max() < 0.51 / 255
    views = photographs(32, jpeg=0.5, twice=0.5)
    damaged = np.abs(views["blurred"] - CROP).max((1, 2, 3)) > 2 / 255
    assert damaged.mean() == pytest.approx(0.5, abs=0.2)
    assert len({view.tobytes() for view in views["blurred"][damaged]}) == damaged.sum()  # no two alike


def test_the_same_key_is_the_same_photograph():
    full = {"sharp": 0.1, "noise": 1.0, "jpeg": 1.0, "reduce": 0.5}
    first, again = (photographs(2, **full) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert np.abs(first["blurred"][0] - first["blurred"][1]).max() > 0.01
