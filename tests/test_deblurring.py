"""How much of a network's answer a photograph takes: `strength` in Python and on the command line."""

import types

import flax.linen as nn
import imageio.v3 as iio
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from restore_jax import cli, deblurring, restore, weights
from restore_jax.deblurring import deblur, deblurred, trusted_share
from restore_jax.errors import InputError
from restore_jax.models.interface import Interface
from tests.random_weights import restorer


class Darker(nn.Module):
    """Answers every photograph .2 darker."""

    interface = Interface("Darker", ())

    def __call__(self, x):
        return {"image": x - 0.2}


def darker(**card):
    return types.SimpleNamespace(model=Darker(), params={}, name="darker", card=card)


PHOTO = np.random.default_rng(0).uniform(0.3, 0.9, (40, 48, 3)).astype(np.float32)
SIGMA = np.tile(np.repeat(np.float32([0.2, 0.7, 2.0]), 16), (40, 1))  # in focus, between, blurred


@pytest.mark.parametrize("strength", [0, 0.25, 1])
def test_a_number_blends_everywhere_alike(strength):
    result = deblur(PHOTO, weights=darker(), strength=strength)
    np.testing.assert_allclose(result, PHOTO - 0.2 * strength, atol=1e-6)


def test_without_a_word_the_card_decides():
    np.testing.assert_allclose(deblur(PHOTO, weights=darker()), PHOTO - 0.2, atol=1e-6)
    np.testing.assert_allclose(deblur(PHOTO, weights=darker(strength=0.5)), PHOTO - 0.1, atol=1e-6)
    np.testing.assert_allclose(deblur(PHOTO, weights=darker(strength=0.5), strength=0), PHOTO, atol=1e-6)


def test_auto_keeps_what_is_in_focus():
    result = deblurred(darker(), PHOTO, "auto", SIGMA).image
    # Half way from .4 to 1 px of sigma lies .7.
    np.testing.assert_allclose(
        PHOTO - result, np.tile(np.repeat([0, 0.1, 0.2], 16)[None, :, None], (40, 1, 3)), atol=1e-6
    )


def test_auto_keeps_what_is_clipped():
    photo = PHOTO.copy()
    photo[10:20, 36:44] = 1.0
    share = trusted_share(photo, np.full((40, 48), 2.0))
    lamp = np.zeros((40, 48))
    lamp[10:20, 36:44] = 1
    np.testing.assert_allclose(share, 1 - np.minimum(2 * gaussian_filter(lamp, 2.0), 1), atol=1e-5)
    assert share[15, 40] < 0.05
    assert share[15, 5] == 1


def test_auto_estimates_the_map_itself(monkeypatch):
    monkeypatch.setattr(deblurring, "estimate_defocus", lambda pixels, progress: SIGMA)
    result = deblur(np.uint8(255 * PHOTO), weights=darker(strength="auto"))
    given = deblurred(darker(), np.uint8(255 * PHOTO) / np.float32(255), "auto", SIGMA).image
    np.testing.assert_array_equal(result, np.round(255 * given))


def test_remarks_say_why_little_could_be_done():
    def of(sigma, **card):
        return deblurred(darker(**card), PHOTO, "auto", np.full((40, 48), sigma, np.float32)).remark

    assert of(0.1) == "nearly all of the picture is in focus and stays as it was"
    assert of(2.0, reach=20) is None
    assert of(4.0) is None
    assert of(4.0, reach=13) == "blur of 13 px and more, on 100 % of the picture, is beyond what darker restores"
    assert deblurred(darker(reach=13), PHOTO, 1.0).remark is None


@pytest.mark.parametrize("strength", [-0.1, 1.5, "much", float("nan")])
def test_another_strength_is_refused(strength):
    with pytest.raises(InputError, match=r"strength: .* is not auto or a number from 0 to 1"):
        deblur(PHOTO, weights=darker(), strength=strength)


def test_the_command_takes_a_strength(tmp_path, capsys, monkeypatch):
    photo = tmp_path / "photo.png"
    pixels = np.uint8(255 * PHOTO)
    iio.imwrite(photo, pixels)
    loaded = restorer("ifan", 0.02, width=2, num_filters=2)
    monkeypatch.setattr(weights, "load", lambda name, verb: loaded)
    out = tmp_path / "out.png"
    assert cli.main(["deblur", str(photo), "-o", str(out), "--strength", "0"]) == 0
    np.testing.assert_array_equal(iio.imread(out), pixels)
    assert cli.main(["deblur", str(photo), "-o", str(out), "--strength", "0.5"]) == 0
    whole = restore.restore(loaded.model, loaded.params, pixels / np.float32(255))
    half = pixels / np.float32(255) + 0.5 * (whole - pixels / np.float32(255))
    np.testing.assert_allclose(iio.imread(out), 255 * half, atol=0.51)
    for wrong in (["--strength", "2"], ["--strength", "some"], ["--strength", "auto", "--method", "deconv"]):
        assert cli.main(["deblur", str(photo), "-o", str(out), *wrong]) == 2
    assert "--strength" in capsys.readouterr().err
