"""data/loader: every epoch whole, the same batches after restarts and at any number of processes and workers."""

import itertools
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from restore_jax.data.loader import evaluation_batches, training_batches
from restore_jax.data.sources import open_source
from restore_jax.errors import InputError
from restore_jax.train.config import load_config
from tests.image_samples import saved
from tests.places import ROOT

ROWS = 10  # examples: batches of 4 make two and a half of an epoch


class Numbered:
    """Example i: noise that only it has, and its number."""

    def __init__(self, rows=ROWS):
        self.rows = rows

    def __len__(self):
        return self.rows

    def __getitem__(self, index):
        if not 0 <= index < self.rows:
            raise IndexError(index)
        noise = np.random.default_rng(index).integers(0, 256, (12, 14, 3), np.uint8)
        return {"blurred": noise, "sharp": np.full((12, 14, 3), index, np.uint16)}


def settings(**changes):
    data = load_config(str(ROOT / "configs" / "ifan.py:tiny")).data
    with data.unlocked():
        data.update({"size": 8, "batch_size": 4, "workers": 0, "scale_probability": 0.5, **changes})
    return data


def global_batches(count, first=0, seed=0, processes=1, source=None, more=None, **changes):
    """`count` whole batches: of each the parts of all processes, which read at the same time, in order."""
    every = [
        training_batches(source or Numbered(), settings(**changes), seed, first, process, processes, **(more or {}))
        for process in range(processes)
    ]

    def part(rows):
        try:
            return list(itertools.islice(rows, count))
        finally:
            rows.close()

    with ThreadPoolExecutor(processes) as pool:
        parts = list(pool.map(part, every))
    return [{name: np.concatenate([p[name] for p in batch]) for name in batch[0]} for batch in zip(*parts, strict=True)]


def numbers(batches):
    return np.concatenate([batch["sharp"][:, 0, 0, 0] for batch in batches])


def assert_same(batches, expected):
    assert len(batches) == len(expected)
    for batch, other in zip(batches, expected, strict=True):
        assert batch.keys() == other.keys()
        for name, value in batch.items():
            assert value.dtype == other[name].dtype
            np.testing.assert_array_equal(value, other[name])


# ------------------------------------------------------------------------------------------------------------- training
def test_every_epoch_holds_every_example_once_and_in_another_order():
    epochs = numbers(global_batches(20)).reshape(8, ROWS).tolist()
    assert all(sorted(epoch) == list(range(ROWS)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 8


def test_one_picture_is_an_epoch_too():
    assert numbers(global_batches(2, source=Numbered(1))).tolist() == [0] * 8


def test_the_seed_decides_the_order_and_every_row_has_its_own_chance():
    def drawing(example, rng, data):
        return {"sharp": example["sharp"], "drawn": rng.random(2)}

    more = {"keep": drawing}
    first, again, other = (global_batches(5, seed=seed, more=more) for seed in (1, 1, 2))
    assert_same(again, first)
    assert (numbers(other) != numbers(first)).any()
    drawn = np.concatenate([batch["drawn"] for batch in first + other])
    assert len(np.unique(drawn)) == drawn.size == 2 * 5 * 4 * 2


def test_a_restart_anywhere_goes_on_with_the_same_batches():
    whole = global_batches(12)
    for first in range(1, 12):
        assert_same(global_batches(12 - first, first), whole[first:])
    assert_same(global_batches(1, 600_000), global_batches(2, 599_999)[1:])


@pytest.mark.parametrize(("processes", "workers", "first"), [(2, 0, 0), (4, 0, 3), (2, 2, 0), (4, 2, 3)])
def test_batches_are_the_same_at_any_number_of_processes_and_workers(processes, workers, first):
    batches = global_batches(6, first, processes=processes, workers=workers)
    assert_same(batches, global_batches(first + 6)[first:])


def test_a_batch_that_does_not_divide_is_refused_before_anything_is_read():
    with pytest.raises(ValueError, match=r"data.batch_size=4 does not divide by 3 processes"):
        training_batches(Numbered(), settings(), 0, 0, 0, 3)
    with pytest.raises(ValueError, match=r"data.batch_size=4 does not divide by 8 processes"):
        evaluation_batches(Numbered(), settings(), 0, 8)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_picture_is_an_input_error_that_names_it(tmp_path, workers):
    for name in "abcd":
        (tmp_path / f"{name}.png").write_bytes(saved(np.zeros((16, 16, 3), np.uint8), "png"))
    data = settings(source="photos", folders=(str(tmp_path),), margin=0, workers=workers, cache_mb=1)
    source = open_source(data)
    assert source[0]["sharp"].shape == (16, 16, 3)  # which it keeps: worker processes start without
    damaged = tmp_path / "c.png"
    damaged.write_bytes(damaged.read_bytes()[:50])
    rows = training_batches(source, data, 0, 0)
    with pytest.raises(InputError) as caught:
        list(itertools.islice(rows, 3))
    assert str(caught.value).startswith(f"{damaged}: ")
    assert "\n" not in str(caught.value)


SCRIPT = """
import multiprocessing, os, signal, sys
from restore_jax.train.config import load_config
from restore_jax.data.loader import training_batches
from restore_jax.data.sources import DeadLeaves

def main():
    data = load_config("configs/ifan.py:tiny", ["--config.data.workers=1"]).data
    rows = training_batches(DeadLeaves(), data, 0, 0)
    print(next(rows)["sharp"].shape, flush=True)
    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid, signal.SIGINT)
    os.kill(worker.pid, signal.SIGTERM)
    print(len([next(rows) for _ in range(40)]), flush=True)
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    rows.close()
    print(worker.exitcode, multiprocessing.active_children())

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(("end", "code"), [("closed", 0), ("killed", -9)])
def test_a_worker_heeds_no_signal_and_ends_with_its_run_without_a_word(tmp_path, end, code):
    """Nobody has parsed absl's flags here. `run` returns when all that hold its pipes are gone, the worker included."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-W", "error", tmp_path / "script.py", end]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    said = ["(2, 80, 80, 3)", "40"]
    if end == "closed":
        assert done.stderr == ""
        said.append("0 []")
    assert done.stdout.splitlines() == said


# ----------------------------------------------------------------------------------------------------------- evaluation
@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("rows", [1, 8, 10])
def test_evaluation_sees_every_example_once_in_order(processes, rows):
    source = Numbered(rows)
    every = [list(evaluation_batches(source, settings(), process, processes)) for process in range(processes)]
    batches = [
        {name: np.concatenate([p[name] for p in batch]) for name in batch[0]} for batch in zip(*every, strict=True)
    ]
    assert len(batches) == -(-rows // 4)
    assert all(batch["mask"].shape == (4,) for batch in batches)
    index, mask = (np.concatenate([batch[name] for batch in batches]) for name in ("index", "mask"))
    assert (index.dtype, mask.dtype) == (np.int32, np.bool_)
    assert mask.tolist() == [row < rows for row in range(len(mask))]
    assert index.tolist() == [min(row, rows - 1) for row in range(len(mask))]
    np.testing.assert_array_equal(numbers(batches), index)
    middle = np.concatenate([batch["blurred"] for batch in batches])
    for picture, number in zip(middle, index.tolist(), strict=True):
        np.testing.assert_array_equal(picture, source[number]["blurred"][2:10, 3:11])


def test_a_source_goes_to_workers_without_what_it_keeps():
    source = open_source(settings(source="dead_leaves", cache_mb=1))
    before = len(pickle.dumps(source))
    pictures = [source[i]["sharp"] for i in range(3)]
    assert len(pickle.dumps(source)) == before
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[2]["sharp"], pictures[2])
