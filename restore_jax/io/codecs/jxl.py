"""JPEG XL, read by pillow-jxl-plugin (extra "jxl"). It is not written: the plugin cannot write ICC profiles."""

import io
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

from restore_jax.errors import install_line
from restore_jax.io.codecs import boxes, jpeg
from restore_jax.io.codecs.silence import no_stderr

_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_CHANNELS = {"I": 1, "L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def read(fp: BinaryIO, check_size: Callable[[int, int], None]) -> tuple[np.ndarray, dict]:
    """Return upright (h, w, c) uint8 or uint16 pixels, and the fields of a Photo.

    ValueError for what cannot be read.
    """
    try:
        from pillow_jxl import Decoder
    except ImportError as error:
        raise ValueError(f"JPEG XL needs a plugin: {install_line('jxl')}") from error
    fp.seek(0)
    data = fp.read()
    check_size(*_size(data))
    try:
        with no_stderr():
            of_jpeg, info, pixels, icc, found = Decoder(num_threads=0)(data)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # the plugin's, for pixels it has no name for
            raise
        raise ValueError("its pixels are not supported: save it with 8 bits") from error
    if of_jpeg:  # the file is a JPEG packed anew, and the plugin gives that JPEG
        return jpeg.read(io.BytesIO(bytes(pixels)), check_size)
    kind, _, deep = info.mode.partition(";")
    if kind not in _CHANNELS:
        raise ValueError(f"its pixels ({info.mode}) are not supported: save it with 8 or 16 bits")
    array = np.frombuffer(pixels, np.uint16 if deep else np.uint8).reshape(info.height, info.width, _CHANNELS[kind])
    said = {box.box_type: bytes(box.data) for box in found if box.box_type in (b"Exif", b"xml ")}
    block = said.get(b"Exif", b"")
    begin = 0 if block[:2] in (b"II", b"MM") else 4 + int.from_bytes(block[:4], "big")
    left_out = [name for kind, name in ((b"jhgm", "gain map"), (b"jumb", "content credentials")) if _has(data, kind)]
    return array, {
        "icc": bytes(icc) if icc else None,
        "exif": block[begin:] or None,
        "xmp": said.get(b"xml "),
        "left_out": tuple(left_out),
    }


def _has(data: bytes, kind: bytes) -> bool:
    return data[:2] != b"\xff\x0a" and any(found == kind for found, *_ in boxes.walk(data))


def _size(data: bytes) -> tuple[int, int]:
    """Return width and height by the header of the codestream (ISO/IEC 18181-1, SizeHeader)."""
    if data[:2] != b"\xff\x0a":
        whole = boxes.top(data, b"jxlc")
        parts = [data[start + 4 : end] for kind, start, end in boxes.walk(data) if kind == b"jxlp"]  # a number first
        data = whole or b"".join(parts)
    if data[:2] != b"\xff\x0a" or len(data) < 12:
        raise ValueError("truncated or damaged: it does not say its size")
    bits, at = int.from_bytes(data[2:32], "little"), 0

    def take(count):
        nonlocal at
        at += count
        return bits >> (at - count) & ((1 << count) - 1)

    small = take(1)

    def side():
        return (take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1

    height = side()
    ratio = take(3)
    if ratio == 0:
        return side(), height
    across, down = _RATIOS[ratio]
    return height * across // down, height
