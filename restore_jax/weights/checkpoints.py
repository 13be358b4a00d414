"""Published checkpoints as {name: array}: what PyTorch, Keras and NumPy wrote. Nothing in a file is executed."""

import collections
import io
import math
import pathlib
import pickle
import re
import zipfile
from collections.abc import Callable

import numpy as np

from restore_jax.errors import InputError, install_line
from restore_jax.io.codecs import npy
from restore_jax.weights.files import tensors

MOST_UNPACKED = 20  # times the size of its file that a checkpoint's arrays may take
MOST_NUMBERS = 2**31  # elements of one array
LEAST_REFUSED = 2**26  # bytes; a checkpoint that unpacks to less is never refused for its size

SUFFIXES = {
    "torch": (".pth", ".pt", ".pytorch", ".ckpt", ".bin", ".tar"),
    "keras": (".hdf5", ".h5"),
    "npz": (".npz",),
    "npy": (".npy",),
    "safetensors": (".safetensors",),
}

# Packages whose objects lie beside the weights in checkpoints of common trainers, and tell nothing about the weights.
TRAINING_TOOLS = frozenset(
    [
        *("argparse", "collections", "datetime", "fvcore", "hydra", "lightning", "lightning_fabric", "mmcv"),
        *("mmengine", "numpy", "omegaconf", "pathlib", "pytorch_lightning", "torchmetrics", "typing", "uuid", "yacs"),
    ]
)


def read_published(path, choose: Callable[[list[str]], dict[str, str]] | None = None) -> dict[str, np.ndarray]:
    """Read a published checkpoint as {name: array}, float32.

    It may be .npz, .npy, .safetensors, PyTorch's (.pth, .pt, .pytorch, .ckpt, .bin) or Keras's (.hdf5, .h5); its
    content counts, not its name. Dictionaries in dictionaries become names joined by dots.

    PyTorch files are read with `weights_only=True`, vgg19.npy by `read_npy`: nothing in them is executed.

    Args:
      choose: takes the names of all arrays in the file; returns {name: new name} of those to be read. By default the
        largest table of arrays in the file is read under its own names, without "module.".
    Raises InputError.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    _refuse_bombs(path)
    tables = _READERS[_kind(path)](path)
    if choose is None:
        place, table = max(tables, key=lambda entry: len(entry[1]), default=("", {}))
        joined = {_join(place, name): name.removeprefix("module.") for name in table}
    else:
        joined = choose([_join(place, name) for place, table in tables for name in table])
    kept = [(name, table[name]) for place, table in tables for name in table if _join(place, name) in joined]
    _refuse_more(path, sum(4 * math.prod(array.shape) for _, array in kept))
    read = {}
    for place, table in tables:
        for name, array in table.items():
            if new := joined.get(_join(place, name)):
                read[new] = _float32(path, name, array)
    return read


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _float32(path, name: str, array) -> np.ndarray:
    try:
        if isinstance(array, np.ndarray):
            return array.astype(np.float32, copy=False)
        return array.detach().float().numpy()  # a PyTorch tensor
    except Exception as error:
        raise InputError(f"{path}: {name!r} is no array of numbers ({type(error).__name__})") from error


def _kind(path) -> str:
    """Return which reader a file needs, by its first bytes, or by its suffix where these say nothing."""
    with open(path, "rb") as file:
        head = file.read(16)
    for start, kind in ((b"\x89HDF\r\n\x1a\n", "keras"), (b"\x93NUMPY", "npy"), (b"\x80", "torch")):
        if head.startswith(start):
            return kind
    if head[8:9] == b"{":
        return "safetensors"
    try:
        with zipfile.ZipFile(path) as archive:
            if kind := _kind_of_archive(archive.namelist()):
                return kind
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        pass  # no archive
    for kind, suffixes in SUFFIXES.items():
        if path.suffix.lower() in suffixes:
            return kind
    known = ", ".join(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
    raise InputError(f"{path}: unknown kind of checkpoint; known are {known}")


def is_checkpoint(names: list[str]) -> bool:
    """Whether a zip archive of files with these names is a checkpoint itself: PyTorch's or NumPy's."""
    return _kind_of_archive(names) is not None


def _kind_of_archive(names: list[str]) -> str | None:
    if any(pathlib.PurePosixPath(name).name == "data.pkl" for name in names):
        return "torch"
    return "npz" if names and all(name.endswith(".npy") for name in names) else None


def _refuse_bombs(path) -> None:
    """Raise InputError for a .npz or PyTorch file, both zip archives, that would unpack to far more than it is."""
    try:
        with zipfile.ZipFile(path) as archive:
            held = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # no archive, or one that its reader says more about
    _refuse_more(path, held)


def _refuse_more(path, held: int) -> None:
    refuse_bomb(path, held, path.stat().st_size)


def refuse_bomb(path, held: int, packed: int) -> None:
    """Raises InputError, naming the file, if `packed` bytes of it hold so many more that these can be no weights."""
    if held > max(MOST_UNPACKED * packed, LEAST_REFUSED):
        raise InputError(f"{path}: holds {held / 2**20:.0f} MiB in {packed} bytes: no weights are like that")


def _read_npz(path) -> list[tuple[str, dict]]:
    try:
        with zipfile.ZipFile(path) as archive:
            read = {name: npy.read(io.BytesIO(archive.read(name)), MOST_NUMBERS) for name in archive.namelist()}
    except Exception as error:
        raise InputError(f"{path}: not a readable npz file ({type(error).__name__})") from error
    return [("", {name.removesuffix(".npy"): array for name, array in read.items()})]


def _read_safetensors(path) -> list[tuple[str, dict]]:
    try:
        return [("", tensors(path)[0])]
    except Exception as error:
        raise InputError(f"{path}: not a readable safetensors file ({type(error).__name__})") from error


def _read_torch(path) -> list[tuple[str, dict]]:
    """Read the tables of tensors at any depth of a PyTorch file, each with the keys that lead to it."""
    try:
        import torch
    except ImportError:
        raise InputError(f"{path}: reading PyTorch files needs torch: {install_line('convert')}") from None
    try:
        with torch.serialization.safe_globals(_stand_ins(torch, path)):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        unsafe = re.search(r"GLOBAL ([\w.]+)", str(error))
        why = f"it holds a {unsafe[1]}, nothing of which was run" if unsafe else type(error).__name__
        raise InputError(f"{path}: not a PyTorch file of plain tensors ({why})") from error
    tables, kinds = [], set()
    waiting, seen = [("", content)], set()
    while waiting:
        place, node = waiting.pop(0)
        if id(node) in seen or not isinstance(node, (dict, list, tuple)):
            kinds.add(type(node).__name__)
            continue
        seen.add(id(node))
        items = node.items() if isinstance(node, dict) else enumerate(node)
        table = {}
        for key, value in items:
            if isinstance(value, torch.Tensor):
                table[str(key)] = value
            else:
                waiting.append((_join(place, str(key)), value))
        if table:
            tables.append((place, table))
    if not tables:
        keys = f" under the keys {', '.join(map(str, list(content)[:8]))}" if isinstance(content, dict) else ""
        found = ", ".join(sorted(kinds)) or "nothing"
        raise InputError(f"{path}: holds no table of named tensors; found {found}{keys}")
    return tables


class _StandIn:
    """An empty object in place of one that a training tool pickled beside its weights."""

    def __new__(cls, *_):
        return super().__new__(cls)

    def __init__(self, *_):
        pass

    def __setstate__(self, _):
        pass


def _stand_ins(torch, path) -> list[tuple[type, str]]:
    """Return harmless classes for what training tools pickle beside weights, by the names it is pickled under.

    Nothing of these tools is imported or run. Everything else that is no plain data makes the file refused.
    """
    try:
        named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # a file of PyTorch before 1.6, or a damaged one
        return []
    known = [name for name in named if name.split(".")[0] in TRAINING_TOOLS]
    return [(collections.OrderedDict if name.endswith("Dict") else _StandIn, name) for name in known]


def _read_keras(path) -> list[tuple[str, dict]]:
    """Read arrays by their paths in the file, "model_weights/conv2d_1/conv2d_1/kernel:0"."""
    try:
        import h5py
    except ImportError:
        raise InputError(f"{path}: reading Keras files needs h5py: {install_line('convert')}") from None
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
    return [("", arrays)]


def read_npy(path) -> dict[str, np.ndarray]:
    """Read vgg19.npy, a pickled {layer: [kernel, bias]}, as {"conv1_1/W": ..., "conv1_1/b": ...}.

    Nothing in it is executed: only what makes NumPy arrays may be in the pickle. Raises InputError.
    """
    try:
        with open(path, "rb") as file:
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError("not version 1.0")
            np.lib.format.read_array_header_1_0(file)
            layers = _ArraysOnly(file, encoding="latin1").load().item()
        return {
            f"{layer}/{kind}": np.asarray(array)
            for layer, arrays in layers.items()
            for kind, array in zip("Wb", arrays, strict=True)
        }
    except Exception as error:
        raise InputError(f"{path}: no table of layers like vgg19.npy ({type(error).__name__})") from error


class _ArraysOnly(pickle.Unpickler):
    """Refuses everything but NumPy arrays."""

    def find_class(self, module, name):
        module = module.replace("numpy.core", "numpy._core")  # what NumPy 2 calls it
        if (module, name) in (
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        ):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name}")


_READERS = {
    "torch": _read_torch,
    "keras": _read_keras,
    "npz": _read_npz,
    "npy": lambda path: [("", read_npy(path))],
    "safetensors": _read_safetensors,
}
