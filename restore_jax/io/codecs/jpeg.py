"""JPEG: a photograph with all that cameras keep in and behind it."""

import io
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np

from restore_jax.io.codecs import exif as exif_block
from restore_jax.io.codecs import jpeg_structure, pillow
from restore_jax.io.codecs import xmp as xmp_packet
from restore_jax.io.codecs.jpeg_structure import Item, Structure

QUALITY = 95
_FINE_TABLE = 369  # sum of the brightness table that quality 95 stands for
_SEGMENT = 65_000  # bytes that fit in one segment
_MOST_SCANS = 200  # progressive files have about 10, and each takes as long as the first
_ISO_GAIN = b"urn:iso:std:iso:ts:21496:-1\0"
_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_TURNED = ("gain map", "depth map")  # pictures that lie on the first one, as it is stored


def read(fp: BinaryIO, check_size: Callable[[int, int], None]) -> tuple[np.ndarray, dict]:
    """Return upright (h, w, 1 or 3) uint8 pixels, and the fields of a Photo. ValueError for what cannot be read."""
    image = pillow.open_lazily(fp, "jpeg")
    check_size(*image.size)
    fp.seek(0)
    data = fp.read()
    structure = jpeg_structure.read(data)
    _refuse_slow(structure)
    if structure.end is None and (mended := _mended(data, structure)) is not None:
        data = mended
        structure = jpeg_structure.read(data)
        image = pillow.open_lazily(io.BytesIO(data), "jpeg")
    array, converted = pillow.decode(image)
    said, left_out = pillow.metadata(image), []
    if converted:
        said["icc"] = None
        left_out.append("the inks (CMYK, made sRGB)")
    turn = exif_block.orientation(said["exif"])
    kept, gone = _kept(jpeg_structure.items(data, structure, said["xmp"]), turn)
    left_out += gone
    extras = {
        "tables": image.quantization,
        "progressive": "progressive" in image.info,
        "comment": image.info.get("comment"),
        "photoshop": jpeg_structure.app_segments(data, structure, jpeg_structure.APP13, b"Photoshop"),  # captions
        "iso_gain": jpeg_structure.app_segments(data, structure, jpeg_structure.APP2, _ISO_GAIN),
        "extension": jpeg_structure.app_segments(data, structure, jpeg_structure.APP1, _EXTENSION),
        "items": kept,
    }
    if turn > 1 and extras["extension"]:  # it may hold pictures of the old orientation
        extras["extension"] = []
        left_out.append("extended XMP")
    if jpeg_structure.app_segments(data, structure, jpeg_structure.APP11, b"JP"):
        left_out.append("content credentials (they sign the old picture)")
    return exif_block.turned(array, turn), {**said, "extras": extras, "left_out": tuple(left_out)}


def encode(array: np.ndarray, said: Mapping[str, Any], extras: Mapping[str, Any]) -> tuple[bytes, tuple[str, ...]]:
    """Return a JPEG of (h, w, 1 or 3) uint8 pixels, and what does not fit in it.

    `said`, `extras`: as `read` gives them.

    Quality 95, or the source's own tables where they are finer; colours at full resolution.
    """
    options: dict[str, Any] = {"quality": QUALITY}
    tables = extras.get("tables") or {}
    if 0 in tables and sum(tables[0]) < _FINE_TABLE:
        options = {"qtables": tables}
    kept, left_out = extras.get("items", ()), []
    segments = [(jpeg_structure.APP13, body) for body in extras.get("photoshop") or ()]
    if any(item.kind == "gain map" for item in kept):
        segments += [(jpeg_structure.APP2, body) for body in extras.get("iso_gain") or ()]
    segments += [(jpeg_structure.APP1, body) for body in extras.get("extension") or ()]
    block, packet = b"Exif\0\0" + said["exif"] if said["exif"] else b"", said["xmp"]
    if packet is not None:
        packet = _truthful(packet, kept, bool(extras.get("extension")))
        if len(packet) > _SEGMENT:
            packet = None
            left_out.append("XMP (longer than a JPEG's segment)")
    if len(block) > _SEGMENT:
        block = b""
        left_out.append("EXIF (longer than a JPEG's segment)")
    data = pillow.saved(
        array,
        "JPEG",
        subsampling=0,
        progressive=extras.get("progressive", False),
        exif=block,
        xmp=packet,
        icc_profile=said["icc"],
        comment=extras.get("comment"),
        dpi=said["dpi"] or (0, 0),
        extra=b"".join(jpeg_structure.segment(*pair) for pair in segments),
        **options,
    )
    return jpeg_structure.with_items(data, kept), tuple(left_out)


def _truthful(packet: bytes, kept: tuple[Item, ...], extension: bool) -> bytes:
    """Return the packet without claims of files that are not there, and with the lengths of those that are."""
    kinds = [item.kind for item in kept]
    claimed = {claim.kind for claim in xmp_packet.claims(packet)[1]}
    gone = {"gain map", "film", *claimed} - set(kinds)
    packet = xmp_packet.without(packet, gone if extension else gone | {"extended"})
    return xmp_packet.with_lengths(packet, {item.kind: len(item.data) for item in kept if kinds.count(item.kind) == 1})


def _kept(items: list[Item], turn: int) -> tuple[tuple[Item, ...], list[str]]:
    """Return the items for a picture turned upright, and the kinds of those that go."""
    kept, gone = [], []
    for item in items:
        if item.kind == "preview":
            gone.append("the preview of the old picture")
        elif turn > 1 and item.kind in _TURNED:
            try:
                kept.append(item._replace(data=_turned(item.data, turn)))
            except Exception:  # whatever a decoder trips over
                gone.append(f"the {item.kind} (damaged)")
        else:
            kept.append(item)
    return tuple(kept), gone


def _turned(data: bytes, turn: int) -> bytes:
    """Return a JPEG turned as the orientation tag asks, its application segments kept."""
    image = pillow.open_lazily(io.BytesIO(data), "jpeg")
    array, converted = pillow.decode(image)
    if converted:
        raise ValueError("its colours are not supported")
    head = b"".join(
        jpeg_structure.segment(marker, data[start:end])
        for marker, start, end in jpeg_structure.read(data).segments
        if 0xE1 <= marker <= 0xED
    )
    plain = pillow.saved(exif_block.turned(array, turn), "JPEG", qtables=image.quantization, subsampling=0)
    return plain[:2] + head + plain[2:]


def _refuse_slow(structure: Structure) -> None:
    scans = sum(1 for segment in structure.segments if segment.marker == jpeg_structure.SOS)
    if scans > _MOST_SCANS:  # they may be empty: decoding would take minutes
        raise ValueError(f"has {scans} scans: save it anew, as a baseline JPEG")


def _mended(data: bytes, structure: Structure) -> bytes | None:
    """Return the file with the end marker it lacks. None if pixels are missing too.

    They are if the picture depends on what is put where the file ends: a decoder reads on in it.
    """
    if not jpeg_structure.all_scans_begun(data, structure):
        return None
    data = data.rstrip(b"\xff")
    pictures = []
    for tail in (b"", b"\x55" * 64, b"\xaa" * 64):
        image = pillow.open_lazily(io.BytesIO(data + tail + b"\xff\xd9"), "jpeg")
        image.load()
        pictures.append(np.asarray(image))
    same = all(np.array_equal(pictures[0], picture) for picture in pictures[1:])
    return data + b"\xff\xd9" if same else None
