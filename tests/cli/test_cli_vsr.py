"""restore-jax vsr from the outside: what is written, what is said, that memory is bounded and a killed run goes on."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import types

import imageio.v3 as iio
import numpy as np
import pytest

import restore_jax
from restore_jax import cli, video
from restore_jax.video import segments
from restore_jax.weights import save
from restore_jax.weights.registry import BEST, SHIPPED
from tests import video_samples as samples
from tests.moving_scene import filmed
from tests.random_weights import restorer


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("RESTORE_JAX_CACHE", "")  # the tests leave nothing in the home folder


@pytest.fixture
def pair(tmp_path):
    """A wide video, and one of twice the focal length that began five frames earlier."""
    samples.save(tmp_path / "wide.mp4", filmed(40, size=(64, 48)), audio="aac", rotation=90)
    samples.save(tmp_path / "tele.mp4", filmed(40, fov=2, late=-5, size=(64, 48), gains=(0.8, 1, 1)), rotation=90)
    return str(tmp_path / "wide.mp4"), str(tmp_path / "tele.mp4")


def run(*arguments):
    return cli.main(["vsr", *map(str, arguments)])


def refused(capsys, *arguments):
    """The one line that the command says when it exits with 2."""
    assert run(*arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("restore-jax: ")]
    assert len(lines) == 1
    return lines[0]


def test_two_videos(pair, tmp_path, capsys):
    out = tmp_path / "out.mp4"
    assert run(pair[0], "--ref", pair[1], "-o", out, "--weights", "bicubic") == 0
    source, result = video.probe(pair[0]), video.probe(out)
    assert (result.width, result.height) == (4 * source.width, 4 * source.height) == (192, 256)
    assert (result.fps, len(result), result.rotation, result.audio) == (samples.FPS, 40, 90, "aac")
    assert [data for data, _ in samples.packets(out)] == [data for data, _ in samples.packets(pair[0])]
    small = np.stack(list(video.frames(source, range(40)))).astype(float)
    large = np.stack(list(video.frames(result, range(40)))).reshape(40, 64, 4, 48, 4, 3).mean((2, 4))
    assert np.abs(large - small).mean() < 4
    said, progress = capsys.readouterr()
    offset = 5 / float(samples.FPS)
    assert f"offset {offset:+.3f} s (confidence 0." in said
    assert "field of view 1/2.0" in said or "field of view 1/1.9" in said
    assert "has the moments of frames 1 to 35 of 1 to 40" in said
    assert "bicubic does not use it" in said
    assert "frame 1 of 40" in progress
    assert not (tmp_path / "out.mp4.parts").exists()


def test_a_part_without_reference_into_a_folder(pair, tmp_path, capsys):
    out = tmp_path / "frames"
    assert run(pair[0], "-o", out, "--start", 0.5, "--end", 0.8) == 0
    assert "no reference video (--ref): enlarged by " in capsys.readouterr().out
    names = sorted(path.name for path in out.iterdir())
    assert names == [f"frame_{number:06}.png" for number in range(1, 10)]
    source = list(video.frames(video.probe(pair[0]), range(15, 24)))
    first = iio.imread(out / names[0]).reshape(64, 4, 48, 4, 3).mean((1, 3))
    assert np.abs(first - source[0]).mean() < 2
    # and back, at another rate
    assert run(out, "-o", tmp_path / "again.mov", "--fps", "12.5", "--scale", 2, "--quiet") == 0
    again = video.probe(tmp_path / "again.mov")
    assert (again.width, again.height, again.fps, len(again)) == (384, 512, 12.5, 9)
    assert "not empty" in refused(capsys, pair[0], "-o", out)


def test_given_values_are_taken(pair, tmp_path, capsys):
    arguments = ("--fov", 2.5, "--offset", 0.1, "--weights", "bicubic", "--end", 0.2)
    assert run(pair[0], "--ref", pair[1], "-o", tmp_path / "out.mp4", *arguments) == 0
    assert "offset +0.100 s (given), field of view 1/2.500 (given)" in capsys.readouterr().out


def test_a_single_pair_of_images(tmp_path, capsys):
    wide, tele, out = tmp_path / "wide.png", tmp_path / "tele.png", tmp_path / "out.png"
    iio.imwrite(wide, filmed(1, size=(63, 47))[0])
    iio.imwrite(tele, filmed(1, fov=2)[0])
    assert run(wide, "--ref", tele, "-o", out, "--image") == 0
    assert iio.imread(out).shape == (188, 252, 3)
    said = capsys.readouterr().out
    assert "field of view 1/" in said
    assert "offset" not in said
    assert "photograph, not a video: use --image" in refused(capsys, wide, "-o", tmp_path / "out.mp4")
    assert "wide.png" in refused(capsys, tele, "--ref", wide, "-o", out, "--image")


# -------------------------------------------------------------------------------------------------- bad input
def test_one_line_for_bad_input(pair, tmp_path, capsys):
    wide, tele = pair
    out = tmp_path / "out.mp4"
    for name, count in (("a", 3), ("b", 4)):
        (tmp_path / name).mkdir()
        for number, frame in enumerate(filmed(count, size=(32, 24))):
            iio.imwrite(tmp_path / name / f"{number}.png", frame)
    samples.save(tmp_path / "other.mp4", filmed(30, seed=4, size=(64, 48)))
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "wide.mp4").read_bytes()[:3000])
    cases = [
        ((tele, "--ref", wide, "-o", out), "the wider one comes first"),
        ((wide, "--ref", tmp_path / "other.mp4", "-o", out), "nothing of"),
        ((tmp_path / "a", "--ref", tmp_path / "b", "-o", out), "holds 4 frames"),
        ((tmp_path / "cut.mp4", "-o", out), "damaged or truncated"),
        ((tmp_path / "missing.mp4", "-o", out), "missing.mp4: no such file"),
        ((wide, "-o", wide), "would be overwritten"),
        ((wide, "-o", tmp_path / "out.avi"), "cannot write .avi"),
        ((wide, "-o", out, "--start", 9), "--start 9"),
        ((wide, "-o", out, "--start", 1, "--end", 0.5), "--end 0.5"),
        ((wide, "-o", out, "--fov", 2), "--fov"),
        ((wide, "--ref", tele, "-o", out, "--fov", 0.5), "--fov 0.5"),
        ((wide, "--ref", tele, "-o", out, "--offset", 60), "shows no moment"),
        ((wide, "-o", out, "--weights", "ifan"), "vsr takes refvsr"),
        ((wide, "-o", out, "--crf", 99), "--crf 99"),
    ]
    for arguments, reason in cases:
        assert reason in refused(capsys, *arguments), arguments
    assert not out.exists()


# -------------------------------------------------------------------------------------------------- bounded memory
MEASURED = """
import resource, sys
from restore_jax import cli
assert cli.main(sys.argv[1:]) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_length(tmp_path):
    peaks = []
    for count in (40, 400):
        for name, fov in (("wide", 1), ("tele", 2)):
            samples.save(tmp_path / f"{name}.mp4", filmed(count, fov=fov, size=(64, 48)), audio="aac")
        arguments = ["vsr", "wide.mp4", "--ref", "tele.mp4", "-o", f"{count}.mp4", "--weights", "bicubic", "--quiet"]
        command = [sys.executable, "-c", MEASURED, *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    assert len(video.probe(tmp_path / "400.mp4")) == 400
    assert peaks[1] < 1.05 * peaks[0]


# -------------------------------------------------------------------------------------------------- crash-safe
KILLED = """
import os, signal, sys
import restore_jax
from restore_jax import cli, video
write, count = video.VideoWriter.write, 0
def dying(self, frame):
    global count
    count += 1
    if count == 75:
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, frame)
video.VideoWriter.write = dying
cli.main(sys.argv[1:])
"""


def test_a_killed_run_goes_on_with_the_same_result(tmp_path, capsys):
    samples.save(tmp_path / "wide.mp4", filmed(100, size=(64, 48)), audio="aac")
    arguments = ["vsr", str(tmp_path / "wide.mp4"), "--start", "0.1", "-o", str(tmp_path / "out.mp4")]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    parts = tmp_path / "out.mp4.parts"
    assert json.loads((parts / "progress.json").read_text())["segments"] == 2
    assert not (tmp_path / "out.mp4").exists()
    assert cli.main(arguments) == 0
    assert "going on behind frame 64" in capsys.readouterr().err
    assert not parts.exists()
    assert cli.main([*arguments[:-1], str(tmp_path / "whole.mp4")]) == 0
    for kind in ("video", "audio"):
        assert samples.packets(tmp_path / "out.mp4", kind) == samples.packets(tmp_path / "whole.mp4", kind)
    assert len(samples.packets(tmp_path / "whole.mp4", "video")) == 97


def test_python_does_what_the_command_does(pair, tmp_path):
    """Paths in Python give what the command gives, going on where the command was killed."""
    arguments = ["vsr", pair[0], "--ref", pair[1], "--weights", "bicubic"]
    assert cli.main([*arguments, "-o", str(tmp_path / "whole.mp4"), "--quiet"]) == 0
    out = tmp_path / "out.mp4"
    killed = KILLED.replace("75", "35")
    done = subprocess.run([sys.executable, "-c", killed, *arguments, "-o", str(out)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    told = []
    reporter = types.SimpleNamespace(
        **{name: lambda *_: None for name in ("photo", "progress", "clear")},
        terminal=False,
        status=lambda text, slow=False: told.append(text),
        done=told.append,
    )
    found = restore_jax.super_resolve(pair[0], pair[1], out=out, weights="bicubic", reporter=reporter)
    assert found == out
    assert "going on behind frame 32" in told
    for kind in ("video", "audio"):
        assert samples.packets(out, kind) == samples.packets(tmp_path / "whole.mp4", kind)


def test_python_refuses_what_belongs_to_files_with_frames(tmp_path):
    frame = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(TypeError, match="out"):
        restore_jax.super_resolve([frame], weights="bicubic", out=tmp_path / "out.mp4")
    with pytest.raises(TypeError, match="gains"):
        restore_jax.super_resolve("wide.mp4", gains=(1, 1, 1))


@pytest.mark.parametrize(
    ("wide", "out"), [("wide.mp4", "wide_enlarged.mp4"), ("wide.mkv", "wide_enlarged.mkv"), ("wide/", "wide_enlarged")]
)
def test_a_result_is_named_after_its_input(tmp_path, monkeypatch, capsys, wide, out):
    monkeypatch.chdir(tmp_path)
    if wide.endswith("/"):
        os.mkdir("wide")
        iio.imwrite("wide/1.png", filmed(1, size=(32, 24))[0])
    else:
        samples.save(tmp_path / wide, filmed(2, size=(32, 24)), audio="aac")
    assert run(wide, "--weights", "bicubic") == 0
    assert (tmp_path / out).exists()
    assert str(out) in capsys.readouterr().out


def test_a_photograph_is_named_after_its_input(tmp_path):
    iio.imwrite(tmp_path / "wide.png", filmed(1, size=(32, 24))[0])
    assert run(tmp_path / "wide.png", "--image", "--weights", "bicubic") == 0
    assert iio.imread(tmp_path / "wide_enlarged.png").shape == (96, 128, 3)


def test_another_job_starts_anew(tmp_path, capsys):
    samples.save(tmp_path / "wide.mp4", filmed(80, size=(64, 48)))
    arguments = ["vsr", str(tmp_path / "wide.mp4"), "-o", str(tmp_path / "out.mp4")]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert cli.main([*arguments, "--crf", "30"]) == 0
    assert "frame 1 of 80" in capsys.readouterr().err


def test_a_job_is_of_what_its_weights_are(pair, tmp_path, monkeypatch):
    """Not of their names and times: a shipped file can change under a default."""
    jobs = []
    monkeypatch.setattr(segments, "write", lambda out, target, job, *_: jobs.append(job["weights"]) or out.touch())
    file = tmp_path / "w.safetensors"
    for amount, weights in ((0, file), (1, file), (1, None), (1, "bicubic")):
        chosen = restorer("srcnn", amount)
        save(file, chosen.params, "srcnn", {}, {})
        os.utime(file, ns=(0, 0))
        assert run(pair[0], "-o", tmp_path / f"{len(jobs)}.mp4", *(["--weights", weights] if weights else [])) == 0
    assert jobs[0] == [str(file), jobs[0][1], None]
    assert jobs[1][1] == hashlib.sha256(file.read_bytes()).hexdigest() != jobs[0][1]
    shipped = json.loads((SHIPPED / f"{BEST['basicvsr']}.json").read_text())
    assert jobs[2:] == [["basicvsr", shipped["sha256"], None], ["bicubic", None, None]]


def summed(first, state):
    """Frames whose values are the sum of all numbers up to theirs, carried as the state."""
    total = np.zeros(1, np.float32) if state is None else state["tile0"]["sum"]
    for number in range(first, 11):
        total = total + number
        yield np.full((4, 6, 3), total[0], np.uint8), {"tile0": {"sum": total}}


@pytest.mark.parametrize("stop", range(1, 12))
def test_the_state_is_kept_between_runs(tmp_path, stop):
    out = tmp_path / "out"

    def stopping(first, state):
        for number, pair in enumerate(summed(first, state), first + 1):
            if number == stop:
                raise KeyboardInterrupt
            yield pair

    done = []
    arguments = (out, segments.folder_target(), {"a": 1}, 11)
    with pytest.raises(KeyboardInterrupt):
        segments.write(*arguments, stopping, done.append, length=3)
    assert not out.exists()
    done.clear()
    segments.write(*arguments, summed, done.append, length=3)
    assert done[0] == (stop - 1) // 3 * 3
    assert done[-1] == 11
    frames = [iio.imread(path) for path in sorted(out.iterdir())]
    assert [int(frame[0, 0, 0]) for frame in frames] == np.cumsum(range(11)).tolist()
    assert os.listdir(tmp_path) == ["out"]
