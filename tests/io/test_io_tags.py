"""Tags that say how numbers are to be seen stay true where the format, or the kind of pixels, changes."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

import restore_jax.io.photos as rio
from restore_jax.io.codecs import profiles
from tests.image_samples import NOISE16, RGB8, SRGB, chunk, make_png, numbers, opened, place, saved, split_png

RAMP = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2).repeat(2, 0)
GAMMA = chunk(b"gAMA", struct.pack(">I", 100_000))
P3 = chunk(b"cHRM", struct.pack(">8L", 31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000))
PQ, P3_SRGB = chunk(b"cICP", bytes([9, 16, 0, 1])), chunk(b"cICP", bytes([12, 13, 0, 1]))


def shown(pixels, profile):
    """(h, w, 3) uint8 pixels as a colour-managed viewer with an sRGB screen shows them, by LittleCMS."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    target = ImageCms.createProfile("sRGB")
    image = ImageCms.profileToProfile(Image.fromarray(pixels), source, target, renderingIntent=1, outputMode="RGB")
    return np.asarray(image).astype(int)


def to_srgb(light):
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clip(0) ** (1 / 2.4) - 0.055)


def grey_profile(gamma):
    """A GRAY profile of version 2 with a gamma, as image editors write them."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63_190, 65_536, 54_061)
    tone = b"curv\0\0\0\0" + struct.pack(">LH", 1, round(gamma * 256)) + b"\0\0"
    words = b"desc\0\0\0\0" + struct.pack(">L", 5) + b"grey\0" + bytes(78) + b"\0"
    text = b"text\0\0\0\0CC0\0"
    table, heap, at = b"", b"", 132 + 4 * 12
    for name, body in ((b"desc", words), (b"cprt", text), (b"wtpt", white), (b"kTRC", tone)):
        table += struct.pack(">4sLL", name, at + len(heap), len(body))
        heap += body + bytes(-len(body) % 4)
    head = struct.pack(">L4sL4s4s4s", at + len(heap), b"lcms", 0x02100000, b"mntr", b"GRAY", b"XYZ ")
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp"
    head = head.ljust(68, b"\0") + struct.pack(">3i", 63_190, 65_536, 54_061)
    return head.ljust(128, b"\0") + struct.pack(">L", 4) + table + heap


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
def test_a_grey_profile_becomes_one_of_rgb_where_pixels_do(tmp_path, gamma):
    source = saved(RAMP[..., 0], "png", icc_profile=grey_profile(gamma))
    photo = rio.read_photo(place(tmp_path, "in.png", source))
    assert profiles.space(photo.icc) == "GRAY"
    assert rio.write_photo(tmp_path / "out.webp", photo.pixels, photo) == ()
    profile = opened(tmp_path / "out.webp").info["icc_profile"]
    assert profiles.space(profile) == "RGB"
    wanted = 255 * to_srgb((RAMP / 255) ** (round(gamma * 256) / 256))
    assert np.abs(shown(RAMP, profile) - wanted).max() <= 1.5
    for name in ("out.png", "out.jpg", "out.tif"):  # where they stay grey it stays as it is
        assert rio.write_photo(tmp_path / name, photo.pixels, photo) == ()
        assert opened(tmp_path / name).info["icc_profile"] == photo.icc
        assert opened(tmp_path / name).mode == "L"


def test_a_grey_picture_with_a_profile_of_rgb_is_written_as_one(tmp_path):
    photo = rio.read_photo(place(tmp_path, "in.jpg", saved(RAMP[..., 0], "jpeg", icc_profile=SRGB)))
    assert photo.grey
    assert rio.write_photo(tmp_path / "out.png", photo.pixels, photo) == ()
    chunks = split_png((tmp_path / "out.png").read_bytes())
    assert chunks[b"IHDR"][9] == 2  # colour: a profile of RGB is forbidden in a grey PNG
    assert zlib.decompress(chunks[b"iCCP"].split(b"\0", 1)[1][1:]) == SRGB


@pytest.mark.parametrize("suffix", ["jpg", "tif", "webp", "heic", "avif"])
def test_gamma_and_primaries_of_a_png_become_a_profile(tmp_path, suffix):
    photo = rio.read_photo(place(tmp_path, "in.png", make_png(NOISE16[..., :3], GAMMA + P3)))
    named = rio.write_photo(tmp_path / f"out.{suffix}", photo.pixels, photo)
    assert all("depth" in name for name in named)
    profile = rio.read_photo(tmp_path / f"out.{suffix}").icc
    grey = np.full((1, 3, 3), [[10], [100], [200]], np.uint8)
    assert np.abs(shown(grey, profile) - 255 * to_srgb(grey / 255)).max() <= 1.5
    red = shown(np.full((1, 1, 3), [80, 30, 30], np.uint8), profile)[0, 0]
    p3_to_srgb = np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]])  # of light
    assert np.abs(red - 255 * to_srgb(p3_to_srgb @ np.array([80, 30, 30]) / 255)).max() <= 2


def test_gamma_of_srgb_needs_no_profile(tmp_path):
    for extra in (chunk(b"gAMA", struct.pack(">I", 45_455)), chunk(b"sRGB", b"\0") + GAMMA, chunk(b"gAMA", bytes(4))):
        photo = rio.read_photo(place(tmp_path, "in.png", make_png(NOISE16[..., :3], extra)))
        rio.write_photo(tmp_path / "out.jpg", photo.pixels, photo)
        assert "icc_profile" not in opened(tmp_path / "out.jpg").info


def test_code_points_stay_in_a_png_and_become_a_profile_elsewhere(tmp_path):
    photo = rio.read_photo(place(tmp_path, "in.png", make_png(NOISE16[..., :3], P3_SRGB)))
    assert photo.cicp == (12, 13)
    assert rio.write_photo(tmp_path / "out.png", photo.pixels, photo) == ()
    assert split_png((tmp_path / "out.png").read_bytes())[b"cICP"] == bytes([12, 13, 0, 1])
    rio.write_photo(tmp_path / "out.heic", photo.pixels, photo)
    assert rio.read_photo(tmp_path / "out.heic").cicp == (12, 13)
    rio.write_photo(tmp_path / "out.jpg", photo.pixels, photo)
    profile = opened(tmp_path / "out.jpg").info["icc_profile"]
    assert np.abs(shown(RAMP, profile) - RAMP).max() <= 1  # greys are sRGB's
    light = ((np.array([200, 90, 60]) / 255 + 0.055) / 1.055) ** 2.4
    p3_to_srgb = np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]])
    found = shown(np.full((1, 1, 3), [200, 90, 60], np.uint8), profile)[0, 0]
    assert np.abs(found - 255 * to_srgb(p3_to_srgb @ light)).max() <= 2


def test_a_transfer_that_a_format_cannot_say_is_named(tmp_path):
    photo = rio.read_photo(place(tmp_path, "in.png", make_png(NOISE16[..., :3], PQ + chunk(b"cLLI", bytes(8)))))
    assert rio.write_photo(tmp_path / "out.png", photo.pixels, photo) == ()
    chunks = split_png((tmp_path / "out.png").read_bytes())
    assert (chunks[b"cICP"], chunks[b"cLLI"]) == (bytes([9, 16, 0, 1]), bytes(8))
    named = rio.write_photo(tmp_path / "out.jpg", photo.pixels, photo)
    assert named == ("depth (of 16 bits, 8 in JPEG)", "HDR transfer (PQ, which JPEG cannot say)", "HDR light levels")


def test_inks_are_made_srgb_and_said_so(tmp_path):
    image = Image.fromarray(RGB8).convert("CMYK")
    for kind in ("jpeg", "tiff"):
        photo = rio.read_photo(place(tmp_path, f"in.{kind}", saved(image, kind)))
        assert photo.left_out == ("the inks (CMYK, made sRGB)",)


def test_text_of_a_png_is_named_where_it_ends(tmp_path):
    extra = chunk(b"tEXt", b"Author\0Somebody") + chunk(b"vpAg", bytes(9)) + chunk(b"prVW", bytes(9))
    photo = rio.read_photo(place(tmp_path, "in.png", make_png(NOISE16[..., :3], extra)))
    unsafe = "a prVW chunk (it belongs to the old pixels)"
    assert rio.write_photo(tmp_path / "out.png", photo.pixels, photo) == (unsafe,)
    chunks = split_png((tmp_path / "out.png").read_bytes())
    assert b"vpAg" in chunks  # safe to copy, by the case of its last letter
    assert b"prVW" not in chunks
    assert rio.write_photo(tmp_path / "out.tif", photo.pixels, photo) == (unsafe, "text (Author)", "a vpAg chunk")


@pytest.mark.parametrize("suffix", ["webp", "heic", "avif"])
def test_resolution_goes_into_exif_where_there_is_no_other_place(tmp_path, suffix):
    pixels = RGB8 / np.float32(255)
    rio.write_photo(tmp_path / f"out.{suffix}", pixels, rio.Photo(pixels, dpi=(300, 150)))
    block = rio.read_photo(tmp_path / f"out.{suffix}").exif
    found = Image.Exif()
    found.load(b"Exif\0\0" + block)
    assert (found[0x11A], found[0x11B], found[0x128]) == (300, 150, 2)


def test_alpha_that_says_nothing_is_no_loss(tmp_path):
    pixels, clear = RGB8 / np.float32(255), np.full(RGB8.shape[:2], 255, np.uint8)
    assert rio.write_photo(tmp_path / "out.jpg", pixels, rio.Photo(pixels, alpha=clear)) == ()
    clear[3, 4] = 254
    assert rio.write_photo(tmp_path / "out.jpg", pixels, rio.Photo(pixels, alpha=clear)) == ("alpha (JPEG holds none)",)
    assert numbers(rio.read_photo(tmp_path / "out.jpg")).shape == RGB8.shape
