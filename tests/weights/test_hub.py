"""weights.hub: push and pull against a server on this machine that answers as the Hugging Face Hub does."""

import base64
import contextlib
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import yaml

import restore_jax as rj
from restore_jax import cli, weights
from restore_jax.errors import InputError
from restore_jax.weights import hub, kept
from restore_jax.weights.files import sha256
from restore_jax.weights.tree import flatten

pytest.importorskip("huggingface_hub", reason="only needed to share weights; CI installs it")

# huggingface_hub sends files as its HTTP library has it no longer.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

OPTIONS = {"width": 4, "num_filters": 8}
CARD = {"licence": "MIT", "limits": "tiny"}


class Hub:
    """One repository of a hub: its files by commit, newest last; objects are what large files were uploaded as."""

    def __init__(self):
        self.commits, self.objects, self.seen, self.large, self.token = [], {}, [], True, "sesame"
        self.announced = None  # a sha256 that is told in place of the true one


@contextlib.contextmanager
def answering(store):
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self._resolve(body=False)

        def do_GET(self):
            self._resolve(body=True)

        def _resolve(self, body):
            store.seen.append((self.command, self.path))
            match = re.fullmatch(r"/team/tiny/resolve/(\w+)/([\w.]+)", self.path)
            newest = [("main", files) for _, files in store.commits[-1:]]
            wanted = dict([*store.commits, *newest])
            files = wanted.get(match[1]) if match else None
            if files is None or match[2] not in files:
                code = "RepoNotFound" if files is None else "EntryNotFound"
                self._say(404, b"", {"X-Error-Code": code, "X-Error-Message": "not there"})
                return
            data = files[match[2]]
            tag = hashlib.sha256(data).hexdigest() if store.large else hashlib.sha1(data).hexdigest()
            commit = store.commits[-1][0] if match[1] == "main" else match[1]
            headers = {"X-Repo-Commit": commit, "ETag": f'"{tag}"', "Content-Length": str(len(data))}
            if store.large:
                headers |= {"X-Linked-Etag": f'"{store.announced or tag}"', "X-Linked-Size": str(len(data))}
            self._say(200, data if body else b"", headers)

        def do_POST(self):
            body = self._body()
            store.seen.append((self.command, self.path))
            if self.headers.get("Authorization") != f"Bearer {store.token}":
                self._say(401, b"", {"X-Error-Message": "Invalid username or password."})
            elif self.path == "/api/repos/create":
                self._json({"url": f"{url}/team/tiny", "id": "team/tiny"})
            elif self.path == "/api/validate-yaml":
                self._json({"errors": [], "warnings": []})
            elif self.path.endswith("/preupload/main"):
                mode = "lfs" if store.large else "regular"
                files = [
                    {"path": file["path"], "uploadMode": mode if file["path"] == hub.FILE else "regular"}
                    for file in json.loads(body)["files"]
                ]
                self._json({"files": [{**file, "shouldIgnore": False} for file in files]})
            elif self.path.endswith("/info/lfs/objects/batch"):
                objects = [
                    {**entry, "actions": {"upload": {"href": f"{url}/upload/{entry['oid']}"}}}
                    for entry in json.loads(body)["objects"]
                ]
                self._json({"transfer": "basic", "objects": objects}, "application/vnd.git-lfs+json")
            elif self.path.endswith("/commit/main"):
                files = {}
                for line in body.decode().splitlines():
                    entry = json.loads(line)
                    if entry["key"] == "file":
                        files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
                    elif entry["key"] == "lfsFile":
                        files[entry["value"]["path"]] = store.objects[entry["value"]["oid"]]
                commit = hashlib.sha1(body + str(len(store.commits)).encode()).hexdigest()
                store.commits.append((commit, files))
                self._json({"commitUrl": f"{url}/team/tiny/commit/{commit}", "commitOid": commit, "success": True})
            else:
                self._say(404, b"", {})

        def do_PUT(self):
            store.objects[self.path.rpartition("/")[2]] = self._body()
            self._say(200, b"", {})

        def _body(self):
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers["Content-Length"]))
            chunks = b""
            while size := int(self.rfile.readline(), 16):
                chunks += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return chunks

        def _json(self, content, kind="application/json"):
            self._say(200, json.dumps(content).encode(), {"Content-Type": kind})

        def _say(self, status, body, headers):
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        url = f"http://127.0.0.1:{listener.server_port}"
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield url
        listener.shutdown()
        thread.join()


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("HF_TOKEN", "sesame")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # large files by plain uploads
    store = Hub()
    with answering(store) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        yield store


@pytest.fixture
def tiny(tmp_path, golden):
    path = tmp_path / "tiny.safetensors"
    weights.save(path, weights.convert("ifan", golden("ifan_weights"), **OPTIONS), "ifan", OPTIONS, CARD)
    return path


@pytest.mark.parametrize("large", [True, False])
def test_what_is_pushed_is_pulled_and_loaded(store, tiny, capsys, large):
    store.large = large
    assert cli.main(["weights", "push", str(tiny), "hf://team/tiny"]) == 0
    ((commit, files),) = store.commits
    assert capsys.readouterr().out.endswith(f"/team/tiny/commit/{commit}\n")
    assert files[hub.FILE] == tiny.read_bytes()
    restorer = rj.load("hf://team/tiny")
    for name, array in flatten(rj.load(tiny).params).items():
        np.testing.assert_array_equal(flatten(restorer.params)[name], array)
    card = weights.card("hf://team/tiny")
    assert (card["licence"], card["commit"], card["source"]) == ("MIT", commit, "hf://team/tiny")
    assert card["sha256"] == weights.verify("hf://team/tiny") == sha256(tiny)
    assert kept.names() == ["hf/team/tiny"]
    asked = len(store.seen)
    rj.load("hf://team/tiny")
    assert len(store.seen) == asked, "what is here is not asked for again"


def test_a_pull_takes_the_newest_and_a_revision_stays(store, tiny, golden, capsys):
    weights.push(tiny, "hf://team/tiny")
    first = store.commits[0][0]
    weights.pull("hf://team/tiny")
    zeros = {name: np.zeros_like(array) for name, array in golden("ifan_weights").items()}
    weights.save(tiny, weights.convert("ifan", zeros, **OPTIONS), "ifan", OPTIONS, CARD)
    weights.push(tiny, "hf://team/tiny")
    before = sha256(kept.find("hf://team/tiny"))
    assert cli.main(["weights", "pull", "hf://team/tiny"]) == 0
    assert sha256(kept.find("hf://team/tiny")) == sha256(tiny) != before
    weights.pull(f"hf://team/tiny@{first}")
    assert sha256(kept.find(f"hf://team/tiny@{first}")) == before


def test_a_file_of_another_hash_is_refused(store, tiny):
    weights.push(tiny, "hf://team/tiny")
    store.announced = "0" * 64
    with pytest.raises(InputError, match=f"sha256 is {sha256(tiny)}, published is 0000"):
        weights.pull("hf://team/tiny")
    assert kept.names() == []


def test_a_commit_that_changed_is_refused(store, tiny):
    store.large = False  # so that no sha256 is published
    weights.push(tiny, "hf://team/tiny")
    weights.pull("hf://team/tiny")
    data = bytearray(store.commits[0][1][hub.FILE])
    data[-1] ^= 1
    store.commits[0][1][hub.FILE] = bytes(data)
    with pytest.raises(InputError, match=r"the first copy, of .* from hf://team/tiny, had"):
        weights.pull("hf://team/tiny")


def test_weights_that_are_not_ours_are_refused(store, tiny, tmp_path):
    weights.push(tiny, "hf://team/tiny")
    from safetensors.numpy import save

    store.commits[0][1][hub.FILE] = save({"x": np.zeros(3, np.float32)})
    with pytest.raises(InputError, match="not one of restore-jax"):
        weights.pull("hf://team/tiny")
    assert kept.names() == []
    (tmp_path / "readme.md").write_text("words")
    with pytest.raises(InputError, match=r"readme.md: not a readable safetensors file"):
        hub.push(tmp_path / "readme.md", {}, "hf://team/tiny")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("pull", "hf://team/other"), "hf://team/other: "),
        (("pull", "hf://team"), "hf://team: is not hf://ORG/NAME or hf://ORG/NAME@REVISION"),
        (("pull", "hf://team/../x"), "is not hf://ORG/NAME"),
        (("push", "nosuch", "hf://team/tiny"), "nosuch: no such weights"),
    ],
)
def test_bad_addresses_are_one_line(store, capsys, words, message):
    assert cli.main(["weights", *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_wrong_token_and_no_network_are_one_line(store, tiny, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "wrong")
    assert cli.main(["weights", "push", str(tiny), "hf://team/tiny"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("restore-jax: hf://team/tiny: ")
    assert "401" in said
    assert said.count("\n") == 1
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert cli.main(["weights", "pull", "hf://team/tiny"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("restore-jax: hf://team/tiny: ")
    assert said.count("\n") == 1


def test_the_model_card_is_one_that_the_hub_reads(store):
    card = weights.card("ifan-small")
    _, metadata, text = hub.model_card(card, "team/tiny").split("---\n", 2)
    assert yaml.safe_load(metadata) == {
        "license": "apache-2.0",
        "library_name": "restore-jax",
        "pipeline_tag": "image-to-image",
        "tags": ["jax", "image-restoration", "ifan"],
    }
    assert f"Limits: {card['limits']}." in text
    assert 'rj.load("hf://team/tiny")' in text
    assert json.loads(re.search(r"```json\n(.*)```", text, re.S)[1]) == card
    other = yaml.safe_load(hub.model_card({"licence": "ours: alone"}, "team/tiny").split("---\n")[1])
    assert (other["license"], other["license_name"]) == ("other", "ours: alone")
