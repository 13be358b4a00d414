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

import jax
import jax.numpy as jnp
from jax import export as jax_export

from restore_jax import models
from restore_jax.errors import InputError
from restore_jax.io import atomic
from restore_jax.models.interface import Interface, result
from restore_jax.restore import MIN_SIDE
from restore_jax.video.engines import window

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
SUFFIX = ".jax_export"
MAX_SIDE = 65_536
MAX_FRAMES = 1000


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
    interface = _interface(weights)
    unknown = [platform for platform in platforms if platform not in PLATFORMS]
    if unknown or not platforms:
        raise InputError(f"--platforms {','.join(platforms)}: known are {', '.join(PLATFORMS)}")
    shapes = _inputs(weights, interface, size, frames)
    folder = pathlib.Path(folder)
    stem = pathlib.Path(weights.name).name.removesuffix(".safetensors")
    program, description = folder / f"{stem}{SUFFIX}", folder / f"{stem}.json"
    for path in (program, description):
        atomic.check_writable(path)

    function = jax.jit(functools.partial(_apply, weights.model, weights.params, tuple(shapes)))
    exported = jax_export.export(function, platforms=tuple(platforms))(*shapes.values())
    data = bytes(exported.serialize())
    about = {
        "network": interface.network,
        "weights": weights.name,
        "inputs": [{"name": name, "shape": _shape(shape)} for name, shape in shapes.items()],
        "output": {"name": interface.output, "shape": _shape(exported.out_avals[0])},
        "multiple": list(size or (interface.multiple, interface.multiple)),
        "dtype": "float32",
        "platforms": list(platforms),
        "jax": jax.__version__,
        "sha256": hashlib.sha256(data).hexdigest(),
        "card": weights.card,
    }
    atomic.write(program, data)
    atomic.write(description, (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode())
    return program, description


def _apply(model, params, names, *images):
    """Restore as the exported program does. The weights are constants of it, in the precision they are stored in."""
    found = result(model, params, dict(zip(names, images, strict=True))).astype(jnp.float32)
    return jnp.clip(found, 0, 1) if model.interface.output == "image" else found


def _interface(weights) -> Interface:
    """Return what the network takes and gives. Raises InputError if it gives nothing, or takes two references."""
    interface = weights.model.interface
    if not interface.output:
        known = (models.create(name).interface for name in models.NAMES)
        names = ", ".join(each.network for each in known if each.output)
        raise InputError(f"{weights.name}: {interface.network} cannot be exported; these can: {names}")
    if len(interface.references) > 1:
        raise InputError(f"{weights.name}: networks of two references cannot be exported")
    return interface


def _inputs(weights, interface, size, frames):
    """Return {name: shape} of the inputs. Raises InputError for sizes that the network does not take."""
    clip, multiple = interface.kind != "image", interface.multiple
    if frames is not None and not (clip and interface.any_window):
        raise InputError(f"--frames: {weights.name} takes {f'{interface.window} frames' if clip else 'no clips'}")
    count = frames or window(weights)
    if clip and not 2 <= count <= MAX_FRAMES:
        raise InputError(f"--frames {count}: is not between 2 and {MAX_FRAMES}")
    if size is None:
        if not interface.any_size:
            why = f"{interface.network} can be exported for one size only: give --height and --width"
            raise InputError(f"{weights.name}: {why}")
        least = max(2, -(-MIN_SIDE // multiple))  # a pixel in the coarsest layer leaves nothing to mirror
        batch, h, w = jax_export.symbolic_shape("b, h, w", constraints=[f"h >= {least}", f"w >= {least}"])
        return interface.shapes(multiple * h, multiple * w, count, batch)
    for option, side in zip(("--height", "--width"), size, strict=True):
        if not MIN_SIDE <= side <= MAX_SIDE or side % multiple:
            takes = f"sides of {MIN_SIDE} to {MAX_SIDE}" + (f", multiples of {multiple}" if multiple > 1 else "")
            raise InputError(f"{option} {side}: {weights.name} takes {takes}")
    return interface.shapes(*size, count)


def _shape(aval) -> list:
    """Describe a shape by numbers where they are known, else by formulas such as "8*h"."""
    return [side if isinstance(side, int) else str(side) for side in aval.shape]
