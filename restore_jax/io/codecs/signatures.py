"""Tells files apart by their first bytes: photographs this package reads, or a line that says what else it is."""

import codecs
from typing import BinaryIO

RAW = (".dng", ".nef", ".nrw", ".cr2", ".cr3", ".arw", ".pef", ".srw", ".orf", ".rw2", ".raf", ".3fr", ".iiq")
_CONVERT = "is not supported: convert it to JPEG, PNG, TIFF or WebP"
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"mif1")
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_RAW_STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")  # RAF, ORF (three), RW2
_VIDEO = "a video, not a photograph"
_ARCHIVE = "an archive, not a photograph"
_SIGNATURES = (
    (b"GIF8", f"GIF {_CONVERT}"),
    (b"BM", f"BMP {_CONVERT}"),
    (b"8BPS", f"a Photoshop document {_CONVERT}"),
    (b"%PDF", "a PDF document, not a photograph"),
    (b"\x76\x2f\x31\x01", f"OpenEXR {_CONVERT}"),
    (b"#?RADIANCE", f"Radiance HDR {_CONVERT}"),
    (b"\0\0\0\x0cjP  ", f"JPEG 2000 {_CONVERT}"),
    (b"\xff\x4f\xff\x51", f"JPEG 2000 {_CONVERT}"),
    (b"\x1a\x45\xdf\xa3", _VIDEO),  # Matroska, WebM
    (b"\0\0\x01\xba", _VIDEO),  # MPEG
    (b"\0\0\x01\xb3", _VIDEO),
    (b"FLV\x01", _VIDEO),
    (b"OggS", _VIDEO),
    (b"\x30\x26\xb2\x75", _VIDEO),  # Windows Media
    (b"\x93NUMPY", "a NumPy array, not a photograph"),
    (b"PK\x03\x04", _ARCHIVE),
    (b"\x1f\x8b", _ARCHIVE),
)


def identify(head: bytes, suffix: str) -> str:
    """Return the format of a file that begins with `head` (up to 4096 bytes of it).

    It is "jpeg", "png", "tiff", "webp", "heif", "avif", "jxl" or "raw". ValueError, saying what it is instead, for
    every other file; `suffix` tells some camera raw files from other TIFFs.
    """
    if not head:
        raise ValueError("is empty")
    if head.startswith(_RAW_STARTS) or head[8:10] == b"CR" or head[4:11] == b"ftypcrx":
        return "raw"
    if head[:4] in _TIFF:
        return "raw" if suffix.lower() in RAW else "tiff"
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return "jxl"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        raise ValueError(_VIDEO)
    if head[4:8] == b"ftyp":  # the family of MP4
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(int.from_bytes(head[:4], "big"), 256), 4))}
        if head[8:12] in (b"avis", b"msf1", b"hevc", b"hevx"):
            raise ValueError("an animation, not a photograph")
        if head[8:12] == b"avif" or (head[8:12] == b"mif1" and b"avif" in brands):
            return "avif"
        if head[8:12] in _HEIF:
            return "heif"
        raise ValueError(_VIDEO)
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free"):  # QuickTime without its first box
        raise ValueError(_VIDEO)
    for start, reason in _SIGNATURES:
        if head.startswith(start):
            raise ValueError(reason)
    raise ValueError("a text file, not a photograph" if _is_text(head) else "none of the formats that photographs have")


def riff_chunks(fp: BinaryIO) -> set[bytes]:
    """Return the names of the chunks of a RIFF file. ValueError if it is shorter than it says."""
    end = fp.seek(0, 2)
    fp.seek(4)
    if int.from_bytes(fp.read(4), "little") + 8 > end:
        raise ValueError("truncated: it is shorter than it says")
    fp.seek(12)
    names = set()
    while len(head := fp.read(8)) == 8:
        names.add(head[:4])
        size = int.from_bytes(head[4:], "little")
        fp.seek(size + size % 2, 1)
    return names


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # a character may be cut at the end
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\r\n\t\f\ufeff" for character in text)
