"""Published checkpoints to our parameter trees: names and shapes are checked one by one."""

import importlib

import numpy as np

from restore_jax.errors import InputError
from restore_jax.models import FILES
from restore_jax.weights.building import network
from restore_jax.weights.checkpoints import read_published
from restore_jax.weights.files import save
from restore_jax.weights.tree import flatten, unflatten


def convert(name: str, arrays: dict[str, np.ndarray], /, **options) -> dict:
    """Parameters of network `name` from the arrays of a published checkpoint.

    Args:
      arrays: {published name: array in the published layout}.
      options: those of `models.create(name, ...)`. Parameters the options leave out (IFAN's reblurring network unless
        reblur=True) are dropped.
    Returns {"params": ...}, and "batch_stats" beside it if the network has them, float32. Raises InputError naming the
    first parameter that is unknown, missing or of another shape.
    """
    table = _table(name)
    expected = {path.removeprefix("params/"): shape for path, shape in flatten(network(name, options)[1]).items()}
    converted = {}
    if hasattr(table, "in_order"):
        arrays = table.in_order(arrays)
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


def convert_files(name: str, paths, out, /, **options) -> None:
    """Convert published checkpoint file(s) and write one safetensors file. Raises InputError naming the file."""
    from restore_jax.weights.converters import lpips, vgg  # which load Flax; listing weights does not need it

    arrays = {}
    for path in paths:
        arrays.update(read_published(path))
    try:
        params = lpips.convert_lpips(arrays) if name == "lpips" else convert(name, arrays, **options)
    except InputError as error:
        raise InputError(f"{paths[0]}: {error}") from error
    card = {"source": [str(path) for path in paths], "licence": "that of the source"}
    if name == "vgg19":
        card |= vgg.about(arrays)
    save(out, params, name, options, card)


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
