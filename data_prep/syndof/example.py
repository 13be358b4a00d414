"""Makes an example of SYNDOF: an image, its depth and a lens become a defocused image and the sigma of every pixel."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data_prep.syndof import lens as lenses
from data_prep.syndof.lens import Lens
from restore_jax.ops.render import hidden_background
from restore_jax.ops.render_layers import render_layers


class Example(NamedTuple):
    """A rendered example.

    image: (h, w, 3) float32 in [0, 1], defocused. sigma: (h, w) float32, pixels. blurred: (h, w) bool, COC > 1 pixel.
    """

    image: np.ndarray
    sigma: np.ndarray
    blurred: np.ndarray


def render(image: np.ndarray, depth: np.ndarray, lens: Lens) -> Example:
    """Render an image (h, w, 3) float32 in [0, 1] and its depth (h, w) in mm as the lens sees them.

    The sigma map belongs to the sharp image's pixels. Under sampling "paper" a pixel has the sigma of its own depth,
    under "released" that of its depth's layer, rounded to .1 pixel.
    """
    layers = lenses.layers_of(depth, lens)
    coc = lenses.coc_of(depth, lens) if lens.sampling == "paper" else layers.coc[layers.index]
    sigma = lenses.sigma_of(coc, lens.sampling)
    if lens.sampling == "released":
        sigma = np.round(sigma, 1)
    # Equal numbers of layers, and reaches in steps, so that few programs are compiled.
    empty = lenses.MAX_LAYERS - len(layers.coc)
    coc_of_layer = np.pad(layers.coc, (0, empty), constant_values=np.inf)
    sigma_of_layer = np.pad(layers.sigma, (0, empty))
    reach = 4 * math.ceil(float(np.abs(layers.coc).max()) / 8)
    max_sigma = 2 * math.ceil(float(layers.sigma.max()) / 2)
    arrays = map(jnp.asarray, (image, layers.index, coc_of_layer, sigma_of_layer))
    # The published data continue the hidden background behind the focal plane alone, so that blur before it ends hard.
    beyond = 0.0 if lens.sampling == "released" else -math.inf
    rendered = np.clip(np.asarray(_render(*arrays, reach, max_sigma, beyond)), 0, 1)
    return Example(rendered, sigma, np.abs(coc) > 1)


@functools.partial(jax.jit, static_argnums=(4, 5, 6))
def _render(image, index, coc, sigma, reach, max_sigma, beyond):
    colours, behind = hidden_background(image, coc[index], reach, beyond=beyond)
    nearest = jnp.searchsorted((coc[1:] + coc[:-1]) / 2, behind).astype(index.dtype)
    hidden = jnp.where(jnp.isnan(behind), -1, nearest)
    return render_layers(image, index, sigma, (colours, hidden), max_sigma)
