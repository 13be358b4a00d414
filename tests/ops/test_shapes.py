"""The ops check the shapes of their arguments in tests: a wrong one raises and the error names the one expected."""

import importlib

import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError

from restore_jax import ops
from tests.unchecked import UNCHECKED

CASES = {  # module: (function, arguments, the shape that the error must name)
    "attention": ("attend", [(7, 5), (6, 12), (12, 4)], "k m"),
    "convolution": ("transposed_convolution_4x4_s2", [(1, 4, 4, 2), (3, 3, 2, 2)], "4 4 i o"),
    "contextual": ("contextual_loss", [(1, 4, 4, 2), (1, 4, 4, 3)], "b h1 w1 c"),
    "deconv": ("dct", [(4, 4)], "h c w"),
    "deform_conv": ("deform_conv", [(1, 4, 4, 2), (1, 4, 4, 1, 9, 2), (1, 4, 4, 1, 8), (3, 3, 2, 2)], "b h w g 9"),
    "filtering": ("fac", [(1, 4, 4, 2), (3, 3, 1, 4, 4, 3)], "k k b h w c"),
    "imresize": ("imresize", [(4, 4), 2.0], "*b h w c"),
    "jpeg": ("compress", [(16, 16, 4), 90], "h w 3"),
    "matching": ("largest_products", [(4, 3), (4, 2), 1], "m d"),
    "patches": ("affine_patches", [(1, 4, 4, 3), (1, 2, 2, 3), (1, 2, 2)], "b h w 2"),
    "render": ("render_coc", [(4, 4, 3), (4, 5), 2], "h w"),
    "render_layers": ("render_layers", [(4, 4), (4, 4), (3,)], "h w c"),
    "resize": ("block_mean", [(4, 4, 3), 2], "b h w c"),
    "sensor": ("sharpen", [(4, 4), 0.5, 1.0], "h w c"),
    "warp": ("warp", [(1, 4, 4, 3), (1, 4, 4, 3)], "b h w 2"),
}


def test_every_module_has_a_case():
    assert {*CASES, *UNCHECKED} == set(dir(ops))


def arguments(case):
    return [jnp.zeros(a) if isinstance(a, tuple) else a for a in case]


def call(module, function, *args):
    return getattr(importlib.import_module(f"restore_jax.ops.{module}"), function)(*args)


@pytest.mark.parametrize("module", sorted(CASES.keys() - UNCHECKED))
def test_a_wrong_shape_names_the_expected_one(module):
    function, args, expected = CASES[module]
    with pytest.raises(TypeCheckError) as error:
        call(module, function, *arguments(args))
    assert f"'{expected}'" in str(error.value)
