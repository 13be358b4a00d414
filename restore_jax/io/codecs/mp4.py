"""MP4 and QuickTime: whether a file's tables can be true, before FFmpeg reserves memory for what they claim."""

import os
import struct
from typing import BinaryIO

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}
_MOST_BOXES = 1_000_000


def check_tables(fp: BinaryIO) -> None:
    """ValueError for a track of more samples than the file has bytes, and for headers that are compressed.

    Files of other kinds, and boxes that make no sense, are left to FFmpeg.
    """
    total = fp.seek(0, os.SEEK_END)
    spans, seen = [(0, total)], 0
    while spans:
        at, end = spans.pop()
        while at + 8 <= end:
            seen += 1
            if seen > _MOST_BOXES:
                raise ValueError("has too many boxes")
            fp.seek(at)
            head = fp.read(16)
            size, kind, body = int.from_bytes(head[:4], "big"), head[4:8], at + 8
            if size == 1:
                size, body = int.from_bytes(head[8:16], "big"), at + 16
            following = end if size == 0 else at + size
            if following < body or (at == 0 and not kind.isalnum()):
                break
            if kind in _CONTAINERS:
                spans.append((body, min(following, end)))
            elif kind == b"cmov":
                raise ValueError("has a compressed header: rewrite it: ffmpeg -i IN -c copy out.mp4")
            elif kind in (b"stsz", b"trun"):
                fp.seek(body + 4)
                first, second = (int.from_bytes(fp.read(4), "big") for _ in range(2))
                # stsz: a size common to all, or 0, then how many; trun: how many.
                samples = max(first, 1) * second if kind == b"stsz" else first
                if samples > total:
                    raise ValueError("damaged: claims more than it can hold")
            at = following


def with_mastering(data: bytes, primaries, luminance, light) -> bytes:
    """Return an MP4 file of one H.264 track, its index at its end, with boxes that say how its pictures were mastered.

    primaries: (x, y) of red, green, blue and white in 0.00002, or None; luminance: greatest and least in 0.0001 cd/m²,
    or None; light: greatest and greatest average light level in cd/m², or None.
    See ISO/IEC 14496-12, 12.1.6 and 12.1.7.
    """
    boxes = b""
    if primaries and luminance:
        red, green, blue, white = primaries
        numbers = struct.pack(">8H2I", *green, *blue, *red, *white, *luminance)
        boxes += struct.pack(">I4s", 8 + len(numbers), b"mdcv") + numbers
    if light:
        boxes += struct.pack(">I4s2H", 12, b"clli", *(min(level, 65_535) for level in light))
    return _inserted(data, [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"], boxes)


def _inserted(data: bytes, path: list[bytes], boxes: bytes) -> bytes:
    """Return the file with `boxes` at the end of the first box along `path`; all before that stays in its place."""
    heads, at, end = [], 0, len(data)
    for name in path:
        while data[at + 4 : at + 8] != name:
            at += int.from_bytes(data[at : at + 4], "big")
            if not at < end:
                raise ValueError(f"no {name.decode()} box")
        heads.append(at)
        end = at + int.from_bytes(data[at : at + 4], "big")
        at += 16 if name == b"stsd" else 8
    grown = bytearray(data)
    for head in heads:
        grown[head : head + 4] = (int.from_bytes(data[head : head + 4], "big") + len(boxes)).to_bytes(4, "big")
    return bytes(grown[:end] + boxes + grown[end:])
