"""Names and layouts of the published SRCNN checkpoint: mmagic's."""

from restore_jax.weights.converters.renaming import LEAVES, to_our_layout

__all__ = ["OPTIONAL", "our_name", "to_our_layout"]

_LAYERS = {"conv1": "patches", "conv2": "mapping", "conv3": "reconstruction"}

# Published parameters that a network without the part they belong to leaves out.
OPTIONAL = ()


def our_name(name: str) -> str | None:
    """'conv1.weight' -> 'patches/kernel'; None for a name SRCNN does not have."""
    layer, _, kind = name.rpartition(".")
    return f"{_LAYERS[layer]}/{LEAVES[kind]}" if layer in _LAYERS and kind in LEAVES else None
