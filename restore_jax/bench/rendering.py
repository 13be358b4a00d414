"""Measures SYNDOF's renderer beside a loop over whole images in NumPy and SciPy: restore-jax bench render.

Both blur the same scene of 350 layers, one image at a time, in the same run. Memory is that of a fresh process.
"""

import statistics

import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import gaussian_filter

from restore_jax.bench import timing
from restore_jax.ops.render_layers import render_layers

MAX_SIGMA = 7.0


def scene(height: int, width: int, num_layers: int):
    """Draw (image, layer, sigma): a ground that recedes with boxes on it, in focus a third of the way."""
    rng = np.random.default_rng(0)
    layer = np.broadcast_to(np.linspace(num_layers - 1, 0, height).round()[:, None], (height, width)).astype(np.int32)
    layer = layer.copy()
    for _ in range(20):
        foot, left = int(rng.integers(height // 4, height)), int(rng.integers(width))
        top = max(0, foot - int(rng.integers(height // 8, height // 2)))
        layer[top:foot, left : left + width // 12] = layer[foot - 1, 0]
    coc = np.linspace(-2 * MAX_SIGMA, 4 * MAX_SIGMA, num_layers, dtype=np.float32)
    return rng.random((height, width, 3), np.float32), layer, np.abs(coc) / 4


def layer_loop(image, layer, sigma):
    """Render straightforwardly: blur each layer's colours and mask over the whole image."""
    seen = np.concatenate([image, np.ones_like(image[..., :1])], -1)
    out = np.zeros_like(seen)
    for n in np.unique(layer)[::-1]:
        source = seen * (layer == n)[..., None]
        blurred = gaussian_filter(source, (sigma[n], sigma[n], 0), mode="reflect") if sigma[n] > 0 else source
        out = out * (1 - blurred[..., -1:]) + blurred
    return out[..., :-1] / out[..., -1:]


def measure(height: int, width: int, num_layers: int, repeats: int, loop: bool = True) -> dict:
    """Measure images_a_minute of our renderer and the loop (medians), their ratio, largest difference and bytes."""
    arrays = scene(height, width, num_layers)
    render = jax.jit(render_layers, static_argnames="max_sigma")
    given = [jnp.asarray(array) for array in arrays]

    def ours():
        return jax.block_until_ready(render(*given, max_sigma=MAX_SIGMA))

    result = np.asarray(ours())
    found = {"peak_bytes": timing.peak_memory()}
    if not loop:
        return found | {"images_a_minute": 60 / statistics.median(timing.in_turn([ours], repeats)[0])}
    found["largest_difference"] = float(np.abs(result - layer_loop(*arrays)).max())
    times = timing.in_turn([ours, lambda: layer_loop(*arrays)], repeats)
    rates = [60 / statistics.median(column) for column in times]
    return found | {"images_a_minute": rates[0], "loop_images_a_minute": rates[1], "ratio": rates[0] / rates[1]}
