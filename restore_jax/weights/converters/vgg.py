"""VGG19 weights: names and layouts of torchvision's checkpoint and of vgg19.npy (Caffe's weights, for TensorFlow).

The two were trained with different inputs, `models.vgg.imagenet_input` and `caffe_input`; either can be made to take
the other's.
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


def about(names) -> dict:
    """What the card of weights converted from these published names says: which input they were trained with."""
    return {"input": "imagenet" if any(name.startswith("features.") for name in names) else "caffe"}


def load_for(wanted: str, file) -> dict:
    """The layers of a file of VGG19 that take "caffe" or "imagenet" input, whichever its card says it was trained with.

    Taken as they are where the card does not say. Raises InputError as `weights.load_into`.
    """
    from restore_jax.weights.registry import card, load_into

    params = load_into(file, "vgg19", {})["params"]
    trained = card(file).get("input", wanted)
    if trained not in _INPUTS:
        raise InputError(f"{file}: trained with input {trained!r}, which is neither caffe nor imagenet")
    return params if trained == wanted else for_input(wanted, trained, params)


# Of red, green and blue in [0, 1]: scale, offset, and whether the channels are reversed after it.
_INPUTS = {
    "caffe": (np.full(3, 255.0), -np.array(CAFFE_MEAN[::-1]), True),
    "imagenet": (1 / np.array(IMAGENET_STD), -np.array(IMAGENET_MEAN) / IMAGENET_STD, False),
}


def for_input(wanted: str, trained: str, params: dict) -> dict:
    """Layers {name: {"kernel", "bias"}} trained with one input ("caffe", "imagenet") made to take the other.

    The two are linear in each other, so the first convolution absorbs the difference: exactly with symmetric padding;
    with zero padding but for the outermost pixel of conv1_1.
    """
    (a, alpha, a_reversed), (b, beta, b_reversed) = _INPUTS[trained], _INPUTS[wanted]
    first = params["conv1_1"]
    kernel = np.asarray(first["kernel"], np.float64)[:, :, :: -1 if a_reversed else 1]  # of red, green, blue
    bias = first["bias"] + np.einsum("yxio,i->o", kernel, alpha - a * beta / b)
    kernel = (kernel * (a / b)[:, None])[:, :, :: -1 if b_reversed else 1]
    return {**params, "conv1_1": {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)}}


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
