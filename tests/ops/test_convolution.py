"""ops/convolution: the sub-pixel transposed convolution against its definition, gradients of convolutions."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax.ops.convolution import convolution, transposed_convolution_4x4_s2

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, 5, 4)).astype(np.float32)
KERNEL = RNG.standard_normal((4, 4, 4, 3)).astype(np.float32)


def scatter(x, kernel):
    """Every input adds its kernel-weighted value to the 4x4 outputs it reaches; then padding 1 is cut off."""
    b, h, w, _ = x.shape
    full = np.zeros((b, 2 * h + 2, 2 * w + 2, kernel.shape[3]))
    for y in range(h):
        for z in range(w):
            full[:, 2 * y : 2 * y + 4, 2 * z : 2 * z + 4] += np.einsum("bi,yxio->byxo", x[:, y, z], kernel)
    return full[:, 1:-1, 1:-1]


def test_transposed_convolution():
    result = transposed_convolution_4x4_s2(jnp.asarray(X), jnp.asarray(KERNEL))
    np.testing.assert_allclose(result, scatter(X, KERNEL), atol=1e-5)


def test_its_gradient_is_the_adjoint():
    cotangent = RNG.standard_normal((2, 6, 10, 3)).astype(np.float32)
    _, vjp = jax.vjp(transposed_convolution_4x4_s2, jnp.asarray(X), jnp.asarray(KERNEL))
    x_bar, kernel_bar = vjp(jnp.asarray(cotangent))
    # The map is bilinear: <cotangent, T(x, k)> is both <x_bar, x> and <kernel_bar, k>.
    inner = np.sum(cotangent * scatter(X, KERNEL))
    np.testing.assert_allclose(np.sum(np.asarray(x_bar) * X), inner, rtol=1e-4)
    np.testing.assert_allclose(np.sum(np.asarray(kernel_bar) * KERNEL), inner, rtol=1e-4)
    basis = np.zeros_like(X)
    basis[1, 2, 3, 1] = 1
    np.testing.assert_allclose(x_bar[1, 2, 3, 1], np.sum(cotangent * scatter(basis, KERNEL)), rtol=1e-4)
    basis = np.zeros_like(KERNEL)
    basis[3, 0, 2, 1] = 1
    np.testing.assert_allclose(kernel_bar[3, 0, 2, 1], np.sum(cotangent * scatter(X, basis)), rtol=1e-4)


@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (5, 4, 2), (5, 8, 2), (1, 1, 0), (3, 1, 0)]
)
def test_gradients_of_convolution_are_those_jax_derives(size, stride, padding):
    x = RNG.standard_normal((2, 16, 23, 4)).astype(np.float32)
    kernel = RNG.standard_normal((size, size, 4, 3)).astype(np.float32)

    def total(rule, x, kernel):
        layer = nn.Conv(3, (size, size), stride, padding, use_bias=False, **rule)
        y = layer.apply({"params": {"kernel": kernel}}, x)
        return jnp.sum(jnp.sin(y)), y

    ours, derived = (
        jax.value_and_grad(total, (1, 2), has_aux=True)(rule, jnp.asarray(x), jnp.asarray(kernel))
        for rule in ({"conv_general_dilated": convolution}, {})
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), ours, derived)


def test_convolution_refuses_what_it_does_not_do():
    layer = nn.Conv(4, (3, 3), kernel_dilation=2, conv_general_dilated=convolution)
    with pytest.raises(ValueError, match="only plain 2-D convolutions"):
        layer.init(jax.random.key(0), jnp.asarray(X))
