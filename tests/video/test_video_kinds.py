"""Kinds of videos that people have, enlarged by `restore-jax vsr`: frames, times, tags and tracks by PyAV's account."""

import io
import os
import struct
import sys
import types
from fractions import Fraction

import av
import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image, ImageCms

from restore_jax import cli
from tests import video_samples as samples

TICK = Fraction(1, 90_000)


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")  # the tests leave nothing in the home folder


def enlarged(capsys, source, out, *arguments):
    """Enlarge a video twice by the command, to `out`; return what it says."""
    capsys.readouterr()
    code = cli.main(["vsr", str(source), "-o", str(out), "--weights", "bicubic", "--scale", "2", *map(str, arguments)])
    said = capsys.readouterr()
    assert code == 0, said.err
    return said.out


def shown(path):
    """(times, RGB frames) as a player shows them."""
    times, frames = [], []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            try:
                decoded = packet.decode()
            except av.error.InvalidDataError:
                continue
            times += [frame.time for frame in decoded]
            frames += [frame.to_ndarray(format="rgb24") for frame in decoded]
    return np.array(times), np.stack(frames)


def same(source, out, tolerance=0.0011):
    """Sees that `out` shows the frames of `source`, twice as large, at the same times; returns how many."""
    (times, frames), (new_times, new_frames) = shown(source), shown(out)
    assert len(times) == len(new_times)
    np.testing.assert_allclose(new_times - new_times[0], times - times[0], atol=tolerance)
    count, height, width, _ = frames.shape
    small = new_frames.reshape(count, height, 2, width, 2, 3).mean((2, 4))
    assert np.abs(small - frames).mean() < 5
    assert abs((small - frames).mean()) < 1
    return len(times)


def copied(source, out, first=0, last=None, zero=None, **options):
    """Copies packets `first` to `last` of the video, by decoding order, and the sound from there; `zero` is time 0."""
    with av.open(str(source)) as given, av.open(str(out), "w", **options) as target:
        video = given.streams.video[0]
        tracks = {stream.index: target.add_stream_from_template(stream) for stream in given.streams}
        begin, number = None, -1
        for packet in list(given.demux()):
            if not packet.size:
                continue
            if packet.stream is video:
                number += 1
                if not first <= number < (last or 10**9):
                    continue
                begin = packet.dts * packet.time_base if begin is None else begin
            elif begin is None or packet.dts * packet.time_base < begin:
                continue
            shift = round(Fraction(zero or 0) / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = tracks[packet.stream.index]
            target.mux(packet)


# ------------------------------------------------------------------------------------------------------------- timing
def test_a_clip_that_is_trimmed_by_a_list_of_edits(tmp_path, capsys):
    whole, trimmed, out = (tmp_path / name for name in ("whole.mp4", "trimmed.mp4", "out.mp4"))
    samples.save(whole, samples.drawn(60), fps=Fraction(30), gop=15, audio="aac")
    copied(whole, trimmed, first=15, last=45, zero=Fraction(20, 30))
    said = enlarged(capsys, trimmed, out)
    assert same(trimmed, out) == 25
    assert "left out" not in said
    for path in (trimmed, out):
        with av.open(str(path)) as container:
            sound = container.streams.audio[0]
            assert abs(sound.start_time * sound.time_base) < 0.03
    with av.open(str(out)) as container:
        video = container.streams.video[0]
        assert abs(video.duration * video.time_base - Fraction(25, 30)) < 0.002


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_open_groups_of_pictures_cut_at_the_front(tmp_path, capsys, suffix):
    whole, cut, out = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}", tmp_path / "out.mp4"
    samples.save(
        whole, samples.drawn(60), gop=10, codec="libx265", encoder={"x265-params": "open-gop=1:log-level=none"}
    )
    with av.open(str(whole)) as container:
        keys = [n for n, p in enumerate(p for p in container.demux(video=0) if p.size) if p.is_keyframe]
    copied(whole, cut, first=keys[1])
    left = 60 - keys[1] - len(shown(cut)[0])
    assert left > 0
    said = enlarged(capsys, cut, out)
    assert same(cut, out) == 60 - keys[1] - left
    assert f"{left} frames at its beginning lack the frames they build on: left out" in said


def test_a_stream_that_begins_between_key_frames(tmp_path, capsys):
    whole, cut, out = tmp_path / "whole.ts", tmp_path / "cut.ts", tmp_path / "out.mp4"
    samples.save(whole, samples.drawn(50), gop=20, audio="aac")
    copied(whole, cut, first=7)
    said = enlarged(capsys, cut, out)
    assert same(cut, out) == 30
    assert "13 frames at its beginning lack" in said
    offsets = []
    for path in (cut, out):
        first = shown(path)[0][0]
        with av.open(str(path)) as container:
            offsets.append(first - float(container.streams.audio[0].start_time * container.streams.audio[0].time_base))
    assert abs(offsets[0] - offsets[1]) < 0.001
    assert abs(offsets[0]) > 0.1


@pytest.mark.parametrize(
    "times",
    [
        [*range(20), *range(21, 41)],
        [*range(30), *range(30, 90, 2)],
        [0, 1, 2, 3, 30, 31, 90],
        np.cumsum(np.random.default_rng(3).integers(1, 40, 45)).tolist(),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_keep_their_own_times(tmp_path, capsys, times, suffix):
    source, out = tmp_path / "a.mp4", tmp_path / f"out{suffix}"
    samples.save(source, samples.drawn(len(times)), fps=Fraction(60), times=times)
    enlarged(capsys, source, out)
    assert same(source, out) == len(times)
    start, end = ((times[number] - times[0] - 0.1) / 60 for number in (3, 6))
    enlarged(capsys, source, tmp_path / f"part{suffix}", "--start", start, "--end", end)
    part = shown(tmp_path / f"part{suffix}")[0]
    np.testing.assert_allclose((part - part[0]) * 60, np.array(times[3:6]) - times[3], atol=0.07)  # a millisecond


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mp4"])
def test_a_file_that_ends_early_says_so(tmp_path, capsys, suffix):
    whole, cut, out = tmp_path / f"a{suffix}", tmp_path / f"cut{suffix}", tmp_path / "out.mp4"
    options = {"movflags": "faststart"} if suffix == ".mp4" else None
    samples.save(whole, samples.drawn(60), fps=Fraction(30), options=options)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10 - 1])
    said = enlarged(capsys, cut, out)
    assert f"{cut}: ends early" in said
    if suffix != ".ts":
        assert "of the 2.0" in said
    assert 20 < same(cut, out) < 50
    samples.save(whole, samples.drawn(10))
    assert "ends early:" not in enlarged(capsys, whole, tmp_path / "b.mp4")


@pytest.mark.parametrize("fps", [Fraction(24), Fraction(30000, 1001), Fraction(50)])
def test_a_raw_stream_has_the_rate_that_it_names(tmp_path, capsys, fps):
    samples.save(tmp_path / "a.h264", samples.drawn(25), fps=fps)
    enlarged(capsys, tmp_path / "a.h264", tmp_path / "out.mp4")
    times = shown(tmp_path / "out.mp4")[0]
    np.testing.assert_allclose(times, np.arange(25) / float(fps), atol=1e-3)


def test_interlaced_frames_are_deinterlaced(tmp_path, capsys):
    frames = np.full((30, 96, 128, 3), 40, np.uint8)
    for number, frame in enumerate(frames):
        for field in (0, 1):
            left = 10 + 2 * (2 * number + field) // 2
            frame[field::2, left : left + 20] = 200
    samples.save(tmp_path / "a.mp4", frames, fps=Fraction(25), interlaced=True)
    said = enlarged(capsys, tmp_path / "a.mp4", tmp_path / "out.mp4")
    assert "deinterlaced" in said
    times, result = shown(tmp_path / "out.mp4")
    np.testing.assert_allclose(times, np.arange(30) / 25, atol=1e-3)
    combed = np.abs(np.diff(frames[5:-5].astype(float), axis=1)).mean()
    assert np.abs(np.diff(result[5:-5].astype(float), axis=1)).mean() < 0.2 * combed
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert not next(container.decode(video=0)).interlaced_frame


# ---------------------------------------------------------------------------------------------------- what a file says
def side_data(path, name):
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return next((bytes(data) for data in frame.side_data if data.type.name == name), None)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_display_matrix_is_kept(tmp_path, capsys, suffix, degrees, mirrored):
    source, out = tmp_path / "a.mp4", tmp_path / f"out{suffix}"
    samples.save(source, samples.drawn(3), rotation=degrees, mirrored=mirrored)
    enlarged(capsys, source, out)
    same(source, out)  # as stored
    before, after = (side_data(path, "DISPLAYMATRIX") for path in (source, out))
    if degrees or mirrored:
        assert struct.unpack("=9i", before)[:6] == struct.unpack("=9i", after)[:6]
    else:
        assert after is None
    enlarged(capsys, source, tmp_path / "frames")
    matrix = np.array(struct.unpack("=9i", before)).reshape(3, 3)[:2, :2] // 65536 if before else np.eye(2, dtype=int)
    stored = shown(source)[1][0]
    first = iio.imread(tmp_path / "frames" / "frame_000001.png")
    small = first.reshape(first.shape[0] // 2, 2, first.shape[1] // 2, 2, 3).mean((1, 3))
    rows, columns = np.indices(stored.shape[:2])
    places = np.stack([columns, rows], -1) @ matrix  # x' = a x + c y, y' = b x + d y
    places -= places.min((0, 1))
    upright = np.zeros_like(small)
    upright[places[..., 1], places[..., 0]] = stored
    assert np.abs(small - upright).mean() < 5


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pixels_keep_their_aspect_and_colours_their_tags(tmp_path, capsys, suffix):
    source, out = tmp_path / "a.mp4", tmp_path / f"out{suffix}"
    samples.save(
        source,
        samples.drawn(3),
        rotation=90,
        aspect=Fraction(64, 45),
        matrix=9,
        primaries=9,
        transfer=18,
        full_range=True,
    )
    enlarged(capsys, source, out)
    for path in (source, out):
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            assert container.streams.video[0].sample_aspect_ratio == Fraction(64, 45)
            tags = frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range
            assert tags == (9, 9, 18, 2)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_mastering_and_light_levels_are_kept(tmp_path, capsys, suffix):
    source, out = tmp_path / "a.mp4", tmp_path / f"out{suffix}"
    said = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
    encoder = {"x265-params": f"{said}:hdr10=1:log-level=none"}
    samples.save(
        source, samples.drawn(40), codec="libx265", bits=10, matrix=9, primaries=9, transfer=16, encoder=encoder
    )
    enlarged(capsys, source, out)
    for name in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"):
        assert side_data(out, name) == side_data(source, name) is not None
    if suffix == ".mp4":  # in its header too
        data = out.read_bytes()
        place = data.index(b"mdcv")
        primaries = (13250, 34500, 7500, 3000, 34000, 16000, 15635, 16450)
        assert struct.unpack(">8H2I", data[place + 4 : place + 28]) == (*primaries, 10_000_000, 50)
        place = data.index(b"clli")
        assert struct.unpack(">2H", data[place + 4 : place + 8]) == (1000, 400)


# --------------------------------------------------------------------------------------------------- all other tracks
def rich(path, picture_late=0.0):
    """A Matroska file with two sound tracks, subtitles, two chapters, an attached file, and tags."""
    subtitle = av.Packet(b"A line of text")
    subtitle.pts = subtitle.dts = 500
    subtitle.duration, subtitle.time_base = 400, Fraction(1, 1000)
    with av.open(str(path), "w") as container:
        tags = {
            "title": "Holiday",
            "creation_time": "2024-05-06T07:08:09.000000Z",
            "location": "+48.1+011.5/",
            "make": "X",
        }
        container.metadata.update(tags)
        video = container.add_stream("libx264", rate=30, options={"crf": "4", "g": "12"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.metadata["timecode"] = "01:00:00:10"
        sounds = [container.add_stream("aac", rate=48000, layout="mono") for _ in range(2)]
        words = container.add_mux_stream("subrip")
        words.time_base = Fraction(1, 1000)
        for track, language in zip([*sounds, words], ("eng", "fra", "deu"), strict=True):
            track.metadata["language"] = language
        sounds[1].metadata["title"] = "Commentary"
        container.add_attachment("font.ttf", "font/ttf", b"no real font" * 20)
        chapters = [("One", 0, 1000), ("Two", 1000, 2000)]
        container.set_chapters(
            [
                {"id": n, "start": a, "end": b, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
                for n, (title, a, b) in enumerate(chapters, 1)
            ]
        )
        for i, frame in enumerate(samples.drawn(60)):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = i + round(30 * picture_late), Fraction(1, 30)
            container.mux(video.encode(picture))
        container.mux(video.encode())
        for sound in sounds:
            samples._add_tone(container, sound, 2.0)
        subtitle.stream = words
        container.mux(subtitle)


def tracks(path):
    """(kind, codec, language, title) of all tracks but the first, and chapters (title, start, end)."""
    with av.open(str(path)) as container:
        found = [
            (s.type, s.codec_context.name, s.metadata.get("language"), s.metadata.get("title"))
            for s in list(container.streams)[1:]
            if s.codec_context
        ]
        chapters = [
            (c["metadata"]["title"], *(float(c[side] * c["time_base"]) for side in ("start", "end")))
            for c in container.chapters()
        ]
        attached = [(s.name, s.data) for s in container.streams if s.type == "attachment"]
        return found, chapters, attached, dict(container.metadata), dict(container.streams.video[0].metadata)


def test_all_tracks_go_to_matroska(tmp_path, capsys):
    source, out = tmp_path / "a.mkv", tmp_path / "out.mkv"
    rich(source)
    said = enlarged(capsys, source, out)
    assert "left out" not in said
    before, after = tracks(source), tracks(out)
    assert before[:3] == after[:3]
    assert len(before[0]) == 3
    assert len(before[1]) == 2
    assert len(before[2]) == 1
    for name in ("title", "creation_time", "LOCATION", "MAKE"):
        assert after[3][name] == before[3][name]
    assert after[4]["TIMECODE"] == "01:00:00:10"
    for kind in ("audio", "subtitles"):
        assert samples.packets(source, kind) == samples.packets(out, kind)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_mp4_holds_what_it_can_and_the_rest_is_named(tmp_path, capsys, suffix):
    source, out = tmp_path / "a.mkv", tmp_path / f"out{suffix}"
    rich(source)
    said = enlarged(capsys, source, out)
    (line,) = [line for line in said.splitlines() if "left out" in line]
    assert "attachment track 4" in line
    assert "audio" not in line
    found, chapters, _, tags, video = tracks(out)
    kinds = [(kind, codec, language) for kind, codec, language, _ in found]
    german = {".mp4": "deu", ".mov": "ger"}[suffix]  # QuickTime knows it by its other code
    assert kinds == [("audio", "aac", "eng"), ("audio", "aac", "fra"), ("subtitle", "mov_text", german)]
    assert chapters == [("One", 0, 1), ("Two", 1, 2)]
    assert tags["creation_time"] == "2024-05-06T07:08:09.000000Z"
    assert tags["title"] == "Holiday"
    assert "+48.1" in tags.get("location", tags.get("LOCATION", ""))
    assert tags.get("make", tags.get("MAKE")) == "X"
    assert video["timecode"] == "01:00:00:10"
    texts = [(data, time) for data, time in samples.packets(out, "subtitles") if len(data) > 2]
    ((text, time),) = texts
    assert text[2:] == b"A line of text"
    ((_, expected),) = samples.packets(source, "subtitles")
    assert abs(time - shown(out)[0][0] - (expected - shown(source)[0][0])) < 0.002


def test_a_part_takes_its_part_of_the_tracks(tmp_path, capsys):
    source, out = tmp_path / "a.mkv", tmp_path / "out.mkv"
    rich(source)
    enlarged(capsys, source, out, "--start", 0.7, "--end", 1.5)
    _, chapters, _, _, video = tracks(out)
    assert chapters == [
        ("One", 0, pytest.approx(0.3, abs=0.03)),
        ("Two", pytest.approx(0.3, abs=0.03), pytest.approx(0.8, abs=0.03)),
    ]
    assert video["TIMECODE"] == "01:00:01:01"  # 21 frames later
    ((text, time),) = samples.packets(out, "subtitles")
    assert (text, round(time, 2)) == (b"A line of text", 0)
    times = [time for _, time in samples.packets(out, "audio")]
    assert 0 <= times[0] < 0.03
    assert 0.74 < times[-1] < 0.8


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_that_begins_before_the_picture(tmp_path, capsys, suffix):
    source, out = tmp_path / "a.mkv", tmp_path / f"out{suffix}"
    rich(source, picture_late=0.4)
    enlarged(capsys, source, out)
    offsets = [shown(path)[0][0] - samples.packets(path)[0][1] for path in (source, out)]
    assert abs(offsets[0] - offsets[1]) < 0.002
    assert offsets[0] > 0.39
    assert len(samples.packets(out)) == len(samples.packets(source))


# ------------------------------------------------------------------------------------------ transparency and folders
def transparent(path, codec, pix_fmt):
    frames = np.dstack([np.repeat(samples.drawn(1)[0], 1, 0), np.full((48, 64), 255, np.uint8)])[None].repeat(3, 0)
    for number in range(3):
        frames[number, 10:30, 5 + number : 40, 3] = 90
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options={"lossless": "1"} if codec == "libvpx-vp9" else {})
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgba").reformat(format=pix_fmt)
            picture.pts, picture.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return frames[..., 3]


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"), [("a.mov", "prores_ks", "yuva444p10le"), ("a.webm", "libvpx-vp9", "yuva420p")]
)
def test_transparency_goes_to_a_folder_and_is_named_elsewhere(tmp_path, capsys, name, codec, pix_fmt):
    alpha = transparent(tmp_path / name, codec, pix_fmt)
    enlarged(capsys, tmp_path / name, tmp_path / "frames")
    for number in range(3):
        picture = iio.imread(tmp_path / "frames" / f"frame_{number + 1:06}.png")
        large = picture[..., 3] / (257 if picture.dtype == np.uint16 else 1)
        small = large.reshape(48, 2, 64, 2).mean((1, 3))
        assert np.abs(small - alpha[number]).mean() < 4
        assert abs(small[12:28, 10:38].mean() - 90) < 4
    assert "holds no transparency" in enlarged(capsys, tmp_path / name, tmp_path / "out.mp4")


def test_frames_of_a_folder_keep_profile_alpha_and_depth(tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frames = np.dstack([samples.drawn(1)[0], np.full((48, 64), 128, np.uint8)])
    for number in (1, 2, 3, 7, 8):
        Image.fromarray(frames).save(folder / f"f_{number}.png", icc_profile=profile)
    (folder / "notes.txt").write_text("no picture")
    said = enlarged(capsys, folder, tmp_path / "out")
    assert f"{folder}: its numbering has gaps: 4 to 6 missing" in said
    assert "1 file left out: notes.txt" in said
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"frame_{number:06}.png" for number in range(1, 6)]
    with Image.open(tmp_path / "out" / names[0]) as picture:
        assert picture.info["icc_profile"] == profile
        assert picture.mode == "RGBA"
        assert np.array(picture)[..., 3].tolist() == np.full((96, 128), 128).tolist()
    said = enlarged(capsys, folder, tmp_path / "out.mp4")
    assert "holds no ICC profile" in said
    assert "holds no transparency" in said


# ----------------------------------------------------------------------------------------------------- pipes and names
def test_standard_input_and_output(tmp_path, capsys, monkeypatch):
    samples.save(tmp_path / "a.mp4", samples.drawn(5), audio="aac")
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO((tmp_path / "a.mp4").read_bytes())))
    with capsys.disabled(), monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", types.SimpleNamespace(buffer=written, flush=lambda: None))
        assert cli.main(["vsr", "-", "-o", "-", "--weights", "bicubic", "--scale", "2", "--quiet"]) == 0
    (tmp_path / "out.mkv").write_bytes(written.getvalue())
    assert same(tmp_path / "a.mp4", tmp_path / "out.mkv") == 5
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(b"")))
    assert cli.main(["vsr", "-", "-o", str(tmp_path / "no.mp4"), "--weights", "bicubic"]) == 2
    assert "standard input: holds nothing" in capsys.readouterr().err


def test_names_as_long_as_can_be(tmp_path, capsys):
    source, out = tmp_path / f"{'a' * 251}.mp4", tmp_path / f"{'b' * 251}.mp4"
    samples.save(tmp_path / "a.mp4", samples.drawn(3))
    os.rename(tmp_path / "a.mp4", source)
    enlarged(capsys, source, out)
    assert same(source, out) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [source.name, out.name]
