"""Every bad file is one line that names it, and the libraries stay silent."""

import io
import os
import struct

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

import restore_jax.io.photos as rio
from restore_jax.errors import InputError
from tests.image_samples import HEIGHT, NOISE16, RGB8, WIDTH, make_png, numbers, place, refused, saved

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


LZW16 = cv2.imencode(".tif", NOISE16[..., :3])[1].tobytes()
SAMPLES |= {"16.tif": tiff16(), "zip16.tif": tiff16(compression="zlib"), "lzw16.tif": LZW16}


END = {"jpg": 2, "progressive.jpg": 2, "png": 12, "16.png": 12}  # bytes of the end marker


@pytest.mark.parametrize("name", SAMPLES)
def test_truncated_files_are_refused_and_nothing_is_printed(tmp_path, name, capfd):
    data = SAMPLES[name]
    rio.read_photo(place(tmp_path, f"whole.{name}", data))
    end = len(data) - END.get(name, 0)
    for cut in sorted({*range(1, end, max(1, end // 40)), end - 3, end - 1}):
        refused(place(tmp_path, f"cut.{name}", data[:cut]))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", END)
def test_a_missing_end_marker_costs_nothing(tmp_path, name, capfd):
    data = SAMPLES[name]
    whole = rio.read_photo(place(tmp_path, f"whole.{name}", data))
    for missing in range(1, END[name] + 1):
        photo = rio.read_photo(place(tmp_path, f"cut.{name}", data[:-missing]))
        np.testing.assert_array_equal(photo.pixels, whole.pixels)
        assert photo.left_out == ()
    assert capfd.readouterr() == ("", "")


def test_a_progressive_jpeg_that_ends_between_its_scans_is_refused(tmp_path):
    data = SAMPLES["progressive.jpg"]
    starts = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    assert len(starts) > 5
    for start in starts[1:]:
        refused(place(tmp_path, "cut.jpg", data[:start]), "truncated")


@pytest.mark.parametrize("name", SAMPLES)
def test_flipped_bytes_give_a_photo_or_one_line(tmp_path, name, capfd, caplog):
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
    assert caplog.records == []


@pytest.mark.parametrize("name", ["tif", "16.tif", "zip16.tif"])
def test_a_tiff_without_its_last_byte_is_called_truncated(tmp_path, name):
    refused(place(tmp_path, f"cut.{name}", SAMPLES[name][:-1]), "ends before its last pixel")


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
        (ftyp(b"heic"), ["damaged or truncated"]),
        (ftyp(b"avif"), ["damaged or truncated"]),
        (ftyp(b"avis"), ["animation"]),
        (ftyp(b"crx "), ["raw"]),
        (saved(RGB8, "gif"), ["GIF", "convert"]),
        (saved(RGB8, "bmp"), ["BMP", "convert"]),
        (b"%PDF-1.7", ["PDF"]),
        (bytes(1000), ["none of the formats"]),
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
