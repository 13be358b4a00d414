"""Weight files: our safetensors (parameters, network and card in one file) and published PyTorch checkpoints."""

import io
import json
import pathlib
import zipfile

import numpy as np

from restore_jax.errors import InputError
from restore_jax.io import atomic
from restore_jax.io.codecs import npy

MOST_UNPACKED = 20  # times its size that a checkpoint may hold
MOST_NUMBERS = 2**31  # in an array of one
LEAST_REFUSED = 2**26  # bytes, below which it may be anything


def save(path, params, model: str, options: dict, card: dict | None = None) -> None:
    """Write parameters as safetensors, the network's name, options and card in its header. Atomic.

    Args:
      params: {"params": nested dict of arrays}, beside it "batch_stats" if the network has them; bfloat16 arrays are
        kept as such.
      model, options: what `models.create(model, **options)` needs to rebuild the network.
      card: anything JSON holds: data, steps, metrics, licence.
    """
    from safetensors.numpy import save as to_bytes

    header = {"model": model, "options": _json(options), "card": _json(card or {})}
    flat = {name: np.asarray(value, order="C") for name, value in flatten(params).items()}
    atomic.write(pathlib.Path(path), _ordered(to_bytes(flat, metadata=header)))


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
    from safetensors import SafetensorError

    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    try:
        flat, header = _tensors(path)
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:  # the last: 8-bit floats
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


def _tensors(path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """({name: array}, metadata) of a safetensors file."""
    import ml_dtypes  # noqa: F401  teaches NumPy bfloat16
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def read_published(path) -> dict[str, np.ndarray]:
    """Read a published checkpoint as {name: array}: .npz, .npy, .safetensors, PyTorch's .pth/.pt/.pytorch/.ckpt, or
    Keras's .hdf5/.h5.

    PyTorch files are read with `weights_only=True`, .npy (vgg19.npy) by `vgg.read_npy`: nothing in them is executed.
    Raises InputError.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    suffix = path.suffix.lower()
    _refuse_bombs(path)
    try:
        if suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                read = {name: npy.read(io.BytesIO(archive.read(name)), MOST_NUMBERS) for name in archive.namelist()}
            return {name.removesuffix(".npy"): array for name, array in read.items()}
        if suffix == ".safetensors":
            return {name: array.astype(np.float32) for name, array in _tensors(path)[0].items()}
    except Exception as error:
        raise InputError(f"{path}: not a readable {suffix[1:]} file ({type(error).__name__})") from error
    if suffix == ".npy":
        from restore_jax.weights.converters.vgg import read_npy

        return read_npy(path)
    if suffix in (".pth", ".pt", ".pytorch", ".ckpt"):
        return _read_torch(path)
    if suffix in (".hdf5", ".h5"):
        return _read_keras(path)
    raise InputError(
        f"{path}: unknown kind of checkpoint; known are .pth, .pt, .pytorch, .ckpt, .hdf5, .h5, .npz, .npy and "
        ".safetensors"
    )


def _refuse_bombs(path) -> None:
    """Raises InputError for a .npz or PyTorch file, both zip archives, that would unpack to far more than it is."""
    try:
        with zipfile.ZipFile(path) as archive:
            held = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # no archive, or one that its reader says more about
    _refuse_more(path, held)


def _refuse_more(path, held: int) -> None:
    if held > max(MOST_UNPACKED * path.stat().st_size, LEAST_REFUSED):
        raise InputError(
            f"{path}: holds {held / 2**20:.0f} MiB in {path.stat().st_size} bytes: no weights are like that"
        )


def _read_torch(path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError:
        raise InputError(f"{path}: reading PyTorch files needs torch: pip install 'restore-jax[convert]'") from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path}: not a PyTorch file of plain tensors ({type(error).__name__})") from error
    for wrapper in ("state_dict", "params_ema", "params", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise InputError(f"{path}: holds no table of named tensors")
    _refuse_more(path, sum(4 * tensor.numel() for tensor in content.values()))
    return {name.removeprefix("module."): tensor.float().numpy() for name, tensor in content.items()}


def _read_keras(path) -> dict[str, np.ndarray]:
    """Arrays by their paths in the file, "model_weights/conv2d_1/conv2d_1/kernel:0"."""
    try:
        import h5py
    except ImportError:
        raise InputError(f"{path}: reading Keras files needs h5py: pip install 'restore-jax[convert]'") from None
    arrays = {}

    def keep(name, item):
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            _refuse_more(path, item.nbytes)
            arrays[name] = item[()]

    try:
        with h5py.File(path) as file:
            file.visititems(keep)
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: not a readable HDF5 file ({type(error).__name__})") from error
    return arrays


def flatten(tree: dict, prefix: str = "") -> dict:
    """Nested dict to {"a/b/c": leaf}."""
    flat = {}
    for name, value in tree.items():
        flat.update(flatten(value, f"{prefix}{name}/") if isinstance(value, dict) else {f"{prefix}{name}": value})
    return flat


def unflatten(flat: dict) -> dict:
    """{"a/b/c": leaf} to nested dict. Raises ValueError if a name is both a leaf and a dict."""
    tree = {}
    for name, value in flat.items():
        *path, leaf = name.split("/")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ValueError(f"{name!r} lies below a leaf")
        if leaf in node:
            raise ValueError(f"{name!r} is twice there")
        node[leaf] = value
    return tree
