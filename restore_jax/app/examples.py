"""Inputs to try, from pictures that scikit-image ships: a cat (CC0, S. van der Walt) and coffee (CC0, R. Michetti).

One photograph of the coffee is out of focus as a whole; the clips of it are those of a virtual phone with two lenses.
"""

import pathlib
from fractions import Fraction
from typing import NamedTuple

import cv2
import numpy as np
from skimage import data

from restore_jax import io, video
from restore_jax.data.triple_camera import Options, triple_streams

SIZE = (90, 120)  # (height, width) of the clips
FRAMES, FPS = 12, Fraction(12)
COC = 7  # pixels: diameter of the circle of confusion


class Examples(NamedTuple):
    """Files: two photographs, the second out of focus as a whole, and a clip of each of the two lenses."""

    photo: pathlib.Path
    defocused: pathlib.Path
    wide: pathlib.Path
    longer: pathlib.Path


def write(folder: pathlib.Path) -> Examples:
    """Write the examples into a new folder."""
    folder.mkdir()
    names = ("cat.png", "coffee_defocused.png", "coffee_wide.mp4", "coffee_longer_lens.mp4")
    found = Examples(*(folder / name for name in names))
    io.write_photo(found.photo, io.to_float(data.chelsea()))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (COC, COC)).astype(np.float32)
    io.write_photo(found.defocused, cv2.filter2D(io.to_float(data.coffee()), -1, disc / disc.sum()))
    options = Options(occluders=0, noise=0.004)
    views = triple_streams(data.coffee(), np.random.default_rng(0), SIZE, FRAMES, options)
    like = video.Clip(folder, SIZE[1], SIZE[0], FPS, np.arange(FRAMES) / float(FPS))
    for path, view in ((found.wide, views["uw_lr"]), (found.longer, views["wide_lr"])):
        with video.VideoWriter(path, SIZE[1], SIZE[0], like, crf=12) as writer:
            for frame in view:
                writer.write(frame)
    return found
