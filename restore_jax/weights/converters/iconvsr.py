"""Names and layouts of the published IconVSR checkpoints: BasicSR's and mmagic's."""

import re

from restore_jax.weights.converters import edvr
from restore_jax.weights.converters.basicvsr import OPTIONAL, propagation_layer, published_name
from restore_jax.weights.converters.renaming import to_our_layout

__all__ = ["OPTIONAL", "our_name", "to_our_layout"]


def our_name(name: str) -> str | None:
    """Translate a published name, 'forward_fusion.weight' -> 'forward_refill/kernel'.

    The extractor's: 'edvr.conv_first.bias' -> 'extractor/pyramid/conv_in/bias'. Returns None for a name that IconVSR
    does not have.
    """
    return published_name(name, _layer)


def _layer(stem: str) -> str | None:
    if stem.startswith("edvr."):
        return edvr.extractor_layer(stem.removeprefix("edvr."))
    if match := re.fullmatch(r"(forward|backward)_fusion", stem):
        return f"{match[1]}_refill"
    return propagation_layer(stem)
