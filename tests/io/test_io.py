"""Numbers, writing and finding photographs. Formats, metadata and bad input have files of their own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import restore_jax.io.photos as rio
from restore_jax.errors import InputError
from restore_jax.io import atomic
from restore_jax.io.finding import find_photos, sorted_out
from tests.image_samples import RGB8, RNG, opened, place, refused, saved


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

    monkeypatch.setattr(atomic, "open", forbid, raising=False)
    refused(path, "Permission denied", action=rio.check_writable)
    monkeypatch.undo()
    monkeypatch.setattr(os, "access", lambda *args: False)
    refused(path, "read-only", action=rio.check_writable)


def make_folder(path):
    path.mkdir()
    return path


def test_find_photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.JPG", "c.tiff", "notes.txt", ".hidden.png", "sub/d.webp", "x[1].png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    folder = [Path(name) for name in ("a.JPG", "b.png", "c.tiff", "x[1].png")]
    assert find_photos(["."]) == folder
    assert find_photos(["notes.txt"]) == [Path("notes.txt")]  # named outright: reading it says what it is
    assert find_photos(["*.png"]) == [Path("b.png"), Path("x[1].png")]
    assert find_photos(["x[1].png"]) == [Path("x[1].png")]
    assert find_photos(["**/*.webp", "sub"]) == [Path("sub/d.webp")]
    assert find_photos(["b.png", ".", tmp_path / "a.JPG"]) == [
        Path(n) for n in ("b.png", "a.JPG", "c.tiff", "x[1].png")
    ]
    assert find_photos([]) == []


def test_a_folder_says_what_it_leaves_out(tmp_path):
    picture = saved(RGB8, "png")
    for name, data in {
        "a.png": picture,
        "b": picture,  # by content
        "c.backup": picture,
        "d.CR2": b"x",  # by name: reading it says what is wrong
        ".hidden.txt": b"words",
        "clip.MOV": b"\0\0\0\x14ftypqt  \0\0\0\0qt  ",
        "notes.txt": b"some words",
        "photo.gif": saved(RGB8, "gif"),
    }.items():
        place(tmp_path, name, data)
    photos, lines = sorted_out([tmp_path])
    assert [photo.name for photo in photos] == ["a.png", "b", "c.backup", "d.CR2"]
    (line,) = lines
    assert line.startswith(
        f"{tmp_path}: 3 files left out: clip.MOV (a video, not a photograph), notes.txt (a text file"
    )
    assert "photo.gif (GIF is not supported" in line
    for number in range(9):
        place(tmp_path, f"z{number}.txt", b"words")
    assert sorted_out([tmp_path])[1][0].startswith(f"{tmp_path}: 12 files left out: ")
    assert sorted_out([tmp_path])[1][0].endswith(", and 7 more")
    assert sorted_out([tmp_path / "a.png", "-"]) == ([tmp_path / "a.png", Path("-")], [])


@pytest.mark.parametrize(
    ("arg", "word"),
    [("none.png", "no such file"), ("none*.png", "matches no"), ("empty", "holds no"), ("a" * 999, "long")],
)
def test_find_photos_refuses(tmp_path, monkeypatch, arg, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_bytes(b"x")
    refused(arg, word, action=lambda arg: find_photos([arg]))


def test_importing_is_light():
    heavy = "{'jax', 'cv2', 'tifffile', 'PIL', 'torch', 'tensorflow', 'imageio', 'skimage'}"
    code = f"import sys, restore_jax.io; loaded = {heavy} & set(sys.modules); assert not loaded, loaded"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
