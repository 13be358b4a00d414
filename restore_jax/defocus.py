"""Defocus maps of photographs: estimates them by DMENet or a classical method, writes and colours them.

A map is sigma, (h, w) float32: the standard deviation in pixels of the Gaussian that blurs a pixel, 0 where it is
sharp.
"""

import importlib
import io as streams
import os
import pathlib
from typing import Any

import cv2
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from restore_jax import restore
from restore_jax import weights as registry
from restore_jax.cache import enable_compilation_cache
from restore_jax.errors import InputError
from restore_jax.io import atomic
from restore_jax.io.photos import read_numbers, write_photo
from restore_jax.ops.deconv import deconvolve
from restore_jax.ops.render import SIGMA_PER_COC, render_coc
from restore_jax.plots.panels import false_colours
from restore_jax.report import Report, Reporter

METHODS = ("dmenet", "zhuo", "jnb", "ebdb")
OVERLAP = 256  # pixels that tiles overlap by, because the network sees far
SHARP = 0.4  # pixels of sigma below which a pixel counts as sharp
MAX_COC = 160  # pixels that magnified blur may reach
STEPS_PER_PIXEL = 1000  # codes of a 16-bit map for a pixel of sigma, so that it holds 65.5 pixels at most
NOT_KNOWN = 65535  # code in the 16-bit maps of datasets where sigma is not known


def estimate_defocus(
    image, *, method: str = "dmenet", weights: Any = "dmenet", tile="auto", dtype: str = "float32", progress=None
) -> np.ndarray:
    """Estimate sigma in pixels of every pixel, (h, w) float32.

    image: as for `deblur`. method: "dmenet", or "zhuo", "jnb" or "ebdb", which need no weights (`classical`). weights,
    tile,
    dtype, progress: DMENet's, as for `deblur`. Raises InputError as `deblur` does, and for another method.
    """
    if method not in METHODS:
        raise InputError(f"method: {method!r} is not one of {', '.join(METHODS)}")
    colours = restore.colour_image("image", image)
    if method != "dmenet":
        return importlib.import_module(f"restore_jax.classical.{method}").estimate(colours)
    if isinstance(weights, (str, os.PathLike)):
        weights = registry.load(weights, "defocus")
    enable_compilation_cache()
    options = {"tile": tile, "dtype": dtype, "progress": progress, "overlap": OVERLAP, "output": "defocus"}
    found = restore.restore(weights.model, weights.params, colours, **options)[..., 0]
    return sigma_of_map(found, weights.card.get("sigma_unit"))


def map_for(photo, pixels: np.ndarray, map_path=None, method: str = "dmenet", weights: Any = "dmenet", progress=None):
    """Return the defocus map (h, w) of a photograph: read from the file `map_path`, or estimated where it is None.

    photo: its name in errors. pixels: (h, w, 3), of which the map must have the size. method, weights, progress: as
    `estimate_defocus`. Raises InputError.
    """
    if map_path is None:
        try:
            return estimate_defocus(pixels, method=method, weights=weights, progress=progress)
        except InputError as error:
            text = str(error)
            raise InputError(text if text.startswith(("method", str(weights))) else f"{photo}: {text}") from None
    sigma = read_map(map_path)
    if not (np.isfinite(sigma) & (sigma >= 0)).all():
        raise InputError(f"{map_path}: holds a sigma that is not finite, or below 0")
    if sigma.shape != pixels.shape[:2]:
        size, other = ("x".join(map(str, shape[1::-1])) for shape in (sigma.shape, pixels.shape))
        raise InputError(f"{map_path}: is {size}, but {photo} is {other}")
    return sigma


def deconvolved(
    photo, pixels: np.ndarray, map_path=None, data_weight: float = 420.0, reporter: Reporter | None = None
) -> np.ndarray:
    """Sharpen a photograph (h, w, 3) by deconvolution with its defocus map, without a deblurring network.

    photo, map_path: as `map_for`; the map is DMENet's where none is given. data_weight: above 0, more is sharper.
    reporter: is told what is done. Raises InputError.
    """
    if not 0 < data_weight < np.inf:
        raise InputError(f"--data-weight {data_weight:g}: must be above 0")
    reporter = reporter or Report(quiet=True)
    sigma = map_for(photo, pixels, map_path, progress=reporter.progress)
    reporter.status("deconvolving")
    return np.clip(np.asarray(deconvolve(pixels, sigma, weight=data_weight)), 0, 1)


def sigma_of_map(map_: np.ndarray, unit: float | None) -> np.ndarray:
    """Convert DMENet's map to sigma in pixels: map times `unit`, or by the published network's COC / 15 px."""
    return map_ * np.float32(unit) if unit else np.maximum(0, (15 * map_ - 1) / 2).astype(np.float32)


def magnify(image: np.ndarray, sigma: np.ndarray, scale: float) -> np.ndarray:
    """Magnify blur (Bae & Durand 2007): return `image` as if every sigma were `scale` times as large.

    image: (h, w, 3) float32 in [0, 1]. sigma: (h, w) in pixels. Sharp pixels stay in front of blurred ones. A Gaussian
    of sqrt(scale^2 - 1) sigma takes sigma to scale * sigma. Raises InputError for scale < 1.
    """
    if not 1 <= scale < np.inf:
        raise InputError(f"--scale {scale:g}: blur is magnified by 1 or more")
    # Nearly sharp pixels count as sharp, or else the noise of the map would soften the subject.
    clear = np.maximum(sigma - SHARP, 0)
    coc = np.minimum(np.sqrt(scale**2 - 1) * clear / SIGMA_PER_COC, MAX_COC).astype(np.float32)
    largest = 8 * -(-int(coc.max()) // 8) + 8  # in steps, so that few programs are compiled
    return np.clip(np.asarray(render_coc(jnp.asarray(image), jnp.asarray(coc), largest, "gaussian")), 0, 1)


def pseudo_depth(sigma: np.ndarray, focus: str = "near") -> np.ndarray:
    """Order pixels by depth, [0, 1] from near to far, in a photograph focused at its nearest or farthest."""
    if focus not in ("near", "far"):
        raise InputError(f"--focus {focus!r} is near or far")
    scaled = np.clip(sigma / max(float(np.quantile(sigma, 0.999)), 1e-6), 0, 1)
    return scaled if focus == "near" else 1 - scaled


def write_map(path, sigma: np.ndarray) -> None:
    """Write sigma as .npy (float32, pixels) or .png (16 bits, thousandths of a pixel). Atomic. Raises InputError."""
    path = pathlib.Path(path)
    if path.suffix == ".npy":
        buffer = streams.BytesIO()
        np.save(buffer, sigma.astype(np.float32))
        atomic.write(path, buffer.getvalue())
    elif path.suffix == ".png":
        steps = np.clip(np.round(STEPS_PER_PIXEL * sigma), 0, 65535).astype(np.uint16)
        atomic.write(path, cv2.imencode(".png", steps)[1].tobytes())
    else:
        raise InputError(f"{path}: a map is written as .npy or .png")


def read_map(path) -> np.ndarray:
    """Read sigma in pixels from a file that `write_map` wrote. Raises InputError."""
    path = pathlib.Path(path)
    sigma = read_numbers(path)
    if path.suffix != ".npy":
        if sigma.dtype != np.uint16:
            raise InputError(f"{path}: not a 16-bit PNG of sigma")
        sigma = sigma / np.float32(STEPS_PER_PIXEL)
    if sigma.ndim != 2 or sigma.dtype.kind != "f":
        raise InputError(f"{path}: holds {sigma.dtype} of shape {sigma.shape}, not floats (h, w)")
    return sigma.astype(np.float32)


def write_colours(path, sigma: np.ndarray) -> None:
    """Write a picture of the map, dark where it is sharp, with a legend in pixels below."""
    largest = float(max(1.0, np.ceil(2 * np.quantile(sigma, 0.999)) / 2))
    height, width = sigma.shape
    text = max(12, width // 40)
    bar = np.broadcast_to(np.linspace(0, largest, width, dtype=np.float32), (text, width))
    picture = np.concatenate(
        [false_colours(sigma / largest), false_colours(bar / largest), np.full((2 * text, width, 3), 255, np.uint8)]
    )
    canvas = Image.fromarray(picture)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(text)
    middle = height + 2 * text
    draw.text((2, middle), "sharp", fill="black", font=font, anchor="lm")
    draw.text((width / 2, middle), f"{largest / 2:g}", fill="black", font=font, anchor="mm")
    draw.text((width - 2, middle), f"sigma {largest:g} px", fill="black", font=font, anchor="rm")
    write_photo(path, np.asarray(canvas).astype(np.float32) / 255)
