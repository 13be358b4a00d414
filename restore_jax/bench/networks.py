"""restore-jax bench: speed and memory on this machine, beside what a plain convolution reaches in the same run.

Every time is warm: compiled and called once before; compilation is stated apart. All programs run in turn, round after
round, so that a busy machine slows them alike. Memory is measured in a fresh process for each network.
"""

import argparse
import datetime
import json
import os
import pathlib
import sys
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
    plain_convolutions,
    torch_program,
    why_no_torch,
)
from restore_jax.bench.report import machine, ratios, row, table
from restore_jax.cli.arguments import Parser, new_file, positive, size_of
from restore_jax.errors import InputError
from restore_jax.report import say

WHAT = ("ifan", "iac", "matching", "deform")
FULL = (1120, 1680)  # height and width that --full adds


def measure(settings: list[Settings], what: list[str], repeats: int, torch: bool) -> list[dict[str, Any]]:
    """Measures the programs of `what` and returns a row for each, as `report.row` gives it."""
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


# -------------------------------------------------------------------------------------------------------- command line
def parser() -> argparse.ArgumentParser:
    """The arguments of restore-jax bench."""
    example = "example: restore-jax bench ifan iac --torch --json bench.json"
    options = Parser(prog="restore-jax bench", description="Measures speed and memory on this machine.", epilog=example)
    options.add_argument(
        "what",
        nargs="*",
        default=["ifan"],
        metavar="ifan|iac|matching|deform|train|render|defocus|vsr",
        help="what to measure (default: ifan); train, render, defocus and vsr have options of their own",
    )
    options.add_argument("--size", type=size_of(8), default=(720, 1280), metavar="WxH", help="of the image (1280x720)")
    options.add_argument("--full", action="store_true", help="IFAN at 1680x1120 too")
    options.add_argument("--width", type=positive, default=32, metavar="C", help="channels at full size (32)")
    options.add_argument("--filters", type=positive, default=17, metavar="N", help="filter pairs (17)")
    options.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="what is computed in")
    options.add_argument("--repeats", type=positive, default=5, help="rounds (5)")
    options.add_argument("--torch", action="store_true", help="the same network in PyTorch beside ours")
    options.add_argument("--json", type=new_file, metavar="FILE", help="write everything measured there")
    return options


def main(argv: list[str] | None = None) -> int:
    """Measures, prints the table, and writes --json."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["train"]:
        from restore_jax.bench import training as bench_train

        return bench_train.main(argv[1:])
    if argv[:1] == ["render"]:
        from restore_jax.bench import rendering as bench_render

        return bench_render.main(argv[1:])
    if argv[:1] == ["defocus"]:
        from restore_jax.bench import defocus as bench_defocus

        return bench_defocus.main(argv[1:])
    if argv[:1] == ["vsr"]:
        from restore_jax.bench import video as bench_vsr

        return bench_vsr.main(argv[1:])
    args = parser().parse_args(argv)
    for word in args.what:
        if word not in WHAT:
            raise InputError(f"bench: {word!r} is none of {', '.join(WHAT)}")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    absent = why_no_torch() if args.torch else None
    settings = [Settings(*args.size, args.width, args.filters, args.dtype)]
    if args.full and args.size != FULL:
        settings.append(settings[0]._replace(height=FULL[0], width=FULL[1]))

    rows = measure(settings, args.what, args.repeats, args.torch and absent is None)
    found, facts = ratios(rows), machine() | {"load": load}
    print(f"restore-jax bench {' '.join(argv)}".rstrip() + f", {datetime.date.today()}, {args.dtype}")
    print("{device}, {cpu}, {cores} cores, jax {jax}, Python {python}, load before {load:.1f}".format(**facts))
    if load > 0.5:
        print("other programs were running: trust ratios before times, and PyTorch's times least (its threads wait)")
    print()
    print(table(rows), end="\n\n")
    for r in found:
        memory = f", memory {r['run']:.2f} (whole process {r['process']:.2f})" if "run" in r else ""
        print(f"{r['of']} / {r['to'].removeprefix(r['of'] + ', ')}, {r['size']}: time {r['time']:.2f}{memory}")
    if absent:
        print(f"no comparison with PyTorch: {absent}")
    if args.json:
        document = {"command": argv, "machine": facts, "rows": rows, "ratios": found}
        pathlib.Path(args.json).write_text(json.dumps(document, indent=1) + "\n")
    return 0
