"""Runs that are killed, told to end, out of disk, or whose checkpoints are damaged: as processes of their own."""

import pathlib
import random
import shutil

import pytest

from tests.training_runs import SMALL, assert_same_weights, finish, overrides, start

EVERY_STEP = overrides("log_every=1", "checkpoint_every=3", "evaluation.every=0")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Compiled programs, shared by all runs of this file."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache):
    """The tiny run, uninterrupted."""
    workdir = tmp_path_factory.mktemp("whole")
    code, out, err = finish(start(workdir, *EVERY_STEP, cache=cache))
    assert code == 0, err
    assert "wrote" in out
    return workdir


def read_until(process, text):
    """Reads the run's lines until one starts with `text`."""
    for line in process.stdout:
        if line.startswith(text):
            return
    raise AssertionError(f"no line {text!r}; {process.stderr.read()}")


def test_killed_at_any_step_it_ends_the_same(whole, cache, tmp_path):
    at = random.randint(2, 18)
    process = start(tmp_path, *EVERY_STEP, cache=cache)
    read_until(process, f"step {at}/20")
    process.kill()
    assert finish(process)[0] == -9
    assert not (tmp_path / "final.safetensors").exists()
    code, out, err = finish(start(tmp_path, *EVERY_STEP, cache=cache))
    assert code == 0, err
    assert "resumed from step" in out or at < 5, f"killed at step {at}"
    assert (whole / "final.safetensors").read_bytes() == (tmp_path / "final.safetensors").read_bytes()


def test_told_to_end_it_saves_says_so_and_goes_on(whole, cache, tmp_path):
    process = start(tmp_path, *EVERY_STEP, cache=cache)
    read_until(process, "step 7/20")
    process.terminate()
    code, out, _ = finish(process)
    assert code == 0
    (said,) = [line for line in out.splitlines() if line.startswith("stopped at step ")]
    step = int(said.split()[3].rstrip(","))
    assert (tmp_path / "checkpoints" / str(step)).is_dir()
    code, out, err = finish(start(tmp_path, *EVERY_STEP, cache=cache))
    assert code == 0, err
    assert f"resumed from step {step}" in out
    assert (whole / "final.safetensors").read_bytes() == (tmp_path / "final.safetensors").read_bytes()


SHORT = [f"--config.{o}" for o in (*SMALL, "total_steps=6", "checkpoint_every=2", "log_every=1", "evaluation.every=0")]


@pytest.fixture(scope="module")
def short(tmp_path_factory, cache):
    """The short run, whole: its folder."""
    workdir = tmp_path_factory.mktemp("short")
    assert finish(start(workdir, *SHORT, cache=cache))[0] == 0
    return workdir


def biggest(folder):
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def cut_short(folder):
    path = biggest(folder)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lose_a_file(folder):
    biggest(folder).unlink()


def lose_metadata(folder):
    (folder / "default" / "_METADATA").unlink()


def half_write(folder):
    # As a kill in the middle of writing leaves it: under a temporary name.
    folder.rename(folder.with_name(f"{folder.name}.orbax-checkpoint-tmp"))
    lose_a_file(folder.with_name(f"{folder.name}.orbax-checkpoint-tmp"))


@pytest.mark.parametrize("damage", [cut_short, lose_a_file, lose_metadata, half_write])
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(short, tmp_path, cache, damage):
    workdir = tmp_path / "run"
    shutil.copytree(short, workdir)
    (workdir / "final.safetensors").unlink()
    damage(workdir / "checkpoints" / "6")
    code, out, err = finish(start(workdir, *SHORT, cache=cache))
    assert code == 0, err
    assert "resumed from step 4" in out
    if damage is not half_write:  # that was never a checkpoint
        assert f"{workdir}/checkpoints/6: damaged, the one before is used" in err
        assert list((workdir / "damaged").iterdir())
    assert_same_weights(short, workdir)


def test_nothing_but_damaged_checkpoints_is_an_error(short, tmp_path, cache):
    workdir = tmp_path / "run"
    shutil.copytree(short, workdir)
    for folder in (workdir / "checkpoints").iterdir():
        lose_a_file(folder)
    code, _, err = finish(start(workdir, *SHORT, cache=cache))
    assert code == 2
    assert "no checkpoint fits this run; the newest is step 6" in err
    assert {path.name for path in (workdir / "checkpoints").iterdir()} == {"2", "4", "6"}


def test_a_full_disk_is_one_line_and_earlier_checkpoints_stay(short, tmp_path, cache):
    workdir = tmp_path / "run"
    more = [*SHORT, "--config.total_steps=12", "--config.checkpoint_every=3"]
    shutil.copytree(short, workdir)
    before = {path: path.read_bytes() for path in (workdir / "checkpoints").rglob("*") if path.is_file()}
    # A quota: no file may grow beyond 100 kB. The log and the config fit, a checkpoint does not.
    code, _, err = finish(start(workdir, *more, cache=cache, limit=100_000))
    assert code == 2, err
    ours = [line for line in err.splitlines() if line.startswith("restore-jax: ")]
    assert len(ours) == 1
    assert str(workdir) in ours[0]
    assert "could not be written" in ours[0] or "cannot be written" in ours[0]
    assert {path: path.read_bytes() for path in before if path.exists()} == before
    code, out, err = finish(start(workdir, *more, cache=cache))
    assert code == 0, err
    assert "resumed from step 6" in out
    assert pathlib.Path(workdir / "final.safetensors").exists()
