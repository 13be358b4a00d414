"""Pillow as a codec of 8-bit files: pixels and what the file says about them, in and out."""

import contextlib
import io
import os
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

_QUALITY = 95
_FINE_JPEG_TABLE = 369  # sum of the brightness table that quality 95 stands for
_SEGMENT = 65_000  # bytes that fit in one JPEG segment
_MOST_SCANS = 200  # of a JPEG; progressive ones have about 10, and each takes as long as the first


def open_lazily(fp: BinaryIO, kind: str) -> Any:
    """An image of format `kind`, its header read. Not by Image.open, whose limits on size are global and a warning."""
    from PIL import JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

    fp.seek(0)
    if kind == "jpeg":
        return JpegImagePlugin.JpegImageFile(fp)  # of a multi-picture file the first
    if kind == "png":
        return PngImagePlugin.PngImageFile(fp)
    return (TiffImagePlugin.TiffImageFile if kind == "tiff" else WebPImagePlugin.WebPImageFile)(fp)


def check_scans(fp: BinaryIO) -> None:
    """ValueError for a JPEG of so many scans, which may be empty, that decoding it would take minutes."""
    at = fp.tell()
    fp.seek(0)
    scans = fp.read().count(b"\xff\xda")
    fp.seek(at)
    if scans > _MOST_SCANS:
        raise ValueError(f"has {scans} scans: save it anew, as a baseline JPEG")


def metadata(image: Any) -> dict:
    """{"icc", "exif", "xmp": bytes or None, "dpi": (x, y) or None} of an open JPEG or WebP."""
    info = image.info
    block = (info.get("exif") or b"").removeprefix(b"Exif\0\0") or None
    dpi = info.get("dpi") if info.get("jfif_unit") in (1, 2) else None  # else made up, or EXIF's, which is kept there
    return {"icc": info.get("icc_profile"), "exif": block, "xmp": info.get("xmp"), "dpi": dpi}


def jpeg_extras(image: Any) -> dict:
    """What only another JPEG can hold; encode_jpeg takes it."""
    return {
        "tables": image.quantization,
        "progressive": "progressive" in image.info,
        "comment": image.info.get("comment"),
        "photoshop": next((body for name, body in image.applist if name == "APP13"), None),  # captions, keywords
    }


def decode(image: Any) -> tuple[np.ndarray, bool]:
    """(h, w, c) uint8 pixels, c = 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha, and whether the ICC profile still fits.

    They are as stored, but upright for a TIFF. ValueError for colours that are no RGB.
    """
    with _no_stderr() if image.format == "TIFF" else contextlib.nullcontext():
        image.load()
    mode, fits = image.mode, True
    if mode == "CMYK":
        image, fits = _rgb_from_cmyk(image), False
    elif mode in ("P", "PA"):
        clear = mode == "PA" or "transparency" in image.info
        image = image.convert("RGBA" if clear else "RGB")
    elif mode in ("1", "L", "RGB") and "transparency" in image.info:
        image = image.convert("RGBA" if mode == "RGB" else "LA")
    elif mode == "1":
        image = image.convert("L")
    elif mode == "YCbCr":
        image = image.convert("RGB")
    elif mode not in ("L", "LA", "RGB", "RGBA", "RGBX"):
        raise ValueError(f"its colours ({mode}) are not supported: convert it to RGB")
    array = np.asarray(image)
    return array.reshape(*array.shape[:2], -1), fits


def encode_jpeg(array: np.ndarray, said: Mapping[str, Any], extras: Mapping[str, Any]) -> bytes:
    """A JPEG of (h, w, 1 or 3) uint8 pixels. `said` as `metadata` gives it, `extras` as `jpeg_extras` does.

    Quality 95, or the source's own tables where they are finer; colours at full resolution.
    """
    options: dict[str, Any] = {"quality": _QUALITY}
    tables = extras.get("tables") or {}
    if 0 in tables and sum(tables[0]) < _FINE_JPEG_TABLE:
        options = {"qtables": tables}
    notes = extras.get("photoshop")
    if notes and len(notes) < _SEGMENT:
        options["extra"] = b"\xff\xed" + (len(notes) + 2).to_bytes(2, "big") + notes
    block = b"Exif\0\0" + said["exif"] if said["exif"] else b""
    return _saved(
        array,
        "JPEG",
        subsampling=0,
        progressive=extras.get("progressive", False),
        exif=block if len(block) < _SEGMENT else b"",
        xmp=said["xmp"] if said["xmp"] and len(said["xmp"]) < _SEGMENT else None,
        icc_profile=said["icc"],
        comment=extras.get("comment"),
        dpi=said["dpi"] or (0, 0),
        **options,
    )


def encode_webp(array: np.ndarray, said: Mapping[str, Any], lossless: bool) -> bytes:
    """A WebP of (h, w, 3 or 4) uint8 pixels, of quality 95 unless lossless. `said` as `metadata` gives it."""
    return _saved(
        array,
        "WEBP",
        lossless=lossless,
        exact=True,  # colours under transparent pixels are the photograph's too
        quality=50 if lossless else _QUALITY,  # where nothing is lost this is effort: 95 takes many times as long
        icc_profile=said["icc"] or b"",
        exif=said["exif"] or b"",
        xmp=said["xmp"] or b"",
    )


def _saved(array: np.ndarray, kind: str, **options: Any) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(out, kind, **options)
    return out.getvalue()


def _rgb_from_cmyk(image: Any) -> Any:
    """By the file's own profile where it has one: inks without a profile only roughly name colours."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (KeyError, OSError, ImageCms.PyCMSError):
        return image.convert("RGB")


@contextlib.contextmanager
def _no_stderr() -> Iterator[None]:
    """libtiff in Pillow writes what it thinks of a damaged file to the process's stderr, past Python."""
    try:
        kept = os.dup(2)
    except OSError:  # there is none
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
