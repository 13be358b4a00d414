"""`python -m tests.needed` says which tests will be skipped on this machine, and how to have what they need.

CI installs all of it and runs pytest with --no-skips, under which a skipped test fails.
"""

import importlib.util
import shutil

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Module, what is skipped without it, and what makes it there.
MODULES = (
    ("torch", "reading PyTorch's checkpoints", "pip install '.[convert]'"),
    ("h5py", "reading Keras's checkpoints", "pip install '.[convert]'"),
    ("apache_beam", "rendering SYNDOF on a cluster", "pip install '.[beam]'"),
    ("gradio", "the web page", "pip install '.[app]'"),
    ("playwright", "the web page in a browser", "pip install '.[dev]'"),
)


def chromium() -> str | None:
    """The path of a browser that the page's tests can drive, None if there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def missing() -> list[str]:
    """A line for each thing that is not here."""
    lines = [
        f"{name} is not installed: tests of {what} will be skipped; to have them: {how}"
        for name, what, how in MODULES
        if importlib.util.find_spec(name) is None
    ]
    if chromium() is None:
        lines.append(
            "no Chromium is installed: tests of the web page in a browser will be skipped; "
            "to have them: apt-get install chromium"
        )
    return lines


if __name__ == "__main__":
    print(*(missing() or ["nothing will be skipped"]), sep="\n")
