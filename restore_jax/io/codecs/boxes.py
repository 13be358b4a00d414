"""Boxes of the ISO base media file format (HEIF, AVIF, JPEG XL, MP4), found without trust in their sizes."""

from collections.abc import Iterator

Span = tuple[bytes, int, int]  # four letters, and the half-open range of the body


def walk(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Span]:
    """Return the boxes between `start` and `end`; a box that is longer than what is there ends with it."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, kind, body = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8], start + 8
        if size == 1:
            size, body = int.from_bytes(data[start + 8 : start + 16], "big"), start + 16
        following = end if size == 0 else start + size
        if following < body:
            return
        yield kind, body, min(following, end)
        start = following


def inside(data: bytes, *path: bytes) -> Iterator[Span]:
    """Return the boxes inside the first box that `path` leads to from the top: inside(data, b"meta", b"iprp")."""
    start, end = 0, len(data)
    for name in path:
        found = next((span for span in walk(data, start, end) if span[0] == name), None)
        if found is None:
            return
        start, end = found[1] + (4 if name == b"meta" else 0), found[2]  # meta has a version in front
    yield from walk(data, start, end)


def top(data: bytes, name: bytes) -> bytes | None:
    """Return the body of the first box of that name at the top, or None."""
    return next((data[start:end] for kind, start, end in walk(data) if kind == name), None)
