"""Photographs with what cameras keep in and behind them, made by hand after the formats' specifications."""

import io
import struct

import numpy as np
import pillow_heif
import tifffile

from tests.image_samples import HEIGHT, RGB8, SRGB, WIDTH, XMP, exif, saved

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
GAIN = saved(RGB8[: HEIGHT // 2, : WIDTH // 2, 0], "jpeg", quality=90)
FILM = (
    struct.pack(">I", 24)
    + b"ftypmp42"
    + bytes(4)
    + b"mp42isom"
    + struct.pack(">I", 1008)
    + b"mdat"
    + bytes(range(250)) * 4
)


def packet(attributes="", body="", spaces=""):
    """An XMP packet of one description."""
    head = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="' + RDF + '"><rdf:Description rdf:about=""'
    own = ' xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="Pier"'
    return f"{head}{own}{spaces} {attributes}>{body}</rdf:Description></rdf:RDF></x:xmpmeta>".encode()


def container(*items, attributes="", padding=0):
    """An XMP packet that says what follows the picture: (meaning, MIME type, bytes)."""
    google = "http://ns.google.com/photos/1.0/"
    spaces = f' xmlns:Container="{google}container/" xmlns:Item="{google}container/item/"'
    spaces += f' xmlns:GCamera="{google}camera/" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"'
    entry = '<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="{}" Item:Mime="{}" {}/></rdf:li>'
    entries = entry.format("Primary", "image/jpeg", f'Item:Padding="{padding}"' if padding else "")
    entries += "".join(entry.format(what, mime, f'Item:Length="{size}"') for what, mime, size in items)
    return packet(attributes, f"<Container:Directory><rdf:Seq>{entries}</rdf:Seq></Container:Directory>", spaces)


def ultra_hdr(orientation=1, film=b"", **options):
    """A JPEG with a gain map and, if it is given, a film behind it, as phones with Android write them."""
    items = [("GainMap", "image/jpeg", len(GAIN))] + ([("MotionPhoto", "video/mp4", len(film))] if film else [])
    said = 'hdrgm:Version="1.0"' + (' GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1"' if film else "")
    xmp = container(*items, attributes=said)
    return saved(RGB8, "jpeg", quality=95, xmp=xmp, exif=exif(orientation), **options) + GAIN + film


def motion(**options):
    """A JPEG with a film behind it, as phones wrote them before the containers."""
    spaces = ' xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"'
    said = f'GCamera:MicroVideo="1" GCamera:MicroVideoVersion="1" GCamera:MicroVideoOffset="{len(FILM)}"'
    return saved(RGB8, "jpeg", quality=95, xmp=packet(said, spaces=spaces), exif=exif(), **options) + FILM


def multi_picture(*pictures):
    """A JPEG with a multi-picture index (CIPA DC-007) of (type, JPEG) behind it, its numbers big-endian."""
    first = saved(RGB8, "jpeg", quality=95, exif=exif())
    at = 4 + int.from_bytes(first[4:6], "big")  # behind the first segment
    count = len(pictures) + 1
    length = 8 + 2 + 3 * 12 + 4 + 16 * count
    size = len(first) + 8 + length
    header, place, entries = at + 8, size, [struct.pack(">LLLHH", 0x20030000, size, 0, 0, 0)]
    for kind, data in pictures:
        entries.append(struct.pack(">LLLHH", kind, len(data), place - header, 0, 0))
        place += len(data)
    body = b"MM\0*" + struct.pack(">LH", 8, 3) + struct.pack(">HHL4s", 0xB000, 7, 4, b"0100")
    body += struct.pack(">HHLL", 0xB001, 4, 1, count) + struct.pack(">HHLLL", 0xB002, 7, 16 * count, 50, 0)
    index = b"\xff\xe2" + struct.pack(">H", length + 6) + b"MPF\0" + body + b"".join(entries)
    return first[:at] + index + first[at:] + b"".join(data for _, data in pictures)


def multi_pictures_in(data):
    """[(type, bytes), ...] that a file's multi-picture index lists, the first picture included, by our own reading."""
    header = data.index(b"MPF\0") + 4
    order = "<" if data[header : header + 2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "L", data, header + 4)
    found = []
    for number in range(struct.unpack_from(order + "H", data, header + first)[0]):
        tag, _, count, value = struct.unpack_from(order + "HHLL", data, header + first + 2 + 12 * number)
        for entry in range(count // 16 if tag == 0xB002 else 0):
            kind, size, offset = struct.unpack_from(order + "LLL", data, header + value + 16 * entry)
            begin = header + offset if offset else 0
            found.append((kind, data[begin : begin + size]))
    return found


def tiff_with(extra, dtype=np.uint16, colours=3, **options):
    """(bytes, array) of a TIFF with noise in all channels, those behind the colours named by `extra`."""
    array = np.random.default_rng(3).integers(0, np.iinfo(dtype).max, (HEIGHT, WIDTH, colours + len(extra)), dtype)
    names = [{0: "unspecified", 1: "assocalpha", 2: "unassalpha"}[kind] for kind in extra]
    out = io.BytesIO()
    photometric = "rgb" if colours == 3 else "minisblack"
    tifffile.imwrite(
        out, array, photometric=photometric, planarconfig="contig", extrasamples=names, metadata=None, **options
    )
    return out.getvalue(), array


def dng(scene, orientation=1):
    """A raw file of a Bayer sensor (RGGB, 16 bits) that saw the (h, w, 3) uint16 `scene`, its primaries sRGB's."""
    mosaic = scene[..., 1].copy()
    mosaic[::2, ::2] = scene[::2, ::2, 0]
    mosaic[1::2, 1::2] = scene[1::2, 1::2, 2]
    xyz_to_rgb = [3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570]
    rationals = [part for value in xyz_to_rgb for part in (round(value * 10_000), 10_000)]
    tags = [
        (0x828D, 3, 2, (2, 2), True),
        (0x828E, 1, 4, bytes([0, 1, 1, 2]), True),
        (0x10F, 2, 0, "A maker of cameras", True),
        (0x112, 3, 1, orientation, True),
        (0xC612, 1, 4, b"\1\4\0\0", True),
        (0xC614, 2, 0, "A camera", True),
        (0xC621, 10, 9, rationals, True),
        (0xC628, 5, 3, (1, 1, 1, 1, 1, 1), True),
        (0xC65A, 3, 1, 21, True),
        (0xC61D, 3, 1, 65535, True),
    ]
    out = io.BytesIO()
    tifffile.imwrite(out, mosaic, photometric=32803, extratags=tags, metadata=None)
    return out.getvalue()


FULL = {"exif": exif(), "icc_profile": SRGB, "xmp": XMP}


def heic(array, mode="RGB", **options):
    """Return the HEIC file that pillow-heif encodes from an array (h, w, channels) of samples as `mode` says."""
    out = io.BytesIO()
    options = {"quality": 100, "chroma": 444, **options}
    pillow_heif.encode(mode, array.shape[1::-1], np.ascontiguousarray(array).tobytes(), out, **options)
    return out.getvalue()
