"""SYNDOF's random lenses against the equations and rules they are drawn by."""

import numpy as np
import pytest

from data_prep.syndof import lens as lenses
from tests import reference_render

DEPTH = np.geomspace(900, 30000, 40 * 60).reshape(40, 60).astype(np.float32)
NEAR = (np.geomspace(100, 3000, 40 * 60)).reshape(40, 60).astype(np.float32)


def draw(sampling, number, depth=DEPTH):
    return [lenses.sample(sampling, lenses.generator(7, i), depth) for i in range(number)]


def test_examples_are_drawn_independently_and_again_the_same():
    assert draw("released", 4)[3] == lenses.sample("released", lenses.generator(7, 3), DEPTH)
    assert len({lens.focus for lens in draw("paper", 20)}) == 20
    assert lenses.sample("paper", lenses.generator(8, 3), DEPTH) != draw("paper", 4)[3]


def test_paper_draws_between_the_bounds_of_eq_3_2():
    drawn = draw("paper", 400)
    near, far = float(DEPTH.min()), float(DEPTH.max())
    focus = np.array([lens.focus for lens in drawn])
    assert near <= focus.min() < near + 0.05 * (far - near)
    assert far - 0.05 * (far - near) < focus.max() <= far
    bound = 28 * np.minimum(far / np.abs(far - focus), near / np.abs(near - focus))
    share = np.array([lens.scale for lens in drawn]) / bound
    assert 0 <= share.min() < 0.02
    assert 0.98 < share.max() <= 1 + 1e-9
    assert abs(share.mean() - 0.5) < 0.05
    assert all(np.abs(lenses.coc_of(DEPTH, lens)).max() <= 28 + 1e-6 for lens in drawn)


def test_released_lenses_are_real_and_reach_the_largest_coc():
    drawn = draw("released", 400)
    for lens in drawn[:40]:
        # Pixels a mm: an image of 60 pixels on a sensor of 36 mm.
        coc = reference_render.coc_map(DEPTH, lens.focus, lens.focal_length, lens.f_number, 60 / 36)
        np.testing.assert_allclose(lenses.coc_of(DEPTH, lens), coc, rtol=1e-5, atol=1e-5)
        assert np.abs(coc).max() == pytest.approx(29, rel=1e-5)
        assert 200 <= lens.levels <= 350
    lengths = [lens.focal_length for lens in drawn]
    shares = [lengths.count(length) / len(drawn) for length in (50, 70, 85)]
    np.testing.assert_allclose(shares, [1 / 9, 4 / 9, 4 / 9], atol=0.08)
    # Half-normal towards near: two thirds of the draws in the nearest third of the levels, even in 1 / depth.
    inverse = 1 / np.array([lens.focus for lens in drawn])
    place = (1 / DEPTH.min() - inverse) / (1 / DEPTH.min() - 1 / DEPTH.max())
    assert np.mean(place < 1 / 3) == pytest.approx(0.683, abs=0.08)
    assert (place >= 0).all()


def test_scenes_too_near_are_moved_to_five_focal_lengths():
    for lens in draw("released", 10, NEAR):
        assert lens.shift == pytest.approx(5 * lens.focal_length - 100)
    assert all(lens.shift == 0 for lens in draw("released", 10))


def test_layers_of_the_released_sampling():
    for lens in draw("released", 5):
        layers = lenses.layers_of(DEPTH, lens)
        assert len(layers.coc) <= lens.levels
        np.testing.assert_array_equal(np.unique(layers.index), np.arange(len(layers.coc)))
        np.testing.assert_allclose(layers.coc, layers.coc.round(1), atol=1e-5)
        assert (np.diff(layers.coc) > 0.05).all()  # neighbours of equal COC are one
        spacing = np.ptp(lenses.coc_of(DEPTH, lens)) / (lens.levels - 1)
        np.testing.assert_allclose(layers.coc[layers.index], lenses.coc_of(DEPTH, lens), atol=spacing / 2 + 0.05 + 1e-4)
        assert (np.diff(layers.index.reshape(-1)) >= 0).all()  # nearest first, as DEPTH has it
        np.testing.assert_allclose(layers.sigma, np.maximum(np.abs(layers.coc) - 1, 0) / 4, rtol=1e-5, atol=1e-6)


def test_layers_of_the_paper():
    lens = draw("paper", 1)[0]
    layers = lenses.layers_of(DEPTH, lens)
    assert len(layers.coc) <= 350
    np.testing.assert_allclose(layers.sigma, np.abs(layers.coc) / 4, rtol=1e-6)
    assert np.abs(layers.coc[layers.index] - lenses.coc_of(DEPTH, lens)).max() <= np.ptp(layers.coc) / 349 / 2 + 1e-4


@pytest.mark.parametrize("depth", [np.full((4, 4), 2.0), np.eye(4), np.full((4, 4), np.inf)])
def test_depths_that_no_lens_can_be_drawn_for(depth):
    with pytest.raises(ValueError, match="must be positive, finite and vary"):
        lenses.sample("paper", lenses.generator(0, 0), depth)


def test_unknown_sampling():
    with pytest.raises(ValueError, match="sampling is 'book'"):
        lenses.sample("book", lenses.generator(0, 0), DEPTH)
