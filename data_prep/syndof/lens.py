"""Random thin lenses for SYNDOF and the depth layers that they blur. NumPy only; one random generator an example.

Depths and distances are in millimetres, circles of confusion (COC) in pixels of the image: diameters, positive behind
the focal plane. Source: dissertation section 3.2.2-3.2.3 ("paper"), docs/networks.md 3 ("released").
"""

from typing import NamedTuple

import numpy as np

MAX_LAYERS = 350
MAX_COC = {"paper": 28.0, "released": 29.0}  # a sigma of 7 pixels either way
SENSOR_WIDTH = 36.0  # mm
FOCAL_LENGTHS, FOCAL_WEIGHTS = (50.0, 70.0, 85.0), (0.1, 0.4, 0.4)
_LAYERS = (200, 350)  # the fewest and the most layers of sampling "released"
_SPREAD = 3.0  # standard deviations of the half-normal distribution that the range of depths covers


class Lens(NamedTuple):
    """A lens and how finely depth is cut: COC = scale (x - focus) / x at depth x + shift.

    scale: pixels, the COC at infinity (alpha of Eq. 3.1). levels: number of depth layers before merging. focal_length
    (mm) and f_number are 0 under sampling "paper", where scale stands for both.
    """

    sampling: str
    focus: float
    scale: float
    levels: int
    shift: float = 0.0
    focal_length: float = 0.0
    f_number: float = 0.0


class Layers(NamedTuple):
    """The depth layers of an image.

    index: (h, w) int32, each pixel's layer, 0 the nearest. coc, sigma: (n,) float32, pixels, of each layer.
    """

    index: np.ndarray
    coc: np.ndarray
    sigma: np.ndarray


def generator(seed: int, example: int) -> np.random.Generator:
    """Return the random generator of one example, which does not depend on what was drawn for others."""
    return np.random.default_rng([seed, example])


def sample(sampling: str, rng: np.random.Generator, depth: np.ndarray, max_coc: float | None = None) -> Lens:
    """Draw a lens for a depth map, (h, w) in mm. ValueError for an unknown sampling, or a depth that does not vary."""
    if sampling not in MAX_COC:
        raise ValueError(f"sampling is {sampling!r}, must be 'paper' or 'released'")
    near, far = float(depth.min()), float(depth.max())
    if not 0 < near < far < np.inf:
        raise ValueError(f"depth from {near:g} to {far:g} mm: must be positive, finite and vary")
    return {"paper": _paper, "released": _released}[sampling](rng, depth, max_coc or MAX_COC[sampling])


def _paper(rng, depth, max_coc):
    """Draw a lens by Eqs. 3.1-3.2: focus uniform between the extremes, alpha uniform up to a largest COC of max_coc."""
    near, far = float(depth.min()), float(depth.max())
    return lens_at(rng.uniform(near, far), near, far, max_coc, rng.uniform())


def _released(rng, depth, max_coc):
    """Draw a real lens, whose aperture gives the larger of the extremes' COCs the value max_coc."""
    focal_length = float(rng.choice(FOCAL_LENGTHS, p=np.divide(FOCAL_WEIGHTS, sum(FOCAL_WEIGHTS))))
    shift = max(0.0, 5 * focal_length - float(depth.min()))
    levels = int(rng.integers(_LAYERS[0], _LAYERS[1], endpoint=True))
    there = np.unique(_levels(depth + shift, levels)[0])  # levels that the image's own depths have, nearest first
    position = np.linspace(0, _SPREAD, len(there))
    weights = np.exp(-(position**2) / 2)
    chosen = there[rng.choice(len(there), p=weights / weights.sum())]
    near, far = float(depth.min()) + shift, float(depth.max()) + shift
    focus = float(_levels(depth + shift, levels)[1][chosen])
    scale = lens_at(focus, near, far, max_coc).scale
    f_number = focal_length**2 / (focus - focal_length) * (depth.shape[1] / SENSOR_WIDTH) / scale
    return Lens("released", focus, scale, levels, shift, focal_length, f_number)


def lens_at(focus: float, near: float, far: float, max_coc: float, share: float = 1.0) -> Lens:
    """Return the lens focused at `focus`, with `share` of the largest scale whose COCs stay below max_coc (Eq. 3.2)."""
    largest = max(abs(far - focus) / far, abs(near - focus) / near)
    return Lens("paper", focus, share * max_coc / largest, MAX_LAYERS)


def _levels(depth, levels):
    """Return the level (h, w) of every pixel, 0 the nearest, and the levels' depths: even steps of inverse depth."""
    inverse = 1 / depth.astype(np.float64)
    high, low = inverse.max(), inverse.min()
    index = np.round((high - inverse) / (high - low) * (levels - 1)).astype(np.int32)
    return index, 1 / np.linspace(high, low, levels)


def layers_of(depth: np.ndarray, lens: Lens) -> Layers:
    """Cut a depth map, (h, w) in mm, into layers: at most lens.levels of them, none empty."""
    index, depths = _levels(depth + lens.shift, lens.levels)
    coc = coc_of(depths, lens._replace(shift=0.0))
    if lens.sampling == "released":
        coc = np.round(coc, 1)
    used, index = np.unique(index, return_inverse=True)
    coc, merged = np.unique(coc[used] + 0.0, return_inverse=True)  # sorted: they grow with depth
    coc = coc.astype(np.float32)
    return Layers(merged[index].reshape(depth.shape).astype(np.int32), coc, sigma_of(coc, lens.sampling))


def coc_of(depth: np.ndarray, lens: Lens) -> np.ndarray:
    """Compute the signed COC in pixels of depths in mm (Eq. 3.1)."""
    distance = depth.astype(np.float64) + lens.shift
    return lens.scale * (distance - lens.focus) / distance


def sigma_of(coc: np.ndarray, sampling: str) -> np.ndarray:
    """Return sigma in pixels, float32, of the Gaussian that stands for a COC."""
    diameter = np.abs(coc)
    sigma = diameter / 4 if sampling == "paper" else np.maximum(diameter - 1, 0) / 4
    return sigma.astype(np.float32)
