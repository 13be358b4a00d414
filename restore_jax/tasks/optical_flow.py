"""Optical flow of pairs that are made from photographs, so that their flow is known; trains SPyNet.

An example holds "sharp", a photograph. One frame is the photograph itself. The other is moved by a smooth random field,
with cut-outs that move by themselves. Both are halved, so that neither shows traces of interpolation.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from ml_collections import ConfigDict

from restore_jax.models import initial_variables
from restore_jax.ops.resize import block_mean
from restore_jax.ops.warp import warp
from restore_jax.tasks.terms import Arrays, LossValue, Phases, Variables, to_float

LAYERS = 2  # number of cut-outs
EPSILON = 1e-2  # pixels: the end-point error is quadratic below it


def initial_params(model: nn.Module, key: jax.Array, config: ConfigDict) -> Variables:
    """Return initial parameters."""
    return initial_variables(model, key)


def inputs(example: Arrays, key: jax.Array, config: ConfigDict) -> Arrays:
    """Make and augment "reference", "neighbour" (h, w, 3) and "flow" (h, w, 2); warp(neighbour, flow) is reference."""
    motion_key, gain_key, sigma_key, noise_key = jax.random.split(key, 4)
    pair = _pair(motion_key, to_float(example["sharp"]), config)
    gains = 1 + config.augment.gain * jax.random.normal(gain_key, (2, 1, 1, 3))
    sigma = jax.random.uniform(sigma_key, maxval=config.augment.noise_max)
    noise = sigma * jax.random.normal(noise_key, (2, *pair["reference"].shape))
    seen = jnp.clip(jnp.stack([pair["reference"], pair["neighbour"]]) * gains + noise, 0, 1)
    return {**pair, "reference": seen[0], "neighbour": seen[1]}


def evaluation_inputs(example: Arrays, key: jax.Array, config: ConfigDict) -> Arrays:
    """Make the pair and its flow without augmentation."""
    return _pair(key, to_float(example["sharp"]), config)


def phases(config: ConfigDict) -> Phases:
    """Train everything by `loss`, in one phase."""
    return (((), loss),)


def loss(model: nn.Module, params: Variables, inputs: Arrays, config: ConfigDict) -> LossValue:
    """Compute the mean end-point error in pixels."""
    flow = model.apply(params, inputs["reference"], inputs["neighbour"])
    value = jnp.mean(jnp.sqrt(jnp.sum(jnp.square(flow - inputs["flow"]), -1) + EPSILON**2))
    return value, ({"loss": value}, {})


def evaluate(model: nn.Module, params: Variables, inputs: Arrays, config: ConfigDict) -> tuple[Arrays, Arrays]:
    """Compute end-point errors (b,) of the flow and of zero flow, and pictures: both frames, and one of them warped."""
    flow = model.apply(params, inputs["reference"], inputs["neighbour"])

    def error(flow):
        return jnp.mean(jnp.sqrt(jnp.sum(jnp.square(flow - inputs["flow"]), -1)), (1, 2))

    pictures = {"reference": inputs["reference"], "neighbour": inputs["neighbour"]}
    pictures["warped"] = jnp.clip(warp(inputs["neighbour"], flow, "border"), 0, 1)
    return {"epe": error(flow), "epe_of_zero": error(jnp.zeros_like(flow))}, pictures


def random_flow(key: Key[Array, ""], size: tuple[int, int], largest: float) -> Float[Array, "h w 2"]:
    """Draw a flow (pixels, x first): shift, zoom, turn and shear, a smooth field, and cut-outs that move by themselves.

    Its scale is log-uniform up to `largest` pixels, the length of the longest vector.
    """
    scale_key, *layer_keys = jax.random.split(key, 2 + LAYERS)
    y, x = (jnp.linspace(-1, 1, n) for n in size)
    position = jnp.stack(jnp.meshgrid(x, y), -1)
    flow = _smooth_motion(layer_keys[0], position)
    for layer_key in layer_keys[1:]:
        outline_key, motion_key = jax.random.split(layer_key)
        centre, extent, turn = jax.random.uniform(outline_key, (3, 2))
        away = (position - (2 * centre - 1)[None, None]) / (0.1 + 0.5 * extent)[None, None]
        angle = jnp.arctan2(away[..., 1], away[..., 0])
        inside = jnp.linalg.norm(away, axis=-1) < 1 + 0.3 * jnp.sin(3 * angle + 6.3 * turn[0])
        flow = jnp.where(inside[..., None], _smooth_motion(motion_key, position), flow)
    longest = jnp.linalg.norm(flow, axis=-1).max()
    return flow * largest * 20 ** -jax.random.uniform(scale_key) / longest


def _smooth_motion(key, position):
    """Draw a motion (h, w, 2) of about unit length: affine in `position` (in [-1, 1]), plus a smooth field."""
    shift_key, affine_key, field_key, share_key = jax.random.split(key, 4)
    shares = jax.random.uniform(share_key, (2,))
    affine = jnp.einsum("hwi,ij->hwj", position, jax.random.normal(affine_key, (2, 2)))
    field = jax.image.resize(jax.random.normal(field_key, (4, 4, 2)), position.shape, "cubic")
    return jax.random.normal(shift_key, (2,))[None, None] + 0.5 * shares[0] * affine + 0.3 * shares[1] * field


def _pair(key, photo, config):
    """Make both frames of a photograph (2 h + 2 m, 2 w + 2 m, 3), with the margin m = config.data.margin for motion."""
    margin = config.data.margin
    flow = random_flow(key, photo.shape[:2], 2 * config.flow.largest)[None]
    moved = warp(photo[None], flow, "border")

    def seen(x):
        return block_mean(x[:, margin:-margin, margin:-margin], 2)[0]

    return {"reference": seen(moved), "neighbour": seen(photo[None]), "flow": seen(flow) / 2}
