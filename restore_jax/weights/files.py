"""Weight files: safetensors that hold parameters, the name and options of their network, and a card."""

import hashlib
import json
import pathlib

import ml_dtypes  # noqa: F401  teaches NumPy bfloat16
import numpy as np
import safetensors
import safetensors.numpy

from restore_jax.errors import InputError
from restore_jax.io import atomic
from restore_jax.weights.tree import flatten, unflatten


def save(path, params, model: str, options: dict, card: dict | None = None) -> None:
    """Write parameters as safetensors, the network's name, options and card in its header. Atomic.

    Args:
      params: {"params": nested dict of arrays}, beside it "batch_stats" if the network has them; bfloat16 arrays are
        kept as such.
      model, options: what `models.create(model, **options)` needs to rebuild the network.
      card: anything JSON holds: data, steps, metrics, licence.
    """
    header = {"model": model, "options": _json(options), "card": _json(card or {})}
    flat = {name: np.asarray(value, order="C") for name, value in flatten(params).items()}
    atomic.write(pathlib.Path(path), _ordered(safetensors.numpy.save(flat, metadata=header)))


def _ordered(data: bytes) -> bytes:
    """Safetensors bytes with the header's keys in order: the library's order changes from run to run."""
    size = int.from_bytes(data[:8], "little")
    header = _json(json.loads(data[8 : 8 + size])).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def _json(value) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def read_safetensors(path) -> tuple[dict, dict]:
    """Read a file `save` wrote: (params, header) with header keys model, options, card.

    Raises InputError for a file that is missing, no safetensors, or without our header.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    try:
        flat, header = tensors(path)
    # Eight-bit floats raise AttributeError.
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({' '.join(str(error).split())})") from error
    if "model" not in header:
        raise InputError(f"{path}: a safetensors file, but not one of restore-jax (it names no network)")
    try:
        options, card = json.loads(header["options"]), json.loads(header["card"])
        params = unflatten(flat)
    except (KeyError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: its restore-jax header is damaged") from error
    if not isinstance(options, dict) or not isinstance(card, dict):
        raise InputError(f"{path}: its restore-jax header is damaged")
    return params, {"model": header["model"], "options": options, "card": card}


def sha256(path) -> str:
    """Hex digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensors(path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read any safetensors file: ({name: array}, metadata)."""
    with safetensors.safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
