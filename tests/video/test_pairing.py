"""pairing.py finds known offsets, fields of view and colours of drawn scenes, and says when there are none."""

from fractions import Fraction

import numpy as np
import pytest

from restore_jax import video
from restore_jax.errors import InputError
from restore_jax.video import pairing
from tests import video_samples as samples
from tests.moving_scene import filmed


def clips(folder, wide, reference, fps=(samples.FPS, samples.FPS)):
    for name, frames, rate in zip(("wide", "tele"), (wide, reference), fps, strict=True):
        samples.save(folder / f"{name}.mp4", frames, rate)
    return video.probe(folder / "wide.mp4"), video.probe(folder / "tele.mp4")


@pytest.mark.parametrize(
    ("fov", "shift", "late", "gains"),
    [
        (2.0, (0.0, 0.0), 0, (1.0, 1.0, 1.0)),
        (2.0, (0.04, -0.03), 7, (0.8, 0.9, 1.0)),
        (1.4, (0.0, 0.02), -9, (1.0, 0.9, 0.75)),
        (3.2, (-0.1, 0.0), 4, (0.9, 0.9, 0.9)),
    ],
)
def test_known_values_are_found(tmp_path, fov, shift, late, gains):
    """`late` frames later began the reference: what is at t in the wide video is at t - late in it."""
    pair = clips(tmp_path, filmed(48), filmed(48, fov=fov, shift=shift, late=late, gains=gains))
    found = pairing.pair(*pair)
    assert found.offset * float(samples.FPS) == pytest.approx(-late, abs=0.1)
    assert found.fov == pytest.approx(fov, rel=0.015)
    np.testing.assert_allclose(found.centre, 0.5 + np.array(shift), atol=0.012)
    np.testing.assert_allclose(found.gains, 1 / np.array(gains), rtol=0.03)
    assert found.offset_confidence > 0.3
    assert found.fov_confidence > 0.5
    assert found.colour_confidence > 0.8


def test_other_frame_rates_pair_by_time(tmp_path):
    wide, tele = filmed(48), filmed(60, fov=2, late=-10)[::2]
    found = pairing.pair(*clips(tmp_path, wide, tele, (Fraction(30), Fraction(15))))
    assert found.offset == pytest.approx(10 / 30, abs=1 / 25)
    assert found.fov == pytest.approx(2, rel=0.015)


def test_what_is_given_is_taken(tmp_path):
    pair = clips(tmp_path, filmed(30), filmed(30, fov=2, late=5))
    found = pairing.pair(*pair, fov=2.1, offset=-5 / float(samples.FPS))
    assert (found.fov, found.fov_confidence) == (2.1, 1)
    assert (found.offset, found.offset_confidence) == (-5 / float(samples.FPS), 1)
    assert found.centre == pytest.approx((0.5, 0.5), abs=0.03)
    assert pairing.pair(*pair, fov=2).offset == pytest.approx(-5 / float(samples.FPS), abs=0.003)


def test_a_still_scene_has_no_offset(tmp_path):
    found = pairing.pair(*clips(tmp_path, filmed(20, moves=False), filmed(20, fov=2, moves=False)))
    assert (found.offset, found.offset_confidence) == (0, 0)
    assert found.fov == pytest.approx(2, rel=0.015)


def test_wrong_order_of_lenses(tmp_path):
    wide, tele = clips(tmp_path, filmed(40), filmed(40, fov=2, late=6))
    with pytest.raises(InputError, match=r"tele\.mp4, about 2\.0 times as wide a view") as error:
        pairing.pair(tele, wide)
    assert str(error.value).startswith(f"{wide.path}: shows more than {tele.path}")
    with pytest.raises(InputError, match="about 2"):
        pairing.pair_images(filmed(1, fov=2)[0], filmed(1)[0])


def test_nothing_in_common(tmp_path):
    wide, tele = clips(tmp_path, filmed(24), filmed(24, fov=2, seed=5))
    with pytest.raises(InputError, match="nothing of") as error:
        pairing.pair(wide, tele)
    assert str(tele.path) in str(error.value)
    assert "\n" not in str(error.value)


def test_no_moment_in_common(tmp_path):
    wide, tele = clips(tmp_path, filmed(12), filmed(12, fov=2))
    with pytest.raises(InputError, match="shows no moment"):
        pairing.pair(wide, tele, offset=3.0)


def test_single_images():
    found = pairing.pair_images(filmed(1)[0], filmed(1, fov=2.5, gains=(1, 0.8, 1))[0])
    assert found.fov == pytest.approx(2.5, rel=0.02)
    np.testing.assert_allclose(found.gains, (1, 1.25, 1), rtol=0.04)


def test_the_nearest_frame_in_time():
    clip = video.Clip("x", 2, 2, Fraction(10), np.arange(4) / 10)
    times = np.array([-1, 0.04, 0.06, 0.1, 0.29, 5])
    np.testing.assert_array_equal(pairing.nearest(clip, times), [0, 0, 1, 1, 3, 3])
    single = video.Clip("x", 2, 2, Fraction(10), np.zeros(1))
    np.testing.assert_array_equal(pairing.nearest(single, times), [0] * 6)
    np.testing.assert_array_equal(pairing.covered(clip, clip, np.arange(4), 0.2), [True, True, False, False])
