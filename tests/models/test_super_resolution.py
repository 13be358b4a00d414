"""models/srcnn, srresnet, rcan: golden, formulas in NumPy and SciPy, parameters, published names."""

import json

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

from restore_jax import models, weights
from restore_jax.errors import InputError
from restore_jax.models.rcan import ChannelAttention
from restore_jax.ops.imresize import imresize
from restore_jax.weights.building import parameter_shapes
from restore_jax.weights.converters.rcan import our_name
from restore_jax.weights.tree import flatten
from tests.places import GOLDEN

RCAN = {"num_feat": 16, "num_groups": 2, "num_blocks": 2, "reduction": 4}
SMALL = {"srcnn": {"widths": (6, 4)}, "srresnet": {"num_feat": 4, "num_blocks": 2}, "rcan": {**RCAN, "num_feat": 8}}


def random_params(name, options, seed=0):
    """Draw parameters as large as trained ones; statistics of batch normalisation are positive."""
    rng = np.random.default_rng(seed)

    def draw(path, x):
        if "var" in path or "scale" in path:
            return rng.uniform(0.5, 2, x.shape).astype(np.float32)
        return rng.normal(0, 1 / np.sqrt(max(np.prod(x.shape[:-1]), 8)), x.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(
        lambda path, x: draw(jax.tree_util.keystr(path), x), parameter_shapes(name, options)
    )


def convolved(x, layer):
    """(h, w, c) through a convolution with zero padding, in float64."""
    kernel = np.asarray(layer["kernel"], np.float64)
    margin = kernel.shape[0] // 2
    x = np.pad(x, ((margin, margin), (margin, margin), (0, 0)))
    planes = [correlate(x, kernel[..., n], "valid", "direct")[..., 0] for n in range(kernel.shape[-1])]
    return np.stack(planes, -1) + layer["bias"]


def shuffled(x):
    """Pixel shuffle by 2, channel by channel."""
    h, w, c = x.shape
    out = np.zeros((2 * h, 2 * w, c // 4))
    for n in range(c // 4):
        for dy in range(2):
            for dx in range(2):
                out[dy::2, dx::2, n] = x[..., 4 * n + 2 * dy + dx]
    return out


@pytest.fixture
def picture():
    return np.random.default_rng(5).random((6, 7, 3), np.float32)


# ---------------------------------------------------------------------------------------------------------------- RCAN
def test_rcan_is_the_published_network(golden):
    params = weights.convert("rcan", golden("rcan_weights"), **RCAN)
    arrays = golden("rcan_golden")
    outputs = jax.jit(lambda p, x: models.create("rcan", **RCAN).apply(p, x, train=True))(
        params, np.moveaxis(arrays["lr"], 1, -1)
    )
    np.testing.assert_allclose(outputs["image"], np.moveaxis(arrays["sr"], 1, -1), atol=1e-5)
    assert outputs["features"].shape == (1, 24, 28, 16)


def test_rcans_parameters_are_the_published_ones():
    path = GOLDEN / "rcan_manifest.json"
    published = {our_name(k): tuple(v) for k, v in json.loads(path.read_text()).items()}
    ours = {k: v.shape for k, v in flatten(parameter_shapes("rcan", {})["params"]).items()}
    assert published == {k: tuple(v[n] for n in (3, 2, 0, 1)) if len(v) == 4 else v for k, v in ours.items()}
    for wrong in ("body.0.residual_group.0.rcab.1.weight", "conv_first.gamma", "upsample.1.bias", "conv_last"):
        assert our_name(wrong) is None


def test_channel_attention_is_its_formula():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 6, 8)).astype(np.float32)
    layer = ChannelAttention(8, 4)
    params = jax.tree.map(
        lambda p: rng.normal(size=p.shape).astype(np.float32), jax.eval_shape(layer.init, jax.random.key(0), x)
    )
    squeeze, excite = (params["params"][name] for name in ("squeeze", "excite"))
    hidden = np.maximum(x.mean((1, 2)) @ squeeze["kernel"][0, 0] + squeeze["bias"], 0)
    weight = 1 / (1 + np.exp(-(hidden @ excite["kernel"][0, 0] + excite["bias"])))
    np.testing.assert_allclose(layer.apply(params, x), x * weight[:, None, None], atol=1e-5)


# ------------------------------------------------------------------------------------------------------ SRCNN, SRResNet
def test_srcnn_is_three_convolutions_of_the_bicubic(picture):
    params = random_params("srcnn", SMALL["srcnn"])
    outputs = jax.jit(lambda p, x: models.create("srcnn", **SMALL["srcnn"]).apply(p, x, train=True))(
        params, picture[None]
    )
    x = imresize(picture.astype(np.float64), 4)
    np.testing.assert_allclose(outputs["upsampled"][0], x, atol=1e-5)
    layers = params["params"]
    x = np.maximum(convolved(x, layers["patches"]), 0)
    x = np.maximum(convolved(x, layers["mapping"]), 0)
    np.testing.assert_allclose(outputs["image"][0], convolved(x, layers["reconstruction"]), atol=1e-5)


def test_srresnet_is_its_formula(picture):
    params = random_params("srresnet", SMALL["srresnet"])
    outputs = jax.jit(models.create("srresnet", **SMALL["srresnet"]).apply)(params, picture[None])
    layers, statistics = params["params"]["generator"], params["batch_stats"]["generator"]

    def normalised(x, name):
        norm, moved = layers[f"{name}_norm"], statistics[f"{name}_norm"]
        x = (convolved(x, layers[name]) - moved["mean"]) / np.sqrt(moved["var"] + 1e-5)
        return x * norm["scale"] + norm["bias"]

    def prelu(x, name):
        return np.where(x > 0, x, layers[name]["negative_slope"] * x)

    x = skip = prelu(convolved(picture.astype(np.float64), layers["conv_in"]), "relu_in")
    for n in range(2):
        x = x + normalised(prelu(normalised(x, f"conv_{n}_0"), f"relu_{n}"), f"conv_{n}_1")
    x = skip + normalised(x, "conv_mid")
    np.testing.assert_allclose(outputs["features"][0], x, atol=1e-4)
    for n in range(2):
        x = prelu(shuffled(convolved(x, layers[f"up_{n}"])), f"relu_up_{n}")
    expected = np.clip(convolved(x, layers["conv_out"]), 0, 1)
    np.testing.assert_allclose(outputs["image"][0], expected, atol=1e-4)
    assert expected.std() > 0.1


def test_srresnet_trains_on_statistics_of_the_batch():
    model = models.create("srresnet", num_feat=4, num_blocks=1, critic=True)
    params = random_params("srresnet", {"num_feat": 4, "num_blocks": 1, "critic": True})
    rng = np.random.default_rng(1)
    lr, hr = rng.random((3, 8, 8, 3), np.float32), rng.random((3, 32, 32, 3), np.float32)

    @jax.jit
    def both(params, lr, hr):
        outputs, moved = model.apply(params, lr, train=True, mutable=["batch_stats"])
        logits, judged = model.apply(params, hr, train=True, mutable=["batch_stats"], method="judge")
        return outputs["image"], moved["batch_stats"], logits, judged["batch_stats"]

    image, moved, logits, judged = both(params, lr, hr)
    assert image.shape == (3, 32, 32, 3)
    assert logits.shape == (3,)
    before = params["batch_stats"]
    jax.tree.map(np.testing.assert_array_equal, moved["discriminator"], before["discriminator"])
    jax.tree.map(np.testing.assert_array_equal, judged["generator"], before["generator"])
    for old, new in zip(jax.tree.leaves(before["generator"]), jax.tree.leaves(moved["generator"]), strict=True):
        assert (np.asarray(old) != new).all()
    # Any crop will do.
    assert jax.eval_shape(lambda p, x: model.apply(p, x, method="judge"), params, hr[:, :24, :20]).shape == (3,)


# ----------------------------------------------------------------------------------------------------------------- all
@pytest.mark.parametrize(
    ("name", "parameters"),
    [("srcnn", 20_099), ("srresnet", 734_219), ("rcan", 15_592_355)],  # Table 5.5 prints 0.734 M for SRGAN
)
def test_parameter_counts(name, parameters):
    assert sum(leaf.size for leaf in jax.tree.leaves(parameter_shapes(name, {})["params"])) == parameters


@pytest.mark.parametrize("name", list(SMALL))
def test_scales_dtypes_and_clipping(name, picture):
    options = {**SMALL[name], "scale": 2}
    params = random_params(name, options)
    for dtype in (jnp.float32, jnp.bfloat16):
        model = models.create(name, **options, dtype=dtype)
        image = jax.eval_shape(model.apply, params, picture[None])["image"]
        assert (image.shape, image.dtype) == ((1, 12, 14, 3), jnp.float32)
    model = models.create(name, **options)
    large = jax.tree.map(lambda x: 3 * x, params)
    clipped = jax.jit(model.apply)(large, picture[None])["image"]
    assert (float(clipped.min()), float(clipped.max())) == (0.0, 1.0)


@pytest.mark.parametrize("name", ["srresnet", "rcan"])
def test_scales_that_there_are_not(name):
    with pytest.raises(ValueError, match=f"{name}: scale=3 is none of 2, 4"):
        parameter_shapes(name, {"scale": 3})


def test_networks_without_published_names_say_so():
    with pytest.raises(InputError, match="no converter for 'srresnet': names of published parameters are not"):
        weights.convert("srresnet", {})


def test_srcnn_of_mmagic(picture):
    """Its names, and its own enlargement: OpenCV's cubic interpolation has the same a = -.75 and repeated edges."""
    rng, shapes = np.random.default_rng(0), {"conv1": (6, 3, 9, 9), "conv2": (4, 6, 1, 1), "conv3": (3, 4, 5, 5)}
    arrays = {f"generator.{name}.weight": rng.normal(size=shape).astype("f") for name, shape in shapes.items()}
    arrays |= {f"generator.{name}.bias": rng.normal(size=shape[0]).astype("f") for name, shape in shapes.items()}
    options = {"widths": (6, 4), "upsampling": "pytorch"}
    params = weights.convert("srcnn", arrays, **options)
    for name, ours in (("conv1", "patches"), ("conv2", "mapping"), ("conv3", "reconstruction")):
        layer = params["params"][ours]
        np.testing.assert_array_equal(layer["kernel"], arrays[f"generator.{name}.weight"].transpose(2, 3, 1, 0))
        np.testing.assert_array_equal(layer["bias"], arrays[f"generator.{name}.bias"])
    upsampled = jax.jit(models.create("srcnn", **options).apply)(params, picture[None])["upsampled"][0]
    expected = cv2.resize(picture, (28, 24), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(upsampled, expected, atol=2e-6)
    with pytest.raises(ValueError, match="srcnn: upsampling='best' is none of matlab, pytorch"):
        parameter_shapes("srcnn", {"upsampling": "best"})
