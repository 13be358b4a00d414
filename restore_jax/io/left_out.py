"""The names of what a photograph loses on its way into a format, and the photograph without it, its tags still true."""

import dataclasses
import struct

import numpy as np

from restore_jax.io.codecs import exif, profiles, xmp
from restore_jax.io.photo import Photo

FORMATS = {  # that are written, by suffix
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "jpeg"),
    ".png": "png",
    **dict.fromkeys((".tif", ".tiff"), "tiff"),
    ".webp": "webp",
    **dict.fromkeys((".heic", ".heif", ".hif"), "heif"),
    ".avif": "avif",
}
NAMES = {
    **{"jpeg": "JPEG", "png": "PNG", "tiff": "TIFF", "webp": "WebP", "heif": "HEIC", "avif": "AVIF"},
    **{"jxl": "JPEG XL", "raw": "camera raw"},
}
_BITS = {"jpeg": 8, "png": 16, "tiff": 32, "webp": 8, "heif": 16, "avif": 8}  # at most
_TRANSFERS = {16: "PQ", 18: "HLG"}
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_SRGB = (1, 13)  # code points
_CHRM = struct.pack(">8L", 31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)  # of sRGB


def fitted(photo: Photo, kind: str) -> tuple[Photo, tuple[str, ...]]:
    """Return the photograph as a file of format `kind` holds it, and the names of what it has more, or its file had."""
    gone = list(photo.left_out)
    photo = _channels(photo, kind, gone)
    photo = _colours(photo, kind, gone)
    if photo.format != kind:
        photo = _extras(photo, kind, gone)
    if photo.xmp and kind != "jpeg":  # which sees to it itself, by the files it keeps
        claimed = {claim.kind for claim in xmp.claims(photo.xmp)[1]}
        photo = dataclasses.replace(photo, xmp=xmp.without(photo.xmp, {"gain map", "film", "extended", *claimed}))
    if photo.dpi and kind in ("webp", "heif", "avif") and not photo.exif:
        photo = dataclasses.replace(photo, exif=exif.of_resolution(photo.dpi))
    return photo, tuple(dict.fromkeys(gone))


def _channels(photo: Photo, kind: str, gone: list[str]) -> Photo:
    changes: dict = {}
    if photo.alpha is not None and kind == "jpeg":
        full = 1.0 if photo.alpha.dtype.kind == "f" else np.iinfo(photo.alpha.dtype).max
        if photo.alpha.min() < full:  # else it says nothing
            gone.append("alpha (JPEG holds none)")
        changes["alpha"] = None
    if photo.samples is not None and kind != "tiff":
        count = photo.samples.shape[2]
        what = "a channel that is no alpha" if count == 1 else f"{count} channels that are no alpha"
        gone.append(f"{what} (only a TIFF holds such)")
        changes["samples"] = None
    depth = photo.extras.get("depth", photo.bits)
    held = _BITS[kind]
    if kind == "heif" and photo.bits > 8:
        held = 12 if photo.extras.get("depth") == 12 and photo.format == "heif" else 10
    if depth > held:
        was = "floats" if depth == 32 else f"{depth} bits"
        gone.append(f"depth (of {was}, {held} in {NAMES[kind]})")
    changes["bits"] = min(photo.bits, 16 if held > 8 else 8) if kind != "tiff" else photo.bits
    if kind == "webp" or (kind == "avif" and photo.alpha is not None):  # which have no grey
        changes["grey"] = False
    return dataclasses.replace(photo, **changes)


def _colours(photo: Photo, kind: str, gone: list[str]) -> Photo:
    """Return the photograph with its colours tagged as format `kind` tags them, for the channels it will have."""
    icc, cicp, grey = photo.icc, photo.cicp, photo.grey
    if cicp and (2 in cicp or kind not in ("png", "heif")):  # 2: unspecified
        if cicp[1] in _TRANSFERS:
            gone.append(f"HDR transfer ({_TRANSFERS[cicp[1]]}, which {NAMES[kind]} cannot say)")
        elif icc is None and cicp not in (_SRGB, (2, 2)):
            icc = profiles.of_code_points(*cicp)
            if icc is None:
                gone.append(f"colour code points {cicp[0]}/{cicp[1]} (H.273)")
        cicp = None
    chunks = dict(photo.extras.get("chunks", ()))
    if kind != "png" and b"gAMA" in chunks and not icc and not photo.cicp and b"sRGB" not in chunks:
        icc = _of_gamma(chunks)
    space = profiles.space(icc)
    if icc and space == "GRAY" and not grey:
        icc = profiles.from_grey(icc)
        if icc is None:
            gone.append("grey profile (the pixels are RGB)")
    elif icc and space == "RGB" and grey and (kind == "png" or kind != photo.format):
        grey = False
    elif icc and space not in ("RGB", "GRAY") and kind != photo.format:
        icc = None
        gone.append(f"profile (of {space or 'unknown'} colours)")
    return dataclasses.replace(photo, icc=icc, cicp=cicp, grey=grey)


def _of_gamma(chunks: dict[bytes, bytes]) -> bytes | None:
    """Return the profile of a PNG's gAMA and cHRM chunks; None where they say no more than sRGB, or nonsense."""
    try:
        (gamma,) = struct.unpack(">L", chunks[b"gAMA"])
        numbers = [value / 100_000 for value in struct.unpack(">8L", chunks.get(b"cHRM", _CHRM))]
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        standard = (profiles.D65, *profiles.BT709)
        same = all(abs(a - b) < 0.002 for p, q in zip(points, standard, strict=True) for a, b in zip(p, q, strict=True))
        if not gamma or (same and abs(gamma - 45_455) < 200):
            return None
        return profiles.matrix(tuple(points[1:]), points[0], profiles.curve((100_000 / gamma,)))
    except (struct.error, ArithmeticError, np.linalg.LinAlgError):
        return None


def _extras(photo: Photo, kind: str, gone: list[str]) -> Photo:
    """Return the photograph without what only its own format holds."""
    extras = photo.extras
    gone += [item.kind for item in extras.get("items", ())]
    gone += ["extended XMP"] if extras.get("extension") else []
    gone += ["comment"] if extras.get("comment") else []
    gone += ["captions and keywords (Photoshop's, IPTC)"] if extras.get("photoshop") else []
    chunks = list(extras.get("chunks", ()))
    if words := [body.split(b"\0")[0].decode("latin1") for name, body in chunks if name in _TEXTS]:
        gone.append(f"text ({', '.join(words)})")
    gone += ["HDR light levels"] if {b"mDCV", b"cLLI"} & {name for name, _ in chunks} else []
    known = {*_TEXTS, b"mDCV", b"cLLI", b"gAMA", b"cHRM", b"sRGB", b"pHYs"}
    gone += [f"a {name.decode('latin1')} chunk" for name, _ in chunks if name not in known]
    return dataclasses.replace(photo, extras={})
