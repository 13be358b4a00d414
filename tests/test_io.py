"""Photographs in and out of files, against independent decoders: zlib by hand for PNG, tifffile, Pillow."""

import io
import os
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms

import restore_jax.io as rio
from restore_jax.errors import InputError

RNG = np.random.default_rng(5)
HEIGHT, WIDTH = 21, 34
SMOOTH = np.stack(np.meshgrid(np.linspace(20, 230, HEIGHT), np.linspace(30, 200, WIDTH), indexing="ij"), -1)
RGB8 = np.concatenate([SMOOTH, SMOOTH.mean(-1, keepdims=True)], -1).astype(np.uint8)
NOISE16 = RNG.integers(0, 65536, (HEIGHT, WIDTH, 4), dtype=np.uint16)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" dc:title="Pier"/></x:xmpmeta>'


def exif(orientation=1):
    block = Image.Exif()
    block[0x10F] = "A maker of cameras"
    block[0x112] = orientation
    details = block.get_ifd(0x8769)
    details[0x829A] = 0.004  # exposure time
    details[0x9003] = "2024:05:06 07:08:09"
    details[0x927C] = b"MAKER\0" + bytes(range(60))
    details[0xA002], details[0xA003] = WIDTH, HEIGHT
    block.get_ifd(0x8825)[1] = "N"
    return block.tobytes()


def saved(array, kind, **options):
    out = io.BytesIO()
    (array if isinstance(array, Image.Image) else Image.fromarray(array)).save(out, kind, **options)
    return out.getvalue()


def opened(path):
    return Image.open(io.BytesIO(path.read_bytes()))


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def make_png(array, extra=b"", header=(), interlaced=False):
    """16-bit PNG without filters: big-endian rows with a zero in front."""
    height, width, channels = array.shape
    passes = [array]
    if interlaced:
        starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
        passes = [array[y::down, x::right] for y, x, down, right in starts]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for part in passes for row in part if row.size)
    fields = header or (width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, int(interlaced))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *fields))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def split_png(data):
    at, found = 8, {}
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name = data[at + 4 : at + 8]
        assert zlib.crc32(data[at + 4 : at + 8 + length]) == struct.unpack_from(">I", data, at + 8 + length)[0]
        found[name] = found.get(name, b"") + data[at + 8 : at + 8 + length]
        at += 12 + length
    return found


def decode_png(data):
    """By the PNG specification, byte for byte: any filter, 8 or 16 bits, not interlaced."""
    chunks = split_png(data)
    width, height, bits, colour, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    step = channels * bits // 8
    stream, size = zlib.decompress(chunks[b"IDAT"]), width * step
    above, rows = bytearray(size), []
    for y in range(height):
        start = y * (size + 1)
        kind, row = stream[start], bytearray(stream[start + 1 : start + 1 + size])
        for i in range(size):
            a, b, c = (row[i - step] if i >= step else 0), above[i], (above[i - step] if i >= step else 0)
            nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            row[i] = (row[i] + (0, a, b, (a + b) // 2, nearest)[kind]) % 256
        rows.append(row)
        above = row
    dtype = np.uint8 if bits == 8 else np.dtype(">u2")
    return np.frombuffer(b"".join(rows), dtype).reshape(height, width, channels)


def place(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def refused(path, *words, action=rio.read_photo):
    with pytest.raises(InputError) as caught:
        action(path)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{path}: ")
    for word in words:
        assert word in line
    return line


def numbers(photo):
    """The photo's pixels as integers of its depth, (h, w, 3)."""
    full = {8: 255, 16: 65535}[photo.bits]
    return np.rint(photo.pixels.astype(np.float64) * full).astype(int)


# Numbers


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool])
def test_every_integer_survives_floats(dtype):
    values = np.arange(2 if dtype is bool else np.iinfo(dtype).max + 1).astype(dtype)
    floats = rio.to_float(values)
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats, values / values.max().astype(np.float64), rtol=1e-7)
    for array in (floats, floats.astype(np.float64), floats.reshape(2, -1, 1)):
        back = rio.from_float(array, dtype)
        assert back.dtype == dtype
        np.testing.assert_array_equal(back.ravel(), values)


def test_from_float_rounds_and_clips():
    array = np.float32([-0.2, 0, 0.4999 / 255, 0.5001 / 255, 254.6 / 255, 1, 1.7])
    np.testing.assert_array_equal(rio.from_float(array, np.uint8), [0, 0, 0, 1, 255, 255, 255])
    assert rio.from_float(np.float32(0.5), np.uint16) == 32768
    np.testing.assert_array_equal(rio.from_float(array, np.float16), array.clip(0, 1).astype(np.float16))


def test_from_float_works_in_parts_of_large_images():
    array = RNG.random((1500, 1000, 1), np.float32)
    assert np.abs(rio.from_float(array, np.uint8) - array.astype(float) * 255).max() < 0.5001


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("convert", [rio.to_float, lambda array: rio.from_float(array, np.uint8)])
def test_floats_that_are_no_numbers_are_refused(bad, convert):
    array = np.full((4, 4, 3), 0.5, np.float32)
    array[2, 1, 0] = bad
    with pytest.raises(InputError, match="NaN" if np.isnan(bad) else "infinite"):
        convert(array)


def test_floats_of_another_range_and_other_types_are_refused():
    with pytest.raises(InputError, match=r"\[0, 1\].*255"):
        rio.to_float(np.float32([0, 255]))
    with pytest.raises(InputError, match="int64"):
        rio.to_float(np.arange(3))
    with pytest.raises(InputError, match="int32"):
        rio.from_float(np.float32([0.5]), np.int32)
    np.testing.assert_array_equal(rio.to_float(np.array([-1e-5, 0.25, 1 + 1e-5])), np.float32([0, 0.25, 1]))


# 16 bits


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_bit_for_bit(tmp_path, channels, interlaced):
    array = NOISE16[..., :channels]
    photo = rio.read_photo(place(tmp_path, "in.png", make_png(array, interlaced=interlaced)))
    assert (photo.bits, photo.grey, photo.format) == (16, channels < 3, "png")
    colours = array[..., : 1 if channels < 3 else 3]
    np.testing.assert_array_equal(numbers(photo), np.broadcast_to(colours, (HEIGHT, WIDTH, 3)))
    if channels in (2, 4):
        np.testing.assert_array_equal(photo.alpha, array[..., -1])
    else:
        assert photo.alpha is None
    rio.write_photo(tmp_path / "out.png", photo.pixels, photo)
    np.testing.assert_array_equal(decode_png((tmp_path / "out.png").read_bytes()), array)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"planarconfig": "separate"}, {"bigtiff": True}])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_tiff_bit_for_bit(tmp_path, channels, options, order):
    array = NOISE16[..., :channels]
    data = array[..., 0] if channels == 1 else array
    if "planarconfig" in options:
        data = np.moveaxis(array, -1, 0)
    elif channels > 1:
        options = options | {"planarconfig": "contig"}
    tifffile.imwrite(
        tmp_path / "in.tif",
        data[0] if channels == 1 and data.ndim == 3 else data,
        photometric="rgb" if channels > 2 else "minisblack",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        byteorder=order,
        **(options if channels > 1 else {k: v for k, v in options.items() if k != "planarconfig"}),
    )
    photo = rio.read_photo(tmp_path / "in.tif")
    assert (photo.bits, photo.grey, photo.format) == (16, channels < 3, "tiff")
    colours = array[..., : 1 if channels < 3 else 3]
    np.testing.assert_array_equal(numbers(photo), np.broadcast_to(colours, (HEIGHT, WIDTH, 3)))
    rio.write_photo(tmp_path / "out.tiff", photo.pixels, photo)
    with tifffile.TiffFile(tmp_path / "out.tiff") as file:
        np.testing.assert_array_equal(file.asarray().reshape(array.shape), array)
        assert (file.pages[0].compression == 1) == ("compression" not in options)
        assert file.pages[0].extrasamples == ((2,) if channels in (2, 4) else ())


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("orientation", [1, 6])
def test_16_bit_tiff_with_lzw(tmp_path, channels, orientation):
    import cv2

    array = NOISE16[..., :channels]
    data = cv2.imencode(".tif", array[..., [0] if channels == 1 else [2, 1, 0, 3][:channels]])[1].tobytes()
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert file.pages[0].compression == 5
    path = place(tmp_path, "in.tif", with_tiff_orientation(data, orientation))
    photo = rio.read_photo(path)
    upright = array if orientation == 1 else np.rot90(array, -1)
    np.testing.assert_array_equal(numbers(photo)[..., -1], upright[..., min(channels, 3) - 1])
    rio.write_photo(path, photo.pixels, photo)
    np.testing.assert_array_equal(tifffile.imread(path), upright[..., 0] if channels == 1 else upright)


def with_tiff_orientation(data, orientation):
    """The little-endian TIFF with an orientation tag: a copy of its directory, one entry longer, at the end."""
    (offset,) = struct.unpack_from("<L", data, 4)
    (number,) = struct.unpack_from("<H", data, offset)
    entries = [data[offset + 2 + 12 * i : offset + 14 + 12 * i] for i in range(number)]
    entries.append(struct.pack("<HHLHH", 0x112, 3, 1, orientation, 0))
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry))
    data += bytes(len(data) % 2)
    return (
        data[:4]
        + struct.pack("<L", len(data))
        + data[8:]
        + struct.pack("<H", number + 1)
        + b"".join(entries)
        + bytes(4)
    )


def test_white_is_zero_in_16_bits(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", NOISE16[..., 0], photometric="miniswhite")
    photo = rio.read_photo(tmp_path / "in.tif")
    np.testing.assert_array_equal(numbers(photo)[..., 0], 65535 - NOISE16[..., 0].astype(int))


def test_colours_multiplied_with_alpha_are_divided_by_it(tmp_path):
    array = np.array([[[30000, 15000, 0, 32768], [0, 0, 0, 0]]] * 2, np.uint16)
    tifffile.imwrite(tmp_path / "in.tif", array, photometric="rgb", extrasamples=["assocalpha"])
    photo = rio.read_photo(tmp_path / "in.tif")
    np.testing.assert_array_equal(photo.alpha, array[..., 3])
    np.testing.assert_allclose(photo.pixels[0, 0] * 65535, [60000, 30000, 0], atol=2)
    assert not photo.pixels[:, 1].any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_tiff(tmp_path, dtype):
    array = RNG.random((HEIGHT, WIDTH, 3)).astype(dtype)
    tifffile.imwrite(tmp_path / "in.tif", array, photometric="rgb")
    photo = rio.read_photo(tmp_path / "in.tif")
    np.testing.assert_array_equal(photo.pixels, array.astype(np.float32))
    rio.write_photo(tmp_path / "out.tif", photo.pixels, photo)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), array.astype(np.float32))
    rio.write_photo(tmp_path / "out.png", photo.pixels, photo)
    expected = np.floor(array.astype(np.float32).astype(float) * 65535 + 0.5)
    np.testing.assert_allclose(decode_png((tmp_path / "out.png").read_bytes()), expected, atol=1)


def test_16_bit_transparent_colour(tmp_path):
    for channels in (1, 3):
        array = NOISE16[..., :channels]
        key = chunk(b"tRNS", array[3, 4].astype(">u2").tobytes())
        photo = rio.read_photo(place(tmp_path, "in.png", make_png(array, key)))
        expected = np.full((HEIGHT, WIDTH), 65535)
        expected[3, 4] = 0
        np.testing.assert_array_equal(photo.alpha, expected)
        np.testing.assert_array_equal(numbers(photo)[..., 0], array[..., 0])


def test_depth_follows_the_format(tmp_path):
    photo = rio.read_photo(place(tmp_path, "in.png", make_png(NOISE16)))
    exact = np.floor(NOISE16 / 65535 * 255 + 0.5).astype(np.uint8)
    rio.write_photo(tmp_path / "out.webp", photo.pixels, photo)
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "out.webp")), exact)
    rio.write_photo(tmp_path / "out.jpg", photo.pixels, photo)
    assert opened(tmp_path / "out.jpg").mode == "RGB"
    rio.write_photo(tmp_path / "out.tif", photo.pixels, photo)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), NOISE16)


# 8 bits: modes


@pytest.mark.parametrize("kind", ["png", "tiff", "webp"])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_8_bit_modes_go_round_exactly(tmp_path, kind, mode):
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[mode]
    array = (NOISE16[..., :channels] >> 8).astype(np.uint8)
    options = {"lossless": True, "exact": True} if kind == "webp" else {}
    image = Image.fromarray(array[..., 0] if channels == 1 else array)
    path = place(tmp_path, f"in.{kind}", saved(image, kind, **options))
    photo = rio.read_photo(path)
    grey = channels < 3 and kind != "webp"  # WebP has no grey
    assert (photo.grey, photo.bits, photo.format) == (grey, 8, kind)
    colours = array[..., : 1 if channels < 3 else 3]
    np.testing.assert_array_equal(numbers(photo), np.broadcast_to(colours, (HEIGHT, WIDTH, 3)))
    rio.write_photo(tmp_path / f"out.{kind}", photo.pixels, photo)
    out = opened(tmp_path / f"out.{kind}")
    assert out.mode == (mode if grey or channels > 2 else {"L": "RGB", "LA": "RGBA"}[mode])
    np.testing.assert_array_equal(np.asarray(out.convert(mode)).reshape(array.shape), array)
    if kind == "png":
        np.testing.assert_array_equal(decode_png((tmp_path / "out.png").read_bytes()), array)


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_palettes_become_colours(tmp_path, kind):
    image = Image.fromarray(RGB8).quantize(16)
    photo = rio.read_photo(place(tmp_path, f"in.{kind}", saved(image, kind)))
    np.testing.assert_array_equal(numbers(photo), np.asarray(image.convert("RGB")))
    assert photo.alpha is None
    assert not photo.grey


@pytest.mark.parametrize("transparency", [3, bytes([255, 0, 128, 7])])
def test_palettes_with_transparency_become_colours_and_alpha(tmp_path, transparency):
    image = Image.fromarray(RGB8).quantize(16)
    photo = rio.read_photo(place(tmp_path, "in.png", saved(image, "png", transparency=transparency)))
    table = np.full(16, 255)
    if isinstance(transparency, int):
        table[transparency] = 0
    else:
        table[: len(transparency)] = list(transparency)
    np.testing.assert_array_equal(photo.alpha, table[np.asarray(image)])
    np.testing.assert_array_equal(numbers(photo), np.asarray(image.convert("RGB")))
    rio.write_photo(tmp_path / "out.png", photo.pixels, photo)
    assert opened(tmp_path / "out.png").mode == "RGBA"


def test_transparent_colour_in_8_bits(tmp_path):
    for array in (RGB8, RGB8[..., 0]):
        key = array[2, 3].tolist()
        data = saved(array, "png", transparency=tuple(key) if array.ndim == 3 else key)
        photo = rio.read_photo(place(tmp_path, "in.png", data))
        clear = (array == array[2, 3]).reshape(HEIGHT, WIDTH, -1).all(-1)
        np.testing.assert_array_equal(photo.alpha, np.where(clear, 0, 255))
        assert photo.grey == (array.ndim == 2)


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_one_bit(tmp_path, kind):
    bits = NOISE16[..., 0] > 30000
    photo = rio.read_photo(place(tmp_path, f"in.{kind}", saved(Image.fromarray(bits), kind)))
    np.testing.assert_array_equal(numbers(photo)[..., 1], bits * 255)
    assert (photo.grey, photo.bits) == (True, 8)


def test_grey_jpeg_stays_grey(tmp_path):
    data = saved(RGB8[..., 0], "jpeg", quality=97)
    photo = rio.read_photo(place(tmp_path, "in.jpg", data))
    np.testing.assert_array_equal(numbers(photo)[..., 2], np.asarray(Image.open(io.BytesIO(data))))
    rio.write_photo(tmp_path / "out.jpg", photo.pixels, photo)
    assert opened(tmp_path / "out.jpg").mode == "L"


def test_cmyk_becomes_rgb_without_the_profile_of_the_inks(tmp_path):
    image = Image.fromarray(RGB8).convert("CMYK")
    for kind in ("jpeg", "tiff"):
        data = saved(image, kind, icc_profile=b"not a profile", **({"quality": 100} if kind == "jpeg" else {}))
        photo = rio.read_photo(place(tmp_path, f"in.{kind}", data))
        assert np.abs(numbers(photo) - RGB8).max() < 16
        assert photo.icc is None
        rio.write_photo(tmp_path / f"out.{kind}", photo.pixels, photo)
        assert opened(tmp_path / f"out.{kind}").mode == "RGB"


def test_a_tiff_compressed_as_jpeg(tmp_path):
    data = saved(RGB8, "tiff", compression="jpeg", quality=95)
    photo = rio.read_photo(place(tmp_path, "in.tif", data))
    np.testing.assert_array_equal(numbers(photo), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_jpeg_quality_follows_a_fine_source_and_improves_on_a_coarse_one(tmp_path):
    for quality, expected in ((98, 98), (60, 95)):
        path = place(tmp_path, "in.jpg", saved(RGB8, "jpeg", quality=quality, progressive=True, comment=b"a pier"))
        photo = rio.read_photo(path)
        rio.write_photo(tmp_path / "out.jpg", photo.pixels, photo)
        out = opened(tmp_path / "out.jpg")
        assert out.quantization == Image.open(io.BytesIO(saved(RGB8, "jpeg", quality=expected))).quantization
        assert out.info["progressive"]
        assert out.info["comment"] == b"a pier"
        assert [(part[1], part[2]) for part in out.layer] == [(1, 1)] * 3  # no subsampling of colour


def test_lossy_webp_stays_lossy(tmp_path):
    photo = rio.read_photo(place(tmp_path, "in.webp", saved(RGB8, "webp", quality=80)))
    rio.write_photo(tmp_path / "out.webp", photo.pixels, photo)
    assert b"VP8 " in (tmp_path / "out.webp").read_bytes()
    assert np.abs(numbers(rio.read_photo(tmp_path / "out.webp")) - numbers(photo)).mean() < 3


# Orientation and metadata


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["in.jpg", "in.png", "in.tif", "in.webp", "16.png", "16.tif"])
def test_orientation_is_applied_and_the_rest_of_exif_kept(tmp_path, name, orientation):
    block, kind = exif(orientation), {"jpg": "jpeg", "tif": "tiff"}.get(name[-3:], name[3:])
    if name == "16.png":
        data = make_png(NOISE16[..., :3], chunk(b"eXIf", block.removeprefix(b"Exif\0\0")))
    elif name == "16.tif":
        out = io.BytesIO()
        tifffile.imwrite(out, NOISE16[..., :3], photometric="rgb", metadata=None)
        data = with_tiff_orientation(out.getvalue(), orientation)
    else:
        data = saved(RGB8, kind, exif=block, **({"lossless": True} if kind == "webp" else {}))
    if name.startswith("16"):
        stored = NOISE16[..., 0]
    else:
        plain = saved(RGB8, kind, **({"lossless": True} if kind == "webp" else {}))
        stored = np.asarray(Image.open(io.BytesIO(plain)))[..., 0]
    turns = {1: 0, 2: 0, 3: 2, 4: 2, 5: -1, 6: -1, 7: 1, 8: 1}[orientation]  # by the EXIF specification's words
    expected = np.rot90(stored, turns)
    expected = expected[:, ::-1] if orientation in (2, 4, 5, 7) else expected

    photo = rio.read_photo(place(tmp_path, name, data))
    np.testing.assert_array_equal(numbers(photo)[..., 0], expected)
    rio.write_photo(tmp_path / f"out{name}", photo.pixels, photo)
    again = rio.read_photo(tmp_path / f"out{name}")
    assert again.pixels.shape == photo.pixels.shape
    if name == "16.tif":
        with tifffile.TiffFile(tmp_path / f"out{name}") as file:
            assert file.pages[0].tags["Orientation"].value == 1
        return
    found = opened(tmp_path / f"out{name}")
    assert found.size == expected.shape[::-1]
    found = found.getexif()
    assert found.get(0x112, 1) == 1
    assert found[0x10F] == "A maker of cameras"
    details = found.get_ifd(0x8769)
    assert details[0x829A] == pytest.approx(0.004)
    assert details[0x9003] == "2024:05:06 07:08:09"
    assert details[0x927C] == b"MAKER\0" + bytes(range(60))
    assert found.get_ifd(0x8825)[1] == "N"
    assert (details[0xA002], details[0xA003]) == expected.shape[::-1]


@pytest.mark.parametrize("source", ["jpg", "png", "tif", "webp", "16.png", "16.tif"])
@pytest.mark.parametrize("target", ["jpg", "png", "tif", "webp"])
def test_profile_exif_and_xmp_go_from_any_format_to_any(tmp_path, source, target):
    if source == "16.png":
        block = exif().removeprefix(b"Exif\0\0")
        extra = chunk(b"iCCP", b"x\0\0" + zlib.compress(SRGB)) + chunk(b"eXIf", block)
        data = make_png(NOISE16[..., :3], extra + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP))
    elif source == "16.tif":
        first = replace(rio.Photo(RGB8 / np.float32(255), bits=16), exif=exif()[6:], xmp=XMP, icc=SRGB)
        rio.write_photo(tmp_path / "first.tif", first.pixels, first)
        data = (tmp_path / "first.tif").read_bytes()
    else:
        kind = {"jpg": "jpeg", "tif": "tiff"}.get(source, source)
        image = Image.fromarray(RGB8)
        if kind == "png":
            from PIL.PngImagePlugin import PngInfo

            info = PngInfo()
            info.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
            data = saved(image, kind, exif=exif(), icc_profile=SRGB, pnginfo=info)
        elif kind == "tiff":
            block = Image.Exif()
            block.load(exif())
            block[700] = XMP
            data = saved(image, kind, exif=block.tobytes(), icc_profile=SRGB)
        else:
            data = saved(image, kind, exif=exif(), icc_profile=SRGB, xmp=XMP)
    photo = rio.read_photo(place(tmp_path, f"in.{source}", data))
    assert (photo.icc, photo.xmp) == (SRGB, XMP)
    rio.write_photo(tmp_path / f"out.{target}", photo.pixels, photo)
    out = rio.read_photo(tmp_path / f"out.{target}")
    assert (out.icc, out.xmp) == (SRGB, XMP)
    image = opened(tmp_path / f"out.{target}")
    assert image.info["icc_profile"] == SRGB
    found = image.getexif()
    assert found[0x10F] == "A maker of cameras"
    assert found.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"
    assert found.get_ifd(0x8825)[1] == "N"


def test_exif_stays_byte_for_byte_where_nothing_changes(tmp_path):
    block = exif()
    photo = rio.read_photo(place(tmp_path, "in.jpg", saved(RGB8, "jpeg", exif=block)))
    rio.write_photo(tmp_path / "out.jpg", photo.pixels, photo)
    assert opened(tmp_path / "out.jpg").info["exif"] == block


def test_the_thumbnail_of_the_old_picture_goes(tmp_path):
    thumbnail, block = saved(RGB8[:8, :8], "jpeg"), exif(6)[6:]
    (first,) = struct.unpack_from(">L", block, 4)
    link = first + 2 + 12 * struct.unpack_from(">H", block, first)[0]
    second = struct.pack(">HHHLLHHLL", 2, 0x201, 4, 1, len(block) + 30, 0x202, 4, 1, len(thumbnail)) + bytes(4)
    block = block[:link] + struct.pack(">L", len(block)) + block[link + 4 :] + second + thumbnail
    data = saved(RGB8, "jpeg", exif=b"Exif\0\0" + block)
    assert Image.open(io.BytesIO(data)).getexif().get_ifd(ExifTags.IFD.IFD1)
    photo = rio.read_photo(place(tmp_path, "in.jpg", data))
    rio.write_photo(tmp_path / "out.jpg", photo.pixels, photo)
    found = opened(tmp_path / "out.jpg").getexif()
    assert not found.get_ifd(ExifTags.IFD.IFD1)
    assert found[0x10F] == "A maker of cameras"


def test_orientation_in_xmp_follows_the_one_applied(tmp_path):
    for orientation, expected in ((6, XMP.replace(b'"6"', b'"1"')), (1, XMP)):
        data = saved(RGB8, "jpeg", exif=exif(orientation), xmp=XMP)
        assert rio.read_photo(place(tmp_path, "in.jpg", data)).xmp == expected


def test_png_text_resolution_and_colour_chunks_are_kept(tmp_path):
    extra = chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"pHYs", struct.pack(">IIB", 11811, 11811, 1))
    extra += chunk(b"tEXt", b"Author\0Somebody") + chunk(b"sBIT", b"\x0c\x0c\x0c")
    photo = rio.read_photo(place(tmp_path, "in.png", make_png(NOISE16[..., :3], extra)))
    assert photo.dpi == pytest.approx((300, 300), abs=0.01)
    rio.write_photo(tmp_path / "out.png", photo.pixels, photo)
    chunks = split_png((tmp_path / "out.png").read_bytes())
    assert chunks[b"gAMA"] == struct.pack(">I", 45455)
    assert chunks[b"pHYs"] == struct.pack(">IIB", 11811, 11811, 1)
    assert chunks[b"tEXt"] == b"Author\0Somebody"
    for name in ("out.jpg", "out.tif"):
        rio.write_photo(tmp_path / name, photo.pixels, replace(photo, bits=8))
        assert opened(tmp_path / name).info["dpi"] == pytest.approx((300, 300), abs=0.01)


def test_damaged_exif_costs_the_photograph_nothing(tmp_path):
    block = exif(6)
    for cut in range(6, len(block), 7):
        photo = rio.read_photo(place(tmp_path, "in.jpg", saved(RGB8, "jpeg", exif=block[:cut])))
        for kind in ("jpg", "tif", "png"):
            rio.write_photo(tmp_path / f"out.{kind}", photo.pixels, photo)
            assert rio.read_photo(tmp_path / f"out.{kind}").pixels.shape == photo.pixels.shape


def test_the_shape_that_tifffile_notes_does_not_outlive_a_turn(tmp_path):
    out = io.BytesIO()
    tifffile.imwrite(out, NOISE16[..., :3], photometric="rgb")
    photo = rio.read_photo(place(tmp_path, "in.tif", with_tiff_orientation(out.getvalue(), 6)))
    rio.write_photo(tmp_path / "out.tif", photo.pixels, photo)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), np.rot90(NOISE16[..., :3], -1))


# Bad input


SAMPLES = {
    "jpg": saved(RGB8, "jpeg"),
    "progressive.jpg": saved(RGB8, "jpeg", progressive=True),
    "png": saved(RGB8, "png"),
    "16.png": make_png(NOISE16[..., :3]),
    "tif": saved(RGB8, "tiff"),
    "lzw.tif": saved(RGB8, "tiff", compression="tiff_lzw"),
    "webp": saved(RGB8, "webp"),
    "lossless.webp": saved(RGB8, "webp", lossless=True),
}


def tiff16(**options):
    out = io.BytesIO()
    tifffile.imwrite(out, NOISE16[..., :3], photometric="rgb", **options)
    return out.getvalue()


SAMPLES |= {"16.tif": tiff16(), "zip16.tif": tiff16(compression="zlib")}


@pytest.mark.parametrize("name", SAMPLES)
def test_truncated_files_are_refused_and_nothing_is_printed(tmp_path, name, capfd):
    data = SAMPLES[name]
    rio.read_photo(place(tmp_path, f"whole.{name}", data))
    for cut in sorted({*range(1, len(data), max(1, len(data) // 40)), len(data) - 3, len(data) - 1}):
        path = place(tmp_path, f"cut.{name}", data[:cut])
        refused(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", SAMPLES)
def test_flipped_bytes_give_a_photo_or_one_line(tmp_path, name, capfd):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        data = np.frombuffer(SAMPLES[name], np.uint8).copy()
        where = rng.integers(0, min(len(data), 400) if seed % 2 else len(data), 3)
        data[where] = rng.integers(0, 256, 3)
        path = place(tmp_path, f"flipped.{name}", data.tobytes())
        line = ""
        try:
            photo = rio.read_photo(path)
        except InputError as error:
            line = str(error)
        if line:
            assert line.startswith(f"{path}: ")
            assert "\n" not in line
        else:
            assert np.isfinite(photo.pixels).all()
    assert capfd.readouterr() == ("", "")


def test_png_whose_pixels_end_early_or_have_a_wrong_checksum(tmp_path, capfd):
    data = make_png(NOISE16[:5, :, :3], header=(WIDTH, HEIGHT, 16, 2, 0, 0, 0))
    refused(place(tmp_path, "short.png", data), "truncated")
    data = bytearray(SAMPLES["png"])
    data[len(data) // 2] ^= 1
    refused(place(tmp_path, "flip.png", bytes(data)), "damaged")
    assert capfd.readouterr() == ("", "")


def ftyp(brand):
    return struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mp42isom"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ["is empty"]),
        ("Grüße, a text file\n".encode(), ["text"]),
        (b"<?xml version='1.0'?><svg/>", ["text"]),
        (ftyp(b"isom"), ["video"]),
        (ftyp(b"qt  "), ["video"]),
        (b"RIFF\x10\0\0\0AVI LIST", ["video"]),
        (b"\x1a\x45\xdf\xa3\x01", ["video"]),
        (ftyp(b"heic"), ["HEIC", "convert"]),
        (ftyp(b"avif"), ["AVIF", "convert"]),
        (ftyp(b"crx "), ["raw"]),
        (saved(RGB8, "gif"), ["GIF", "convert"]),
        (saved(RGB8, "bmp"), ["BMP", "convert"]),
        (b"%PDF-1.7", ["PDF"]),
        (bytes(1000), ["not a JPEG"]),
        (b"\xff\xd8\xff", ["damaged or truncated"]),
        (b"\x89PNG\r\n\x1a\n", ["truncated"]),
        (b"II*\0\x08\0\0\0", ["truncated"]),
        (b"RIFF\x04\0\0\0WEBP", ["damaged or truncated"]),
    ],
)
def test_files_that_are_no_photographs(tmp_path, data, words):
    refused(place(tmp_path, "photo.jpg", data), *words)


def test_missing_files_folders_and_pipes(tmp_path):
    refused(tmp_path / "none.png", "no such file")
    refused(tmp_path, "folder")
    os.mkfifo(tmp_path / "pipe.png")
    refused(tmp_path / "pipe.png", "regular file")


def test_no_permission_to_read(tmp_path, monkeypatch):
    path = place(tmp_path, "in.png", SAMPLES["png"])

    def forbid(*args, **kwargs):  # the tests may run as root, who may read everything
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(rio, "open", forbid, raising=False)
    refused(path, "no permission")


def test_animations_and_pages_are_refused(tmp_path):
    frames = [Image.fromarray(RGB8), Image.fromarray(255 - RGB8)]
    for kind, word in (("png", "animation"), ("webp", "animation"), ("tiff", "2 pages")):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        refused(place(tmp_path, f"in.{kind}", data), word)


def test_a_thumbnail_page_is_no_second_photograph(tmp_path):
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        file.write(NOISE16[..., :3], photometric="rgb")
        file.write(NOISE16[:8, :8, :3], photometric="rgb", subfiletype=1)
    np.testing.assert_array_equal(numbers(rio.read_photo(tmp_path / "in.tif")), NOISE16[..., :3])


def test_camera_raw_is_not_read_as_its_thumbnail(tmp_path):
    refused(place(tmp_path, "in.NEF", SAMPLES["tif"]), "raw")
    tifffile.imwrite(tmp_path / "in.tif", RGB8, photometric="rgb", extratags=[(50706, 1, 4, b"\1\4\0\0", True)])
    refused(tmp_path / "in.tif", "raw")


@pytest.mark.parametrize("dtype", [np.int16, np.uint32, np.int8])
def test_other_samples_are_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "in.tif", np.zeros((20, 20), dtype))
    refused(tmp_path / "in.tif", "samples", str(8 * np.dtype(dtype).itemsize))


@pytest.mark.parametrize(("bad", "word"), [(np.nan, "NaN"), (np.inf, "infinite"), (7.5, "[0, 1]")])
def test_float_tiffs_outside_the_range(tmp_path, bad, word):
    array = np.full((20, 20, 3), 0.5, np.float32)
    array[4, 5, 1] = bad
    tifffile.imwrite(tmp_path / "in.tif", array, photometric="rgb")
    refused(tmp_path / "in.tif", word)


def huge(kind, width, height):
    """A tiny file that promises width x height pixels."""
    if kind == "png":
        return make_png(NOISE16[..., :3], header=(width, height, 16, 2, 0, 0, 0))
    if kind == "png8":
        return make_png(NOISE16[..., :3], header=(width, height, 8, 2, 0, 0, 0))
    data = bytearray(saved(RGB8, kind))
    if kind == "jpeg":
        at = data.index(b"\xff\xc0") + 5
        struct.pack_into(">HH", data, at, height, width)
    else:
        for tag, value in ((0x100, width), (0x101, height)):
            (offset,) = struct.unpack_from("<L", data, 4)
            for index in range(struct.unpack_from("<H", data, offset)[0]):
                if struct.unpack_from("<H", data, offset + 2 + 12 * index)[0] == tag:
                    struct.pack_into("<HHLL", data, offset + 2 + 12 * index, tag, 4, 1, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("kind", "width", "height", "words"),
    [
        ("png", 100_000, 10, ["100000 x 10", "65535"]),
        ("png8", 10, 100_000, ["10 x 100000", "65535"]),
        ("tiff", 100_000, 10, ["100000 x 10", "65535"]),
        ("png", 60_000, 60_000, ["megapixels"]),
        ("png8", 60_000, 60_000, ["megapixels"]),
        ("jpeg", 60_000, 60_000, ["megapixels"]),
        ("tiff", 60_000, 60_000, ["megapixels"]),
        ("png", 0, 5, ["0 x 5"]),
        ("png8", 1, 5, ["1 x 5"]),
        ("tiff", 5, 0, ["5 x 0"]),
        ("jpeg", 5, 1, ["5 x 1"]),
    ],
)
def test_sizes_are_refused_before_decoding(tmp_path, kind, width, height, words, monkeypatch):
    def decoded(*args):
        raise AssertionError("decoded")

    for module, name in ((rio.pillow, "decode"), (rio.png, "decode16"), (rio.tiff, "decode")):
        monkeypatch.setattr(module, name, decoded)
    path = place(tmp_path, "in.file", huge(kind, width, height))
    refused(path, *words)


def test_a_hundred_megapixels_are_no_bomb(tmp_path):
    image = Image.new("1", (10_000, 19_000))  # Pillow itself refuses beyond 179 megapixels
    header = rio.pillow.open_lazily(io.BytesIO(saved(image, "png")), "png")
    rio._check_size(*header.size)
    assert header.size == (10_000, 19_000)


# Writing


def test_suffix_decides_the_format(tmp_path):
    pixels = RGB8 / np.float32(255)
    for name, kind in (("A.JPG", "JPEG"), ("a.jpeg", "JPEG"), ("a.png", "PNG"), ("a.TIF", "TIFF"), ("a.webp", "WEBP")):
        rio.write_photo(tmp_path / "new" / name, pixels)
        assert opened(tmp_path / "new" / name).format == kind
    for name in ("a.gif", "a"):
        refused(tmp_path / name, ".jpg", action=lambda path: rio.write_photo(path, pixels))
        refused(tmp_path / name, ".jpg", action=rio.check_writable)


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
def test_nan_is_not_written(tmp_path, kind):
    pixels = np.full((20, 20, 3), np.nan, np.float32)
    refused(tmp_path / f"a.{kind}", "NaN", action=lambda path: rio.write_photo(path, pixels))
    assert list(tmp_path.iterdir()) == []


def test_sizes_a_format_cannot_hold(tmp_path):
    pixels = np.zeros((2, 17_000, 3), np.float32)
    refused(tmp_path / "a.webp", "17000 x 2", "PNG", action=lambda path: rio.write_photo(path, pixels))
    rio.write_photo(tmp_path / "a.png", pixels)
    with pytest.raises(ValueError, match="alpha has shape"):
        rio.write_photo(tmp_path / "a.png", pixels, rio.Photo(pixels, alpha=np.zeros((2, 3), np.uint8)))


@pytest.mark.parametrize("step", ["write", "rename"])
def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, step, monkeypatch):
    path = place(tmp_path, "a.png", b"the old file")

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync" if step == "write" else "replace", fail)
    refused(path, "No space left", action=lambda path: rio.write_photo(path, RGB8 / np.float32(255)))
    assert path.read_bytes() == b"the old file"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_keeps_links_and_permissions(tmp_path):
    path = place(tmp_path, "a.png", b"old")
    path.chmod(0o640)
    (tmp_path / "link.png").symlink_to(path)
    rio.write_photo(tmp_path / "link.png", RGB8 / np.float32(255))
    assert (tmp_path / "link.png").is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    np.testing.assert_array_equal(np.asarray(opened(path)), RGB8)


def test_check_writable(tmp_path, monkeypatch):
    rio.check_writable(tmp_path / "deep" / "er" / "a.png")
    assert list((tmp_path / "deep" / "er").iterdir()) == []
    refused(make_folder(tmp_path / "folder.png"), "is a folder", action=rio.check_writable)
    file = place(tmp_path, "file", b"")
    refused(file / "a.png", "not a folder", action=rio.check_writable)
    path = place(tmp_path, "a.png", b"precious")
    rio.check_writable(path)
    assert path.read_bytes() == b"precious"

    def forbid(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(rio, "open", forbid, raising=False)
    refused(path, "Permission denied", action=rio.check_writable)
    monkeypatch.undo()
    monkeypatch.setattr(os, "access", lambda *args: False)
    refused(path, "read-only", action=rio.check_writable)


def make_folder(path):
    path.mkdir()
    return path


# Names


def test_find_photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.JPG", "c.tiff", "notes.txt", ".hidden.png", "sub/d.webp", "x[1].png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    folder = [Path(name) for name in ("a.JPG", "b.png", "c.tiff", "x[1].png")]
    assert rio.find_photos(["."]) == folder
    assert rio.find_photos(["notes.txt"]) == [Path("notes.txt")]  # named outright: reading it says what it is
    assert rio.find_photos(["*.png"]) == [Path("b.png"), Path("x[1].png")]
    assert rio.find_photos(["x[1].png"]) == [Path("x[1].png")]
    assert rio.find_photos(["**/*.webp", "sub"]) == [Path("sub/d.webp")]
    assert rio.find_photos(["b.png", ".", tmp_path / "a.JPG"]) == [
        Path(n) for n in ("b.png", "a.JPG", "c.tiff", "x[1].png")
    ]
    assert rio.find_photos([]) == []


@pytest.mark.parametrize(
    ("arg", "word"),
    [("none.png", "no such file"), ("none*.png", "matches no"), ("empty", "holds no"), ("a" * 999, "long")],
)
def test_find_photos_refuses(tmp_path, monkeypatch, arg, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_bytes(b"x")
    refused(arg, word, action=lambda arg: rio.find_photos([arg]))


def test_importing_is_light():
    heavy = "{'jax', 'cv2', 'tifffile', 'PIL', 'torch', 'tensorflow', 'imageio', 'skimage'}"
    code = f"import sys, restore_jax.io; loaded = {heavy} & set(sys.modules); assert not loaded, loaded"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
