"""Defocus map estimation (dissertation 3.3): B learns from rendered defocus; D, C and S adapt it to real images.

An example holds "sharp" (I_S), a photograph that is defocused here, on the device, so that its map is known. Some
losses also need "real" (I_R), a defocused photograph without a map, and "binary" and "binary_map" (I_B), one with a map
of where it is blurred. A loss of weight zero is left out: B alone needs "sharp" only.

Maps are sigma / UNIT in [0, 1], sigma in pixels of the image: a COC of c pixels is a sigma of c / 4.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from restore_jax import losses
from restore_jax.models import initial_variables
from restore_jax.models.vgg import VGG19, caffe_input
from restore_jax.ops.render import SIGMA_PER_COC, render_coc
from restore_jax.ops.resize import nearest_align_corners
from restore_jax.ops.scene import random_coc
from restore_jax.tasks.terms import Arrays, LossValue, Phases, Variables, summed, to_float
from restore_jax.weights.vgg19 import load_for

UNIT = 7.0  # pixels: the sigma of the largest COC, 28
CARD = {"sigma_unit": UNIT}  # without it maps are read in the published network's unit
CONTENT = "relu4_4"  # "the last convolution layer before the fourth max-pooling", after its activation
GENERATOR = ("encoder", "decoder", "refinement", "auxiliary_heads", "calibration")


def initial_params(model: nn.Module, key: jax.Array, config: ConfigDict) -> Variables:
    """Return initial variables; the encoder starts from VGG19's weights in config.vgg (`weights convert vgg19`)."""
    variables = initial_variables(model, key)
    if config.vgg:
        variables = {**variables, "params": {**variables["params"], "encoder": load_for("caffe", config.vgg)}}
    return variables


def inputs(example: Arrays, key: jax.Array, config: ConfigDict) -> Arrays:
    """Render and augment "image" (h, w, 3) and "map" (h, w, 1); "real", "binary", "binary_map" stay as they are."""
    render_key, grey_key, sigma_key, noise_key = jax.random.split(key, 4)
    image = to_float(example["sharp"])
    grey = jax.random.uniform(grey_key) < config.augment.grey
    image = jnp.where(grey, jnp.broadcast_to(image.mean(-1, keepdims=True), image.shape), image)
    views = _render(render_key, image, config)
    sigma = jax.random.uniform(sigma_key, maxval=config.augment.noise_max)
    noisy = views["image"] + sigma * jax.random.normal(noise_key, views["image"].shape)
    real = {name: to_float(example[name]) for name in ("real", "binary", "binary_map") if name in example}
    if "binary_map" in real:
        real["binary_map"] = real["binary_map"][..., :1]
    return {**views, "image": jnp.clip(noisy, 0, 1), **real}


def evaluation_inputs(example: Arrays, key: jax.Array, config: ConfigDict) -> Arrays:
    """Render "image" and "map" without augmentation."""
    return _render(key, to_float(example["sharp"]), config)


def phases(config: ConfigDict) -> Phases:
    """Train the generator B with S, then, if there is an adversarial loss, the discriminator D."""
    generator = (GENERATOR, generator_loss)
    return (generator, (("discriminator",), discriminator_loss)) if config.loss.adversarial else (generator,)


def generator_loss(model: nn.Module, variables: Variables, inputs: Arrays, config: ConfigDict) -> LossValue:
    """Sum the generator's losses (Eq. 3.3).

    They are: defocus (3.5), auxiliary (3.6), content (3.9), calibration (3.10), adversarial (3.8).
    """
    weights = config.loss
    outputs, variables = _moved(model, variables, inputs["image"], keep=("calibration",))
    label = inputs["map"]
    pixel_loss = getattr(losses, weights.pixel)
    terms = {"defocus": pixel_loss(outputs["defocus"], label)}
    if weights.auxiliary:
        terms["auxiliary"] = weights.auxiliary * auxiliary_loss(outputs["aux"], label, pixel_loss)
    if weights.content:
        terms["content"] = weights.content * content_loss(load_for("caffe", config.vgg), outputs["defocus"], label)
    adversarial = []
    if weights.calibration:
        outputs, variables = _moved(model, variables, inputs["binary"])
        logits = outputs["sharpness_logits"]
        terms["calibration"] = weights.calibration * _cross_entropy(logits, inputs["binary_map"])
        adversarial.append(_cross_entropy(outputs["domain_logits"], 1.0))
    if weights.adversarial:
        outputs, variables = _moved(model, variables, inputs["real"], keep=("calibration",))
        adversarial.append(_cross_entropy(outputs["domain_logits"], 1.0))
        terms["adversarial"] = weights.adversarial * sum(adversarial) / len(adversarial)
    total, values = summed(terms)
    statistics = {name: collection for name, collection in variables.items() if name != "params"}
    return total, (values, statistics)


def discriminator_loss(model: nn.Module, variables: Variables, inputs: Arrays, config: ConfigDict) -> LossValue:
    """Compute the discriminator's loss (Eq. 3.7): synthetic features are 1, real ones 0, both weighted equally."""
    domains = {"image": 1.0, "real": 0.0} | ({"binary": 0.0} if config.loss.calibration else {})
    terms, statistics = {}, variables["batch_stats"]
    for name, label in domains.items():
        now = {**variables, "batch_stats": statistics}
        outputs, changed = model.apply(now, inputs[name], train=True, mutable=["batch_stats"])
        statistics = {**statistics, "discriminator": changed["batch_stats"]["discriminator"]}
        terms[name] = _cross_entropy(outputs["domain_logits"], label)
    synthetic = terms.pop("image")
    total = config.loss.adversarial * (synthetic + sum(terms.values()) / len(terms))
    return total, ({"discriminator": total}, {"batch_stats": statistics})


def auxiliary_loss(
    maps: Arrays, label: Float[Array, "b h w 1"], pixel_loss: Callable[..., jax.Array] = losses.mse
) -> Float[Array, ""]:
    """Sum the errors of the maps of all levels, against the label resized to each (Eq. 3.6)."""
    return sum(pixel_loss(m, nearest_align_corners(label, *m.shape[1:3])) for m in maps.values())


def content_loss(vgg: Variables, map_: Float[Array, "b h w 1"], label: Float[Array, "b h w 1"]) -> Float[Array, ""]:
    """Compute the mean squared difference of VGG19's features of two maps (b, h, w, 1) in [0, 1] (Eq. 3.9)."""

    def features(x):
        return VGG19(CONTENT).apply({"params": vgg}, caffe_input(jnp.repeat(x, 3, -1)))[CONTENT]

    return losses.mse(features(map_), features(label))


def evaluate(model: nn.Module, variables: Variables, inputs: Arrays, config: ConfigDict) -> tuple[Arrays, Arrays]:
    """Compute errors (b,) of the maps, mse, and mae in pixels of sigma, and pictures (b, h, w, 3)."""
    result, label = model.apply(variables, inputs["image"])["defocus"], inputs["map"]
    error = result - label
    values = {
        "mse": jnp.mean(jnp.square(error), (1, 2, 3)),
        "mae_px": UNIT * jnp.mean(jnp.abs(error), (1, 2, 3)),
        "mae_px_of_median": UNIT * jnp.mean(jnp.abs(label - jnp.median(label, (1, 2, 3), keepdims=True)), (1, 2, 3)),
    }
    pictures = {"input": inputs["image"], "result": jnp.repeat(result, 3, -1), "truth": jnp.repeat(label, 3, -1)}
    return values, pictures


def _moved(model, variables, image, keep=()):
    """Return outputs in training, and the variables with updated averages, except those of D and of `keep`."""
    outputs, changed = model.apply(variables, image, train=True, mutable=["batch_stats"])
    old, new = variables["batch_stats"], changed["batch_stats"]
    kept = {name: old[name] for name in ("discriminator", *keep) if name in old}
    return outputs, {**variables, "batch_stats": {**new, **kept}}


def _cross_entropy(logits, label):
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, jnp.broadcast_to(jnp.asarray(label), logits.shape)))


def _render(key, sharp, config):
    settings, margin = config.render, config.data.margin
    coc = random_coc(key, sharp.shape[:2], float(settings.max_coc), settings.min_coc)
    image = jnp.clip(render_coc(sharp, coc, settings.max_coc, settings.psf, settings.num_layers), 0, 1)
    label = jnp.clip(SIGMA_PER_COC * jnp.abs(coc) / UNIT, 0, 1)[..., None]
    inside = (slice(margin, -margin or None),) * 2
    return {"image": jnp.round(255 * image[inside]) / 255, "map": label[inside]}
