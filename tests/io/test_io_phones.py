"""HEIC, AVIF, JPEG XL and camera raw files: pixels, depth, orientation, alpha, tags, and what is left out, by name."""

import io
import struct
from dataclasses import replace

import av
import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image

import restore_jax.io.photos as rio
from tests.image_samples import HEIGHT, RGB8, SRGB, WIDTH, XMP, exif, numbers, opened, place, refused, saved
from tests.photo_carriers import dng, heic

LARGE = cv2.resize(RGB8, (96, 64), interpolation=cv2.INTER_CUBIC)


def close(photo, array, most):
    """Whether the photo's pixels are the (h, w, 3) array's, in mean and nearly everywhere, in steps of its depth."""
    signed = numbers(photo) - array.astype(int)
    return abs(signed.mean()) < most / 2 and np.quantile(abs(signed), 0.99) <= 3 * most


@pytest.mark.parametrize("suffix", [".HEIC", ".heif", ".jpg"])  # telephones give either name to it
def test_a_heic_is_read_and_written_with_its_tags(tmp_path, suffix):
    said = {"icc_profile": SRGB, "exif": exif()[6:], "xmp": XMP.replace(b'"6"', b'"1"')}
    path = place(tmp_path, f"in{suffix}", heic(LARGE, **said))
    photo = rio.read_photo(path)
    assert (photo.format, photo.bits, photo.grey, photo.alpha, photo.left_out) == ("heif", 8, False, None, ())
    assert close(photo, LARGE, 2)
    assert photo.icc == SRGB
    assert rio.write_photo(tmp_path / "out.HEIC", photo.pixels, photo) == ()
    out = pillow_heif.open_heif((tmp_path / "out.HEIC").read_bytes())
    assert np.abs(np.asarray(out).astype(int) - numbers(photo)).mean() < 1.5
    assert out.info["icc_profile"] == SRGB
    assert b"A maker of cameras" in out.info["exif"]
    assert b"Pier" in out.info["xmp"]


def test_an_orientation_that_only_xmp_claims_turns_no_heic(tmp_path):
    pixels = LARGE / np.float32(255)
    rio.write_photo(tmp_path / "out.heic", pixels, rio.Photo(pixels, xmp=XMP))
    assert close(rio.read_photo(tmp_path / "out.heic"), LARGE, 4)


@pytest.mark.parametrize("depth", [10, 12])
def test_deep_heic_keeps_its_depth(tmp_path, depth):
    levels = (np.linspace(0, (1 << depth) - 1, 96).round().astype(np.uint16) << (16 - depth))[None].repeat(64, 0)
    array = np.repeat(levels[..., None], 3, 2)
    path = place(tmp_path, "in.heic", heic(array, "RGB;16", bit_depth=depth))
    photo = rio.read_photo(path)
    assert photo.bits == 16
    wanted = (array >> (16 - depth)) / ((1 << depth) - 1)
    assert np.abs(photo.pixels - wanted).mean() < 2 / (1 << depth)
    assert abs((photo.pixels - wanted).mean()) < 0.5 / (1 << depth)
    assert rio.write_photo(tmp_path / "out.heic", photo.pixels, photo) == ()
    out = pillow_heif.open_heif((tmp_path / "out.heic").read_bytes(), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    assert out.info["bit_depth"] == depth
    assert abs(np.asarray(out) / ((1 << depth) - 1) - photo.pixels).mean() < 2 / (1 << depth)
    assert rio.write_photo(tmp_path / "out.png", photo.pixels, photo) == ()  # 16 bits hold all
    assert rio.write_photo(tmp_path / "out.jpg", photo.pixels, photo) == (f"depth (of {depth} bits, 8 in JPEG)",)


def test_a_16_bit_photograph_in_a_heic_says_what_it_loses(tmp_path):
    pixels = LARGE / np.float32(255)
    lost = rio.write_photo(tmp_path / "out.heic", pixels, rio.Photo(pixels, bits=16))
    assert lost == ("depth (of 16 bits, 10 in HEIC)",)


@pytest.mark.parametrize("suffix", ["heic", "avif"])
def test_alpha_and_grey(tmp_path, suffix):
    alpha = LARGE[::-1, ::-1, 0].copy()
    for grey in (False, True):
        pixels = np.repeat(LARGE[..., :1], 3, 2) / np.float32(255) if grey else LARGE / np.float32(255)
        photo = rio.Photo(pixels, alpha=alpha, grey=grey)
        assert rio.write_photo(tmp_path / f"out.{suffix}", pixels, photo) == ()
        again = rio.read_photo(tmp_path / f"out.{suffix}")
        assert np.abs(again.alpha.astype(int) - alpha).mean() < 2
        assert np.abs(again.pixels - pixels).mean() < 3 / 255
        rio.write_photo(tmp_path / f"plain.{suffix}", pixels, replace(photo, alpha=None))
        assert rio.read_photo(tmp_path / f"plain.{suffix}").grey == grey


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["heif", "avif"])
def test_orientation_is_applied_once(tmp_path, kind, orientation):
    out = io.BytesIO()
    if kind == "heif":
        pillow_heif.from_pillow(Image.fromarray(LARGE)).save(out, quality=95, chroma=444, exif=exif(orientation))
    else:
        Image.fromarray(LARGE).save(out, "AVIF", quality=95, exif=exif(orientation))
    turns = {1: 0, 2: 0, 3: 2, 4: 2, 5: -1, 6: -1, 7: 1, 8: 1}[orientation]
    expected = np.rot90(LARGE, turns)
    expected = expected[:, ::-1] if orientation in (2, 4, 5, 7) else expected
    photo = rio.read_photo(place(tmp_path, f"in.{kind}", out.getvalue()))
    assert photo.pixels.shape == expected.shape
    assert np.abs(numbers(photo) - expected).mean() < 4
    rio.write_photo(tmp_path / "out.png", photo.pixels, photo)
    assert opened(tmp_path / "out.png").getexif().get(0x112, 1) == 1


def test_avif_is_read_and_written_with_its_tags(tmp_path):
    data = saved(LARGE, "avif", quality=100, subsampling="4:4:4", icc_profile=SRGB, exif=exif(), xmp=XMP)
    photo = rio.read_photo(place(tmp_path, "in.AVIF", data))
    assert (photo.format, photo.left_out, photo.icc, photo.xmp) == ("avif", (), SRGB, XMP)
    assert close(photo, LARGE, 2)
    assert rio.write_photo(tmp_path / "out.avif", photo.pixels, photo) == ()
    out = opened(tmp_path / "out.avif")
    assert (out.format, out.info["icc_profile"], out.info["xmp"]) == ("AVIF", SRGB, XMP)
    assert out.getexif()[0x10F] == "A maker of cameras"
    assert np.abs(np.asarray(out).astype(int) - numbers(photo)).mean() < 1.5


def test_an_avif_of_10_bits_says_that_8_are_read(tmp_path):
    with av.open(str(tmp_path / "in.avif"), "w", format="avif") as file:
        stream = file.add_stream("libsvtav1", rate=1, options={"crf": "10", "preset": "10"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p10le"
        deep = np.repeat(np.linspace(0, 65_535, 64 * 96).astype(np.uint16).reshape(64, 96, 1), 3, 2)
        file.mux(stream.encode(av.VideoFrame.from_ndarray(deep, format="rgb48le")))
        file.mux(stream.encode())
    photo = rio.read_photo(tmp_path / "in.avif")
    assert (photo.bits, photo.left_out) == (8, ("depth beyond 8 bits (of 10)",))


def box(kind, body):
    return struct.pack(">I", 8 + len(body)) + kind + body


def with_property(data, kind, body):
    """The HEIC with one more property in its list; the places of its pixels, which follow, are no longer right."""
    own = box(kind, body)
    for name in (b"ipco", b"iprp", b"meta"):
        at = data.index(name) - 4
        data = data[:at] + struct.pack(">I", struct.unpack_from(">I", data, at)[0] + len(own)) + data[at + 4 :]
    at = data.index(b"ipco") + 4
    return data[:at] + own + data[at:]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        (b"urn:com:apple:photo:2020:aux:hdrgainmap", "gain map"),
        (b"urn:mpeg:hevc:2015:auxid:2", "depth map"),
        (b"urn:com:apple:photo:2018:aux:portraiteffectsmatte", "auxiliary picture (portraiteffectsmatte)"),
        (b"urn:mpeg:hevc:2015:auxid:1", None),  # alpha, which is read
    ],
)
def test_what_else_a_heic_holds_is_named(name, word):
    data = with_property(heic(LARGE), b"auxC", bytes(4) + name + b"\0")
    assert rio.pillow.also_holds(data) == ([word] if word else [])


def test_a_film_in_a_heic_is_named_and_not_claimed(tmp_path):
    said = XMP.replace(b"/></x:xmp", b' xmlns:G="http://ns.google.com/photos/1.0/camera/" G:MotionPhoto="1"/></x:xmp')
    said = said.replace(b"<rdf:D", b'<rdf:RDF xmlns:rdf="r" xmlns:tiff="t" xmlns:dc="d"><rdf:D').replace(
        b"/></x:xmp", b"/></rdf:RDF></x:xmp"
    )
    data = heic(LARGE, xmp=said) + box(b"mpvd", bytes(100))
    photo = rio.read_photo(place(tmp_path, "in.heic", data))
    assert photo.left_out == ("film",)
    assert rio.write_photo(tmp_path / "out.heic", photo.pixels, photo) == ("film",)
    packet = rio.read_photo(tmp_path / "out.heic").xmp
    assert b"MotionPhoto" not in packet
    assert b"Pier" in packet


def test_more_pictures_of_a_heic_are_named(tmp_path):
    file = pillow_heif.from_pillow(Image.fromarray(LARGE))
    file.add_from_pillow(Image.fromarray(LARGE[::-1]))
    out = io.BytesIO()
    file.save(out, quality=90)
    assert rio.read_photo(place(tmp_path, "in.heic", out.getvalue())).left_out == ("1 more pictures",)


@pytest.mark.parametrize("suffix", ["heic", "avif"])
def test_broken_ones_are_one_line(tmp_path, suffix, capfd):
    data = heic(LARGE) if suffix == "heic" else saved(LARGE, "avif")
    for cut in sorted({*range(1, len(data) - 1, len(data) // 30)}):
        refused(place(tmp_path, f"cut.{suffix}", data[:cut]))
    assert capfd.readouterr() == ("", "")


# ------------------------------------------------------------------------------------------------------ JPEG XL, raw
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_jpeg_xl_is_read(tmp_path, mode):
    import pillow_jxl  # noqa: F401 - registers itself

    image = Image.fromarray(np.dstack([RGB8, RGB8[::-1, :, 0]])).convert(mode)
    data = saved(image, "jxl", lossless=True, exif=exif(6), xmp=XMP)
    photo = rio.read_photo(place(tmp_path, "in.jxl", data))
    array = np.asarray(image).reshape(HEIGHT, WIDTH, -1)
    assert (photo.format, photo.grey, photo.bits) == ("jxl", mode in ("L", "LA"), 8)
    np.testing.assert_array_equal(numbers(photo), np.broadcast_to(array[..., : 1 if photo.grey else 3], RGB8.shape))
    if mode in ("LA", "RGBA"):
        np.testing.assert_array_equal(photo.alpha, array[..., -1])
    assert rio.exif_block.orientation(photo.exif) == 1  # its pixels are upright as they are
    assert b"A maker of cameras" in photo.exif
    assert rio.output_suffix("in.jxl", "jxl") == ".png"
    refused(tmp_path / "a.jxl", "cannot write .jxl", action=rio.check_writable)


def test_a_jpeg_packed_as_jpeg_xl_gives_that_jpeg(tmp_path):
    import pillow_jxl  # noqa: F401

    path = place(tmp_path, "in.jpg", saved(RGB8, "jpeg", exif=exif(6), icc_profile=SRGB))
    with Image.open(path) as image:
        image.save(tmp_path / "in.jxl", lossless_jpeg=True)
    photo, expected = rio.read_photo(tmp_path / "in.jxl"), rio.read_photo(path)
    np.testing.assert_array_equal(photo.pixels, expected.pixels)
    assert (photo.icc, photo.exif) == (SRGB, expected.exif)


def test_a_grey_jpeg_xl_of_16_bits(tmp_path):
    import pillow_jxl  # noqa: F401

    array = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 80
    photo = rio.read_photo(place(tmp_path, "in.jxl", saved(Image.fromarray(array), "jxl", lossless=True)))
    assert (photo.bits, photo.grey) == (16, True)
    np.testing.assert_array_equal(numbers(photo)[..., 0], array)


def test_what_the_plugin_panics_at_is_one_line(tmp_path, monkeypatch):
    import pillow_jxl

    class PanicException(BaseException):
        pass

    def panic(**options):
        raise PanicException("internal error: entered unreachable code")

    path = place(tmp_path, "in.jxl", saved(RGB8, "jxl"))
    monkeypatch.setattr(pillow_jxl, "Decoder", panic)
    refused(path, "not supported")


@pytest.mark.parametrize("size", [(2, 3), (8, 16), (21, 34), (100, 300), (600, 40)])
def test_the_size_of_a_jpeg_xl_is_known_before_it_is_decoded(size):
    import pillow_jxl  # noqa: F401

    for options in ({}, {"use_container": True}):
        data = saved(np.zeros((*size, 3), np.uint8), "jxl", **options)
        assert rio.jxl._size(data) == size[::-1]


def test_a_raw_file_is_developed_to_srgb_of_16_bits(tmp_path):
    rows, columns = np.mgrid[:96, :128]
    scene = np.stack([np.where(columns < 64, 40_000, 8_000), np.where(rows < 48, 30_000, 9_000), 0 * rows + 20_000], -1)
    scene = scene.astype(np.uint16)
    for name in ("in.dng", "in.tif"):  # by content, whatever it is called
        photo = rio.read_photo(place(tmp_path, name, dng(scene)))
        assert (photo.format, photo.bits, photo.left_out) == ("raw", 16, ())
        linear = scene / 65_535
        wanted = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        for part in (np.s_[8:40, 8:56], np.s_[56:88, 72:120], np.s_[8:40, 72:120]):
            np.testing.assert_allclose(photo.pixels[part].mean((0, 1)), wanted[part].mean((0, 1)), atol=0.01)
        assert b"A maker of cameras" in photo.exif
        assert rio.write_photo(tmp_path / "out.tif", photo.pixels, photo) == ()
        assert rio.read_photo(tmp_path / "out.tif").bits == 16
        assert rio.tiff.is_raw(io.BytesIO((tmp_path / "out.tif").read_bytes())) is False
    assert rio.output_suffix("in.dng", "raw") == ".tif"
    assert rio.read_photo(place(tmp_path, "in.dng", dng(scene, 6))).pixels.shape == (128, 96, 3)


def test_a_broken_raw_file_is_one_line(tmp_path, capfd):
    data = dng(np.full((96, 128, 3), 9_000, np.uint16))
    refused(place(tmp_path, "in.dng", data[:400]), "raw")
    refused(place(tmp_path, "in.cr3", struct.pack(">I", 24) + b"ftypcrx " + bytes(400)), "raw")
    refused(place(tmp_path, "in.raf", b"FUJIFILMCCD-RAW 0201" + bytes(400)), "raw")
    assert capfd.readouterr() == ("", "")


def test_what_needs_an_extra_says_which(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "rawpy", None)
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    refused(place(tmp_path, "in.dng", dng(np.zeros((96, 128, 3), np.uint16))), "pip install '.[raw]'")
    refused(place(tmp_path, "in.jxl", b"\xff\x0a" + bytes(40)), "pip install '.[jxl]'")
