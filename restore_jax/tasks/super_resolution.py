"""Super-resolution of single pictures, alone or with a reference (the SISR and RefSR rows of dissertation Table 5.5).

An example is {"sharp"}, a photograph that is reduced here by MATLAB's imresize; or it is a clip's window of one frame:
"lrs" (1, h, w, 3), with "refs" (1, hr, wr, 3) for networks that take a reference, and "hr" (s h, s w, 3), the truth.
Without "hr", in DCSR's adaptation to real pictures, the result's low frequencies are compared with the input. If
config.loss.fidelity is not 0, details are learned from the view that config.loss.supervision names.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from restore_jax import losses, models
from restore_jax.ops.contextual import contextual_loss, multi_reference_fidelity
from restore_jax.ops.imresize import imresize
from restore_jax.ops.resize import block_mean, upsample_bicubic
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
    to_float,
    with_matcher,
)
from restore_jax.weights import load_into
from restore_jax.weights.vgg19 import load_for

GENERATOR = ("generator", "normalisation", "extractor", "main")  # modules of SRGAN and TTSR besides the discriminator
WIDE = 2  # a reference's pixels are this many times finer than the input's
PENALTY = 10.0  # weight of WGAN-GP's gradient penalty


def initial_params(model: nn.Module, key: jax.Array, config: ConfigDict) -> Variables:
    """Return initial variables.

    config.vgg: VGG19's weights, from which matching or textures start. config.generator: weights of the network without
    its discriminator, from which both phases start.
    """
    variables = models.initial_variables(model, key)
    params = dict(variables["params"])
    if config.vgg:
        vgg = load_for("imagenet", config.vgg)
        if "extractor" in params:
            params["extractor"] = {layer: vgg[layer] for layer in params["extractor"]}
        params = with_matcher(params, vgg)
    variables = {**variables, "params": params}
    if config.generator:
        options = {name: option for name, option in config.model.options.items() if name != "critic"}
        pretrained = load_into(config.generator, config.model.name, options)
        variables = {name: {**collection, **pretrained.get(name, {})} for name, collection in variables.items()}
    return variables


def inputs(example: Arrays, key: jax.Array, config: ConfigDict) -> Arrays:
    """Return "lr" and "hr" as float32 in [0, 1], "ref" with pixels as fine as the output's, and "details"."""
    views = evaluation_inputs(example, key, config)
    if config.loss.supervision in example:
        views["details"] = _frame(to_float(example[config.loss.supervision]))
    if config.loss.adversarial and config.loss.critic == "wgan":
        views["share"] = jax.random.uniform(key)
    return views


def evaluation_inputs(example: Arrays, key: jax.Array, config: ConfigDict) -> Arrays:
    """Return the inputs without the views that only losses need."""
    scale = config.model.options.get("scale", 4)
    if "sharp" in example:
        hr = to_float(example["sharp"])
        return {"lr": jnp.round(255 * jnp.clip(imresize(hr, 1 / scale), 0, 1)) / 255, "hr": hr}
    views = {"lr": _frame(to_float(example["lrs"]))}
    if "hr" in example:
        views["hr"] = to_float(example["hr"])
    if "refs" in example:
        ref = _frame(to_float(example["refs"]))
        if scale > WIDE:
            ref = jnp.clip(upsample_bicubic(ref[None], scale // WIDE)[0], 0, 1)
        views["ref"] = ref
    return views


def phases(config: ConfigDict) -> Phases:
    """Train the network, then, if there is an adversarial loss, the discriminator."""
    if not config.loss.adversarial:
        return (((), loss),)
    return (GENERATOR, loss), (("discriminator",), discriminator_loss)


def loss(model: nn.Module, variables: Variables, inputs: Arrays, config: ConfigDict) -> LossValue:
    """Sum the terms, each times its weight in config.loss; a term of weight zero is not computed.

    pixel: the loss that config.loss.norm names. perceptual: squared error between VGG19's features at
    config.loss.layer.
    texture: TTSR's loss of transfer. low, contextual, fidelity: DCSR's. adversarial: by config.loss.critic.
    """
    weights = config.loss
    outputs, statistics = _trained(model, variables, inputs)
    result, terms = outputs["image"], {}
    if weights.pixel:
        terms["pixel"] = weights.pixel * getattr(losses, weights.norm)(result, inputs["hr"])
    if weights.texture:
        terms["texture"] = weights.texture * texture_loss(model, variables, outputs)
    if weights.low:
        terms["low"] = weights.low * low(result, inputs.get("hr"), inputs["lr"])
    if weights.perceptual or weights.contextual or weights.fidelity:
        vgg = load_for("imagenet", config.vgg)
        seen = features(vgg, result, weights.layer)
    if weights.perceptual or weights.contextual:
        truth = features(vgg, inputs["hr"], weights.layer)
    if weights.perceptual:
        terms["perceptual"] = weights.perceptual * losses.mse(seen, truth)
    if weights.contextual:
        both = contextual_loss(seen, truth)[0] + contextual_loss(truth, seen)[0]
        terms["contextual"] = weights.contextual * both / 2
    if weights.fidelity:
        details = features(vgg, inputs["details"], weights.layer)[:, None]
        confidence = outputs["confidence"]
        confidence = block_mean(confidence, confidence.shape[1] // seen.shape[1])[..., 0]
        terms["fidelity"] = weights.fidelity * multi_reference_fidelity(seen, details, confidence[:, None])
    if weights.adversarial:
        logits, _ = _judged(model, variables, result)
        fooled = -logits if weights.critic == "wgan" else jax.nn.softplus(-logits)
        terms["adversarial"] = weights.adversarial * jnp.mean(fooled)
    gain = {"gain_db": jnp.mean(gain_over(_plain(inputs), result, inputs["hr"]))} if "hr" in inputs else {}
    total, values = summed(terms, **gain)
    return total, (values, statistics)


def discriminator_loss(model: nn.Module, variables: Variables, inputs: Arrays, config: ConfigDict) -> LossValue:
    """Compute the loss of telling photographs from results.

    config.loss.critic "gan" is cross-entropy, "wgan" the Wasserstein distance with a penalty on the gradient's norm.
    """
    outputs, _ = _trained(model, variables, inputs)
    result, photo = jax.lax.stop_gradient(outputs["image"]), inputs["hr"]
    of_photos, moved = _judged(model, variables, photo)
    of_results, moved = _judged(model, {**variables, **moved}, result)
    if config.loss.critic == "wgan":
        share = inputs["share"][:, None, None, None]
        between = share * photo + (1 - share) * result
        slope = jax.grad(lambda image: jnp.sum(_judged(model, variables, image)[0]))(between)
        norm = jnp.sqrt(jnp.sum(jnp.square(slope), (1, 2, 3)) + 1e-12)
        total = jnp.mean(of_results) - jnp.mean(of_photos) + PENALTY * jnp.mean(jnp.square(norm - 1))
    else:
        total = jnp.mean(jax.nn.softplus(-of_photos)) + jnp.mean(jax.nn.softplus(of_results))
    return total, ({"discriminator": total}, moved)


def texture_loss(model: nn.Module, variables: Variables, outputs: dict[str, Any]) -> Float[Array, ""]:
    """Compare the result's textures with those transferred: squared error, weighted by similarity, mean over levels.

    The extractor and the transferred textures have no gradient; only the result does.
    """
    still = jax.lax.stop_gradient(variables)
    found = model.apply(still, outputs["image"], method="textures")
    similarity, total = jax.lax.stop_gradient(outputs["confidence"]), 0.0
    for texture, transferred in zip(found, outputs["transferred"], strict=True):
        factor = texture.shape[1] // similarity.shape[1]
        weight = upsample_bicubic(similarity, factor) if factor > 1 else similarity
        total += losses.mse(weight * texture, weight * jax.lax.stop_gradient(transferred))
    return total / len(found)


def evaluate(model: nn.Module, variables: Variables, inputs: Arrays, config: ConfigDict) -> tuple[Arrays, Arrays]:
    """Compute metrics (b,) under the convention "refvsr", and pictures (b, h, w, 3) to look at."""
    return scored(_plain(inputs), model.apply(variables, *_frames(inputs))["image"], inputs["hr"])


def _frames(inputs):
    return [inputs[name] for name in ("lr", "ref") if name in inputs]


def _trained(model, variables, inputs):
    """Return outputs in training, and the updated statistics."""
    collections = [name for name in variables if name != "params"]
    if not collections:
        return model.apply(variables, *_frames(inputs), train=True), {}
    return model.apply(variables, *_frames(inputs), train=True, mutable=collections)


def _judged(model, variables, image):
    """Return the discriminator's logits (b,), and the updated statistics."""
    collections = [name for name in variables if name != "params"]
    if not collections:
        return model.apply(variables, image, train=True, method="judge"), {}
    return model.apply(variables, image, train=True, mutable=collections, method="judge")


def _frame(frames):
    """Return the middle frame of (t, h, w, 3)."""
    return frames[frames.shape[0] // 2]


def _plain(inputs):
    return bicubic(inputs["lr"], inputs["hr"].shape[1] // inputs["lr"].shape[1])
