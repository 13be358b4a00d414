"""The package as a whole: light to import, one-way imports, licence and version where they belong."""

import ast
import graphlib
import pathlib
import subprocess
import sys
import tomllib

import pytest

import restore_jax
from tests.places import ROOT
from tests.slow import SLOW

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


@pytest.mark.parametrize("name", ["ops", "models", "tasks"])
def test_a_face_lists_what_is_there_and_nothing_else(name):
    face = getattr(restore_jax, name)
    assert dir(face) == sorted(face.__all__)
    for entry in dir(face):
        assert getattr(face, entry) is not None
    files = {path.stem for path in (PACKAGE / name).glob("*.py")} - {"__init__"}
    assert name == "models" or set(dir(face)) - {"NAMES", "get"} == files - {"terms"}
    assert name != "models" or {"create", "NAMES"} < set(dir(face))


# Every part of the tree from the ground up, and what it may import besides itself: only parts in the rows above it.
LAYERS = {
    "errors": set(),
    "version": set(),
    "cache": set(),
    "plots": {"errors"},
    "report": set(),
    "configs": set(),
    "ops": set(),
    "classical": set(),
    "losses": {"ops"},
    "models": {"ops"},
    "io": {"errors"},
    "weights": {"cache", "errors", "io", "models", "version"},
    "metrics": {"errors", "models", "weights"},
    "restore": {"cache", "errors", "io", "models", "weights"},
    "video": {"cache", "errors", "io", "models", "report", "restore", "version", "weights"},
    "defocus": {"cache", "classical", "errors", "io", "ops", "plots", "report", "restore", "weights"},
    "deblurring": {"cache", "defocus", "errors", "io", "ops", "restore", "weights"},
    "photographs": {"cache", "deblurring", "defocus", "errors", "io", "plots", "report", "restore", "weights"},
    "data": {"errors", "io", "ops", "plots", "video"},
    "tasks": {"losses", "metrics", "models", "ops", "weights"},
    "train": {"cache", "data", "errors", "io", "models", "plots", "report", "restore", "tasks", "weights"},
    "data_prep": {"data", "defocus", "errors", "io", "metrics", "ops"},
    "export": {"errors", "io", "models", "restore", "video"},
    "bench": {"errors", "models", "ops", "report", "train", "video", "weights"},
    "evaluation": {
        *("bench", "cache", "data", "deblurring", "defocus", "errors", "io", "metrics", "models", "ops", "plots"),
        *("restore", "tasks", "train", "version", "video", "weights"),
    },
    "demo": {"cache", "deblurring", "errors", "metrics", "ops", "plots", "weights"},
    "doctor": {"cache", "errors", "version", "weights"},
    "app": {"cache", "data", "deblurring", "defocus", "errors", "io", "video", "weights"},
    "cli": {
        *("app", "bench", "data", "data_prep", "demo", "doctor", "errors", "evaluation", "export", "io", "photographs"),
        *("plots", "report", "restore", "train", "version", "video", "weights"),
    },
    "restore_jax": {  # the face of the package
        *("classical", "data", "deblurring", "defocus", "io", "losses", "metrics", "models", "ops", "restore", "tasks"),
        *("train", "version", "video", "weights"),
    },
}


def modules() -> dict[str, pathlib.Path]:
    """Every module of the package and of the folders beside it, by its dotted name."""
    places = [PACKAGE, *(ROOT / name for name in ("data_prep", "configs") if (ROOT / name).is_dir())]
    return {
        ".".join(file.relative_to(place.parent).with_suffix("").parts).removesuffix(".__init__"): file
        for place in places
        for file in place.rglob("*.py")
    }


MODULES = modules()


def part(module: str) -> str:
    """The row of LAYERS a module belongs to. A `__main__` is a command line, wherever it lies."""
    names = module.split(".")
    if names[-1] == "__main__":
        return "cli"
    return names[1] if names[0] == "restore_jax" and len(names) > 1 else names[0]


def imported(module: str) -> set[str]:
    """The modules of this tree that `module` imports anywhere, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return (found & set(MODULES)) - {module}


def test_every_part_has_a_row():
    assert {part(module) for module in MODULES} == set(LAYERS)


def test_rows_name_only_rows_above_them():
    rows = list(LAYERS)
    for number, name in enumerate(rows):
        assert LAYERS[name] <= set(rows[:number]), name


@pytest.mark.parametrize("name", LAYERS)
def test_imports_point_one_way(name):
    for module in MODULES:
        if part(module) == name:
            up = {part(other) for other in imported(module)} - LAYERS[name] - {name}
            assert not up, f"{module} imports {up}"


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: imported(module) for module in MODULES}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_version_is_said_once():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == restore_jax.__version__


def test_tests_lie_in_folders_that_mirror_the_package():
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    parts = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} | {"data_prep", "tools"}
    assert {path.relative_to(ROOT / "tests").parent.as_posix() for path in files} - {"."} <= parts
    names = [path.stem for path in files]
    assert len(set(names)) == len(names)
    assert set(SLOW) <= set(names)
