"""Everything a photograph carries is carried on by every command that writes one, or named in a line; every pair.

And the commands themselves: what is left out of a folder, standard input and output, names, formats by content.
"""

import io
import sys

import numpy as np
import pytest

import restore_jax.io.photos as rio
from restore_jax import cli, weights
from restore_jax.io.naming import result_path
from tests.image_samples import HEIGHT, NOISE16, RGB8, SRGB, WIDTH, XMP, exif, place, saved
from tests.photo_carriers import FILM, GAIN, container, dng, heic, motion, tiff_with, ultra_hdr
from tests.random_weights import restorer

ROUTES = {"deblur": 1, "vsr": 2}  # how many times as large results are


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")  # the tests leave nothing in the home folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A network of deblurring with random weights, small enough to compile in seconds."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    chosen = restorer("ifan", 0.1, width=4, num_filters=1)
    weights.save(path, chosen.params, "ifan", {"width": 4, "num_filters": 1}, {"licence": "CC0", "what": "a test"})
    return str(path)


def telephone():
    """A JPEG that lies on its side, with profile, EXIF, XMP, gain map and film."""
    items = (("GainMap", "image/jpeg", len(GAIN)), ("MotionPhoto", "video/mp4", len(FILM)))
    said = container(*items, attributes='hdrgm:Version="1.0" GCamera:MotionPhoto="1"')
    return saved(RGB8, "jpeg", quality=95, xmp=said, exif=exif(6), icc_profile=SRGB) + GAIN + FILM


def write_source(folder, name):
    """The path of a source, and what it carries: names of `CHECKS`."""
    if name == "telephone.jpg":
        return place(folder, name, telephone()), {"profile", "EXIF", "XMP", "gain map", "film", "orientation"}
    if name == "scan.tif":
        tags = [(0x112, 3, 1, 6, True), (0x10F, 2, 0, "A maker of cameras", True)]
        data, _ = tiff_with([0], np.uint16, extratags=tags)
        return place(folder, name, data), {"EXIF", "depth", "channel", "orientation"}
    if name == "drawing.png":
        pixels = NOISE16[..., :3] / np.float32(65_535)
        photo = rio.Photo(pixels, alpha=NOISE16[..., 3], bits=16, icc=SRGB, exif=exif()[6:], xmp=XMP)
        rio.write_photo(folder / name, pixels, photo)
        return folder / name, {"profile", "EXIF", "XMP", "alpha", "depth"}
    said = {"icc_profile": SRGB, "exif": exif()[6:], "xmp": XMP.replace(b'"6"', b'"1"')}
    data = heic(NOISE16[..., :3], "RGB;16", bit_depth=10, **said)
    return place(folder, name, data), {"profile", "EXIF", "XMP", "depth"}


CHECKS = {
    "profile": lambda photo, data, scale: photo.icc == SRGB,
    "EXIF": lambda photo, data, scale: b"A maker of cameras" in (photo.exif or b""),
    "XMP": lambda photo, data, scale: b"Pier" in (photo.xmp or b""),
    "gain map": lambda photo, data, scale: [item.kind for item in photo.extras.get("items", ())][:1] == ["gain map"],
    "film": lambda photo, data, scale: data.endswith(FILM),
    "alpha": lambda photo, data, scale: photo.alpha is not None and photo.alpha.shape == photo.pixels.shape[:2],
    "depth": lambda photo, data, scale: photo.bits == 16,
    "channel": lambda photo, data, scale: np.shape(photo.samples) == (*photo.pixels.shape[:2], 1),
    "orientation": lambda photo, data, scale: photo.pixels.shape == (scale * WIDTH, scale * HEIGHT, 3),
}


def run(route, source, out, tiny):
    """The exit code of a command that writes `out`, a file, from the photograph `source`."""
    if route == "deblur":
        return cli.main(["deblur", str(source), "-o", str(out), "--weights", tiny])
    return cli.main(["vsr", str(source), "--image", "-o", str(out), "--weights", "bicubic", "--scale", "2"])


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "heic", "avif"])
@pytest.mark.parametrize("name", ["telephone.jpg", "scan.tif", "drawing.png", "deep.heic"])
@pytest.mark.parametrize("route", ROUTES)
def test_carried_or_named(tmp_path, tiny, capsys, route, name, suffix):
    source, carriers = write_source(tmp_path, name)
    out = tmp_path / f"out.{suffix}"
    assert run(route, source, out, tiny) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{out}: without ")]
    assert len(lines) <= 1
    photo = rio.read_photo(out)
    assert photo.left_out == ()
    for carrier in carriers:
        carried = CHECKS[carrier](photo, out.read_bytes(), ROUTES[route])
        named = bool(lines) and carrier in lines[0]
        assert carried or named, carrier
        assert not (carried and named) or (carrier, suffix) == ("depth", "heic"), carrier
    if source.suffix == out.suffix:
        assert lines == []  # the own format holds everything
    if photo.xmp:
        assert (b"GainMap" in photo.xmp) == (b"hdrgm" in photo.xmp) == out.read_bytes().endswith(FILM)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_is_enlarged_by_the_plain_kernel(tmp_path, tiny, dtype):
    import cv2

    full = np.iinfo(dtype).max
    alpha = np.linspace(0, full, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(dtype)
    pixels = RGB8 / np.float32(255)
    source = tmp_path / "in.png"
    rio.write_photo(source, pixels, rio.Photo(pixels, alpha=alpha, bits=8 * np.dtype(dtype).itemsize))
    assert run("vsr", source, tmp_path / "out.png", tiny) == 0
    wanted = cv2.resize(alpha.astype(np.float64), (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_CUBIC)
    assert np.abs(rio.read_photo(tmp_path / "out.png").alpha - wanted.clip(0, full)).max() <= 0.5 + full * 1e-5


# ---------------------------------------------------------------------------------------------------------- commands
def test_a_folder_of_a_telephone(tmp_path, tiny, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name, data in {
        "IMG_1.HEIC": heic(RGB8),
        "IMG_2.avif": saved(RGB8, "avif"),
        "IMG_3.JPG": motion(),
        "IMG_4.jpg": heic(RGB8),
        "IMG_5.dng": dng(np.full((64, 96, 3), 9_000, np.uint16)),
        "IMG_6.MOV": b"\0\0\0\x14ftypqt  \0\0\0\0qt  ",
        "IMG_7.AAE": b"<plist/>",
    }.items():
        place(folder, name, data)
    assert cli.main(["deblur", str(folder), "-o", str(out), "--weights", tiny]) == 0
    names = ["IMG_1_deblurred.HEIC", "IMG_2_deblurred.avif", "IMG_3_deblurred.JPG", "IMG_4_deblurred.jpg"]
    assert sorted(path.name for path in out.iterdir()) == [*names, "IMG_5_deblurred.tif"]
    assert [rio.identify(path) for path in sorted(out.iterdir())] == ["heif", "avif", "jpeg", "jpeg", "tiff"]
    said = capsys.readouterr().out
    left = "2 files left out: IMG_6.MOV (a video, not a photograph), IMG_7.AAE (a text file, not a photograph)"
    assert f"{folder}: {left}" in said
    assert "IMG_4_deblurred.jpg: JPEG, as its name says; IMG_4.jpg is HEIC" in said
    assert "IMG_5_deblurred.tif: TIFF, as camera raw cannot be written" in said
    assert rio.read_photo(out / "IMG_5_deblurred.tif").bits == 16


def test_the_input_is_looked_at_before_the_output(tmp_path, tiny, capsys):
    path = place(tmp_path, "photo.HEIC", b"GIF89a" + bytes(40))
    assert cli.main(["deblur", str(path), "-o", str(tmp_path / "out.bmp"), "--weights", tiny]) == 2
    assert capsys.readouterr().err.startswith(f"restore-jax: {path}: GIF is not supported")
    place(tmp_path, "photo.HEIC", heic(RGB8))
    assert cli.main(["deblur", str(path), "-o", str(tmp_path / "out.bmp"), "--weights", tiny]) == 2
    assert "out.bmp: cannot write .bmp" in capsys.readouterr().err
    assert cli.main(["deblur", str(path), "--weights", tiny]) == 0
    assert rio.identify(tmp_path / "photo_deblurred.HEIC") == "heif"


def test_without_an_encoder_a_heic_becomes_a_jpeg_and_that_is_said(tmp_path, tiny, capsys, monkeypatch):
    monkeypatch.setattr(rio.heif, "encoder", lambda: False)
    path = place(tmp_path, "photo.HEIC", heic(RGB8))
    assert cli.main(["deblur", str(path), "--weights", tiny]) == 0
    assert rio.identify(tmp_path / "photo_deblurred.jpg") == "jpeg"
    assert "photo_deblurred.jpg: JPEG, as HEIC cannot be written" in capsys.readouterr().out
    assert cli.main(["deblur", str(path), "-o", str(tmp_path / "out.heic"), "--weights", tiny]) == 2
    assert "out.heic: pillow-heif was installed here without an encoder" in capsys.readouterr().err


class Binary(io.TextIOWrapper):
    """Standard input or output with bytes in it."""

    def __init__(self, data=b""):
        super().__init__(io.BytesIO(data), write_through=True)


@pytest.mark.parametrize("route", ROUTES)
def test_a_photograph_through_a_pipe(tmp_path, tiny, monkeypatch, capsys, route):
    source = ultra_hdr(film=FILM)
    assert run(route, place(tmp_path, "in.jpg", source), tmp_path / "out.jpg", tiny) == 0
    capsys.readouterr()
    sink = Binary()
    monkeypatch.setattr(sys, "stdin", Binary(source))
    monkeypatch.setattr(sys, "stdout", sink)
    assert run(route, "-", "-", tiny) == 0
    assert sink.buffer.getvalue() == (tmp_path / "out.jpg").read_bytes()
    assert f"-  {WIDTH * ROUTES[route]}x{HEIGHT * ROUTES[route]}" in capsys.readouterr().err


def test_one_pipe_takes_one_picture(tmp_path, tiny, capsys):
    for name in ("a.png", "b.png"):
        place(tmp_path, name, saved(RGB8, "png"))
    for arguments in ([str(tmp_path), "-o", "-"], [str(tmp_path / "a.png"), "-o", "-", "--compare"]):
        assert cli.main(["deblur", *arguments, "--weights", tiny]) == 2
        assert capsys.readouterr().err.startswith("restore-jax: -: standard output takes one result")


def test_names_as_long_as_file_systems_take(tmp_path, tiny):
    for letters in ("a" * 250, "é" * 125):
        path = place(tmp_path, f"{letters}.png", saved(RGB8, "png"))
        assert cli.main(["deblur", str(path), "--quiet", "--compare", "--weights", tiny]) == 0
    names = [path.name for path in tmp_path.iterdir() if path.stem.endswith(("_deblurred", "_compare"))]
    assert len(names) == 4
    assert all(len(name.encode()) <= 255 for name in names)
    alike = [result_path(tmp_path / f"{'a' * 240}{letter}.png", "_deblurred", "png") for letter in "bc"]
    assert alike[0] != alike[1]
    assert result_path(tmp_path / "short.png", "_deblurred", "png").name == "short_deblurred.png"


# ------------------------------------------------------------------------------------------------- folders of frames
def frames_of(folder, *arguments):
    """The exit code of enlarging a folder of frames to another, or to a video."""
    return cli.main(["vsr", str(folder), *map(str, arguments), "--weights", "bicubic", "--scale", "2"])


@pytest.mark.parametrize("name", ["telephone.jpg", "scan.tif", "drawing.png", "deep.heic"])
def test_frames_carry_what_a_png_holds_and_the_rest_is_named(tmp_path, capsys, name):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    source, carriers = write_source(folder, name)
    for number in (1, 2):
        (folder / f"f_{number}{source.suffix}").write_bytes(source.read_bytes())
    source.unlink()
    assert frames_of(folder, "-o", out) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{folder}: ")]
    for number in (1, 2):
        data = (out / f"frame_{number:06}.png").read_bytes()
        photo = rio.read_photo(out / f"frame_{number:06}.png")
        for carrier in carriers:
            carried, named = CHECKS[carrier](photo, data, 2), any(carrier in line for line in said)
            assert carried != named, carrier
    assert frames_of(folder, "-o", tmp_path / "out.mp4") == 0
    said = "".join(line for line in capsys.readouterr().out.splitlines(True) if line.startswith(f"{folder}: "))
    words = {"profile": "ICC profile", "alpha": "transparency"}
    held = {"orientation"} | ({"depth"} if name == "deep.heic" else set())  # 10 bits
    for carrier in carriers - held:
        assert words.get(carrier, carrier) in said, carrier


def test_a_later_frame_with_more_than_the_first_is_kept_or_named(tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    pixels = NOISE16[..., :3] / np.float32(65_535)
    rio.write_photo(folder / "f_1.png", pixels)
    rio.write_photo(folder / "f_2.png", pixels, rio.Photo(pixels, alpha=NOISE16[..., 3], bits=16, icc=SRGB))
    place(folder, "f_3.jpg", motion())
    place(folder, "f_4.txt", b"some words")
    assert frames_of(folder, "-o", out) == 0
    said = capsys.readouterr().out
    assert f"{folder}: 1 file left out: f_4.txt (a text file, not a photograph)" in said
    assert f"{folder}: 1 frames were written without film" in said
    first, second, third = (rio.read_photo(out / f"frame_{number:06}.png") for number in (1, 2, 3))
    assert (second.bits, second.icc) == (16, SRGB)
    assert second.alpha.shape == (2 * HEIGHT, 2 * WIDTH)
    assert (first.alpha, third.alpha) == (None, None)
    small = rio.to_float(NOISE16[..., :3])
    large = second.pixels.reshape(HEIGHT, 2, WIDTH, 2, 3).mean((1, 3))
    assert abs((large - small).mean()) < 0.01
