"""Per-pixel adaptive filtering: every pixel and channel is filtered by a kernel of its own.

Filters are **tap-major**: one contiguous plane (b, h, w, c) for each tap, the layout in which a convolution of the
whole image runs at memory speed. Borders are replicated.

- `separable_adaptive_convolution`: one vertical and one horizontal kernel a pixel.
- `iac`: iterative adaptive convolution, N such pairs with bias and leaky ReLU (dissertation 4.2.1, Eq. 4.1).
- `fac`: filter adaptive convolution, one dense k x k kernel a pixel (Zhou et al. 2019; dissertation Fig. 4.1).
- `predict_and_iac`: `iac` whose filters a 1x1 convolution predicts step by step, so that the filter map never exists.
- `iac_per_pixel`, `fac_per_pixel`: the definitions, a function of one pixel under `vmap`; slow, for tests and reading.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

LEAK = 0.1


def leaky_relu(x: Float[Array, "..."], leak: float | None = LEAK) -> Float[Array, "..."]:
    """LeakyReLU with slope `leak` below zero; `leak=None` is the identity."""
    return x if leak is None else jnp.where(x > 0, x, leak * x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _filter_axis(x: Float[Array, "b h w c"], taps: Float[Array, "k b h w c"], axis: int) -> Float[Array, "b h w c"]:
    """Sum over t of taps[t] * (x shifted by t - k//2 along `axis`, border replicated)."""
    padded = _pad_axis(x, taps.shape[0], axis)
    total = taps[0] * _shifted(padded, 0, x.shape[axis], axis)
    for t in range(1, taps.shape[0]):
        total = total + taps[t] * _shifted(padded, t, x.shape[axis], axis)
    return total


def _filter_axis_forward(x, taps, axis):
    return _filter_axis(x, taps, axis), (x, taps)


def _filter_axis_backward(axis, residuals, y_bar):
    # By hand, since autodiff of the padding and slicing is several times slower on CPU.
    x, taps = residuals
    size, length = taps.shape[0], x.shape[axis]
    padded = jax.lax.optimization_barrier(_pad_axis(x, size, axis))
    taps_bar = jnp.stack([y_bar * _shifted(padded, t, length, axis) for t in range(size)])
    zero = jnp.zeros((), x.dtype)
    padded_bar = sum(jax.lax.pad(taps[t] * y_bar, zero, _padding(axis, t, size - 1 - t)) for t in range(size))
    padded_bar = jax.lax.optimization_barrier(padded_bar)
    # What fell on the replicated border belongs to the first and the last line.
    before, after = size // 2, size - 1 - size // 2
    x_bar = _shifted(padded_bar, before, length, axis)
    first = _shifted(padded_bar, 0, before, axis).sum(axis, keepdims=True)
    last = _shifted(padded_bar, before + length, after, axis).sum(axis, keepdims=True)
    x_bar = x_bar + jax.lax.pad(first, zero, _padding(axis, 0, length - 1))
    return x_bar + jax.lax.pad(last, zero, _padding(axis, length - 1, 0)), taps_bar


_filter_axis.defvjp(_filter_axis_forward, _filter_axis_backward)


def _pad_axis(x, size, axis):
    return jnp.pad(x, [p[:2] for p in _padding(axis, size // 2, size - 1 - size // 2)], mode="edge")


def _padding(axis, before, after):
    return [(before, after, 0) if a == axis else (0, 0, 0) for a in range(4)]


def _shifted(x, start, length, axis):
    return jax.lax.slice_in_dim(x, start, start + length, axis=axis)


def separable_adaptive_convolution(
    features: Float[Array, "b h w c"], vertical: Float[Array, "k b h w c"], horizontal: Float[Array, "k b h w c"]
) -> Float[Array, "b h w c"]:
    """Filter every pixel and channel with its vertical, then its horizontal kernel."""
    rows = _filter_axis(features, vertical, axis=1)
    # Without the barrier XLA fuses the passes and computes the first k times over.
    rows = jax.lax.optimization_barrier(rows)
    return _filter_axis(rows, horizontal, axis=2)


def iac(
    features: Float[Array, "b h w c"],
    filters: Float[Array, "n 2 k b h w c"],
    biases: Float[Array, "n b h w c"],
    leak: float | None = LEAK,
    final_leak: float | None = LEAK,
) -> Float[Array, "b h w c"]:
    """Iterative adaptive convolution: e_n = LReLU(e_{n-1} * vertical_n * horizontal_n + bias_n), n = 1..N.

    Args:
      features: e_0.
      filters: N pairs (vertical, horizontal) of k taps, tap-major.
      biases: one a step, pixel and channel.
      leak: slope of the leaky ReLU after every step but the last; None for none.
      final_leak: the same after the last step (the reblurring network has none there).
    Source: dissertation Eq. 4.1.
    """

    def step(e, planes):
        pair, bias, slope = planes
        e = separable_adaptive_convolution(e, pair[0], pair[1]) + bias
        return jnp.where(e > 0, e, slope * e), None

    slopes = _slopes(filters.shape[0], leak, final_leak, features.dtype)
    return jax.lax.scan(step, features, (filters, biases, slopes))[0]


def predict_and_iac(
    features: Float[Array, "b h w c"],
    code: Float[Array, "b h w d"],
    kernel: Float[Array, "n taps d c"],
    bias: Float[Array, "n taps c"],
    leak: float | None = LEAK,
    final_leak: float | None = LEAK,
    shared_taps: bool = False,
) -> Float[Array, "b h w c"]:
    """`iac` with filters and biases predicted from `code` by the 1x1 convolution (kernel, bias), one step at a time.

    taps = 2k + 1: k vertical taps, k horizontal taps, the bias. At 1280x720, N = 17 and 128 channels the whole filter
    map would take 877 MB; here 7 planes of it exist at once, and the backward pass predicts them again.
    `shared_taps`: the vertical taps serve in both passes (quirk of the published IFAN).
    """
    size = (kernel.shape[1] - 1) // 2
    used = (*range(size), 2 * size) if shared_taps else range(2 * size + 1)

    @jax.checkpoint
    def step(e, weights):
        w, b, slope = weights
        planes = [jax.lax.dot_general(code, w[t], (((3,), (0,)), ((), ()))) + b[t][None, None, None] for t in used]
        vertical = jnp.stack(planes[:size])
        horizontal = vertical if shared_taps else jnp.stack(planes[size : 2 * size])
        e = separable_adaptive_convolution(e, vertical, horizontal) + planes[-1]
        return jnp.where(e > 0, e, slope * e), None

    return jax.lax.scan(step, features, (kernel, bias, _slopes(kernel.shape[0], leak, final_leak, features.dtype)))[0]


def _slopes(steps: int, leak: float | None, final_leak: float | None, dtype) -> Float[Array, " n"]:
    slopes = [1.0 if leak is None else leak] * (steps - 1) + [1.0 if final_leak is None else final_leak]
    return jnp.asarray(slopes, dtype)


def fac(features: Float[Array, "b h w c"], filters: Float[Array, "k k b h w c"]) -> Float[Array, "b h w c"]:
    """Filter adaptive convolution: one dense k x k kernel a pixel and channel, filters tap-major (row, column)."""
    size = filters.shape[0]
    _, height, width, _ = features.shape
    before, after = size // 2, size - 1 - size // 2
    padded = jnp.pad(features, ((0, 0), (before, after), (before, after), (0, 0)), mode="edge")

    def row(total, inputs):
        dy, taps = inputs
        strip = jax.lax.dynamic_slice_in_dim(padded, dy, height, axis=1)
        for dx in range(size):
            total = total + taps[dx] * jax.lax.slice_in_dim(strip, dx, dx + width, axis=2)
        return total, None

    return jax.lax.scan(row, jnp.zeros_like(features), (jnp.arange(size), filters))[0]


# Definitions: what one output pixel is.


def iac_per_pixel(
    features: Float[Array, "b h w c"],
    filters: Float[Array, "n 2 k b h w c"],
    biases: Float[Array, "n b h w c"],
    leak: float | None = LEAK,
    final_leak: float | None = LEAK,
) -> Float[Array, "b h w c"]:
    """`iac` as its definition reads: a function of one pixel, mapped over pixels and images."""
    steps = filters.shape[0]
    for n in range(steps):
        for axis in (0, 1):
            features = _map_pixels(features, jnp.moveaxis(filters[n, axis], 0, -2), axis)
        features = leaky_relu(features + biases[n], final_leak if n == steps - 1 else leak)
    return features


def fac_per_pixel(features: Float[Array, "b h w c"], filters: Float[Array, "k k b h w c"]) -> Float[Array, "b h w c"]:
    """`fac` as its definition reads: a function of one pixel, mapped over pixels and images."""
    return _map_pixels(features, jnp.moveaxis(filters, (0, 1), (-3, -2)), None)


def _map_pixels(features, filters, axis):
    """Maps `one` over all pixels; filters (b, h, w, k, c) along `axis`, or (b, h, w, k, k, c) if axis is None."""
    _, height, width, _ = features.shape
    size = filters.shape[3]
    taps = jnp.arange(size) - size // 2

    def one(image, kernel, y, x):
        ys = jnp.clip(y + taps, 0, height - 1) if axis in (0, None) else y[None]
        xs = jnp.clip(x + taps, 0, width - 1) if axis in (1, None) else x[None]
        patch = image[ys[:, None], xs[None, :]]
        return jnp.sum(patch * kernel.reshape(patch.shape), axis=(0, 1))

    over_x = jax.vmap(one, (None, 0, None, 0))
    over_y = jax.vmap(over_x, (None, 0, 0, None))
    over_batch = jax.vmap(over_y, (0, 0, None, None))
    return over_batch(features, filters, jnp.arange(height), jnp.arange(width))
