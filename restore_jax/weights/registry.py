"""Weights by name: the files in weights/shipped and those that were fetched, each with a card NAME.json beside it.

The card says what was trained, on what, how well it does, its licence, and the sha256 of the file.
"""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np

from restore_jax.errors import InputError
from restore_jax.models import serves, serving
from restore_jax.weights import hub, kept, published
from restore_jax.weights.building import network
from restore_jax.weights.files import read_safetensors, sha256
from restore_jax.weights.tree import flatten

SHIPPED = pathlib.Path(__file__).parent / "shipped"
LARGEST_OPTION = 4096  # largest number among a network's options in a file's header

# {network: the shipped weights that its name stands for}.
BEST = {
    **{"ifan": "ifan-small", "dmenet": "dmenet-small", "refvsr": "refvsr-small"},
    **{"basicvsr": "basicvsr-small", "spynet": "spynet-rendered"},
}


@dataclasses.dataclass(frozen=True)
class Restorer:
    """A network with its weights, float32: `model.apply(params, images)["image"]`."""

    name: str
    model: Any
    params: dict
    card: dict


def load(name, verb: str = "") -> Restorer:
    """Weights by the name of a network ("ifan": the best that ships), of shipped or fetched weights, by path of a file,
    or by an address hf://ORG/NAME, which is pulled the first time.

    verb: "deblur", "defocus" or "vsr", which they must be for. Raises InputError if there is no such name or file, if
    it is damaged, if its parameters do not fit its network, or if that is none that the verb takes.
    """
    path, params, header = _read(name)
    if verb and not serves(header["model"], verb):
        takes = ", ".join(serving(verb))
        raise InputError(f"weights {name}: of a network for something else; {verb} takes {takes}")
    model = _network(path, header, params)
    _check_card(path, header["card"])
    return Restorer(str(name), model, _computed_in(params), header["card"])


def load_into(name, model: str, options) -> dict:
    """Return the parameters of weights `name`, as float32, for `create(model, **options)` to start from.

    Raises InputError if they do not fit it.
    """
    path, params, _ = _read(name)
    _network(path, {"model": model, "options": dict(options)}, params)
    return _computed_in(params)


def _read(name):
    """(path, params, header) of a weights file; the sha256 of shipped and fetched ones must be what their card says."""
    path = _path(name)
    if _has_card(name, path):
        verify(name)
    return path, *read_safetensors(path)


def _computed_in(params) -> dict:
    """Convert nested arrays to float32; another precision only saves room in files."""
    return {
        name: _computed_in(value) if isinstance(value, dict) else np.asarray(value, np.float32)
        for name, value in params.items()
    }


def shipped_names() -> list[str]:
    """Return the names of all weights in the package."""
    return sorted({path.stem for suffix in (".json", ".safetensors") for path in SHIPPED.glob(f"*{suffix}")})


def list_shipped() -> list[dict]:
    """Return the cards of all weights in the package, each with its name."""
    return [card(path.stem) for path in sorted(SHIPPED.glob("*.json"))]


def list_fetched() -> list[dict]:
    """Return the cards of all fetched weights, each with its name."""
    return [card(name) for name in kept.names()]


def card(name: str) -> dict:
    """Return the card of shipped or fetched weights, or of a weights file. Raises InputError."""
    path = _path(name)
    if not _has_card(name, path):
        return {"name": str(name), **read_safetensors(path)[1]["card"]}
    try:
        return {
            "name": path.stem if path.parent == SHIPPED else str(name),
            **json.loads(path.with_suffix(".json").read_text()),
        }
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path.with_suffix('.json')}: no readable card ({type(error).__name__})") from error


def verify(name: str) -> str:
    """Return the sha256 of a weights file. Raises InputError if the card beside it says another, or none."""
    path = _path(name)
    digest = sha256(path)
    if not _has_card(name, path):
        return digest
    expected = card(name).get("sha256")
    if expected is None:
        raise InputError(f"{path.with_suffix('.json')}: says no sha256: are the weights whole?")
    if digest != expected:
        raise InputError(f"{path}: sha256 is {digest}, its card says {expected}: the file is damaged")
    return digest


def push(name, address: str, private: bool = False) -> str:
    """Upload weights by name or path to the Hugging Face Hub, hf://ORG/NAME, and return the address of the commit.

    private: make the repository, if there is none yet, one that others cannot see. Raises InputError.
    """
    return hub.push(_path(name), card(name), address, private)


def _has_card(name, path) -> bool:
    """Say whether weights are known by name, so that the card beside their file counts, not the one inside."""
    return path.parent == SHIPPED or path == kept.find(name)


def _path(name) -> pathlib.Path:
    path = SHIPPED / f"{BEST.get(str(name), name)}.safetensors"
    if path.is_file():
        return path
    if path := kept.find(name):
        return path
    if hub.is_address(name):
        return hub.pull(str(name))
    path = pathlib.Path(name)
    if path.suffix == ".safetensors" or path.exists():
        return path
    if name in published.names():
        raise InputError(f"{name}: not fetched yet; restore-jax weights fetch {name} does that")
    known = sorted({*BEST, *(p.stem for p in SHIPPED.glob("*.safetensors")), *kept.names()})
    raise InputError(f"{name}: no such weights; known are {', '.join(known)}, or give a .safetensors file")


def _network(path, header, params):
    found = flatten(params)
    _check_options(path, header["options"], len(found))
    try:
        model, shapes = network(header["model"], header["options"])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    expected = flatten(shapes)
    for name, shape in expected.items():
        if name not in found:
            raise InputError(f"{path}: lacks the parameter {name!r} of {header['model']}")
        if found[name].shape != shape.shape:
            raise InputError(f"{path}: parameter {name!r} has shape {found[name].shape}, the network {shape.shape}")
    for name, array in found.items():
        if name not in expected:
            raise InputError(f"{path}: has a parameter {name!r} that {header['model']} does not know")
        if not np.isfinite(array).all():
            raise InputError(f"{path}: parameter {name!r} has numbers that are not finite")
    return model


def _check_options(path, options, arrays: int) -> None:
    """Raise InputError for numbers that no network of so many arrays has: building it could take hours."""
    for name, value in _numbers(options):
        most = min(arrays, LARGEST_OPTION) if "blocks" in name or "groups" in name else LARGEST_OPTION
        if isinstance(value, (int, float)) and not -most <= value <= most:
            raise InputError(f"{path}: its header asks for {name}={value}, and the file has {arrays} arrays")


def _check_card(path, card) -> None:
    """Raise InputError for impossible values that restoring depends on."""
    window, unit = card.get("window", 1), card.get("sigma_unit", 1.0)
    if not (isinstance(window, int) and 1 <= window <= LARGEST_OPTION):
        raise InputError(f"{path}: its card says a window of {window!r} frames")
    if unit is not None and not (isinstance(unit, (int, float)) and 0 < unit <= LARGEST_OPTION):
        raise InputError(f"{path}: its card says a unit of sigma of {unit!r} pixels")


def _numbers(options: dict):
    """Yield (name, value) of all options, one by one where they are lists or dicts themselves."""
    for name, value in options.items():
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        for number in inner:
            yield name, number
