"""Metrics of pictures under named conventions, which say what is rounded, cropped and compared, and on which scale.

Different conventions change numbers by more than methods differ (the range of Y alone is worth 1.3 dB), so no number is
given without its convention's name. All functions take pictures as floats in [0, 1], `(h, w, 3)` or `(b, h, w, 3)`,
give one float32 a picture and can be used inside `jax.jit`.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from restore_jax.errors import InputError
from restore_jax.metrics.similarity import similarity, window
from restore_jax.models.lpips import LPIPS, MIN_SIDE
from restore_jax.weights.converters.lpips import MISSING


@dataclasses.dataclass(frozen=True)
class Convention:
    """Says how two pictures are compared. Every convention clips them to [0, 1].

    range: scale of the values, 1 or 255: the peak of PSNR and the data range of SSIM.
    rounded: whether values are first rounded to 8 bits.
    crop: pixels left out at each border.
    channel: "rgb", or "y" for BT.601 luma on 16..235, whose peak is still `range`.
    window: SSIM's window: "uniform7" is a 7x7 mean with sample covariance (skimage's defaults), "gaussian11" an 11x11
      Gaussian of sigma 1.5 with population covariance (Wang et al. 2004).
    """

    range: float = 1.0
    rounded: bool = False
    crop: int = 0
    channel: str = "rgb"
    window: str = "uniform7"


CONVENTIONS = {
    # Dissertation 4.3 and the published IFAN: the clipped output; a dataset's value is the mean of its pictures'
    # values.
    "ifan": Convention(),
    # Dissertation 5.4 and the published RefVSR: like "ifan" for a frame; a dataset's value is the mean of all its
    # frames.
    "refvsr": Convention(),
    # BasicSR, for videos on Y (Vid4, UDM10), for images enlarged by 4 (crops 4 pixels), and on RGB (REDS).
    "basicsr-y": Convention(range=255.0, rounded=True, channel="y", window="gaussian11"),
    "basicsr-y-crop4": Convention(range=255.0, rounded=True, channel="y", window="gaussian11", crop=4),
    "basicsr-rgb": Convention(range=255.0, rounded=True, window="gaussian11"),
}


def psnr(
    result: Float[Array, "*b h w 3"], truth: Float[Array, "*b h w 3"], convention: str | Convention = "ifan"
) -> Float[Array, "*b"]:
    """Compute the peak signal-to-noise ratio in dB; equal pictures give inf. Raises ValueError as `ssim` does."""
    return _per_image(_psnr, result, truth, convention)


def mae(
    result: Float[Array, "*b h w 3"], truth: Float[Array, "*b h w 3"], convention: str | Convention = "ifan"
) -> Float[Array, "*b"]:
    """Compute the mean absolute error as a fraction of the range, in [0, 1] under every convention.

    Raises ValueError as `ssim` does.
    """
    return _per_image(_mae, result, truth, convention)


def ssim(
    result: Float[Array, "*b h w 3"], truth: Float[Array, "*b h w 3"], convention: str | Convention = "ifan"
) -> Float[Array, "*b"]:
    """Compute the structural similarity, averaged over all windows inside the picture and then over channels.

    Raises ValueError for shapes that disagree or are not `(h, w, 3)` or `(b, h, w, 3)`, for integers, for an unknown
    convention and for pictures smaller than the convention's crop and window.
    """
    return _per_image(_ssim, result, truth, convention)


def lpips(result: Float[Array, "*b h w 3"], truth: Float[Array, "*b h w 3"], params: dict | None) -> Float[Array, "*b"]:
    """Compute LPIPS v0.1 with AlexNet (Zhang et al. 2018) of pictures in [0, 1], clipped but not rounded or cropped.

    params: from `weights.converters.lpips.convert_lpips`. Raises InputError, which says where to get them, if it is
    None, and ValueError as `ssim` does and for sides under 31 pixels.
    """
    if params is None:
        raise InputError(MISSING)
    result, truth = checked(result, truth, MIN_SIDE)
    return _lpips(result, truth, params)


def checked(result, truth, least):
    """Return both pictures as float32; raises ValueError as `ssim` does, and for sides under `least` pixels."""
    for name, image in (("result", result), ("truth", truth)):
        if not jnp.issubdtype(image.dtype, jnp.floating):
            raise ValueError(f"{name} is {image.dtype}: metrics take floats in [0,1]")
    if result.shape != truth.shape:
        raise ValueError(f"result {result.shape} and truth {truth.shape} differ in shape")
    if len(truth.shape) not in (3, 4) or truth.shape[-1] != 3:
        raise ValueError(f"pictures must be (h, w, 3) or (b, h, w, 3), not {truth.shape}")
    if min(truth.shape[-3:-1]) < least:
        raise ValueError(f"pictures of {truth.shape[-3:-1]} are too small: {least} pixels a side are needed")
    return jnp.asarray(result, jnp.float32), jnp.asarray(truth, jnp.float32)


def _per_image(metric, result, truth, convention):
    if isinstance(convention, str):
        if convention not in CONVENTIONS:
            raise ValueError(f"no convention {convention!r}; there are {', '.join(CONVENTIONS)}")
        convention = CONVENTIONS[convention]
    side = len(window(convention.window)) if metric is _ssim else 1
    return metric(*checked(result, truth, 2 * convention.crop + side), convention)


def _prepared(image, convention):
    """Clip a picture, bring it to the convention's scale, round and crop it."""
    image = jnp.clip(image, 0, 1) * convention.range
    if convention.rounded:
        image = jnp.round(image * (255 / convention.range)) * (convention.range / 255)
    c = convention.crop
    return image[..., c : image.shape[-3] - c, c : image.shape[-2] - c, :]


def _channels(image, convention, offset=True):
    """Return the channels that are compared, (..., h, w, c); without `offset` for differences of pictures."""
    if convention.channel == "rgb":
        return image
    weights = np.array([65.481, 128.553, 24.966], np.float32) / 255
    luma = sum(image[..., i : i + 1] * weights[i] for i in range(3))
    return luma + 16 / 255 * convention.range if offset else luma


def _mean(values):
    """Average (..., h, w, c) over its last three axes."""
    return values.mean((-3, -2, -1))


@functools.partial(jax.jit, static_argnums=2)
def _psnr(result, truth, convention):
    # Luma is linear. Taken of the difference it keeps digits that a difference of two lumas loses.
    difference = _channels(_prepared(result, convention) - _prepared(truth, convention), convention, offset=False)
    return 10 * jnp.log10(convention.range**2 / _mean(difference**2))


@functools.partial(jax.jit, static_argnums=2)
def _mae(result, truth, convention):
    difference = _channels(_prepared(result, convention) - _prepared(truth, convention), convention, offset=False)
    return _mean(jnp.abs(difference)) / convention.range


@functools.partial(jax.jit, static_argnums=2)
def _ssim(result, truth, convention):
    pair = (_channels(_prepared(image, convention), convention) for image in (result, truth))
    return _mean(similarity(*pair, convention.window, convention.range))


@jax.jit
def _lpips(result, truth, params):
    shape = (-1, *truth.shape[-3:])
    pair = [jnp.clip(image, 0, 1).reshape(shape) * 2 - 1 for image in (result, truth)]
    return LPIPS().apply(params, *pair).reshape(truth.shape[:-3])
