"""cli.py from the outside: exit codes, one line for each bad input, what is written where and in which format."""

import json
import pathlib
import shutil
import subprocess
import sys
import types

import imageio.v3 as iio
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tifffile

import restore_jax
from restore_jax import cli, demo, models, restore, weights
from restore_jax.deblurring import deblur
from restore_jax.plots import panels
from restore_jax.train import loop


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")  # the tests leave nothing in the home folder


def save_tiny(path, kind):
    """Random weights of the smallest network, written as a file that `--weights` takes."""
    options = {"width": 4, "num_filters": 1, "input": kind}
    model, blank = models.create("ifan", **options), jnp.zeros((1, 64, 64, 3))
    views = {"left": blank, "right": blank} if kind == "dual" else {}
    shapes = jax.eval_shape(model.init, jax.random.key(0), blank, **views)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.1, leaf.shape).astype(np.float32), shapes)
    weights.save(path, params, "ifan", options, {"licence": "CC0", "what": kind})


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    for kind in ("single", "dual"):
        save_tiny(folder / f"{kind}.safetensors", kind)
    return types.SimpleNamespace(single=str(folder / "single.safetensors"), dual=str(folder / "dual.safetensors"))


def pixels(height=40, width=56, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (height, width, 3), dtype, endpoint=True)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    iio.imwrite(path, pixels())
    return path


def expected(path, weights_file):
    """Return what the command should write for an 8-bit RGB photo, by the Python interface."""
    return deblur(iio.imread(path), weights=weights_file)


# -------------------------------------------------------------------------------------------------------------- deblur
def test_deblur_writes_beside_the_photo_what_rj_deblur_gives(photo, tiny, capsys):
    assert cli.main(["deblur", str(photo), "--weights", tiny.single]) == 0
    output = photo.with_name("photo_deblurred.png")
    np.testing.assert_array_equal(iio.imread(output), expected(photo, tiny.single))
    out, err = capsys.readouterr()
    assert out.startswith(f"{output}  56x40, ")
    assert "photo.png: compiling 64x64" in err or err == ""  # compiled by an earlier test
    assert sorted(path.name for path in photo.parent.iterdir()) == ["photo.png", "photo_deblurred.png"]


def test_out_names_the_file_and_compare_adds_one(photo, tiny, tmp_path):
    out = tmp_path / "sharp.png"
    for _ in range(2):  # an earlier result is replaced
        assert cli.main(["deblur", str(photo), "-o", str(out), "--compare", "--quiet", "--weights", tiny.single]) == 0
    pair = iio.imread(tmp_path / "sharp_compare.png")
    np.testing.assert_array_equal(pair[:, :56], iio.imread(photo))
    np.testing.assert_array_equal(pair[:, -56:], iio.imread(out))
    assert pair.shape == (40, 114, 3)
    assert (pair[:, 56:58] == 255).all()


def test_quiet_says_nothing(photo, tiny, capsys):
    assert cli.main(["deblur", str(photo), "--quiet", "--weights", tiny.single]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("ending", ["/", ""])
def test_an_out_folder_takes_one_photo_too(photo, tiny, tmp_path, ending):
    folder = tmp_path / "new"
    if not ending:
        folder.mkdir()
    assert cli.main(["deblur", str(photo), "-o", f"{folder}{ending}", "--weights", tiny.single]) == 0
    assert [path.name for path in folder.iterdir()] == ["photo_deblurred.png"]


def test_formats_and_depths_follow_the_input(tiny, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    tifffile.imwrite(folder / "deep.tif", pixels(dtype=np.uint16), photometric="rgb")
    iio.imwrite(folder / "grey.png", pixels()[..., 0])
    iio.imwrite(folder / "alpha.png", np.dstack([pixels(), pixels(seed=1)[..., 0]]))
    iio.imwrite(folder / "photo.jpg", pixels())
    iio.imwrite(folder / "photo.webp", pixels())
    out = tmp_path / "out"
    assert cli.main(["deblur", str(folder), "-o", str(out), "--compare", "--weights", tiny.single]) == 0
    names = {path.name for path in out.iterdir()}
    inputs = ("deep.tif", "grey.png", "alpha.png", "photo.jpg", "photo.webp")
    ours = {f"{name.split('.')[0]}_{what}.{name.split('.')[1]}" for name in inputs for what in ("deblurred", "compare")}
    assert names == ours

    deep = tifffile.imread(out / "deep_deblurred.tif")
    assert deep.dtype == np.uint16
    np.testing.assert_array_equal(deep, deblur(tifffile.imread(folder / "deep.tif"), weights=tiny.single))
    assert iio.imread(out / "grey_deblurred.png").shape == (40, 56)
    assert iio.imread(out / "grey_compare.png").shape == (40, 114)
    alpha = iio.imread(out / "alpha_deblurred.png")
    np.testing.assert_array_equal(alpha[..., 3], pixels(seed=1)[..., 0])
    both = iio.imread(out / "alpha_compare.png")
    np.testing.assert_array_equal(both[:, :56, 3], both[:, 58:, 3])
    assert (out / "photo_deblurred.jpg").read_bytes()[:3] == b"\xff\xd8\xff"
    assert (out / "photo_deblurred.webp").read_bytes()[8:12] == b"WEBP"


def test_a_folder_is_not_fed_its_own_results(photo, tiny, capsys):
    folder = str(photo.parent)
    for _ in range(2):
        assert cli.main(["deblur", folder, "--compare", "--weights", tiny.single]) == 0
    names = sorted(path.name for path in photo.parent.iterdir())
    assert names == ["photo.png", "photo_compare.png", "photo_deblurred.png"]
    photo.unlink()
    assert cli.main(["deblur", folder, "--weights", tiny.single]) == 2
    assert_one_line(capsys, folder, before_last=True)


def test_a_folder_with_a_bad_file_restores_the_rest(photo, tiny, tmp_path, capsys):
    bad = tmp_path / "broken.png"
    bad.write_bytes(photo.read_bytes()[:200])
    iio.imwrite(tmp_path / "zzz.png", pixels(seed=2))
    assert cli.main(["deblur", str(tmp_path), "-o", str(tmp_path / "out"), "--quiet", "--weights", tiny.single]) == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["photo_deblurred.png", "zzz_deblurred.png"]
    assert_one_line(capsys, str(bad))


def test_dual_pixel_views_are_used(photo, tiny, tmp_path):
    left, right = tmp_path / "l.png", tmp_path / "r.png"
    iio.imwrite(left, pixels(seed=3))
    iio.imwrite(right, pixels(seed=4))
    views = ["--left", str(left), "--right", str(right)]
    assert cli.main(["deblur", str(photo), *views, "--weights", tiny.dual]) == 0
    result = deblur(pixels(), left=pixels(seed=3), right=pixels(seed=4), weights=tiny.dual)
    np.testing.assert_array_equal(iio.imread(photo.with_name("photo_deblurred.png")), result)


def test_tiles_are_told(tiny, tmp_path, capsys):
    path = tmp_path / "wide.png"
    iio.imwrite(path, pixels(64, 1200))
    assert cli.main(["deblur", str(path), "--tile", "256", "--weights", tiny.single]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if ": tile " in line]
    assert len(said) > 1
    assert said == [f"wide.png: tile {n}/{len(said)}" for n in range(1, len(said) + 1)]
    result = deblur(pixels(64, 1200), weights=tiny.single, tile=256)
    np.testing.assert_array_equal(iio.imread(path.with_name("wide_deblurred.png")), result)


# ----------------------------------------------------------------------------------------------------------- bad input
def assert_one_line(capsys, *needles, before_last=False):
    """Standard error is one line (or, after good runs, ends with one) that holds the needles."""
    lines = capsys.readouterr().err.splitlines()
    assert lines, "nothing was said"
    assert len(lines) == 1 or before_last, lines
    assert lines[-1].startswith("restore-jax")
    for needle in needles:
        assert needle in lines[-1]


def bad_file(kind, path: pathlib.Path):
    good = path.with_name("good.png")
    iio.imwrite(good, pixels())
    if kind == "missing":
        return
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    elif kind == "text":
        path.write_text("this is no picture\n" * 20)
    elif kind == "video":
        path.write_bytes(b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(500))
    elif kind == "one pixel":
        iio.imwrite(path, pixels(1, 1))
    elif kind == "too small":
        iio.imwrite(path, pixels(15, 100))
    elif kind == "very wide":
        iio.imwrite(path, np.zeros((16, 100_000, 3), np.uint8))
    elif kind == "folder":
        path.mkdir()


@pytest.mark.parametrize(
    "kind", ["missing", "empty", "truncated", "text", "video", "one pixel", "too small", "very wide", "folder"]
)
def test_bad_photos_get_one_line(kind, tiny, tmp_path, capsys):
    path = tmp_path / "bad.png"
    bad_file(kind, path)
    assert cli.main(["deblur", str(path), "--weights", tiny.single]) == 2
    assert_one_line(capsys, str(path))
    assert not list(tmp_path.rglob("*_deblurred*"))


def test_nan_gets_one_line(tiny, tmp_path, capsys):
    path = tmp_path / "nan.tif"
    image = np.full((32, 32, 3), 0.5, np.float32)
    image[3, 3] = np.nan
    tifffile.imwrite(path, image, photometric="rgb")
    assert cli.main(["deblur", str(path), "--weights", tiny.single]) == 2
    assert_one_line(capsys, str(path))


@pytest.fixture
def scene(photo, tiny):
    """The names the command lines below use."""
    folder = photo.parent
    (folder / "file").write_text("")
    (folder / "notes.safetensors").write_text("no weights")
    (folder / "sub").mkdir()
    iio.imwrite(folder / "sub" / "photo.png", pixels())
    iio.imwrite(folder / "other.png", pixels(48, 56))
    return {"d": folder, "p": photo, "single": tiny.single, "dual": tiny.dual}


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("", "VERB"),
        ("sharpen", "sharpen"),
        ("deblur", "PHOTO"),
        ("deblur {p} --fast", "--fast"),
        ("deblur {d}/*.jpg", "{d}/*.jpg: "),
        ("deblur {p} -o {p}", "{p}: is an input"),
        ("deblur {p} -o {d}/sub/../photo.png", "is an input"),
        ("deblur {p} {d}/other.png -o {d}/third.png", "{d}/third.png: one file, but several photos"),
        ("deblur {p} {d}/other.png -o {d}/file", "{d}/file"),
        ("deblur {p} -o {d}/file/out.png", "{d}/file/out.png: "),
        ("deblur {p} -o {d}/file/", "{d}/file"),
        ("deblur {p} -o /proc/nowhere/out.png", "/proc/nowhere/out.png: "),
        ("deblur {p} -o {d}/out", "{d}/out: "),
        ("deblur {p} -o {d}/out.xyz", "{d}/out.xyz: "),
        ("deblur {p} {d}/sub/photo.png -o {d}/o", "{d}/o/photo_deblurred.png: both {p} and {d}/sub/photo.png"),
        ("deblur {p} --weights nosuch", "nosuch: "),
        ("deblur {p} --weights nosuch.safetensors", "nosuch.safetensors: "),
        ("deblur {p} --weights {d}/notes.safetensors", "{d}/notes.safetensors: "),
        ("deblur {p} --weights {p}", "{p}: "),
        ("deblur {p} --left {p} --weights {dual}", "--left and --right: "),
        ("deblur {p} --left {p} --right {p} --weights {single}", "{single}: weights for single photos"),
        ("deblur {p} --weights {dual}", "{dual}: weights for dual-pixel photos"),
        ("deblur {p} {d}/other.png --left {p} --right {p} --weights {dual}", "--left and --right: belong to one photo"),
        ("deblur {p} --left {p} --right {d}/no.png --weights {dual}", "restore-jax: {d}/no.png: "),
        ("deblur {p} --left {p} --right {d}/other.png --weights {dual}", "{p}: right: 56x48 pixels"),
        ("deblur {p} --tile big", "--tile: 'big'"),
        ("deblur {p} --tile 20", "tile: 20"),
        ("deblur {p} --dtype float16", "--dtype"),
        ("weights", "VERB"),
        ("weights card nosuch", "nosuch: "),
        ("weights verify nosuch", "nosuch: "),
        ("weights convert ifan {d}/no.npz -o {d}/o.safetensors", "{d}/no.npz: "),
        ("weights convert ifan {p} -o {d}/o.safetensors", "{p}: "),
        ("weights convert ifan {d}/no.npz -o {d}/o.safetensors --option x", "KEY=VALUE"),
        ("demo -o {d}/file/x", "{d}/file/x: "),
        ("demo -o {d}/new --weights nosuch", "nosuch: "),
        # Weights of another network than the verb takes.
        ("deblur {p} --weights dmenet-small", "weights dmenet-small: of a network for something else; deblur takes"),
        ("deblur {p} --weights basicvsr", "weights basicvsr: of a network for something else"),
        ("demo -o {d}/new --weights spynet-rendered", "weights spynet-rendered: of a network for something else"),
        ("defocus {p} --weights {single}", "weights {single}: of a network for something else; defocus takes dmenet"),
        ("magnify {p} --weights refvsr-small", "weights refvsr-small: of a network for something else"),
        ("vsr {p} --image --weights ifan -o {d}/o.png", "weights ifan: of a network for something else"),
        ("app --weights deblur=dmenet", "weights dmenet: of a network for something else"),
        ("app --weights map=ifan", "weights ifan: of a network for something else"),
        ("app --weights video=ifan", "weights ifan: of a network for something else"),
    ],
)
def test_bad_usage_gets_one_line(line, named, scene, capsys):
    before = {path: path.stat().st_mtime_ns for path in scene["d"].rglob("*") if path.is_file()}
    assert cli.main(line.format(**scene).split()) == 2
    assert_one_line(capsys, named.format(**scene))
    assert {path: path.stat().st_mtime_ns for path in scene["d"].rglob("*") if path.is_file()} == before


def test_interruption_and_our_own_failures_have_their_codes(photo, tiny, capsys, monkeypatch):
    def stopping(error):
        def fail(*args, **kwargs):
            raise error

        monkeypatch.setattr(restore, "restore", fail)
        return cli.main(["deblur", str(photo), "--weights", tiny.single])

    assert stopping(KeyboardInterrupt()) == 130
    assert_one_line(capsys, "interrupted")
    assert stopping(RuntimeError("first line\nsecond")) == 1
    assert_one_line(capsys, "RuntimeError: first line", "RESTORE_JAX_DEBUG=1")
    assert stopping(MemoryError()) == 1
    assert_one_line(capsys, "--tile")
    monkeypatch.setenv("RESTORE_JAX_DEBUG", "1")
    with pytest.raises(RuntimeError, match="first line"):
        stopping(RuntimeError("first line"))


# --------------------------------------------------------------------------------------------------------- other verbs
def test_weights_card_and_verify_take_files(tiny, capsys):
    assert cli.main(["weights", "card", tiny.single]) == 0
    card = json.loads(capsys.readouterr().out)
    assert (card["licence"], card["what"]) == ("CC0", "single")
    assert cli.main(["weights", "verify", tiny.single]) == 0
    assert f"{tiny.single}: ok, sha256 " in capsys.readouterr().out


def test_weights_list_is_a_table(capsys, monkeypatch):
    cards = [{"name": "a", "model": "ifan", "licence": "CC0"}, {"name": "long-name", "model": "x", "licence": "MIT"}]
    monkeypatch.setattr(weights, "list_shipped", lambda: cards)
    assert cli.main(["weights", "list"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "model", "size", "gain", "licence"]
    assert [row.index(word) for row, word in zip(rows, ("CC0", "MIT"), strict=True)] == [head.index("licence")] * 2


def test_weights_convert_passes_the_options_on(monkeypatch, capsys, tmp_path):
    seen = []
    monkeypatch.setattr(weights, "convert_files", lambda *args, **options: seen.append((*args, options)))
    line = "weights convert ifan a.pth b.pth -o out.safetensors --option variant=released --option num_filters=8"
    assert cli.main([*line.split(), "--option", "disparity=False"]) == 0
    options = {"variant": "released", "num_filters": 8, "disparity": False}
    assert seen == [("ifan", ["a.pth", "b.pth"], "out.safetensors", options)]
    assert capsys.readouterr().out == "out.safetensors\n"


def test_train_gets_its_config_with_what_overrides_it(monkeypatch):
    seen = []
    monkeypatch.setattr(loop, "train", lambda config, workdir: seen.append((config, workdir)))
    line = "train --config.seed 7 --config=configs/ifan.py:tiny --workdir=w --config.optim.rate -1e-3 --config.remat"
    assert cli.main(line.split()) == 0
    ((config, workdir),) = seen
    assert (config.seed, config.optim.rate, config.remat, config.total_steps, workdir) == (7, -1e-3, True, 20, "w")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("deblurr a.jpg", "did you mean deblur?"),
        ("tabels", "did you mean tables?"),
        (
            "deblur a.jpg --wieghts x",
            "restore-jax deblur: unrecognized arguments: --wieghts x; did you mean --weights?",
        ),
        ("weights lst", "did you mean list?"),
        ("deblur a.jpg --dtype float23", "did you mean float32?"),
        ("bench vsr --framse 3", "restore-jax bench vsr: unrecognized arguments: --framse 3; did you mean --frames?"),
    ],
)
def test_a_misspelt_word_is_told_what_it_may_have_meant(line, told, capsys):
    assert cli.main(line.split()) == 2
    assert_one_line(capsys, told)


def test_help_lists_every_verb_once_in_its_group(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    for title, verbs in cli.GROUPS.items():
        first = lines.index(f"{title}:") + 1
        assert [line.split("  ")[1].strip() for line in lines[first : first + len(verbs)]] == list(verbs)
    assert text.count("make defocused photos sharper") == 1


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help_with_an_example_that_parses(verb, capsys):
    assert cli.main([*verb.split(), "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"example: restore-jax {verb}" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_verb_and_its_options(shell, capsys):
    assert cli.main(["--completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("deblur", "vsr", "convert", "data-weight", "all-conventions", "coordinator"):
        assert word in script


def test_bash_completes_verbs_options_and_files(capsys, tmp_path):
    """As bash asks, where it is there."""
    if (bash := shutil.which("bash")) is None:
        pytest.skip("needs bash")
    assert cli.main(["--completion", "bash"]) == 0
    (tmp_path / "restore.sh").write_text(capsys.readouterr().out)
    (tmp_path / "photo.jpg").touch()
    script = """
source ./restore.sh
function_of=$(complete -p restore-jax | sed 's/.*-F \\([^ ]*\\).*/\\1/')
for line in "de" "deblur --wei" "deblur photo" "weights l"; do
  COMP_WORDS=(restore-jax $line); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE="restore-jax $line"
  COMP_POINT=${#COMP_LINE}; COMPREPLY=()
  $function_of restore-jax "${COMP_WORDS[COMP_CWORD]}" ""; echo "${COMPREPLY[@]}"
done
"""
    done = subprocess.run([bash, "--norc", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    verbs, options, files, kinds = (line.split() for line in done.stdout.splitlines())
    assert {"deblur", "defocus", "depth", "demo"} == set(verbs)
    assert options == ["--weights"]
    assert files == ["photo.jpg"]
    assert kinds == ["list"]


@pytest.mark.parametrize(
    "arguments", [["-h"], ["deblur", "--help"], ["weights", "convert", "-h"], ["train", "-h"], ["bench", "-h"]]
)
def test_help_shows_an_example(arguments, capsys):
    assert cli.main(arguments) == 0
    assert "example: restore-jax " in capsys.readouterr().out


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"restore-jax {restore_jax.__version__}\n"


def test_help_loads_nothing_heavy():
    code = "import sys; from restore_jax import cli; cli.main(['deblur', '--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jax", "numpy", "PIL", "torch", "cv2", "tqdm"} & set(done.stdout.split())


# ---------------------------------------------------------------------------------------------------------------- demo
def test_demo_writes_its_pictures_and_prints_what_they_show(tiny, tmp_path, capsys, monkeypatch):
    out = tmp_path / "demo"
    monkeypatch.setattr(demo, "SIZE", (96, 128))
    monkeypatch.setattr(demo, "DETAIL", np.s_[10:34, 10:42])
    assert cli.main(["demo", "-o", str(out), "--weights", tiny.single]) == 0
    pictures = {path.stem: iio.imread(path) for path in out.iterdir()}
    assert set(pictures) == {"input", "result", "truth", "difference", "defocus_map", "comparison"}
    assert all(picture.shape == (96, 128, 3) for name, picture in pictures.items() if name != "comparison")
    np.testing.assert_array_equal(pictures["result"], deblur(pictures["input"], weights=tiny.single))
    error = pictures["input"] / 255 - pictures["truth"] / 255
    said = capsys.readouterr().out
    assert f"input    {-10 * np.log10((error**2).mean()):5.2f} dB" in said
    assert "restore-jax deblur " in said


def test_the_scene_has_no_holes_and_the_blur_its_largest_size_at_both_ends():
    sharp, disparity = demo.scene()
    assert sharp.shape == (496, 736, 3)
    assert disparity.shape == (496, 736)
    assert np.isfinite(disparity).all()
    focus, scale = demo.lens(disparity)
    coc = scale * (focus - disparity)
    assert coc.min() == pytest.approx(-12)
    assert coc.max() == pytest.approx(12)


def test_colours_tell_before_from_behind():
    before, focus, behind = demo.colour_map(np.array([[-12.0, 0.0, 12.0]], np.float32))[0].astype(int)
    assert tuple(focus) == (255, 255, 255)
    assert before[0] > before[2]
    assert behind[2] > behind[0]


# -------------------------------------------------------------------------------------------------------------- panels
def test_pictures_stand_in_a_row():
    first, second = np.zeros((4, 6), np.uint16), np.full((4, 6), 7, np.uint16)
    row = panels.side_by_side(first, second, gap=3)
    assert row.dtype == np.uint16
    np.testing.assert_array_equal(row, np.hstack([first, np.full((4, 3), 65535), second]))
    assert panels.side_by_side(np.zeros((4, 1000, 3)), np.zeros((4, 1000, 3)))[0, 1002, 0] == 1


def test_a_sheet_holds_every_picture_below_its_label():
    red, blue = np.full((50, 80, 3), (255, 0, 0), np.uint8), np.full((50, 80, 3), (0, 0, 255), np.uint8)
    sheet = panels.labelled([[("red", red), ("blue", blue)], [("red again", red)]], gap=8)
    assert sheet.dtype == np.uint8
    for picture, count in ((red, 2), (blue, 1)):
        assert (sheet == picture[0, 0]).all(-1).sum() == count * 50 * 80
    labels = (sheet < 128).all(-1)
    assert labels[:28].any()
    assert labels[78:106].any()
