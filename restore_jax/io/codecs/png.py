"""PNG as bytes: a strict reading of its chunks, 16-bit decoding, and encoding of 8 and 16 bits with their metadata.

Why not a library: Pillow reads and writes 16-bit colour as 8 bits; OpenCV writes no metadata and no grey with alpha,
and complains of truncated files on stderr.
"""

import struct
import zlib
from collections.abc import Iterable, Sequence

import numpy as np

from restore_jax.io.codecs import opencv

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"
# What says how to show the numbers, or describes the picture. eXIf, iCCP and XMP are handled by name.
_CARRIED = {b"cHRM", b"gAMA", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"pHYs", b"tEXt", b"zTXt", b"iTXt"}
_MAX_INFLATED = 1 << 26

Chunk = tuple[bytes, bytes]


def read_header(head: bytes) -> tuple[int, int, int, int, bool]:
    """(width, height, bits a sample, channels, interlaced) from a file's first 33 bytes."""
    if len(head) < 33 or head[12:16] != b"IHDR":
        raise ValueError("truncated in its header")
    width, height, bits, colour, _, _, interlace = struct.unpack(">IIBBBBB", head[16:29])
    if colour not in _CHANNELS or bits not in (1, 2, 4, 8, 16):
        raise ValueError("its header makes no sense")
    return width, height, bits, _CHANNELS[colour], bool(interlace)


def read_chunks(data: bytes) -> list[tuple[bytes, memoryview]]:
    """All chunks up to IEND, checksums verified: a file that ends before IEND or has a wrong byte is a ValueError."""
    view, at, found = memoryview(data), len(SIGNATURE), []
    while True:
        if at + 12 > len(view):
            raise ValueError("truncated: it ends before its last chunk")
        length, name = struct.unpack_from(">I4s", view, at)
        end = at + 12 + length
        if end > len(view):
            raise ValueError("truncated: it ends inside a chunk")
        if zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", view, end - 4)[0]:
            raise ValueError("damaged: a chunk has a wrong checksum")
        found.append((name, view[at + 8 : end - 4]))
        if name == b"IEND":
            return found
        at = end


def metadata(chunks: Sequence[tuple[bytes, memoryview]]) -> dict:
    """{"icc", "exif", "xmp": bytes or None, "dpi": (x, y) or None, "chunks": others to carry into another PNG}."""
    found = {"icc": None, "exif": None, "xmp": None, "dpi": None, "chunks": []}
    for name, view in chunks:
        body = bytes(view) if name != b"IDAT" else b""
        if name == b"eXIf":
            found["exif"] = body
        elif name == b"iCCP":
            found["icc"] = _inflate(body[body.find(b"\0") + 2 :])
        elif name == b"iTXt" and body.startswith(_XMP_KEYWORD):
            compressed, rest = body[len(_XMP_KEYWORD)], body[len(_XMP_KEYWORD) + 2 :]
            text = rest.split(b"\0", 2)[-1]
            found["xmp"] = _inflate(text) if compressed else text
        elif name in _CARRIED:
            found["chunks"].append((name, body))
            if name == b"pHYs" and body[8:] == b"\1":  # dots per metre, not only the shape of a pixel
                found["dpi"] = tuple(0.0254 * value for value in struct.unpack(">II", body[:8]))
    return found


def metadata_chunks(
    icc: bytes | None, exif: bytes | None, xmp: bytes | None, dpi: tuple | None, others: Iterable[Chunk] = ()
) -> list[Chunk]:
    """The chunks to put between header and pixels; `others` as `metadata` found them. dpi: dots per inch, (x, y)."""
    chunks = list(others)
    if icc:
        chunks.insert(0, (b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
        chunks = [chunk for chunk in chunks if chunk[0] != b"sRGB"]  # a file holds one or the other
    if exif:
        chunks.append((b"eXIf", exif))
    if xmp:
        chunks.append((b"iTXt", _XMP_KEYWORD + b"\0\0\0\0" + xmp))
    if dpi and not any(name == b"pHYs" for name, _ in chunks):
        chunks.append((b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in dpi), 1)))
    return chunks


def decode16(chunks: Sequence[tuple[bytes, memoryview]], data: bytes) -> np.ndarray:
    """(h, w, c) uint16 pixels of a 16-bit PNG, c = 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha."""
    width, height, _, channels, interlaced = read_header(data[:33])
    needed = _pixel_bytes(width, height, channels, interlaced)
    if not _inflates_to(chunks, needed):  # libpng would say so on stderr
        raise ValueError("truncated: its pixels end early")
    image = opencv.decode(data)
    if image is None or image.dtype != np.uint16 or image.shape[:2] != (height, width):
        raise ValueError("its pixels cannot be decoded")
    if channels == 2:
        return image[..., [0, -1]]  # OpenCV gives grey with alpha as colour with alpha
    key = next((bytes(body) for name, body in chunks if name == b"tRNS"), None)
    if channels == 1 and key is not None:
        # One grey level is transparent: OpenCV leaves that out.
        alpha = np.where(image == struct.unpack(">H", key[:2])[0], 0, 65535).astype(np.uint16)
        return np.concatenate([image, alpha], -1)
    return image


def encode(array: np.ndarray, chunks: Iterable[Chunk] = (), level: int = 6) -> bytes:
    """A PNG of (h, w, c) uint8 or uint16 pixels, c = 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha."""
    height, width, channels = array.shape
    step = channels * array.dtype.itemsize
    deflate = zlib.compressobj(level)
    head = struct.pack(">IIBBBBB", width, height, 8 * array.dtype.itemsize, _COLOUR_TYPES[channels], 0, 0, 0)
    parts = [SIGNATURE, _chunk(b"IHDR", head), *(_chunk(*chunk) for chunk in chunks)]
    above = np.zeros((1, width * step), np.uint8)
    rows = max(1, (1 << 18) // (width * step))  # a quarter of a megabyte at a time: the temporaries stay in cache
    for top in range(0, height, rows):
        block = np.ascontiguousarray(array[top : top + rows], array.dtype.newbyteorder(">"))
        block = block.view(np.uint8).reshape(len(block), -1)
        packed = deflate.compress(_paeth(block, above, step).tobytes())
        above = block[-1:]
        if packed:
            parts.append(_chunk(b"IDAT", packed))
    parts += [_chunk(b"IDAT", deflate.flush()), _chunk(b"IEND", b"")]
    return b"".join(parts)


def _paeth(block: np.ndarray, above: np.ndarray, step: int) -> np.ndarray:
    """Rows of bytes with PNG's Paeth filter (4) applied and named; `above` is the row over the first."""
    now = np.pad(block, ((0, 0), (step, 0))).astype(np.int16)
    up = np.concatenate([np.pad(above, ((0, 0), (step, 0))), now[:-1]]).astype(np.int16)
    left, corner = now[:, :-step], up[:, :-step]
    now, up = now[:, step:], up[:, step:]
    to_left, to_up = np.abs(up - corner), np.abs(left - corner)
    to_corner = np.abs(left + up - 2 * corner)
    guess = np.where(to_up <= to_corner, up, corner)
    guess = np.where((to_left <= to_up) & (to_left <= to_corner), left, guess)
    out = np.empty((len(block), block.shape[1] + 1), np.uint8)
    out[:, 0] = 4
    out[:, 1:] = (now - guess).astype(np.uint8)  # modulo 256, as the filter is defined
    return out


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(name)))


def _inflate(packed: bytes) -> bytes | None:
    try:
        return zlib.decompressobj().decompress(packed, _MAX_INFLATED)
    except zlib.error:
        return None  # a damaged profile is no reason to refuse the picture


def _inflates_to(chunks: Sequence[tuple[bytes, memoryview]], size: int) -> bool:
    """Whether the pixel stream holds `size` bytes, found without holding them."""
    inflate = zlib.decompressobj()
    for name, body in chunks:
        while name == b"IDAT" and len(body) and size > 0:
            size -= len(inflate.decompress(body, 1 << 20))
            body = inflate.unconsumed_tail
            if inflate.eof:
                return size <= 0
    return size - len(inflate.flush()) <= 0


def _pixel_bytes(width: int, height: int, channels: int, interlaced: bool) -> int:
    """Bytes of the filtered rows of a 16-bit image, all seven passes where interlaced."""
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    total = 0
    for x, y, across, down in passes:
        columns, rows = -(-(width - x) // across), -(-(height - y) // down)
        total += rows * (1 + 2 * channels * columns) if columns > 0 and rows > 0 else 0
    return total
