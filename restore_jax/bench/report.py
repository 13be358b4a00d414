"""The layout of measurements of speed and memory: rows, ratios between rows, a table, and facts of the machine."""

import os
import pathlib
import platform
import statistics
from typing import Any

import jax

from restore_jax.bench.programs import DEFORM, MATCHING, PRODUCT, TAP_LOOP, TORCH, Program


def row(program: Program, times: list[float], memory: dict) -> dict[str, Any]:
    """Return a row of the table: seconds (all, median, minimum), GFLOP/s at 2 operations a MAC, compile time, bytes.

    times: seconds of each round. memory: bytes by (name, size) of the program, as `programs.fresh_memory` gives them.
    """
    middle = statistics.median(times)
    return {
        "name": program.name,
        "size": program.size,
        "seconds": times,
        "median": middle,
        "minimum": min(times),
        "macs": program.macs,
        "gflops": program.macs and 2e-9 * program.macs / middle,
        "compile_seconds": program.compile_seconds,
        "temp_bytes": program.temp_bytes,
        "memory": memory.get((program.name, program.size)),
    }


def ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Divide the times and the memory of rows that belong together, such as our IFAN by PyTorch's.

    The others are a gradient step by its forward pass, matching by its matrix product alone, and the deformable
    convolution by the loop over its taps.
    """
    by_name = {(r["name"], r["size"]): r for r in rows}
    found = []
    for (name, size), r in by_name.items():
        other = by_name.get((name + TORCH, size)) or by_name.get((name.replace("gradient step", "forward"), size))
        other = by_name.get((PRODUCT, size)) if name == MATCHING else other
        other = by_name.get((name + TAP_LOOP, size)) if name.startswith(DEFORM) else other
        if other is None or other is r:
            continue
        pair = {"of": name, "to": other["name"], "size": size, "time": r["median"] / other["median"]}
        if r["memory"] and other["memory"]:
            pair |= {key: r["memory"][key] / other["memory"][key] for key in ("process", "run")}
        found.append(pair)
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as aligned text, which is Markdown too."""

    def cell(value, form, scale=1.0):
        return "-" if value is None else format(value * scale, form)

    head = ["program", "size", "median ms", "min ms", "GFLOP/s", "of plain", "compile s", "buffers MB"]
    lines = [[*head, "run MB", "process MB"]]
    for r in rows:
        memory = r["memory"] or {}
        times = [cell(r["median"], ".2f", 1e3), cell(r["minimum"], ".2f", 1e3)]
        rates = [cell(r["gflops"], ".1f"), cell(r["share"], ".0%"), cell(r["compile_seconds"], ".2f")]
        sizes = [r["temp_bytes"], memory.get("device", memory.get("run")), memory.get("process")]
        lines.append([r["name"], r["size"], *times, *rates, *(cell(size, ".0f", 1e-6) for size in sizes)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    aligned = (
        [c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(x, widths, strict=True))] for x in lines
    )
    return "\n".join(f"| {' | '.join(line)} |" for line in aligned)


def machine() -> dict[str, Any]:
    """Return the facts of this machine: device, processor, cores, versions of JAX and Python."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines() if pathlib.Path("/proc/cpuinfo").is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "cpu": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "jax": jax.__version__,
        "python": platform.python_version(),
    }
