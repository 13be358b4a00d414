"""Reference-based video super-resolution (dissertation 5.3): a window of frames and references to its centre frame.

An example holds "lrs" (t, h, w, 3) and references: "refs" (t, hr, wr, 3), or "teles" for a network that takes the
telephoto, or both. For pre-training (Eq. 5.10) it also has "hr" (s h, s w, 3), the centre frame's truth. For the
adaptation to real footage (Eq. 5.11) there is no truth: the result's low frequencies are compared with the frame
itself.

If config.loss.fidelity is not 0, details are learned from the views that config.loss.supervision names, such as
"refs_hr", "teles" or "refs_hr,teles_hr", in config.loss.fidelity_window frames around the centre. A view's distances
are weighted by the matching confidence of its camera, if the network matches that camera.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from restore_jax import losses
from restore_jax.models import initial_variables
from restore_jax.ops.contextual import contextual_loss, multi_reference_fidelity
from restore_jax.ops.resize import block_mean
from restore_jax.tasks.terms import (
    Arrays,
    LossValue,
    Phases,
    Variables,
    bicubic,
    features,
    gain_over,
    low,
    scored,
    summed,
    views_as_floats,
    with_matcher,
)
from restore_jax.weights import load_into
from restore_jax.weights.vgg19 import load_for


def initial_params(model: nn.Module, key: jax.Array, config: ConfigDict) -> Variables:
    """Return initial parameters.

    config.spynet: weights of the flow network, which is not trained, and from which one for references starts.
    config.vgg: weights of VGG19, from whose first layers matching starts.
    """
    params = initial_variables(model, key)["params"]
    if config.spynet:
        flow = load_into(config.spynet, "spynet", {})["params"]
        params |= {name: flow for name in ("flow_network", "reference_flow") if name in params}
    if config.vgg:
        params = with_matcher(params, load_for("imagenet", config.vgg))
    return {"params": params}


def inputs(example: Arrays, key: jax.Array, config: ConfigDict) -> Arrays:
    """Return the views as float32 in [0, 1]; the data has the cameras' noise and exposure already."""
    return views_as_floats(example)


def evaluation_inputs(example: Arrays, key: jax.Array, config: ConfigDict) -> Arrays:
    """Return the views as float32 in [0, 1]."""
    return inputs(example, key, config)


def phases(config: ConfigDict) -> Phases:
    """Train everything by `loss`, in one phase."""
    return (((), loss),)


def loss(model: nn.Module, params: Variables, inputs: Arrays, config: ConfigDict) -> LossValue:
    """Sum the terms, each times its weight in config.loss; a term of weight zero is not computed.

    pixel: mean absolute error (the "-l1" models). low: of the low frequencies alone; contextual: to the truth
    (Eq. 5.8); fidelity: to the reference frames of the window (Eq. 5.9).
    """
    weights = config.loss
    outputs = model.apply(params, inputs["lrs"], _references(model, inputs), train=True)
    result, terms = outputs["image"], {}
    if weights.pixel:
        terms["pixel"] = weights.pixel * losses.l1(result, inputs["hr"])
    if weights.low:
        terms["low"] = weights.low * low(result, inputs.get("hr"), _frame(inputs))
    if weights.contextual or weights.fidelity:
        vgg = load_for("imagenet", config.vgg)
        seen = features(vgg, result, weights.layer)
    if weights.contextual:
        truth = features(vgg, inputs["hr"], weights.layer)
        terms["contextual"] = weights.contextual * contextual_loss(seen, truth)[0]
    if weights.fidelity:
        terms["fidelity"] = 0.0
        for view in weights.supervision.split(","):
            frames, confidence = (
                _around_centre(x, weights.fidelity_window)
                for x in (inputs[view], _confidence_in(outputs["confidence"], view))
            )
            details = jnp.moveaxis(jax.lax.map(lambda x: features(vgg, x, weights.layer), _by_frame(frames)), 0, 1)
            confidence = jax.vmap(lambda x: _pooled(x, seen.shape[1]), 1, 1)(confidence)[..., 0]
            terms["fidelity"] += weights.fidelity * multi_reference_fidelity(seen, details, confidence)
    gain = {}
    if "hr" in inputs:
        gain["gain_db"] = jnp.mean(gain_over(bicubic(_frame(inputs), model.scale), result, inputs["hr"]))
    total, values = summed(terms, **gain)
    return total, (values, {})


def evaluate(model: nn.Module, params: Variables, inputs: Arrays, config: ConfigDict) -> tuple[Arrays, Arrays]:
    """Compute metrics (b,) of the centre frame under the convention "refvsr", and pictures (b, h, w, 3) to look at."""
    result = model.apply(params, inputs["lrs"], _references(model, inputs))["image"]
    return scored(bicubic(_frame(inputs), model.scale), result, inputs["hr"])


def _references(model, inputs):
    """Return the references that the network takes."""
    views = {"wide": "refs", "tele": "teles"}
    if model.references == "dual":
        return tuple(inputs[view] for view in views.values())
    return inputs[views[model.references]]


def _confidence_in(confidence, view):
    """Return the confidence (b, t, h, w, 1) of matching the view's camera, for a network that matches both."""
    channel = 1 if view.startswith("teles") and confidence.shape[-1] == 2 else 0
    return confidence[..., channel : channel + 1]


def _around_centre(frames, count):
    """Return the `count` frames (odd) in the middle of (b, t, ...), or all if there are fewer."""
    centre = frames.shape[1] // 2
    return frames[:, max(0, centre - count // 2) : centre + count // 2 + 1]


def _by_frame(frames):
    return jnp.moveaxis(frames, 1, 0)


def _pooled(confidence, height):
    """Average a confidence (b, h, w, 1) down to the size of features."""
    return block_mean(confidence, confidence.shape[1] // height)


def _frame(inputs):
    """Return the window's centre frame."""
    lrs = inputs["lrs"]
    return lrs[:, lrs.shape[1] // 2]
