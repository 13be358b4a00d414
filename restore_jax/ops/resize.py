"""Resizing. Each method has one name, because each published number depends on which one was meant."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def block_mean(x: Float[Array, "b h w c"], factor: int) -> Float[Array, "b h1 w1 c"]:
    """Downsample by the mean of factor x factor blocks. Raises ValueError if a side is no multiple of `factor`."""
    b, h, w, c = x.shape
    if h % factor or w % factor:
        raise ValueError(f"block_mean: {h}x{w} is not a multiple of {factor}")
    return x.reshape(b, h // factor, factor, w // factor, factor, c).mean((2, 4))


def every_nth(x: Float[Array, "b h w c"], factor: int) -> Float[Array, "b h1 w1 c"]:
    """Downsample by taking sample `factor * i`, nearest-neighbour as PyTorch does it."""
    return x[:, ::factor, ::factor]


def pixel_shuffle(x: Float[Array, "b h w cr"], factor: int) -> Float[Array, "b h2 w2 c"]:
    """Turn channels into pixels: channel (c, dy, dx), PyTorch's order, goes to pixel (dy, dx) of a square block."""
    b, h, w, channels = x.shape
    x = x.reshape(b, h, w, channels // factor**2, factor, factor)
    return jnp.transpose(x, (0, 1, 4, 2, 5, 3)).reshape(b, h * factor, w * factor, -1)


def nearest_align_corners(x: Float[Array, "b h w c"], height: int, width: int) -> Float[Array, "b h2 w2 c"]:
    """Resize by taking the nearest sample; first falls on first and last on last (TensorFlow 1's align_corners).

    Output i takes input round(i (n - 1) / (m - 1)), halves upwards.
    """

    def index(n, m):
        steps = max(m - 1, 1)
        return (2 * np.arange(m) * (n - 1) + steps) // (2 * steps)

    return x[:, index(x.shape[1], height)][:, :, index(x.shape[2], width)]


def upsample_nearest(x: Float[Array, "b h w c"], factor: int) -> Float[Array, "b h2 w2 c"]:
    """Repeat each sample factor x factor times; for factor 2 this is also `nearest_align_corners`."""
    b, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (b, h, factor, w, factor, c))
    return x.reshape(b, h * factor, w * factor, c)


def upsample_bicubic(x: Float[Array, "b h w c"], factor: int) -> Float[Array, "b h2 w2 c"]:
    """Enlarge bicubically as PyTorch does: a = -.75, half-pixel centres, edge repeated, not clipped."""
    return _upsample(x, factor, _cubic_weights)


def upsample_bilinear(x: Float[Array, "b h w c"], factor: int) -> Float[Array, "b h2 w2 c"]:
    """Enlarge bilinearly with half-pixel centres, edge repeated (PyTorch's align_corners=False)."""
    return _upsample(x, factor, lambda t: np.array([0, 1 - t, t, 0]))


def halve_bicubic(x: Float[Array, "b h w c"]) -> Float[Array, "b h1 w1 c"]:
    """Halve bicubically at 2i + .5: a = -.75, not antialiased, edge repeated, not clipped; odd sizes are floored."""
    weights = _cubic_weights(0.5)
    for axis in (1, 2):
        size = x.shape[axis] // 2
        padded = _pad_edge(x, 1, axis)
        samples = (jax.lax.slice_in_dim(padded, n, n + 2 * size - 1, 2, axis) for n in range(4))
        x = sum(float(w) * sample for w, sample in zip(weights, samples, strict=True))
    return x


def resize_bilinear(x: Float[Array, "b h w c"], height: int, width: int) -> Float[Array, "b h2 w2 c"]:
    """Resize bilinearly with half-pixel centres, edge repeated, never antialiased (PyTorch's align_corners=False)."""

    def positions(n, m):
        return np.clip((np.arange(m) + 0.5) * (n / m) - 0.5, 0, n - 1)

    return _interpolate(_interpolate(x, positions(x.shape[1], height), 1), positions(x.shape[2], width), 2)


def resize_bilinear_align_corners(x: Float[Array, "b h w c"], height: int, width: int) -> Float[Array, "b h2 w2 c"]:
    """Resize bilinearly; first sample falls on first and last on last (PyTorch's align_corners=True)."""

    def positions(n, m):
        return np.arange(m) * ((n - 1) / max(m - 1, 1))

    return _interpolate(_interpolate(x, positions(x.shape[1], height), 1), positions(x.shape[2], width), 2)


def resize_bicubic_align_corners(x: Float[Array, "b h w c"], height: int, width: int) -> Float[Array, "b h2 w2 c"]:
    """Resize bicubically, a = -.75; first sample falls on first and last on last; edge repeated, not clipped."""
    for axis, m in ((1, height), (2, width)):
        n = x.shape[axis]
        positions = np.arange(m) * ((n - 1) / max(m - 1, 1))
        low = np.minimum(np.floor(positions + 1e-9), n - 1).astype(np.int32)
        weights = np.stack([_cubic_weights(t) for t in positions - low])
        shape = [1] * x.ndim
        shape[axis] = m
        x = sum(
            jnp.take(x, np.clip(low + k - 1, 0, n - 1), axis) * jnp.asarray(weights[:, k].reshape(shape), x.dtype)
            for k in range(4)
        )
    return x


def _cubic_weights(t: float, a: float = -0.75) -> np.ndarray:
    """Return Keys' weights of the samples at -1, 0, 1, 2 for the position t in [0, 1)."""
    distance = np.abs(t - np.arange(-1, 3))
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, far)


def _upsample(x, factor: int, weights_at):
    """Enlarge phase by phase: output factor·i + p has the same weights for every i."""
    for axis in (1, 2):
        size = x.shape[axis]
        padded = _pad_edge(x, 2, axis)
        phases = []
        for phase in range(factor):
            position = (phase + 0.5) / factor - 0.5
            first = int(np.floor(position))
            weights = [(n, float(w)) for n, w in enumerate(weights_at(position - first)) if w]
            phases.append(
                sum(w * jax.lax.slice_in_dim(padded, 1 + first + n, 1 + first + n + size, 1, axis) for n, w in weights)
            )
        x = jnp.stack(phases, axis + 1)
        x = x.reshape(*x.shape[:axis], factor * size, *x.shape[axis + 2 :])
    return x


def _interpolate(x, positions: np.ndarray, axis: int):
    """Interpolate linearly along `axis` at fixed positions inside it."""
    low = np.floor(positions).astype(np.int32)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    shape = [1] * x.ndim
    shape[axis] = -1
    fraction = jnp.asarray((positions - low).reshape(shape), x.dtype)
    return jnp.take(x, low, axis) * (1 - fraction) + jnp.take(x, high, axis) * fraction


def _pad_edge(x, margin: int, axis: int):
    return jnp.pad(x, [(margin, margin) if a == axis else (0, 0) for a in range(x.ndim)], "edge")
