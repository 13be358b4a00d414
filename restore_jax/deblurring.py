"""Deblur one photograph: the network's answer, and how much of it is taken.

    sharp = deblur(photo)                               # (h, w, 3) uint8, uint16 or float in, the same out
    answer = deblurred(load("ifan"), pixels, "auto")    # .image, .remark

A network also changes what was right: texture in focus comes back a little different, clipped lamps get rings. With the
strength "auto" each pixel takes as much of the network's answer as it is blurred by its defocus map (`defocus`), and
what is in focus or clipped stays as it was. A number from 0 to 1 blends the two everywhere alike.
"""

import os
from typing import Any, NamedTuple

import numpy as np

from restore_jax import restore
from restore_jax import weights as registry
from restore_jax.cache import enable_compilation_cache
from restore_jax.defocus import estimate_defocus
from restore_jax.errors import InputError
from restore_jax.io.photos import from_float
from restore_jax.ops.render import SIGMA_PER_COC

IN_FOCUS = (0.4, 1.0)  # px of sigma: below the first a pixel stays as it is, from the second on it is all the network's
CLIPPED = 254 / 255  # of white, above which a pixel holds no colour to restore
CLIPPED_REACH = 2.0  # px of the Gaussian that spreads what is clipped
MUCH, LITTLE = 0.2, 0.02  # shares of a picture that are worth a remark


class Deblurred(NamedTuple):
    """The restored photograph, float32 (h, w, 3) in [0, 1], and a line on how little could be done, or None."""

    image: np.ndarray
    remark: str | None


def deblur(
    image,
    *,
    weights: Any = "ifan",
    left=None,
    right=None,
    strength: float | str | None = None,
    tile: str | int | None = "auto",
    dtype: str = "float32",
    progress: restore.Progress | None = None,
) -> np.ndarray:
    """Restore a defocused photograph; return a NumPy array of the same shape and dtype.

    Args:
      image: `(h, w)`, `(h, w, 1)`, `(h, w, 3)` or `(h, w, 4)`, uint8, uint16 or float32/float64 in [0,1]; the fourth
        channel, alpha, is kept as it is.
      weights: a shipped name, the path of a converted file, or what `load` returned.
      left, right: dual-pixel views of the image's shape, for weights made for them.
      strength: share of the network's answer that is taken, 0 to 1; "auto" takes it where the photograph is blurred;
        None is what the card of the weights recommends, else 1.
      tile: as for `restore.plan`. dtype: what the network computes in, "float32" or "bfloat16".

    Raises InputError for anything else, for sides below 16 pixels and for values that are not finite.
    """
    array = restore.checked_image("image", image)
    if isinstance(weights, (str, os.PathLike)):
        weights = registry.load(weights, "deblur")
    dual = restore.needs_views(weights.model)
    if dual != (left is not None) or dual != (right is not None):
        takes = "need left and right, both dual-pixel views" if dual else "take one image, not left and right views"
        raise InputError(f"weights {weights.name}: they {takes}")
    views = {"left": left, "right": right} if dual else {}
    views = {name: restore.colour_image(name, view) for name, view in views.items()}
    colours = restore.colour_image("image", array)
    options = {"views": views, "tile": tile, "dtype": dtype, "progress": progress}
    result = deblurred(weights, colours, strength, **options).image
    if array.ndim == 2 or array.shape[2] == 1:
        return from_float(result.mean(axis=-1), array.dtype).reshape(array.shape)
    result = from_float(result, array.dtype)
    return np.concatenate([result, array[..., 3:]], axis=-1) if array.shape[2] == 4 else result


def deblurred(restorer, pixels: np.ndarray, strength: float | str | None = None, sigma=None, **options) -> Deblurred:
    """Apply a network to float32 pixels (h, w, 3) in [0, 1], and take as much of its answer as `strength` says.

    restorer: what `load` returned. sigma: the defocus map (h, w) if it is at hand; else "auto" estimates it.
    options: of `restore.restore`. Raises InputError.
    """
    strength = checked_strength(restorer.card.get("strength", 1.0) if strength is None else strength)
    enable_compilation_cache()
    answer = restore.restore(restorer.model, restorer.params, pixels, **options)
    if strength != "auto":
        return Deblurred(answer if strength == 1 else pixels + np.float32(strength) * (answer - pixels), None)
    if sigma is None:
        sigma = estimate_defocus(pixels, progress=options.get("progress"))
    share = trusted_share(pixels, sigma)
    image = pixels + share[..., None] * (answer - pixels)
    return Deblurred(image, remark(share, sigma, restorer.card.get("reach"), restorer.name))


def checked_strength(strength: float | str) -> float | str:
    """Return the strength if it is "auto" or a number from 0 to 1. Raises InputError else."""
    if strength == "auto" or (isinstance(strength, (int, float)) and 0 <= strength <= 1):
        return strength
    raise InputError(f"strength: {strength!r} is not auto or a number from 0 to 1")


def trusted_share(pixels: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Weigh the network's answer at each pixel, float32 (h, w) from 0 to 1: by its blur, and 0 where it is clipped.

    pixels: (h, w, 3) in [0, 1]. sigma: (h, w), the blur in pixels.
    """
    from scipy.ndimage import gaussian_filter

    sharp, blurred = IN_FOCUS
    share = np.clip((sigma - sharp) / (blurred - sharp), 0, 1)
    clipped = gaussian_filter((pixels.min(-1) >= CLIPPED).astype(np.float32), CLIPPED_REACH)
    return (share * (1 - np.clip(2 * clipped, 0, 1))).astype(np.float32)


def remark(share: np.ndarray, sigma: np.ndarray, reach: float | None, name: str) -> str | None:
    """Say in a line why little could be done for a photograph, or return None.

    reach: COC in pixels up to which the weights `name` restore, None if their card does not say.
    """
    if share.mean() < LITTLE:
        return "nearly all of the picture is in focus and stays as it was"
    if reach is None:
        return None
    beyond = float((sigma > SIGMA_PER_COC * reach).mean())
    if beyond < MUCH:
        return None
    return f"blur of {reach:.0f} px and more, on {100 * beyond:.0f} % of the picture, is beyond what {name} restores"
