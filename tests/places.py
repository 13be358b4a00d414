"""Folders that tests read, wherever a test's own file lies."""

import pathlib

GOLDEN = pathlib.Path(__file__).parent / "golden"
ROOT = pathlib.Path(__file__).parent.parent
