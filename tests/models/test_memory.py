"""The reference memory: plugged in it changes nothing, gradients reach what they should, adaptation moves K and B."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import FrozenDict
from ml_collections import ConfigDict

from restore_jax import models
from restore_jax.errors import InputError
from restore_jax.models.layers import conv
from restore_jax.models.memory import MODULES, MemoryFusion, QueryEncoder, with_memory
from restore_jax.ops.resize import upsample_bicubic
from restore_jax.tasks import vsr
from restore_jax.video import adaptation
from restore_jax.weights import Restorer
from restore_jax.weights.tree import flatten

BANK = {"keys": 6, "basis": 8, "size": 16}
NETWORKS = {
    "basicvsr": {"num_feat": 8, "num_blocks": 1},
    "iconvsr": {"num_feat": 8, "num_blocks": 1, "keyframe_stride": 2},
    "edvr": {"num_feat": 8, "num_frames": 3, "num_extract_blocks": 1, "num_reconstruct_blocks": 1},
}
# Of dissertation 6.2.2: what each loss trains.
MEMORISING = ("bank/keys", "bank/basis", "bank/reference_queries", "bank/reconstructor")


class Toy(nn.Module):
    """The least that a network with a hook can be: what is tested here does not depend on the network."""

    num_feat: int = 8
    dtype: Any = jnp.float32

    def setup(self):
        self.conv_in, self.conv_out = conv(self.num_feat, "conv_in"), conv(3, "conv_out")

    def __call__(self, frames, train=False):
        b, t, h, w, _ = frames.shape
        frame = frames.reshape(b * t, h, w, 3)
        x = self.conv_out(self.fused(self.conv_in(frame), frame))
        image = upsample_bicubic(frame + x, 4).reshape(b, t, 4 * h, 4 * w, 3)
        return {"image": image if train else jnp.clip(image, 0, 1)}

    def fused(self, features, frame):
        return features


@pytest.fixture(scope="module")
def toy():
    """With memory and random weights, the fusion's last layer too, which begins at zero."""
    model = with_memory(Toy)(memory=FrozenDict(BANK))
    return model, drawn(model)


def drawn(model, frames=3):
    """Random weights."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, frames, 16, 16, 3)))
    rng = np.random.default_rng(0)

    def weights(leaf):
        return rng.normal(0, np.prod(leaf.shape[:-1]) ** -0.5, leaf.shape).astype(np.float32)

    return jax.tree.map(weights, shapes)


def clip(seed=0, frames=3):
    rng = np.random.default_rng(seed)
    return {
        "lrs": rng.random((1, frames, 16, 16, 3), np.float32),
        "hrs": rng.random((1, frames, 64, 64, 3), np.float32),
        "refs": rng.random((1, frames, 32, 32, 3), np.float32),
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_it_plugs_into_every_network(name):
    """The network's own parameters stay what they are, and its hook looks the memory up."""
    model, plain = models.create(name, **NETWORKS[name], memory=BANK), models.create(name, **NETWORKS[name])
    params = drawn(model)
    own = {n: p for n, p in params["params"].items() if n not in MODULES}
    assert jax.tree.map(np.shape, own) == jax.tree.map(np.shape, drawn(plain)["params"])
    rng = np.random.default_rng(1)
    features, frame = rng.random((1, 6, 5, 8), np.float32), rng.random((1, 6, 5, 3), np.float32)
    result = model.apply(params, features, frame, method="fused")
    queries = np.asarray(QueryEncoder(6).apply({"params": params["params"]["bank"]["lr_queries"]}, frame))
    bank, fusion = params["params"]["bank"], params["params"]["memory_fusion"]
    scores = np.exp(queries @ bank["keys"])
    found = scores / scores.sum(-1, keepdims=True) @ bank["basis"] @ fusion["entrance"]
    expected = MemoryFusion(8, 8).apply({"params": fusion}, features, found)
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_the_reference_is_its_half_enlarged_and_a_pixel_shuffled_convolution(toy):
    model, params = toy
    reference = clip()["refs"][0, :1]
    result = model.apply(params, reference, method="reconstruct_reference")
    half = reference.reshape(1, 16, 2, 16, 2, 3).mean((2, 4))
    bank = params["params"]["bank"]
    queries = np.asarray(QueryEncoder(6).apply({"params": bank["reference_queries"]}, half))
    scores = np.exp(queries @ bank["keys"])
    found = np.pad(scores / scores.sum(-1, keepdims=True) @ bank["basis"], ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = [(y, x) for y in range(3) for x in range(3)]
    added = sum(found[:, y : y + 16, x : x + 16] @ bank["reconstructor_kernel"][y, x] for y, x in taps)
    added = (added + bank["reconstructor_bias"]).reshape(1, 16, 16, 3, 2, 2).transpose(0, 1, 4, 2, 5, 3)
    expected = np.asarray(upsample_bicubic(jnp.asarray(half), 2)) + added.reshape(1, 32, 32, 3)
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_the_fusion_begins_as_the_identity():
    rng = np.random.default_rng(0)
    features, remembered = (rng.random((1, 4, 4, 8), np.float32) for _ in range(2))
    fusion = MemoryFusion(6, 8)
    params = fusion.init(jax.random.key(0), features, remembered)
    np.testing.assert_array_equal(fusion.apply(params, features, remembered), features)


def test_other_networks_take_no_memory():
    with pytest.raises(ValueError, match="memory"):
        models.create("ifan", memory=BANK)


def config(**loss):
    return ConfigDict({"loss": {"pixel": 0.0, "norm": "l1", "memory": 0.0, **loss}})


@pytest.mark.parametrize("term", ["memory", "pixel"])
def test_each_loss_reaches_exactly_what_section_6_2_2_says(toy, term):
    model, params = toy
    gradient = jax.jit(jax.grad(lambda p: vsr.loss(model, p, clip(), config(**{term: 1.0}))[0]))(params)
    for path, value in flatten(gradient["params"]).items():
        memorising = path.startswith(MEMORISING)
        shared = path in ("bank/keys", "bank/basis")
        assert bool(np.any(value)) == (memorising if term == "memory" else shared or not memorising), path


def test_the_losses_are_mean_absolute_errors(toy):
    model, params = toy
    inputs = clip()
    total, (values, _) = vsr.loss(model, params, inputs, config(pixel=2.0, memory=3.0))
    image = model.apply(params, inputs["lrs"], train=True)["image"]
    refs = inputs["refs"][0]
    remembered = model.apply(params, refs, method="reconstruct_reference")
    pixel, memory = np.abs(image - inputs["hrs"]).mean(), np.abs(remembered - refs).mean()
    np.testing.assert_allclose([values["pixel"], values["memory"]], [2 * pixel, 3 * memory], rtol=1e-5)
    np.testing.assert_allclose(total, 2 * pixel + 3 * memory, rtol=1e-5)


def test_memorising_alone_trains_the_bank_alone():
    assert [trains for trains, _ in vsr.phases(config(memory=1.0))] == [("bank",)]
    assert [trains for trains, _ in vsr.phases(config(memory=1.0, pixel=1.0))] == [()]


# ----------------------------------------------------------------------------------------------------------- adaptation
@pytest.fixture
def weights(toy):
    model, params = toy
    return Restorer("tiny", model, jax.tree.map(np.array, params), {})


@pytest.fixture
def video():
    """Stripes, which a half-size frame cannot hold."""
    x = np.arange(32)
    stripes = np.where((x[None] + x[:, None]) % 3 == 0, 0.8, 0.2)
    return [np.repeat(np.roll(stripes, n, 1)[..., None], 3, -1).astype(np.float32) for n in range(3)]


@pytest.fixture(autouse=True)
def no_compilation_cache(monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")


def test_adapting_moves_keys_and_basis_alone_and_reconstructs_better(weights, video):
    before = jax.tree.map(np.copy, weights.params)
    seen = []
    adapted = adaptation.adapt(weights, video, epochs=5, rate=0.1, progress=lambda *x: seen.append(x))
    for path, value in flatten(before["params"]).items():
        np.testing.assert_array_equal(flatten(weights.params["params"])[path], value, err_msg=path)
        same = np.array_equal(flatten(adapted.weights.params["params"])[path], value)
        assert same == (path not in ("bank/keys", "bank/basis")), path
    assert seen == list(enumerate(adapted.psnr))
    # The oracle of the PSNR is the network's own method.
    remembered = weights.model.apply(adapted.weights.params, np.stack(video), method="reconstruct_reference")
    error = np.mean((np.clip(remembered, 0, 1) - np.stack(video)) ** 2)
    np.testing.assert_allclose(max(adapted.psnr), -10 * np.log10(error), atol=1e-3)
    assert max(adapted.psnr) > adapted.psnr[0] + 0.2


def test_what_was_learnt_is_found_again_unless_anything_differs(weights, video, tmp_path):
    def adapt(frames=video, **options):
        return adaptation.adapt(weights, frames, epochs=1, cache=tmp_path, **options)

    first, second = adapt(), adapt()
    assert (first.cached, second.cached) == (False, True)
    assert second.psnr == pytest.approx(first.psnr)
    for path, value in flatten(first.weights.params).items():
        np.testing.assert_array_equal(flatten(second.weights.params)[path], value)
    assert not adapt(rate=1e-3).cached
    assert not adapt([video[0], video[1], video[1]]).cached
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    assert not adapt().cached


def test_it_stops_when_nothing_is_gained(weights, video):
    adapted = adaptation.adapt(weights, video, epochs=9, rate=0.0)
    assert len(adapted.psnr) == 1 + adaptation.PATIENCE
    assert len(adaptation.adapt(weights, video, epochs=9, minutes=1e-9).psnr) == 2


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        ([], "none"),
        ([np.zeros((16, 15, 3))], "even sides"),
        ([np.zeros((16, 16, 3)), np.zeros((16, 18, 3))], "differ"),
    ],
)
def test_frames_that_cannot_be_learnt(weights, frames, says):
    with pytest.raises(InputError, match=says):
        adaptation.adapt(weights, frames)


def test_weights_without_memory():
    with pytest.raises(InputError, match="no reference memory"):
        adaptation.adapt(Restorer("plain", None, {"params": {}}, {}), [np.zeros((16, 16, 3))])


def test_other_values_of_the_weights_learn_anew(weights, video, tmp_path):
    """Kept results are found by the values of all weights, not by their names and shapes."""
    adaptation.adapt(weights, video, epochs=1, cache=tmp_path)
    for module in ("bank", "conv_out"):
        other = jax.tree.map(np.copy, weights.params)
        leaf = jax.tree.leaves(other["params"][module])[0]
        leaf += 1e-3
        changed = Restorer("tiny", weights.model, other, {})
        assert not adaptation.adapt(changed, video, epochs=1, cache=tmp_path).cached, module
        assert adaptation.adapt(changed, video, epochs=1, cache=tmp_path).cached, module


def test_the_best_bank_is_kept_not_the_last(weights, video):
    """Steps so large that everything after the first epoch is worse than what it began with."""
    adapted = adaptation.adapt(weights, video, epochs=2, rate=1e3)
    assert max(adapted.psnr[1:]) < adapted.psnr[0]
    for name in ("keys", "basis"):
        np.testing.assert_array_equal(
            adapted.weights.params["params"]["bank"][name], weights.params["params"]["bank"][name]
        )


def test_it_goes_on_while_something_is_gained(weights, video):
    """All epochs of a rate at which each gains, and no more than `PATIENCE` after the last that gained."""
    gained = adaptation.adapt(weights, video, epochs=4, rate=0.02)
    assert np.diff(gained.psnr).min() > adaptation.LEAST_GAIN
    assert len(gained.psnr) == 5
    lost = adaptation.adapt(weights, video, epochs=9, rate=1e3)
    best = int(np.argmax(lost.psnr))
    assert len(lost.psnr) - 1 - best <= adaptation.PATIENCE
