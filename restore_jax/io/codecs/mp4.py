"""MP4 and QuickTime: whether a file's tables can be true, before FFmpeg reserves memory for what they claim."""

import os
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
