"""PSNR and SSIM inside, around and outside the field of view that a frame shares with its reference (Table 5.6).

The ranges are centred: "0-50" is the middle half of each side, "50-p" the middle p% without the middle 50%. A
dataset's value is the mean over all its frames, not of its clips' means (docs/networks.md 4, "FoV evaluation").
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from restore_jax.metrics.images import checked
from restore_jax.metrics.similarity import similarity

INNER = 50
OUTER = (60, 70, 80, 90, 100)
RANGES = (f"0-{INNER}", *(f"{INNER}-{percent}" for percent in OUTER))
RULES = ("refvsr", "paper")


def border(side: int, percent: int, rule: str = "refvsr") -> int:
    """Return how many pixels are left out at each end of a side to keep its middle `percent`.

    Rule "refvsr" is the published program's: side // int(1 / ((1 - p) / 2)), whose 70% are 66.7%. Rule "paper" rounds
    to the nearest pixel. Raises ValueError for another rule.
    """
    if rule not in RULES:
        raise ValueError(f"no rule {rule!r}; there are {', '.join(RULES)}")
    if percent == 100:
        return 0
    if rule == "paper":
        return round(side * (100 - percent) / 200)
    return side // int(1 / ((1 - percent / 100) / 2))


def masks(height: int, width: int, rule: str = "refvsr") -> dict[str, np.ndarray]:
    """Return {range: (height, width) bool} for each of RANGES: the pixels that belong to it."""

    def middle(percent):
        y, x = border(height, percent, rule), border(width, percent, rule)
        inside = np.zeros((height, width), bool)
        inside[y : height - y, x : width - x] = True
        return inside

    inner = middle(INNER)
    return {RANGES[0]: inner} | {name: middle(p) & ~inner for name, p in zip(RANGES[1:], OUTER, strict=True)}


def psnr_by_fov(
    result: Float[Array, "*b h w 3"], truth: Float[Array, "*b h w 3"], rule: str = "refvsr"
) -> dict[str, Float[Array, "*b"]]:
    """Compute {range: PSNR in dB} of each frame, from the squared error over the range and all channels.

    Frames are in [0, 1]: they are clipped, neither rounded nor cropped. Raises ValueError as `metrics.ssim` does.
    """
    error = jnp.square(_difference(*checked(result, truth, 8)))
    means = _means(error, rule)
    return {name: -10 * jnp.log10(means[name]) for name in RANGES}


def ssim_by_fov(
    result: Float[Array, "*b h w 3"], truth: Float[Array, "*b h w 3"], rule: str = "refvsr"
) -> dict[str, Float[Array, "*b"]]:
    """Compute {range: SSIM} of each frame, the mean of `ssim_map` over the range and all channels.

    Frames and errors are those of `psnr_by_fov`.
    """
    means = _means(ssim_map(*checked(result, truth, 8)), rule)
    return {name: means[name] for name in RANGES}  # jax.jit sorts names


@jax.jit
def ssim_map(result: Float[Array, "*b h w 3"], truth: Float[Array, "*b h w 3"]) -> Float[Array, "*b h w 3"]:
    """Compute the structural similarity around each sample, in 7x7 windows on mirrored edges: skimage's full map."""
    around = [(0, 0)] * (result.ndim - 3) + [(3, 3), (3, 3), (0, 0)]
    return similarity(*(jnp.pad(jnp.clip(image, 0, 1), around, "symmetric") for image in (result, truth)), "uniform7")


@jax.jit
def _difference(result, truth):
    return jnp.clip(result, 0, 1) - jnp.clip(truth, 0, 1)


@functools.partial(jax.jit, static_argnums=1)
def _means(values, rule):
    """Return {range: mean over it and the channels} of (..., h, w, c)."""
    means = {}
    for name, mask in masks(*values.shape[-3:-1], rule).items():
        inside = jnp.where(jnp.asarray(mask[(None,) * (values.ndim - 3)])[..., None], values, 0)
        means[name] = inside.sum((-3, -2, -1)) / (int(mask.sum()) * values.shape[-1])
    return means
