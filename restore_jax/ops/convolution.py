"""Convolutions in the form that is fastest on XLA."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def convolution(x, kernel, strides, padding, dimension_numbers, precision=None, **options):
    """Convolve like `jax.lax.conv_general_dilated`, with gradients that are fast inside loops.

    Pass it as `flax.linen.Conv(conv_general_dilated=convolution)`. XLA on CPU computes the gradients that JAX derives
    30 times slower inside `scan` than outside. Raises ValueError for dilated, grouped and other than NHWC convolutions.
    """
    plain = set(options.pop("lhs_dilation")) | set(options.pop("rhs_dilation")) | {options.pop("feature_group_count")}
    if (
        plain != {1}
        or options
        or dimension_numbers != jax.lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
    ):
        raise ValueError("convolution: only plain 2-D convolutions, NHWC")
    return _convolution(x, kernel, tuple(strides), tuple(map(tuple, padding)), precision)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _convolution(x, kernel, strides, padding, precision):
    return _plain_convolution(x, kernel, strides, padding, precision)


def _plain_convolution(x, kernel, strides, padding, precision):
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=_LAYOUT, precision=precision)


def _convolution_forward(x, kernel, strides, padding, precision):
    return _convolution(x, kernel, strides, padding, precision), (x, kernel)


def _convolution_backward(strides, padding, precision, residuals, y_bar):
    x, kernel = residuals
    if jax.default_backend() != "cpu":
        return jax.vjp(lambda x, k: _plain_convolution(x, k, strides, padding, precision), x, kernel)[1](y_bar)
    # The sums that JAX derives, but on transposed arrays: XLA's fast convolution on CPU knows one order of dimensions
    # alone, and XLA brings other orders into it only outside of loops.
    size, options = kernel.shape[:2], {"dimension_numbers": _LAYOUT, "precision": precision}
    unseen = [
        n + sum(p) - (s * (m - 1) + k)
        for n, p, s, m, k in zip(x.shape[1:3], padding, strides, y_bar.shape[1:3], size, strict=True)
    ]
    around = [(k - 1 - p[0], k - 1 - p[1] + u) for k, p, u in zip(size, padding, unseen, strict=True)]
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    x_bar = jax.lax.conv_general_dilated(y_bar, turned, (1, 1), around, lhs_dilation=strides, **options)
    around = [(p[0], p[1] - u) for p, u in zip(padding, unseen, strict=True)]
    x, y_bar = x.transpose(3, 1, 2, 0), y_bar.transpose(1, 2, 0, 3)
    kernel_bar = jax.lax.conv_general_dilated(x, y_bar, (1, 1), around, rhs_dilation=strides, **options)
    return x_bar, kernel_bar.transpose(1, 2, 0, 3)


_convolution.defvjp(_convolution_forward, _convolution_backward)


@jax.custom_vjp
def transposed_convolution_4x4_s2(
    x: Float[Array, "b h w i"], kernel: Float[Array, "4 4 i o"]
) -> Float[Array, "b h2 w2 o"]:
    """Double both sides by a transposed convolution 4x4, stride 2, padding 1 (PyTorch's ConvTranspose2d(4, 2, 1)).

    In sub-pixel form: output (2m + a, 2n + b) sees 2x2 inputs, so one 2x2 convolution to 4·o channels holds the four
    phases. XLA's own form dilates the input with zeros and multiplies by them.
    """
    b, h, w, _ = x.shape
    # Row 2m: inputs m-1, m meet kernel rows 3, 1; row 2m+1: inputs m, m+1 meet kernel rows 2, 0.
    rows = jnp.array([[3, 1], [2, 0]])
    phases = kernel[rows[:, None, :, None], rows[None, :, None, :]]  # (a, b, p, q, i, o)
    phases = phases.transpose(2, 3, 4, 0, 1, 5).reshape(2, 2, kernel.shape[2], -1)
    y = jax.lax.conv_general_dilated(x, phases, (1, 1), [(1, 1), (1, 1)], dimension_numbers=_LAYOUT)
    y = y.reshape(b, h + 1, w + 1, 2, 2, -1)
    even, odd = ([y[:, a : a + h, c : c + w, a, c] for c in (0, 1)] for a in (0, 1))
    return jnp.stack([jnp.stack(even, 3), jnp.stack(odd, 3)], 2).reshape(b, 2 * h, 2 * w, -1)


def _convolution_4x4_s2(y, kernel):
    """Convolve with stride 2, transposing `transposed_convolution_4x4_s2`; kernel (4, 4, i, o), o to i channels."""
    kernel = kernel.transpose(0, 1, 3, 2)
    return jax.lax.conv_general_dilated(y, kernel, (2, 2), [(1, 1), (1, 1)], dimension_numbers=_LAYOUT)


def _forward(x, kernel):
    return transposed_convolution_4x4_s2(x, kernel), (x, kernel)


def _backward(residuals, y_bar):
    # The transpose of a transpose is the plain strided convolution; autodiff of slices and stacks is 40 times slower.
    x, kernel = residuals
    x_bar, kernel_vjp = jax.vjp(lambda k: _convolution_4x4_s2(y_bar, k), kernel)
    return x_bar, kernel_vjp(x)[0]


transposed_convolution_4x4_s2.defvjp(_forward, _backward)
