"""Deblurring by a defocus map: non-blind deconvolution under a hyper-Laplacian prior, a Gaussian for each blur size.

    sharp = deconvolve(image, sigma, weight=DATASET_WEIGHTS["dpdd"])

Every pixel of the map gives the blur of its pixel in the image. The map's values are cut into quantile bins with one
sigma each. A pixel's result is interpolated linearly between the results of the two bins around its own sigma, so that
bins leave no seams (the dissertation takes the nearest bin). A bin is deconvolved only in the tiles where it occurs,
which are a handful for a smooth map.

Boundaries are circular on the mirrored tile, in other words even on both sides, so no step at the border rings. That
and the Gaussian's symmetry make the cosine transform diagonalise the problem; at a tile's size it is quickest as a
matrix product.
Source: Krishnan & Fergus 2009, "Fast image deconvolution using hyper-Laplacian priors"; dissertation section 3.4.5.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

# Weight of the data term by data set (docs/networks.md 2).
DATASET_WEIGHTS = {"cuhk": 420.0, "dpdd": 16.8, "realdof": 4.2}
BETAS = tuple(2 ** (1.5 * i) for i in range(6))  # x 2 sqrt(2) from 1, below 256; one inner iteration each
# Bins lie at least FINEST pixels and RELATIVE times their sigma apart. Interpolating between their results errs by less
# than -50 dB (at weight 420; -57 dB at 16.8).
FINEST, RELATIVE = 0.3, 0.2

TILE = 128
_RAMP = 8  # pixels over which a tile hands over to its neighbour
# Outermost pixels of a tile, which are thrown away: the error of mirroring dies out there, by 50 dB for a sigma of 5 at
# weight 420. Fewer suffice for a smaller sigma: _GUARDS[i] pixels up to sigma _GUARDED[i].
_GUARDS = (8, 12, 16, 20)
_GUARDED = (2.0, 3.0, 4.0)
_MARGIN = _GUARDS[-1] + _RAMP


@functools.partial(jax.jit, static_argnames="bins")
def deconvolve(
    image: Float[Array, "h w c"], sigma: Float[Array, "h w"], *, weight: float | Float[Array, ""], bins: int = 32
) -> Float[Array, "h w c"]:
    """Undo the Gaussian blur that `sigma` gives for every pixel; not clipped.

    Args:
      image: defocused, in [0, 1].
      sigma: pixels; 0 is sharp. From about 10 on the ends of the kernel reach past a tile's guard.
      weight: lambda of the paper, of the data term: larger is sharper and noisier (`DATASET_WEIGHTS`).
      bins: number of blur sizes, fewer where they would lie nearer than FINEST.
    """
    height, width, _ = image.shape
    tilings, padding = _tilings(height, width)
    planes = jnp.pad(jnp.moveaxis(image, -1, 1), (padding[0], (0, 0), padding[1]), mode="symmetric")
    nodes = quantile_bins(sigma, bins)
    place = jnp.pad(bin_position(sigma, nodes), padding, mode="symmetric")
    occupied = _occupied(place, nodes, tilings)
    pairs = jnp.stack(jnp.nonzero(occupied, size=occupied.size), -1)
    corners = jnp.asarray(np.concatenate([tiling.corners() for tiling in tilings]))
    windows = jnp.asarray(np.stack([_window(guard) for guard in _GUARDS]))

    def add_tile(i, total):
        tile, node = pairs[i]
        y, x, tiling = corners[tile]
        sharp = deconvolve_uniform(
            jax.lax.dynamic_slice(planes, (y, 0, x), (TILE, planes.shape[1], TILE)), nodes[node], weight
        )
        at = jax.lax.dynamic_slice(place, (y, x), (TILE, TILE))
        window = windows[tiling]
        share = window[:, None] * window[None, :] * jnp.maximum(1 - jnp.abs(at - node.astype(at.dtype)), 0)
        here = jax.lax.dynamic_slice(total, (y, 0, x), sharp.shape)
        return jax.lax.dynamic_update_slice(total, here + sharp * share[:, None], (y, 0, x))

    total = jax.lax.fori_loop(0, occupied.sum(), add_tile, jnp.zeros_like(planes))
    return jnp.moveaxis(total[_MARGIN : _MARGIN + height, :, _MARGIN : _MARGIN + width], 1, -1)


@functools.partial(jax.jit, static_argnames="bins")
def count_tiles(sigma: Float[Array, "h w"], bins: int = 32) -> Int[Array, ""]:
    """Count the calls of `deconvolve_uniform` that `deconvolve` makes for a map: for each tile one a bin in it."""
    tilings, padding = _tilings(*sigma.shape)
    nodes = quantile_bins(sigma, bins)
    return _occupied(jnp.pad(bin_position(sigma, nodes), padding, mode="symmetric"), nodes, tilings).sum()


def quantile_bins(sigma: Float[Array, "h w"], bins: int) -> Float[Array, "n"]:
    """Return the blur sizes of bins that hold equally many pixels each: every bin's median, ascending.

    Large maps are sampled. Bins nearer than FINEST, or RELATIVE of its value, to the one before repeat it, all but the
    last.
    """
    sampled = sigma[:: max(1, sigma.shape[0] // 512), :: max(1, sigma.shape[1] // 512)]
    medians = jnp.quantile(sampled, (jnp.arange(bins, dtype=sigma.dtype) + 0.5) / bins)

    def merge(last, median):
        kept = jnp.where(median - last >= jnp.maximum(FINEST, RELATIVE * last), median, last)
        return kept, kept

    return jax.lax.scan(merge, medians[0], medians)[1].at[-1].set(medians[-1])


def bin_position(sigma: Float[Array, "h w"], nodes: Float[Array, "n"]) -> Float[Array, "h w"]:
    """Return the fractional index of every sigma among ascending `nodes`, clipped to them; of equal nodes the last."""
    sigma = jnp.maximum(sigma, nodes[0])
    below = jnp.searchsorted(nodes, sigma, side="right", method="compare_all") - 1
    above = jnp.minimum(below + 1, nodes.size - 1)
    gap = nodes[above] - nodes[below]
    fraction = jnp.where(gap > 0, (sigma - nodes[below]) / jnp.where(gap > 0, gap, 1), 0)
    return below.astype(sigma.dtype) + jnp.clip(fraction, 0, 1)


def deconvolve_uniform(
    planes: Float[Array, "h c w"], sigma: Float[Array, ""], weight: float | Float[Array, ""]
) -> Float[Array, "h c w"]:
    """Undo one Gaussian blur: min_x weight/2 |k * x - y|^2 + |dx|^(2/3) + |dy|^(2/3), even boundaries.

    Half-quadratic splitting over `BETAS`. Sides are even; the cost grows with their third power: meant for tiles.
    """
    fy, fx = (frequencies(n) for n in planes.shape[::2])
    transfer = jnp.exp(-2 * (jnp.pi * sigma) ** 2 * (fy[:, None] ** 2 + fx[None, :] ** 2))
    laplacian = (2 - 2 * jnp.cos(2 * jnp.pi * fy))[:, None] + (2 - 2 * jnp.cos(2 * jnp.pi * fx))[None, :]
    data = weight * transfer[:, None] * dct(planes)

    def solve(spectrum, beta):
        return inverse_dct(spectrum * (1 / (beta * laplacian + weight * transfer**2))[:, None])

    def step(x, beta):
        # Differences to the next sample; past the border, where the mirror image follows, they are 0.
        down, right = (shrink(jnp.diff(x, axis=axis), beta) for axis in (0, 2))
        down, right = jnp.pad(down, ((1, 1), (0, 0), (0, 0))), jnp.pad(right, ((0, 0), (0, 0), (1, 1)))
        prior = down[:-1] - down[1:] + right[..., :-1] - right[..., 1:]
        return solve(data + beta * dct(prior), beta), None

    # At the first beta no difference of pixels in [0, 1] is large enough for w to leave 0: the prior's term vanishes.
    start = solve(data, BETAS[0])
    return jax.lax.scan(step, start, jnp.asarray(BETAS[1:], planes.dtype))[0]


def shrink(v: Float[Array, "..."], beta: float | Float[Array, ""]) -> Float[Array, "..."]:
    """Minimise |w|^(2/3) + beta/2 (w - v)^2 over w, elementwise: its larger stationary point or 0.

    With w = v s^3 and q = 2 / (3 beta |v|^(4/3)) the larger stationary point is the larger root of s^4 - s + q; its
    energy is below that of w = 0 exactly where q < 2^(-4/3). A quartic fit of the root and one step of Newton's method
    give it to a relative 1e-6.
    """
    size = jnp.maximum(jnp.abs(v), 1e-12)
    q = 2 / (3 * beta) * jnp.exp(-4 / 3 * jnp.log(size))
    kept = q < 2 ** (-4 / 3)
    q = jnp.where(kept, q, 0)
    s = 0.9998 + q * (-0.314 + q * (-0.5587 + q * (1.6427 - 3.8651 * q)))
    cube = s * s * s
    s = (3 * s * cube - q) / (4 * cube - 1)
    return jnp.where(kept, v * s * s * s, 0)


def dct(x: Float[Array, "h c w"]) -> Float[Array, "h c w"]:
    """Orthonormal DCT-II of rows and columns, sides even, in the order of `frequencies`."""
    h, c, w = x.shape
    return _to_cosines(_to_cosines(x.reshape(h, c * w), 0).reshape(h * c, w), 1).reshape(h, c, w)


def inverse_dct(spectrum: Float[Array, "h c w"]) -> Float[Array, "h c w"]:
    """Invert `dct`."""
    h, c, w = spectrum.shape
    return _from_cosines(_from_cosines(spectrum.reshape(h, c * w), 0).reshape(h * c, w), 1).reshape(h, c, w)


def frequencies(n: int) -> Float[Array, "n"]:
    """Cycles per pixel of the coefficients of `dct`: even multiples of half a period, then the odd ones."""
    return jnp.asarray(_halves(n) / (2 * n), jnp.float32)


def _halves(n):
    return np.concatenate([np.arange(0, n, 2), np.arange(1, n, 2)])


@functools.cache
def _half_matrices(n):
    """DCT-II rows of even and of odd order, left halves: their right halves are these mirrored, with sign + and -."""
    matrix = np.cos(np.pi * _halves(n)[:, None] * (2 * np.arange(n // 2) + 1) / (2 * n)) * math.sqrt(2 / n)
    matrix[0] /= math.sqrt(2)
    return np.split(matrix.astype(np.float32), 2)


def _to_cosines(x, axis):
    """The transform of a matrix along one axis. Cosines are even or odd about the middle: two half-size products."""
    even, odd = _half_matrices(x.shape[axis])
    first, second = jnp.split(x, 2, axis)
    second = jnp.flip(second, axis)
    return jnp.concatenate([_product(even, first + second, axis), _product(odd, first - second, axis)], axis)


def _from_cosines(spectrum, axis):
    even, odd = _half_matrices(spectrum.shape[axis])
    first, second = jnp.split(spectrum, 2, axis)
    first, second = _product(even.T, first, axis), _product(odd.T, second, axis)
    return jnp.concatenate([first + second, jnp.flip(first - second, axis)], axis)


def _product(matrix, x, axis):
    left, right = (matrix, x) if axis == 0 else (x, matrix.T)
    return jnp.matmul(left, right, precision="highest")


class _Tiling(NamedTuple):
    """Tiles that cover an image, and a ramp beyond each border, with all but their guards."""

    guard: int
    rows: int
    columns: int

    @property
    def stride(self):
        return _stride(self.guard)

    def end(self, axis):
        """Return where the last tile ends, in pixels of the image."""
        return self[1 + axis] * self.stride + self.guard

    def corners(self):
        """(tiles, 3) int32: the first row and column of each in an image padded by _MARGIN, and the guard's number."""
        rows, columns = (_MARGIN - _RAMP - self.guard + self.stride * np.arange(n) for n in self[1:])
        y, x = np.meshgrid(rows, columns, indexing="ij")
        return np.stack([y, x, np.full_like(y, _GUARDS.index(self.guard))], -1).reshape(-1, 3).astype(np.int32)


def _tilings(height, width):
    """A tiling for each guard, and the padding of rows and columns that all of them fit into."""
    tilings = [_Tiling(guard, _count(guard, height), _count(guard, width)) for guard in _GUARDS]
    ends = [max(tiling.end(axis) for tiling in tilings) for axis in (0, 1)]
    return tilings, ((_MARGIN, ends[0] - height), (_MARGIN, ends[1] - width))


def _stride(guard):
    return TILE - 2 * guard - _RAMP


def _count(guard, side):
    return math.ceil((side + _RAMP) / _stride(guard))


def _window(guard):
    """Share of every row of a tile in the result: 0 in the guard, a ramp, 1 inside. Neighbours' add up to 1."""
    ramp = (np.arange(_RAMP) + 0.5) / _RAMP
    flat = np.ones(_stride(guard) - _RAMP)
    return np.pad(np.concatenate([ramp, flat, ramp[::-1]]), guard).astype(np.float32)


def _occupied(place: Float[Array, "h w"], nodes: Float[Array, "n"], tilings) -> Bool[Array, "tiles n"]:
    """Say which tiles keep a pixel that has a share in which bin; each bin uses the tiling with its sigma's guard."""
    blocks = place[_MARGIN - _RAMP :, _MARGIN - _RAMP :]
    rows, columns = (n // _RAMP for n in blocks.shape)
    blocks = blocks[: rows * _RAMP, : columns * _RAMP].reshape(rows, _RAMP, columns, _RAMP)
    found = jax.lax.map(
        lambda node: (jnp.abs(blocks - node) < 1).any((1, 3)), jnp.arange(nodes.size, dtype=blocks.dtype)
    )
    tiling_of = jnp.searchsorted(jnp.asarray(_GUARDED, nodes.dtype), nodes)
    occupied = []
    for number, tiling in enumerate(tilings):
        # A tile is whole blocks: its ramps and what lies between.
        kept, stride = tiling.stride // _RAMP + 1, tiling.stride // _RAMP
        rows, columns = (n * stride + 1 for n in tiling[1:])
        inside = jax.lax.reduce_window(
            found[:, :rows, :columns], False, jax.lax.bitwise_or, (1, kept, kept), (1, stride, stride), "valid"
        )
        occupied.append(inside.reshape(nodes.size, -1) & (tiling_of == number)[:, None])
    return jnp.concatenate(occupied, 1).T
