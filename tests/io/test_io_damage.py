"""Small damage and odd files that viewers show all the same: what is whole in them is read, the rest is named."""

import io
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

import restore_jax.io.photos as rio
from tests.image_samples import HEIGHT, NOISE16, RGB8, WIDTH, chunk, make_png, numbers, opened, place, refused, saved


def with_wrong_checksum(data, name):
    at = data.index(name) - 4
    end = at + 12 + int.from_bytes(data[at : at + 4], "big")
    return data[: end - 1] + bytes([data[end - 1] ^ 1]) + data[end:]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", [b"tEXt", b"gAMA", b"iCCP", b"eXIf", b"zzZz"])
def test_a_wrong_checksum_beside_the_pixels_costs_that_chunk(tmp_path, name, bits):
    whole = make_png(NOISE16[..., :3]) if bits == 16 else saved(RGB8, "png")
    data = whole[:33] + chunk(name, b"some\0words") + whole[33:]
    photo = rio.read_photo(place(tmp_path, "in.png", with_wrong_checksum(data, name)))
    np.testing.assert_array_equal(photo.pixels, rio.read_photo(place(tmp_path, "whole.png", whole)).pixels)
    word = f"a {name.decode()} chunk with a wrong checksum"
    assert photo.left_out == (word,)
    assert rio.write_photo(tmp_path / "out.png", photo.pixels, photo) == (word,)
    assert opened(tmp_path / "out.png").text == {}


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT", b"PLTE"])
def test_a_wrong_checksum_of_what_makes_the_pixels_is_refused(tmp_path, name):
    data = saved(Image.fromarray(RGB8).quantize(16), "png")
    refused(place(tmp_path, "in.png", with_wrong_checksum(data, name)), "damaged: a chunk has a wrong checksum")


def of_iphone(array, interlaced=False, filter_rows=True):
    """Apple's PNG: a CgBI chunk first, a stream without zlib's header, BGR(A) multiplied by alpha."""
    height, width, channels = array.shape
    wide = array[..., [2, 1, 0, 3][:channels]].astype(int)
    if channels == 4:
        wide[..., :3] = (wide[..., :3] * wide[..., 3:] + 127) // 255
    wide = wide.astype(np.uint8)
    passes = [wide]
    if interlaced:
        starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
        passes = [wide[y::down, x::right] for y, x, down, right in starts]
    rows = b""
    for part in passes:
        for row in part if part.size else ():
            left = np.concatenate([0 * row[:1], row[:-1]])
            rows += (b"\1" + (row - left).tobytes()) if filter_rows else (b"\0" + row.tobytes())
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    stream = packer.compress(rows) + packer.flush()
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, {3: 2, 4: 6}[channels], 0, 0, interlaced])
    parts = chunk(b"CgBI", b"\x50\0\x20\6") + chunk(b"IHDR", head) + chunk(b"iDOT", bytes(28))
    return (
        b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IDAT", stream[:50]) + chunk(b"IDAT", stream[50:]) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
def test_png_of_an_iphone(tmp_path, channels, interlaced):
    array = np.dstack([RGB8, np.linspace(0, 255, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint8)])[
        ..., :channels
    ]
    photo = rio.read_photo(place(tmp_path, "in.png", of_iphone(array, interlaced)))
    if channels == 3:
        np.testing.assert_array_equal(numbers(photo), array)
        return
    np.testing.assert_array_equal(photo.alpha, array[..., 3])
    seen = array[..., 3:] / 255
    assert np.abs(numbers(photo) * seen - array[..., :3] * seen).max() <= 1
    rio.write_photo(tmp_path / "out.png", photo.pixels, photo)
    assert opened(tmp_path / "out.png").mode == "RGBA"  # a PNG as others are
    refused(place(tmp_path, "cut.png", of_iphone(array)[:-60]), "truncated")


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "webp", "avif"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".heic", ".text", ""])
def test_content_decides_what_a_file_is(tmp_path, kind, suffix):
    path = place(tmp_path, f"in{suffix}", saved(RGB8, kind))
    assert rio.identify(path) == kind
    photo = rio.read_photo(path)
    assert (photo.format, photo.pixels.shape) == (kind, RGB8.shape)
    own = rio.output_suffix(path, kind)
    assert own == (
        suffix if suffix in (".png", ".jpg", ".heic") else {"jpeg": ".jpg", "tiff": ".tif"}.get(kind, f".{kind}")
    )


class Stream:
    """A stand-in for standard input or output: binary, under `buffer`."""

    def __init__(self, data=b""):
        self.buffer = io.BytesIO(data)


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "webp"])
def test_standard_input_and_output(monkeypatch, kind):
    source, sink = Stream(saved(RGB8, kind)), Stream()
    monkeypatch.setattr(sys, "stdin", source)
    monkeypatch.setattr(sys, "stdout", sink)
    assert rio.identify("-") == kind  # which leaves it all for the next
    photo = rio.read_photo("-")
    rio.check_writable("-")
    assert rio.write_photo("-", photo.pixels, photo) == ()
    out = Image.open(io.BytesIO(sink.buffer.getvalue()))
    assert out.format == kind.upper()
    assert np.abs(np.asarray(out).astype(int) - numbers(photo)).mean() < 3
    monkeypatch.setattr(sys, "stdin", Stream(b"no picture"))
    refused("-", "text", action=rio.read_photo)


def test_names_of_255_bytes(tmp_path):
    path = tmp_path / ("a" * 251 + ".png")
    path.write_bytes(saved(RGB8, "png"))
    photo = rio.read_photo(path)
    out = tmp_path / ("é" * 125 + "b.png")
    rio.check_writable(out)
    rio.write_photo(out, photo.pixels, photo)
    np.testing.assert_array_equal(np.asarray(opened(out)), RGB8)
