"""Weights that came from elsewhere, in the cache folder under their names: NAME.safetensors, and its card NAME.json.

One rule holds for whatever comes: its sha256 must be the published one. Where none is published, or only its first
digits, the first copy that converts is pinned, and every later one must be the same.
"""

import datetime
import json
import os
import pathlib
import re

from restore_jax.cache import cache_folder
from restore_jax.errors import InputError
from restore_jax.io import atomic
from restore_jax.weights.files import save, sha256

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*(?:/[A-Za-z0-9][A-Za-z0-9._@-]*)*")


def folder() -> pathlib.Path:
    """Make the folder that weights are kept in. Raises InputError if there can be none."""
    place = cache_folder("weights")
    if place is None:
        raise InputError("RESTORE_JAX_CACHE: fetched weights are kept there; give a folder that can be written")
    return place


def find(name) -> pathlib.Path | None:
    """Find the file of weights kept under a name, or under an address hf://ORG/NAME; None if there is none."""
    name = str(name).replace("hf://", "hf/", 1)
    place = cache_folder("weights") if _NAME.fullmatch(name) else None
    path = place and place / f"{name}.safetensors"
    return path if path and path.is_file() and path.with_suffix(".json").is_file() else None


def names() -> list[str]:
    """List the names of all weights that are kept."""
    place = cache_folder("weights")
    files = [] if place is None else place.rglob("*.safetensors")
    found = [path.relative_to(place).as_posix().removesuffix(".safetensors") for path in files]
    return sorted(name for name in found if not name.startswith("downloads/") and find(name))


def check(name: str, path, published: str = "", size: int | None = None) -> str:
    """Check where weights come from against what is published or pinned.

    Args:
      name: under which they are to be kept.
      path: what was downloaded.
      published: its sha256, or the first digits of it; "" if unknown.
      size: its size in bytes as published.
    Returns its sha256. Raises InputError if it is another file.
    """
    path = pathlib.Path(path)
    digest, found = sha256(path), path.stat().st_size
    if size is not None and found != size:
        raise InputError(f"{name}: has {found:,} bytes, published are {size:,}: the file is another one or damaged")
    if not digest.startswith(published):
        raise InputError(f"{name}: sha256 is {digest}, published is {published}: the file is another one or damaged")
    first = _read(_pin(name))
    if first.get("sha256", digest) != digest:
        raise InputError(
            f"{name}: sha256 is {digest}; the first copy, of {first.get('date')} from {first.get('source')}, had "
            f"{first['sha256']}. If the change is meant, delete {_pin(name)}"
        )
    return digest


def keep(name: str, params, model: str, options: dict, card: dict) -> pathlib.Path:
    """Keep converted weights under a name, and pin what they were made from.

    card: must hold "source" and "source_sha256". Returns the path of the file. Raises InputError.
    """
    path = folder() / f"{name}.safetensors"
    pin(name, card["source_sha256"], card["source"])
    save(path, params, model, options, card)
    return _make_known(path, {"model": model, "options": options, **card})


def move(name: str, file, card: dict) -> pathlib.Path:
    """Keep a file of weights under a name: it moves into the cache folder. Returns its path there."""
    path = folder() / f"{name}.safetensors"
    with atomic.writing(path):
        path.with_suffix(".json").unlink(missing_ok=True)
        os.replace(file, path)
    return _make_known(path, card)


def pin(name: str, digest: str, source: str) -> None:
    """Write down the sha256 that every later copy must have, unless an earlier copy has done so."""
    if not _pin(name).exists():
        _write(_pin(name), {"sha256": digest, "source": source, "date": today()})


def _make_known(path: pathlib.Path, card: dict) -> pathlib.Path:
    """Write the card beside a file of weights, with its size and sha256: from then on its name is known."""
    card = card | {"size": f"{path.stat().st_size / 2**20:.1f} MiB", "sha256": sha256(path)}
    _write(path.with_suffix(".json"), card)
    return path


def today() -> str:
    """Return the date, as cards and pins write it."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _pin(name: str) -> pathlib.Path:
    return folder() / "pins" / f"{name}.json"


def _write(path: pathlib.Path, content: dict) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, default=str)
    atomic.write(path, f"{text}\n".encode())


def _read(path: pathlib.Path) -> dict:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: is damaged")
    return content
