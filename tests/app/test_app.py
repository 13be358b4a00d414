"""restore-jax app from a browser: what is uploaded, clicked, seen, downloaded, refused, cancelled, and out of reach."""

import http.client
import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import types

import imageio.v3 as iio
import numpy as np
import pytest

from restore_jax import cli, video, weights
from tests import needed
from tests import video_samples as samples
from tests.moving_scene import filmed
from tests.random_weights import save_random

if importlib.util.find_spec("gradio") is None:  # not imported here: it leaves event loops open
    pytest.skip("Gradio is not installed: pip install '.[app]'", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")

LIMITS = ["--max-megapixels", "0.5", "--max-seconds", "60", "--max-minutes", "2"]
CARD = {"licence": "CC0", "what": "drawn numbers", "sigma_unit": 2.0}
# Both pictures of the slider that is to be seen have come.
SHOWN = """() => {
    const seen = [...document.querySelectorAll("[id$=-slider] img")].filter(image => image.getClientRects().length)
    return seen.length === 2 && seen.every(image => image.complete && image.naturalWidth > 0)
}"""
LONG = 1500  # frames: a clip that takes seconds to enlarge


def chromium():
    """The path of a Chromium."""
    return needed.chromium() or pytest.skip("no Chromium is installed: apt-get install chromium")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a running page, and the folder with all its files; SIGTERM, which must clean up, stops it."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "tmp").mkdir()
    chosen = {
        "deblur": save_random(folder / "ifan.safetensors", "ifan", CARD, width=4, num_filters=1),
        "map": save_random(folder / "dmenet.safetensors", "dmenet", CARD, width_divisor=16),
        "video": "bicubic",
    }
    options = [option for task, name in chosen.items() for option in ("--weights", f"{task}={name}")]
    command = [sys.executable, "-m", "restore_jax.cli", "app", "--port", "0", *options, *LIMITS]
    environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "RESTORE_JAX_CACHE": ""}
    with open(folder / "stderr", "w") as errors:
        running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        said = running.stdout.readline()
        assert said.startswith("http://127.0.0.1:"), (folder / "stderr").read_text()
        (root,) = (folder / "tmp").glob("restore-jax-app-*")
        yield types.SimpleNamespace(url=said.split()[0], root=root, deblur=str(chosen["deblur"]))
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0
        assert not root.exists()
        assert "Traceback" not in (folder / "stderr").read_text()
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


@pytest.fixture(scope="module")
def browser(server):
    playwright.expect.set_options(timeout=60_000)
    with playwright.sync_playwright() as running:
        # No sandbox: tests may run as root in a container.
        browser = running.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(server, browser):
    """Opens the page for one more user. All they ask for comes from the server."""
    contexts = []

    def asked(request):
        assert request.url.startswith((server.url, "data:", "blob:")), request.url

    def open_page():
        contexts.append(browser.new_context(accept_downloads=True))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.on("request", asked)
        page.goto(server.url)
        return page

    yield open_page
    for context in contexts:
        context.close()


def upload(page, where, path):
    """Uploads a file and waits until it is there."""
    page.set_input_files(f"#{where} input[type=file]", path)
    playwright.expect(page.locator(f"#{where}").get_by_text(pathlib.Path(path).stem).first).to_be_visible()


def downloaded(page, button, folder):
    """Waits for a result, until its pictures, which move the button as they come, are there too, and downloads it."""
    playwright.expect(page.locator(f"#{button}")).to_be_enabled()
    page.wait_for_function(SHOWN)
    with page.expect_download() as download:
        page.locator(f"#{button}").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def until(page, condition):
    """Lets the browser go on until something is so."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never was"
        page.wait_for_timeout(50)


def words_of(capsys, *arguments):
    """The line with which the command refuses something."""
    assert cli.main(list(arguments)) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("restore-jax: ")]
    return line.removeprefix("restore-jax: ")


def save_photo(path, height, width, dtype=np.uint8, seed=0):
    pixels = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (height, width, 3), dtype, endpoint=True)
    iio.imwrite(path, pixels)
    return path


# ------------------------------------------------------------------------------------------------------- in a browser
def test_a_photograph_is_deblurred_and_downloaded(opened, server, tmp_path):
    page = opened()
    upload(page, "deblur-photo", save_photo(tmp_path / "my photo.tif", 40, 56, np.uint16))
    page.locator("#deblur-run").click()
    result = downloaded(page, "deblur-get", tmp_path)
    assert result.name == "my photo_deblurred.tif"
    image = iio.imread(result)
    assert (image.shape, image.dtype) == ((40, 56, 3), np.uint16)  # the depth is kept
    map_ = downloaded(page, "map-get", tmp_path)
    assert map_.name == "my photo_defocus.png"
    pictures = page.locator("#deblur-slider img")
    playwright.expect(pictures).to_have_count(2)
    sizes = [picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") for picture in pictures.all()]
    assert sizes == [[56, 40], [56, 40]]


def test_blur_is_magnified(opened, tmp_path):
    page = opened()
    page.get_by_role("tab", name="Magnify blur").click()
    upload(page, "magnify-photo", save_photo(tmp_path / "small.png", 40, 56))
    page.locator("#magnify-run").click()
    assert iio.imread(downloaded(page, "magnify-get", tmp_path)).shape == (40, 56, 3)


def test_two_users_at_once_get_their_own_and_leave_nothing(opened, server, tmp_path):
    pages = opened(), opened()
    sides = (40, 48), (56, 40)
    for page, (height, width) in zip(pages, sides, strict=True):
        (tmp_path / str(height)).mkdir()
        upload(page, "deblur-photo", save_photo(tmp_path / str(height) / "mine.png", height, width, seed=height))
    for page in pages:
        page.locator("#deblur-run").click()
    for page, (height, width) in zip(pages, sides, strict=True):
        result = downloaded(page, "deblur-get", tmp_path / str(height))
        assert iio.imread(result).shape == (height, width, 3)

    def kept(*names):  # os.walk passes over folders that are being removed
        return sorted(file for _, _, files in os.walk(server.root) for file in files if file in names)

    names = ("mine.png", "mine_deblurred.png", "preview.jpg")
    assert kept(*names[:2]) == ["mine.png"] * 2 + ["mine_deblurred.png"] * 2
    pages[0].context.close()
    until(pages[1], lambda: kept(*names) == sorted(names))
    pages[1].reload()
    until(pages[1], lambda: not kept(*names))


def test_a_clip_is_cancelled_and_the_next_one_enlarged(opened, server, tmp_path):
    page = opened()
    page.get_by_role("tab", name="Enlarge a clip").click()
    samples.save(tmp_path / "long.mp4", np.tile(filmed(20, size=(64, 48)), (LONG // 20, 1, 1, 1)))
    samples.save(tmp_path / "short.mp4", filmed(6, size=(64, 48)))
    upload(page, "enlarge-wide", tmp_path / "long.mp4")
    page.locator("#enlarge-run").click()
    playwright.expect(page.locator("#enlarge-video").get_by_text(f" of {LONG}")).to_be_visible()
    page.locator("#enlarge-cancel").click()
    playwright.expect(page.locator("#enlarge-status")).to_have_text("Cancelled.")

    def work():
        return [folder for _, folders, _ in os.walk(server.root) for folder in folders if folder.startswith("enlarge-")]

    until(page, lambda: not work())  # it stops working, and what it had is removed
    assert page.locator("#enlarge-get").is_disabled()
    page.locator("#enlarge-wide").get_by_label("Clear").click()
    upload(page, "enlarge-wide", tmp_path / "short.mp4")
    page.locator("#enlarge-run").click()
    result = video.probe(downloaded(page, "enlarge-get", tmp_path))
    assert (result.path.name, result.width, result.height, len(result)) == ("short_enlarged.mp4", 256, 192, 6)
    found = page.locator("#enlarge-found textarea").input_value()
    assert "enlarged by bicubic" in found
    assert str(server.root) not in found
    playwright.expect(page.locator("#enlarge-slider img")).to_have_count(2)


def test_bad_files_are_refused_in_the_words_of_the_command(opened, server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = opened()

    def toast(text):
        message = page.get_by_test_id("toast-body").filter(has_text=text)
        playwright.expect(message.first).to_be_visible()
        return message.first.inner_text()

    pathlib.Path("my notes.jpg").write_text("no photograph")
    words = words_of(capsys, "deblur", "my notes.jpg", "--weights", server.deblur)
    upload(page, "deblur-photo", "my notes.jpg")
    assert words in toast("my notes.jpg")
    page.locator("#deblur-photo").get_by_label("Clear").click()
    iio.imwrite("large.png", np.zeros((800, 700, 3), np.uint8))
    upload(page, "deblur-photo", "large.png")
    assert "large.png: is 700 x 800 px: over the limit of 0.5 megapixels" in toast("large.png")

    page.get_by_role("tab", name="Enlarge a clip").click()
    samples.save("whole.mp4", filmed(6, size=(64, 48)))
    pathlib.Path("cut.mp4").write_bytes(pathlib.Path("whole.mp4").read_bytes()[:3000])
    words = words_of(capsys, "vsr", "cut.mp4", "-o", "out.mp4")
    upload(page, "enlarge-wide", "cut.mp4")
    assert words in toast("cut.mp4")


# ----------------------------------------------------------------------------------------------- what is not reachable
def answer(server, method, path, body=None, headers=()):
    """The status of a request whose path is sent as it is."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_no_file_of_the_server_is_reachable(server, tmp_path):
    up = "/".join([".."] * 12)
    (server.root / "link.png").symlink_to("/etc/passwd")
    package = pathlib.Path(weights.__file__)
    paths = [
        *("/gradio_api/file=/etc/passwd", f"/gradio_api/file={server.root}/{up}/etc/passwd"),
        *(f"/gradio_api/file={server.root}/%2e%2e/%2e%2e/%2e%2e/etc/passwd", f"/gradio_api/file={up}/etc/passwd"),
        *(f"/gradio_api/file={server.root}/link.png", f"/gradio_api/file={package}", f"/gradio_api/file/{package}"),
        *("/gradio_api/file=file:///etc/passwd", "/gradio_api/file=http://127.0.0.1:1/", "/file=/etc/passwd"),
        *(f"/static/{up}/etc/passwd", f"/assets/{up}/etc/passwd", "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/routes.py"),
        *("/gradio_api/proxy=http://example.com", f"/gradio_api/file={server.root}", "/monitoring", "/gradio_api/runs"),
        *("/gradio_api/deep_link", "/gradio_api/openapi.json", "/docs", "/gradio_api/file=%00/etc/passwd"),
    ]
    for path in paths:
        status, body = answer(server, "GET", path)
        assert status in (403, 404), path
        assert b"root:" not in body
        assert b"import" not in body
    example = next(server.root.glob("examples/cat.png"))
    assert answer(server, "GET", f"/gradio_api/file={example}")[0] == 200


def test_no_file_of_the_server_is_taken_for_an_upload(server):
    for path in ("/etc/passwd", "http://127.0.0.1:1/x.png", "https://example.com/x.png", f"{server.root}/../../x"):
        data = {"path": path, "meta": {"_type": "gradio.FileData"}}
        for function in ("queue/join", "run/predict"):
            body = json.dumps({"data": [data], "fn_index": 0, "session_hash": "abc"})
            headers = {"content-type": "application/json"}
            assert answer(server, "POST", f"/gradio_api/{function}", body, headers)[0] == 403, path
    assert answer(server, "POST", "/gradio_api/upload", headers={"content-length": str(10**9)})[0] == 413
    assert answer(server, "POST", "/gradio_api/vibe-edit/", "{}")[0] == 403
