"""Measures speed and memory of networks and operations, beside a plain convolution in the same run.

Times are warm: a program is compiled and called once before, and its compile time is stated apart. All programs run in
turn, round after round, so that a busy machine slows them alike. Memory is measured in a fresh process for each
network.
"""

from typing import Any

from restore_jax.bench import timing
from restore_jax.bench.programs import (
    PLAIN,
    TORCH,
    Settings,
    deform_programs,
    fresh_memory,
    iac_programs,
    ifan_name,
    ifan_program,
    matching_programs,
    network_program,
    plain_convolutions,
    torch_program,
)
from restore_jax.bench.report import row
from restore_jax.models import NAMES, create
from restore_jax.report import say

WHAT = ("ifan", "iac", "matching", "deform")
FULL = (1120, 1680)  # height and width that --full adds


def others() -> tuple[str, ...]:
    """Return the names of networks that are measured as they are published, beside those of WHAT."""
    return tuple(name for name in NAMES if name not in WHAT and create(name).interface.output)


def measure(settings: list[Settings], what: list[str], repeats: int, torch: bool) -> list[dict[str, Any]]:
    """Measure the programs of `what` and return a row for each, as `report.row` gives it."""
    memory = {}
    if "ifan" in what:  # before this process takes the accelerator
        for s in settings:
            for framework in (False, True) if torch else (False,):
                name = ifan_name(s) + (TORCH if framework else "")
                say(f"memory of {name} at {s.width}x{s.height}")
                memory[name, f"{s.width}x{s.height}"] = fresh_memory(s, framework)
    say("compiling")
    programs = plain_convolutions(settings[0])
    if "iac" in what:
        programs += iac_programs(settings[0]) + ([torch_program(settings[0], "iac")] if torch else [])
    if "matching" in what:
        programs += matching_programs()
    if "deform" in what:
        programs += deform_programs()
    programs += [network_program(name, settings[0].height, settings[0].width) for name in what if name in others()]
    if "ifan" in what:
        for s in settings:
            programs += [ifan_program(s)] + ([torch_program(s, "ifan")] if torch else [])
    say(f"timing {len(programs)} programs in turn, {repeats} rounds and one to warm up")
    times = timing.in_turn([program.run for program in programs], repeats)
    rows = [row(*pair, memory) for pair in zip(programs, times, strict=True)]
    best = max(r["gflops"] for r in rows if r["name"] == PLAIN)
    for r in rows:
        r["share"] = r["gflops"] and r["gflops"] / best
    return rows
