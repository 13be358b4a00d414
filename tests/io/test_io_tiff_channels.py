"""Channels of a TIFF behind its colours: alpha is alpha, others stay what they are, at every depth and compression."""

import io
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

import restore_jax.io.photos as rio
from tests.image_samples import HEIGHT, WIDTH, numbers, opened, place
from tests.photo_carriers import tiff_with


def written(path):
    """(samples, what the channels behind the colours are) by tifffile's reading."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        return page.asarray(), [int(kind) for kind in page.extrasamples]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "predictor": True}])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("extra", [[0], [2], [0, 0], [2, 0], [0, 2], [0, 0, 2]])
def test_each_channel_comes_out_as_what_it_is(tmp_path, extra, colours, options, dtype):
    data, array = tiff_with(extra, dtype, colours, **options)
    photo = rio.read_photo(place(tmp_path, "in.tif", data))
    assert (photo.bits, photo.grey) == (8 * np.dtype(dtype).itemsize, colours == 1)
    np.testing.assert_array_equal(numbers(photo), np.broadcast_to(array[..., :colours], (HEIGHT, WIDTH, 3)))
    alpha = [colours + place for place, kind in enumerate(extra) if kind == 2]
    plain = [colours + place for place, kind in enumerate(extra) if kind == 0]
    if alpha:
        np.testing.assert_array_equal(photo.alpha, array[..., alpha[0]])
    else:
        assert photo.alpha is None  # opaque
    if plain:
        np.testing.assert_array_equal(photo.samples, array[..., plain])
    assert rio.write_photo(tmp_path / "out.tif", photo.pixels, photo) == ()
    out, kinds = written(tmp_path / "out.tif")
    np.testing.assert_array_equal(out, array[..., [*range(colours), *alpha, *plain]])
    assert kinds == [2] * len(alpha) + [0] * len(plain)
    named = rio.write_photo(tmp_path / "out.png", photo.pixels, photo)
    one, two = "a channel that is no alpha", "2 channels that are no alpha"
    words = {0: (), 1: (f"{one} (only a TIFF holds such)",), 2: (f"{two} (only a TIFF holds such)",)}
    assert named == words[len(plain)]
    assert opened(tmp_path / "out.png").has_transparency_data == bool(alpha)


def test_8_bits_compressed_by_lzw(tmp_path):
    _, array = tiff_with([2], np.uint8)
    out = io.BytesIO()
    Image.fromarray(array).save(out, "tiff", compression="tiff_lzw")
    data = out.getvalue()
    at = next(place for place in range(len(data)) if data[place : place + 8] == b"\x52\x01\3\0\1\0\0\0")
    photo = rio.read_photo(place(tmp_path, "in.tif", data[: at + 8] + b"\0" + data[at + 9 :]))
    assert photo.alpha is None
    np.testing.assert_array_equal(photo.samples[..., 0], array[..., 3])
    np.testing.assert_array_equal(numbers(photo), array[..., :3])


def test_16_bits_compressed_by_lzw(tmp_path):
    _, array = tiff_with([2], np.uint16)
    data = cv2.imencode(".tif", array[..., [2, 1, 0, 3]])[1].tobytes()
    photo = rio.read_photo(place(tmp_path, "in.tif", data))
    np.testing.assert_array_equal(numbers(photo), array[..., :3])


def test_the_white_of_a_channel_that_is_no_colour_stays_white(tmp_path):
    array = np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH, 2), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "in.tif", array, photometric="miniswhite", planarconfig="contig", extrasamples=[2])
    photo = rio.read_photo(tmp_path / "in.tif")
    np.testing.assert_array_equal(numbers(photo)[..., 0], 65_535 - array[..., 0].astype(int))
    np.testing.assert_array_equal(photo.alpha, array[..., 1])


def test_samples_are_turned_with_the_picture(tmp_path):
    data, array = tiff_with([0], np.uint16, extratags=[(0x112, 3, 1, 6, True)])
    photo = rio.read_photo(place(tmp_path, "in.tif", data))
    np.testing.assert_array_equal(photo.samples[..., 0], np.rot90(array[..., 3], -1))
    with pytest.raises(ValueError, match="samples has shape"):
        rio.write_photo(tmp_path / "out.tif", photo.pixels, replace(photo, samples=photo.samples[1:]))
