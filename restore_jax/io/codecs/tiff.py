"""TIFF: 8- and 16-bit and float pixels in and out, with everything else the file says about its photograph.

Writing is done here because no library at hand writes 16-bit colour together with EXIF.
"""

import io
import itertools
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from restore_jax.io.codecs import exif as ifd
from restore_jax.io.codecs import opencv, pillow
from restore_jax.io.numbers import from_float, to_float

_UNCOMPRESSED, _DEFLATE, _OLD_DEFLATE, _PACKBITS = 1, 8, 32_946, 32_773
_STRIP_BYTES = 1 << 18
_MOST_EXTRA = 16  # channels behind the colours
_LARGEST_TILE = 4096  # pixels by which a tile may be larger than its image
_SENSOR = (32_803, 34_892)  # a colour filter's samples, and such made linear
_DEFLATE_MOST = 1032  # bytes that one byte can stand for


@dataclass(frozen=True)
class Header:
    """The contents of the first directory. size: (width, height) as stored; kind: "uint" or "float".

    extra: what each channel behind the colours is: 1 alpha that colours were multiplied with, 2 other alpha, 0 neither.
    """

    size: tuple[int, int]
    bits: int
    kind: str
    channels: int
    photometric: int
    compression: int
    predictor: int
    orientation: int
    extra: tuple[int, ...]
    icc: bytes | None
    xmp: bytes | None


def read_header(fp: BinaryIO) -> Header:
    """Return the header of a TIFF with one photograph in it. ValueError for anything this package does not read."""
    order, big, offset = ifd.header(fp)
    try:
        entries, following = ifd.read_ifd(fp, offset, order, big)
    except ValueError as error:
        raise ValueError("truncated: it ends before its directory") from error

    def values(tag, *default):
        entry = entries.get(tag)
        return ifd.integers(entry, order) if entry is not None and entry.count else default

    pages = 1 + sum(1 for entry in _pages(fp, following, order, big) if not entry & 5)  # not thumbnails, not masks
    if pages > 1:
        raise ValueError(f"holds {pages} pages: save each as a file of its own")
    width, height, bits = values(0x100, 0)[0], values(0x101, 0)[0], values(0x102, 1)
    kinds, photometric = values(0x153, 1), values(0x106, 1)[0]
    if len(set(bits)) > 1 or len(set(kinds)) > 1:
        raise ValueError("its channels differ in bit depth")
    kind = {1: "uint", 3: "float", 4: "uint"}.get(kinds[0])
    readable = bits[0] in ((16, 32, 64) if kind == "float" else (1, 2, 4, 8, 16))
    if kind is None or not readable:
        sample = {"uint": "", None: "signed ", "float": "float "}[kind]
        raise ValueError(f"has {bits[0]}-bit {sample}samples: save it with 8 or 16 bits")
    if photometric in (8, 9, 10) or (bits[0] > 8 and photometric not in (0, 1, 2)):
        raise ValueError("is neither grey nor RGB: convert it to RGB")
    channels = values(0x115, 1)[0]
    colours = {2: 3, 5: 4, 6: 3}.get(photometric, 1)
    if not colours <= channels <= colours + _MOST_EXTRA:
        raise ValueError(f"has {channels} channels: save it as grey or RGB, with or without alpha")
    extra = values(0x152)[: channels - colours]
    if len(extra) < channels - colours:  # it should say, and does not: the first is alpha then
        extra = (*extra, *[0] * (channels - colours - len(extra))) if extra else (2, *[0] * (channels - colours - 1))
    offsets, sizes = values(0x111) or values(0x144), values(0x117) or values(0x145)
    _refuse_missing_data(fp, offsets, sizes)
    across, down = values(0x142, width)[0], values(0x143, values(0x116, height)[0])[0]
    part = min(across, width + _LARGEST_TILE) * min(down, height + _LARGEST_TILE) * channels * -(-bits[0] // 8)
    if values(0x103, 1)[0] in (_DEFLATE, _OLD_DEFLATE):
        _refuse_bombs(fp, offsets, sizes, part)
    return Header(
        (width, height),
        bits[0],
        kind,
        channels,
        photometric,
        values(0x103, 1)[0],
        values(0x13D, 1)[0],
        min(max(values(ifd.ORIENTATION, 1)[0], 1), 8),
        extra,
        entries[ifd.ICC].value if ifd.ICC in entries else None,
        entries[ifd.XMP].value if ifd.XMP in entries else None,
    )


def read(fp: BinaryIO, check_size: Callable[[int, int], None]) -> tuple[np.ndarray, dict]:
    """Return upright (h, w, c) pixels, uint8, uint16 or float32, c = 1 grey, 2 + alpha, 3 RGB, 4 + alpha, and fields.

    The fields are those of a Photo; "samples" holds the channels that are neither. ValueError for what cannot be read.
    """
    header = read_header(fp)
    check_size(*header.size)
    said: dict = {"icc": header.icc, "xmp": header.xmp, "exif": ifd.from_tiff(fp)}
    said["extras"] = {"compress": header.compression != 1}
    alpha = next((place for place, kind in enumerate(header.extra) if kind), None)
    plain = [place for place in range(len(header.extra)) if place != alpha]
    if header.bits <= 8 and not (plain and header.bits == 8 and header.photometric in (0, 1, 2)):
        array, converted = pillow.decode(pillow.open_lazily(fp, "tiff"))
        if converted:
            said |= {"icc": None, "left_out": ("the inks (CMYK, made sRGB)",)}
        return array, said
    array = ifd.turned(decode(fp, header), header.orientation)
    if header.kind == "float":
        array = to_float(array)
    colours = header.channels - len(header.extra)
    if plain:
        said["samples"] = np.ascontiguousarray(array[..., [colours + place for place in plain]])
    kept = [*range(colours), *([] if alpha is None else [colours + alpha])]
    if len(kept) < header.channels:
        array = array[..., kept]
    if alpha is not None and header.extra[alpha] == 1:
        array = _unmultiplied(array)
    return array, said


def is_raw(fp: BinaryIO) -> bool:
    """Return whether a TIFF holds what a sensor saw: it is a DNG, or a directory below has a colour filter."""
    try:
        order, big, offset = ifd.header(fp)
        entries, _ = ifd.read_ifd(fp, offset, order, big)
        if 0xC612 in entries:
            return True
        below = ifd.integers(entries[0x14A], order) if 0x14A in entries else ()
        directories = [entries, *(ifd.read_ifd(fp, place, order, big)[0] for place in below[:20])]
        return any(ifd.integers(found[0x106], order)[0] in _SENSOR for found in directories if 0x106 in found)
    except (ValueError, IndexError):
        return False


def decode(fp: BinaryIO, header: Header) -> np.ndarray:
    """Return (h, w, c) uint8, uint16 or float32 pixels of all channels, as stored: not turned upright.

    Samples have 8 bits or more.
    """
    plain = header.compression in (_UNCOMPRESSED, _DEFLATE, _OLD_DEFLATE, _PACKBITS)
    if plain and header.predictor in (1, 2):
        array = _with_tifffile(fp)
    else:
        array = _with_opencv(fp, header) if header.bits > 8 else _with_pillow(fp, header)
    width, height = header.size
    if array.shape != (height, width, header.channels):
        raise ValueError("its pixels cannot be decoded")
    if header.kind == "float":
        array = array.astype(np.float32, copy=False)
    if header.photometric == 0:  # white is zero
        array = array.copy()
        array[..., 0] = (1 if header.kind == "float" else np.iinfo(array.dtype).max) - array[..., 0]
    return array


def encode(
    array: np.ndarray,
    extra: tuple[int, ...],
    exif: bytes | None,
    icc: bytes | None,
    xmp: bytes | None,
    dpi: tuple | None,
    compress: bool,
) -> bytes:
    """Return a TIFF of (h, w, c) uint8, uint16 or float32 pixels: grey or RGB, then channels as `extra` (Header) says.

    The EXIF block comes first, as it is, so that all offsets in it stay right; then pixels; then the directory, which
    takes over the entries of the block's own. dpi: dots per inch, (x, y).
    """
    height, width, channels = array.shape
    tree, out, order = _block_entries(exif)
    rows = max(1, _STRIP_BYTES // (width * channels * array.dtype.itemsize))
    predict = compress and array.dtype.kind == "u"
    offsets, sizes = [], []
    for top in range(0, height, rows):
        strip = _strip(array[top : top + rows], order, compress, predict)
        offsets.append(len(out))
        sizes.append(len(strip))
        out += strip
    if len(out) > 0xF0000000:
        raise ValueError("too large for a TIFF: write a PNG")

    def put(tag, letter, *numbers):
        kind = {"H": 3, "L": 4, "LL": 5}[letter]
        tree[tag] = ifd.Entry(
            kind, len(numbers) // len(letter), struct.pack(f"{order}{len(numbers)}{letter[0]}", *numbers), 0
        )

    put(0x100, "L", width)
    put(0x101, "L", height)
    put(0x102, "H", *[8 * array.dtype.itemsize] * channels)
    put(0x103, "H", _DEFLATE if compress else _UNCOMPRESSED)
    put(0x106, "H", 2 if channels - len(extra) == 3 else 1)
    put(0x111, "L", *offsets)
    put(ifd.ORIENTATION, "H", 1)
    put(0x115, "H", channels)
    put(0x116, "L", min(rows, height))
    put(0x117, "L", *sizes)
    put(0x11C, "H", 1)
    put(0x153, "H", *[3 if array.dtype.kind == "f" else 1] * channels)
    if predict:
        put(0x13D, "H", 2)
    if extra:
        put(0x152, "H", *extra)
    if dpi and ifd.RESOLUTION_X not in tree:
        put(ifd.RESOLUTION_X, "LL", round(dpi[0] * 1000), 1000)
        put(ifd.RESOLUTION_Y, "LL", round(dpi[1] * 1000), 1000)
        put(ifd.RESOLUTION_UNIT, "H", 2)
    if icc:
        tree[ifd.ICC] = ifd.Entry(7, len(icc), icc, 0)
    if xmp:
        tree[ifd.XMP] = ifd.Entry(1, len(xmp), xmp, 0)
    out += bytes(len(out) % 2)
    struct.pack_into(order + "L", out, 4, len(out))
    out += ifd.directory(tree, order, len(out))
    return bytes(out)


def _block_entries(block: bytes | None) -> tuple[dict[int, ifd.Entry], bytearray, str]:
    """Return the block's entries about the photograph, their values left in place; the file so far; its byte order."""
    fresh = {}, bytearray(b"II*\0\0\0\0\0"), "<"
    if not block:
        return fresh
    try:
        order, big, offset = ifd.header(io.BytesIO(block))
        entries, _ = ifd.read_ifd(io.BytesIO(block), offset, order, big)
    except ValueError:
        return fresh  # EXIF that nobody can read
    if big:
        return fresh
    tree = {
        tag: entry if len(entry.value) <= 4 else entry._replace(value=None)
        for tag, entry in entries.items()
        if tag not in ifd.STRUCTURAL
    }
    return tree, bytearray(block) + bytes(len(block) % 2), order


def _strip(rows: np.ndarray, order: str, compress: bool, predict: bool) -> bytes:
    if predict:  # each sample as its difference from the one to the left, modulo 2^bits
        rows = np.concatenate([rows[:, :1], rows[:, 1:] - rows[:, :-1]], axis=1)
    raw = rows.astype(rows.dtype.newbyteorder(order), copy=False).tobytes()
    return zlib.compress(raw) if compress else raw


def _pages(fp: BinaryIO, offset: int, order: str, big: bool) -> Iterator[int]:
    """Return the NewSubfileType of the directories from `offset` on."""
    seen = set()
    while offset and offset not in seen and len(seen) < 1000:
        seen.add(offset)
        try:
            entries, offset = ifd.read_ifd(fp, offset, order, big)
        except ValueError:
            return
        yield ifd.integers(entries[0xFE], order)[0] if 0xFE in entries else 0


def _refuse_missing_data(fp: BinaryIO, offsets: tuple[int, ...], sizes: tuple[int, ...]) -> None:
    # Checked before decoding: libraries fill the rest with zeros or report it on stderr.
    end = fp.seek(0, os.SEEK_END)
    if not offsets:
        raise ValueError("truncated or damaged: it does not say where its pixels are")
    if any(offset + size > end for offset, size in itertools.zip_longest(offsets, sizes, fillvalue=0)):
        raise ValueError("truncated: it ends before its last pixel")
    if sum(sizes) > end:
        raise ValueError("damaged: its pixels overlap in the file")


def _refuse_bombs(fp: BinaryIO, offsets: tuple[int, ...], sizes: tuple[int, ...], part: int) -> None:
    # zlib gives tifffile all there is, however much: a strip of kilobytes may hold gigabytes.
    for offset, size in zip(offsets, sizes, strict=False):
        if size * _DEFLATE_MOST <= part:
            continue
        fp.seek(offset)
        packed, inflate, left = fp.read(size), zlib.decompressobj(), part
        while packed and left >= 0 and not inflate.eof:
            left -= len(inflate.decompress(packed, 1 << 20))
            packed = inflate.unconsumed_tail
        if left < 0:
            raise ValueError("damaged: a part of it holds more pixels than the picture")


def _with_tifffile(fp: BinaryIO) -> np.ndarray:
    import tifffile

    fp.seek(0)
    with tifffile.TiffFile(fp) as file:
        page = file.pages[0]
        array = page.asarray(maxworkers=1)
        axes = page.axes
    if "S" not in axes:
        return array[..., None]
    return np.moveaxis(array, axes.index("S"), -1)


def _with_pillow(fp: BinaryIO, header: Header) -> np.ndarray:
    """Decode 8 bits with one channel behind the colours: Pillow gives it whole if told that it is alpha."""
    fp.seek(0)
    data = ifd.patched(ifd.upright(fp.read(), *header.size), 0x152, 2)
    array, _ = pillow.decode(pillow.open_lazily(io.BytesIO(data), "tiff"))
    return array


def _unmultiplied(array: np.ndarray) -> np.ndarray:
    """Return colours that were stored multiplied by alpha, divided by it again, in the array's type."""
    values = to_float(array)
    values[..., :-1] /= np.maximum(values[..., -1:], np.float32(1e-6))
    return from_float(values, array.dtype)


def _with_opencv(fp: BinaryIO, header: Header) -> np.ndarray:
    fp.seek(0)
    # OpenCV turns TIFFs upright whatever its flags say: it is shown one that is upright as it is.
    array = opencv.decode(ifd.upright(fp.read(), *header.size))
    if array is None:
        raise ValueError("damaged, or compressed in a way that is not supported: save it uncompressed")
    return array
