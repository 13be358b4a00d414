"""Doors that must be shut: links out of the page's folder, weights nobody vouches for, archives that unpack to more."""

import asyncio
import json
import shutil
import zipfile

import numpy as np
import pytest

import restore_jax as rj
from restore_jax import video, weights
from restore_jax.app import gate
from restore_jax.errors import InputError
from restore_jax.weights import registry
from tests import video_samples as samples


# ---------------------------------------------------------------------------------------------------------- the page
def status(root, method, path, body=b""):
    """Return the gate's answer, "passed" if it lets the request pass."""
    sent = []

    async def app(scope, receive, send):
        sent.append({"status": "passed"})

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    headers = [(b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    asyncio.run(gate.Gate(app, root, lambda: 0)(scope, receive, send))
    return sent[0]["status"]


def test_the_gate_follows_links(tmp_path):
    """A link inside the folder that leads out of it hands nothing out; the folder itself may be reached by a link."""
    root, outside = tmp_path / "root", tmp_path / "secret"
    for folder in (root / "a", outside):
        folder.mkdir(parents=True)
        (folder / "file.png").touch()
    (root / "file").symlink_to(outside / "file.png")
    (root / "folder").symlink_to(outside)
    (root / "own").symlink_to(root / "a" / "file.png")
    (tmp_path / "link").symlink_to(root)
    for path, expected in (
        (root / "file", 403),
        (root / "folder" / "file.png", 403),
        (root / "folder" / "new.png", 403),
        (root / "own", "passed"),
        (root / "a" / "file.png", "passed"),
        (tmp_path / "link" / "a" / "file.png", "passed"),
    ):
        assert status(root, "GET", f"/gradio_api/file={path}") == expected, path
        body = json.dumps({"data": [{"path": str(path)}]}).encode()
        assert status(root, "POST", "/gradio_api/queue/join", body) == expected, path
    assert status(tmp_path / "link", "GET", f"/gradio_api/file={root}/a/file.png") == "passed"


# ----------------------------------------------------------------------------------------------------------- weights
OPTIONS = {"num_feat": 4, "num_blocks": 1, "train_flow": False}
CHECKS = (weights.verify, rj.load, lambda name: weights.load_into(name, "basicvsr", OPTIONS))


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A folder of shipped weights with one network, and a function that writes its card."""
    monkeypatch.setattr(registry, "SHIPPED", tmp_path)
    shapes = rj.models.variable_shapes(rj.models.create("basicvsr", **OPTIONS))
    rng = np.random.default_rng(0)
    flat = {name: rng.random(leaf.shape, np.float32) for name, leaf in registry.flatten(shapes).items()}
    weights.save(tmp_path / "small.safetensors", weights.tree.unflatten(flat), "basicvsr", OPTIONS)
    digest = registry.sha256(tmp_path / "small.safetensors")

    def say(**card):
        card_path = tmp_path / "small.json"
        card_path.write_text(json.dumps(card))
        return card_path

    say(sha256=digest)
    return tmp_path, say


def test_weights_whose_card_says_no_sha256_are_not_vouched_for(shipped):
    _, say = shipped
    weights.verify("small")
    rj.load("small")
    say(licence="Apache-2.0")
    for check in CHECKS:
        with pytest.raises(InputError, match=r"small.json: says no sha256"):
            check("small")
    say().write_text("{")
    for check in CHECKS:
        with pytest.raises(InputError, match=r"small.json: no readable card"):
            check("small")


def test_shipped_weights_that_are_not_those_of_the_card_are_not_loaded(shipped):
    folder, _ = shipped
    path = folder / "small.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1  # a bit of a parameter: the file can be read
    path.write_bytes(data)
    for check in CHECKS:
        with pytest.raises(InputError, match=r"small.safetensors: sha256 is .*the file is damaged"):
            check("small")
    # A file of a person's own has no card beside it.
    shutil.copy(path, folder.parent / "own.safetensors")
    rj.load(folder.parent / "own.safetensors")
    assert weights.verify(folder.parent / "own.safetensors") == registry.sha256(path)


def test_an_archive_that_unpacks_to_far_more_than_it_is_is_not_unpacked(tmp_path, monkeypatch):
    """A small file of zeros, which deflate to a thousandth; one of noise, as weights are, is read."""
    zeros, noise = tmp_path / "zeros.npz", tmp_path / "noise.npz"
    np.savez_compressed(zeros, a=np.zeros(2**25, np.float32))
    np.savez_compressed(noise, a=np.random.default_rng(0).random(1000, np.float32))
    assert zeros.stat().st_size < 2**18
    assert weights.read_published(noise)["a"].shape == (1000,)
    read = []
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: read.append(1) or b"")
    with pytest.raises(InputError, match=r"zeros.npz: holds 128 MiB in \d+ bytes"):
        weights.read_published(zeros)
    assert not read


# ------------------------------------------------------------------------------------------------------------- colours
@pytest.mark.parametrize(("width", "height", "matrix"), [(16, 576, 6), (16, 578, 1), (1278, 16, 6), (1280, 16, 1)])
def test_a_video_that_names_no_matrix_is_bt709_where_it_is_larger_than_pal(tmp_path, width, height, matrix):
    samples.save(tmp_path / "a.mp4", np.zeros((1, height, width, 3), np.uint8), matrix=2)
    assert video.probe(tmp_path / "a.mp4").matrix == matrix
