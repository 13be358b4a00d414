"""Broken and hostile input of every verb: one line and exit code 2, or a whole result; nothing half done."""

import ast
import errno
import fcntl
import io
import json
import os
import pathlib
import shutil
import struct
import threading
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as to_safetensors

import data_prep
import restore_jax
from restore_jax import cli, weights
from restore_jax.errors import InputError
from restore_jax.io import atomic
from restore_jax.video import segments
from restore_jax.weights.building import parameter_shapes
from tests import syndof_tree, video_samples
from tests.image_samples import NOISE16, RGB8, chunk, make_png, saved
from tests.photo_carriers import FILM, dng, heic, ultra_hdr
from tests.places import ROOT

FUZZ = settings(
    derandomize=True, database=None, deadline=None, max_examples=12, suppress_health_check=list(HealthCheck)
)
SIDE = 24
PHOTO = saved(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8), "png")


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    """Tests run in an empty folder but for a sound photo, and leave nothing in the home folder."""
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")
    monkeypatch.chdir(tmp_path)
    pathlib.Path("ok.png").write_bytes(PHOTO)


def everything():
    return {str(path) for path in pathlib.Path().rglob("*")}


def run(capfd, *argv):
    """(exit code, stderr, new files) of the command line; whatever it does, it fails in one line and leaves nothing."""
    before = everything()
    capfd.readouterr()
    code = cli.main([str(argument) for argument in argv])
    error = capfd.readouterr().err
    new = everything() - before
    assert code in (0, 2), error
    if code == 2:
        assert error.count("\n") == 1, error
        assert error.startswith("restore-jax"), error
        assert not new
    else:
        assert error == ""
        assert new
        assert not any(".part" in name or ".lock" in name for name in new)
    return code, error, new


def refused(capfd, *argv, names=""):
    code, error, _ = run(capfd, *argv)
    assert code == 2
    assert names in error
    return error


# ------------------------------------------------------------------------------------------------- truncation and flips
damages = st.one_of(
    st.floats(0, 0.999).map(lambda part: lambda data: data[: int(part * len(data))]),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=3).map(
        lambda flips: lambda data: flipped(data, [(part**2, byte) for part, byte in flips])  # mostly in the header
    ),
    st.floats(0, 0.999).map(lambda part: lambda data: data[int(part * len(data)) :]),
)


def flipped(data, flips):
    data = bytearray(data)
    for part, byte in flips:
        data[int(part * len(data))] = byte
    return bytes(data)


def tiff16(**options):
    out = io.BytesIO()
    tifffile.imwrite(out, NOISE16[..., :3], photometric="rgb", **options)
    return out.getvalue()


PICTURES = {
    "a.jpg": saved(RGB8, "jpeg"),
    "a.png": make_png(NOISE16[..., :3]),
    "b.png": saved(RGB8, "png"),
    "a.tif": tiff16(compression="zlib"),
    "b.tif": saved(RGB8, "tiff", compression="tiff_lzw"),
    "a.webp": saved(RGB8, "webp"),
    "a.avif": saved(RGB8, "avif"),
    "a.heic": heic(RGB8),
    "a.dng": dng(NOISE16[..., :3]),
    "behind.jpg": ultra_hdr(film=FILM),
}


@FUZZ
@given(damage=damages)
@pytest.mark.parametrize("name", PICTURES)
def test_pictures(capfd, name, damage):
    pathlib.Path(name).write_bytes(damage(PICTURES[name]))
    code, error, new = run(capfd, "vsr", name, "--image", "--weights", "bicubic", "--quiet", "-o", "out.png")
    assert new == {"out.png"} if code == 0 else name in error
    pathlib.Path("out.png").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for name, audio in (("a.mp4", "aac"), ("a.mkv", None)):
        video_samples.save(folder / name, video_samples.drawn(6, 32, 32), audio=audio)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@FUZZ
@given(damage=damages)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_videos(capfd, videos, name, damage):
    pathlib.Path(name).write_bytes(damage(videos[name]))
    code, error, new = run(capfd, "vsr", name, "--weights", "bicubic", "--quiet", "-o", "out.mp4")
    assert new == {"out.mp4"} if code == 0 else name in error
    pathlib.Path("out.mp4").unlink(missing_ok=True)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_the_sound_videos_are_taken(capfd, videos, name):
    pathlib.Path(name).write_bytes(videos[name])
    assert run(capfd, "vsr", name, "--weights", "bicubic", "--quiet", "-o", "out.mp4")[0] == 0


def header(model="rcan", options="{}", card="{}", **arrays):
    """A safetensors file of the given header."""
    return to_safetensors(arrays, metadata={"model": model, "options": options, "card": card})


RCAN = {"num_feat": 4, "num_groups": 1, "num_blocks": 1, "reduction": 2}


def rcan(change=lambda name, array: array, **card):
    flat = {}
    for name, shape in weights.tree.flatten(parameter_shapes("rcan", RCAN)).items():
        flat[name] = change(name, np.ones(shape.shape, np.float32))
    return header(options=json.dumps(RCAN), card=json.dumps(card), **flat)


@FUZZ
@given(damage=damages)
def test_weights(capfd, damage):
    pathlib.Path("w.safetensors").write_bytes(damage(rcan()))
    error = refused(capfd, "export", "w.safetensors", "-o", "out", "--platforms", "abacus")
    assert "w.safetensors" in error or "abacus" in error  # where the damage does not matter


@FUZZ
@given(damage=damages)
@pytest.mark.parametrize("name", ["map.npy", "map.png"])
def test_maps(capfd, name, damage):
    from restore_jax.defocus import write_map

    write_map(name, np.ones((SIDE, SIDE), np.float32))
    pathlib.Path(name).write_bytes(damage(pathlib.Path(name).read_bytes()))
    code, error, new = run(capfd, "depth", "ok.png", "--map", name, "--quiet", "-o", "out.png")
    assert new == {"out.png"} if code == 0 else name in error
    pathlib.Path("out.png").unlink(missing_ok=True)


CONFIG = b"import ml_collections\ndef get_config(v=''):\n return ml_collections.ConfigDict({'model': 'ifan'})\n"


@FUZZ
@given(damage=damages)
def test_configs(capfd, damage):
    """A config is a program, as a Makefile is: what it does when it runs is its own, but not how it fails."""
    pathlib.Path("c.py").write_bytes(damage(CONFIG).replace(b"\r", b""))
    refused(capfd, "train", "--config=c.py", "--workdir=run")


@FUZZ
@given(damage=damages)
def test_checkpoints_for_the_converter(capfd, damage):
    out = io.BytesIO()
    np.savez_compressed(out, **{"Network.conv1_1.0.weight": np.ones((4, 3, 3, 3), np.float32)})
    pathlib.Path("c.npz").write_bytes(damage(out.getvalue()))
    refused(capfd, "weights", "convert", "ifan", "c.npz", "-o", "out.safetensors", names="c.npz")


# ---------------------------------------------------------------------------------------------------------------- bombs
def tiff_bomb(megabytes=64):
    """64x64 pixels in a strip that inflates to far more."""
    strip = zlib.compress(bytes(megabytes << 20), 9)
    values = {0x100: 64, 0x101: 64, 0x102: 16, 0x103: 8, 0x106: 1, 0x111: 8, 0x115: 1, 0x116: 64, 0x117: len(strip)}
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in values.items())
    return b"II*\0" + struct.pack("<L", 8 + len(strip)) + strip + struct.pack("<H", len(values)) + entries + bytes(4)


def jpeg_of_scans(count=1000):
    data = saved(RGB8, "jpeg", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + b"\xff\xd9"


def webp_canvas(side):
    body = b"WEBPVP8X" + struct.pack("<IB3x", 10, 0) + 2 * (side - 1).to_bytes(3, "little")
    body += saved(RGB8, "webp")[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def png_claiming(width, height, bits=8):
    return make_png(NOISE16[..., :3], header=(width, height, bits, 2, 0, 0, 0))


def png_of_text():
    packed = chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(1 << 24), 9))
    return PHOTO[:33] + 20 * packed + PHOTO[33:]


def npy(shape, descr="<f4", data=b""):
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text) + 1) + text + b"\n" + data


def npz(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def mp4(videos, box, *numbers):
    """The sample with the numbers behind a box's version and flags replaced."""
    data = bytearray(videos["a.mp4"])
    struct.pack_into(f">{len(numbers)}I", data, data.index(box) + 8, *numbers)
    return bytes(data)


VSR = ("--weights", "bicubic", "--quiet")
BOMBS = {
    "a.tif": (tiff_bomb, ("vsr", "a.tif", "--image", *VSR), "holds more pixels"),
    "a.jpg": (jpeg_of_scans, ("vsr", "a.jpg", "--image", *VSR), "1010 scans"),
    "a.webp": (lambda: webp_canvas(16_384), ("vsr", "a.webp", "--image", *VSR), "a.webp"),
    "a.png": (lambda: png_claiming(65_000, 65_000), ("vsr", "a.png", "--image", *VSR), "megapixels"),
    "text.png": (png_of_text, ("vsr", "text.png", "--image", *VSR), "text.png"),
    "map.png": (lambda: png_claiming(65_000, 65_000, 16), ("depth", "ok.png", "--map", "map.png"), "megapixels"),
    "map.npy": (lambda: npy((10**7, 10**7)), ("magnify", "ok.png", "--map", "map.npy"), "shape"),
    "big.npy": (lambda: npy((16_000, 16_000)), ("data", "render", "ok.png", "big.npy", "--unit", "m"), "size"),
    "a.npz": (
        lambda: npz(**{"a.npy": npy((1 << 25,), data=bytes(1 << 27))}),
        ("weights", "convert", "ifan", "a.npz"),
        "128 MiB",
    ),
    "lie.npz": (
        lambda: npz(**{"a.npy": npy((10**6, 10**6))}),
        ("weights", "convert", "ifan", "lie.npz"),
        "not a readable npz",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_decompression_bombs(capfd, name):
    make, argv, reason = BOMBS[name]
    pathlib.Path(name).write_bytes(make())
    suffix = ".safetensors" if argv[0] == "weights" else ".png"
    tracemalloc.start()
    refused(capfd, *argv, "-o", f"out{suffix}", names=reason)
    assert tracemalloc.get_traced_memory()[1] < 48 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("box", "numbers"),
    [(b"stsz", (1, 2**26)), (b"stsz", (0, 2**26)), (b"tkhd", ()), (b"avc1", (0, 0, 0, 0, 0, 0xFFFF_FFFF))],
)
def test_tables_and_sizes_of_videos(capfd, videos, box, numbers):
    data = mp4(videos, box, *numbers)
    if box == b"avc1":  # the size before decoding, 16-bit numbers
        assert data.count(b"\xff\xff\xff\xff")
    pathlib.Path("a.mp4").write_bytes(data)
    if numbers:
        refused(capfd, "vsr", "a.mp4", *VSR, "-o", "out.mp4", names="a.mp4")
    else:
        run(capfd, "vsr", "a.mp4", *VSR, "-o", "out.mp4")


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nother.mp4\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile other.mp4\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    ],
)
def test_a_video_names_no_other_files(capfd, videos, text):
    pathlib.Path("other.mp4").write_bytes(videos["a.mp4"])
    pathlib.Path("list.mp4").write_text(text)
    refused(capfd, "vsr", "list.mp4", *VSR, "-o", "out.mp4", names="list.mp4")


# -------------------------------------------------------------------------------------------------------------- weights
def crafted(header_bytes, data=b"", length=None):
    return struct.pack("<Q", len(header_bytes) if length is None else length) + header_bytes + data


def nan(name, array):
    return array * np.nan if name.endswith("conv_in/kernel") else array


HEADERS = {
    "length of 2**63": lambda: crafted(b"{}", length=2**63),
    "length of 100 GB": lambda: crafted(b"{}", length=10**11),
    "shape beyond the file": lambda: crafted(b'{"x":{"dtype":"F32","shape":[9999],"data_offsets":[0,4]}}', b"abcd"),
    "a leaf and a dict": lambda: header(**{"a": np.ones(1), "a/b": np.ones(1)}),
    "8-bit floats": lambda: crafted(b'{"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}', b"abcd"),
    "a pickle": lambda: b"\x80\x04cposix\nsystem\n(S'touch pwned'\ntR.",
    "deep JSON": lambda: header(options="[" * 100_000),
    "another network": lambda: header("nonesuch"),
    "a word for a number": lambda: header(options='{"num_feat": "x"}'),
    "nothing for a number": lambda: header("ifan", '{"width": null}'),
    "a negative number": lambda: header("ifan", '{"width": -3}'),
    "a million blocks": lambda: header(options='{"num_blocks": 1000000}'),
    "a billion filters": lambda: header("ifan", '{"num_filters": 1000000000}'),
    "a list for a word": lambda: header("ifan", '{"variant": [1]}'),
    "too short a list": lambda: header("srcnn", '{"widths": [1]}'),
    "a memory that is none": lambda: header("basicvsr", '{"memory": 3}'),
    "numbers that are none": lambda: rcan(nan),
    "a window of words": lambda: rcan(window="many"),
    "no unit": lambda: rcan(sigma_unit=[1]),
}  # fmt: skip


@pytest.mark.parametrize("what", HEADERS)
def test_headers_of_weights(capfd, what):
    pathlib.Path("w.safetensors").write_bytes(HEADERS[what]())
    refused(capfd, "export", "w.safetensors", "-o", "exported", names="w.safetensors")
    assert not pathlib.Path("pwned").exists()


def test_the_sound_weights_are_taken(capfd):
    pathlib.Path("w.safetensors").write_bytes(rcan())
    refused(capfd, "export", "w.safetensors", "-o", "exported", "--platforms", "abacus", names="abacus")


@pytest.mark.parametrize("option", ["width=abc", "width=-1", "width=1e99", "nothing=1", "variant=[1]", "name='x'"])
def test_options_of_the_converter(capfd, option):
    np.savez("c.npz", a=np.ones(3, np.float32))
    refused(capfd, "weights", "convert", "ifan", "c.npz", "-o", "out.safetensors", "--option", option)


@pytest.mark.parametrize("name", ["c.npz", "c.npy"])
def test_pickles_and_climbing_archives_do_nothing(capfd, name):
    pickled = b"\x80\x04cposix\nsystem\n(S'touch pwned'\ntR."
    content = {
        "c.npz": npz(**{"../climbed.npy": npy((1,), data=bytes(4)), "a.npy": npy((), "|O", pickled)}),
        "c.npy": npy((), "|O", pickled),
    }
    pathlib.Path(name).write_bytes(content[name])
    refused(capfd, "weights", "convert", "vgg19", name, "-o", "out.safetensors", names=name)
    assert not pathlib.Path("pwned").exists()
    assert not pathlib.Path("../climbed.npy").exists()


def test_nothing_unpickles_or_unpacks_to_disk():
    """At run time; the converter's one unpickler makes arrays only, and its archives are read in memory."""
    forbidden = {"extract", "extractall", "unpack_archive"}
    sources = [
        path for package in (restore_jax, data_prep) for path in pathlib.Path(package.__file__).parent.rglob("*.py")
    ]
    assert len(sources) > 100
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import) and path.name != "checkpoints.py":
                assert not {"pickle", "shelve", "marshal", "tarfile"} & {alias.name for alias in node.names}, path
            if isinstance(node, ast.Call):
                function = node.func
                name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
                assert name not in forbidden, f"{path}:{node.lineno}: {name}"
                for keyword in node.keywords:
                    loose = keyword.arg == "allow_pickle" and getattr(keyword.value, "value", True)
                    assert not loose, f"{path}:{node.lineno}"
                    unsafe = keyword.arg == "weights_only" and not getattr(keyword.value, "value", False)
                    assert not unsafe, f"{path}:{node.lineno}"


# ---------------------------------------------------------------------------------------------------- names and numbers
NOTHING = [
    ("deblur", "NAME", "--method", "deconv", "-o", "out.png"),
    ("defocus", "NAME", "-o", "out.png"),
    ("magnify", "ok.png", "--map", "NAME", "-o", "out.png"),
    ("depth", "ok.png", "--map", "NAME", "-o", "out.png"),
    ("deblur", "ok.png", "--method", "deconv", "--map", "NAME", "-o", "out.png"),
    ("data", "render", "ok.png", "NAME", "--unit", "m", "-o", "out.png"),
    ("data", "align", "NAME", "ok.png", "-o", "pairs"),
    ("vsr", "NAME", "--weights", "bicubic", "-o", "out.mp4"),
    ("weights", "card", "NAME"),
    ("weights", "convert", "ifan", "NAME", "-o", "out.safetensors"),
    ("export", "NAME", "-o", "exported"),
    ("train", "--config=NAME", "--workdir=run"),
    ("evaluate", "defocus", "--data", "NAME"),
]


@pytest.mark.parametrize("argv", NOTHING, ids=" ".join)
@pytest.mark.parametrize("name", ["missing", "pipe", "loop", "folder", "empty", "long"])
def test_names_of_nothing_sound(capfd, argv, name):
    suffix = {"vsr": ".mp4", "weights": ".safetensors", "export": ".safetensors", "train": ".py"}.get(argv[0], ".npy")
    path = pathlib.Path("x" * 300 if name == "long" else name).with_suffix(suffix)
    if name == "pipe":
        os.mkfifo(path)
    elif name == "loop":
        path.symlink_to(path)
    elif name == "folder":
        path.mkdir()
    elif name == "empty":
        path.touch()
    refused(capfd, *(argument.replace("NAME", str(path)) for argument in argv))


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0"])
@pytest.mark.parametrize(
    "argv",
    [
        ("magnify", "ok.png", "--map", "map.npy", "-o", "out.png", "--scale"),
        ("deblur", "ok.png", "--method", "deconv", "--map", "map.npy", "-o", "out.png", "--data-weight"),
        ("data", "render", "ok.png", "map.npy", "--unit", "m", "-o", "out.png", "--max-coc"),
        ("vsr", "a.mp4", "--weights", "bicubic", "-o", "out.mp4", "--fps"),
        ("vsr", "a.mp4", "--weights", "bicubic", "-o", "out.mp4", "--ref", "a.mp4", "--fov"),
        ("vsr", "a.mp4", "--weights", "bicubic", "-o", "out.mp4", "--tile"),
        ("export", "w.safetensors", "-o", "exported", "--width", "64", "--height"),
        ("train", "--config=configs/ifan.py:tiny", "--workdir=run", "--config.total_steps="),
        ("train", "--config=configs/ifan.py:tiny", "--workdir=run", "--config.data.batch_size="),
    ],
    ids=lambda argv: " ".join((argv[0], argv[-1])),
)
def test_numbers_that_are_none(capfd, videos, argv, value):
    np.save("map.npy", np.ones((SIDE, SIDE), np.float32))
    pathlib.Path("a.mp4").write_bytes(videos["a.mp4"])
    pathlib.Path("w.safetensors").write_bytes(rcan())
    pathlib.Path("configs").symlink_to(ROOT / "configs")
    *argv, last = argv
    argv += [last + value] if last.endswith("=") else [f"{last}={value}"]
    refused(capfd, *argv)


@pytest.mark.parametrize("end", ["nan", "-1", "0"])
def test_an_end_that_is_none(capfd, videos, end):
    pathlib.Path("a.mp4").write_bytes(videos["a.mp4"])
    refused(capfd, "vsr", "a.mp4", *VSR, "-o", "out.mp4", f"--end={end}", names="--end")


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_maps_of_no_blur(capfd, value):
    np.save("map.npy", np.full((SIDE, SIDE), value, np.float32))
    for verb in ("magnify", "depth"):
        refused(capfd, verb, "ok.png", "--map", "map.npy", "-o", "out.png", "--quiet", names="map.npy")


@pytest.mark.parametrize(
    "config",
    [
        "model.name=nonesuch",
        "model.options.width=abc",
        "model=3",
        "task=nonesuch",
        "dtype=float7",
        "mesh.fsdp=0",
        "accumulate=0",
        "optim.rate=abc",
        "resume=/nowhere",
        "init_weights=nowhere",
    ],
)
def test_configs_that_ask_for_nonsense(capfd, config):
    refused(capfd, "train", f"--config={ROOT}/configs/ifan.py:tiny", "--workdir=run", f"--config.{config}")


def test_empty_names_are_not_the_working_folder(capfd):
    refused(capfd, "deblur", "", names="empty name")


# ---------------------------------------------------------------------------------------------------------------- trees
def test_links_out_of_trees_are_refused(tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(saved(np.zeros((270, 480, 3), np.uint8), "png"))
    tree = tmp_path / "RealMCVSR"
    for camera in ("UW", "W", "T"):
        clip = tree / "train" / "LRx4" / camera / "0001"
        clip.mkdir(parents=True)
        shutil.copy(secret, clip / "0000.png")
    assert data_prep.check("realmcvsr/lrx4", tree, partial=True) == []
    (clip / "0000.png").unlink()
    (clip / "0000.png").symlink_to(secret)
    assert f"{clip / '0000.png'}: a link out of the tree" in data_prep.check("realmcvsr/lrx4", tree, partial=True)


@pytest.mark.parametrize("place", ["image/MPI/alley/frame_0001.png", "depth/MPI/alley/frame_0001.dpt"])
def test_links_out_of_syndofs_tree_are_refused(tmp_path, place):
    tree = syndof_tree.write(tmp_path / "tree")
    assert data_prep.check("syndof", tree, partial=True) == []
    (tree / place).rename(tmp_path / "moved")
    (tree / place).symlink_to(tmp_path / "moved")
    assert f"{tree / place}: a link out of the tree" in data_prep.check("syndof", tree, partial=True)


def test_bombs_in_trees_are_refused_by_their_headers(tmp_path):
    tree = syndof_tree.write(tmp_path / "tree")
    place = tree / "image/MPI/alley/frame_0001.png"
    place.write_bytes(png_claiming(32_000, 32_000))
    (problem,) = data_prep.check("syndof", tree, partial=True)
    assert problem == f"{place}: 32000x32000, over 256 megapixels"


# ------------------------------------------------------------------------------------------------------ several at once
def test_a_second_run_with_the_same_output_is_refused_and_the_first_is_whole(capfd, videos):
    pathlib.Path("a.mp4").write_bytes(videos["a.mp4"])
    inside, go_on = threading.Event(), threading.Event()

    def frames(first, state):
        for number in range(first, 4):
            inside.set()
            assert go_on.wait(60)
            yield np.full((16, 16, 3), number, np.uint8), None

    out, failed = pathlib.Path("out"), []

    def write():
        try:
            segments.write(out, segments.folder_target(), {"job": 1}, 4, frames, lambda done: None, length=2)
        except BaseException as error:
            failed.append(error)

    first = threading.Thread(target=write)
    first.start()
    assert inside.wait(60)
    with pytest.raises(InputError, match="out: another run is writing it"):
        segments.write(out, segments.folder_target(), {"job": 2}, 4, frames, lambda done: None)
    go_on.set()
    first.join()
    assert failed == []
    assert sorted(path.name for path in out.iterdir()) == [f"frame_{number:06}.png" for number in range(1, 5)]
    assert not pathlib.Path("out.parts").exists()


def test_two_writers_of_one_file_and_a_reader():
    """The cache of adapted memories, weights and pictures: whoever reads sees one writer's whole file."""
    path, failed = pathlib.Path("shared.safetensors"), []
    sizes = (10, 100_000)

    def write(size):
        try:
            for _ in range(20):
                weights.save(path, {"params": {"x": np.full(size, size, np.float32)}}, "rcan", {})
        except BaseException as error:
            failed.append(error)

    write(sizes[0])
    writers = [threading.Thread(target=write, args=[size]) for size in sizes]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        x = weights.read_safetensors(path)[0]["params"]["x"]
        assert len(x) in sizes
        assert (x == len(x)).all()
    assert failed == []
    assert [entry.name for entry in path.parent.iterdir() if entry.name != "ok.png"] == [path.name]


def test_a_lock_outlives_nobody():
    folder = pathlib.Path("run")

    def stopped():
        with atomic.locked(folder, folder):
            with pytest.raises(InputError, match="run: another run"), atomic.locked(folder, folder):
                raise AssertionError("both at once")
            raise RuntimeError("stopped")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="stopped"):
            stopped()


def test_a_file_system_without_locks_lets_a_run_go_on(monkeypatch):
    def refused(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    with atomic.locked(pathlib.Path("run"), pathlib.Path("run")):
        assert pathlib.Path("run").is_dir()
