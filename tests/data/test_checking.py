"""data/checking: what headers show to be wrong with training files is said before the first step, all of it at once."""

import itertools
import os
import threading
from types import SimpleNamespace

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from restore_jax import cli
from restore_jax.data import checking
from restore_jax.data.sources import open_source
from restore_jax.data.transforms import halved, halved_size
from restore_jax.errors import InputError
from restore_jax.io.codecs.silence import no_stderr
from restore_jax.io.photos import read_header
from restore_jax.train import config, loop
from tests.image_samples import HEIGHT, NOISE16, RGB8, WIDTH, exif, make_png, saved

PNG, JPEG = saved(RGB8, "png"), saved(RGB8, "jpeg")


def settings(source, *folders, **changes):
    common = {"source": source, "folders": folders, "views": ("blurred", "sharp"), "size": 16, "margin": 2}
    return SimpleNamespace(**common | {"cache_mb": 0, "skip_bad": False} | changes)


def filled(folder, **files):
    """A folder of files, their names with _ for the dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return folder


def refused(data):
    with pytest.raises(InputError) as caught:
        open_source(data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def brightness(source):
    """The first pixel of each example, which says what file it is of."""
    return [int(source[index]["sharp"][0, 0, 0]) for index in range(len(source))]


def grey(level, height=HEIGHT, width=WIDTH):
    return saved(np.full((height, width, 3), level, np.uint8), "png")


# -------------------------------------------------------------------------------------------------------------- headers
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize("turn", [1, 3, 6])
def test_a_header_gives_the_upright_size(tmp_path, kind, turn):
    (tmp_path / "a").write_bytes(saved(RGB8, kind, exif=exif(turn)))
    assert read_header(tmp_path / "a") == ((HEIGHT, WIDTH) if turn == 6 else (WIDTH, HEIGHT)) + (True, 8)


@pytest.mark.parametrize(("suffix", "bits"), [("png", 8), ("png", 16), ("tif", 8), ("tif", 16), ("heic", None)])
def test_a_header_gives_the_depth(tmp_path, suffix, bits):
    path = tmp_path / f"a.{suffix}"
    if suffix == "heic":
        pillow_heif.from_pillow(Image.fromarray(RGB8)).save(path)
    elif suffix == "png":
        path.write_bytes(PNG if bits == 8 else make_png(NOISE16[..., :3]))
    else:
        Image.fromarray(RGB8 if bits == 8 else NOISE16[..., 0]).save(path)
    assert read_header(path) == (WIDTH, HEIGHT, True, bits)


def test_a_tiff_is_turned_as_its_header_says(tmp_path):
    Image.fromarray(RGB8).save(tmp_path / "a.tif", tiffinfo={274: 8})
    assert read_header(tmp_path / "a.tif")[:2] == (HEIGHT, WIDTH)


@pytest.mark.parametrize("size", [(5, 9), (64, 48), (65, 64), (1000, 35), (257, 333)])
def test_the_size_of_a_halved_picture(size):
    width, height = size
    assert (*halved_size(width, height, 64)[::-1], 3) == halved(np.zeros((height, width, 3), np.uint8), 64).shape


# --------------------------------------------------------------------------------------------------------------- photos
def folder_of_photos(path):
    animation = [Image.fromarray(RGB8), Image.fromarray(RGB8[::-1].copy())]
    return filled(
        path,
        a_png=grey(10),
        b_png=b"not a picture at all",
        c_png=grey(30, 19),
        d_png=grey(40),
        e_png=PNG[:-40],
        f_webp=saved(animation[0], "webp", save_all=True, append_images=animation[1:]),
        g_jpg=JPEG[:50],
        h_png=b"",
        i_png=grey(90, 20, 20),
        j_png=grey(100, 60, 8),
        notes_txt=b"by whom",
    )


BAD = ("b.png", "c.png", "e.png", "f.webp", "g.jpg", "h.png", "j.png")


def test_bad_photographs_are_refused_in_one_line_that_names_the_first(tmp_path):
    line = refused(settings("photos", folder_of_photos(tmp_path / "photos")))
    assert line.startswith("7 of 10 examples cannot be used (--skip-bad leaves them out): ")
    for name in BAD[:5]:
        assert f"{tmp_path / 'photos' / name}: " in line
    for name in ("a.png", "d.png", "i.png", *BAD[5:]):
        assert f"/{name}" not in line
    assert line.endswith("; and 2 more")
    assert "34x19 is smaller than what is cut from it, 20 (data.size)" in line
    assert "f.webp: an animation" in line


def test_bad_photographs_are_left_out_if_asked(tmp_path):
    """The files that are left are in order of name, each time."""
    said = []
    data = settings("photos", folder_of_photos(tmp_path / "photos"), skip_bad=True)
    for _ in range(2):
        assert brightness(open_source(data, said.append)) == [10, 40, 90]
    assert len(said) == 4
    assert said[:2] == said[2:]
    assert said[0].startswith(f"{tmp_path / 'photos'}: 1 file left out: notes.txt (")
    assert said[1].startswith("7 of 10 examples left out: ")
    for name in BAD[:5]:
        assert f"/{name}: " in said[1]


def test_nothing_is_said_of_good_photographs(tmp_path):
    said = []
    for skip_bad in (False, True):
        open_source(settings("photos", filled(tmp_path, a_png=PNG), skip_bad=skip_bad), said.append)
    assert said == []


def test_no_run_begins_without_an_example(tmp_path):
    data = settings("photos", filled(tmp_path, a_png=b"no", b_png=grey(1, 9)), skip_bad=True)
    line = refused(data)
    assert line.startswith("no example can be used: ")
    assert "/a.png: " in line
    assert "/b.png: " in line


def test_what_headers_do_not_show(tmp_path):
    """A JPEG without the second half of its pixels is refused when it is read, by its name."""
    noise = saved(NOISE16[..., :3].astype(np.uint8), "jpeg")
    source = open_source(settings("photos", filled(tmp_path, a_jpg=noise, b_jpg=noise[: len(noise) - 400])))
    assert source[0]["sharp"].shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(InputError, match=r"b\.jpg: "):
        source[1]


# ---------------------------------------------------------------------------------------------------------------- pairs
def test_pairs_of_two_sizes_or_depths_or_with_a_bad_view(tmp_path):
    filled(tmp_path / "blurred", a_png=PNG, b_png=PNG, c_png=PNG, d_png=PNG)
    deep = make_png(NOISE16[..., :3])
    filled(tmp_path / "sharp", a_png=grey(10), b_png=grey(20, HEIGHT + 1), c_png=b"no", d_png=deep)
    line = refused(settings("pairs", tmp_path))
    assert line.startswith("3 of 4 examples cannot be used")
    assert f"{tmp_path}/blurred/b.png: its views differ in size: blurred 34x21, sharp 34x22" in line
    assert f"{tmp_path}/sharp/c.png: " in line
    assert f"{tmp_path}/sharp/d.png: is uint16, but {tmp_path}/sharp/a.png is uint8" in line
    assert brightness(open_source(settings("pairs", tmp_path, skip_bad=True), [].append)) == [10]


def test_a_turned_photograph_pairs_with_an_upright_one(tmp_path):
    """Their stored sizes differ, what is seen does not."""
    filled(tmp_path / "blurred", a_jpg=saved(RGB8.transpose(1, 0, 2).copy(), "jpeg", exif=exif(6)))
    filled(tmp_path / "sharp", a_png=PNG)
    example = open_source(settings("pairs", tmp_path))[0]
    assert example["blurred"].shape == example["sharp"].shape == (HEIGHT, WIDTH, 3)


# ------------------------------------------------------------------------------------------------------------- a camera
def test_photographs_and_videos_that_cannot_be_filmed(tmp_path):
    filled(tmp_path, a_png=grey(10, 140, 130), b_png=grey(20, 140, 127), c_mp4=b"no film", d_png=b"no")
    data = settings("triple_camera", tmp_path, views=("lrs", "refs", "hr"), num_frames=3, reduction=4, camera={})
    line = refused(data)
    assert line.startswith("3 of 4 examples cannot be used")
    assert f"{tmp_path}/b.png: 127x140 is smaller than the 128 pixels a side" in line
    assert f"{tmp_path}/c.mp4: " in line
    assert f"{tmp_path}/d.png: " in line
    data.skip_bad, said = True, []
    source = open_source(data, said.append)
    assert (len(source), source[0]["scene"].shape) == (1, (140, 130, 3))
    assert [line[:31] for line in said] == ["3 of 4 examples left out: " + str(tmp_path)[:5]]


# -------------------------------------------------------------------------------------------------------------- threads
def test_examples_are_checked_at_once_and_come_back_in_order():
    """The first waits for the last: one after the other would never end."""
    last = threading.Event()

    def check(number):
        if number == 3:
            last.set()
        elif not last.wait(60):
            raise AssertionError("the others did not run beside this")
        if number == 2:
            raise InputError("two: bad")
        return 10 * number

    found = checking.look(range(4), check, None)
    assert found[:2] + found[3:] == [0, 10, 30]
    assert str(found[2]) == "two: bad"
    assert checking.without_bad(range(4), found, True, [].append) == [(0, 0), (1, 10), (3, 30)]


def test_progress_is_said_ever_less_often(monkeypatch):
    """By a clock that goes on by half a second with each example."""
    said, clock = [], itertools.count(0, 0.5)
    monkeypatch.setattr(checking, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    checking.look(range(20), abs, said.append)
    assert said == [f"checking the data: {number} of 20 examples" for number in (2, 4, 8, 16)]


def test_an_error_of_ours_is_not_taken_for_a_bad_file():
    with pytest.raises(ZeroDivisionError):
        checking.look([1, 0], lambda number: 1 / number, None)


def test_standard_error_comes_back_when_the_last_thread_leaves():
    before, (first, second) = os.fstat(2), (no_stderr(), no_stderr())
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not os.path.samestat(os.fstat(2), before)
    second.__exit__(None, None, None)
    assert os.path.samestat(os.fstat(2), before)


# --------------------------------------------------------------------------------------------------------- command line
def test_a_run_is_refused_before_it_leaves_a_trace(tmp_path, capsys):
    folder = filled(tmp_path / "photos", a_png=grey(10, 99, 99), b_png=grey(20))
    run = ["train", "--config=configs/ifan.py:tiny", f"--workdir={tmp_path / 'run'}", "--data", str(folder)]
    assert cli.main(run) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "1 of 2 examples cannot be used (--skip-bad leaves them out): " in line
    assert f"{folder}/b.png: a picture of 34x21 is smaller" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["configs/ifan.py:tiny", "configs/dmenet.py"])
def test_skip_bad_holds_for_all_data_of_a_run(tmp_path, monkeypatch, name):
    runs = []
    monkeypatch.setattr(loop, "train", lambda settings, workdir: runs.append(settings))
    for more in ([], ["--config.data.skip_bad"], ["--skip-bad"]):
        assert cli.main(["train", f"--config={name}", f"--workdir={tmp_path}", *more]) == 0
    assert [run.data.skip_bad for run in runs] == [False, True, True]
    skipping = config.skipping_bad(config.load_config(name))
    parts = [skipping.data, skipping.evaluation.data, *skipping.get("streams", {}).values()]
    assert [part.skip_bad for part in parts] == [True] * len(parts)
