"""The prose of the tree: how docstrings begin, what is cited, and that a reader can open it."""

import ast
import re

import pytest
import yaml

import restore_jax
from tests.places import ROOT

FIRST_WORDS = re.compile(r"(Of|The same|That of|What)\b")
# A private folder, a private page, a stage of a plan, a bar that was to be passed.
UNKNOWN = re.compile(r"\.\./shared|(?<!docs/)\bnetworks\.md|\bdesign\.md|\bStage \d|\bbar_(?!format)\w+")


def files(*places: str) -> list[str]:
    """Return the files of Python at `places`, relative to the root."""
    paths = [path for place in places for path in [ROOT / place, *(ROOT / place).rglob("*.py")]]
    return sorted(path.relative_to(ROOT).as_posix() for path in paths if path.suffix == ".py")


PYTHON = files("restore_jax", "data_prep", "configs", "tests", "tools")


def docstrings(text: str) -> list[str]:
    """Return every docstring of a module's text."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [ast.get_docstring(node) for node in ast.walk(ast.parse(text)) if isinstance(node, documented)]
    return [text for text in found if text is not None]


def unknown(text: str) -> list[str]:
    """Return what a text cites that a reader cannot open."""
    return UNKNOWN.findall(text)


@pytest.mark.parametrize("name", PYTHON)
def test_docstrings_begin_with_a_subject_or_a_verb(name):
    assert [text for text in docstrings((ROOT / name).read_text()) if FIRST_WORDS.match(text)] == []


def texts() -> list[str]:
    """Return every text file that a reader may open, but this one."""
    endings = ("*.md", "docs/*.md", "data_prep/**/*.md", "colab/*.ipynb", "restore_jax/weights/shipped/*.json")
    names = [path.relative_to(ROOT).as_posix() for ending in endings for path in ROOT.glob(ending)]
    return sorted({*PYTHON, *names, "Makefile", "pyproject.toml", "CITATION.cff"} - {"tests/test_prose.py"})


@pytest.mark.parametrize("name", texts())
def test_a_reader_can_open_what_is_cited(name):
    text = (ROOT / name).read_text()
    links = re.sub(r"\]\([\w-]+\.md\)", "", text) if name.startswith("docs/") else text  # of a page to a page beside it
    assert unknown(links) == []


def test_the_rules_catch_what_they_forbid():
    for text in ("../shared/data", "see networks.md 4", "design.md", "Stage 4 asks", "tests/bar_vsr.py"):
        assert unknown(text), text
    for text in ("docs/networks.md 4", "a bar_format of tqdm", "stage 2 of TTSR", "a bar"):
        assert not unknown(text), text
    assert docstrings('"""Of two."""\n\n\ndef f():\n    """What it is."""\n') == ["Of two.", "What it is."]


def sections(text: str) -> set[str]:
    """Return the numbers of a page's sections."""
    return set(re.findall(r"^## (\d+)\.", text, re.M))


def test_cited_sections_of_the_networks_page_exist():
    there = sections((ROOT / "docs" / "networks.md").read_text())
    assert there == set("123456")
    text = "".join((ROOT / name).read_text() for name in PYTHON)
    cited = re.findall(r"docs/networks\.md,? (\d+)", text)
    assert set(cited) <= there


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == restore_jax.__version__
    assert citation["preferred-citation"]["year"] == 2023
