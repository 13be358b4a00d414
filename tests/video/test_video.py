"""video.py: frames in and out of files and folders; what a file says is kept; one line for what is wrong with it."""

from fractions import Fraction

import av
import imageio.v3 as iio
import numpy as np
import pytest

from restore_jax import video
from restore_jax.errors import InputError
from tests import video_samples as samples


def read(clip, first=0, stop=None):
    return np.stack(list(video.frames(clip, range(first, stop or len(clip)))))


def one_line(error, path):
    text = str(error.value)
    assert "\n" not in text
    assert str(path) in text
    return text


# -------------------------------------------------------------------------------------------------------------- reading
@pytest.mark.parametrize(("rotation", "turns"), [(0, 0), (90, 1), (180, 2), (-90, 3)])
def test_frames_are_upright(tmp_path, rotation, turns):
    drawn = samples.drawn(5)
    samples.save(tmp_path / "a.mp4", drawn, rotation=rotation)
    clip = video.probe(tmp_path / "a.mp4")
    upright = np.rot90(drawn, turns, axes=(1, 2))
    assert (clip.height, clip.width) == upright.shape[1:3]
    assert np.abs(read(clip) - upright.astype(float)).mean() < 3  # 4:2:0 blurs the colours


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 6, 9])
def test_colours_are_those_of_the_matrix_the_file_names(tmp_path, matrix, full_range):
    """The formula of ITU-T H.273 on the file's own Y, Cb, Cr."""
    colour = np.broadcast_to(np.uint8([200, 40, 90]), (2, 48, 64, 3))
    samples.save(tmp_path / "a.mp4", colour, matrix=matrix, full_range=full_range)
    with av.open(str(tmp_path / "a.mp4")) as container:
        planes = [np.asarray(plane)[0] for plane in next(container.decode(video=0)).planes]
    y, cb, cr = (float(v) for v in planes)
    y, cb, cr = (y / 255, (cb - 128) / 255, (cr - 128) / 255) if full_range else (
        (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    )  # fmt: skip
    kr, kb = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}[matrix]
    r, b = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    g = (y - kr * r - kb * b) / (1 - kr - kb)
    clip = video.probe(tmp_path / "a.mp4")
    assert clip.matrix == matrix
    np.testing.assert_allclose(read(clip)[1, 20, 30], np.array([r, g, b]) * 255, atol=2.5)
    np.testing.assert_allclose(read(clip)[1, 20, 30], [200, 40, 90], atol=4)


def test_without_a_named_matrix_it_goes_by_the_height(tmp_path):
    for size, expected in (((64, 48), 6), ((64, 576), 6), ((64, 578), 1), ((64, 720), 1), ((1280, 64), 1)):
        samples.save(tmp_path / "a.mp4", np.zeros((1, size[1], size[0], 3), np.uint8), matrix=2)
        assert video.probe(tmp_path / "a.mp4").matrix == expected


def test_ten_bits_are_read_as_sixteen(tmp_path):
    drawn = samples.drawn(3)
    samples.save(tmp_path / "a.mp4", drawn, bits=10)
    clip = video.probe(tmp_path / "a.mp4")
    frames = read(clip)
    assert clip.bits == 16
    assert frames.dtype == np.uint16
    assert np.abs(frames / 257 - drawn).mean() < 3


def test_any_frame_may_come_first_and_numbers_repeat(tmp_path):
    samples.save(tmp_path / "a.mp4", samples.drawn(70), gop=25)
    clip = video.probe(tmp_path / "a.mp4")
    whole = read(clip)
    assert clip.fps == samples.FPS
    np.testing.assert_allclose(clip.times, np.arange(70) / float(samples.FPS), atol=1e-4)
    for first in (0, 3, 47, 49, 50, 69):  # on both sides of where it begins to seek
        np.testing.assert_array_equal(read(clip, first), whole[first:])
    some = list(video.frames(clip, [0, 0, 2, 5, 5]))
    np.testing.assert_array_equal(some, whole[[0, 0, 2, 5, 5]])


def test_a_folder_is_a_video(tmp_path):
    drawn = samples.drawn(11)
    for number, frame in enumerate(drawn):
        iio.imwrite(tmp_path / f"f{number}.png", frame)  # f10 comes after f9
    (tmp_path / "notes.txt").write_text("no frame")
    clip = video.probe(tmp_path, Fraction(24))
    assert (len(clip), clip.fps, clip.width, clip.height, clip.audio) == (11, 24, 64, 48, None)
    np.testing.assert_array_equal(read(clip), drawn)
    np.testing.assert_array_equal(read(clip, 9), drawn[9:])


# ------------------------------------------------------------------------------------------------------------ bad input
def test_truncated_files(tmp_path):
    whole, cut = tmp_path / "a.mp4", tmp_path / "cut.mp4"
    samples.save(whole, samples.drawn(40))
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) // 2])  # its table is at the end, and missing
    with pytest.raises(InputError, match="damaged or truncated") as error:
        video.probe(cut)
    one_line(error, cut)
    samples.save(whole, samples.drawn(40), options={"movflags": "faststart"})
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 3])
    clip = video.probe(cut)
    assert 15 < len(clip) < 35
    assert [note for note in clip.notes if note.startswith("ends early") and note.endswith("of the 1.33 s it names")]
    np.testing.assert_array_equal(read(clip), read(video.probe(whole), 0, len(clip)))


def damaged(path, first, last):
    """(whole clip's frames, clip of the file once the packets of frames `first` to `last` are overwritten)."""
    whole = read(video.probe(path))
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size][first:last]
    data = bytearray(path.read_bytes())
    for place, size in places:
        data[place : place + size] = b"\xff" * size
    path.write_bytes(data)
    return whole, video.probe(path)


def test_damage_where_it_begins_is_left_out_and_said(tmp_path):
    path = tmp_path / "a.mp4"
    samples.save(path, samples.drawn(40), gop=5, options={"bf": "0"})
    whole, clip = damaged(path, 5, 10)  # a whole group of pictures
    assert clip.notes == ("5 frames of it are damaged: left out",)
    np.testing.assert_allclose(clip.times * float(samples.FPS), [*range(5), *range(10, 40)], atol=1e-3)
    np.testing.assert_array_equal(read(clip), np.delete(whole, range(5, 10), 0))


def test_damage_further_on_shows_the_frame_before(tmp_path):
    path = tmp_path / "a.mp4"
    samples.save(path, samples.drawn(60), gop=5, options={"bf": "0"})
    whole, clip = damaged(path, 30, 35)
    assert len(clip) == 60
    shown = read(clip)
    np.testing.assert_array_equal(shown[:30], whole[:30])
    np.testing.assert_array_equal(shown[30:35], whole[[29] * 5])
    np.testing.assert_array_equal(shown[35:], whole[35:])
    assert clip.mended_frames() == "5 frames cannot be decoded: the one before stands for each"
    np.testing.assert_array_equal(read(clip, 36), whole[36:])


def test_files_that_are_no_video(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    iio.imwrite(tmp_path / "photo.png", samples.drawn(1)[0])
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        samples._add_tone(container, container.add_stream("aac", rate=48000, layout="mono"), 0.2)
    cases = {
        "text.mp4": "no video",
        "empty.mp4": "no video",
        "folder": "holds no frames",
        "photo.png": "--image",
        "sound.mp4": "holds no video",
        "missing.mp4": "no such file",
    }
    for name, reason in cases.items():
        with pytest.raises(InputError, match=reason) as error:
            video.probe(tmp_path / name)
        one_line(error, tmp_path / name)


def test_frames_of_another_size_in_a_folder(tmp_path):
    for number, shape in enumerate([(20, 24, 3), (20, 24, 3), (20, 26, 3)]):
        iio.imwrite(tmp_path / f"{number}.png", np.zeros(shape, np.uint8))
    with pytest.raises(InputError, match=r"is 26x20, but 0\.png is 24x20") as error:
        read(video.probe(tmp_path))
    one_line(error, tmp_path / "2.png")


# -------------------------------------------------------------------------------------------------------------- writing
def written(clip, frames, out, parts, first=0, stop=None):
    """Writes frames in parts of the given lengths and joins them."""
    paths, start = [], 0
    for number, count in enumerate(parts):
        paths.append(out.with_name(f"part{number}.mp4"))
        with video.VideoWriter(paths[-1], clip.width, clip.height, clip, crf=2) as writer:
            for frame in frames[start : start + count]:
                writer.write(frame)
        start += count
    video.join(paths, parts, out, clip, first, len(clip) if stop is None else stop)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(("rotation", "bits", "matrix"), [(0, 8, 1), (90, 8, 6), (-90, 10, 9)])
def test_what_is_written_is_what_was_read(tmp_path, suffix, rotation, bits, matrix):
    source, out = tmp_path / "a.mp4", tmp_path / f"out{suffix}"
    samples.save(source, samples.drawn(20), rotation=rotation, bits=bits, matrix=matrix, audio="aac")
    clip = video.probe(source)
    frames = read(clip)
    written(clip, frames, out, [8, 8, 4])
    again = video.probe(out)
    for name in ("width", "height", "fps", "rotation", "bits", "matrix", "audio"):
        assert getattr(again, name) == getattr(clip, name)
    np.testing.assert_allclose(again.times, clip.times, atol=1e-3)
    error = np.abs(read(again) - frames.astype(float)).mean() / (257 if bits > 8 else 1)
    assert error < 3
    np.testing.assert_array_equal(  # stored as the source's are, not turned
        samples.decoded(out)[0].shape, samples.decoded(source)[0].shape
    )
    assert [data for data, _ in samples.packets(out)] == [data for data, _ in samples.packets(source)]


def test_audio_of_a_part_begins_and_ends_with_it(tmp_path):
    source, out = tmp_path / "a.mov", tmp_path / "out.mov"
    samples.save(source, samples.drawn(60), audio="pcm_s16le")
    clip = video.probe(source)
    written(clip, read(clip, 15, 45), out, [30], first=15, stop=45)
    data, times = zip(*samples.packets(out), strict=True)
    assert 0 <= times[0] < 0.025
    assert 0.97 < sum(map(len, data)) / (30 / float(samples.FPS) * 48000 * 2) < 1.03
    begin = 15 / float(samples.FPS)
    expected = [d for d, t in samples.packets(source) if begin <= t < 2 * begin + begin]
    assert list(data) == expected


def test_parts_join_without_gaps(tmp_path):
    """The times of all frames are one after the other, also where parts meet."""
    samples.save(tmp_path / "a.mp4", samples.drawn(30))
    clip = video.probe(tmp_path / "a.mp4")
    written(clip, read(clip), tmp_path / "out.mp4", [7, 7, 7, 7, 2])
    times = np.sort([time for _, time in samples.packets(tmp_path / "out.mp4", "video")])
    np.testing.assert_allclose(np.diff(times), 1 / float(samples.FPS), atol=1e-4)


def test_audio_that_the_format_cannot_hold(tmp_path):
    source = tmp_path / "a.mkv"
    samples.save(source, samples.drawn(5), audio="wavpack")
    clip = video.probe(source)
    with pytest.raises(InputError, match=r"mp4 cannot hold its wavpack audio; write a \.mkv") as error:
        video.left_out(clip, tmp_path / "out.mp4")
    one_line(error, source)
    assert video.left_out(clip, tmp_path / "out.mkv") == []
