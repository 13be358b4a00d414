"""PNG as bytes: a reading of its chunks, 16-bit decoding, and encoding of 8 and 16 bits with their metadata.

A wrong byte in what makes the pixels is refused. A wrong byte beside them costs no more than the chunk it is in; a
missing end marker costs nothing. Apple's variant (CgBI, in app bundles of iPhones) is read too.

Why not a library: Pillow reads and writes 16-bit colour as 8 bits; OpenCV writes no metadata and no grey with alpha,
and complains of truncated files on stderr.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO

import numpy as np

from restore_jax.io.codecs import exif as exif_block
from restore_jax.io.codecs import opencv, pillow

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"
# What says how to show the numbers, or describes the picture. eXIf, iCCP, cICP and XMP are handled by name.
_CARRIED = {b"cHRM", b"gAMA", b"sRGB", b"mDCV", b"cLLI", b"pHYs", b"tEXt", b"zTXt", b"iTXt"}
_OF_OLD_PIXELS = {b"sBIT", b"bKGD", b"hIST", b"tIME", b"sPLT", b"tRNS"}
_APPLE = b"\0\0\0\4CgBI"
_MAX_INFLATED = 1 << 26

Chunk = tuple[bytes, bytes]


def read(fp: BinaryIO, check_size: Callable[[int, int], None]) -> tuple[np.ndarray, dict]:
    """Return upright (h, w, c) uint8 or uint16 pixels, and the fields of a Photo.

    ValueError for what cannot be read.
    """
    head = fp.read(len(SIGNATURE) + 16 + 25)
    apple = head[len(SIGNATURE) :].startswith(_APPLE)
    width, height, bits, _, _ = read_header(head[:8] + head[24:] if apple else head)
    check_size(width, height)
    fp.seek(0)
    data = fp.read()
    if apple:
        data = data[:8] + data[24:]
    chunks, wrong = read_chunks(data)
    if any(name == b"acTL" for name, _ in chunks):
        raise ValueError("an animation, not a photograph")
    if apple:
        chunks = _with_zlib_header(chunks, data)
    if apple or wrong or not data.endswith(b"IEND\xae\x42\x60\x82"):
        data = SIGNATURE + b"".join(_chunk(name, bytes(body)) for name, body in chunks if name != b"IEND")
        data += _chunk(b"IEND", b"")
    said = metadata(chunks)
    said["left_out"] = (
        *(f"a {name.decode('latin1')} chunk with a wrong checksum" for name in wrong),
        *said["left_out"],
    )
    if bits == 16:
        array = decode16(chunks, data)
    else:
        array, _ = pillow.decode(pillow.open_lazily(io.BytesIO(data), "png"))
    if apple and array.shape[2] > 2:
        array = _from_apple(array)
    said["extras"] = {"chunks": said.pop("chunks")}
    return exif_block.turned(array, exif_block.orientation(said["exif"])), said


def read_header(head: bytes) -> tuple[int, int, int, int, bool]:
    """Return (width, height, bits a sample, channels, interlaced) from a file's first 33 bytes."""
    if len(head) < 33 or head[12:16] != b"IHDR":
        raise ValueError("truncated in its header")
    width, height, bits, colour, _, _, interlace = struct.unpack(">IIBBBBB", head[16:29])
    if colour not in _CHANNELS or bits not in (1, 2, 4, 8, 16):
        raise ValueError("its header makes no sense")
    return width, height, bits, _CHANNELS[colour], bool(interlace)


def look_through(fp: BinaryIO) -> int:
    """Return the orientation by the chunks of a file, whose pixels are passed over.

    ValueError for an animation, and where the file ends within a chunk of pixels.
    """
    end, at, block = fp.seek(0, io.SEEK_END), len(SIGNATURE), None
    while at + 8 <= end:
        fp.seek(at)
        length, name = struct.unpack(">I4s", fp.read(8))
        at += 12 + length
        if name == b"acTL":
            raise ValueError("an animation, not a photograph")
        if name == b"IDAT" and at > end:
            raise ValueError("truncated: it ends before its last pixel")
        if name == b"eXIf" and at <= end:
            block = fp.read(length)
        if name == b"IEND":
            break
    return exif_block.orientation(block)


def read_chunks(data: bytes) -> tuple[list[tuple[bytes, memoryview]], list[bytes]]:
    """Return all chunks up to IEND, and the names of those left out for a wrong checksum, which pixels do not need.

    ValueError for a file that ends before its last pixel, and for a wrong checksum of the others.
    """
    view, at, found, wrong = memoryview(data), len(SIGNATURE), [], []
    while True:
        length, name = struct.unpack_from(">I4s", view, at) if at + 8 <= len(view) else (0, b"")
        end = at + 12 + length
        if end > len(view):
            if _whole_stream(found):
                return found, wrong  # no more than the end marker is missing
            raise ValueError("truncated: it ends before its last pixel")
        if zlib.crc32(view[at + 4 : end - 4]) == struct.unpack_from(">I", view, end - 4)[0]:
            found.append((name, view[at + 8 : end - 4]))
        elif name[0] & 32 and name.isalpha():  # ancillary, by the case of its first letter
            wrong.append(name)
        else:
            raise ValueError("damaged: a chunk has a wrong checksum")
        if name == b"IEND":
            return found, wrong
        at = end


def metadata(chunks: Sequence[tuple[bytes, memoryview]]) -> dict:
    """Return the fields of a Photo that chunks are for, others under "chunks" for another PNG, and what is left out."""
    found: dict = {"icc": None, "exif": None, "xmp": None, "dpi": None, "cicp": None, "chunks": []}
    left_out = []
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
        elif name == b"cICP" and len(body) == 4:
            found["cicp"] = (body[0], body[1])
        elif name == b"caBX":
            left_out.append("content credentials (they sign the old picture)")
        elif name[0] & 32 and name not in _CARRIED | _OF_OLD_PIXELS and not name[3] & 32:
            left_out.append(f"a {name.decode('latin1')} chunk (it belongs to the old pixels)")
        elif name[0] & 32 and name not in _OF_OLD_PIXELS:  # described above, or safe to copy by its last letter
            found["chunks"].append((name, body))
            if name == b"pHYs" and body[8:] == b"\1":  # dots per metre, not only the shape of a pixel
                found["dpi"] = tuple(0.0254 * value for value in struct.unpack(">II", body[:8]))
    return {**found, "left_out": tuple(left_out)}


def metadata_chunks(
    icc: bytes | None,
    exif: bytes | None,
    xmp: bytes | None,
    dpi: tuple | None,
    cicp: tuple[int, int] | None = None,
    others: Iterable[Chunk] = (),
) -> list[Chunk]:
    """Return the chunks to put between header and pixels; `others` as `metadata` found them.

    dpi: dots per inch, (x, y). cicp: primaries and transfer by ITU-T H.273.
    """
    chunks = list(others)
    if cicp:
        chunks.insert(0, (b"cICP", bytes([*cicp, 0, 1])))  # RGB, full range
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
    """Return (h, w, c) uint16 pixels of a 16-bit PNG, c = 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha."""
    width, height, _, channels, interlaced = read_header(data[:33])
    needed = _pixel_bytes(width, height, 2 * channels, interlaced)
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
    """Return a PNG of (h, w, c) uint8 or uint16 pixels, c = 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha."""
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
    """Return rows of bytes with PNG's Paeth filter (4) applied and named; `above` is the row over the first."""
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
    """Return whether the pixel stream holds `size` bytes, found without holding them."""
    inflate = zlib.decompressobj()
    for name, body in chunks:
        while name == b"IDAT" and len(body) and size > 0:
            size -= len(inflate.decompress(body, 1 << 20))
            body = inflate.unconsumed_tail
            if inflate.eof:
                return size <= 0
    return size - len(inflate.flush()) <= 0


def _whole_stream(chunks: Sequence[tuple[bytes, memoryview]]) -> bool:
    """Return whether the stream of pixels ends, with its checksum, in these chunks; found without holding them."""
    inflate = zlib.decompressobj()
    try:
        for name, body in chunks:
            while name == b"IDAT" and len(body) and not inflate.eof:
                inflate.decompress(body, 1 << 20)
                body = inflate.unconsumed_tail
    except zlib.error:
        return False
    return inflate.eof


def _pixel_bytes(width: int, height: int, step: int, interlaced: bool) -> int:
    """Return bytes of the filtered rows of an image of `step` bytes a pixel, all seven passes where interlaced."""
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    total = 0
    for x, y, across, down in passes:
        columns, rows = -(-(width - x) // across), -(-(height - y) // down)
        total += rows * (1 + step * columns) if columns > 0 and rows > 0 else 0
    return total


def _with_zlib_header(chunks: Sequence[tuple[bytes, memoryview]], data: bytes) -> list[tuple[bytes, memoryview]]:
    """Return the chunks of Apple's variant with a stream of pixels that has zlib's header and checksum."""
    width, height, bits, channels, interlaced = read_header(data[:33])
    size = _pixel_bytes(width, height, max(1, channels * bits // 8), interlaced)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    rows = inflate.decompress(b"".join(body for name, body in chunks if name == b"IDAT"), size)
    if len(rows) < size and bits >= 8:
        raise ValueError("truncated: its pixels end early")
    others = [chunk for chunk in chunks if chunk[0] not in (b"IDAT", b"IEND")]
    return [*others, (b"IDAT", memoryview(zlib.compress(rows, 1))), (b"IEND", memoryview(b""))]


def _from_apple(array: np.ndarray) -> np.ndarray:
    """Return RGB(A) of the variant's pixels, which are BGR, multiplied by alpha."""
    if array.shape[2] == 3:
        return array[..., ::-1]
    alpha = array[..., 3:].astype(np.uint32)
    colours = (array[..., 2::-1] * np.uint32(255) + alpha // 2) // np.maximum(alpha, 1)
    return np.concatenate([colours.clip(0, 255).astype(np.uint8), array[..., 3:]], axis=2)
