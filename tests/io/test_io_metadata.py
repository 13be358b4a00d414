"""Orientation is applied; EXIF, profile, XMP and the rest survive, by Pillow's and tifffile's reading."""

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image

import restore_jax.io.photos as rio
from tests.image_samples import (
    NOISE16,
    RGB8,
    SRGB,
    XMP,
    chunk,
    exif,
    make_png,
    numbers,
    opened,
    place,
    saved,
    split_png,
    with_tiff_orientation,
)


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
