"""JPEG on the device, against the files that Pillow writes."""

import io

import jax
import numpy as np
import pytest
import skimage.data
from PIL import Image

from restore_jax.ops import jpeg

PHOTO = skimage.data.coffee()[100:212, 60:209]  # odd sides: no multiple of a block


def pillow(photo, quality, subsampling):
    """The file that Pillow writes, opened."""
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return Image.open(file)


@pytest.mark.parametrize("quality", [1, 30, 50, 75, 91, 98, 100])
def test_tables_are_those_of_pillows_files(quality):
    theirs = pillow(PHOTO, quality, 0).quantization
    for number, ours in enumerate(jpeg.quantisation_tables(quality)):
        np.testing.assert_array_equal(np.asarray(ours).ravel(), theirs[number])


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("quality", [50, 75, 90, 98])
def test_pixels_are_those_of_pillows_files(quality, subsampling):
    theirs = np.asarray(pillow(PHOTO, quality, subsampling)).astype(np.float32)
    ours = 255 * np.asarray(jax.jit(jpeg.compress)(PHOTO / np.float32(255), quality, subsampling == 2))
    np.testing.assert_allclose(ours, np.round(ours), atol=1e-3)
    # Decoders round in fixed point at every step; a photograph changes by 1 to 5 levels at these qualities.
    assert np.abs(ours - theirs).mean() < 0.6
    assert abs((ours - theirs).mean()) < 0.1


def test_phase_is_where_the_grid_lies():
    # Grey with one step: blocks that hold no step come back flat, so the grid shows in where ringing ends.
    photo = np.full((48, 48, 3), 60, np.uint8)
    photo[:, 20:] = 190
    phase = (5, 11)
    padded = np.pad(photo, ((phase[0], 0), (phase[1], 0), (0, 0)), "edge")
    theirs = np.asarray(pillow(padded, 40, 0)).astype(np.float32)[phase[0] :, phase[1] :]
    ours = 255 * np.asarray(jpeg.compress(photo / np.float32(255), 40, False, phase))
    assert np.abs(ours - theirs).max() <= 2
    unshifted = 255 * np.asarray(jpeg.compress(photo / np.float32(255), 40, False))
    assert np.abs(unshifted - theirs).max() > 5


def test_colours_of_halved_chroma_are_enlarged_as_decoders_do():
    photo = np.zeros((32, 32, 3), np.uint8)
    photo[:, 16:] = (200, 30, 60)
    theirs = np.asarray(pillow(photo, 100, 2)).astype(np.float32)
    ours = 255 * np.asarray(jpeg.compress(photo / np.float32(255), 100, True))
    assert np.abs(ours - theirs).max() <= 3
