"""Pillow as a codec of 8-bit files: what its formats share, and WebP and AVIF, which need no more than it."""

import contextlib
import io
import struct
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np

from restore_jax.io.codecs import boxes, signatures
from restore_jax.io.codecs import exif as exif_block
from restore_jax.io.codecs.silence import no_stderr

QUALITY = 95


def open_lazily(fp: BinaryIO, kind: str) -> Any:
    """Return an image of format `kind`, its header read.

    Not by Image.open, whose limits on size are global and a warning.
    """
    from PIL import AvifImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

    fp.seek(0)
    return {
        "jpeg": JpegImagePlugin.JpegImageFile,  # of a multi-picture file the first
        "png": PngImagePlugin.PngImageFile,
        "tiff": TiffImagePlugin.TiffImageFile,
        "webp": WebPImagePlugin.WebPImageFile,
        "avif": AvifImagePlugin.AvifImageFile,
    }[kind](fp)


def metadata(image: Any) -> dict:
    """Return {"icc", "exif", "xmp": bytes or None, "dpi": (x, y) or None} of an open JPEG, WebP or AVIF."""
    info = image.info
    block = (info.get("exif") or b"").removeprefix(b"Exif\0\0") or None
    dpi = info.get("dpi") if info.get("jfif_unit") in (1, 2) else None  # else made up, or EXIF's, which is kept there
    return {"icc": info.get("icc_profile"), "exif": block, "xmp": info.get("xmp"), "dpi": dpi}


def decode(image: Any) -> tuple[np.ndarray, bool]:
    """Return (h, w, c) uint8 pixels, c = 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha, and whether inks were made sRGB.

    They are as stored, but upright for a TIFF. ValueError for colours that are no RGB.
    """
    with no_stderr() if image.format == "TIFF" else contextlib.nullcontext():
        image.load()
    mode, converted = image.mode, False
    if mode == "CMYK":
        image, converted = _rgb_from_cmyk(image), True
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
    return array.reshape(*array.shape[:2], -1), converted


def read_webp(fp: BinaryIO, check_size: Callable[[int, int], None]) -> tuple[np.ndarray, dict]:
    """Return upright (h, w, 3 or 4) uint8 pixels, and the fields of a Photo. ValueError for what cannot be read."""
    chunks = signatures.riff_chunks(fp)
    image = open_lazily(fp, "webp")
    check_size(*image.size)
    if image.is_animated:
        raise ValueError("an animation, not a photograph")
    array, _ = decode(image)
    said = metadata(image)
    upright = exif_block.turned(array, exif_block.orientation(said["exif"]))
    return upright, {**said, "extras": {"lossless": b"VP8L" in chunks}}


def encode_webp(array: np.ndarray, said: Mapping[str, Any], lossless: bool) -> bytes:
    """Return a WebP of (h, w, 3 or 4) uint8 pixels, of quality 95 unless lossless. `said` as `metadata` gives it."""
    return saved(
        array,
        "WEBP",
        lossless=lossless,
        exact=True,  # colours under transparent pixels are the photograph's too
        quality=50 if lossless else QUALITY,  # where nothing is lost this is effort: 95 takes many times as long
        icc_profile=said["icc"] or b"",
        exif=said["exif"] or b"",
        xmp=said["xmp"] or b"",
    )


def read_avif(fp: BinaryIO, check_size: Callable[[int, int], None]) -> tuple[np.ndarray, dict]:
    """Return upright (h, w, c) uint8 pixels, and the fields of a Photo. ValueError for what cannot be read."""
    image = open_lazily(fp, "avif")
    check_size(*image.size)
    if image.is_animated:
        raise ValueError("an animation, not a photograph")
    array, _ = decode(image)
    said, left_out = metadata(image), []
    fp.seek(0)
    data = fp.read()
    properties = list(boxes.inside(data, b"meta", b"iprp", b"ipco"))
    depth = max((_av1_bits(data[start:end]) for name, start, end in properties if name == b"av1C"), default=8)
    if depth > 8:
        left_out.append(f"depth beyond 8 bits (of {depth})")
    colours = (data[start:end] for name, start, end in properties if name == b"colr")
    cicp = next((struct.unpack(">HH", body[4:8]) for body in colours if body[:4] == b"nclx" and len(body) > 7), None)
    left_out += also_holds(data)
    upright = exif_block.turned(array, exif_block.orientation(said["exif"]))
    return upright, {**said, "cicp": cicp, "left_out": tuple(left_out)}


def encode_avif(array: np.ndarray, said: Mapping[str, Any]) -> bytes:
    """Return an AVIF of (h, w, 1, 3 or 4) uint8 pixels, of quality 95, colours at full resolution."""
    return saved(
        array,
        "AVIF",
        quality=QUALITY,
        icc_profile=said["icc"] or b"",
        exif=said["exif"] or b"",
        xmp=said["xmp"] or b"",
        **({} if array.shape[2] == 1 else {"subsampling": "4:4:4"}),
    )


def also_holds(data: bytes) -> list[str]:
    """Name what an AVIF or HEIC file holds beside its picture, alpha and thumbnails."""
    found = set()
    for kind, start, end in boxes.inside(data, b"meta", b"iprp", b"ipco"):
        if kind == b"auxC":
            name = data[start + 4 : end].split(b"\0")[0]
            if b"gainmap" in name.lower():
                found.add("gain map")
            elif b"depth" in name or name.endswith(b":auxid:2"):
                found.add("depth map")
            elif b"alpha" not in name and not name.endswith(b":auxid:1"):
                found.add(f"auxiliary picture ({name.decode('ascii', 'replace').rpartition(':')[2]})")
    if any(b"tmap" in data[start:end] for kind, start, end in boxes.inside(data, b"meta") if kind == b"iinf"):
        found.add("gain map")
    if boxes.top(data, b"mpvd") is not None:
        found.add("film")
    return sorted(found)


def saved(array: np.ndarray, kind: str, **options: Any) -> bytes:
    """Return the bytes of a file of (h, w, c) uint8 pixels, by Pillow's name of the format."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(out, kind, **options)
    return out.getvalue()


def _av1_bits(configuration: bytes) -> int:
    """Return bits a sample, by the flags of an AV1 configuration (AV1-ISOBMFF, 2.3.3)."""
    high, twelve = configuration[2] >> 6 & 1, configuration[2] >> 5 & 1
    return 8 if not high else 12 if twelve else 10


def _rgb_from_cmyk(image: Any) -> Any:
    """Convert by the file's own profile where it has one: inks without a profile only roughly name colours."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (KeyError, OSError, ImageCms.PyCMSError):
        return image.convert("RGB")
