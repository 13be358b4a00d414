"""Published checkpoints as {name: array}: what PyTorch, Keras and NumPy wrote. Nothing in a file is executed."""

import io
import pathlib
import pickle
import zipfile

import numpy as np

from restore_jax.errors import InputError
from restore_jax.io.codecs import npy
from restore_jax.weights.files import tensors

MOST_UNPACKED = 20  # times the size of its file that a checkpoint's arrays may take
MOST_NUMBERS = 2**31  # elements of one array
LEAST_REFUSED = 2**26  # bytes; a checkpoint that unpacks to less is never refused for its size


def read_published(path) -> dict[str, np.ndarray]:
    """Read a published checkpoint as {name: array}: .npz, .npy, .safetensors, PyTorch's .pth/.pt/.pytorch/.ckpt, or
    Keras's .hdf5/.h5.

    PyTorch files are read with `weights_only=True`, vgg19.npy by `read_npy`: nothing in them is executed.
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
            return {name: array.astype(np.float32) for name, array in tensors(path)[0].items()}
    except Exception as error:
        raise InputError(f"{path}: not a readable {suffix[1:]} file ({type(error).__name__})") from error
    if suffix == ".npy":
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
