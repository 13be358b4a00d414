"""Names and layouts of the published DPDNet checkpoints (Keras .hdf5).

Keras numbers the convolutions of a process in the order in which they are made, "conv2d" or "conv2d_1" the first, and
goes on counting from network to network: their order is what counts. No published file was at hand to check that
against; a layer of another shape is refused by name.
"""

import re

_NAME = re.compile(r"(?:.*/)?conv2d(?:_(\d+))?/(kernel|bias)(?::0)?")
_LAYERS = (
    *(f"down{level}_conv{n}" for level in range(1, 6) for n in (1, 2)),
    *(layer for n in (4, 3, 2, 1) for layer in (f"up{n}", f"merge{n}_conv1", f"merge{n}_conv2")),
    *("conv_out", "logit"),
)

# Published parameters that a network without the part they belong to leaves out.
OPTIONAL = ()


def in_order(arrays: dict) -> dict:
    """Arrays of a Keras file with convolutions counted from 0; without the state of its optimiser."""
    arrays = {name: array for name, array in arrays.items() if not name.startswith("optimizer_weights/")}
    numbers = sorted({int(match[1] or 0) for name in arrays if (match := _NAME.fullmatch(name))})
    place = {number: n for n, number in enumerate(numbers)}

    def renamed(name):
        match = _NAME.fullmatch(name)
        return f"conv2d_{place[int(match[1] or 0)]}/{match[2]}" if match else name

    return {renamed(name): array for name, array in arrays.items()}


def our_name(name: str) -> str | None:
    """Translate 'conv2d_0/kernel' (see `in_order`) -> 'down1_conv1/kernel'; None for a name DPDNet does not have."""
    match = _NAME.fullmatch(name)
    if match is None or int(match[1] or 0) >= len(_LAYERS):
        return None
    return f"{_LAYERS[int(match[1] or 0)]}/{match[2]}"


def to_our_layout(name: str, array):
    """Return the array as it is: Keras's layout is ours."""
    return array
