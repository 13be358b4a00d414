"""data/transforms: what is cut out of coordinates, how often it is turned and reduced, and what is too small."""

from types import SimpleNamespace

import numpy as np
import pytest

from restore_jax.data.transforms import central_crop, training_crop
from restore_jax.errors import InputError


def settings(**changes):
    return SimpleNamespace(
        **{"size": 4, "margin": 0, "scale_probability": 0.0, "min_scale": 0.7, "turn": False} | changes
    )


def coordinates(height, width, step=1, dtype=np.uint16):
    """Pixel (y, x) is (step y, step x, 7)."""
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    return np.stack([step * y, step * x, np.full_like(y, 7)], -1).astype(dtype)


def pair(picture):
    """Two views that show the same, the second brighter by 3."""
    return {"blurred": picture, "sharp": picture + picture.dtype.type(3)}


def crops(count, example, data):
    rng = np.random.default_rng(0)
    return [training_crop(example, rng, data) for _ in range(count)]


def test_a_crop_is_a_window_and_every_place_is_as_likely():
    found = np.zeros((3, 6), int)
    for crop in crops(1800, pair(coordinates(6, 9)), settings()):
        top, left = crop["blurred"][0, 0, :2].tolist()
        np.testing.assert_array_equal(crop["blurred"], coordinates(6, 9)[top : top + 4, left : left + 4])
        found[top, left] += 1
    assert ((found - 100) ** 2 / 100).sum() < 40.8  # chi-squared of 17 degrees of freedom, p = 0.001


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_all_views_are_cut_reduced_and_turned_alike_and_keep_their_dtype(dtype):
    picture = np.random.default_rng(1).integers(0, 250, (30, 40, 3)).astype(dtype)
    example = {**pair(picture), "left": picture + dtype(2), "right": picture + dtype(1)}
    for crop in crops(50, example, settings(size=16, scale_probability=0.5, turn=True)):
        for view, more in {"blurred": 0, "sharp": 3, "left": 2, "right": 1}.items():
            assert crop[view].dtype == dtype
            assert crop[view].shape == (16, 16, 3)
            assert crop[view].flags.c_contiguous
            np.testing.assert_array_equal(crop[view], crop["blurred"] + dtype(more))


def test_the_eight_flips_and_quarter_turns_are_as_likely():
    picture = coordinates(4, 4)
    eight = [np.rot90(side, k).tobytes() for side in (picture, picture[:, ::-1]) for k in range(4)]
    found = np.zeros(8, int)
    for crop in crops(1600, pair(picture), settings(turn=True)):
        found[eight.index(crop["blurred"].tobytes())] += 1
    assert ((found - 200) ** 2 / 200).sum() < 24.3  # chi-squared of 7 degrees of freedom, p = 0.001


def test_without_turn_left_stays_left():
    for crop in crops(100, pair(coordinates(40, 40, 50)), settings(size=16, scale_probability=0.5)):
        across, down = (
            np.diff(crop["blurred"][..., 1].astype(int), axis=1),
            np.diff(crop["blurred"][..., 0].astype(int), axis=0),
        )
        assert (across > 0).all()
        assert (down > 0).all()


def test_a_share_of_pictures_is_reduced_by_a_uniform_scale():
    """A ramp of 100 a pixel rises by 100 / scale a pixel once it is reduced: of `window` pixels 16 are left."""
    found = np.zeros(24, int)
    for crop in crops(2000, pair(coordinates(60, 90, 100)), settings(size=16, scale_probability=0.25)):
        rows, columns = crop["blurred"][:, 0, 0], crop["blurred"][0, :, 1]
        windows = [round(16 * np.polyfit(np.arange(16), line, 1)[0] / 100) for line in (rows, columns)]
        assert windows[0] == windows[1]
        found[windows[0]] += 1
    nearest = 16 / np.clip(np.array([np.arange(16, 24) - 0.5, np.arange(16, 24) + 0.5]), 16, 16 / 0.7)
    expected = 2000 * 0.25 * (nearest[0] - nearest[1]) / 0.3
    expected[0] += 2000 * 0.75
    assert found[:16].sum() == 0
    assert ((found[16:] - expected) ** 2 / expected).sum() < 24.3  # chi-squared of 7 degrees of freedom, p = 0.001


def test_a_picture_too_small_to_be_reduced_is_cut_as_it_is():
    for crop in crops(20, pair(coordinates(16, 16)), settings(size=16, scale_probability=1.0, min_scale=0.5)):
        np.testing.assert_array_equal(crop["blurred"], coordinates(16, 16))


def test_the_margin_is_there_where_defocus_is_still_to_be_rendered():
    data = settings(size=8, margin=3)
    sharp = {"sharp": coordinates(20, 21)}
    assert crops(1, sharp, data)[0]["sharp"].shape == (14, 14, 3)
    assert crops(1, pair(coordinates(20, 21)), data)[0]["sharp"].shape == (8, 8, 3)
    np.testing.assert_array_equal(central_crop(sharp, data)["sharp"], coordinates(20, 21)[3:17, 3:17])
    np.testing.assert_array_equal(
        central_crop(pair(coordinates(20, 21)), data)["blurred"], coordinates(20, 21)[6:14, 6:14]
    )


def test_with_size_0_all_is_evaluated_to_the_last_multiple_of_8():
    crop = central_crop(pair(coordinates(23, 41)), settings(size=0, margin=16))
    np.testing.assert_array_equal(crop["blurred"], coordinates(23, 41)[:16, :40])
    np.testing.assert_array_equal(crop["sharp"], coordinates(23, 41)[:16, :40] + 3)


@pytest.mark.parametrize("cut", [lambda *a: training_crop(a[0], np.random.default_rng(0), a[1]), central_crop])
def test_a_picture_smaller_than_the_cut_is_refused(cut):
    fits = pair(coordinates(16, 30))
    assert cut(fits, settings(size=16, margin=2))["sharp"].shape == (16, 16, 3)
    with pytest.raises(InputError, match=r"30x16 is smaller than what is cut from it, 17"):
        cut(fits, settings(size=17))
    with pytest.raises(InputError, match=r"30x16 is smaller than what is cut from it, 20"):
        cut({"sharp": fits["sharp"]}, settings(size=16, margin=2))
