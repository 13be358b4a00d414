"""weights.download: downloads that go on where they broke off, against a server on this machine."""

import io

import numpy as np
import pytest

from restore_jax.errors import InputError
from restore_jax.weights import download as module
from restore_jax.weights.download import download
from tests.file_server import serving

DATA = np.random.default_rng(0).bytes(2**20)
THIRD = len(DATA) // 3


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with serving() as server:
        server.files["file"] = DATA
        yield server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


def alone(path):
    """Asserts that a download left its file and nothing else."""
    assert path.read_bytes() == DATA
    assert list(path.parent.iterdir()) == [path]


def test_a_file_comes_whole_with_progress(server, path):
    seen = []
    download(server / "file", path, lambda *numbers: seen.append(numbers))
    alone(path)
    assert seen[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert server.starts() == [None]


def test_a_redirect_is_followed(server, path):
    server.answers["moved"] = (302, {"Location": server / "file"}, b"")
    download(server / "moved", path)
    alone(path)


@pytest.mark.parametrize("tags", [True, False])
def test_what_breaks_off_is_continued_at_once(server, path, tags):
    server.tags, server.cut["file"] = tags, [THIRD, 10]
    download(server / "file", path)
    alone(path)
    assert server.starts() == [None, f"bytes={THIRD}-", f"bytes={THIRD + 10}-"]
    assert ("If-Range" in server.requests[1][1]) == tags


def test_a_download_that_was_given_up_is_continued_by_the_next(server, path, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    server.cut["file"] = [THIRD]
    with pytest.raises(InputError, match=f"file: broke off, .* announced after {THIRD:,} bytes; the same"):
        download(server / "file", path)
    assert not path.exists()
    download(server / "file", path)
    alone(path)
    assert server.starts() == [None, f"bytes={THIRD}-"]


def test_a_server_that_knows_no_ranges_is_asked_for_the_whole_again(server, path):
    server.ranges, server.cut["file"] = False, [THIRD]
    download(server / "file", path)
    alone(path)


def test_a_file_that_changed_meanwhile_is_begun_anew(server, path, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    server.files["file"], server.cut["file"] = DATA[::-1], [THIRD]
    with pytest.raises(InputError, match="broke off"):
        download(server / "file", path)
    server.files["file"] = DATA
    download(server / "file", path)
    alone(path)
    assert server.starts() == [None, f"bytes={THIRD}-"]


def test_a_file_of_another_length_is_begun_anew(server, path):
    server.tags, server.files["file"], server.cut["file"] = False, DATA + b"more", [THIRD]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ATTEMPTS", 1)
        with pytest.raises(InputError, match="broke off"):
            download(server / "file", path)
    server.files["file"] = DATA
    with pytest.raises(InputError, match="offers another file than before"):
        download(server / "file", path)
    download(server / "file", path)
    alone(path)


def test_another_address_is_not_continued(server, path, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    server.cut["other"], server.files["other"] = [THIRD], DATA[::-1]
    with pytest.raises(InputError, match="broke off"):
        download(server / "other", path)
    download(server / "file", path)
    alone(path)


def test_a_server_that_falls_silent_is_given_up(server, path, monkeypatch):
    monkeypatch.setattr(module, "STALL", 0.2)
    server.stall["file"] = [0]
    with pytest.raises(InputError, match=r"file: stalled: not a byte came in 0\.2 s$"):
        download(server / "file", path)
    server.stall["file"] = [THIRD]
    download(server / "file", path)
    alone(path)
    assert server.starts() == [None, None, f"bytes={THIRD}-"]


def test_what_keeps_breaking_off_ends(server, path):
    server.cut["file"] = [10] * 20
    with pytest.raises(InputError, match=f"broke off, .* after {10 * module.ATTEMPTS} bytes"):
        download(server / "file", path)
    assert len(server.requests) == module.ATTEMPTS


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((404, {}, b"no"), "HTTP 404 Not Found"),
        ((403, {}, b"no"), "HTTP 403 Forbidden"),
        ((503, {}, b"no"), "HTTP 503"),
        ((200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>"), "sends a web page, no file"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "Redirection to url 'file:///etc/passwd' is not allowed"),
        ((302, {"Location": "ftp://a.invalid/b"}, b""), "ftp://a.invalid/b, which is not encrypted or no web address"),
        ((302, {"Location": "/odd"}, b""), "HTTP 302 The HTTP server returned a redirect error"),
        ((200, {"Content-Length": str(2**50)}, b""), "are more than any published weights have"),
    ],
)
def test_answers_that_are_no_file_are_one_line(server, path, answer, message):
    server.answers["odd"] = answer
    with pytest.raises(InputError) as caught:
        download(server / "odd", path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(server.url)
    assert "\n" not in str(caught.value)
    assert not path.exists()


def test_a_file_without_end_is_cut(server, path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", THIRD)
    server.lengths = False
    with pytest.raises(InputError, match=f"sends more than the {THIRD:,} bytes that it may"):
        download(server / "file", path)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:1/file", "cannot be reached"),
        ("http://nowhere.invalid/file", "cannot be reached"),
        ("ftp://127.0.0.1/file", "ftp scheme"),
        ("/etc/passwd", "no scheme"),
    ],
)
def test_no_network_is_one_line(path, url, message, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(InputError) as caught:
        download(url, path)
    assert str(caught.value).startswith(f"{url}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_encryption_is_not_given_up():
    request = module.urllib.request.Request("https://a.invalid/file")
    redirects, answer = module._Redirects(), io.BytesIO()
    assert redirects.redirect_request(request, answer, 302, "", {}, "https://b.invalid/file").full_url.startswith(
        "https"
    )
    with pytest.raises(InputError, match="sends on to http://b"):
        redirects.redirect_request(request, answer, 302, "", {}, "http://b.invalid/file")
