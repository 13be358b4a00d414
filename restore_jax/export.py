"""Exports networks with their weights as StableHLO that runs without this package: `restore-jax export`.

DIR gets NAME.jax_export, program and weights in one, and NAME.json, which describes it: inputs and output by name and
shape, the multiples that sides must be of, the card of the weights with their licence, and the program's sha256. The
README shows how to load them. Images go in and come out as float32 in [0, 1].
"""

import functools
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import export as jax_export

from restore_jax.errors import InputError
from restore_jax.io import atomic
from restore_jax.restore import MIN_SIDE, needs_views
from restore_jax.video.engines import WINDOW

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
SUFFIX = ".jax_export"
MAX_SIDE = 65_536
MAX_FRAMES = 1000


class Kind(NamedTuple):
    """The inputs and outputs of a class of networks, by the names it has for them.

    inputs: (name, factor) each: sides are those of the first times `factor`. dual: further ones of dual-pixel networks;
    DPDNet's image is then the left view. multiple: of what sides must be multiples, unless the network says it itself.
    any_size: it can be traced without knowing sizes; those that cannot resize by weights computed beforehand, or match
    in blocks. clip: it takes frames.
    """

    inputs: tuple[tuple[str, int], ...] = (("lr", 1),)
    output: str = "image"
    dual: tuple[str, ...] = ()
    multiple: int = 1
    any_size: bool = False
    clip: bool = False


KINDS = {
    "IFAN": Kind((("blurred", 1),), dual=("left", "right"), multiple=8, any_size=True),
    "DMENet": Kind((("image", 1),), "defocus", multiple=16, any_size=True),
    "DPDNet": Kind((("image", 1),), dual=("right",), multiple=16, any_size=True),
    "RCAN": Kind(any_size=True),
    "SRResNet": Kind(any_size=True),
    "EDVR": Kind((("frames", 1),), multiple=4, any_size=True, clip=True),
    "SRCNN": Kind(),
    "TTSR": Kind((("lr", 1), ("ref", 4))),
    "DCSR": Kind((("lr", 1), ("ref", 1)), multiple=8),
    "SPyNet": Kind((("reference", 1), ("neighbour", 1)), "flow"),
    "BasicVSR": Kind((("frames", 1),), clip=True),
    "IconVSR": Kind((("frames", 1),), clip=True),
    "RefVSR": Kind((("lrs", 1), ("refs", 1)), clip=True),
    "RefVSRRefill": Kind((("lrs", 1), ("refs", 1)), clip=True),
}


def export(
    weights,
    folder,
    platforms: Sequence[str] = ("cpu", "cuda", "tpu"),
    size: tuple[int, int] | None = None,
    frames: int | None = None,
) -> tuple[pathlib.Path, pathlib.Path]:
    """Writes the network and weights (a `restore_jax.weights.Restorer`) to `folder`; returns (program, description).

    size: (height, width) of the image or frames; None leaves sizes and batch open. frames: number of frames, for
    networks that take clips. Raises InputError for networks or sizes that cannot be exported, or a folder that cannot
    be written.
    """
    network, kind = _kind(weights)
    unknown = [platform for platform in platforms if platform not in PLATFORMS]
    if unknown or not platforms:
        raise InputError(f"--platforms {','.join(platforms)}: known are {', '.join(PLATFORMS)}")
    names, shapes = _inputs(weights, network, kind, size, frames)
    folder = pathlib.Path(folder)
    stem = pathlib.Path(weights.name).name.removesuffix(".safetensors")
    program, description = folder / f"{stem}{SUFFIX}", folder / f"{stem}.json"
    for path in (program, description):
        atomic.check_writable(path)

    function = jax.jit(functools.partial(_apply, weights.model, weights.params, names, kind.output))
    exported = jax_export.export(function, platforms=tuple(platforms))(*shapes)
    data = bytes(exported.serialize())
    about = {
        "network": network,
        "weights": weights.name,
        "inputs": [{"name": name, "shape": _shape(shape)} for name, shape in zip(names, shapes, strict=True)],
        "output": {"name": kind.output, "shape": _shape(exported.out_avals[0])},
        "multiple": list(size or (kind.multiple, kind.multiple)),
        "dtype": "float32",
        "platforms": list(platforms),
        "jax": jax.__version__,
        "sha256": hashlib.sha256(data).hexdigest(),
        "card": weights.card,
    }
    atomic.write(program, data)
    atomic.write(description, (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode())
    return program, description


def _apply(model, params, names, output, *images):
    """Apply the exported network. The weights are constants of the program, as precise as they are stored."""
    found = model.apply(params, **dict(zip(names, images, strict=True)))
    found = (found[output] if isinstance(found, dict) else found).astype(jnp.float32)
    return jnp.clip(found, 0, 1) if output == "image" else found


def _kind(weights) -> tuple[str, Kind]:
    """Return the network's class and kind. Raises InputError if it restores nothing, or needs two references."""
    model = weights.model
    network = type(model).__name__.removesuffix("WithMemory")
    if network not in KINDS:
        raise InputError(f"{weights.name}: {network} cannot be exported; these can: {', '.join(KINDS)}")
    if getattr(model, "references", "") == "dual":
        raise InputError(f"{weights.name}: networks of two references cannot be exported")
    kind = KINDS[network]
    if needs_views(model):
        kind = kind._replace(inputs=(*kind.inputs, *((view, 1) for view in kind.dual)))
    if hasattr(model, "multiples"):
        kind = kind._replace(multiple=max(model.multiples))
    return network, kind


def _inputs(weights, network, kind, size, frames):
    """Return names and shapes of the inputs. Raises InputError for sizes that the network does not take."""
    multiple, own = kind.multiple, getattr(weights.model, "num_frames", None)
    if frames is not None and (not kind.clip or own):
        raise InputError(f"--frames: {weights.name} takes {f'{own} frames' if own else 'no clips'}")
    count = frames or own or int(weights.card.get("window", WINDOW))
    if not 2 <= count <= MAX_FRAMES:
        raise InputError(f"--frames {count}: is not between 2 and {MAX_FRAMES}")
    if size is None:
        if not kind.any_size:
            raise InputError(f"{weights.name}: {network} can be exported for one size only: give --height and --width")
        least = max(2, -(-MIN_SIDE // multiple))  # a pixel in the coarsest layer leaves nothing to mirror
        text = f"b, {count}, " if kind.clip else "b, "
        text += ", ".join(f"{multiple}*{side}" for side in "hw") + ", 3"
        shape = jax_export.symbolic_shape(text, constraints=[f"h >= {least}", f"w >= {least}"])
        shapes = [shape for _ in kind.inputs]
    else:
        for option, side in zip(("--height", "--width"), size, strict=True):
            if not MIN_SIDE <= side <= MAX_SIDE or side % multiple:
                takes = f"sides of {MIN_SIDE} to {MAX_SIDE}" + (f", multiples of {multiple}" if multiple > 1 else "")
                raise InputError(f"{option} {side}: {weights.name} takes {takes}")
        before = (1, count) if kind.clip else (1,)
        shapes = [(*before, factor * size[0], factor * size[1], 3) for _, factor in kind.inputs]
    return [name for name, _ in kind.inputs], [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]


def _shape(aval) -> list:
    """Describe a shape by numbers where they are known, else by formulas such as "8*h"."""
    return [side if isinstance(side, int) else str(side) for side in aval.shape]
