"""The segments of a JPEG and the files that stand behind its picture: gain maps, films, second views.

Cameras append files to a JPEG and name them in a multi-picture index (CIPA DC-007), in XMP (Google's containers, of
Ultra HDR and motion photos), or not at all. They are taken apart on reading and put together again on writing.
"""

import re
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from restore_jax.io.codecs import xmp as xmp_packet

SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
SOS, EOI, APP1, APP2, APP11, APP13 = 0xDA, 0xD9, 0xE1, 0xE2, 0xEB, 0xED
_MULTI = b"MPF\0"
_PREVIEWS = (0x010001, 0x010002)  # types of pictures in an index: smaller copies of the first one
_VIEWS = {0x020001: "panorama part", 0x020002: "second view", 0x020003: "second view"}
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # the end of a scan
_MOST_SEGMENTS = 10_000


class Segment(NamedTuple):
    """A marker, and the half-open range of its body in the file."""

    marker: int
    start: int
    end: int


class Item(NamedTuple):
    """A file behind the picture. kind: "gain map", "film", ...; index: its type in the multi-picture index, or None."""

    kind: str
    data: bytes
    index: int | None = None


class Structure(NamedTuple):
    """segments: of the picture. end: of the picture in the file, after its end marker; None if that is missing."""

    segments: list[Segment]
    end: int | None


def read(data: bytes) -> Structure:
    """Return the structure of the first picture in a file."""
    segments, at = [], 2
    while len(segments) < _MOST_SEGMENTS:
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if at + 2 > len(data) or data[at] != 0xFF:
            return Structure(segments, None)
        marker = data[at + 1]
        if marker == EOI:
            return Structure(segments, at + 2)
        if marker in (0x01, *range(0xD0, 0xD9)):
            at += 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or at + 2 + length > len(data):
            return Structure(segments, None)
        segments.append(Segment(marker, at + 4, at + 2 + length))
        at += 2 + length
        if marker == SOS:
            found = _MARKER.search(data, at)
            if found is None:
                return Structure(segments, None)
            at = found.start()
    return Structure(segments, None)


def all_scans_begun(data: bytes, structure: Structure) -> bool:
    """Return whether the scans bring every coefficient of every component to its last bit (ITU-T T.81, G.1)."""
    components, bits = set(), {}
    for marker, start, end in structure.segments:
        body = data[start:end]
        if marker in SOF and len(body) >= 6:
            components = {body[6 + 3 * number] for number in range(body[5]) if 6 + 3 * number < len(body)}
        elif marker == SOS and body and len(body) >= 4 + 2 * body[0]:
            first, last, low = body[-3], body[-2], body[-1] & 15
            for number in range(body[0]):
                for place in range(first, min(last, 63) + 1):
                    bits[body[1 + 2 * number], place] = low
    return bool(components) and all(bits.get((name, place)) == 0 for name in components for place in range(64))


def app_segments(data: bytes, structure: Structure, marker: int, prefix: bytes) -> list[bytes]:
    """Return the bodies of the APP segments that begin with `prefix`."""
    here = (data[start:end] for found, start, end in structure.segments if found == marker)
    return [body for body in here if body.startswith(prefix)]


def items(data: bytes, structure: Structure, packet: bytes | None) -> list[Item]:
    """Return the files behind the picture, which together are all that is there, save zeros.

    `packet`: the picture's XMP.
    """
    begin = structure.end
    if begin is None or not data[begin:].strip(b"\0"):
        return []
    spans = sorted({*_by_xmp(data, begin, packet), *_by_index(data, structure)}, key=lambda span: span[1:3])
    found, at, index = [], begin, {start: kind for _, start, _, kind in spans if kind is not None}
    for kind, start, end, _ in spans:
        if start < at or end > len(data) or start >= end:
            continue
        found += _unnamed(data[at:start])
        found.append(Item(kind or _guess(data[start:end]), data[start:end], index.get(start)))
        at = end
    return found + _unnamed(data[at:])


def with_items(data: bytes, kept: Sequence[Item]) -> bytes:
    """Return the JPEG `data` with files behind its picture, and an index of those that were in one."""
    listed = [item for item in kept if item.index is not None]
    if listed:
        at = next(segment.start - 4 for segment in read(data).segments if segment.marker not in range(0xE0, 0xF0))
        header = at + 4 + len(_MULTI)  # which places in the index count from
        size, place, entries = len(data) + len(_index([(0, 0, 0)] * (len(listed) + 1))), 0, []
        place = size
        for item in kept:
            if item.index is not None:
                entries.append((item.index, len(item.data), place - header))
            place += len(item.data)
        data = data[:at] + _index([(0x20030000, size, 0), *entries]) + data[at:]
    return data + b"".join(item.data for item in kept)


def segment(marker: int, body: bytes) -> bytes:
    """Return a whole segment. `body` is at most 65,533 bytes."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _by_xmp(data: bytes, begin: int, packet: bytes | None) -> Iterator[tuple]:
    padding, claims = xmp_packet.claims(packet)
    if len(claims) == 1 and claims[0].kind == "film" and claims[0].length:
        yield "film", len(data) - claims[0].length, len(data), None
        return
    at = begin + padding
    for claim in claims:
        if claim.length:
            yield claim.kind, at, at + claim.length, None
        at += claim.length


def _by_index(data: bytes, structure: Structure) -> Iterator[tuple]:
    for marker, start, end in structure.segments:
        if marker != APP2 or data[start : start + 4] != _MULTI:
            continue
        header = start + 4
        order = "<" if data[header : header + 2] == b"II" else ">"
        try:
            (directory,) = struct.unpack_from(order + "L", data, header + 4)
            (number,) = struct.unpack_from(order + "H", data, header + directory)
            for entry in range(min(number, 100)):
                tag, _, count, value = struct.unpack_from(order + "HHLL", data, header + directory + 2 + 12 * entry)
                if tag != 0xB002:
                    continue
                for picture in range(1, min(count // 16, 1000)):
                    place = header + value + 16 * picture
                    kind, size, offset = struct.unpack_from(order + "LLL", data[:end], place)
                    what = kind & 0xFFFFFF
                    name = "preview" if what in _PREVIEWS else _VIEWS.get(what, "")
                    yield name, header + offset, header + offset + size, kind
        except struct.error:
            return


def _index(entries: Sequence[tuple[int, int, int]]) -> bytes:
    table = b"".join(struct.pack("<LLLHH", *entry, 0, 0) for entry in entries)
    head = struct.pack("<2sHLH", b"II", 42, 8, 3)
    fields = struct.pack("<HHL4s", 0xB000, 7, 4, b"0100") + struct.pack("<HHLL", 0xB001, 4, 1, len(entries))
    fields += struct.pack("<HHLL", 0xB002, 7, len(table), 8 + 2 + 36 + 4)
    return segment(APP2, _MULTI + head + fields + bytes(4) + table)


def _unnamed(data: bytes) -> list[Item]:
    return [Item(_guess(data), data)] if data.strip(b"\0") else []


def _guess(data: bytes) -> str:
    if data[4:8] == b"ftyp" or b"MotionPhoto_Data" in data:
        return "film"
    if data.startswith(b"\xff\xd8\xff"):
        head = data[:65_536]
        return "gain map" if b"hdr-gain-map" in head or b"HDRGainMap" in head or b"21496" in head else "other picture"
    return "data behind the picture"
