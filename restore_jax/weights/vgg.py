"""VGG19 weights: names and layouts of torchvision's checkpoint and of vgg19.npy (Caffe's weights, for TensorFlow).

The two were trained with different inputs: `models.vgg.imagenet_input` for torchvision's, `caffe_input` for Caffe's.
"""

import pickle
import re

import numpy as np

from restore_jax.errors import InputError
from restore_jax.models.vgg import CAFFE_MEAN, IMAGENET_MEAN, IMAGENET_STD, LAYERS

# The place of a layer in torchvision's `features`.
_TORCHVISION = {str(place): layer for place, layer in enumerate(LAYERS) if layer.startswith("conv")}

# Published parameters that a network which ends earlier leaves out.
OPTIONAL = ("conv", "classifier/")


def our_name(name: str) -> str | None:
    """'features.0.weight' or 'conv1_1/W' -> 'conv1_1/kernel'; None for a name VGG19 does not have."""
    if match := re.fullmatch(r"features\.(\d+)\.(weight|bias)", name):
        layer = _TORCHVISION.get(match[1])
    elif match := re.fullmatch(r"(conv\d_\d)[/_.](W|b)", name):
        layer = match[1] if match[1] in LAYERS else None
    elif re.fullmatch(r"(classifier\.[036]|fc[678])[/_.](weight|bias|W|b)", name):
        return f"classifier/{name}"
    else:
        return None
    return layer and f"{layer}/{'kernel' if match[2] in ('weight', 'W') else 'bias'}"


def to_our_layout(name: str, array):
    """torchvision's OIHW to HWIO, which is also that of vgg19.npy."""
    return array.transpose(2, 3, 1, 0) if name.startswith("features.") and array.ndim == 4 else array


def for_caffe_input(params: dict) -> dict:
    """torchvision's parameters made to take `models.vgg.caffe_input`, which DMENet's encoder and network C see.

    The two inputs are linear in each other, so the first convolution absorbs the difference: exactly with symmetric
    padding; with zero padding but for the outermost pixel of conv1_1.
    """
    first = params["params"]["conv1_1"]
    kernel = np.asarray(first["kernel"])
    mean, std, caffe = (np.array(v, np.float32) for v in (IMAGENET_MEAN, IMAGENET_STD, CAFFE_MEAN[::-1]))
    bias = first["bias"] + np.einsum("yxio,i->o", kernel, (caffe / 255 - mean) / std)
    kernel = (kernel / (255 * std)[:, None])[:, :, ::-1]
    return {"params": {**params["params"], "conv1_1": {"kernel": kernel, "bias": bias.astype(np.float32)}}}


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
