"""Reads the size, bits and channels that the header of a PNG or JPEG file states."""

import os
from pathlib import Path
from typing import NamedTuple

from restore_jax.io.codecs import pillow, png
from restore_jax.io.photos import MAX_PIXELS

_END_OF_PNG = b"\0\0\0\0IEND\xaeB`\x82"
_PALETTE = 3
_KINDS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


class Header(NamedTuple):
    """The contents of a header.

    size: (width, height). bits: a sample's depth. channels: 1 for grey, 3 for colour, 2 and 4 with alpha (4 also CMYK).
    """

    size: tuple[int, int]
    bits: int
    channels: int


def read_header(path: Path) -> Header:
    """Read the header of an image file from its first bytes and, for a PNG, its last 12.

    Raises ValueError for a file that is damaged or of another format, and for more than MAX_PIXELS pixels.
    """
    try:
        with open(path, "rb") as fp:
            head = fp.read(33)
            if not head:
                raise ValueError("empty file")
            kind = "PNG" if head.startswith(png.SIGNATURE) else "JPEG" if head.startswith(b"\xff\xd8") else None
            if kind is None:
                raise ValueError("neither a PNG nor a JPEG file")
            if kind != _KINDS[path.suffix.lower()]:
                raise ValueError(f"a {kind} file by its content")
            if kind == "JPEG":
                return _jpeg(fp)
            width, height, bits, channels, _ = png.read_header(head)
            fp.seek(max(0, os.path.getsize(path) - len(_END_OF_PNG)))
            if fp.read() != _END_OF_PNG:
                raise ValueError("truncated: it does not end as a PNG file does")
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from error
    if head[25] == _PALETTE:
        raise ValueError("a PNG with a palette, expected grey or colour samples")
    return _checked(Header((width, height), bits, channels))


def _jpeg(fp) -> Header:
    try:
        image = pillow.open_lazily(fp, "jpeg")
    except (OSError, SyntaxError, ValueError, IndexError) as error:
        raise ValueError("damaged JPEG header") from error
    return _checked(Header(image.size, 8, len(image.getbands())))


def _checked(header: Header) -> Header:
    width, height = header.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width}x{height}, over {MAX_PIXELS / 1e6:.0f} megapixels")
    return header
