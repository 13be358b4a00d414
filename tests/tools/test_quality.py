"""tools/quality: figures of hand-made pictures, and commands that say what they take."""

import subprocess
import sys

import numpy as np
import pytest

from tests.places import ROOT
from tools.quality import deblur, scenes


def test_gains_are_of_the_squared_error_by_blur():
    sharp = np.full((8, 8, 3), 100, np.uint8)
    coc = np.zeros((8, 8))
    coc[:, 4:] = 5  # the right half is blurred by 5 pixels
    defocused = sharp.copy()
    defocused[:, 4:] += 10
    result = sharp.copy()
    result[:, 4:] += 1
    row = deblur.measure(sharp, defocused, result, coc)
    # Half of the pixels differ by 10, then by 1: both errors are halved, so that the gain is that of a hundredth.
    assert row["psnr_in"] == pytest.approx(10 * np.log10(255**2 / 50))
    assert row["gain"] == pytest.approx(20)
    assert row["coc_3_6"]["gain"] == pytest.approx(20)
    assert row["coc_0_1"]["psnr_in"] == pytest.approx(10 * np.log10(255**2 * 12))  # equal but for rounding
    assert row["coc_6_9"] is None


def test_the_right_camera_sees_what_the_left_one_sees_moved_by_its_disparity():
    left = np.zeros((1, 8))
    left[0, 4:6] = 2  # a near thing, two pixels wide, which lies two pixels further left on the right
    np.testing.assert_array_equal(scenes.right_disparity(left), [[0, 0, 2, 2, 0, 0, 0, 0]])


@pytest.mark.parametrize("name", ["deblur", "defocus", "vsr", "seams"])
def test_a_command_says_what_it_takes(name):
    command = [sys.executable, "-m", f"tools.quality.{name}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--json" in done.stdout
