"""Measures time and memory of programs, which run in turn, so that other load on the machine slows all of them alike.

Networks are mostly measured with random weights: neither time nor memory depends on what was learnt.
"""

import contextlib
import math
import pathlib
import sys
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np

from restore_jax.models import variable_shapes

ENOUGH = 0.05  # seconds; a quicker program is run several times in a row, and the time is divided


def in_turn(runs: Sequence[Callable[[], object]], repeats: int) -> list[list[float]]:
    """Return the seconds of each of `runs` in each of `repeats` rounds; a round calls all, after one to warm up."""
    counts = []
    for run in runs:
        run()
        counts.append(max(1, min(100, math.ceil(ENOUGH / seconds(run, 1)))))
    rounds = [[seconds(run, count) for run, count in zip(runs, counts, strict=True)] for _ in range(repeats)]
    return [list(column) for column in zip(*rounds, strict=True)]


def seconds(run: Callable[[], object], count: int) -> float:
    """Return the seconds that a call takes, the mean of `count` calls."""
    start = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - start) / count


def memory_of(run: Callable[[], object]) -> dict[str, int]:
    """Return bytes of host memory while `run` is called: "process", the process's peak, and "run", the rise to it.

    The numbers hold only in a process that used less memory before: the rise does not show freed memory that is reused.
    """
    with contextlib.suppress(OSError):  # on Linux, forget earlier peaks, such as the compiler's
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    for _ in range(2):
        run()
    peak = _resident("VmHWM")
    return {"process": peak, "run": max(0, peak - before)}


def _resident(field: str) -> int:
    """Return VmRSS, resident bytes now, or VmHWM, their peak so far; without /proc both give the peak."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return peak_memory()


def peak_memory() -> int:
    """Return the most bytes of host memory that this process has had so far."""
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def drawn_variables(model) -> dict:
    """Draw a network's variables, float32 NumPy, so that activations stay within bounds; statistics are 1.

    They are drawn in NumPy because flax's initialisers would take seconds to compile.
    """
    rng = np.random.default_rng(0)

    def drawn(leaf):
        return rng.normal(0, 0.3 * max(1, np.prod(leaf.shape[:-1])) ** -0.5, leaf.shape).astype(np.float32)

    variables = jax.tree.map(drawn, variable_shapes(model))
    if "batch_stats" in variables:
        variables["batch_stats"] = jax.tree.map(np.ones_like, variables["batch_stats"])
    return variables
