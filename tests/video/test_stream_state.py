"""Streams carry state: each tile its own, segments theirs and their order, chunks the frames around them."""

import dataclasses
import json
import types
from contextlib import contextmanager
from fractions import Fraction

import imageio.v3 as iio
import jax.numpy as jnp
import numpy as np
import pytest

import restore_jax as rj
from restore_jax import video
from restore_jax.video import engines, pairing, segments, stream
from restore_jax.weights import Restorer
from tests.moving_scene import filmed


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")  # the tests leave nothing in the home folder


# --------------------------------------------------------------------------------------------------------------- tiles
class Summing(engines.Bicubic):
    """Gives the sum of a tile's frames so far, which is its state."""

    name, scale = "summing", 1

    def __init__(self):
        super().__init__(1)

    def step(self, prepared, state, at, count):
        """[(image, state)]."""
        (frame,) = list(prepared)[at : at + count]
        total = frame if state is None else state["sum"] + frame
        return [(total, {"sum": total})]


@pytest.fixture
def summed():
    """Frames of noise, and the sums that each of them ends."""
    frames = np.random.default_rng(0).random((6, 100, 140, 3)).astype(np.float32) / 8
    return frames, np.cumsum(frames, 0)


TILES = {"tile": 64, "overlap": 32, "fade": 16}


def test_every_tile_carries_its_own_state(summed):
    frames, sums = summed
    found = [image for image, _ in stream.restored(Summing(), [(frame, None) for frame in frames], **TILES)]
    np.testing.assert_allclose(found, sums, atol=1e-5)


def test_a_tiled_stream_goes_on_with_the_states_of_its_tiles(summed):
    frames, sums = summed
    every = list(stream.restored(Summing(), [(frame, None) for frame in frames], **TILES))
    state = every[2][1]
    assert len(state) > 3
    assert len({value["sum"].tobytes() for value in state.values()}) == len(state)
    rest = [image for image, _ in stream.restored(Summing(), [(f, None) for f in frames[3:]], state, **TILES)]
    np.testing.assert_allclose(rest, sums[3:], atol=1e-5)


# ------------------------------------------------------------------------------------------------------------ segments
@contextmanager
def part(path, first):
    lines = []
    yield types.SimpleNamespace(write=lambda frame: lines.append(str(int(frame))))
    path.write_text("\n".join([f"from {first}", *lines]) + "\n")


TARGET = segments.Target(
    ".txt", part, lambda paths, counts, path: path.write_text("".join(p.read_text() for p in paths))
)


def summing(offset, until=None):
    """Frames: the sum of their numbers so far and `offset` for each; a stop comes before frame `until`."""

    def frames(first, state):
        total = 0 if state is None else int(state["total"])
        for number in range(first, 100):
            if number == until:
                raise KeyboardInterrupt
            total += number + offset
            yield total, {"total": np.int64(total)}

    return frames


def expected(offset, total=7, length=3):
    sums = np.cumsum(np.arange(total) + offset)
    return "".join(
        "\n".join([f"from {first}", *map(str, sums[first : first + length])]) + "\n"
        for first in range(0, total, length)
    )


def test_a_stopped_job_goes_on_where_it_was_with_its_state(tmp_path):
    out, done = tmp_path / "out.txt", []
    with pytest.raises(KeyboardInterrupt):
        segments.write(out, TARGET, {"job": 1}, 7, summing(0, until=5), done.append, 3)
    assert done == [0, 1, 2, 3, 4, 5]
    done.clear()
    segments.write(out, TARGET, {"job": 1}, 7, summing(0), done.append, 3)
    assert done == [3, 4, 5, 6, 7]
    assert out.read_text() == expected(0)
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]


def test_what_another_job_left_is_not_used(tmp_path):
    out = tmp_path / "out.txt"
    with pytest.raises(KeyboardInterrupt):
        segments.write(out, TARGET, {"job": 1}, 7, summing(50, until=5), lambda done: None, 3)
    assert json.loads((tmp_path / "out.txt.parts" / "progress.json").read_text())["segments"] == 1
    done = []
    segments.write(out, TARGET, {"job": 2}, 7, summing(0), done.append, 3)
    assert done == list(range(8))
    assert out.read_text() == expected(0)


def test_segments_are_joined_in_their_order(tmp_path):
    """More than ten of them, of which the tenth does not come before the second."""
    out = tmp_path / "out.txt"
    segments.write(out, TARGET, {}, 23, summing(0), lambda done: None, 2)
    assert out.read_text() == expected(0, 23, 2)


# ---------------------------------------------------------------------------------------------------------- references
class Referring(engines.Bicubic):
    """Gives the reference of each frame, enlarged to its size, in its place."""

    name, scale, references = "referring", 1, ("wide",)

    def prepare(self, frame, reference, before):
        """The frame's size in the reference's one colour."""
        return np.full_like(frame, reference.mean())


@pytest.mark.parametrize(
    ("offset", "expected"), [(0.2, [2, 3, 4, 5, 5]), (-0.1, [0, 0, 1, 2, 3]), (0.0, [0, 1, 2, 3, 4])]
)
def test_a_frame_takes_the_reference_of_its_moment(tmp_path, offset, expected):
    """An offset of .2 s at ten frames a second: the reference of frame n is number n + 2, the last one at the end."""
    for name in ("wide", "tele"):
        (tmp_path / name).mkdir()
        for number in range(6):
            iio.imwrite(tmp_path / name / f"{number}.png", np.full((16, 16, 3), 10 * number, np.uint8))
    wide, tele = (video.probe(tmp_path / name, Fraction(10)) for name in ("wide", "tele"))
    found = pairing.Pairing(1.0, (0.5, 0.5), (1.0, 1.0, 1.0), 1.0, 1.0, offset)
    frames = stream.clip_frames(Referring(1), wide, tele, found, 0, 5)
    assert [round(float(frame.mean()) / 10) for frame, _ in frames(0, None)] == expected
    assert [round(float(frame.mean()) / 10) for frame, _ in frames(2, None)] == expected[2:]


# -------------------------------------------------------------------------------------------------------------- chunks
@dataclasses.dataclass(frozen=True)
class Keyframed:
    """A network of clips that gives, for each frame, the number of the first frame it was shown with."""

    interface = rj.models.create("iconvsr", keyframe_stride=3).interface

    def clone(self, dtype):
        return self

    def apply(self, params, frames):
        first = frames[:, :1, :1, :1] / 1000
        return {"image": jnp.broadcast_to(first, (1, frames.shape[1], 8, 8, 3))}


def test_clips_of_iconvsr_begin_on_the_grid_of_keyframes():
    engine = engines.Clips(Restorer("tiny", Keyframed(), {}, {}))
    frames = [(np.full((4, 4, 3), n, np.float32), None) for n in range(40)]
    firsts = [round(1000 * float(image[0, 0, 0])) for image, _ in stream.restored(engine, frames)]
    assert len(firsts) == 40
    assert len(set(firsts)) > 2
    for number, first in enumerate(firsts):
        assert first % 3 == 0
        assert first <= number
        assert first == 0 or number - first >= 2 * 3  # what is restored has seen two keyframes before it


@pytest.mark.slow
def test_a_chunk_of_basicvsr_sees_so_far_ahead_that_no_seam_shows(monkeypatch):
    """The weights that ship, on a camera that sways: the first chunk beside the one that sees all that follows."""
    engine = engines.engine(rj.load("basicvsr"), False)
    clip = filmed(engine.stride + engine.ahead + 2, size=(32, 24)).astype(np.float32) / 255

    def first_chunk(ahead):
        monkeypatch.setattr(engine, "ahead", ahead)
        images = stream.restored(engine, [(frame, None) for frame in clip])
        return np.stack([next(images)[0] for _ in range(engine.stride)])

    own, blind, whole = (first_chunk(ahead) for ahead in (engine.ahead, 2, len(clip)))
    assert np.abs(blind - whole).max() > 1 / 255  # else this clip could not tell
    assert np.abs(own - whole).max() < 1 / 255
