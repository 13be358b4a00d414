"""Names and layouts of the published BasicVSR checkpoints: BasicSR's and mmagic's."""

import re

from restore_jax.weights.converters import spynet
from restore_jax.weights.converters.renaming import LEAVES, to_our_layout

__all__ = ["OPTIONAL", "our_name", "propagation_layer", "published_name", "to_our_layout", "upsampling_layer"]

# Published constants, and how long the network was trained.
OPTIONAL = ("flow_network/mean", "flow_network/std", "step_counter")

_TAIL = {
    "upconv1": "up_0",
    "upconv2": "up_1",
    "upsample1.upsample_conv": "up_0",
    "upsample2.upsample_conv": "up_1",
    "conv_hr": "conv_hr",
    "conv_last": "conv_out",
}


def our_name(name: str) -> str | None:
    """Translate a published name, 'backward_trunk.main.2.0.conv1.weight' -> 'backward_trunk/blocks/conv_0_0/kernel'.

    Returns None for a name that BasicVSR does not have.
    """
    return published_name(name, lambda stem: "merge" if stem == "fusion" else propagation_layer(stem))


def published_name(name: str, layer) -> str | None:
    """Our path for a name whose layer `layer(stem)` finds, or which is SPyNet's."""
    if name == "step_counter":
        return name
    if name.startswith("spynet."):
        path = spynet.our_name(name)
        return path and f"flow_network/{path}"
    stem, _, kind = name.rpartition(".")
    path, leaf = layer(stem), LEAVES.get(kind)
    return f"{path}/{leaf}" if path and leaf else None


def propagation_layer(stem: str) -> str | None:
    """'forward_resblocks.main.0' -> 'forward_trunk/conv_in': trunks and upsampling."""
    if match := re.fullmatch(r"(forward|backward)_(?:trunk|resblocks)\.main\.(?:0|2\.(\d+)\.conv([12]))", stem):
        layer = f"blocks/conv_{match[2]}_{int(match[3]) - 1}" if match[2] else "conv_in"
        return f"{match[1]}_trunk/{layer}"
    return upsampling_layer(stem)


def upsampling_layer(stem: str) -> str | None:
    """'upconv1' or 'upsample1.upsample_conv' -> 'upsampler/up_0'."""
    return f"upsampler/{_TAIL[stem]}" if stem in _TAIL else None
