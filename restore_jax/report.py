"""Reporters, which jobs tell what they do, and the layout of lists on the command line."""

import sys
from collections.abc import Sequence
from typing import Protocol


class Reporter(Protocol):
    """A listener to a job: the terminal (`Report`), the web page (`app.jobs.Job`), or any other."""

    terminal: bool  # whether `status` may be called for every frame

    def photo(self, name: str, number: int = 1, total: int = 1) -> None:
        """Work on the file `name` begins, the one of that number among `total`."""

    def status(self, text: str, slow: bool = False) -> None:
        """Say what comes next; `slow` if it takes long enough for a line in a log file."""

    def progress(self, event: str, done: int, total: int) -> None:
        """Say that `done` of `total` tiles are done, where `event` is "tile"; else that `event` begins."""

    def done(self, text: str) -> None:
        """Say one line that is worth keeping, such as what was written."""

    def clear(self) -> None:
        """Say that the work is over."""


def say(text: str) -> None:
    """Print a line on standard error."""
    print(text, file=sys.stderr, flush=True)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Format rows of cells, all of equally many, as lines whose columns are aligned at their left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


class Report:
    """Shows on standard error what is going on: a bar on a terminal, elsewhere a line for slow steps."""

    def __init__(self, quiet: bool = False, stdout_taken: bool = False):
        """`stdout_taken`: the result itself goes to standard output, so that lines about it go to standard error."""
        self.stdout_taken = stdout_taken
        self.quiet, self.number, self.photos, self.name = quiet, 0, 1, ""
        self.terminal = not quiet and sys.stderr.isatty()
        self.bar = None

    def photo(self, name: str, number: int = 1, total: int = 1):
        """Work on a file begins."""
        self.name, self.number, self.photos = name, number, total
        self.status("reading")

    def status(self, text: str, slow: bool = False):
        """Say what comes next; `slow` things get a line in a log file too."""
        if self.terminal:
            self._bar().set_description_str(f"{self._prefix()}{text}")
        elif slow and not self.quiet:
            print(f"{self._prefix()}{text}", file=sys.stderr, flush=True)

    def progress(self, event: str, done: int, total: int):
        """Show the progress that `restore` reports."""
        if event != "tile":
            self.status(f"{event} (from the cache if done before)", slow=True)
            return
        if self.terminal:
            bar = self._bar()
            bar.total, bar.n = total, done
            bar.refresh()
        if done < total:
            self.status(f"tile {done + 1}/{total}", slow=total > 1)

    def done(self, text: str):
        """Print a line on standard output, for what was written."""
        self.clear()
        if not self.quiet:
            print(text, file=sys.stderr if self.stdout_taken else sys.stdout, flush=True)

    def clear(self):
        """Take the bar off the terminal."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _prefix(self):
        count = f"[{self.number}/{self.photos}] " if self.photos > 1 and self.number else ""
        return f"{count}{self.name}: " if self.name else count

    def _bar(self):
        if self.bar is None:
            from tqdm import tqdm

            # tqdm writes to the stream of the moment, so that a redirected stderr is honoured.
            self.bar = tqdm(file=sys.stderr, leave=False, bar_format="{desc} |{bar:20}| {elapsed}", total=1)
        return self.bar
