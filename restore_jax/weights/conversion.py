"""Converts published checkpoints to our parameter trees; names and shapes are checked one by one."""

import functools
import importlib

import numpy as np

from restore_jax.errors import InputError
from restore_jax.models import FILES
from restore_jax.weights import wrapping
from restore_jax.weights.building import network
from restore_jax.weights.checkpoints import read_published
from restore_jax.weights.files import save
from restore_jax.weights.tree import flatten, unflatten


def convert(name: str, arrays: dict[str, np.ndarray], /, **options) -> dict:
    """Convert the arrays of a published checkpoint to parameters of network `name`.

    Args:
      arrays: {published name: array in the published layout}. Prefixes that a trainer put before the names are left
        out, and arrays that do not have them ("module.", "generator."; see `wrapping.find`).
      options: those of `models.create(name, ...)`. Parameters the options leave out (IFAN's reblurring network unless
        reblur=True) are dropped.
    Returns {"params": ...}, and "batch_stats" beside it if the network has them, float32. Raises InputError naming the
    first parameter that is unknown, missing or of another shape.
    """
    table, expected = _table(name), _expected(name, options)
    if hasattr(table, "in_order"):
        arrays = table.in_order(arrays)
    elif weights := wrapping.find(arrays, _needed(table, expected)):
        arrays = {published: arrays[key] for key, published in weights.names.items()}
    converted = {}
    for published, array in arrays.items():
        path = table.our_name(published)
        if path is None:
            raise InputError(f"{name}: the checkpoint has a parameter {published!r} that this network does not know")
        if path not in expected:
            if path.removeprefix("batch_stats/").startswith(table.OPTIONAL):
                continue
            raise InputError(f"{name}: parameter {published!r} has no place in this network with options {options}")
        value = np.asarray(table.to_our_layout(published, np.asarray(array)), np.float32)
        if value.shape != expected[path].shape:
            raise InputError(
                f"{name}: parameter {published!r} has shape {tuple(np.shape(array))}, "
                f"{value.shape} in our layout; the network has {expected[path].shape}"
            )
        converted[path] = value
    for path in expected:
        if path not in converted:
            raise InputError(f"{name}: the checkpoint lacks the parameter for {path!r}")
    return unflatten(
        {path if path.startswith("batch_stats/") else f"params/{path}": v for path, v in converted.items()}
    )


def read_for(name: str, paths, /, *, ema: bool = False, **options) -> tuple[dict, dict, list[str]]:
    """Read the parameters of network `name` from published checkpoint file(s).

    Args:
      paths: files that hold the network's parameters together.
      ema: prefer weights averaged over the training, where a file holds both.
      options: those of `models.create(name, ...)`.
    Returns (parameters, what their card should say of them, lines about what was taken and what was left out). Raises
    InputError naming the file and what was found in it.
    """
    from restore_jax.weights.converters import lpips, vgg  # which load Flax; listing weights does not need it

    table = lpips if name == "lpips" else _table(name)
    expected = lpips.NAMES if name == "lpips" else _expected(name, options)
    arrays, notes, places = {}, [], []

    def choose(path, names: list[str]) -> dict[str, str]:
        if hasattr(table, "in_order"):  # the order of layers counts, not their names
            return {name: name for name in names}
        weights = wrapping.find(names, _needed(table, expected), ema)
        if weights is None:
            raise InputError(f"{path}: holds no parameters of {name}; found {wrapping.contents(names)}")
        notes.extend(f"{path}: {note}" for note in [weights.note(ema)] if note)
        places.append(weights.prefix.rstrip("./"))
        return weights.names

    for path in paths:
        arrays.update(read_published(path, functools.partial(choose, path)))
    try:
        params = lpips.convert_lpips(arrays) if name == "lpips" else convert(name, arrays, **options)
    except InputError as error:
        raise InputError(f"{paths[0]}: {error}") from error
    about = vgg.about(arrays) if name == "vgg19" else {}
    return params, about | ({"taken_from": places} if any(places) else {}), notes


def convert_files(name: str, paths, out, /, *, ema: bool = False, **options) -> list[str]:
    """Convert published checkpoint file(s) and write one safetensors file.

    Arguments as of `read_for`. Returns lines about what was taken and left out. Raises InputError naming the file.
    """
    params, about, notes = read_for(name, paths, ema=ema, **options)
    card = {"source": [str(path) for path in paths], "licence": "that of the source"}
    save(out, params, name, options, card | about)
    return notes


def _expected(name: str, options: dict) -> dict:
    """Return the shapes of all parameters of a network by their paths, without "params/"."""
    return {path.removeprefix("params/"): shape for path, shape in flatten(network(name, options)[1]).items()}


def _needed(table, expected):
    """Return a function from a published name to the path of the parameter that it holds, or None."""
    return lambda published: path if (path := table.our_name(published)) in expected else None


def _table(name: str):
    if name not in FILES:
        raise InputError(f"no converter for {name!r}; known: {', '.join(FILES)}, lpips")
    module = f"restore_jax.weights.converters.{FILES[name]}"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise InputError(f"no converter for {name!r}: names of published parameters are not known here") from None
