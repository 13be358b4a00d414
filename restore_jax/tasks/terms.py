"""Share types of functions, views as floats, loss terms and scores against bicubic among several tasks."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num
from ml_collections import ConfigDict

from restore_jax import losses, metrics
from restore_jax.models.vgg import VGG19, imagenet_input
from restore_jax.ops.imresize import imresize
from restore_jax.ops.resize import upsample_bicubic

Arrays = dict[str, jax.Array]
Variables = dict[str, Any]  # {"params": ...} and other collections, nested
LossValue = tuple[jax.Array, tuple[Arrays, Variables]]  # the scalar, (what is logged, collections that changed)
Loss = Callable[[nn.Module, Variables, Arrays, ConfigDict], LossValue]
Phases = tuple[tuple[tuple[str, ...], Loss], ...]


def to_float(image: Num[Array, "..."]) -> Float[Array, "..."]:
    """Convert integers of 8 or 16 bits to float32 in [0, 1]; floats stay as they are."""
    whole = jnp.issubdtype(image.dtype, jnp.integer)
    return image.astype(jnp.float32) / (float(jnp.iinfo(image.dtype).max) if whole else 1.0)


def views_as_floats(example: Arrays) -> Arrays:
    """Convert all views of an example to float32 in [0, 1]."""
    return {name: to_float(view) for name, view in example.items()}


def with_matcher(params: Variables, vgg: Variables) -> Variables:
    """Return parameters whose matchers start from the first layers of VGG19."""
    matchers = {name: params[name] for name in ("matcher", "frame_matcher") if name in params}
    first = {name: {layer: vgg[layer] for layer in matcher["vgg"]} for name, matcher in matchers.items()}
    return {**params, **{name: {**matcher, "vgg": first[name]} for name, matcher in matchers.items()}}


def low(
    result: Float[Array, "b sh sw 3"], truth: Float[Array, "b sh sw 3"] | None, frame: Float[Array, "b h w 3"]
) -> Float[Array, ""]:
    """Compare the result's low frequencies with the truth's by the mean absolute error (Eq. 5.8).

    Without a truth the result is reduced and compared with the frame (Eq. 5.11, for real footage).
    """
    if truth is None:
        result, truth = imresize(result, frame.shape[1] / result.shape[1]), frame
    return losses.l1(losses.low_frequencies(result), losses.low_frequencies(truth))


def features(vgg: Variables, image: Float[Array, "b h w 3"], layer: str) -> Float[Array, "b _ _ c"]:
    """Return VGG19's features of images in [0, 1] at a layer, with weights for torchvision's input."""
    return VGG19(layer).apply({"params": vgg}, imagenet_input(image))[layer]


def summed(terms: Arrays, **values: jax.Array) -> tuple[jax.Array, Arrays]:
    """Return the sum of the terms, and what is logged: the terms, their sum as "loss", and further values."""
    total = sum(terms.values())
    return total, {**terms, **values, "loss": total}


def bicubic(frame: Float[Array, "b h w 3"], scale: int) -> Float[Array, "b sh sw 3"]:
    """Enlarge a frame by bicubic interpolation, clipped to [0, 1]."""
    return jnp.clip(upsample_bicubic(frame, scale), 0, 1)


def gain_over(
    plain: Float[Array, "b h w 3"], result: Float[Array, "b h w 3"], truth: Float[Array, "b h w 3"]
) -> Float[Array, " b"]:
    """Compute how many dB the result's PSNR is higher than that of `plain` (convention "refvsr")."""
    ours, theirs = (metrics.psnr(image, truth, "refvsr") for image in (jnp.clip(result, 0, 1), plain))
    return ours - theirs


def scored(
    plain: Float[Array, "b h w 3"], result: Float[Array, "b h w 3"], truth: Float[Array, "b h w 3"]
) -> tuple[Arrays, Arrays]:
    """Return metrics (b,) of enlarged images under the convention "refvsr", and the pictures to look at."""
    values = {"psnr": metrics.psnr(result, truth, "refvsr"), "ssim": metrics.ssim(result, truth, "refvsr")}
    values["gain_db"] = gain_over(plain, result, truth)
    return values, {"input": plain, "result": result, "truth": truth}
