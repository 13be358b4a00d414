"""Time and memory of programs: run in turn, so that whatever else the machine does falls on all of them alike.

What both are of is mostly networks whose weights are drawn: neither depends on what was learnt.
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

ENOUGH = 0.05  # seconds; what is quicker is run several times in a row and divided


def in_turn(runs: Sequence[Callable[[], object]], repeats: int) -> list[list[float]]:
    """Seconds of each of `runs` in each of `repeats` rounds; each round calls all of them, once warmed up."""
    counts = []
    for run in runs:
        run()
        counts.append(max(1, min(100, math.ceil(ENOUGH / seconds(run, 1)))))
    rounds = [[seconds(run, count) for run, count in zip(runs, counts, strict=True)] for _ in range(repeats)]
    return [list(column) for column in zip(*rounds, strict=True)]


def seconds(run: Callable[[], object], count: int) -> float:
    """Seconds a call takes, the mean of `count` calls."""
    start = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - start) / count


def memory_of(run: Callable[[], object]) -> dict[str, int]:
    """Bytes of host memory while `run` is called: "process", the peak of the process, and "run", the rise to it.

    Only true in a process that has done nothing bigger before: freed memory that the allocator keeps is reused unseen.
    """
    with contextlib.suppress(OSError):  # forget the peak of what came before, the compiler's for instance (Linux)
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    for _ in range(2):
        run()
    peak = _resident("VmHWM")
    return {"process": peak, "run": max(0, peak - before)}


def _resident(field: str) -> int:
    """VmRSS, resident bytes now, or VmHWM, at most so far; without /proc both are the latter."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return peak_memory()


def peak_memory() -> int:
    """Bytes of host memory that this process has had at most so far."""
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def drawn_variables(model) -> dict:
    """A network's variables, float32 NumPy, of random numbers that keep activations within bounds; statistics are 1.

    Drawn here because flax's initialisers would take seconds to compile.
    """
    rng = np.random.default_rng(0)

    def drawn(leaf):
        return rng.normal(0, 0.3 * max(1, np.prod(leaf.shape[:-1])) ** -0.5, leaf.shape).astype(np.float32)

    variables = jax.tree.map(drawn, variable_shapes(model))
    if "batch_stats" in variables:
        variables["batch_stats"] = jax.tree.map(np.ones_like, variables["batch_stats"])
    return variables
