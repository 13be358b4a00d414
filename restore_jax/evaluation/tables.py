"""The dissertation's tables, filled in with quality, parameters, MACs and seconds.

Quality is measured where data and weights are at hand; elsewhere the table says what is missing. Parameters and
multiply-accumulates are always counted.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np

from restore_jax.data.built import folder_of, newest
from restore_jax.errors import InputError
from restore_jax.evaluation import chapter3, chapter4, chapter5, chapter6
from restore_jax.evaluation import costs as counts
from restore_jax.evaluation import rows as evaluate
from restore_jax.evaluation.defocus import precision_and_recall
from restore_jax.evaluation.published import network
from restore_jax.evaluation.rows import Filled, Options, Outcome, Row, Table
from restore_jax.evaluation.seconds import seconds
from restore_jax.plots.charts import draw_precision_recall, draw_scatter
from restore_jax.version import __version__

CHAPTERS = {"3": chapter3, "4": chapter4, "5": chapter5, "6": chapter6}
NUMBERS = tuple(number for module in CHAPTERS.values() for number in module.TABLES)
SHIPPED = ("bdcs",)  # roles whose rows take the weights that ship, if no others are given
CONVENTION = (
    "MACs are multiply-accumulates of convolutions and matrix products for one restored picture of {width}x{height} "
    "input: of a window for networks that restore its centre, of a long clip's frame for those that restore all; the "
    "flow network between frames is left out of them and of the parameters"
)


@dataclass(frozen=True)
class Filling:
    """A filled-in table.

    rows: all rows, with counts even where quality is missing. size: (height, width) of the inputs that are counted for.
    missing: {label: what the row lacks}. why: {label: {column: why a count is not as printed}}.
    """

    number: str
    table: Table
    rows: Sequence[Filled]
    size: tuple[int, int]
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    why: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def chapter(number: str) -> ModuleType:
    """Return the module that holds a table. Raises InputError, naming the tables there are."""
    for module in CHAPTERS.values():
        if number in module.TABLES:
            return module
    raise InputError(f"no table {number}: there are 3.1 to 3.3, fig3.5, fig3.6, 4.1 to 4.8, 5.1 to 5.6, 6.1 to 6.5")


def open_table(number: str, data: str = "") -> Table:
    """Return a table, its rows computed on its own data or on another data set. Raises InputError."""
    return chapter(number).table(number, data)


def missing_data(name: str) -> str:
    """Say how to build a dataset that is not built; "" if it is."""
    parts = ("realmcvsr/lrx4", "realmcvsr/hr") if name == "realmcvsr" else (name,)
    if all(newest(folder_of(part)) for part in parts):
        return ""
    return f"needs {name}: restore-jax data build {name} TREE"


# ------------------------------------------------------------------------------------------------------------- filling
def fill(
    number: str,
    options: Options,
    data: str = "",
    size: tuple[int, int] | None = None,
    timed: bool = False,
) -> Filling:
    """Fill in a table as far as data and weights are at hand.

    size: (height, width) of the inputs to count for, instead of the table's own. timed: measure seconds a picture.
    """
    table = open_table(number, data)
    own = counts.size_of(number)
    height, width = size or own
    problems = {} if data else {name: missing_data(name) for name in chapter(number).own_data(number)}
    rows, missing, why = [], {}, {}
    for row in table.rows:
        if network(row.role):
            options.say(f"table {number}: counting {row.label}")
        found = counts.costs(row.role, (height, width), number in counts.HD and size is None)
        if size in (None, own) and (wrong := counts.differences(number, row.role, row.printed, found)):
            why[row.label] = wrong
        if timed and (took := seconds(row.timed or row.role, (height, width))) is not None:
            found["s"] = took
        filled, missing[row.label] = _filled(row, options, found, problems.get(row.data, ""))
        rows.append(filled)
    return Filling(number, table, rows, (height, width), missing, why)


def _filled(row: Row, options: Options, costs: Mapping[str, float], problem: str) -> tuple[Filled, list[str]]:
    """Fill in a row: its counts, and its quality if that can be measured; also returns what it lacks.

    problem: what is wrong with its data, or "".
    """
    try:
        if problem and not _lacks_weights(row, options):
            raise InputError(problem)
        outcome = row.compute(options)  # asks for the weights before the data
    except InputError as error:
        said = [text for text in dict.fromkeys((problem, str(error))) if text]
        return Filled(row.label, row.printed, Outcome(dict(costs), 0), "; ".join(said)), said
    measured = outcome.values.get("params (M)")
    said = []
    if measured and "params (M)" in costs and abs(measured / costs["params (M)"] - 1) > counts.TOLERANCE:
        said = [f"weights of the table's network: those given are of one of {measured:.4g} M parameters"]
    outcome = dataclasses.replace(outcome, values={**outcome.values, **costs})
    return Filled(row.label, row.printed, outcome, "; ".join(said)), said


def _lacks_weights(row, options):
    role = row.role.partition("+")[0]
    return network(role) is not None and role not in options.weights and role not in SHIPPED


# ------------------------------------------------------------------------------------------------------------- showing
def markdown(filling: Filling) -> str:
    """Format the table as Markdown, with what is missing and why counts differ."""
    table, rows = filling.table, filling.rows
    height, width = filling.size
    lines = [f"## {table.title}", "", evaluate.markdown(rows), "", f"{table.note}."]
    if any("MACs (G)" in row.outcome.values for row in rows if row.outcome):
        lines[-1] += f" {CONVENTION.format(height=height, width=width)}."
    for label, found in filling.why.items():
        lines += [f"- {label}, {column}: {reason}" for column, reason in found.items()]
    pairs = ((label, problem) for label, problems in filling.missing.items() for problem in problems)
    for problem, labels in _grouped(pairs).items():
        lines.append(f"- missing: {', '.join(labels)}: {problem}")
    return "\n".join(lines) + "\n"


def _grouped(pairs) -> dict[str, list[str]]:
    """Group pairs (label, text) to {text: labels}."""
    found = {}
    for label, text in pairs:
        found.setdefault(text, []).append(label)
    return found


def as_json(filling: Filling) -> bytes:
    """Format the table as JSON."""
    document = json.loads(evaluate.as_json(filling.table.title, filling.rows))
    for row, filled in zip(document["rows"], filling.rows, strict=True):
        missing, why = filling.missing.get(filled.label, ()), filling.why.get(filled.label, {})
        row |= {"missing": list(missing), "counts_differ": dict(why)}
    height, width = filling.size
    document |= {
        "number": filling.number,
        "note": filling.table.note,
        "counted_for": {"width": width, "height": height},
    }
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def picture(filling: Filling) -> np.ndarray:
    """Draw a table: quality against MACs, or precision against recall if its rows have curves; (h, w, 3) uint8.

    Raises InputError for a table with neither.
    """
    curves = precision_and_recall(filling.rows)
    if curves:
        return draw_precision_recall(curves)
    metric, found = points(filling)
    return draw_scatter(found, "MACs (G)", metric)


def points(filling: Filling) -> tuple[str, dict[str, tuple[float, float | None, float | None]]]:
    """Return (metric, {label: (G MACs, measured, printed)}). Raises InputError for a table without such rows."""
    metric = next((name for name in filling.rows[0].printed if name not in evaluate.COSTS), None)
    found = {}
    for row in filling.rows:
        values = row.outcome.values
        measured = next((value for name, value in values.items() if name.split(" [")[0] == metric), None)
        if "MACs (G)" in values and (measured is not None or metric in row.printed):
            found[row.label] = values["MACs (G)"], measured, row.printed.get(metric)
    if metric is None or not found:
        raise InputError(f"table {filling.number}: has no quality against MACs to plot")
    return metric, found


# ------------------------------------------------------------------------------------------------------------ overview
def overview(options: Options) -> list[dict[str, str]]:
    """List every table: its number, title, rows, what can be counted and what is at hand, each a dict of strings."""
    lines = []
    for number in NUMBERS:
        if number == "fig3.6":  # its rows are those of fig3.5
            continue
        table = open_table(number)
        problems = [missing_data(name) for name in chapter(number).own_data(number)]
        roles = [row.role for row in table.rows if network(row.role)]
        needed = dict.fromkeys(role.partition("+")[0] for role in roles)
        there = [role for role in needed if role in options.weights or role in SHIPPED]
        absent = [role for role in needed if role not in there]
        lines.append(
            {
                "table": number,
                "title": table.title.partition(": ")[2],
                "rows": str(len(table.rows)),
                "counted": str(len(roles)),
                "data": "; ".join(problem for problem in problems if problem) or "at hand",
                "weights at hand": f"{len(there)} of {len(needed)}" if needed else "-",
                "weights missing": ", ".join(absent) or "-",
            }
        )
    return lines


def overview_markdown(lines: Sequence[Mapping[str, str]]) -> str:
    """Format the overview as a Markdown table."""
    columns = [column for column in lines[0] if column != "weights missing"]
    cells = [columns, ["---"] * len(columns), *([line[column] for column in columns] for line in lines)]
    return f"{evaluate.as_lines(cells)}\n"


def overview_json(lines: Sequence[Mapping[str, str]]) -> bytes:
    """Format the overview as JSON."""
    return (json.dumps({"version": __version__, "tables": list(lines)}, indent=1) + "\n").encode()
