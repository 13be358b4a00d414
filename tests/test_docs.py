"""README and docs: they build, what they link to is there, every command exists, and those that need nothing run.

A command that a test cannot run is marked: "# needs: ..." behind it, or a word in capitals, which stands for a file of
the reader's. Those are parsed, and configs that they name are loaded.
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

import restore_jax
from restore_jax import cli, io, weights
from restore_jax.train.config import load_config
from tests import video_samples
from tests.moving_scene import filmed
from tests.places import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
EXAMPLE = ROOT / "docs" / "add-a-network.md"
TRAIN = "python -m restore_jax.train "


def commands():
    """(page, command without its comment, whether it is to be run) of every line of code and complete inline code."""
    for page in PAGES:
        text = page.read_text()
        for line in re.findall(r"^    ((?:restore-jax|python -m restore_jax\.train) .*)$", text, re.M):
            command, _, comment = line.partition("#")
            yours = re.search(r"\b[A-Z]{2,}\b", command) or "..." in command
            yield page.name, command.strip(), not (yours or "needs:" in comment)
        for command in re.findall(r"`(restore-jax [a-z][^`]*|python -m restore_jax\.train [^`]*)`", text):
            if "..." not in command:
                yield page.name, " ".join(command.split()), False


COMMANDS = sorted(set(commands()))
GROUPS = ("app", "bench", "data", "evaluate", "export", "weights", "vsr")  # named alone, where all of them are meant


@pytest.mark.parametrize(("page", "command"), [entry[:2] for entry in COMMANDS])
def test_a_command_is_one_that_exists(page, command, monkeypatch):
    monkeypatch.chdir(ROOT)
    if command.startswith(TRAIN):
        for config in re.findall(r"--config=(\S+)", command):
            if config != "..." and "edsr" not in config:
                load_config(config, re.findall(r"--config\.\S+=\S+", command))
        return
    words = shlex.split(command)[1:]
    if "--help" in words:
        assert cli.main(words) == 0
    elif not (len(words) == 1 and words[0] in GROUPS):
        cli.parse(words)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with the files that the pages name."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "holiday").mkdir()
    picture = cv2.resize(filmed(1, size=(64, 64))[0], (64, 64)).astype(np.float32) / 255
    for name in ("photo.jpg", "photo.png", "wide.jpg", "tele.jpg", "holiday/beach.jpg"):
        io.write_photo(folder / name, picture)
    depth = np.tile(np.arange(64, dtype=np.uint16)[None] * 100 + 500, (64, 1))
    cv2.imwrite(str(folder / "depth.png"), depth)
    video_samples.save(folder / "wide.mp4", filmed(12, size=(64, 48)))
    video_samples.save(folder / "tele.mp4", filmed(12, fov=2, size=(64, 48)))
    return folder


@pytest.mark.parametrize("command", sorted({c for _, c, runs in COMMANDS if runs and not c.startswith(TRAIN)} - {
    # By the worked example:
    "restore-jax vsr photo.png --image --weights runs/edsr/final.safetensors -o large.png",
    "restore-jax export runs/edsr/final.safetensors -o exported",
    "restore-jax bench edsr --size 64x48 --repeats 1",
}))  # fmt: skip
def test_a_command_that_needs_nothing_runs(command, files, monkeypatch, tmp_path):
    monkeypatch.setenv("RESTORE_JAX_CACHE", str(files / "cache"))
    monkeypatch.chdir(shutil.copytree(files, tmp_path / "here", ignore=shutil.ignore_patterns("cache")))
    assert cli.main(shlex.split(command)[1:]) == 0


def test_the_worked_example_works(tmp_path, files):
    """Its blocks of code, put where they say, on a copy of this project; then its commands."""
    for folder in (pathlib.Path(restore_jax.__file__).parent, ROOT / "configs"):
        ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
        shutil.copytree(folder, tmp_path / folder.name, ignore=ignored)
    (tmp_path / "tests" / "models").mkdir(parents=True)
    text = EXAMPLE.read_text()
    for where, code in re.findall(r"```python\n# (\S+)[^\n]*\n(.*?)```", text.replace(", in ", " in "), re.S):
        path = tmp_path / where
        if path.exists():
            before, opened, after = path.read_text().partition("\n_NETWORKS = {\n")
            assert opened
            path.write_text(before + opened + code + after)
        else:
            path.write_text(code)
    shutil.copy(files / "photo.png", tmp_path)
    # Drawn pictures and a few steps stand in for photographs and hours.
    lines = [line.strip() for line in re.findall(r"^    (\S.*)$", text.partition("## Train it")[2], re.M)]
    assert len(lines) == 5
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "RESTORE_JAX_CACHE": "", "JAX_PLATFORMS": "cpu"}
    for line in lines:
        words = shlex.split(line.replace("restore-jax", "python -m restore_jax.cli"))[1:]
        words += ["--config.total_steps=4", "--config.evaluation.every=0"] * ("restore_jax.train" in words)
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert io.read_photo(tmp_path / "large.png").pixels.shape == (256, 256, 3)
    assert json.loads((tmp_path / "exported" / "final.json").read_text())["network"] == "EDSR"
    assert "| EDSR " in done.stdout


def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {page.stem for page in PAGES[1:]} - {"index"}
    assert pages == {path.parent.name for path in (tmp_path / "site").glob("*/index.html")}


def test_what_the_readme_links_to_is_there():
    text = (ROOT / "README.md").read_text()
    for path in re.findall(r"\]\(((?!http)[^)#]+)\)", text) + re.findall(
        r"`((?:docs|configs|tests)/[\w/.-]+\.\w+)", text
    ):
        assert (ROOT / path).exists(), path


def test_the_weights_of_the_readme_are_those_that_ship():
    rows = re.findall(
        r"^\| `([\w-]+)` \|.*?\| ([\d.]+) M \|[^|]*\| ([^|]+?) \|", (ROOT / "README.md").read_text(), re.M
    )
    assert sorted(row[0] for row in rows) == weights.shipped_names()
    for name, millions, gain in rows:
        card = weights.card(name)
        assert float(millions) == pytest.approx(card["parameters"] / 1e6, abs=0.005)
        assert card["gain"] in gain or gain in card["gain"]
