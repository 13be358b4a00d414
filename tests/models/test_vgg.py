"""models/vgg against the same formula in NumPy and SciPy (float64); weights under both published sets of names."""

import pickle
import re

import jax
import numpy as np
import pytest
from scipy.signal import correlate

from restore_jax import models, weights
from restore_jax.errors import InputError
from restore_jax.models.vgg import LAYERS, VGG19, caffe_input, imagenet_input
from restore_jax.weights import vgg19
from restore_jax.weights.building import parameter_shapes
from restore_jax.weights.vgg19 import for_input, load_for

# Layer, its place in torchvision's `features`, published width.
CONVOLUTIONS = (
    *(("1_1", 0, 64), ("1_2", 2, 64), ("2_1", 5, 128), ("2_2", 7, 128)),
    *(("3_1", 10, 256), ("3_2", 12, 256), ("3_3", 14, 256), ("3_4", 16, 256)),
    *(("4_1", 19, 512), ("4_2", 21, 512), ("4_3", 23, 512), ("4_4", 25, 512)),
    *(("5_1", 28, 512), ("5_2", 30, 512), ("5_3", 32, 512), ("5_4", 34, 512)),
)


def published(divisor=16, names="torchvision"):
    """Random arrays under the names and in the layout of torchvision, or of vgg19.npy."""
    rng = np.random.default_rng(0)
    arrays, channels = {}, 3
    for layer, place, width in CONVOLUTIONS:
        width //= divisor
        kernel = rng.normal(0, np.sqrt(2 / (9 * channels)), (width, channels, 3, 3)).astype(np.float32)
        bias = rng.normal(0, 0.2, width).astype(np.float32)
        if names == "torchvision":
            arrays |= {f"features.{place}.weight": kernel, f"features.{place}.bias": bias}
        else:
            arrays |= {f"conv{layer}/W": kernel.transpose(2, 3, 1, 0), f"conv{layer}/b": bias}
        channels = width
    return arrays


def oracle(x, arrays, padding):
    """All layers of one picture (h, w, 3) as {layer: (h', w', c)}."""
    features, block = {}, "1"
    x = x.astype(np.float64)
    for layer, place, _ in (*CONVOLUTIONS, ("6_1", None, None)):
        if layer[0] != block:
            h, w = (n // 2 for n in x.shape[:2])
            x = x[: 2 * h, : 2 * w].reshape(h, 2, w, 2, -1).max((1, 3))
            features[f"pool{block}"] = x
            block = layer[0]
        if place is None:
            return features
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), padding)
        kernels = arrays[f"features.{place}.weight"].transpose(0, 2, 3, 1).astype(np.float64)
        planes = [correlate(padded, k, "valid", "direct")[..., 0] for k in kernels]
        x = np.stack(planes, -1) + arrays[f"features.{place}.bias"]
        features[f"conv{layer}"] = x
        x = np.maximum(x, 0)
        features[f"relu{layer}"] = x


@pytest.mark.parametrize(("padding", "numpys_name"), [("zero", "constant"), ("symmetric", "symmetric")])
def test_every_layer_equals_the_formula(padding, numpys_name):
    arrays = published()
    picture = np.random.default_rng(1).normal(0, 1, (37, 48, 3)).astype(np.float32)
    model = models.create("vgg19", last="pool5", width_divisor=16, padding=padding)
    params = weights.convert("vgg19", arrays, last="pool5", width_divisor=16)
    found = jax.jit(model.apply)(params, picture[None])
    expected = oracle(picture, arrays, numpys_name)
    assert sorted(found) == sorted(expected) == sorted(LAYERS)
    for layer in LAYERS:
        np.testing.assert_allclose(found[layer][0], expected[layer], atol=2e-5, err_msg=layer)


@pytest.mark.parametrize("last", ["conv1_1", "relu2_1", "conv4_4", "pool4"])
def test_a_network_ends_where_it_is_told(last):
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    model, shapes = VGG19(last), parameter_shapes("vgg19", {"last": last})
    features = jax.eval_shape(model.apply, shapes, image)
    assert sorted(features) == sorted(LAYERS[: LAYERS.index(last) + 1])
    assert set(shapes["params"]) == {layer for layer in features if layer.startswith("conv")}


def test_parameters_are_the_published_ones():
    shapes = parameter_shapes("vgg19", {})["params"]
    assert {layer: leaf["kernel"].shape[-1] for layer, leaf in shapes.items()} == {
        f"conv{layer}": width for layer, _, width in CONVOLUTIONS
    }
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 20_024_384


def test_both_sets_of_names_give_the_same_parameters():
    classifier = {"classifier.0.weight": np.zeros((4096, 8)), "classifier.6.bias": np.zeros(1000)}
    ours = weights.convert("vgg19", {**published(), **classifier}, width_divisor=16)
    fc = {"fc6/W": np.zeros((8, 4096)), "fc8/b": np.zeros(1000)}
    theirs = weights.convert("vgg19", {**published(names="vgg19.npy"), **fc}, width_divisor=16)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    shorter = weights.convert("vgg19", published(), width_divisor=16, last="relu2_1")
    assert sorted(shorter["params"]) == ["conv1_1", "conv1_2", "conv2_1"]


def test_inputs():
    image = np.array([0.2, 0.5, 1.0], np.float32).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(caffe_input(image).ravel(), [255 - 103.939, 127.5 - 116.779, 51 - 123.68], rtol=1e-6)
    expected = [(0.2 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    np.testing.assert_allclose(imagenet_input(image).ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize("trained", ["caffe", "imagenet"])
def test_weights_can_take_the_others_input(trained):
    inputs = {"caffe": caffe_input, "imagenet": imagenet_input}
    wanted = next(name for name in inputs if name != trained)
    params = weights.convert("vgg19", published(), width_divisor=16, last="relu1_2")["params"]
    model = VGG19("relu1_2", 16, "symmetric")
    image = np.random.default_rng(2).random((1, 12, 10, 3), np.float32)
    expected = model.apply({"params": params}, inputs[trained](image))["relu1_2"]
    found = model.apply({"params": for_input(wanted, trained, params)}, inputs[wanted](image))["relu1_2"]
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5 * expected.max())
    assert expected.max() > 1


@pytest.mark.parametrize(("suffix", "trained"), [("npz", "imagenet"), ("npy", "caffe")])
def test_a_converted_file_says_its_input_and_is_taken_for_either(tmp_path, monkeypatch, suffix, trained):
    """torchvision's names mean imagenet's input, those of vgg19.npy Caffe's."""
    arrays = published(names="torchvision" if suffix == "npz" else "vgg19.npy")
    file, out = tmp_path / f"vgg19.{suffix}", tmp_path / "vgg19.safetensors"
    if suffix == "npz":
        np.savez(file, **arrays)
    else:
        layers = {name.split("/")[0] for name in arrays}
        save_npy(file, {layer: [arrays[f"{layer}/W"], arrays[f"{layer}/b"]] for layer in layers})
    weights.convert_files("vgg19", [file], out, width_divisor=16)
    assert weights.card(str(out))["input"] == trained
    # The files hold a narrow network; those that training takes are whole.
    into = vgg19.load_into
    monkeypatch.setattr(vgg19, "load_into", lambda file, model, options: into(file, model, {"width_divisor": 16}))
    stored = into(out, "vgg19", {"width_divisor": 16})["params"]
    for wanted in ("caffe", "imagenet"):
        expected = stored if wanted == trained else for_input(wanted, trained, stored)
        jax.tree.map(np.testing.assert_array_equal, load_for(wanted, out), expected)


def test_a_file_that_does_not_say_is_taken_as_it_is(tmp_path, monkeypatch):
    params = weights.convert("vgg19", published(), width_divisor=16)
    monkeypatch.setattr(vgg19, "load_into", lambda *_: params)
    for number, (said, message) in enumerate([({}, None), ({"input": "yuv"}, "'yuv', which is neither caffe nor")]):
        file = tmp_path / f"{number}.safetensors"
        weights.save(file, params, "vgg19", {"width_divisor": 16}, said)
        if message is None:
            assert load_for("caffe", file) is load_for("imagenet", file) is params["params"]
        else:
            with pytest.raises(InputError, match=f"{number}.safetensors: .*{message}"):
                load_for("caffe", file)


def save_npy(path, content, protocol=2):
    """As NumPy of old wrote it: a 0-d object array, pickled, with the module names of its time."""
    array = np.empty((), object)
    array[()] = content
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(pickle.dumps(array, protocol).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))


@pytest.mark.parametrize("old", [True, False])
def test_vgg19_npy_is_read(tmp_path, old):
    arrays = published(names="vgg19.npy")
    layers = {f"conv{layer}": [arrays[f"conv{layer}/W"], arrays[f"conv{layer}/b"]] for layer, _, _ in CONVOLUTIONS}
    path = tmp_path / "vgg19.npy"
    if old:
        save_npy(path, layers)
    else:
        np.save(path, layers)
    found = weights.read_published(path)
    assert found.keys() == arrays.keys()
    for name in arrays:
        np.testing.assert_array_equal(found[name], arrays[name])


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_an_npy_that_is_none_or_would_run_code_is_refused(tmp_path, capsys):
    path = tmp_path / "vgg19.npy"
    save_npy(path, {"conv1_1": [Evil(), np.zeros(3)]})
    with pytest.raises(InputError, match=r"vgg19.npy: no table of layers like vgg19.npy \(UnpicklingError\)"):
        weights.read_published(path)
    assert capsys.readouterr().out == ""
    np.save(path, np.zeros(3))
    with pytest.raises(InputError, match=r"vgg19.npy: no table of layers"):
        weights.read_published(path)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"vgg19.npy: no table of layers"):
        weights.read_published(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features.5.bias": None}, "lacks the parameter for 'conv2_1/bias'"),
        ({"features.1.weight": np.zeros(3)}, "has a parameter 'features.1.weight' that this network does not know"),
        ({"conv3_5/W": np.zeros(3)}, "has a parameter 'conv3_5/W' that this network does not know"),
        ({"features.2.weight": np.zeros((4, 5, 3, 3))}, "'features.2.weight' has shape (4, 5, 3, 3)"),
    ],
)
def test_files_that_do_not_fit_are_refused(change, message):
    arrays = {name: array for name, array in (published() | change).items() if array is not None}
    with pytest.raises(InputError, match=re.escape(message)):
        weights.convert("vgg19", arrays, width_divisor=16)


def test_bad_options_are_refused():
    image = np.zeros((1, 16, 16, 3), np.float32)
    with pytest.raises(ValueError, match="last='relu6_1' is no layer; they are conv1_1, relu1_1, conv1_2"):
        VGG19("relu6_1").init(jax.random.key(0), image)
    with pytest.raises(ValueError, match="padding='reflect' is none of zero, symmetric"):
        VGG19(padding="reflect").init(jax.random.key(0), image)
