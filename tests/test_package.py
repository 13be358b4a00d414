"""The package as a whole: light to import, one-way imports, licence and version where they belong."""

import ast
import pathlib
import subprocess
import sys
import tomllib

import pytest

import restore_jax

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = pathlib.Path(restore_jax.__file__).parent  # a wheel's, where the tests run from one
HEAVY = ("jax", "tensorflow", "torch", "cv2", "flax", "skimage", "scipy", "PIL", "imageio")


def test_importing_loads_nothing_heavy():
    code = "import sys, restore_jax; print(*[m for m in sys.argv[1:] if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, *HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_everything_promised_is_there():
    for name in restore_jax.__all__:
        assert getattr(restore_jax, name) is not None
        assert name in dir(restore_jax)
    with pytest.raises(AttributeError, match="no attribute 'deblurr'"):
        restore_jax.deblurr  # noqa: B018


# Each part may import those named after it, and itself (design.md).
LAYERS = {
    "ops": {"ops"},
    "models": {"models", "ops"},
    "losses": {"ops"},
    "metrics": {"models", "similarity", "weights", "errors"},
    "metrics_fov": {"metrics", "similarity"},
    "similarity": set(),
    "arguments": set(),
    "tasks": {"losses", "metrics", "models", "ops", "weights"},
    "training": {"atomic", "errors"},
    "config": {"data", "errors"},
    "data": {"errors", "io", "ops", "video"},
    "video": {"atomic", "codecs", "errors", "io"},
    "engines": {"errors", "restore", "weights"},
    "stream": {"engines", "errors", "io", "pairing", "restore", "video"},
    "segments": {"atomic", "errors", "io", "video", "weights"},
    "pairing": {"errors", "video"},
    "adaptation": {"errors", "restore", "weights"},
    "weights": {"atomic", "codecs", "errors", "models"},
    "restore": {"errors", "io", "weights"},
    "export": {"atomic", "engines", "errors", "restore"},
    "defocus": {"atomic", "classical", "errors", "io", "ops", "panels", "restore", "weights"},
    "panels": set(),
    "classical": {"classical"},
    "app": {
        *("cli", "cli_defocus", "cli_vsr", "data", "defocus", "errors", "io", "restore", "stream", "video", "weights"),
    },
    "io": {"atomic", "codecs", "errors"},
    "codecs": {"codecs", "errors"},
    "errors": set(),
    "atomic": {"errors"},
}


@pytest.mark.parametrize("part", LAYERS)
def test_imports_point_one_way(part):
    where = PACKAGE / part
    files = sorted(where.rglob("*.py")) if where.is_dir() else [where.with_suffix(".py")]
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                top, _, rest = name.partition(".")
                if top == "restore_jax":
                    assert rest.split(".")[0] in LAYERS[part] | {part}, f"{file}: {name}"


def test_version_is_said_once():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == restore_jax.__version__
