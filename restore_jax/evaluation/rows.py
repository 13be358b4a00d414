"""Evaluation: tables of the dissertation, computed as far as data and weights are at hand, beside its own numbers.

A table is a list of rows. A row has the numbers that the dissertation prints and a function that computes them. The
tables are in `chapter3` to `chapter6`. A column's name ends in its metric's convention: "MSE [dmenet-py]". Scores of
photographs are appended to a JSON-lines file one by one, so that an evaluation that was killed continues where it was.
"""

import difflib
import hashlib
import json
import math
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from restore_jax.errors import InputError
from restore_jax.io import atomic
from restore_jax.version import __version__
from restore_jax.weights.registry import card

COSTS = ("params (M)", "MACs (G)", "s")  # columns after those of quality


class Journal:
    """Scores of photographs, kept in the JSON-lines file `path`, or in memory for None; a cut last line is dropped."""

    def __init__(self, path=None):
        self._path, self._scores = path and pathlib.Path(path), {}
        if self._path is None or not self._path.exists():
            return
        *lines, cut_short = self._path.read_text(errors="replace").split("\n")
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                self._scores[tuple(entry["key"])] = entry["scores"]
            except (ValueError, KeyError, TypeError):
                raise InputError(f"{self._path}: line {number} is no photograph's scores") from None
        if cut_short:
            atomic.write(self._path, "".join(_line(*entry) for entry in self._scores.items()).encode())

    def get(self, key: Sequence[str]) -> dict | None:
        """Return the scores under a key of strings, or None."""
        return self._scores.get(tuple(key))

    def add(self, key: Sequence[str], scores: dict) -> None:
        """Keep scores. Raises InputError if the file cannot be written."""
        self._scores[tuple(key)] = scores
        if self._path is not None:
            with atomic.writing(self._path), open(self._path, "a") as file:
                file.write(_line(key, scores))


@dataclass(frozen=True)
class Options:
    """Options of an evaluation.

    weights: {role of a row: name or file}. limit: number of photographs of each dataset, None for all. pictures: a
    folder for them, or None. say: is called with lines about the progress. all_conventions: measure under every
    convention, not only under those of the dissertation's numbers.
    """

    weights: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    journal: Journal = field(default_factory=Journal)
    pictures: pathlib.Path | None = None
    say: Callable[[str], None] = lambda text: None
    all_conventions: bool = False


@dataclass(frozen=True)
class Outcome:
    """The result of measuring: {column: value} over `count` photographs; details go to the JSON file alone."""

    values: Mapping[str, float | None]
    count: int
    weights: str = "-"
    details: Mapping = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A row of a table.

    printed: {metric: number}. compute: measures the row; raises InputError that says what is missing. role: a name of
    `published.NETWORKS`, whose weights the row takes, or a method's name, or "". data: the dataset that the row is
    measured on, or "". timed: the role or method whose seconds are measured, if it is not `role`.
    """

    label: str
    printed: Mapping[str, float]
    compute: Callable[[Options], Outcome]
    role: str = ""
    data: str = ""
    timed: str = ""


@dataclass(frozen=True)
class Table:
    """A table or figure. note: a sentence about the printed numbers."""

    title: str
    rows: tuple[Row, ...]
    note: str = "printed: the dissertation's numbers, whose convention it does not name"


@dataclass(frozen=True)
class Filled:
    """A computed row: its outcome, or the reason why there is none."""

    label: str
    printed: Mapping[str, float]
    outcome: Outcome | None = None
    missing: str = ""


def fill(table: Table, options: Options) -> list[Filled]:
    """Compute the rows of a table for which data and weights are at hand."""
    filled = []
    for row in table.rows:
        try:
            filled.append(Filled(row.label, row.printed, row.compute(options)))
        except InputError as error:
            filled.append(Filled(row.label, row.printed, missing=str(error)))
    return filled


def markdown(filled: Sequence[Filled]) -> str:
    """Format rows as a Markdown table; after each metric's computed columns stands the printed one."""
    computed = list(dict.fromkeys(column for row in filled if row.outcome for column in row.outcome.values))
    metrics = dict.fromkeys([column.split(" [")[0] for column in computed] + [m for row in filled for m in row.printed])
    metrics = sorted(metrics, key=lambda metric: metric in COSTS)
    columns = []
    for metric in metrics:
        columns += [column for column in computed if column.split(" [")[0] == metric]
        columns += [f"{metric} printed"] if any(metric in row.printed for row in filled) else []
    lines = [["", "weights", "images", *columns], ["---", "---", *["---:"] * (1 + len(columns))]]
    for row in filled:
        outcome = row.outcome or Outcome({}, 0)
        numbers = {**outcome.values, **{f"{metric} printed": value for metric, value in row.printed.items()}}
        cells = [row.label, outcome.weights, str(outcome.count or "-")]
        lines.append(cells + [_number(numbers.get(column), column) for column in columns])
    return as_lines(lines)


def as_lines(lines: Iterable[Sequence[str]]) -> str:
    """Format cells as the lines of a Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def by_convention(filled: Sequence[Filled]) -> str:
    """Format rows as a Markdown table with a row for each convention, as different papers would print them."""
    found = {}
    for row in filled:
        for column, value in row.outcome.values.items() if row.outcome else ():
            metric, bracket, convention = column.partition(" [")
            if bracket:
                found.setdefault((row.label, convention.rstrip("]")), {})[metric] = value
    metrics = list(dict.fromkeys(metric for values in found.values() for metric in values))
    lines = [["", "convention", *metrics], ["---", "---", *["---:"] * len(metrics)]]
    for (label, convention), values in found.items():
        lines.append([label, convention, *(_number(values.get(metric), metric) for metric in metrics)])
    return as_lines(lines)


def as_json(title: str, filled: Iterable[Filled]) -> bytes:
    """Format rows as JSON; values that are not defined are null."""
    rows = []
    for row in filled:
        measured = {"missing": row.missing}
        if row.outcome is not None:
            outcome = row.outcome
            measured = {"weights": outcome.weights, "images": outcome.count, "values": dict(outcome.values)}
            measured |= dict(outcome.details)
        rows.append({"label": row.label, "printed": dict(row.printed), **measured})
    document = {"title": title, "version": __version__, "rows": rows}
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def weights_by_role(arguments: Iterable[str], full: str, rows: Sequence[str]) -> dict[str, str]:
    """Return {row: name or file} of arguments ROW=FILE; an argument without a row belongs to the row `full`.

    rows: the rows that take weights. Raises InputError for a row that is not among them, since a misspelt row would
    stay empty without a word, for a row given twice, and for weights that are not there.
    """
    found: dict[str, str] = {}
    for argument in arguments:
        row, equals, name = argument.rpartition("=")
        row = row if equals else full
        if row in found:
            raise InputError(f"--weights {argument}: {row} has {found[row]} already")
        if row not in rows:
            nearest = ", ".join(difflib.get_close_matches(row, rows, cutoff=0))
            raise InputError(f"--weights {argument}: no row is named {row!r}; the nearest are {nearest}")
        card(name)
        found[row] = name
    return found


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are not None, or None."""
    found = [value for value in values if value is not None and math.isfinite(value)]
    return float(np.mean(found)) if found else None


def digest(*arrays: np.ndarray) -> str:
    """Return a short digest of the arrays' content."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def _line(key, scores):
    return json.dumps({"key": list(key), "scores": scores}, allow_nan=False) + "\n"


def _number(value, column):
    if value is None:
        return "-"
    if column.startswith("MACs"):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
