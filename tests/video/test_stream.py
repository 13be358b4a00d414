"""stream.py: streamed frames are those of whole windows; tiles show no seams; states carry over; one line of errors."""

import itertools

import cv2
import jax
import numpy as np
import pytest

import restore_jax as rj
from restore_jax import models
from restore_jax.errors import InputError
from restore_jax.video import engines, stream
from restore_jax.weights import Restorer
from tests.moving_scene import filmed
from tests.random_weights import by_fan_in, restorer

WINDOW = 3


@pytest.fixture(scope="module")
def tiny():
    """The smallest RefVSR with random weights."""
    return restorer("refvsr", by_fan_in, {"window": WINDOW}, mid_channels=4, num_blocks=1)


@pytest.fixture(scope="module")
def engine(tiny, monkeypatch_module):
    return engines.engine(tiny)


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESTORE_JAX_CACHE", "")
        yield patch


def pairs(count, size=(32, 24)):
    """(count, h, w, 3) float32 frames and references."""
    return (filmed(count, fov=fov, size=size).astype(np.float32) / 255 for fov in (1, 2))


def repeated(frames, half):
    return [frames[0]] * half + list(frames) + [frames[-1]] * half


def test_streamed_frames_are_those_of_whole_windows(tiny, engine):
    """The oracle is the network's own call on each window, its ends repeated, the state passed on."""
    frames, references = pairs(4)
    half = WINDOW // 2
    lows, refs = (np.stack(repeated(array, half)) for array in (frames, references))
    apply, state, expected = jax.jit(tiny.model.apply), None, []
    for i in range(len(frames)):
        out = apply(tiny.params, lows[None, i : i + WINDOW], refs[None, i : i + WINDOW], state)
        state = out["state"]
        expected.append(np.asarray(out["image"])[0])
    found = list(rj.super_resolve(frames, references, weights=engine))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(expected) > 0.1


def test_a_carried_state_goes_on_exactly(engine):
    frames, references = pairs(6)
    lows, refs = (repeated(array, WINDOW // 2) for array in (frames, references))
    whole = list(stream.restored(engine, zip(lows, refs, strict=True)))
    state = jax.tree.map(np.asarray, whole[2][1])
    rest = list(stream.restored(engine, zip(lows[3:], refs[3:], strict=True), state))
    assert len(rest) == 3
    for (expected, _), (found, _) in zip(whole[3:], rest, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_memory_does_not_grow_with_the_length_of_a_stream(engine):
    """JAX holds as much after a frame as a few frames before."""
    (frame,), (reference,) = pairs(1)
    frames = ((frame + np.float32(n / 1000), reference + np.float32(n / 1000)) for n in range(18))
    held = [
        sum(array.nbytes for array in jax.live_arrays())
        for number, _ in enumerate(stream.restored(engine, frames))
        if number % 4 == 2
    ]
    assert len(held) == 4
    assert max(held[1:]) <= held[0]


def test_odd_sides(engine):
    """They are filled up with what the edge shows, and cut off."""
    frames, references = pairs(1)
    cut = frames[:, :23, :31]
    (image,) = rj.super_resolve(cut, references, weights=engine)
    (filled,) = rj.super_resolve(np.pad(cut, ((0, 0), (0, 1), (0, 1), (0, 0)), "edge"), references, weights=engine)
    assert image.shape == (92, 124, 3)
    np.testing.assert_array_equal(image, filled[:92, :124])


def test_bicubic_tiles_are_the_whole_frame():
    """Interpolation sees two pixels: beyond them tiles know all they need."""
    frame = filmed(1, size=(200, 150))[0].astype(np.float32) / 255
    whole = cv2.resize(frame, (800, 600), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    ((tiled, state),) = stream.restored(engines.Bicubic(), [(frame, None)], tile=96, overlap=32, fade=16)
    assert state is None
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


class Contrary(engines.Bicubic):
    """An engine whose tiles disagree as much as can be: black, white, black, ..."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def step(self, prepared, state, at, count):
        self.calls += 1
        return [(np.full((*(4 * side for side in prepared[0].shape[:2]), 3), self.calls % 2, np.float32), None)]


def test_no_seam_is_above_one_in_255():
    frame = np.zeros((500, 700, 3), np.float32)
    contrary = Contrary()
    ((image, _),) = stream.restored(contrary, [(frame, None)], tile=320)
    assert contrary.calls > 3
    assert image.min() < 0.01
    assert image.max() > 0.99
    for axis in (0, 1):
        assert np.abs(np.diff(image, axis=axis)).max() < 1 / 255


# ------------------------------------------------------------------------------------------------------------- the rest
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_frames_keep_their_type_and_come_one_by_one(dtype):
    frames = rj.io.from_float(filmed(4).astype(np.float32) / 255, dtype)
    asked = []

    def source():
        for number, frame in enumerate(frames):
            asked.append(number)
            yield frame

    results = rj.super_resolve(source(), weights="bicubic")
    first = next(results)
    assert asked == [0]
    assert first.dtype == dtype
    large = cv2.resize(rj.io.to_float(frames[0]), (512, 384), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    np.testing.assert_array_equal(first, rj.io.from_float(large, dtype))
    assert len(list(results)) == 3


def test_no_frames():
    assert list(rj.super_resolve([], weights="bicubic")) == []


def test_references_come_to_the_trained_scale_and_colours(engine):
    """A reference of 60x40 whose view is 1/2.5 of a 50 pixel wide frame becomes 2 * 50 / 2.5 = 40 wide."""
    frame, reference = np.zeros((40, 50, 3), np.float32), np.full((40, 60, 3), 0.5, np.float32)
    ((_, fitted),) = stream._fitted(engine, [(frame, reference)], 2.5, (1.2, 1.0, 2.5))
    assert fitted.shape == (26, 40, 3)
    np.testing.assert_allclose(fitted[5, 5], (0.6, 0.5, 1.0), rtol=1e-5)


@pytest.mark.parametrize(
    ("frames", "references", "reason"),
    [
        ([(9, 9, 3), (9, 8, 3)], None, r"frame 2: shape \(9, 8, 3\), but that of the first"),
        ([(9, 9)], None, r"frame 1: shape \(9, 9\) is not \(h, w, 3\)"),
        ([(9, 9, 3)] * 3, [(9, 9, 3)] * 2, "references: there are 2, but more frames"),
        ([(9, 9, 3)] * 2, [(9, 9, 3)] * 3, "references: there are more than the 2 frames"),
        ([(9, 9, 3)] * 2, [(9, 9, 3), (9, 7, 3)], "reference 2: shape"),
    ],
)
def test_frames_that_do_not_fit(frames, references, reason):
    blank = [[np.zeros(shape, np.uint8) for shape in shapes] for shapes in (frames, references or [])]
    with pytest.raises(InputError, match=reason) as error:
        list(rj.super_resolve(blank[0], None if references is None else blank[1], weights="bicubic"))
    assert "\n" not in str(error.value)


def test_weights_that_do_not_fit(tiny):
    ifan = Restorer("sharp", models.create("ifan"), {}, {})
    for weights, referenced, scale, reason in (
        (ifan, True, 4, "vsr takes refvsr"),
        (tiny, False, 4, "need a reference"),
        (tiny, True, 2, "enlarge 4 times, not 2"),
        ("nothing", True, 4, "no such weights"),
    ):
        with pytest.raises(InputError, match=reason):
            engines.engine(weights, referenced, scale=scale)
    assert engines.engine(None, False, scale=2).name == "bicubic"


def test_all_ends_are_repeated():
    for count, half in itertools.product((1, 2, 5), (0, 1, 3)):
        assert list(stream.repeated(range(count), half)) == repeated(range(count), half)
