"""weights.fetching, archives, kept, published: published weights in one command, against a server on this machine."""

import io
import json
import pathlib
import re
import zipfile

import jax
import numpy as np
import pytest

import restore_jax as rj
from restore_jax import cli, weights
from restore_jax.errors import InputError
from restore_jax.weights import archives, download, fetching, kept, published
from restore_jax.weights.files import sha256
from restore_jax.weights.published import Published
from restore_jax.weights.tree import flatten
from tests.file_server import serving
from tests.places import GOLDEN

OPTIONS = {"variant": "released", "width": 4, "num_filters": 8}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and this machine's network alone."""
    monkeypatch.setenv("RESTORE_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache" / "weights"


@pytest.fixture
def server():
    with serving() as server:
        yield server


@pytest.fixture
def npz(golden):
    """IFAN's published arrays as the bytes of an .npz file, which needs no PyTorch."""
    file = io.BytesIO()
    np.savez(file, **golden("ifan_weights"))
    return file.getvalue()


@pytest.fixture
def rows(monkeypatch, server):
    """Puts rows into the table in place of those that are published; returns the function that does it."""

    def put(*given):
        monkeypatch.setattr(published, "ROWS", given)

    return put


def row(url, **changes):
    given = {"name": "tiny-published", "model": "ifan", "options": OPTIONS, "file": "tiny.npz", "licence": "MIT"}
    return Published(**{**given, "url": url, **changes})


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_npz", ".npz"), data)
    return file.getvalue()


def fetch(*words):
    return cli.main(["weights", "fetch", *map(str, words)])


def refused(capsys, *words, message):
    """Asserts that a fetch ends with exit code 2, the message as its last line, and keeps nothing."""
    assert fetch(*words) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert re.search(message, line), line
    return line


def pickles(cache):
    """Everything in the cache folder that is neither weights, nor a card, nor a pin, nor a lock."""
    return [
        path for path in cache.rglob("*") if path.is_file() and path.suffix not in (".safetensors", ".json", ".lock")
    ]


def test_weights_are_fetched_and_known_by_name(cache, server, rows, npz, capsys, golden):
    server.files["tiny.npz"] = npz
    rows(row(server / "tiny.npz"))
    with pytest.raises(InputError, match="tiny-published: not fetched yet; restore-jax weights fetch tiny-published"):
        rj.load("tiny-published")
    assert fetch("tiny-published") == 0
    said = capsys.readouterr()
    assert "tiny-published: licence MIT" in said.err
    assert "not published; pinned at first use" in said.err
    assert said.out == f"{cache / 'tiny-published.safetensors'}\n"
    found = flatten(rj.load("tiny-published").params)
    for name, array in flatten(weights.convert("ifan", golden("ifan_weights"), **OPTIONS)).items():
        np.testing.assert_array_equal(found[name], array)
    image = np.random.default_rng(0).random((16, 16, 3), np.float32)
    plain = rj.deblur(image, weights=cache / "tiny-published.safetensors")
    np.testing.assert_array_equal(rj.deblur(image, weights="tiny-published"), plain)
    jax.clear_caches()
    assert pickles(cache) == []

    card = weights.card("tiny-published")
    assert card["source"] == server / "tiny.npz"
    assert card["licence"] == "MIT"
    assert card["sha256"] == weights.verify("tiny-published") == sha256(cache / "tiny-published.safetensors")
    assert [card["name"] for card in weights.list_fetched()] == ["tiny-published"]
    assert fetch("tiny") == 0  # the short name; nothing is downloaded again
    assert "fetched before" in capsys.readouterr().err
    assert len(server.requests) == 1


def test_a_pytorch_file_is_converted_and_deleted(cache, server, rows, golden, capsys):
    torch = pytest.importorskip("torch", reason="only needed to read PyTorch files; CI installs it")
    file = io.BytesIO()
    torch.save({"params": {f"module.{k}": torch.from_numpy(v) for k, v in golden("ifan_weights").items()}}, file)
    server.files["all.zip"] = zipped(**{"folder/tiny.pytorch": file.getvalue(), "other.txt": b"x"})
    rows(row(server / "all.zip", file="tiny.pytorch"))
    assert fetch("tiny-published") == 0
    assert rj.load("tiny-published").card["taken_from"] == ["params.module"]
    assert pickles(cache) == []


def test_rows_of_one_archive_share_a_download(cache, server, rows, npz, capsys):
    server.files["all.zip"] = zipped(a_npz=npz, b__b_npz=npz)
    for_each = [row(server / "all.zip", name=f"{name}-published", file=f"{name}.npz") for name in "ab"]
    rows(*for_each)
    assert fetch("a", "b") == 0
    assert len(server.requests) == 1
    assert kept.names() == ["a-published", "b-published"]


def test_a_licence_that_restricts_is_to_be_accepted(cache, server, rows, npz, capsys):
    server.files["tiny.npz"] = npz
    rows(row(server / "tiny.npz", licence="AGPL-3.0", restricted=True))
    refused(capsys, "tiny", message="tiny-published: its licence is AGPL-3.0; --accept-licence says that you accept it")
    assert server.requests == []
    assert fetch("tiny", "--accept-licence") == 0
    assert weights.card("tiny-published")["licence_accepted"] == kept.today()


@pytest.mark.parametrize("digits", [8, 64])
def test_a_published_hash_is_checked(cache, server, rows, npz, capsys, tmp_path, digits):
    server.files["tiny.npz"] = npz
    (tmp_path / "tiny.npz").write_bytes(npz)
    digest = sha256(tmp_path / "tiny.npz")
    rows(row(server / "tiny.npz", sha256=digest[: digits - 1] + ("0" if digest[digits - 1] != "0" else "1")))
    refused(capsys, "tiny", message=f"sha256 is {digest}, published is .*: the file is another one or damaged")
    assert kept.names() == []
    assert pickles(cache) == []
    rows(row(server / "tiny.npz", sha256=digest[:digits]))
    assert fetch("tiny") == 0
    assert f"sha256 {digest}, published{' in part; pinned' if digits < 64 else ''}" in capsys.readouterr().err


def test_what_has_no_hash_is_pinned_at_first_use(cache, server, rows, npz, capsys, golden):
    server.files["tiny.npz"] = npz
    rows(row(server / "tiny.npz"))
    assert fetch("tiny") == 0
    before = sha256(cache / "tiny-published.safetensors")
    changed = io.BytesIO()
    np.savez(changed, **{name: array + 1 for name, array in golden("ifan_weights").items()})
    server.files["tiny.npz"] = changed.getvalue()
    capsys.readouterr()
    line = refused(capsys, "tiny", "--from", server / "tiny.npz", message="If the change is meant, delete ")
    assert sha256(cache / "tiny-published.safetensors") == before
    # Deleted weights are fetched again, and the pin still holds.
    (cache / "tiny-published.safetensors").unlink()
    refused(capsys, "tiny", message="the first copy, of .* had")
    pathlib.Path(line.rpartition("delete ")[2]).unlink()
    assert fetch("tiny") == 0
    assert sha256(cache / "tiny-published.safetensors") != before


def test_a_file_that_does_not_convert_is_not_pinned(cache, server, rows, npz, capsys):
    server.files["tiny.npz"] = npz
    rows(row(server / "tiny.npz", options={**OPTIONS, "width": 8}))
    refused(capsys, "tiny", message="tiny-published: .*tiny.npz: ifan: parameter .* has shape")
    rows(row(server / "tiny.npz", model="rcan", options={}))
    refused(capsys, "tiny", message="tiny-published: .*tiny.npz: holds no parameters of rcan; found ")
    server.files["tiny.npz"] = b"no checkpoint at all"
    rows(row(server / "tiny.npz"))
    refused(capsys, "tiny", message="not a readable npz file")
    server.files["tiny.npz"] = npz
    assert fetch("tiny") == 0


def test_a_published_size_is_checked(cache, server, rows, npz, capsys):
    server.files["tiny.npz"] = npz
    rows(row(server / "tiny.npz", size=len(npz) + 1))
    refused(capsys, "tiny", message=f"has {len(npz):,} bytes, published are {len(npz) + 1:,}")


@pytest.mark.parametrize("kind", ["url", "zip", "file", "zip file", "folder"])
def test_a_copy_from_elsewhere(cache, server, rows, npz, tmp_path, kind):
    rows(row("http://127.0.0.1:1/nowhere"))
    content = zipped(deep__in__it__tiny_npz=npz) if "zip" in kind else npz
    if kind in ("url", "zip"):
        server.files["mirror"] = content
        source = server / "mirror"
    else:
        source = tmp_path / "copy" / "tiny.npz"
        source.parent.mkdir()
        source.write_bytes(content)
        source = source.parent if kind == "folder" else source
    assert fetch("tiny", "--from", source) == 0
    assert rj.load("tiny-published").card["source"] == str(source)
    if kind not in ("url", "zip"):
        assert (tmp_path / "copy" / "tiny.npz").read_bytes() == content, "the reader's own file stays"


def test_a_download_that_broke_off_goes_on(cache, server, rows, npz, capsys, monkeypatch):
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    server.files["tiny.npz"], server.cut["tiny.npz"] = npz, [1000]
    rows(row(server / "tiny.npz"))
    refused(capsys, "tiny", message="tiny.npz: broke off, .* after 1,000 bytes; the same command goes on from there")
    assert fetch("tiny") == 0
    assert server.starts() == [None, "bytes=1000-"]


def test_a_moved_file_is_found_and_a_missing_one_named(cache, server, rows, npz, capsys):
    server.files["tiny.npz"] = npz
    server.answers["moved"] = (301, {"Location": server / "tiny.npz"}, b"")
    rows(row(server / "missing"))
    refused(capsys, "tiny", message=f"{server.url}/missing: HTTP 404 Not Found")
    rows(row(server / "moved"))
    assert fetch("tiny") == 0


def test_without_a_network_there_is_one_line(cache, rows, capsys):
    rows(row("http://127.0.0.1:1/tiny.npz"))
    refused(capsys, "tiny", message="^restore-jax: http://127.0.0.1:1/tiny.npz: cannot be reached")
    rows(row("http://127.0.0.1:1/tiny.npz"))
    refused(capsys, "tiny", "--from", "nowhere.zip", message="^restore-jax: nowhere.zip: no such file$")
    refused(capsys, "tinny", message="tinny: no published weights of that name; near it are tiny-published; see ")


def test_without_a_cache_folder_there_is_one_line(rows, capsys, monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")
    rows(row("http://127.0.0.1:1/tiny.npz"))
    refused(capsys, "tiny", message="RESTORE_JAX_CACHE: fetched weights are kept there")
    assert kept.names() == []
    with pytest.raises(InputError, match="not fetched yet"):
        rj.load("tiny-published")


BOMB = bytes(2**27)
DAMAGED = {
    "climbing": (lambda npz: zipped(tiny_npz=npz, **{"../climbed": b"x"}), r"holds '\.\./climbed', which leads out"),
    "absolute": (lambda npz: zipped(tiny_npz=npz, **{"/tmp/climbed": b"x"}), "which leads out of its folder"),
    "drive": (lambda npz: zipped(tiny_npz=npz, **{"C:\\climbed": b"x"}), "which leads out of its folder"),
    "backslashes": (lambda npz: zipped(tiny_npz=npz, **{"a\\..\\..\\climbed": b"x"}), "which leads out of its folder"),
    "climbing itself": (lambda npz: zipped(**{"../tiny.npz": npz}), r"holds '\.\./tiny\.npz', which leads out"),
    "bomb": (lambda npz: zipped(tiny_npz=BOMB), "holds 128 MiB in .* bytes: no weights are like that"),
    "bomb within": (lambda npz: zipped(tiny_npz=zipped(**{"a.npy": BOMB})), "no weights are like that"),
    "another": (lambda npz: zipped(other_npz=npz), r"holds no file named tiny\.npz; it holds other\.npz"),
    "twice": (lambda npz: zipped(a__tiny_npz=npz, b__tiny_npz=npz), r"holds 2 files named tiny\.npz"),
    "cut short": (lambda npz: zipped(tiny_npz=npz)[:-100], "an archive that is cut short or damaged"),
    "bits turned": (lambda npz: turned(zipped(tiny_npz=npz)), r"tiny\.npz cannot be read from it"),
}


def turned(data):
    """An archive whose compressed data differs in some bytes."""
    middle = len(data) // 2
    return data[:middle] + bytes(255 - byte for byte in data[middle : middle + 50]) + data[middle + 50 :]


@pytest.mark.parametrize("how", DAMAGED)
def test_damaged_and_hostile_archives(cache, server, rows, npz, capsys, how):
    make, message = DAMAGED[how]
    server.files["tiny.zip"] = make(npz)
    rows(row(server / "tiny.zip"))
    refused(capsys, "tiny", message=message)
    assert kept.names() == []
    assert pickles(cache) == []
    assert not list(cache.parent.parent.rglob("climbed"))


def test_a_locked_archive_is_one_line(tmp_path, npz):
    data = bytearray(zipped(tiny_npz=npz))
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the flag that says: encrypted
        data[data.index(signature) + offset] |= 1
    (tmp_path / "locked.zip").write_bytes(data)
    with pytest.raises(InputError, match=r"locked.zip: tiny.npz cannot be read from it \(.*encrypted"):
        archives.enter(tmp_path / "locked.zip", "tiny.npz", tmp_path)


def test_the_table_is_sound():
    names = published.names()
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9-]+-published", name) for name in names)
    assert len({(row.url, row.file) for row in published.ROWS}) == len(names)
    for entry in published.ROWS:
        assert re.fullmatch("([0-9a-f]{8}|[0-9a-f]{64})?", entry.sha256), entry.name
        assert entry.url.startswith(("https://", "torchvision:"))
        # Digits in a file's name are those of its hash; an archive or a folder publishes none.
        assert (re.search(r"-([0-9a-f]{8})\.pth$", entry.file) or ["", ""])[1] == entry.sha256[:8]
        assert entry.restricted == (not entry.licence.startswith(("Apache", "BSD")))
        assert pathlib.PurePosixPath(entry.file).name == entry.file


@pytest.mark.parametrize(
    ("name", "manifest"),
    [
        *(("ifan", "ifan"), ("basicvsr", "basicvsr"), ("edvr", "edvr_l_5frames"), ("dmenet", "dmenet")),
        *(("refvsr", "refvsr"), ("refvsr-small", "refvsr_small"), ("refvsr-ir", "refvsr_ir")),
    ],
)
def test_rows_fit_the_networks_that_are_published(name, manifest):
    """The options of a row give the network whose parameters the release has, name by name and shape by shape."""
    path = GOLDEN / f"{manifest}_manifest.json"
    arrays = {name: np.broadcast_to(np.float32(0), shape) for name, shape in json.loads(path.read_text()).items()}
    entry = published.row(name)
    weights.convert(entry.model, arrays, **entry.options)


def test_the_list_shows_every_row(cache, server, rows, npz, capsys):
    server.files["tiny.npz"] = npz
    rows(row(server / "tiny.npz"), row(server / "x", name="other-published", licence="AGPL-3.0", restricted=True))
    assert fetch("--list") == 0
    head, tiny, other = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "model", "licence", "checked", "here"]
    assert tiny.split()[0] == "tiny-published"
    assert tiny.endswith("-")
    assert "AGPL-3.0 (to be accepted)" in other
    assert fetch("tiny") == 0
    capsys.readouterr()
    assert cli.main(["weights", "fetch", "--list"]) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("here")
    assert fetch() == 2
    assert "give a NAME, or --list" in capsys.readouterr().err


def test_an_address_that_torchvision_knows(monkeypatch):
    monkeypatch.setattr(fetching.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="vgg19-published: torchvision knows its address: pip install torchvision"):
        fetching._address(published.row("vgg19"))
