"""Camera raw files, developed by rawpy (extra "raw") with the camera's white balance: 16 bits, sRGB."""

import io
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

from restore_jax.errors import install_line
from restore_jax.io.codecs import boxes, pillow
from restore_jax.io.codecs import exif as exif_block
from restore_jax.io.codecs.silence import no_stderr

_CANON = b"\x85\xc0\xb6\x87\x82\x0f\x11\xe0\x81\x11\xf4\xce\x46\x2b\x6a\x48"  # the box in CR3 that holds EXIF
_OF_RAW = {*range(0xC612, 0xC7F0), *range(0xCD2B, 0xCD50), 0x828D, 0x828E}  # DNG's tags, and the colour filter's


def read(fp: BinaryIO, check_size: Callable[[int, int], None]) -> tuple[np.ndarray, dict]:
    """Return upright (h, w, 3) uint16 pixels, and the fields of a Photo. ValueError for what cannot be read."""
    try:
        import rawpy
    except ImportError as error:
        raise ValueError(f"a camera raw file: {install_line('raw')}, or develop it to a TIFF") from error
    from PIL import ImageCms

    fp.seek(0)
    data = fp.read()
    try:
        with no_stderr(), rawpy.imread(io.BytesIO(data)) as raw:
            check_size(raw.sizes.width, raw.sizes.height)
            block = _exif(data) or _of_preview(raw)
            array = raw.postprocess(use_camera_wb=True, output_bps=16, no_auto_bright=True, gamma=(2.4, 12.92))
    except rawpy.LibRawError as error:
        raise ValueError(f"a camera raw file that cannot be developed ({_words(error)})") from error
    return array, {
        "icc": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        "exif": block,
        "left_out": () if block else ("EXIF",),
    }


def _exif(data: bytes) -> bytes | None:
    """Return the EXIF block of a file that is a TIFF, or Canon's CR3; None if there is none."""
    if data[4:8] == b"ftyp":
        return _of_cr3(data)
    try:
        return exif_block.from_tiff(io.BytesIO(data), _OF_RAW)
    except ValueError:
        return None


def _of_cr3(data: bytes) -> bytes | None:
    for kind, start, end in boxes.inside(data, b"moov"):
        if kind == b"uuid" and data[start : start + 16] == _CANON:
            parts = {name: data[a:b] for name, a, b in boxes.walk(data, start + 16, end)}
            return exif_block.joined(parts.get(b"CMT1", b""), parts.get(b"CMT2"), parts.get(b"CMT4"))
    return None


def _of_preview(raw) -> bytes | None:
    import rawpy

    try:
        preview = raw.extract_thumb()
        if preview.format == rawpy.ThumbFormat.JPEG:
            return pillow.metadata(pillow.open_lazily(io.BytesIO(preview.data), "jpeg"))["exif"]
    except Exception:  # no preview is no reason to lose the photograph
        pass
    return None


def _words(error: Exception) -> str:
    text = error.args[0] if error.args else type(error).__name__
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)
