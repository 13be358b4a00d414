"""HEIC and HEIF by pillow-heif: 8, 10 and 12 bits in, 8 and 10 out (12 again where the source had them)."""

import io
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np

from restore_jax.io.codecs import pillow
from restore_jax.io.codecs import xmp as xmp_packet

_QUALITY = 95
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def read(fp: BinaryIO, check_size: Callable[[int, int], None]) -> tuple[np.ndarray, dict]:
    """Return upright (h, w, c) uint8 or uint16 pixels, and the fields of a Photo.

    ValueError for what cannot be read.
    """
    import pillow_heif

    fp.seek(0)
    data = fp.read()
    try:
        file = pillow_heif.open_heif(data, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    except ValueError as error:
        raise OSError(str(error)) from error  # in words of libheif, which are not ours
    check_size(*file.size)
    info, array = file.info, np.asarray(file)
    array = array.reshape(*array.shape[:2], -1)
    if file.premultiplied_alpha:
        raise ValueError("its colours are multiplied by its alpha: save it as a PNG")
    depth = 8 if array.dtype == np.uint8 else int(file.mode.partition(";")[2])
    if depth > 8:
        most = (1 << depth) - 1
        array = ((array.astype(np.uint32) * 65_535 + most // 2) // most).astype(np.uint16)
    left_out = pillow.also_holds(data)
    if len(file) > 1:
        left_out.append(f"{len(file) - 1} more pictures")
    colours = info.get("nclx_profile")
    return array, {
        "icc": info.get("icc_profile"),
        "exif": (info.get("exif") or b"").removeprefix(b"Exif\0\0") or None,
        "xmp": info.get("xmp"),
        "cicp": colours and (colours["color_primaries"], colours["transfer_characteristics"]),
        "extras": {"chroma": info.get("chroma"), "depth": depth},
        "left_out": tuple(left_out),
    }


def encoder() -> bool:
    """Return whether the pillow-heif at hand can write HEIC."""
    import pillow_heif

    return bool(pillow_heif.libheif_info().get("HEIF"))


def encode(array: np.ndarray, said: Mapping[str, Any], cicp: tuple[int, int] | None, extras: Mapping) -> bytes:
    """Return a HEIC of (h, w, c) uint8 pixels, or of uint16 ones with 10 or, if extras["depth"] says so, 12 bits."""
    import pillow_heif

    mode, depth = _MODES[array.shape[2]], 8
    if array.dtype == np.uint16:
        depth = 12 if extras.get("depth") == 12 else 10
        most = (1 << depth) - 1
        array = ((array.astype(np.uint32) * most + 32_767) // 65_535 << (16 - depth)).astype(np.uint16)
        mode += ";16"
    options: dict[str, Any] = {"quality": _QUALITY, "bit_depth": depth, "chroma": extras.get("chroma") or 420}
    if said["exif"]:
        options["exif"] = said["exif"]
    if said["xmp"]:  # pillow-heif would turn the picture by an orientation in it
        options["xmp"] = xmp_packet.upright(said["xmp"])
    if said["icc"]:
        options["icc_profile"] = said["icc"]
    if cicp:
        options |= {"color_primaries": cicp[0], "transfer_characteristics": cicp[1]}
        options |= {"matrix_coefficients": 6, "full_range_flag": 1}
    out = io.BytesIO()
    pillow_heif.encode(mode, array.shape[1::-1], np.ascontiguousarray(array).tobytes(), out, **options)
    return out.getvalue()
