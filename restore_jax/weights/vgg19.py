"""VGG19 for losses: makes its layers take the pictures that the loss gives it.

Caffe's weights were trained on BGR pictures less a mean, torchvision's on normalized RGB (`models.vgg.caffe_input`,
`imagenet_input`); the layers of either can be made to take the other's.
"""

import numpy as np

from restore_jax.errors import InputError
from restore_jax.models.vgg import CAFFE_MEAN, IMAGENET_MEAN, IMAGENET_STD
from restore_jax.weights.registry import card, load_into

# Of red, green and blue in [0, 1]: scale, offset, and whether the channels are reversed after it.
_INPUTS = {
    "caffe": (np.full(3, 255.0), -np.array(CAFFE_MEAN[::-1]), True),
    "imagenet": (1 / np.array(IMAGENET_STD), -np.array(IMAGENET_MEAN) / IMAGENET_STD, False),
}


def load_for(wanted: str, file) -> dict:
    """Read layers of VGG19 that take "caffe" or "imagenet" input, whichever they were trained with.

    Taken as they are where the card does not say. Raises InputError as `weights.load_into`.
    """
    params = load_into(file, "vgg19", {})["params"]
    trained = card(file).get("input", wanted)
    if trained not in _INPUTS:
        raise InputError(f"{file}: trained with input {trained!r}, which is neither caffe nor imagenet")
    return params if trained == wanted else for_input(wanted, trained, params)


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
