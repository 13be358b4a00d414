"""What the command lines share: a parser whose errors are one line, and kinds of values."""

import argparse


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line and exit code 2."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def size_of(multiple: int = 1, least: int = 16):
    """A kind: WIDTHxHEIGHT in pixels, multiples of `multiple` of at least `least`, to (height, width)."""

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
    """A file to be written, in a folder that exists."""
    import pathlib

    if not pathlib.Path(text).absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: its folder does not exist")
    return text
