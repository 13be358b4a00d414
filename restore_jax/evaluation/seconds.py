"""Seconds that a table's row takes for one picture on this machine."""

import functools

import jax
import numpy as np

from restore_jax.bench import macs, timing
from restore_jax.data.dead_leaves import dead_leaves
from restore_jax.evaluation.deblur import DECONVOLVED, deblurring
from restore_jax.evaluation.published import MEMORISING, network
from restore_jax.models.interface import result
from restore_jax.ops.deconv import DATASET_WEIGHTS, deconvolve


def seconds(role: str, size: tuple[int, int]) -> float | None:
    """Measure the seconds of one picture, warm, on this machine: of a network with drawn weights, or a deconvolution.

    role: of `published.NETWORKS`, or a method of deblurring; None is returned for anything else. size: (height, width).
    Networks that restore clips count the mean of a clip's frames; those that restore a window's centre, the window.
    """
    if role == "dmenet":
        return seconds("bdcs", size) + min(timing.in_turn([_deconvolution(size)], 2)[0])
    found = _method(role, size) or _network(role, size)
    if found is None:
        return None
    run, pictures = found
    return min(timing.in_turn([run], 2)[0]) / pictures


def _method(role, size):
    """Return (a function that restores a drawn picture without a network, 1), or None."""
    if role not in DECONVOLVED:
        return None
    views = {"blurred": dead_leaves(np.random.default_rng(0), size).astype(np.float32) / 255}
    restored = deblurring(role)
    return lambda: restored(views), 1


def _deconvolution(size):
    """Return a function that deconvolves a drawn picture by a smooth map, sigma up to 4 px."""
    image = dead_leaves(np.random.default_rng(0), size).astype(np.float32) / 255
    sigma = np.broadcast_to(np.linspace(0, 4, size[1], dtype=np.float32), size)
    return lambda: jax.block_until_ready(deconvolve(image, sigma, weight=DATASET_WEIGHTS["dpdd"]))


def _network(role, size):
    """Return (a function that applies a role's network with drawn weights, how many pictures it restores), or None."""
    rng, found = np.random.default_rng(0), network(role)
    if found is None or role in MEMORISING:
        return None
    model = found.create()
    clips = model.interface.kind == "clip"
    inputs = macs.restoring_inputs(model, *size, 5 if clips else found.frames)
    pictures = jax.tree.map(lambda shape: rng.random(shape.shape, np.float32), inputs)
    variables, pictures = jax.device_put((timing.drawn_variables(model), pictures))
    restored = jax.jit(functools.partial(result, model))
    return lambda: jax.block_until_ready(restored(variables, pictures)), 5 if clips else 1
