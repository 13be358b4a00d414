"""VGG19 weights: names and layouts of torchvision's checkpoint and of vgg19.npy (Caffe's weights, for TensorFlow).

The two were trained with different inputs, `models.vgg.imagenet_input` and `caffe_input`; `weights.vgg19` makes the
layers of either take the other's.
"""

import re

from restore_jax.models.vgg import LAYERS

# The place of a layer in torchvision's `features`.
_TORCHVISION = {str(place): layer for place, layer in enumerate(LAYERS) if layer.startswith("conv")}

# Published parameters that a network which ends earlier leaves out.
OPTIONAL = ("conv", "classifier/")


def our_name(name: str) -> str | None:
    """Translate 'features.0.weight' or 'conv1_1/W' -> 'conv1_1/kernel'; None for a name VGG19 does not have."""
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
    """Return what the card of weights with these published names says: the input they were trained with."""
    return {"input": "imagenet" if any(name.startswith("features.") for name in names) else "caffe"}
