"""models/dmenet and its critics: every golden of the published network, sizes, batch statistics, conversion."""

import json
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import restore_jax as rj
from restore_jax import cli, models, weights
from restore_jax.bench.macs import macs
from restore_jax.errors import InputError
from restore_jax.ops.resize import nearest_align_corners, upsample_nearest
from restore_jax.weights.building import parameter_shapes
from restore_jax.weights.converters.dmenet import our_name
from restore_jax.weights.tree import flatten
from tests.places import GOLDEN

MANIFEST = json.loads((GOLDEN / "dmenet_manifest.json").read_text())
OPTIONS = {"width_divisor": 16, "critics": True}


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def variables(golden, **options):
    options = {**OPTIONS, **options}
    return models.create("dmenet", **options), weights.convert("dmenet", golden("dmenet_weights"), **options)


def test_every_output_is_the_published_networks(golden):
    expected = golden("dmenet_golden")
    model, params = variables(golden)
    found = jax.jit(model.apply)(params, expected["image"])
    found |= {"gan_feat": found["domain_features"], "disc_logits": found["domain_logits"], **found["aux"]}
    for name in ("d0", "d1", "d2", "d3", "d4", "u4", "u3", "u2", "u1", "u0", "gan_feat", "disc_logits", "defocus"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5, err_msg=name)
    assert found["defocus"].dtype == jnp.float32
    calibrated = model.apply(params, found["defocus"], method="calibrate")
    np.testing.assert_allclose(found["sharpness_logits"], calibrated, atol=1e-5)
    discriminated = model.apply(params, found["domain_features"], method="discriminate")
    np.testing.assert_allclose(discriminated, expected["disc_logits"], atol=1e-5)


def test_sharpness_calibration_with_batch_statistics(golden):
    """The golden itself is 7e-5 from the float64 formula, this network 7e-6."""
    expected, arrays = golden("dmenet_golden"), golden("dmenet_weights")
    model, params = variables(golden)
    found, moved = model.apply(
        params, expected["binary_train_input"], train=True, method="calibrate", mutable=["batch_stats"]
    )
    np.testing.assert_allclose(found, expected["binary_train_logits"], atol=1e-4)

    x = expected["binary_train_input"].astype(np.float64)
    for layer in ("l1.{}1", "l1.{}2", "l1.{}3", "l2.{}1", "l2.{}2", "l2.{}3", "l3.{}1", "l3.{}2", "l3.{}3"):
        conv, norm = (f"main_net.binary_net.{layer.format(kind)}." for kind in "cb")
        mean_before, variance_before = arrays[norm + "moving_mean"], arrays[norm + "moving_variance"]
        x = x @ arrays[conv + "W_conv2d"][0, 0] + arrays[conv + "b_conv2d"]
        mean, variance = x.mean((0, 1, 2)), ((x - x.mean((0, 1, 2))) ** 2).mean((0, 1, 2))
        statistics = moved["batch_stats"]["calibration"][f"block{layer[1]}"][f"conv{layer[-1]}"]["norm"]
        np.testing.assert_allclose(statistics["mean"], 0.9 * mean_before + 0.1 * mean, atol=1e-5)
        np.testing.assert_allclose(statistics["var"], 0.9 * variance_before + 0.1 * variance, rtol=1e-5)
        x = (x - mean) / np.sqrt(variance + 1e-5) + arrays[norm + "beta"]
        x = np.where(x > 0, x, 0.2 * x)
    x = x @ arrays["main_net.binary_net.l4.c1.W_conv2d"][0, 0] + arrays["main_net.binary_net.l4.c1.b_conv2d"]
    np.testing.assert_allclose(found, x, atol=2e-5)


def test_training_moves_every_average_and_normalises_by_the_batch(golden):
    image = golden("dmenet_golden")["image"]
    model, params = variables(golden)
    found, moved = jax.jit(lambda p, x: model.apply(p, x, train=True, mutable=["batch_stats"]))(params, image)
    before, after = flatten(params["batch_stats"]), flatten(moved["batch_stats"])
    assert before.keys() == after.keys()
    assert not [name for name in before if np.array_equal(before[name], after[name])]
    # Maps of an auxiliary head are normalised last: mean beta and variance 1 (less eps) before the sigmoid.
    for name, probability in found["aux"].items():
        logit = np.log(probability / (1 - probability)).astype(np.float64)
        beta = params["params"]["auxiliary_heads"][f"{name}_map"]["norm"]["bias"]
        np.testing.assert_allclose([logit.mean(), logit.var()], [beta.item(), 1], atol=2e-3)


def test_parameters_are_the_published_ones():
    shapes = flatten(parameter_shapes("dmenet", {"critics": True}))
    ours = {}
    for name, shape in MANIFEST.items():
        path = our_name(name)
        ours[path if path.startswith("batch_stats/") else f"params/{path}"] = tuple(shape)
    assert ours == {path: leaf.shape for path, leaf in shapes.items()}
    assert our_name("main_net.defocus_net.decoder.u3.c1.W_conv2d:0") == "decoder/level3/conv1/conv/kernel"
    for wrong in ("u3/c4/W_conv2d", "u3/b1/gamma", "u3/c1/beta", "u3/b1/b_conv2d", "u0/c3/W_conv2d"):
        assert our_name(f"main_net/defocus_net/decoder/{wrong}") is None


def test_parameter_counts_of_the_blur_estimation_network():
    params = parameter_shapes("dmenet", {})["params"]
    encoder = params.pop("encoder")
    assert (count(encoder), count(params)) == (20_024_384, 6_915_435)
    # The heads of Figure 3.2: a 3x3 convolution to `hidden`, its shift, one to a single channel, its shift.
    sizes = ((512, 256), (256, 128), (128, 64), (64, 32), (64, 32))
    heads = sum(9 * c * hidden + 2 * hidden + 9 * hidden + 2 for c, hidden in sizes)
    without = parameter_shapes("dmenet", {"auxiliary": False})["params"]
    assert count(without) == 20_024_384 + 6_915_435 - heads


def test_multiply_accumulates_are_what_the_dissertation_prints():
    """Table 4.2, 1280x720; it counts the auxiliary heads too, which an unused output does not cost."""
    model, shapes = models.create("dmenet"), parameter_shapes("dmenet", {})
    image = jax.ShapeDtypeStruct((1, 720, 1280, 3), jnp.float32)
    everything = macs(model.apply, shapes, image)
    assert everything / 1e9 == pytest.approx(1172.5, rel=0.01)
    used = macs(lambda variables, image: model.apply(variables, image)["defocus"], shapes, image)
    heads = ((512, 256, 256), (256, 128, 64), (128, 64, 16), (64, 32, 4), (64, 32, 1))  # in, hidden, pixels a position
    assert everything - used == sum(720 * 1280 // n * 9 * (c * hidden + hidden) for c, hidden, n in heads)


def test_ablations(golden):
    arrays = golden("dmenet_weights")
    image = golden("dmenet_golden")["image"]
    plain = weights.convert("dmenet", arrays, width_divisor=16, auxiliary=False)
    assert set(plain["params"]) == set(plain["batch_stats"]) | {"encoder"} == {"encoder", "decoder", "refinement"}
    outputs = jax.eval_shape(models.create("dmenet", width_divisor=16, auxiliary=False).apply, plain, image)
    assert not {"aux", "domain_logits", "sharpness_logits"} & set(outputs)

    # With 3x3 convolutions a pixel of the map reaches 10 around it: nine convolutions and the last.
    options = {**OPTIONS, "calibration_size": 3}
    larger = models.create("dmenet", **options)
    shapes = parameter_shapes("dmenet", options)
    assert shapes["params"]["calibration"]["block1"]["conv1"]["conv"]["kernel"].shape == (3, 3, 1, 4)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda x: jnp.asarray(rng.uniform(0.1, 1, x.shape), jnp.float32), shapes)
    defocus = jnp.zeros((1, 32, 32, 1))
    reached = jax.grad(lambda x: larger.apply(variables, x, method="calibrate")[0, 16, 16, 0])(defocus)[0, :, :, 0]
    rows, columns = np.nonzero(reached)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (6, 26, 6, 26)


def test_bfloat16_computes_in_it_and_stays_close(golden):
    full = golden("dmenet_golden")
    model, params = variables(golden, dtype=jnp.bfloat16)
    low = jax.jit(model.apply)(params, full["image"])
    assert low["d4"].dtype == low["domain_features"].dtype == jnp.bfloat16
    assert low["defocus"].dtype == low["aux"]["u4"].dtype == jnp.float32
    np.testing.assert_allclose(low["defocus"], full["defocus"], atol=0.01)
    for name, found in low["aux"].items():
        np.testing.assert_allclose(found, full[name], atol=0.05, err_msg=name)
    _, moved = jax.eval_shape(
        lambda p, x: model.apply(p, x, train=True, mutable=["batch_stats"]), params, full["image"]
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(moved)} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("size", "new_size"),
    [
        ((3, 4), (6, 8)),
        ((1, 5), (2, 10)),
        ((5, 7), (10, 14)),
        ((16, 32), (1, 2)),
        ((240, 48), (15, 6)),
        ((9, 9), (4, 9)),
    ],
)
def test_nearest_resizing_takes_the_sample_closest_to_each_place(size, new_size):
    """Corners on corners; of two samples equally close (240 to 15: 119.5) the later, as TensorFlow does."""

    def closest(n, m):
        places = [Fraction(i * (n - 1), max(m - 1, 1)) for i in range(m)]
        return [min(reversed(range(n)), key=lambda sample: abs(sample - place)) for place in places]

    x = np.random.default_rng(0).random((2, *size, 3), np.float32)
    expected = x[:, closest(size[0], new_size[0])][:, :, closest(size[1], new_size[1])]
    np.testing.assert_array_equal(nearest_align_corners(jnp.asarray(x), *new_size), expected)
    if new_size == (2 * size[0], 2 * size[1]):
        np.testing.assert_array_equal(upsample_nearest(jnp.asarray(x), 2), expected)


def test_upsampling_repeats():
    x = np.random.default_rng(0).random((2, 3, 4, 2), np.float32)
    np.testing.assert_array_equal(upsample_nearest(jnp.asarray(x), 3), x.repeat(3, 1).repeat(3, 2))


def test_sizes_that_are_no_multiple_of_16_are_refused():
    with pytest.raises(ValueError, match="dmenet: 32x40 is not a multiple of 16"):
        jax.eval_shape(models.create("dmenet").init, jax.random.key(0), jnp.zeros((1, 32, 40, 3)))


def test_a_weights_file_keeps_the_moving_statistics(tmp_path, golden):
    path = tmp_path / "dmenet.safetensors"
    options = {"width_divisor": 16}
    params = weights.convert("dmenet", golden("dmenet_weights"), **options)
    weights.save(path, params, "dmenet", options)
    loaded = flatten(rj.load(path).params)
    assert loaded.keys() == flatten(params).keys()
    for name, value in flatten(params).items():
        np.testing.assert_array_equal(loaded[name], value)
    weights.save(path, {"params": params["params"]}, "dmenet", options)
    with pytest.raises(InputError, match=r"dmenet.safetensors: lacks the parameter 'batch_stats/"):
        rj.load(path)


def test_a_checkpoint_that_does_not_fit_is_refused_by_name(tmp_path, golden, capsys):
    arrays = golden("dmenet_weights")
    mean = "main_net.defocus_net.decoder.u3.b1.moving_mean"
    with pytest.raises(InputError, match=r"'main_net.surprise.W_conv2d' that this network does not know"):
        weights.convert("dmenet", {**arrays, "main_net.surprise.W_conv2d": np.zeros(3)}, width_divisor=16)
    without = {name: array for name, array in arrays.items() if name != mean}
    with pytest.raises(InputError, match=r"lacks the parameter for 'batch_stats/decoder/level3/conv1/norm/mean'"):
        weights.convert("dmenet", without, width_divisor=16)
    with pytest.raises(InputError, match=rf"'{mean}' has shape \(3,\), \(3,\) in our layout; the network has \(16,\)"):
        weights.convert("dmenet", {**arrays, mean: np.zeros(3)}, width_divisor=16)

    source, out = tmp_path / "published.npz", tmp_path / "ours.safetensors"
    np.savez(source, **arrays)
    argv = ["weights", "convert", "dmenet", str(source), "-o", str(out)]
    assert cli.main([*argv, "--option", "width_divisor=8"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{source}: dmenet: parameter 'main_net.defocus_net.encoder.conv1_1.W_conv2d' has shape" in error
    assert cli.main([*argv, "--option", "width_divisor=16"]) == 0
    assert rj.load(out).model == models.create("dmenet", width_divisor=16)
