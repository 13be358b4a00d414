"""Pixels of every depth and mode go through files bit for bit, by decoders that are not ours."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

import restore_jax.io.photos as rio
from tests.image_samples import (
    HEIGHT,
    NOISE16,
    RGB8,
    RNG,
    WIDTH,
    chunk,
    decode_png,
    make_png,
    numbers,
    opened,
    place,
    saved,
    with_tiff_orientation,
)


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
