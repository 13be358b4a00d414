"""timing.py: the order of runs, the mean of quick ones, and memory that rises by what is allocated."""

import time

import numpy as np

from restore_jax.bench import timing


def test_programs_take_turns_after_one_warm_up(monkeypatch):
    monkeypatch.setattr(timing, "ENOUGH", 0.0)
    calls = []
    times = timing.in_turn([lambda: calls.append("a"), lambda: calls.append("b")], 3)
    assert calls == ["a", "a", "b", "b"] + ["a", "b"] * 3
    assert [len(t) for t in times] == [3, 3]
    assert min(min(t) for t in times) >= 0


def test_quick_programs_are_repeated_and_divided(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    calls = {"quick": 0, "slow": 0}

    def program(name, seconds):
        def run():
            calls[name] += 1
            clock[0] += seconds

        return run

    times = timing.in_turn([program("quick", 0.01), program("slow", 2.0)], 4)
    np.testing.assert_allclose(times, [[0.01] * 4, [2.0] * 4])
    assert calls["slow"] == 2 + 4
    assert calls["quick"] >= 2 + 4 * 5


def test_memory_rises_by_what_a_run_allocates():
    size = 96_000_000  # beyond what the allocator keeps for reuse
    memory = timing.memory_of(lambda: np.ones(size, np.uint8))
    assert size * 0.95 < memory["run"] < 2 * size
    assert memory["process"] > memory["run"]
