"""Defocus deblurring (dissertation 4.2.3): L = L_deblur + L_disp + L_reblur, on rendered or real defocus.

A batch is either {"sharp"}: uint8 or float photographs that are defocused here, on the device, or the views of a
dual-pixel camera {"blurred", "left", "right", "sharp"}.
"""

import jax
import jax.numpy as jnp

from restore_jax import losses
from restore_jax.models.ifan import with_identity_filters
from restore_jax.ops.render import render_coc, render_dual_pixel
from restore_jax.ops.resize import block_mean
from restore_jax.ops.scene import random_coc
from restore_jax.ops.warp import warp_horizontal


def initial_params(model, key, config):
    """Fresh parameters; config.init is "xavier" (as printed) or "identity_filters"."""
    image = jnp.zeros((1, 64, 64, 3))
    views = {"right": image, "left": image} if model.input == "dual" else {}
    params = jax.jit(lambda key: model.init(key, image, **views))(key)
    if config.init == "identity_filters":
        params = with_identity_filters(params, model)
    return params


def inputs(batch, key, config):
    """Views of a batch as float32 in [0, 1]: renders what is not there, then augments (networks.md, section 1)."""
    render_key, augment_key = jax.random.split(key)
    views = {name: _to_float(image) for name, image in batch.items()}
    if "blurred" not in views:
        sharp = _random_grey(augment_key, views["sharp"], config.augment.grey)
        views = _render(render_key, sharp, config)
    return _random_noise(augment_key, views, config.augment)


def loss(model, params, inputs, config):
    """The sum of the three losses, each times its weight; a loss of weight zero is not computed."""
    weights = config.loss
    views = {}
    if model.input == "dual" or weights.disparity:
        views = {"right": inputs["right"], "left": inputs["left"]}
    outputs = model.apply(params, inputs["blurred"], sharp=inputs["sharp"] if weights.reblur else None, **views)
    pixel_loss = getattr(losses, weights.pixel)
    terms = {"deblur": weights.deblur * pixel_loss(outputs["image"], inputs["sharp"])}
    if weights.disparity:
        disparity = outputs.get("disparity_right", outputs["disparity"])
        terms["disparity"] = weights.disparity * disparity_loss(disparity, inputs["right"], inputs["left"])
    if weights.reblur:
        terms["reblur"] = weights.reblur * losses.mse(outputs["reblurred"], block_mean(inputs["blurred"], 8))
    total = sum(terms.values())
    gain = -10 * jnp.log10(
        _image_mse(outputs["image"], inputs["sharp"]) / _image_mse(inputs["blurred"], inputs["sharp"])
    )
    return total, {**terms, "loss": total, "gain_db": jnp.mean(gain)}


def disparity_loss(disparity, right, left):
    """Eq. 4.2: the right view, downsampled 8x and warped by the disparity, against the left view downsampled."""
    return losses.mse(warp_horizontal(block_mean(right, 8), disparity), block_mean(left, 8))


def _image_mse(a, b):
    return jnp.mean(jnp.square(jnp.clip(a, 0, 1) - b), axis=(1, 2, 3)) + 1e-4


def _to_float(image):
    return image.astype(jnp.float32) / (255.0 if image.dtype == jnp.uint8 else 1.0)


def _render(key, sharp, config):
    """Defocused views of (b, h, w, 3) under a random scene each, cropped by the margin that the blur reaches into."""
    settings = config.render
    margin = settings.margin

    def one(key, image):
        coc_key, light_key = jax.random.split(key)
        coc = random_coc(coc_key, image.shape[:2], float(settings.max_coc), settings.min_coc)
        # Light adds up in linear intensities, in which highlights bleed; editors and benchmarks often blur as encoded.
        gamma = jnp.where(jax.random.uniform(light_key) < settings.linear_light, 2.2, 1.0)
        linear = image**gamma
        if config.loss.disparity or config.model.options.get("input") == "dual":
            left, right = render_dual_pixel(linear, coc, settings.max_coc, settings.num_layers)
            blurred = (left + right) / 2
        else:
            left = right = blurred = render_coc(linear, coc, settings.max_coc, "disc", settings.num_layers)
        views = {"sharp": linear, "blurred": blurred, "left": left, "right": right}
        return {name: _encode(view, gamma)[margin:-margin, margin:-margin] for name, view in views.items()}

    # One image at a time: the layers of a whole batch do not fit the cache.
    views = jax.lax.map(lambda args: one(*args), (jax.random.split(key, sharp.shape[0]), sharp))
    return {name: view if name == "sharp" else jnp.round(255 * view) / 255 for name, view in views.items()}


def _encode(linear, gamma):
    return jnp.clip(linear, 0.0, 1.0) ** (1 / gamma)


def _random_grey(key, image, probability):
    """Grey by linear luminance, then sRGB gamma, with the given probability an image."""
    luminance = jnp.sum(image * jnp.array([0.2126, 0.7152, 0.0722])[None, None, None], -1, keepdims=True)
    encoded = jnp.where(
        luminance <= 0.0031308, 12.92 * luminance, 1.055 * jnp.maximum(luminance, 1e-6) ** (1 / 2.4) - 0.055
    )
    chosen = jax.random.uniform(key, (image.shape[0], 1, 1, 1)) < probability
    return jnp.where(chosen, jnp.broadcast_to(encoded, image.shape), image)


def _random_noise(key, views, augment):
    """Gaussian noise of sigma ~ U(min, max) on what the network sees, with the given probability an image."""
    chosen_key, sigma_key, noise_key = jax.random.split(key, 3)
    shape = (views["sharp"].shape[0], 1, 1, 1)
    chosen = jax.random.uniform(chosen_key, shape) < augment.noise
    sigma = jax.random.uniform(sigma_key, shape, minval=augment.noise_min, maxval=augment.noise_max)
    noise = jnp.where(chosen, sigma, 0.0) * jax.random.normal(noise_key, views["sharp"].shape)
    return {name: view if name == "sharp" else jnp.clip(view + noise, 0, 1) for name, view in views.items()}
