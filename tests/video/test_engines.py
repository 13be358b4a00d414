"""Engines without references: streams are what the networks make of whole clips, and go on exactly after a stop."""

import dataclasses

import cv2
import jax
import numpy as np
import pytest

import restore_jax as rj
from restore_jax.errors import InputError
from restore_jax.video import engines, stream
from tests.moving_scene import filmed
from tests.random_weights import by_fan_in, restorer

BANK = {"keys": 4, "basis": 6, "size": 8}


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")


def tiny(name, **options):
    """A small network with random weights."""
    return restorer(name, by_fan_in, **options)


@pytest.fixture(scope="module")
def basicvsr():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESTORE_JAX_CACHE", "")
        return engines.engine(tiny("basicvsr", num_feat=4, num_blocks=1, memory=BANK), False)


@pytest.fixture(scope="module")
def clip():
    """Seven frames of odd sides."""
    return filmed(7, size=(22, 17)).astype(np.float32) / 255


@pytest.fixture(scope="module")
def whole(clip):
    """The network's own call on the whole clip."""
    weights = tiny("basicvsr", num_feat=4, num_blocks=1, memory=BANK)
    return np.asarray(jax.jit(weights.model.apply)(weights.params, clip[None])["image"])[0]


def test_a_stream_is_the_whole_clip_where_the_backward_direction_comes_from_its_end(basicvsr, clip, whole):
    found = list(rj.super_resolve(clip, weights=basicvsr))
    np.testing.assert_allclose(np.stack(found), whole, atol=2e-5)


def test_chunks_differ_only_by_where_the_backward_direction_begins(basicvsr, clip, whole, monkeypatch):
    """Chunks of two frames that see two more: the last four frames know all there is, the first ones less."""
    monkeypatch.setattr(basicvsr, "stride", 2)
    monkeypatch.setattr(basicvsr, "ahead", 2)
    found = np.stack([image for image, _ in stream.restored(basicvsr, [(frame, None) for frame in clip])])
    assert len(found) == len(whole)
    error = np.abs(found - whole).max((1, 2, 3))
    assert error[4:].max() < 2e-5
    assert error[0] > 2e-5


def test_after_a_stop_it_goes_on_exactly(basicvsr, clip, monkeypatch):
    monkeypatch.setattr(basicvsr, "stride", 2)
    monkeypatch.setattr(basicvsr, "ahead", 1)
    pairs = [(frame, None) for frame in clip]
    every = list(stream.restored(basicvsr, pairs))
    state = jax.tree.map(np.asarray, every[3][1])
    rest = [image for image, _ in stream.restored(basicvsr, pairs[4:], state)]
    np.testing.assert_array_equal(rest, [image for image, _ in every[4:]])


def test_windows_of_edvr_repeat_a_clips_ends(clip):
    weights = tiny("edvr", num_feat=8, num_frames=3, num_extract_blocks=1, num_reconstruct_blocks=1)
    apply = jax.jit(weights.model.apply)
    found = list(rj.super_resolve(clip[:3, :16, :20], weights=weights))
    for number, numbers in enumerate(([0, 0, 1], [0, 1, 2], [1, 2, 2])):
        window = clip[None, numbers, :16, :20]
        expected = apply(weights.params, window)["image"][0]
        np.testing.assert_allclose(found[number], expected, atol=1e-5)


class Counting(engines.Clips):
    """Clips of a network of which it matters only what it is shown: each frame becomes the mean of all of them."""

    name, scale = "counting", 1
    behind, stride, ahead, repeats = 2, 3, 1, 0

    def __init__(self):
        self.shown, self.params = [], None

    def _restored(self, params, frames):
        self.shown.append([int(x) for x in frames[0, :, 0, 0, 0]])
        return frames / 100


@pytest.mark.parametrize(("count", "shown"), [(3, [[0, 1, 2]]), (8, [[0, 1, 2, 3], [1, 2, 3, 4, 5, 6], [4, 5, 6, 7]])])
def test_clips_overlap_and_give_each_frame_once(count, shown):
    frames = [np.full((4, 4, 3), n, np.float32) for n in range(count)]
    counting = Counting()
    images = [image for image, _ in stream.restored(counting, [(frame, None) for frame in frames])]
    assert [round(100 * float(image[0, 0, 0])) for image in images] == list(range(count))
    assert counting.shown == shown
    # Behind a stop at frame 3 the two before it are shown again.
    if count == 8:
        counting = Counting()
        images = [image for image, _ in stream.restored(counting, [(frame, None) for frame in frames[1:]], known=2)]
        assert [round(100 * float(image[0, 0, 0])) for image in images] == list(range(3, 8))
        assert counting.shown == shown[1:]


def test_a_network_of_stills_restores_every_frame_by_itself(clip):
    weights = tiny("srresnet", num_feat=4, num_blocks=1, scale=2)
    weights = dataclasses.replace(weights, params=jax.tree.map(np.abs, weights.params))  # variances are above 0
    found = list(rj.super_resolve(clip[:2], weights=engines.engine(weights, False, scale=2), scale=2))
    expected = np.asarray(jax.jit(weights.model.apply)(weights.params, clip[:2])["image"])
    np.testing.assert_allclose(np.stack(found), expected, atol=2e-5)


def test_a_network_of_pairs_takes_references_as_fine_as_its_result(clip):
    """References with half the field of view and the frames' size are enlarged twice and cut to multiples of 4."""
    weights = tiny("dcsr", num_feat=4, num_blocks=(1, 1, 1), scale=4)
    (found,) = rj.super_resolve(clip[:1], clip[1:2], weights=engines.engine(weights), fov=2.0)
    reference = np.clip(cv2.resize(clip[1], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), 0, 1)
    height, width = (side // 4 * 4 for side in reference.shape[:2])
    frame = np.pad(clip[:1], ((0, 0), (0, 3), (0, 2), (0, 0)), mode="edge")
    expected = np.asarray(
        jax.jit(weights.model.apply)(weights.params, frame, reference[None, :height, :width])["image"]
    )
    np.testing.assert_allclose(found, expected[0, :68, :88], atol=2e-5)


def test_weights_that_restore_no_video():
    with pytest.raises(InputError, match="of a network for something else"):
        engines.engine(tiny("spynet"), False)
    with pytest.raises(InputError, match="enlarge 4 times, not 2"):
        engines.engine(tiny("basicvsr", num_feat=4, num_blocks=1), False, scale=2)


def test_memory_does_not_grow_with_the_length_of_a_stream(basicvsr, monkeypatch):
    """JAX holds as much after a chunk as a few chunks before."""
    monkeypatch.setattr(basicvsr, "stride", 2)
    monkeypatch.setattr(basicvsr, "ahead", 2)
    frame = filmed(1, size=(22, 17))[0].astype(np.float32) / 255
    frames = ((frame + np.float32(n / 1000), None) for n in range(40))
    held = [
        sum(array.nbytes for array in jax.live_arrays())
        for number, _ in enumerate(stream.restored(basicvsr, frames))
        if number % 8 == 6
    ]
    assert len(held) == 5
    assert max(held[1:]) <= held[0]
