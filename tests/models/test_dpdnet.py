"""models/dpdnet: the U-Net as NumPy has it, Keras's padding and names, parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

import restore_jax as rj
from restore_jax import models, weights
from restore_jax.errors import InputError
from restore_jax.weights.building import parameter_shapes

WIDTH = 2


def keras_arrays(views=1, first=1):
    """A Keras file of a network of width 2: convolutions numbered from `first` on, in the order they are made."""
    rng = np.random.default_rng(0)
    shapes, channels = [], 3 * views
    for level in range(5):
        for _ in range(2):
            shapes.append((3, channels, WIDTH << level))
            channels = WIDTH << level
    for _ in range(4):
        shapes += [(2, channels, channels // 2), (3, channels, channels // 2), (3, channels // 2, channels // 2)]
        channels //= 2
    shapes += [(3, channels, 3), (1, 3, 3)]
    arrays = {}
    for n, (side, into, out) in enumerate(shapes, start=first):
        layer = f"conv2d_{n}" if n else "conv2d"
        kernel = rng.normal(0, np.sqrt(2 / (side * side * into)), (side, side, into, out))
        arrays[f"model_weights/{layer}/{layer}/kernel:0"] = kernel.astype(np.float32)
        arrays[f"model_weights/{layer}/{layer}/bias:0"] = rng.normal(0, 0.1, out).astype(np.float32)
    return arrays


def same_convolution(x, kernel, bias):
    """(h, w, c); SAME as TensorFlow pads: an even kernel's extra zero at the end."""
    before, after = (kernel.shape[0] - 1) // 2, kernel.shape[0] // 2
    x = np.pad(x, ((before, after), (before, after), (0, 0)))
    kernel = kernel.astype(np.float64)
    return np.stack([correlate(x, kernel[..., n], "valid", "direct")[..., 0] for n in range(len(bias))], -1) + bias


def oracle(x, arrays):
    kernels, biases = ([a for name, a in arrays.items() if name.endswith(kind)] for kind in ("kernel:0", "bias:0"))
    layers = iter(zip(kernels, biases, strict=True))

    def conv(x):
        return np.maximum(same_convolution(x, *next(layers)), 0)

    x, skips = x.astype(np.float64), []
    for level in range(5):
        if level:
            h, w, c = x.shape
            x = x.reshape(h // 2, 2, w // 2, 2, c).max((1, 3))
        x = conv(conv(x))
        skips.append(x)
    features = x
    for level in (3, 2, 1, 0):
        up = conv(x.repeat(2, 0).repeat(2, 1))
        x = conv(conv(np.concatenate([skips[level], up], -1)))
    x = same_convolution(conv(x), *next(layers))
    return 1 / (1 + np.exp(-x)), features


@pytest.mark.parametrize(("kind", "first"), [("single", 1), ("dual", 0)])
def test_the_network_is_kerass(kind, first):
    arrays = keras_arrays(2 if kind == "dual" else 1, first)
    state = {"optimizer_weights/Adam/conv2d_1/kernel/m:0": np.zeros(3, np.float32)}
    params = weights.convert("dpdnet", {**arrays, **state}, width=WIDTH, input=kind)
    views = np.random.default_rng(1).random((2 if kind == "dual" else 1, 32, 48, 3), np.float32)
    model = models.create("dpdnet", width=WIDTH, input=kind)
    outputs = jax.jit(model.apply)(params, *(view[None] for view in views))
    image, features = oracle(np.concatenate(list(views), -1), arrays)
    np.testing.assert_allclose(outputs["features"][0], features, atol=1e-4)
    np.testing.assert_allclose(outputs["image"][0], image, atol=1e-5)
    assert image.std() > 0.01
    # As a person calls it: the picture is mirrored to a size that is compiled.
    names = dict(zip(("left", "right"), views, strict=True)) if kind == "dual" else {}
    restored = rj.deblur(views[0], weights=weights.Restorer("ours", model, params, {}), **names)
    padded = [np.pad(view, ((0, 32), (0, 16), (0, 0)), "reflect") for view in views]
    expected, _ = oracle(np.concatenate(padded, -1), arrays)
    np.testing.assert_allclose(restored, expected[:32, :48], atol=1e-5)


@pytest.mark.parametrize(("kind", "parameters"), [("single", 31_033_423), ("dual", 31_035_151)])
def test_parameter_counts(kind, parameters):
    assert sum(leaf.size for leaf in jax.tree.leaves(parameter_shapes("dpdnet", {"input": kind}))) == parameters


def test_dropout_is_for_training():
    model = models.create("dpdnet", width=WIDTH)
    params = weights.convert("dpdnet", keras_arrays(), width=WIDTH)
    image = np.random.default_rng(2).random((1, 32, 32, 3), np.float32)
    train = jax.jit(lambda key: model.apply(params, image, train=True, rngs={"dropout": key})["features"])
    a, b = (np.asarray(train(jax.random.key(n))) for n in (0, 1))
    assert (a != b).any()
    still = np.asarray(jax.jit(model.apply)(params, image)["features"])
    # Of the coarsest level's own features 40 % are zeroed, besides what ReLU does.
    assert (a == 0).mean() > (still == 0).mean() + 0.1


def test_a_keras_file_is_read(tmp_path):
    h5py = pytest.importorskip("h5py", reason="only needed to read Keras files")
    arrays, path = keras_arrays(), tmp_path / "dpdnet.hdf5"
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
        file["optimizer_weights/iterations"] = np.int64(3)
    found = weights.read_published(path)
    assert found.keys() == arrays.keys()
    jax.tree.map(
        np.testing.assert_array_equal,
        weights.convert("dpdnet", found, width=WIDTH),
        weights.convert("dpdnet", arrays, width=WIDTH),
    )
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"dpdnet.hdf5: not a readable HDF5 file"):
        weights.read_published(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_weights/conv2d_3/conv2d_3/bias:0": None}, "lacks the parameter for 'down2_conv1/bias'"),
        ({"model_weights/dense/dense/kernel:0": np.zeros(3)}, "'model_weights/dense/dense/kernel:0' that this"),
        ({"conv2d_99/kernel:0": np.zeros(3)}, "has a parameter 'conv2d_24/kernel' that this network does not know"),
    ],
)
def test_files_that_do_not_fit_are_refused(change, message):
    arrays = {name: array for name, array in (keras_arrays() | change).items() if array is not None}
    with pytest.raises(InputError, match=message):
        weights.convert("dpdnet", arrays, width=WIDTH)


def test_bad_sizes_and_options_are_refused():
    image = jnp.zeros((1, 32, 24, 3))
    for options, message in (
        ({}, "dpdnet: 32x24 is not a multiple of 16"),
        ({"input": "triple"}, "dpdnet: input='triple' is none of single, dual"),
    ):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(models.create("dpdnet", **options).init, jax.random.key(0), image)
    model = models.create("dpdnet", input="dual")
    with pytest.raises(ValueError, match="needs the left and the right view"):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
