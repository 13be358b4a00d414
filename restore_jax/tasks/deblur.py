"""Defocus deblurring (dissertation 4.2.3): L = L_deblur + L_disp + L_reblur, on rendered or real defocus.

An example is either {"sharp"}: a photograph that is defocused here, on the device, by `ops.camera` if the config has a
section `camera`, else by `ops.render` as `config.render` says; or a pair {"blurred", "sharp"}, with the views
{"left", "right"} of a dual-pixel camera where disparity is trained.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from restore_jax import losses, metrics
from restore_jax.models.ifan import with_identity_filters
from restore_jax.ops.camera import photograph
from restore_jax.ops.render import render_coc, render_dual_pixel
from restore_jax.ops.resize import block_mean
from restore_jax.ops.scene import random_coc
from restore_jax.ops.warp import warp_horizontal
from restore_jax.tasks.terms import Arrays, LossValue, Phases, Variables, to_float


def initial_params(model: nn.Module, key: jax.Array, config: ConfigDict) -> Variables:
    """Return initial parameters; config.init is "xavier" (the dissertation's) or "identity_filters"."""
    image = jnp.zeros((1, 64, 64, 3))
    views = {"right": image, "left": image} if model.input == "dual" else {}
    params = jax.jit(lambda key: model.init(key, image, **views))(key)
    if config.init == "identity_filters":
        params = with_identity_filters(params, model)
    return params


def inputs(example: Arrays, key: jax.Array, config: ConfigDict) -> Arrays:
    """Return views (h, w, 3) float32 in [0, 1]: render those that are missing, then augment (docs/networks.md 1)."""
    render_key, grey_key, noise_key = jax.random.split(key, 3)
    views = {name: to_float(image) for name, image in example.items()}
    grey = jax.random.uniform(grey_key) < config.augment.grey
    if "blurred" not in views:
        views = _render(render_key, _grey_where(grey, views["sharp"]), config)
    else:
        views = {name: _grey_where(grey, view) for name, view in views.items()}
    maps = {name: views.pop(name) for name in ("coc",) if name in views}
    views = {**_random_noise(noise_key, views, config.augment), **maps}
    if config.model.options.get("dropout"):
        views["dropout"] = jax.random.key_data(jax.random.fold_in(key, 3))
    return views


def evaluation_inputs(example: Arrays, key: jax.Array, config: ConfigDict) -> Arrays:
    """Return the views without augmentation."""
    views = {name: to_float(image) for name, image in example.items()}
    return views if "blurred" in views else _render(key, views["sharp"], config)


def phases(config: ConfigDict) -> Phases:
    """Train everything by `loss`, in one phase."""
    return (((), loss),)


def loss(model: nn.Module, params: Variables, inputs: Arrays, config: ConfigDict) -> LossValue:
    """Sum the losses, each times its weight; a loss of weight zero is not computed.

    The loss `blur`, which is not in the dissertation, teaches the code that filters are made of to hold the COC.
    """
    weights = config.loss
    outputs = _apply(model, params, inputs, weights.disparity, weights.reblur)
    pixel_loss = getattr(losses, weights.pixel)
    terms = {"deblur": weights.deblur * pixel_loss(outputs["image"], inputs["sharp"])}
    if weights.disparity:
        disparity = outputs.get("disparity_right", outputs["disparity"])
        terms["disparity"] = weights.disparity * disparity_loss(disparity, inputs["right"], inputs["left"])
    if weights.reblur:
        terms["reblur"] = weights.reblur * losses.mse(outputs["reblurred"], block_mean(inputs["blurred"], 8))
    if weights.get("blur"):
        terms["blur"] = weights.blur * losses.l1(outputs["blur"], block_mean(jnp.log1p(inputs["coc"]), 8))
    total = sum(terms.values())
    gain = -10 * jnp.log10(
        _image_mse(outputs["image"], inputs["sharp"]) / _image_mse(inputs["blurred"], inputs["sharp"])
    )
    health = {"filter_spread": filter_spread(outputs["filters"])} if "filters" in outputs else {}
    return total, ({**terms, "loss": total, "gain_db": jnp.mean(gain), **health}, {})


def filter_spread(filters: Float[Array, "b h w m"]) -> Float[Array, ""]:
    """Return the standard deviation over pixels of predicted filters (b, h, w, m), averaged over m; 0: no adaption."""
    return jax.lax.stop_gradient(jnp.mean(jnp.std(filters, (1, 2))))


def evaluate(model: nn.Module, params: Variables, inputs: Arrays, config: ConfigDict) -> tuple[Arrays, Arrays]:
    """Compute metrics (b,) under the convention "ifan", and pictures (b, h, w, 3) in [0, 1] to look at."""
    outputs = _apply(model, params, inputs, config.loss.disparity, False)
    adaptive = "filters" in outputs
    result, sharp = jnp.clip(outputs["image"], 0, 1), inputs["sharp"]
    values = {name: getattr(metrics, name)(result, sharp) for name in ("psnr", "ssim", "mae")}
    values["gain_db"] = values["psnr"] - metrics.psnr(inputs["blurred"], sharp)
    if adaptive:  # how much worse the result is with the mean filter in place of each pixel's own
        constant = _apply(model, params, inputs, config.loss.disparity, False, mean_filters=True)["image"]
        values["adapting_db"] = values["psnr"] - metrics.psnr(jnp.clip(constant, 0, 1), sharp)
    pictures = {"input": inputs["blurred"], "result": result, "truth": sharp}
    if config.loss.disparity:
        disparity = jnp.repeat(jnp.repeat(outputs["disparity"], 8, 1), 8, 2)
        # Mid-grey is no disparity; black and white are two pixels at 1/8 of the size.
        pictures["disparity"] = jnp.broadcast_to(jnp.clip(0.5 + disparity / 4, 0, 1), sharp.shape)
    pictures["error x4"] = jnp.clip(4 * jnp.abs(result - sharp), 0, 1)
    return values, pictures


def disparity_loss(
    disparity: Float[Array, "b h8 w8 1"], right: Float[Array, "b h w 3"], left: Float[Array, "b h w 3"]
) -> Float[Array, ""]:
    """Compare the right view, reduced to 1/8 and warped by the disparity, with the left view reduced (Eq. 4.2)."""
    return losses.mse(warp_horizontal(block_mean(right, 8), disparity), block_mean(left, 8))


def _apply(model, params, inputs, disparity, reblur, **options):
    """Return the network's outputs as float32, whatever it computes in."""
    views = {}
    if model.input == "dual" or disparity:
        views = {"right": inputs["right"], "left": inputs["left"]}
    if reblur:
        options["sharp"] = inputs["sharp"]
    if "dropout" in inputs:  # a key for each example; the batch takes the first
        options |= {"train": True, "rngs": {"dropout": jax.random.wrap_key_data(inputs["dropout"][0])}}
    outputs = model.apply(params, inputs["blurred"], **views, **options)
    return jax.tree.map(lambda x: x.astype(jnp.float32), outputs)


def _image_mse(a, b):
    return jnp.mean(jnp.square(jnp.clip(a, 0, 1) - b), axis=(1, 2, 3)) + 1e-4


def _render(key, sharp, config):
    """Render defocused views of (h, w, 3) in a random scene, and crop the margin that the blur reaches into."""
    margin = config.data.margin
    dual = bool(config.loss.disparity) or config.model.options.get("input") == "dual"
    if "camera" in config:
        return photograph(key, sharp, config.camera, sharp.shape[0] - 2 * margin, dual)
    settings = config.render
    coc_key, light_key = jax.random.split(key)
    coc = random_coc(coc_key, sharp.shape[:2], float(settings.max_coc), settings.min_coc)
    # Light adds up in linear intensities, where highlights bleed; editors and benchmarks often blur encoded values.
    gamma = jnp.where(jax.random.uniform(light_key) < settings.linear_light, 2.2, 1.0)
    linear = sharp**gamma
    if dual:
        left, right = render_dual_pixel(linear, coc, settings.max_coc, settings.num_layers)
        views = {"blurred": (left + right) / 2, "left": left, "right": right}
    else:
        views = {"blurred": render_coc(linear, coc, settings.max_coc, "disc", settings.num_layers)}
    views = {name: jnp.round(255 * _encode(view, gamma)) / 255 for name, view in views.items()}
    return {name: view[margin:-margin, margin:-margin] for name, view in {**views, "sharp": sharp}.items()}


def _encode(linear, gamma):
    return jnp.clip(linear, 0.0, 1.0) ** (1 / gamma)


def _grey_where(chosen, image):
    """Turn the image grey where `chosen`: by linear luminance, then the sRGB curve."""
    luminance = jnp.sum(image * jnp.array([0.2126, 0.7152, 0.0722])[None, None], -1, keepdims=True)
    encoded = jnp.where(
        luminance <= 0.0031308, 12.92 * luminance, 1.055 * jnp.maximum(luminance, 1e-6) ** (1 / 2.4) - 0.055
    )
    return jnp.where(chosen, jnp.broadcast_to(encoded, image.shape), image)


def _random_noise(key, views, augment):
    """Add Gaussian noise of sigma ~ U(min, max) to the network's input, with the config's probability."""
    chosen_key, sigma_key, noise_key = jax.random.split(key, 3)
    chosen = jax.random.uniform(chosen_key) < augment.noise
    sigma = jax.random.uniform(sigma_key, minval=augment.noise_min, maxval=augment.noise_max)
    noise = jnp.where(chosen, sigma, 0.0) * jax.random.normal(noise_key, views["sharp"].shape)
    return {name: view if name == "sharp" else jnp.clip(view + noise, 0, 1) for name, view in views.items()}
