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
def _filter_axis(x: Float[Array, "b h w c"], taps, axis: int) -> Float[Array, "b h w c"]:
    """Sum taps[t] * (x shifted by t - k//2 along `axis`, border replicated) over t; taps: an array or k planes."""
    # Without the barrier XLA picks the border pixel again for every element of every tap: twice as slow on CPU.
    padded = jax.lax.optimization_barrier(_pad_axis(x, len(taps), axis))
    total = taps[0] * _shifted(padded, 0, x.shape[axis], axis)
    for t in range(1, len(taps)):
        total = total + taps[t] * _shifted(padded, t, x.shape[axis], axis)
    return total


def _filter_axis_forward(x, taps, axis):
    return _filter_axis(x, taps, axis), (x, taps)


def _filter_axis_backward(axis, residuals, y_bar):
    x, taps = residuals
    taps_bar = _taps_bar(x, len(taps), y_bar, axis)
    return _x_bar(taps, y_bar, axis), taps_bar if isinstance(taps, (list, tuple)) else jnp.stack(taps_bar)


_filter_axis.defvjp(_filter_axis_forward, _filter_axis_backward)


# Gradients by hand, since autodiff of padding and slicing is several times slower on CPU.


def _taps_bar(x, size: int, y_bar, axis: int) -> list:
    padded = jax.lax.optimization_barrier(_pad_axis(x, size, axis))
    return [y_bar * _shifted(padded, t, x.shape[axis], axis) for t in range(size)]


def _x_bar(taps, y_bar, axis: int):
    size, length = len(taps), y_bar.shape[axis]
    before, after = size // 2, size - 1 - size // 2
    if size == 1 or length < size:
        return _x_bar_near_borders(taps, y_bar, axis)

    def lines(start, count):
        return [_shifted(plane, start, count, axis) for plane in taps], _shifted(y_bar, start, count, axis)

    # Away from the borders no padding is needed, which is much faster; the lines near them are few.
    head, tail = max(after, min(before, 1)), max(before, min(after, 1))
    inner, starts = length - head - tail, [head + before - t for t in range(size)]
    middle = sum(
        _shifted(p, s, inner, axis) * _shifted(y_bar, s, inner, axis) for p, s in zip(taps, starts, strict=True)
    )
    first = _shifted(_x_bar_near_borders(*lines(0, size), axis), 0, head, axis)
    last = _shifted(_x_bar_near_borders(*lines(length - size, size), axis), size - tail, tail, axis)
    return jnp.concatenate(jax.lax.optimization_barrier([first, middle, last]), axis)


def _x_bar_near_borders(taps, y_bar, axis: int):
    size, length, zero = len(taps), y_bar.shape[axis], jnp.zeros((), y_bar.dtype)
    padded_bar = sum(jax.lax.pad(taps[t] * y_bar, zero, _padding(axis, t, size - 1 - t)) for t in range(size))
    padded_bar = jax.lax.optimization_barrier(padded_bar)
    # Gradients of the replicated border belong to the first and the last line.
    before, after = size // 2, size - 1 - size // 2
    x_bar = _shifted(padded_bar, before, length, axis)
    first = _shifted(padded_bar, 0, before, axis).sum(axis, keepdims=True)
    last = _shifted(padded_bar, before + length, after, axis).sum(axis, keepdims=True)
    x_bar = x_bar + jax.lax.pad(first, zero, _padding(axis, 0, length - 1))
    return x_bar + jax.lax.pad(last, zero, _padding(axis, length - 1, 0))


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
    return _separable(features, vertical, horizontal)


def _separable(features, vertical, horizontal):
    rows = _filter_axis(features, vertical, axis=1)
    # Without the barrier XLA fuses the passes and computes the first one k times.
    rows = jax.lax.optimization_barrier(rows)
    return _filter_axis(rows, horizontal, axis=2)


def iac(
    features: Float[Array, "b h w c"],
    filters: Float[Array, "n 2 k b h w c"],
    biases: Float[Array, "n b h w c"],
    leak: float | None = LEAK,
    final_leak: float | None = LEAK,
) -> Float[Array, "b h w c"]:
    """Filter iteratively (IAC): e_n = LReLU(e_{n-1} * vertical_n * horizontal_n + bias_n), n = 1..N.

    Args:
      features: e_0.
      filters: N pairs (vertical, horizontal) of k taps, tap-major.
      biases: one a step, pixel and channel.
      leak: slope of the leaky ReLU after every step but the last; None for none.
      final_leak: the same after the last step (the reblurring network has none there).
    Source: dissertation Eq. 4.1.
    """

    slopes = _slopes(filters.shape[0], leak, final_leak, features.dtype)
    return _iterate(_given, _given_bar, features, (), (filters, biases), slopes)


def _given(_, weights):
    (vertical, horizontal), bias = weights
    return vertical, horizontal, bias


def _given_bar(_, weights, vertical, horizontal, bias):
    return (), (jnp.stack([jnp.stack(vertical), jnp.stack(horizontal)]), bias)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _iterate(planes, planes_bar, features, shared, weights, slopes):
    """Run IAC; step n filters by `planes(shared, weights[n])`: k vertical taps, k horizontal taps, the bias.

    `planes_bar(shared, weights[n], vertical, horizontal, bias)` is the transpose of `planes`: it takes the gradients of
    the planes and returns those of `shared` and weights[n]. The backward pass makes the planes of a step again, so that
    those of one step exist at a time.
    """
    return _iterate_forward(planes, planes_bar, features, shared, weights, slopes)[0]


def _iterate_forward(planes, planes_bar, features, shared, weights, slopes):
    def step(e, inputs):
        weight, slope = inputs
        vertical, horizontal, bias = planes(shared, weight)
        y = _separable(e, vertical, horizontal) + bias
        return jnp.where(y > 0, y, slope * y), e

    result, inputs = jax.lax.scan(step, features, (weights, slopes))
    return result, (result, inputs, shared, weights, slopes)


def _iterate_backward(planes, planes_bar, residuals, result_bar):
    result, inputs, shared, weights, slopes = residuals
    barrier = jax.lax.optimization_barrier

    def step(carry, saved):
        y_bar, y, shared_bar = carry
        e, weight, slope = saved
        vertical, horizontal = barrier(planes(shared, weight)[:2])
        rows = barrier(_filter_axis(e, vertical, 1))
        y_bar = barrier(jnp.where(y > 0, y_bar, slope * y_bar))
        horizontal_bar = _taps_bar(rows, len(horizontal), y_bar, 2)
        rows_bar = barrier(_x_bar(horizontal, y_bar, 2))
        vertical_bar = _taps_bar(e, len(vertical), rows_bar, 1)
        e_bar = _x_bar(vertical, rows_bar, 1)
        more, weight_bar = planes_bar(shared, weight, vertical_bar, horizontal_bar, y_bar)
        return (e_bar, e, jax.tree.map(jnp.add, shared_bar, more)), weight_bar

    start = (result_bar, result, jax.tree.map(jnp.zeros_like, shared))
    (e_bar, _, shared_bar), weights_bar = jax.lax.scan(step, start, (inputs, weights, slopes), reverse=True)
    return e_bar, shared_bar, weights_bar, jnp.zeros_like(slopes)


_iterate.defvjp(_iterate_forward, _iterate_backward)


def predict_and_iac(
    features: Float[Array, "b h w c"],
    code: Float[Array, "b h w d"],
    kernel: Float[Array, "n taps d c"],
    bias: Float[Array, "n taps c"],
    leak: float | None = LEAK,
    final_leak: float | None = LEAK,
    shared_taps: bool = False,
) -> Float[Array, "b h w c"]:
    """Run `iac` with filters and biases that the 1x1 convolution (kernel, bias) predicts from `code`, step by step.

    taps = 2k + 1: k vertical taps, k horizontal taps, the bias. At 1280x720, N = 17 and 128 channels the whole filter
    map would take 877 MB; here 7 planes of it exist at once, and the backward pass predicts them again.
    shared_taps: filter horizontally with the vertical taps too (quirk of the published IFAN, docs/networks.md 1).
    """
    slopes = _slopes(kernel.shape[0], leak, final_leak, features.dtype)
    planes, planes_bar = (_predicted_shared, _predicted_shared_bar) if shared_taps else (_predicted, _predicted_bar)
    return _iterate(planes, planes_bar, features, code, (kernel, bias), slopes)


def _predict(code, weights, which):
    kernel, bias = weights
    return [jax.lax.dot_general(code, kernel[t], (((3,), (0,)), ((), ()))) + bias[t][None, None, None] for t in which]


def _predict_bar(code, weights, planes_bar):
    kernel, _ = weights
    planes_bar = jax.lax.optimization_barrier(planes_bar)
    kernel_bar = [jax.lax.dot_general(code, p, (((0, 1, 2), (0, 1, 2)), ((), ()))) for p in planes_bar]
    code_bar = sum(jax.lax.dot_general(p, k, (((3,), (1,)), ((), ()))) for p, k in zip(planes_bar, kernel, strict=True))
    return code_bar, (jnp.stack(kernel_bar), jnp.stack([p.sum((0, 1, 2)) for p in planes_bar]))


def _predicted(code, weights):
    size = weights[0].shape[0] // 2
    planes = _predict(code, weights, range(2 * size + 1))
    return planes[:size], planes[size : 2 * size], planes[-1]


def _predicted_bar(code, weights, vertical, horizontal, bias):
    return _predict_bar(code, weights, [*vertical, *horizontal, bias])


def _predicted_shared(code, weights):
    size = weights[0].shape[0] // 2
    *taps, bias = _predict(code, weights, (*range(size), 2 * size))
    return taps, taps, bias


def _predicted_shared_bar(code, weights, vertical, horizontal, bias):
    size = len(vertical)
    used = [*range(size), 2 * size]
    taps = [v + h for v, h in zip(vertical, horizontal, strict=True)]
    code_bar, used_bars = _predict_bar(code, [w[jnp.array(used)] for w in weights], [*taps, bias])
    return code_bar, tuple(
        jnp.zeros_like(w).at[jnp.array(used)].set(bar) for w, bar in zip(weights, used_bars, strict=True)
    )


def _slopes(steps: int, leak: float | None, final_leak: float | None, dtype) -> Float[Array, " n"]:
    slopes = [1.0 if leak is None else leak] * (steps - 1) + [1.0 if final_leak is None else final_leak]
    return jnp.asarray(slopes, dtype)


def fac(features: Float[Array, "b h w c"], filters: Float[Array, "k k b h w c"]) -> Float[Array, "b h w c"]:
    """Filter every pixel and channel with a dense k x k kernel of its own (FAC); filters tap-major (row, column)."""
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
    """Compute `iac` as its definition reads: a function of one pixel, mapped over pixels and images. Slow."""
    steps = filters.shape[0]
    for n in range(steps):
        for axis in (0, 1):
            features = _map_pixels(features, jnp.moveaxis(filters[n, axis], 0, -2), axis)
        features = leaky_relu(features + biases[n], final_leak if n == steps - 1 else leak)
    return features


def fac_per_pixel(features: Float[Array, "b h w c"], filters: Float[Array, "k k b h w c"]) -> Float[Array, "b h w c"]:
    """Compute `fac` as its definition reads: a function of one pixel, mapped over pixels and images. Slow."""
    return _map_pixels(features, jnp.moveaxis(filters, (0, 1), (-3, -2)), None)


def _map_pixels(features, filters, axis):
    """Filter pixel by pixel; filters (b, h, w, k, c) along `axis`, or (b, h, w, k, k, c) if axis is None."""
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
