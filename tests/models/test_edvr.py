"""models/edvr: the golden, gradients, parts, options, parameters, published names of both libraries."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax import models, weights
from restore_jax.errors import InputError
from restore_jax.models.edvr import EDVR
from restore_jax.models.edvr_alignment import DeformableConv
from restore_jax.weights.building import parameter_shapes
from restore_jax.weights.converters.edvr import our_name
from restore_jax.weights.tree import flatten
from tests.goldens import channels_last
from tests.mmagic_names import edvr_in_mmagic
from tests.places import GOLDEN
from tests.random_weights import by_size, drawn

SMALL = {"num_feat": 16, "num_frames": 5, "num_extract_blocks": 2, "num_reconstruct_blocks": 2}
SIZES = {
    "edvr_m_7frames": ({"num_feat": 64, "num_frames": 7, "num_reconstruct_blocks": 10}, 3_316_515),
    "edvr_l_5frames": ({}, 20_633_827),
}


@functools.cache
def load():
    golden, published = (dict(np.load(GOLDEN / f"edvr_{kind}.npz")) for kind in ("golden", "weights"))
    return channels_last(golden["lrs"]), channels_last(golden["sr"]), weights.convert("edvr", published, **SMALL)


def test_the_published_network():
    frames, expected, params = load()
    outputs = jax.jit(models.create("edvr", **SMALL).apply)(params, frames)
    np.testing.assert_allclose(outputs["image"], expected, atol=1e-5)
    assert outputs["image"].dtype == jnp.float32
    assert outputs["offset"].shape == (1, 5)
    assert np.all(outputs["offset"] > 0)


def test_a_stream_by_parts_is_the_network():
    """A frame's pyramid is computed once, whatever windows it is in."""
    frames, expected, params = load()
    extractor = models.create("edvr", **SMALL).bind(params).extractor.clone(parent=None)
    variables = {"params": params["params"]["extractor"]}

    def part(function):
        return jax.jit(functools.partial(extractor.apply, variables, method=function))

    pyramid, align = part(lambda self, x: self.pyramid(x)), part(lambda self, x, y: self.align(x, y)[0])
    pyramids = [pyramid(frames[:, n]) for n in range(5)]
    aligned = jnp.stack([align(x, pyramids[2]) for x in pyramids], 1)
    features = part("fuse")(aligned)
    image = models.create("edvr", **SMALL).apply(params, features, frames[:, 2], method="reconstruct")
    np.testing.assert_allclose(image, expected, atol=1e-5)


def test_every_parameter_has_a_gradient():
    """With remat on."""
    frames = load()[0][:, :3, :8, :8]
    options = {**SMALL, "num_feat": 8, "num_frames": 3, "num_extract_blocks": 1, "num_reconstruct_blocks": 1}
    model = models.create("edvr", **options, remat=True)
    random = drawn(parameter_shapes("edvr", options), by_size)
    gradient = jax.jit(jax.grad(lambda p: jnp.mean(model.apply(p, frames, train=True)["image"] ** 2)))(random)
    for name, value in flatten(gradient["params"]).items():
        assert np.any(value), name


def test_without_attention():
    frames = load()[0][:, :3, :8, :8]
    options = {**SMALL, "num_frames": 3, "with_tsa": False}
    shapes = flatten(parameter_shapes("edvr", options)["params"])
    assert [k for k in shapes if "fusion" in k] == ["extractor/fusion/bias", "extractor/fusion/kernel"]
    assert shapes["extractor/fusion/kernel"].shape == (1, 1, 48, 16)
    model = models.create("edvr", **options)
    outputs = jax.eval_shape(model.apply, parameter_shapes("edvr", options), frames)
    assert outputs["image"].shape == (1, 32, 32, 3)
    assert our_name("fusion.weight") == "extractor/fusion/kernel"


def test_fresh_alignment_moves_nothing():
    """Offsets start at zero and masks at a half: half a plain convolution."""
    layer = DeformableConv(4, groups=2)
    x, guide = (jnp.asarray(np.random.default_rng(n).random((1, 5, 6, 8), np.float32)) for n in (0, 1))
    params = layer.init(jax.random.key(0), x, guide)
    y, moved = layer.apply(params, x, guide)
    plain = jax.lax.conv_general_dilated(
        x, params["params"]["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(y, plain / 2, atol=1e-5)
    assert moved.tolist() == [0]


def test_the_hook_sees_fused_features_and_their_frame():
    frames, _, params = load()
    frame, features = frames[:, 2, :8, :8], jnp.ones((1, 8, 8, 16))
    seen = []

    class Remembering(EDVR):
        def fused(self, features, frame):
            seen.append((features, frame))
            return 0 * features

    ours = Remembering(**SMALL).apply(params, features, frame, method="reconstruct")
    assert seen[0][0] is features
    assert seen[0][1] is frame
    plain = models.create("edvr", **SMALL).apply(params, 0 * features, frame, method="reconstruct")
    np.testing.assert_allclose(ours, plain, atol=1e-6)


@pytest.mark.parametrize("manifest", list(SIZES))
def test_parameters_are_the_published_ones(manifest):
    options, count = SIZES[manifest]
    path = GOLDEN / f"{manifest}_manifest.json"
    published = {our_name(k): tuple(v) for k, v in json.loads(path.read_text()).items()}
    shapes = {k: v.shape for k, v in flatten(parameter_shapes("edvr", options)["params"]).items()}
    assert published == {k: tuple(v[n] for n in (3, 2, 0, 1)) if len(v) == 4 else v for k, v in shapes.items()}
    assert sum(int(np.prod(v)) for v in shapes.values()) == count


def test_both_libraries_names():
    published = dict(np.load(GOLDEN / "edvr_weights.npz"))
    renamed = {edvr_in_mmagic(name): array for name, array in published.items()}
    assert "generator.pcd_alignment.offset_conv2.l3.conv.weight" in renamed
    assert "generator.fusion.spatial_attn_add1.conv.bias" in renamed
    assert "generator.feat_l2_conv1.conv.weight" in renamed
    assert len(set(renamed) & set(published)) == 0
    converted = weights.convert("edvr", renamed | {"step_counter": np.zeros(1)}, **SMALL)
    jax.tree.map(np.testing.assert_array_equal, converted, load()[2])
    for wrong in ("pcd_align.dcn_pack.l4.weight", "fusion.spatial_attn6.weight", "conv_first.gamma", "conv_l4_1.bias"):
        assert our_name(wrong) is None
    with pytest.raises(InputError, match=r"a parameter 'conv_1x1\.weight' that this network does not know"):
        weights.convert("edvr", published | {"conv_1x1.weight": np.zeros((1, 1))}, **SMALL)


def test_sizes_are_checked():
    model = models.create("edvr", **SMALL)
    for shape, message in (((1, 4, 8, 8, 3), "edvr: 4 frames; this network sees 5"), ((1, 5, 8, 10, 3), "8x10")):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(shape))
