"""Image files made by hand or by other libraries, and independent readings of them, for the tests of restore_jax.io."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

import restore_jax.io.photos as rio
from restore_jax.errors import InputError

RNG = np.random.default_rng(5)
HEIGHT, WIDTH = 21, 34
SMOOTH = np.stack(np.meshgrid(np.linspace(20, 230, HEIGHT), np.linspace(30, 200, WIDTH), indexing="ij"), -1)
RGB8 = np.concatenate([SMOOTH, SMOOTH.mean(-1, keepdims=True)], -1).astype(np.uint8)
NOISE16 = RNG.integers(0, 65536, (HEIGHT, WIDTH, 4), dtype=np.uint16)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" dc:title="Pier"/></x:xmpmeta>'


def exif(orientation=1):
    block = Image.Exif()
    block[0x10F] = "A maker of cameras"
    block[0x112] = orientation
    details = block.get_ifd(0x8769)
    details[0x829A] = 0.004  # exposure time
    details[0x9003] = "2024:05:06 07:08:09"
    details[0x927C] = b"MAKER\0" + bytes(range(60))
    details[0xA002], details[0xA003] = WIDTH, HEIGHT
    block.get_ifd(0x8825)[1] = "N"
    return block.tobytes()


def saved(array, kind, **options):
    out = io.BytesIO()
    (array if isinstance(array, Image.Image) else Image.fromarray(array)).save(out, kind, **options)
    return out.getvalue()


def opened(path):
    return Image.open(io.BytesIO(path.read_bytes()))


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def make_png(array, extra=b"", header=(), interlaced=False):
    """16-bit PNG without filters: big-endian rows with a zero in front."""
    height, width, channels = array.shape
    passes = [array]
    if interlaced:
        starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
        passes = [array[y::down, x::right] for y, x, down, right in starts]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for part in passes for row in part if row.size)
    fields = header or (width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, int(interlaced))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *fields))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def split_png(data):
    at, found = 8, {}
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name = data[at + 4 : at + 8]
        assert zlib.crc32(data[at + 4 : at + 8 + length]) == struct.unpack_from(">I", data, at + 8 + length)[0]
        found[name] = found.get(name, b"") + data[at + 8 : at + 8 + length]
        at += 12 + length
    return found


def decode_png(data):
    """By the PNG specification, byte for byte: any filter, 8 or 16 bits, not interlaced."""
    chunks = split_png(data)
    width, height, bits, colour, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    step = channels * bits // 8
    stream, size = zlib.decompress(chunks[b"IDAT"]), width * step
    above, rows = bytearray(size), []
    for y in range(height):
        start = y * (size + 1)
        kind, row = stream[start], bytearray(stream[start + 1 : start + 1 + size])
        for i in range(size):
            a, b, c = (row[i - step] if i >= step else 0), above[i], (above[i - step] if i >= step else 0)
            nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            row[i] = (row[i] + (0, a, b, (a + b) // 2, nearest)[kind]) % 256
        rows.append(row)
        above = row
    dtype = np.uint8 if bits == 8 else np.dtype(">u2")
    return np.frombuffer(b"".join(rows), dtype).reshape(height, width, channels)


def place(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def refused(path, *words, action=rio.read_photo):
    with pytest.raises(InputError) as caught:
        action(path)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{path}: ")
    for word in words:
        assert word in line
    return line


def numbers(photo):
    """The photo's pixels as integers of its depth, (h, w, 3)."""
    full = {8: 255, 16: 65535}[photo.bits]
    return np.rint(photo.pixels.astype(np.float64) * full).astype(int)


def with_tiff_orientation(data, orientation):
    """The little-endian TIFF with an orientation tag: a copy of its directory, one entry longer, at the end."""
    (offset,) = struct.unpack_from("<L", data, 4)
    (number,) = struct.unpack_from("<H", data, offset)
    entries = [data[offset + 2 + 12 * i : offset + 14 + 12 * i] for i in range(number)]
    entries.append(struct.pack("<HHLHH", 0x112, 3, 1, orientation, 0))
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry))
    data += bytes(len(data) % 2)
    return (
        data[:4]
        + struct.pack("<L", len(data))
        + data[8:]
        + struct.pack("<H", number + 1)
        + b"".join(entries)
        + bytes(4)
    )
