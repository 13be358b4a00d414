"""Parts that the verbs of the command line share: parsers whose errors are one line, and kinds of values."""

import argparse
import difflib
import pathlib
import re
from collections.abc import Callable


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, which says what a misspelt word may have meant; exit code 2."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}{self._suggestion(message)} (see {self.prog} --help)\n")

    def _suggestion(self, message: str) -> str:
        """Return "; did you mean X?" where a choice or an option was misspelt, else nothing."""
        if match := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)$", message):
            word, known = match[1], [choice.strip(" '") for choice in match[2].split(",")]
        elif match := re.match(r"unrecognized arguments: (--[^\s=]+)", message):
            word, known = match[1], re.findall(r"--[a-z][a-z-]*", self.format_help())
        else:
            return ""
        nearest = difflib.get_close_matches(word, known, n=1)
        return f"; did you mean {nearest[0]}?" if nearest else ""


def add_verb(verbs, name: str, help: str, fill: Callable | None = None, example: str = "", run=None) -> Parser:
    """Add a verb to the subparsers `verbs` and return its parser.

    help: its line in the list of verbs. fill(parser) adds its arguments. example: command lines that `--help` shows.
    run(args) does what it says and returns the exit code.
    """
    parser = verbs.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.",
        epilog=f"example: {example}" if example else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, parser=parser)
    if fill is not None:
        fill(parser)
    return parser


def positive(text: str) -> int:
    """Read a whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def size_of(multiple: int = 1, least: int = 16):
    """Make a reader of WIDTHxHEIGHT in pixels, multiples of `multiple` of at least `least`, as (height, width)."""

    def size(text: str) -> tuple[int, int]:
        sides = text.split("x")
        if len(sides) != 2 or not all(side.isdecimal() for side in sides):
            raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT")
        width, height = map(int, sides)
        if width % multiple or height % multiple or min(width, height) < least:
            multiples = f"multiples of {multiple}, " if multiple > 1 else ""
            raise argparse.ArgumentTypeError(f"{text}: sides are {multiples}at least {least}")
        return height, width

    return size


def new_file(text: str) -> str:
    """Read the name of a file to be written, in a folder that exists."""
    if not pathlib.Path(text).absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: its folder does not exist")
    return text


def takes_stdout(out: str | None, *inputs: str) -> bool:
    """Whether the result goes to standard output: "-" is the output, or an input where no output is named."""
    return out == "-" or (out is None and "-" in inputs)


def add_quiet(parser) -> None:
    """Add --quiet."""
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def add_dtype(parser) -> None:
    """Add --dtype."""
    help = "number format of the computation (default: float32)"
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help=help)


def add_estimation(parser) -> None:
    """Add the photograph and how its defocus map is estimated."""
    parser.add_argument("photo", metavar="PHOTO", help="photograph to read")
    help = "estimator of the defocus map: dmenet, zhuo, jnb or ebdb (default: dmenet)"
    parser.add_argument("--method", default="dmenet", metavar="NAME", help=help)
    help = "weights of dmenet, see restore-jax weights list (default: the best that ship)"
    parser.add_argument("--weights", default="dmenet", metavar="NAME|FILE", help=help)
    add_quiet(parser)


def add_map(parser) -> None:
    """Add --map."""
    help = "defocus map that restore-jax defocus wrote (default: estimated)"
    parser.add_argument("--map", metavar="MAP", help=help)
