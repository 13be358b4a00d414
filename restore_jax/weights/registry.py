"""Weights by name: the files in weights/shipped, each NAME.safetensors with a card NAME.json beside it.

The card says what was trained, on what, how well it does, its licence, and the sha256 of the file.
"""

import dataclasses
import hashlib
import json
import pathlib
from typing import Any

from restore_jax.errors import InputError
from restore_jax.weights.files import read_safetensors

SHIPPED = pathlib.Path(__file__).parent / "shipped"

# What a person gets who names only the network.
BEST = {
    **{"ifan": "ifan-small", "dmenet": "dmenet-small", "refvsr": "refvsr-small"},
    **{"basicvsr": "basicvsr-small", "spynet": "spynet-rendered"},
}


@dataclasses.dataclass(frozen=True)
class Restorer:
    """A network with its weights: `model.apply(params, images)["image"]`."""

    name: str
    model: Any
    params: dict
    card: dict


def load(name) -> Restorer:
    """Weights by the name of a network ("ifan": the best that ships), of shipped weights, or by path of a file.

    Raises InputError if there is no such name or file, if it is damaged, or if its parameters do not fit its network.
    """
    path = _path(name)
    params, header = read_safetensors(path)
    return Restorer(str(name), _network(path, header, params), params, header["card"])


def load_into(name, model: str, options) -> dict:
    """Parameters of weights `name`, as float32, for the network `create(model, **options)` to start from.

    Raises InputError if they do not fit it.
    """
    import jax
    import jax.numpy as jnp

    path = _path(name)
    params, _ = read_safetensors(path)
    _network(path, {"model": model, "options": dict(options)}, params)
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)


def list_shipped() -> list[dict]:
    """The cards of all weights in the package, each with its name."""
    return [card(path.stem) for path in sorted(SHIPPED.glob("*.json"))]


def card(name: str) -> dict:
    """The card of shipped weights, or of a weights file. Raises InputError."""
    path = _path(name)
    if path.parent != SHIPPED:
        return {"name": str(name), **read_safetensors(path)[1]["card"]}
    return {"name": path.stem, **json.loads(path.with_suffix(".json").read_text())}


def verify(name: str) -> str:
    """Check the sha256 of shipped weights against the card and return it. Raises InputError if they differ."""
    path = _path(name)
    digest = sha256(path)
    expected = card(name).get("sha256", digest)
    if digest != expected:
        raise InputError(f"{path}: sha256 is {digest}, its card says {expected}: the file is damaged")
    return digest


def sha256(path) -> str:
    """Hex digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _path(name) -> pathlib.Path:
    path = SHIPPED / f"{BEST.get(str(name), name)}.safetensors"
    if path.is_file():
        return path
    path = pathlib.Path(name)
    if path.suffix == ".safetensors" or path.exists():
        return path
    known = sorted({*BEST, *(p.stem for p in SHIPPED.glob("*.safetensors"))})
    raise InputError(f"{name}: no such weights; known are {', '.join(known)}, or give a .safetensors file")


def _network(path, header, params):
    from restore_jax.models import create
    from restore_jax.weights.conversion import parameter_shapes
    from restore_jax.weights.files import flatten

    try:
        model = create(header["model"], **header["options"])
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    expected = flatten(parameter_shapes(header["model"], header["options"]))
    found = flatten(params)
    for name, shape in expected.items():
        if name not in found:
            raise InputError(f"{path}: lacks the parameter {name!r} of {header['model']}")
        if found[name].shape != shape.shape:
            raise InputError(f"{path}: parameter {name!r} has shape {found[name].shape}, the network {shape.shape}")
    for name in found:
        if name not in expected:
            raise InputError(f"{path}: has a parameter {name!r} that {header['model']} does not know")
    return model
