"""Reads configs of runs: FILE.py[:VARIANT] with get_config(variant) -> ml_collections.ConfigDict, and overrides."""

import ast
import importlib.metadata
import importlib.util
import os
import pathlib
import sys
from collections.abc import Sequence

from restore_jax.data.sources import has_view, is_pairs
from restore_jax.errors import InputError


def load_config(source: str, overrides: Sequence[str] = ()):
    """Load the locked config of FILE[:VARIANT], with overrides applied. Raises InputError.

    overrides: words of a command line, such as `--config.a.b=value`, `--config.a.b value` and `--noconfig.flag`.

    If there is no file "configs/NAME.py", the config of that name that came with the package is read.
    """
    file, _, variant = source.partition(":")
    file = file if os.path.exists(file) else _installed(file) or file
    if not pathlib.Path(file).is_file():
        raise InputError(f"{file}: no such config file")
    if not file.endswith(".py"):
        raise InputError(f"{file}: a config is a Python file with get_config(variant)")
    spec = importlib.util.spec_from_file_location("restore_jax_config", file)
    module = importlib.util.module_from_spec(spec)
    # Configs build on others: `from configs import`.
    sys.path.insert(0, str(pathlib.Path(file).resolve().parent.parent))
    try:
        spec.loader.exec_module(module)
        config = module.get_config(variant) if variant else module.get_config()
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{source}: {type(error).__name__}: {' '.join(str(error).split())}") from error
    finally:
        sys.path.pop(0)
    if not hasattr(config, "unlocked"):
        raise InputError(f"{source}: get_config gives a {type(config).__name__}, not an ml_collections.ConfigDict")
    words = list(overrides)
    while words:
        _override(config, *_next_override(config, words))
    return config.lock()


def _next_override(config, words: list[str]) -> tuple[str, str]:
    """Take the next override off the words of a command line, as `ml_collections.config_flags` reads them.

    They are --config.a.b=value and --config.a.b value; for what is True or False --config.a.b and --noconfig.a.b too.
    Returns ("a.b", value). Raises InputError.
    """
    word = words.pop(0)
    unknown = InputError(f"{word}: unknown argument; overrides look like --config.optim.rate=1e-4")
    name, equals, value = word.partition("=")
    key = name.removeprefix("--noconfig.")
    if key != name and not equals and _is_flag(config, key):
        return key, "False"
    key = name.removeprefix("--config.")
    if key == name:
        raise unknown
    if equals:
        return key, value
    if _is_flag(config, key):
        return key, words.pop(0) if words and words[0].lower() in ("true", "false") else "True"
    if not words or words[0].startswith("--"):
        raise unknown
    return key, words.pop(0)


def _is_flag(config, key: str) -> bool:
    """Whether the config has a key "a.b" that is True or False."""
    node = config
    for part in key.split("."):
        if not hasattr(node, "keys") or part not in node:
            return False
        node = node[part]
    return isinstance(node, bool)


def _installed(file: str) -> str | None:
    """Return the path of "configs/NAME.py" among the files of the installed package, or in its checkout; else None."""
    try:
        files = importlib.metadata.files("restore-jax") or ()
    except importlib.metadata.PackageNotFoundError:
        return None
    parts = pathlib.PurePath(file).parts
    found = [path.locate() for path in files if path.parts[-4:] == ("share", "restore_jax", *parts)]
    if parts[:1] == ("configs",):
        found.append(pathlib.Path(__file__).parents[2] / file)  # installed with pip --editable
    return str(found[0]) if found else None


def with_folders(config, folders: Sequence[str], held_out: Sequence[str] = ()):
    """Set the folders that a config trains on: sharp photographs, or pairs (blurred/ and sharp/ in each).

    A virtual triple camera films what is in them. held_out: folders to evaluate on; without them evaluation is switched
    off. Raises InputError if a folder is not there, if folders are of both kinds, or if they lack the dual-pixel views
    that the config trains with.
    """
    with config.unlocked():
        _use_folders(config, config.data, folders)
        if held_out:
            _use_folders(config, config.evaluation.data, held_out)
            config.evaluation.data.size = config.evaluation.data.size or config.data.size
            config.evaluation.every = config.evaluation.every or config.checkpoint_every
        else:
            config.evaluation.every = 0
    return config


def skipping_bad(config):
    """Let a run leave out the files that cannot be used, where it would stop before its first step."""
    with config.unlocked():
        for data in (config.data, config.evaluation.data, *config.get("streams", {}).values()):
            data.skip_bad = True
    return config


def _use_folders(config, data, folders):
    for folder in folders:
        if not pathlib.Path(folder).is_dir():
            raise InputError(f"{folder}: no such folder")
    pairs = [is_pairs(folder) for folder in folders]
    if any(pairs) and not all(pairs):
        raise InputError(
            f"{folders[pairs.index(False)]}: holds no pairs (blurred/ and sharp/), {folders[pairs.index(True)]} does"
        )
    data.folders = tuple(map(str, folders))
    if data.source == "triple_camera":
        return
    data.source = "pairs" if pairs[0] else "photos"
    if pairs[0]:
        for folder in folders:
            for view in data.views:
                if not has_view(folder, view):
                    raise InputError(
                        f"{folder}: has no {view}/, which config.data.views asks for; without dual-pixel views: "
                        "--config.loss.disparity=0.0 --config.data.views=\"('blurred','sharp')\""
                    )
        if "turn" in data and "left" in data.views:
            data.turn = False  # would break the sign of disparity


def differences(old: dict, new: dict, prefix: str = "") -> list[str]:
    """List the differences of two configs, given as nested dicts, as lines "key: old -> new"."""
    lines = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            lines.append(f"{prefix}{key}: {a} -> {b}")
    return lines


def _override(config, name, text):
    *path, leaf = name.split(".")
    node = config
    for part in path:
        if part not in node or not hasattr(node[part], "keys"):
            raise InputError(f"--config.{name}: the config has no {part!r} with keys")
        node = node[part]
    if leaf not in node:
        raise InputError(f"--config.{name}: the config has no such key; it has {', '.join(node.keys())}")
    if isinstance(node[leaf], bool) and text.lower() in ("true", "false"):
        text = text.title()
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    try:
        node[leaf] = value
    except (TypeError, ValueError) as error:
        raise InputError(f"--config.{name}={text}: {error}") from error
