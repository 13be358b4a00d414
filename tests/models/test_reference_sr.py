"""models/ttsr, models/dcsr and the two operations that only they need: formulas in NumPy, parameters, names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax import models, weights
from restore_jax.errors import InputError
from restore_jax.ops.patches import transfer_patches
from restore_jax.ops.resize import resize_bicubic_align_corners
from restore_jax.weights.building import parameter_shapes
from restore_jax.weights.converters.ttsr import our_name
from restore_jax.weights.tree import flatten

TTSR = {"num_feat": 4, "num_blocks": (1, 1, 1, 1), "vgg_divisor": 16}
DCSR = {"num_feat": 4, "num_blocks": (1, 1, 1)}


def random_params(name, options, seed=0):
    rng = np.random.default_rng(seed)
    shapes = parameter_shapes(name, options)
    return jax.tree.map(
        lambda x: rng.normal(0, 1 / np.sqrt(max(np.prod(x.shape[:-1]), 8)), x.shape).astype(np.float32), shapes
    )


def count(name, **options):
    return sum(leaf.size for leaf in jax.tree.leaves(parameter_shapes(name, options)["params"]))


# ----------------------------------------------------------------------------------------------------------- operations
def unfold(x, side, stride, padding):
    """All patches of (h, w, c), zero outside, in row-major order."""
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    rows, columns = ((n - side) // stride + 1 for n in x.shape[:2])
    return [
        x[r * stride : r * stride + side, c * stride : c * stride + side] for r in range(rows) for c in range(columns)
    ]


def fold(patches, height, width, side, stride, padding):
    """Their sum in place."""
    out = np.zeros((height + 2 * padding, width + 2 * padding, patches[0].shape[-1]))
    columns = (width + 2 * padding - side) // stride + 1
    for n, patch in enumerate(patches):
        r, c = n // columns * stride, n % columns * stride
        out[r : r + side, c : c + side] += patch
    return out[padding : padding + height, padding : padding + width]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_texture_transfer_folds_patches_and_divides_by_nine(size):
    rng = np.random.default_rng(size)
    h, w, hr, wr = 4, 5, 3, 6
    source = rng.normal(size=(2, hr * size, wr * size, 3)).astype(np.float32)
    index = rng.integers(0, hr * wr, (2, h, w)).astype(np.int32)
    found = jax.jit(lambda source, index: transfer_patches(source, index, size))(source, index)
    for n in range(2):
        patches = unfold(source[n].astype(np.float64), 3 * size, size, size)
        assert len(patches) == hr * wr
        chosen = [patches[i] for i in index[n].ravel()]
        expected = fold(chosen, h * size, w * size, 3 * size, size, size) / 9
        np.testing.assert_allclose(found[n], expected, atol=1e-6)


def test_texture_transfer_of_a_map_onto_itself_is_the_map_inside():
    x = np.random.default_rng(0).normal(size=(1, 8, 10, 2)).astype(np.float32)
    index = np.arange(20, dtype=np.int32).reshape(1, 4, 5)
    found = np.asarray(transfer_patches(x, index, 2))
    np.testing.assert_allclose(found[:, 2:-2, 2:-2], x[:, 2:-2, 2:-2], atol=1e-6)
    np.testing.assert_allclose(found[:, :2, 2:-2], x[:, :2, 2:-2] * 6 / 9, atol=1e-6)
    with pytest.raises(ValueError, match="transfer_patches: 8x10 is not a multiple of 4"):
        transfer_patches(x, index, 4)


def keys_kernel(t, a=-0.75):
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


@pytest.mark.parametrize("size", [(6, 10), (3, 5), (7, 4), (1, 9)])
def test_bicubic_with_aligned_corners_is_keys_convolution(size):
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 2)).astype(np.float32)
    matrices = []
    for n, m in zip((3, 5), size, strict=True):
        matrix = np.zeros((m, n))
        for i in range(m):
            position = i * (n - 1) / max(m - 1, 1)
            for k in range(int(np.floor(position)) - 2, int(np.floor(position)) + 4):
                matrix[i, min(max(k, 0), n - 1)] += keys_kernel(position - k)
        matrices.append(matrix)
    expected = np.einsum("yi,bijc,xj->byxc", matrices[0], x.astype(np.float64), matrices[1])
    found = jax.jit(lambda x: resize_bicubic_align_corners(x, *size))(x)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    if size == (6, 10):
        np.testing.assert_allclose(found[:, :: size[0] - 1, :: size[1] - 1], x[:, ::2, ::4], atol=1e-6)


# ----------------------------------------------------------------------------------------------------------------- TTSR
@pytest.fixture(scope="module")
def ttsr_run():
    """Outputs and gradients for an input that is the reference, brought down; and the reference's textures."""
    from restore_jax.ops.imresize import imresize

    rng = np.random.default_rng(3)
    ref = np.kron(rng.random((1, 8, 10, 3)), np.ones((1, 4, 4, 1))).astype(np.float32)
    lr = np.asarray(imresize(ref, 0.25))
    model, params = models.create("ttsr", **TTSR), random_params("ttsr", TTSR)

    @jax.jit
    def run(params, lr, ref):
        gradients, outputs = jax.grad(squares, has_aux=True)(params, model, lr, ref)
        return outputs, gradients, model.apply(params, ref, method="textures")

    return jax.device_get(run(params, lr, ref))


def squares(params, model, lr, ref):
    outputs = model.apply(params, lr, ref, train=True)
    return jnp.mean(jnp.square(outputs["image"])), outputs


def test_ttsr_finds_each_place_in_itself(ttsr_run):
    outputs, _, textures = ttsr_run
    np.testing.assert_array_equal(outputs["index"], np.arange(80).reshape(1, 8, 10))
    np.testing.assert_allclose(outputs["confidence"], 1, atol=1e-4)
    assert outputs["image"].shape == (1, 32, 40, 3)
    assert [t.shape for t in outputs["transferred"]] == [(1, 32, 40, 4), (1, 16, 20, 8), (1, 8, 10, 16)]
    for size, transferred, texture in zip((4, 2, 1), outputs["transferred"], textures, strict=True):
        inside = slice(size, -size)
        np.testing.assert_allclose(transferred[:, inside, inside], texture[:, inside, inside], atol=1e-5)


def test_ttsr_learns_with_every_parameter(ttsr_run):
    for name, gradient in flatten(ttsr_run[1]["params"]).items():
        assert np.any(gradient) != name.startswith("normalisation"), name


def test_ttsrs_parameters():
    shapes = parameter_shapes("ttsr", {})["params"]
    extractor = sum(leaf.size for part in ("extractor", "normalisation") for leaf in jax.tree.leaves(shapes[part]))
    assert extractor == 555_340
    assert count("ttsr") == 6_729_615
    assert "discriminator" in parameter_shapes("ttsr", {**TTSR, "critic": True})["params"]
    model = models.create("ttsr", **TTSR)
    with pytest.raises(ValueError, match="ttsr: the reference's 18x16 is not a multiple of 4"):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)), jnp.zeros((1, 18, 16, 3)))


def ttsr_names():
    """The names of a checkpoint with one residual block in each chain, and the shapes at width n of 4."""
    n = 4
    shapes = {"SFE.conv_head": (n, 3, 3), "conv11_head": (n, n + 16, 3), "conv12": (4 * n, n, 3)}
    shapes |= {"conv22_head": (n, n + 8, 3), "conv23": (4 * n, n, 3), "conv33_head": (n, n + 4, 3)}
    for chain in ("SFE.RBs", "RB11", "RB21", "RB22", "RB31", "RB32", "RB33"):
        shapes |= {f"{chain}.0.conv{k}": (n, n, 3) for k in (1, 2)}
    for tail in ("SFE.conv_tail", *(f"conv{k}_tail" for k in (11, 21, 22, 31, 32, 33))):
        shapes[tail] = (n, n, 3)
    for exchange, ups, downs, scales in (
        ("ex12", (12,), ("21",), 2),
        ("ex123", (12, 13, 23), ("21", "31_1", "31_2", "32"), 3),
    ):
        shapes |= {f"{exchange}.conv{k}": (n, n, 1) for k in ups} | {f"{exchange}.conv{k}": (n, n, 3) for k in downs}
        shapes |= {f"{exchange}.conv_merge{k + 1}": (n, scales * n, 3) for k in range(scales)}
    shapes |= {"merge_tail.conv13": (n, n, 1), "merge_tail.conv23": (n, n, 1), "merge_tail.conv_merge": (n, 3 * n, 3)}
    shapes |= {"merge_tail.conv_tail1": (n // 2, n, 3), "merge_tail.conv_tail2": (3, n // 2, 1)}
    shapes = {f"MainNet.{name}": shape for name, shape in shapes.items()}
    vgg = {"slice1.0": (4, 3, 3), "slice2.2": (4, 4, 3), "slice2.5": (8, 4, 3), "slice3.7": (8, 8, 3)}
    vgg |= {"slice3.10": (16, 8, 3), "sub_mean": (3, 3, 1)}
    return shapes | {f"{part}.{name}": shape for part in ("LTE", "LTE_copy") for name, shape in vgg.items()}


def test_ttsrs_checkpoint_is_used_up():
    arrays = {}
    for name, (out, into, side) in ttsr_names().items():
        arrays[f"{name}.weight"], arrays[f"{name}.bias"] = np.zeros((out, into, side, side)), np.zeros(out)
    params = weights.convert("ttsr", arrays, **TTSR)
    assert len(flatten(params)) == len([name for name in arrays if not name.startswith("LTE_copy")])
    assert our_name("MainNet.ex123.conv31_2.weight") == "main/exchange3/from3_to1_1/kernel"
    for wrong in ("MainNet.ex12.conv31.weight", "LTE.slice1.1.weight", "Net.conv12.bias", "MainNet.conv12.gamma"):
        assert our_name(wrong) is None


# ----------------------------------------------------------------------------------------------------------------- DCSR
def test_dcsrs_parameters():
    assert count("dcsr") == 3_193_384
    # Table 5.5 prints 5.419 M; a third level of what is described is this much.
    assert count("dcsr", scale=4) == 4_274_571
    with pytest.raises(InputError, match="no converter for 'dcsr'"):
        weights.convert("dcsr", {})


@pytest.mark.parametrize(
    ("options", "size", "reference", "matched"),
    [
        ({}, (6, 5), (8, 12), (6, 5)),
        ({"mode": "hd"}, (8, 6), (8, 12), (4, 3)),
        ({"scale": 4}, (6, 5), (16, 8), (6, 5)),
        ({"scale": 4, "mode": "hd"}, (8, 6), (16, 8), (4, 3)),
    ],
)
def test_dcsrs_shapes(options, size, reference, matched):
    model = models.create("dcsr", **DCSR, **options)
    frames = [jax.ShapeDtypeStruct((2, *s, 3), jnp.float32) for s in (size, reference)]
    outputs = jax.eval_shape(model.apply, parameter_shapes("dcsr", {**DCSR, **options}), *frames)
    scale = options.get("scale", 2)
    assert outputs["image"].shape == outputs["details"].shape == (2, scale * size[0], scale * size[1], 3)
    assert outputs["confidence"].shape == (2, *size, 1)
    assert outputs["index"].shape == (2, *matched)


def test_dcsr_brings_details_where_they_belong():
    """An input that is the reference, averaged: with affine maps that do next to nothing its details are the
    reference's. All parameters learn."""
    rng = np.random.default_rng(6)
    ref = rng.random((1, 16, 20, 3), np.float32)
    lr = ref.reshape(1, 8, 2, 10, 2, 3).mean((2, 4))
    model, params = models.create("dcsr", **DCSR), random_params("dcsr", DCSR)
    layers = params["params"]
    for part in ("affine_details", "affine_2x"):
        layers[part]["conv_out"] = jax.tree.map(lambda x: np.float32(1e-7) * x, layers[part]["conv_out"])
    gradients, outputs = jax.jit(lambda p: jax.grad(squares, has_aux=True)(p, model, lr, ref))(params)
    for name, gradient in flatten(gradients["params"]).items():
        assert np.any(gradient) != name.startswith("matcher/normalisation"), name
    np.testing.assert_array_equal(outputs["index"], np.arange(80).reshape(1, 8, 10))
    np.testing.assert_allclose(outputs["confidence"], 1, atol=1e-5)
    found = np.asarray(outputs["details"])
    # What the details lack is what PyTorch's bicubic makes of the averages.
    expected = ref - np.asarray(jax.jit(lambda x: upsampled(x))(lr))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def upsampled(x):
    """Bicubic x2, half-pixel centres, edge repeated, in NumPy's terms."""
    for axis in (1, 2):
        n = x.shape[axis]
        matrix = np.zeros((2 * n, n), np.float32)
        for i in range(2 * n):
            position = (i + 0.5) / 2 - 0.5
            for k in range(int(np.floor(position)) - 1, int(np.floor(position)) + 3):
                matrix[i, min(max(k, 0), n - 1)] += keys_kernel(position - k)
        x = jnp.moveaxis(jnp.tensordot(matrix, x, (1, axis), precision="highest"), 0, axis)
    return x


@pytest.mark.parametrize(
    ("options", "size", "message"),
    [
        ({"scale": 3}, (8, 8), "dcsr: scale=3 is none of 2, 4"),
        ({"mode": "8k"}, (8, 8), "dcsr: mode='8k' is none of downsampled, hd"),
        ({"mode": "hd"}, (8, 7), "dcsr: 8x7 is not a multiple of 2"),
    ],
)
def test_dcsrs_options_and_sizes_are_checked(options, size, message):
    model = models.create("dcsr", **DCSR, **options)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *size, 3)), jnp.zeros((1, 16, 16, 3)))
