"""models/iconvsr: the walk written out frame by frame, keyframes, padding, parameters, published names."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restore_jax import models, weights
from restore_jax.models.iconvsr import IconVSR, extend_ends, keyframes, pad_sides
from restore_jax.weights.building import parameter_shapes
from restore_jax.weights.converters.iconvsr import our_name
from restore_jax.weights.tree import flatten
from tests.mmagic_names import basicvsr_in_mmagic, edvr_in_mmagic
from tests.random_weights import by_size, drawn

SMALL = {"num_feat": 8, "num_blocks": 1, "keyframe_stride": 2}


@functools.cache
def params():
    """All random: offsets too."""
    return drawn(parameter_shapes("iconvsr", SMALL), by_size)


def test_the_walk_written_out():
    """Four frames of 6x10, padded to 8x12, keyframes 0, 2 and 3: every step by itself (docs/networks.md 5)."""
    clip = np.random.default_rng(1).random((1, 4, 6, 10, 3), np.float32)
    model = models.create("iconvsr", **SMALL)
    outputs = jax.jit(functools.partial(model.apply, train=True))(params(), clip)
    assert outputs["image"].shape == (1, 4, 24, 40, 3)
    assert outputs["flow_forward"].shape == (1, 3, 6, 10, 2)
    assert outputs["offset"].shape == (1, 3, 5)

    def part(method, **static):
        return jax.jit(functools.partial(model.apply, params(), method=method, **static))

    frames = np.pad(clip, ((0, 0), (0, 0), (0, 2), (0, 2), (0, 0)), "reflect")
    around = [3, 3, 0, 1, 2, 3, 0, 0]  # frame 4 does not exist: the farthest there is
    refill = {n: part("keyframe_features")(frames[:, around[n : n + 5]])[0] for n in (0, 2, 3)}
    flow, back, forth = part("flow"), part("propagate", direction="backward"), part("propagate")
    nothing = jnp.zeros((1, 8, 12, 2))
    state, backward = jnp.zeros((1, 8, 12, 8)), {}
    for n in (3, 2, 1, 0):
        state = back(state, frames[:, n], flow(frames[:, n], frames[:, n + 1]) if n < 3 else nothing, refill.get(n))
        backward[n] = state
    state = jnp.zeros((1, 8, 12, 8))
    for n in range(4):
        moved = flow(frames[:, n], frames[:, n - 1]) if n else nothing
        state = forth(state, frames[:, n], moved, refill.get(n), backward=backward[n])
        image = part("reconstruct")(state, frames[:, n])[:, :24, :40]
        np.testing.assert_allclose(outputs["image"][:, n], image, atol=1e-4 * np.abs(image).max())


def test_keyframes():
    assert np.flatnonzero(keyframes(12, 5)).tolist() == [0, 5, 10, 11]
    assert np.flatnonzero(keyframes(11, 5)).tolist() == [0, 5, 10]
    assert np.flatnonzero(keyframes(1, 5)).tolist() == [0]


def test_ends_and_sides():
    clip = jnp.asarray(np.random.default_rng(0).random((1, 7, 5, 8, 3), np.float32))
    np.testing.assert_array_equal(extend_ends(clip), clip[:, [4, 3, 0, 1, 2, 3, 4, 5, 6, 3, 2]])
    np.testing.assert_array_equal(extend_ends(clip[:, :1]), clip[:, [0, 0, 0, 0, 0]])
    np.testing.assert_array_equal(extend_ends(clip, 3), clip[:, [6, 5, 4, 0, 1, 2, 3, 4, 5, 6, 2, 1, 0]])
    np.testing.assert_array_equal(pad_sides(clip)[:, :, 5:], clip[:, :, [3, 2, 1]])
    assert pad_sides(clip).shape == (1, 7, 8, 8, 3)
    assert pad_sides(clip[:, :, :4]).shape == (1, 7, 4, 8, 3)


def test_keyframes_may_be_seen_with_three_frames_on_either_side():
    """As checkpoints trained on Vimeo-90K have it: their fusion takes the features of seven frames."""
    model = models.create("iconvsr", **SMALL, extractor_frames=7)
    shapes = parameter_shapes("iconvsr", {**SMALL, "extractor_frames": 7})
    assert shapes["params"]["extractor"]["fusion"]["fusion"]["kernel"].shape == (1, 1, 7 * 8, 8)
    clip = np.random.default_rng(1).random((1, 4, 8, 8, 3), np.float32)
    outputs = jax.jit(model.apply)(drawn(shapes, by_size), clip)
    assert outputs["offset"].shape == (1, 3, 7)
    window = extend_ends(clip, 3)[:, 2:9]  # of keyframe 2
    _, offset = jax.jit(functools.partial(model.apply, method="keyframe_features"))(drawn(shapes, by_size), window)
    np.testing.assert_allclose(outputs["offset"][:, 1], offset, rtol=1e-5)
    with pytest.raises(ValueError, match="extractor_frames=6 is none of 5, 7"):
        parameter_shapes("iconvsr", {"extractor_frames": 6})


def test_the_hook_sees_the_forward_features_and_their_frame():
    frame, features = jnp.full((1, 8, 8, 3), 0.5), jnp.ones((1, 8, 8, 8))
    seen = []

    class Remembering(IconVSR):
        def fused(self, features, frame):
            seen.append((features, frame))
            return 0 * features

    ours = Remembering(**SMALL).apply(params(), features, frame, method="reconstruct")
    assert seen[0][0] is features
    assert seen[0][1] is frame
    upsampler = Remembering(**SMALL).bind(params()).upsampler
    np.testing.assert_allclose(ours, upsampler(jnp.zeros((1, 8, 8, 8)), frame), atol=1e-6)


def test_parameter_counts():
    shapes = flatten(parameter_shapes("iconvsr", {})["params"])
    sizes = {k: v.size for k, v in shapes.items() if not k.startswith("flow_network/")}
    assert sum(sizes.values()) == 7_254_691
    assert sum(v for k, v in sizes.items() if k.startswith("extractor/")) == 2_227_488


def test_both_libraries_names(golden):
    """A checkpoint with BasicVSR's names for what they share, EDVR's for the extractor and two layers of its own."""
    rng = np.random.default_rng(0)
    basicvsr, edvr = golden("basicvsr_weights"), golden("edvr_weights")
    names = [k for k in basicvsr if not k.startswith("fusion.") and ".main.2.1." not in k]
    names += [f"edvr.{k}" for k in edvr if not re.match(r"reconstruction|upconv|conv_hr|conv_last", k)]
    names += [f"edvr.feature_extraction.{n}.conv{m}.{k}" for n in (2, 3, 4) for m in (1, 2) for k in ("weight", "bias")]
    names += [f"{way}_fusion.{kind}" for way in ("forward", "backward") for kind in ("weight", "bias")]
    shapes = {k: v.shape for k, v in flatten(params()["params"]).items()}
    published = {}
    for name in names:
        path = our_name(name)
        shape = shapes.pop(path, (1, 3, 1, 1))
        shape = tuple(shape[n] for n in (3, 2, 0, 1)) if len(shape) == 4 and path.endswith("kernel") else shape
        published[name] = rng.normal(size=shape).astype(np.float32)
    assert not shapes, "every parameter has a published name"
    for name in names:
        inner = name.removeprefix("edvr.")
        mmagic = basicvsr_in_mmagic(name)
        if inner != name:
            mmagic = edvr_in_mmagic(inner).replace("generator.", "generator.edvr.")
        assert mmagic.startswith("generator.")
        assert our_name(mmagic.removeprefix("generator.")) == our_name(name), mmagic
    converted = flatten(weights.convert("iconvsr", published, **SMALL)["params"])
    for name, array in published.items():
        if "spynet.mean" not in name and "spynet.std" not in name:
            ours = converted[our_name(name)]
            np.testing.assert_array_equal(ours, array.transpose(2, 3, 1, 0) if array.ndim == 4 else array)
