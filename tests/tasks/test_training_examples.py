"""Training examples are right: the truth is free of noise, defocus has the shape that the config names."""

import types

import jax
import numpy as np
import pytest
from scipy import ndimage

from restore_jax import tasks
from restore_jax.data.triple_camera import Options, training_window, triple_streams
from restore_jax.train.config import load_config

STILL = {"pan": 0.0, "turn": 0.0, "zoom": 0.0, "shake": 0.0, "tilt": 0.0, "occluders": 0, "gain": 0.0}
GREY = np.full((160, 160, 3), 120, np.uint8)
NOISE = 0.1  # the largest sigma


@pytest.mark.parametrize("reduction", [1, 2])
def test_the_truth_of_a_training_window_has_no_noise(reduction):
    """A grey wall is filmed: whatever is not grey is noise. The network's input has it."""
    views = ("lrs", "refs", "refs_hr", "hr", "hrs")
    data = types.SimpleNamespace(
        num_frames=3, size=16, reduction=reduction, views=views, shift=0.0, turn=False, camera={**STILL, "noise": NOISE}
    )
    found = training_window(GREY, np.random.default_rng(0), data)
    for view in ("hr", "hrs"):
        np.testing.assert_array_equal(found[view], 120)
    for view in ("lrs", "refs", "refs_hr"):
        assert found[view].std() > 1, view
    # LR frames are reduced from noisy HR ones, whose noise that takes the mean of.
    assert (found["lrs"].std() < 0.8 * 255 * NOISE) or reduction == 1


def test_the_truth_of_whole_streams_has_no_noise():
    streams = triple_streams(GREY, np.random.default_rng(0), (12, 16), 2, Options(**STILL, noise=NOISE), 2)
    np.testing.assert_array_equal(streams["uw_hr"], 120)
    for name in ("uw_lr", "wide_lr", "tele_lr", "wide_hr", "tele_hr"):
        assert streams[name].std() > 1, name


# ------------------------------------------------------------------------------------------------------------- defocus
COC = 8.0  # pixels across


def disc(image):
    y, x = np.mgrid[-6:7, -6:7]
    kernel = np.clip(COC / 2 + 0.5 - np.hypot(y, x), 0, 1)
    return ndimage.convolve(image, (kernel / kernel.sum())[..., None], mode="mirror")


def gaussian(image):
    return ndimage.gaussian_filter(image, (COC / 4, COC / 4, 0), mode="mirror")


@pytest.mark.parametrize(("psf", "expected", "other"), [("disc", disc, gaussian), ("gaussian", gaussian, disc)])
def test_maps_are_trained_on_the_blur_that_the_config_names(psf, expected, other, monkeypatch):
    task = tasks.get("defocus_map")
    monkeypatch.setattr(task, "random_coc", lambda key, size, *_: np.full(size, COC, np.float32))
    config = load_config("configs/dmenet.py:b,tiny")
    with config.unlocked():
        config.render.update({"psf": psf, "max_coc": 8, "num_layers": 4})
        config.data.margin = 8
    sharp = np.random.default_rng(0).integers(0, 256, (48, 48, 3)).astype(np.uint8)
    image = np.asarray(task.evaluation_inputs({"sharp": sharp}, jax.random.key(0), config)["image"])
    inside = np.s_[8:-8, 8:-8]
    errors = [np.abs(blur(sharp / 255.0)[inside] - image).mean() for blur in (expected, other)]
    assert errors[0] < 0.3 * errors[1]
