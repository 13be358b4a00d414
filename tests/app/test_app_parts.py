"""Parts of `restore-jax app`, without a browser: limits, cancelling, whose files are whose, what passes the gate."""

import asyncio
import importlib.util
import json
import os
import pathlib
import socket
import sys
import threading

import imageio.v3 as iio
import numpy as np
import pytest

from restore_jax import cli
from restore_jax.app import gate, jobs, page, sessions
from restore_jax.errors import InputError, install_line
from restore_jax.video import stream
from tests import video_samples as samples


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")  # the tests leave nothing in the home folder


# --------------------------------------------------------------------------------------------------------------- jobs
def test_cancelling_stops_the_work_at_the_next_frame(tmp_path, monkeypatch):
    samples.save(tmp_path / "clip.mp4", samples.drawn(40))
    taken, cancelled = [], threading.Event()
    monkeypatch.setattr(stream, "from_float", lambda image, dtype: taken.append(1) or np.zeros(image.shape, dtype))

    def show(part, text):
        if text.startswith("frame 3 of 40"):
            cancelled.set()

    with pytest.raises(jobs.Cancelled):
        jobs.enlarge(jobs.Job(tmp_path, jobs.Limits(), cancelled, show), tmp_path / "clip.mp4", weights="bicubic")
    assert len(taken) == 4
    assert not (tmp_path / "clip_enlarged.mp4").exists()


def test_what_is_beyond_the_limits_is_refused(tmp_path):
    samples.save(tmp_path / "clip.mp4", samples.drawn(45))
    iio.imwrite(tmp_path / "photo.png", np.zeros((100, 200, 3), np.uint8))

    def job(**limits):
        return jobs.Job(tmp_path, jobs.Limits(**limits))

    with pytest.raises(InputError, match=r"clip.mp4: lasts 1.5 s: over the limit of 1 s"):
        jobs.enlarge(job(seconds=1), tmp_path / "clip.mp4", weights="bicubic")
    with pytest.raises(InputError, match=r"clip.mp4: would become 256 x 192 px: over the limit of 0.01 megapixels"):
        jobs.enlarge(job(megapixels=0.01), tmp_path / "clip.mp4", weights="bicubic")
    jobs.check_clip(job(megapixels=0.01), tmp_path / "clip.mp4")  # may be a reference, which is not enlarged
    with pytest.raises(InputError, match=r"photo.png: is 200 x 100 px: over the limit of 0.0199 megapixels"):
        jobs.preview(job(megapixels=0.0199), tmp_path / "photo.png")
    assert jobs.preview(job(megapixels=0.02), tmp_path / "photo.png").exists()
    with pytest.raises(InputError, match="stopped after 0 minutes"):
        jobs.enlarge(job(minutes=0), tmp_path / "clip.mp4", weights="bicubic")


def test_a_clip_with_sound_that_mp4_cannot_hold(tmp_path):
    samples.save(tmp_path / "clip.mkv", samples.drawn(4), audio="wavpack")
    found = jobs.enlarge(jobs.Job(tmp_path, jobs.Limits()), tmp_path / "clip.mkv", weights="bicubic")
    assert found.video.name == "clip_enlarged.mkv"
    assert found.video.exists()
    assert iio.imread(found.before).shape == iio.imread(found.after).shape == (192, 256, 3)


def test_pictures_for_the_screen_are_bounded(tmp_path):
    iio.imwrite(tmp_path / "wide.png", np.zeros((20, 3 * jobs.SHOWN, 3), np.uint8))
    shown = iio.imread(jobs.preview(jobs.Job(tmp_path, jobs.Limits()), tmp_path / "wide.png"))
    assert shown.shape == (7, jobs.SHOWN, 3)


# ----------------------------------------------------------------------------------------------------------- sessions
@pytest.fixture
def kept(tmp_path):
    """Sessions in a folder with one example."""
    found = sessions.Sessions(tmp_path)
    found.examples.mkdir()
    (found.examples / "cat.png").touch()
    return found


def uploaded(kept, name):
    """A file where Gradio puts it."""
    path = kept.root / f"{name}-hash" / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    return path


def test_files_go_with_the_last_page_that_has_them(kept):
    shared, own, example = uploaded(kept, "shared.png"), uploaded(kept, "own.png"), kept.examples / "cat.png"
    first, _ = kept.start("a", "deblur", [shared, own, example])
    second, _ = kept.start("b", "deblur", [shared])
    assert first.is_dir()
    kept.end("a")
    assert not first.exists()
    assert not own.parent.exists()
    assert shared.exists()
    assert second.is_dir()
    kept.end("b")
    assert not shared.parent.exists()
    assert example.exists()
    kept.end("b")  # a page that is not open


def test_a_job_takes_the_place_of_the_last_of_its_kind(kept):
    first, _ = kept.start("a", "deblur", [])
    other, _ = kept.start("a", "magnify", [])
    second, flag = kept.start("a", "deblur", [])
    assert [first.exists(), other.exists(), second.exists()] == [False, True, True]
    kept.cancel("b", "deblur")
    kept.cancel("a", "magnify")
    assert not flag.is_set()
    kept.cancel("a", "deblur")
    assert flag.is_set()


def test_a_closed_page_stops_its_jobs(kept):
    flags = [kept.start("a", kind, [])[1] for kind in ("deblur", "enlarge")]
    kept.finish("a", "deblur", flags[0])
    kept.close()
    assert [flag.is_set() for flag in flags] == [False, True]


def test_abandoned_files_are_swept(kept, monkeypatch):
    claimed, abandoned, young = (uploaded(kept, f"{name}.png") for name in ("claimed", "abandoned", "young"))
    folder, _ = kept.start("a", "deblur", [claimed])
    (kept.root / "sessions" / "closed" / "deblur-late").mkdir(parents=True)
    (kept.root / "tmp123").touch()
    for path in (claimed.parent, abandoned.parent, kept.root / "tmp123", kept.examples):
        os.utime(path, (0, 0))
    kept.sweep()
    there = {path.name for path in kept.root.iterdir()}
    assert there == {"claimed.png-hash", "young.png-hash", "examples", "sessions"}
    assert list((kept.root / "sessions").iterdir()) == [folder.parent]
    assert young.exists()
    monkeypatch.setattr(sessions, "IDLE", -1)
    kept.sweep()
    assert not claimed.exists()


# ------------------------------------------------------------------------------------------------------------- errors
def test_errors_name_files_but_not_where_they_lie(caplog):
    root = pathlib.Path("/tmp/restore-jax-app-x")
    said = f"{root}/0a1b/my cat.png: is 1/2 of {root}/sessions/ff/deblur-12/cat_small.png; /private/ifan.st: damaged"
    weights = ("/private/ifan.st", "dmenet", None)
    assert page.without_folders(said, root, weights) == "my cat.png: is 1/2 of cat_small.png; ifan.st: damaged"
    assert page.words(InputError(said)) == said
    assert page.words(jobs.Cancelled()) == "Cancelled."
    assert not caplog.text
    assert page.words(FileNotFoundError("/private/secret")) == page.OURS
    assert "/private/secret" in caplog.text  # for whoever runs the server


# --------------------------------------------------------------------------------------------------------------- gate
def passes(root, method, path, body=b"", length=None, kept=0):
    """The status of a request that the gate answers; the body that arrives behind it if it lets the request pass."""
    arrived, sent = [], []

    async def app(scope, receive, send):
        arrived.append((await receive())["body"])

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    length = len(body) if length is None else length
    headers = [] if length < 0 else [(b"content-length", str(length).encode())]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    asyncio.run(gate.Gate(app, root, lambda: kept)(scope, receive, send))
    return arrived[0] if arrived else sent[0]["status"]


def test_the_gate_lets_pass_what_the_page_needs(tmp_path):
    for path in (
        "/",
        "/config",
        "/theme.css",
        "/assets/index.js",
        "/gradio_api/queue/data",
        "/gradio_api/heartbeat/x1",
    ):
        assert passes(tmp_path, "GET", path) == b""
    assert passes(tmp_path, "GET", f"/gradio_api/file={tmp_path}/sessions/x/out.png") == b""
    body = json.dumps({"data": [{"path": f"{tmp_path}/hash/photo.png", "url": "http://x"}, 4], "fn_index": 1}).encode()
    assert passes(tmp_path, "POST", "/gradio_api/queue/join", body) == body
    assert passes(tmp_path, "POST", "/gradio_api/upload", b"...") == b"..."


def test_the_gate_keeps_the_rest_out(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root2").mkdir()
    root = tmp_path / "root"
    for path in (f"{root}2/x", f"{root}/../x", f"{root}", "x", "", "https://example.com/x", "/etc/passwd"):
        assert passes(root, "GET", f"/gradio_api/file={path}") == 403, path
        body = json.dumps({"data": [[{"a": {"path": path}}]]}).encode()
        assert passes(root, "POST", "/gradio_api/queue/join", body) == 403, path
    for path in ("/monitoring", "/gradio_api/proxy=http://x", "/gradio_api/runs", "/docs", "/gradio_api/deep_link"):
        assert passes(root, "GET", path) == 403, path
    for path in ("/", "/gradio_api/component_server", "/gradio_api/process_recording", "/gradio_api/vibe-edit"):
        assert passes(root, "POST", path, b"{}") == 403, path
    assert passes(root, "PUT", "/") == 403
    assert passes(root, "POST", "/gradio_api/queue/join", b"no json") == 403
    assert passes(root, "POST", "/gradio_api/queue/join", b"[" * 100_000) == 403
    assert passes(root, "POST", "/gradio_api/queue/join", length=gate.MAX_JSON + 1) == 413
    assert passes(root, "POST", "/gradio_api/upload", length=gate.MAX_UPLOAD + 1) == 413
    assert passes(root, "POST", "/gradio_api/upload", length=-1) == 411
    assert passes(root, "POST", "/gradio_api/upload", b"1", kept=gate.MAX_KEPT) == 507


# --------------------------------------------------------------------------------------------------------------- verb
def refused(capsys, *arguments):
    assert cli.main(["app", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="pip install '.[app]'")
def test_one_line_for_what_cannot_be_started(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"--port {port}: cannot listen on 127.0.0.1: Address already in use" in refused(capsys, "--port", port)
    assert "--host no.such.host.invalid: " in refused(capsys, "--host", "no.such.host.invalid")
    assert "--max-seconds 0: must be above 0" in refused(capsys, "--max-seconds", "0")
    assert "--queue -1: must be above 0" in refused(capsys, "--queue", "-1")
    assert "--port 70000" in refused(capsys, "--port", "70000")
    assert "tasks are deblur, map, video" in refused(capsys, "--weights", "ifan")
    assert "missing.safetensors" in refused(capsys, "--weights", "video=missing.safetensors")
    assert "bicubic: no such weights" in refused(capsys, "--weights", "deblur=bicubic")


def test_one_line_without_gradio(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert refused(capsys) == "restore-jax: app: Gradio is not installed: " + install_line("app")


def test_help_states_the_limits(capsys):
    assert cli.main(["app", "--help"]) == 0
    said = capsys.readouterr().out
    for limit in ("default: 34)", "default: 20)", "default: 15)", "default: 16)", "256 MB", "4 GB", "of memory"):
        assert limit in said
    assert (gate.MAX_UPLOAD, gate.MAX_KEPT) == (256 * 10**6, 4 * 10**9)
    assert jobs.Limits() == jobs.Limits(34, 20, 15)
