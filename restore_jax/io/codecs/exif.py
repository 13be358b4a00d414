"""EXIF blocks as bytes: a small TIFF structure (header, IFD0, its sub-directories) without the "Exif" prefix of JPEG.

A block is patched in place and never serialised anew where that can be avoided: maker notes hold offsets of their own,
and only bytes that stay where they were keep them readable.
"""

import io
import struct
from collections.abc import Mapping, Set
from typing import Any, BinaryIO, NamedTuple

ORIENTATION, RESOLUTION_X, RESOLUTION_Y, RESOLUTION_UNIT = 0x112, 0x11A, 0x11B, 0x128
EXIF_IFD, GPS_IFD, INTEROP_IFD, ICC, XMP = 0x8769, 0x8825, 0xA005, 0x8773, 0x2BC
_POINTERS = (EXIF_IFD, GPS_IFD, INTEROP_IFD)
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MAX_VALUE = 1 << 26  # bytes; a longer value is no description of a photograph

# Tags of IFD0 that say how the pixels of one particular file are stored: never carried into another file.
STRUCTURAL = {
    *(*range(0xFE, 0x10B), 0x111, ORIENTATION, *range(0x115, 0x11A), 0x11C, *range(0x120, 0x126), 0x12D),
    *(*range(0x13C, 0x146), *range(0x14A, 0x15C), *range(0x200, 0x20A), *range(0x211, 0x215), XMP, ICC),
    *(0x935C, 0xC4A5),  # Photoshop's layers and print matching: both of the old pixels
}


class Entry(NamedTuple):
    """One directory entry: TIFF type, number of values, the values' bytes, and where in the file they stand."""

    type: int
    count: int
    value: bytes
    position: int


def header(fp: BinaryIO) -> tuple[str, bool, int]:
    """Return byte order ("<" or ">"), whether it is BigTIFF, and the offset of IFD0. ValueError if it is no TIFF."""
    fp.seek(0)
    head = fp.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        raise ValueError("no TIFF header")
    magic = struct.unpack(order + "H", head[2:4])[0]
    if magic == 43 and len(head) == 16:
        return order, True, struct.unpack(order + "Q", head[8:])[0]
    if magic != 42:
        raise ValueError("no TIFF header")
    return order, False, struct.unpack(order + "L", head[4:8])[0]


def read_ifd(fp: BinaryIO, offset: int, order: str, big: bool = False) -> tuple[dict[int, Entry], int]:
    """Return entries of the directory at `offset` by tag, and the offset of the next one.

    ValueError if it is cut short.
    """
    count_format, entry_format, inline = ("Q", "HHQ8s", 8) if big else ("H", "HHL4s", 4)
    width = struct.calcsize(order + entry_format)
    start = offset + struct.calcsize(order + count_format)
    (number,) = struct.unpack(order + count_format, _bytes_at(fp, offset, start - offset))
    table = _bytes_at(fp, start, min(number, 65_536) * width)
    tail = fp.read(inline)
    following = int.from_bytes(tail, "little" if order == "<" else "big") if len(tail) == inline else 0
    entries = {}
    for index in range(len(table) // width):
        tag, kind, count, value = struct.unpack_from(order + entry_format, table, index * width)
        size = _SIZES.get(kind, 0) * count
        position = start + (index + 1) * width - inline
        if size > _MAX_VALUE or kind not in _SIZES:
            continue
        if size > inline:
            position = struct.unpack(order + ("Q" if big else "L"), value)[0]
            try:
                value = _bytes_at(fp, position, size)
            except ValueError:
                continue  # one damaged value is no reason to lose the others
        entries[tag] = Entry(kind, count, value[:size], position)
    return entries, following


def integers(entry: Entry, order: str) -> tuple[int, ...]:
    """Return the values of an integer entry. ValueError for other types."""
    letter = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}.get(entry.type)
    if letter is None:
        raise ValueError("not an integer tag")
    return struct.unpack(f"{order}{entry.count}{letter}", entry.value)


def orientation(block: bytes | None) -> int:
    """Return the orientation tag, 1 to 8; 1 where there is none or it cannot be read."""
    try:
        order, big, offset = header(io.BytesIO(block or b""))
        entry = read_ifd(io.BytesIO(block), offset, order, big)[0][ORIENTATION]
        value = integers(entry, order)[0]
    except (ValueError, KeyError, IndexError):
        return 1
    return value if 1 <= value <= 8 else 1


def upright(block: bytes, width: int, height: int) -> bytes:
    """Return the block for upright pixels of `width` x `height`: orientation 1, these sizes, no thumbnail.

    A block that cannot be read is given back as it is.
    """
    out = bytearray(block)
    fp = io.BytesIO(block)
    try:
        order, big, offset = header(fp)
        entries, _ = read_ifd(fp, offset, order, big)
        _overwrite(out, entries.get(ORIENTATION), 1, order)
        if not big:  # the thumbnail is the next directory: end the chain before it
            (number,) = struct.unpack_from(order + "H", block, offset)
            end = offset + 2 + 12 * number
            if end + 4 <= len(out):
                out[end : end + 4] = bytes(4)
        if EXIF_IFD in entries:
            details, _ = read_ifd(fp, integers(entries[EXIF_IFD], order)[0], order, big)
            _overwrite(out, details.get(0xA002), width, order)
            _overwrite(out, details.get(0xA003), height, order)
    except (ValueError, IndexError, struct.error):
        pass
    return bytes(out)


def patched(block: bytes, tag: int, value: int) -> bytes:
    """Return the TIFF with another value of a tag of its first directory, if it has the tag, once."""
    out = bytearray(block)
    order, big, offset = header(io.BytesIO(block))
    _overwrite(out, read_ifd(io.BytesIO(block), offset, order, big)[0].get(tag), value, order)
    return bytes(out)


def turned(array: Any, orientation: int) -> Any:
    """Return a view of the stored (h, w, c) pixels turned as the orientation tag (1 to 8) asks."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    down, right = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(orientation, (1, 1))
    return array[::down, ::right]


def from_tiff(fp: BinaryIO, structural: Set[int] = frozenset()) -> bytes | None:
    """Return a self-contained block of what the TIFF file says about its photograph (not of how its pixels are stored).

    None if it says nothing. `structural`: more tags to leave out. ValueError if its directory is cut short.
    """
    order, big, offset = header(fp)
    entries, _ = read_ifd(fp, offset, order, big)
    away = STRUCTURAL | structural
    kept = {tag: entry for tag, entry in entries.items() if tag not in away and not _is_shape(tag, entry)}
    tree = _subdirectories(fp, kept, order, big)
    return serialise(tree, order) if tree else None


def of_resolution(dpi: tuple[float, float]) -> bytes:
    """Return a block that says no more than dots per inch, (x, y)."""
    tree = {
        tag: Entry(5, 1, struct.pack("<LL", round(value * 1000), 1000), 0)
        for tag, value in zip((RESOLUTION_X, RESOLUTION_Y), dpi, strict=True)
    }
    return serialise({**tree, RESOLUTION_UNIT: Entry(3, 1, struct.pack("<H", 2), 0)}, "<")


def joined(main: bytes, details: bytes | None, place: bytes | None) -> bytes | None:
    """Return one block of three TIFF structures that a file keeps apart: IFD0's, EXIF's and GPS's entries.

    None if empty.
    """
    tree: dict[int, Entry | dict] = {}
    order = "<" if main.startswith(b"II") else ">"
    for tag, block in ((None, main), (EXIF_IFD, details), (GPS_IFD, place)):
        try:
            own, big, offset = header(io.BytesIO(block or b""))
            entries, _ = read_ifd(io.BytesIO(block), offset, own, big)
        except ValueError:
            continue
        if own != order or big:  # values are kept as bytes, so all have one order
            continue
        entries = {name: entry for name, entry in entries.items() if name not in _POINTERS}
        if tag is None:
            tree |= {name: entry for name, entry in entries.items() if name not in STRUCTURAL}
        elif entries:
            tree[tag] = entries
    return serialise(tree, order) if tree else None


def serialise(tree: Mapping[int, Entry | dict], order: str) -> bytes:
    """Return a block of IFD0 entries by tag, values in byte order `order`; a dict stands for a sub-directory."""
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "L", 8) + directory(tree, order, 8)


def directory(tree: Mapping[int, Entry | dict], order: str, offset: int) -> bytes:
    """Return the bytes of a directory that will stand at `offset`, its values and sub-directories behind it.

    An entry with a value of None points to bytes already in the file, at its position.
    """
    table = struct.pack(order + "H", len(tree))
    end = offset + 2 + 12 * len(tree) + 4
    heap = bytearray()
    for tag, entry in sorted(tree.items()):
        heap += bytes((end + len(heap)) % 2)  # values start at even offsets
        here = end + len(heap)
        if isinstance(entry, dict):
            table += struct.pack(order + "HHLL", tag, 4, 1, here)
            heap += directory(entry, order, here)
        elif entry.value is None:
            table += struct.pack(order + "HHLL", tag, entry.type, entry.count, entry.position)
        elif len(entry.value) <= 4:
            table += struct.pack(order + "HHL4s", tag, entry.type, entry.count, entry.value)
        else:
            table += struct.pack(order + "HHLL", tag, entry.type, entry.count, here)
            heap += entry.value
    return table + bytes(4) + heap


def _subdirectories(fp: BinaryIO, entries: dict[int, Entry], order: str, big: bool) -> dict[int, Entry | dict]:
    tree = {}
    for tag, entry in entries.items():
        if tag in _POINTERS:
            try:
                inner, _ = read_ifd(fp, integers(entry, order)[0], order, big)
            except (ValueError, IndexError):
                continue  # one damaged sub-directory is no reason to lose the others
            # No sub-directory holds itself, or the Exif one: a loop in a hostile file ends here.
            inner = {t: e for t, e in inner.items() if t not in _POINTERS or (tag == EXIF_IFD and t == INTEROP_IFD)}
            tree[tag] = _subdirectories(fp, inner, order, big)
        elif entry.type not in (16, 17, 18):  # BigTIFF's own integers have no place in EXIF
            tree[tag] = entry
    return tree


def _is_shape(tag: int, entry: Entry) -> bool:
    # tifffile's description holds the array's shape, which need not be that of the upright picture.
    return tag == 0x10E and entry.value.startswith(b'{"shape"')


def _overwrite(out: bytearray, entry: Entry | None, value: int, order: str) -> None:
    if entry is not None and entry.count == 1 and entry.type in (3, 4) and (entry.type == 4 or value < 65_536):
        struct.pack_into(order + ("H" if entry.type == 3 else "L"), out, entry.position, value)


def _bytes_at(fp: BinaryIO, offset: int, size: int) -> bytes:
    try:
        fp.seek(offset)
        data = fp.read(size)
    except (OSError, OverflowError) as error:  # an offset beyond what a file can hold
        raise ValueError("the directory is cut short") from error
    if len(data) != size:
        raise ValueError("the directory is cut short")
    return data
