"""Photographs in and out of JPEG, PNG, TIFF and WebP files; everything wrong with a file is an InputError from here.

Pixels are the file's numbers over 255 or 65535, RGB and upright, and go back exactly. They are not colour-managed: the
ICC profile travels with them. So do EXIF, XMP, resolution, alpha, and that a file was grey or 16 bits deep.
"""

import contextlib
import dataclasses
import glob
import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from restore_jax.errors import InputError
from restore_jax.io import atomic
from restore_jax.io.codecs import exif as exif_block
from restore_jax.io.codecs import npy, pillow, png, signatures, tiff

MAX_PIXELS = 256_000_000
MAX_SIDE = 65_535
FORMATS = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".tif": "tiff", ".tiff": "tiff", ".webp": "webp"}
_FORMAT_MAX_SIDE = {"jpeg": 65_500, "webp": 16_383}
_FULL = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65_535, np.dtype(bool): 1}


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph and what its file says about it.

    pixels: (h, w, 3) float32 in [0, 1], upright, RGB; the three channels are equal if grey.
    alpha: (h, w) uint8, uint16 or float32 by `bits`, upright, or None.
    grey: the file has a single colour channel. bits: 8, 16, or 32 for a float TIFF. format: a value of FORMATS.
    exif: a TIFF structure without JPEG's "Exif" prefix, its orientation 1. dpi: (x, y).
    extras: what only an encoder of the same format needs.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    grey: bool = False
    bits: int = 8
    format: str = "png"
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)


def to_float(array: np.ndarray) -> np.ndarray:
    """Pixels of any shape as float32 in [0, 1]: uint8 over 255, uint16 over 65535, bool, or floats already in [0, 1].

    InputError for other types, NaN, infinity, or floats beyond [0, 1] by more than rounding.
    """
    array = np.asarray(array)
    if array.dtype in _FULL:
        out = np.empty(array.shape, np.float32)
        return np.divide(array, np.float32(_FULL[array.dtype]), out=out, dtype=np.float32)
    if array.dtype.kind != "f":
        raise InputError(f"image: {array.dtype} pixels are not supported: use uint8, uint16, or floats in [0, 1]")
    low, high = _range(array)
    if low < -1e-3 or high > 1 + 1e-3:
        raise InputError(f"image: float pixels must lie in [0, 1], these reach from {low:.4g} to {high:.4g}")
    return np.clip(array, 0, 1, dtype=np.float32, casting="same_kind")


def from_float(array: np.ndarray, dtype: Any) -> np.ndarray:
    """Float pixels of any shape as `dtype` (uint8, uint16 or a float): clipped to [0, 1], scaled, rounded.

    `from_float(to_float(x), x.dtype)` is x. InputError for NaN, infinity or another dtype.
    """
    array, dtype = np.asarray(array), np.dtype(dtype)
    _range(array)
    if dtype.kind == "f":
        return np.clip(array, 0, 1).astype(dtype, copy=False)
    if dtype not in _FULL:
        raise InputError(f"image: {dtype} pixels are not supported: use uint8, uint16, or a float type")
    out = np.empty(array.shape, dtype)
    rows = max(1, 1_000_000 * array.shape[0] // array.size) if array.ndim and array.size else 1
    for top in range(0, len(out) if array.ndim else 1, rows):  # in parts: no second image of floats
        part = slice(top, top + rows) if array.ndim else ()
        out[part] = np.rint(np.clip(array[part], 0, 1) * np.float32(_FULL[dtype]))
    return out


def read_photo(path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> Photo:
    """The photograph in a JPEG, PNG, TIFF or WebP file. InputError, naming the file, for anything else.

    `max_pixels`: of a larger one only the header is read.
    """
    path = Path(path)
    with _opened(path) as fp, _explained(path, "damaged or truncated"), _quiet():
        found = signatures.identify(fp.read(4096), path.suffix)
        fp.seek(0)
        read = {"jpeg": _read_jpeg, "png": _read_png, "tiff": _read_tiff, "webp": _read_webp}[found]
        photo, array = read(fp, max_pixels)
        return _assembled(photo, array)


def read_numbers(path: str | os.PathLike) -> np.ndarray:
    """The numbers in a .npy file, or the samples of a picture: (h, w) if grey, else (h, w, 3), no alpha.

    Those of a picture are uint8, uint16, or, of a float TIFF, float32 of any range. InputError as for `read_photo`.
    """
    path = Path(path)
    with _opened(path) as fp, _explained(path, "damaged or truncated"), _quiet():
        if path.suffix.lower() == ".npy":
            return npy.read(fp, MAX_PIXELS)
        if signatures.identify(fp.read(4096), path.suffix) == "tiff":
            header = tiff.read_header(fp)
            if header.kind == "float":
                _check_size(*header.size)
                array = _upright(tiff.decode(fp, header), header.orientation)
                return array[..., 0] if header.channels < 3 else array[..., :3]
    photo = read_photo(path)
    samples = from_float(photo.pixels, np.uint16 if photo.bits == 16 else np.uint8)
    return samples[..., 0] if photo.grey else samples


def read_bytes(path: str | os.PathLike) -> bytes:
    """What a regular file holds. InputError, naming it, for anything else."""
    with _opened(Path(path)) as fp:
        return fp.read()


def write_photo(path: str | os.PathLike, pixels: np.ndarray, like: Photo | None = None) -> None:
    """Write (h, w, 3) floats in [0, 1] in the format of the path's suffix; the file is complete or untouched.

    Depth, grey, alpha and metadata follow `like` as far as the format holds them: JPEG and WebP have 8 bits, JPEG no
    alpha, WebP no grey, floats go to TIFF (16 bits in a PNG). InputError for NaN, a size the format cannot hold, or a
    place that cannot be written; ValueError if `like` has an alpha channel of another size.
    """
    path = Path(path)
    like = like or Photo(pixels)
    kind = _format(path)
    pixels = np.asarray(pixels)
    height, width = pixels.shape[:2]
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels have shape {pixels.shape}, not (h, w, 3)")
    if like.alpha is not None and like.alpha.shape != (height, width):
        raise ValueError(f"alpha has shape {like.alpha.shape}, the pixels {height, width}")
    if max(height, width) > _FORMAT_MAX_SIDE.get(kind, MAX_SIDE):
        raise InputError(f"{path}: {width} x {height} px is more than {kind} can hold: write a PNG or TIFF")
    block = exif_block.upright(like.exif, width, height) if like.exif else None
    like = dataclasses.replace(like, pixels=pixels, exif=block)
    encode = {"jpeg": _encode_jpeg, "png": _encode_png, "tiff": _encode_tiff, "webp": _encode_webp}[kind]
    with _explained(path, f"cannot be written as {kind}"), _quiet():
        data = encode(like)
    atomic.write(path, data)


def check_writable(path: str | os.PathLike) -> None:
    """Make the folder of `path` and see that a file can be written there. InputError, naming the file, if not."""
    _format(Path(path))
    atomic.check_writable(Path(path))


def find_photos(args: Sequence[str | os.PathLike]) -> list[Path]:
    """The photographs that files, folders (what lies directly in them) and globs name: sorted within each, none twice.

    InputError for a missing file, a folder without photographs, a glob without a match.
    """
    found: dict[str, Path] = {}
    for arg in args:
        try:
            here = _photos_of(arg)
        except OSError as error:
            raise InputError(f"{arg}: {error.strerror or error}") from error
        for path in here:
            found.setdefault(os.path.abspath(path), path)
    return list(found.values())


def _photos_of(arg: str | os.PathLike) -> list[Path]:
    path = Path(arg).expanduser()
    if not os.fspath(arg):
        raise InputError("photo: an empty name")
    if path.is_dir():
        here, nothing = path.iterdir(), "holds no photographs"
    elif path.exists():
        return [path]
    elif glob.has_magic(str(path)):
        here, nothing = map(Path, glob.glob(str(path), recursive=True)), "matches no photographs"
    else:
        raise InputError(f"{arg}: no such file or folder")
    # Names with a dot in front are hidden: macOS leaves such files beside photographs on foreign disks.
    photos = sorted(p for p in here if p.suffix.lower() in FORMATS and p.name[0] != "." and p.is_file())
    if not photos:
        raise InputError(f"{arg}: {nothing} ({', '.join(FORMATS)})")
    return photos


# Reading: each gives a Photo without pixels and the (h, w, c) array, upright.


def _read_jpeg(fp: BinaryIO, max_pixels: int) -> tuple[Photo, np.ndarray]:
    image = pillow.open_lazily(fp, "jpeg")
    _check_size(*image.size, max_pixels)
    pillow.check_scans(fp)
    array, profile_fits = pillow.decode(image)
    said = pillow.metadata(image)
    if not profile_fits:
        said["icc"] = None
    photo = Photo(array, format="jpeg", extras=pillow.jpeg_extras(image), **said)
    return photo, _upright(array, exif_block.orientation(photo.exif))


def _read_png(fp: BinaryIO, max_pixels: int) -> tuple[Photo, np.ndarray]:
    width, height, bits, _, _ = png.read_header(fp.read(33))
    _check_size(width, height, max_pixels)
    fp.seek(0)
    data = fp.read()
    chunks = png.read_chunks(data)
    if any(name == b"acTL" for name, _ in chunks):
        raise ValueError("an animation, not a photograph")
    said = png.metadata(chunks)
    if bits == 16:
        array = png.decode16(chunks, data)
    else:
        array, _ = pillow.decode(pillow.open_lazily(io.BytesIO(data), "png"))
    photo = Photo(array, format="png", extras={"chunks": said.pop("chunks")}, **said)
    return photo, _upright(array, exif_block.orientation(photo.exif))


def _read_tiff(fp: BinaryIO, max_pixels: int) -> tuple[Photo, np.ndarray]:
    header = tiff.read_header(fp)
    _check_size(*header.size, max_pixels)
    profile_fits = True
    if header.bits > 8:
        array = _upright(tiff.decode(fp, header), header.orientation)
        if header.kind == "float":
            array = to_float(array)
        if header.premultiplied and array.shape[-1] in (2, 4):
            array = _unmultiplied(array)
    else:
        array, profile_fits = pillow.decode(pillow.open_lazily(fp, "tiff"))
    photo = Photo(
        array,
        format="tiff",
        icc=header.icc if profile_fits else None,
        xmp=header.xmp,
        exif=exif_block.from_tiff(fp),
        extras={"compress": header.compression != 1},
    )
    return photo, array


def _read_webp(fp: BinaryIO, max_pixels: int) -> tuple[Photo, np.ndarray]:
    chunks = signatures.riff_chunks(fp)
    image = pillow.open_lazily(fp, "webp")
    _check_size(*image.size, max_pixels)
    if image.is_animated:
        raise ValueError("an animation, not a photograph")
    array, _ = pillow.decode(image)
    photo = Photo(array, format="webp", extras={"lossless": b"VP8L" in chunks}, **pillow.metadata(image))
    return photo, _upright(array, exif_block.orientation(photo.exif))


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """A view of the stored (h, w, c) pixels turned as the orientation tag (1 to 8) asks."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    down, right = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(orientation, (1, 1))
    return array[::down, ::right]


def _unmultiplied(array: np.ndarray) -> np.ndarray:
    """Colours that were stored multiplied by alpha, divided by it again, in the array's type."""
    values = to_float(array)
    values[..., :-1] /= np.maximum(values[..., -1:], np.float32(1e-6))
    return from_float(values, array.dtype)


def _assembled(photo: Photo, array: np.ndarray) -> Photo:
    height, width, channels = array.shape
    grey, has_alpha = channels < 3, channels in (2, 4)
    pixels = np.empty((height, width, 3), np.float32)
    pixels[...] = to_float(array[..., : 1 if grey else 3])
    return dataclasses.replace(
        photo,
        pixels=pixels,
        alpha=np.ascontiguousarray(array[..., -1]) if has_alpha else None,
        grey=grey,
        bits=8 * array.dtype.itemsize,
        exif=exif_block.upright(photo.exif, width, height) if photo.exif else None,
        # A packet that disagreed with EXIF was not followed, and stays as it is.
        xmp=exif_block.upright_xmp(photo.xmp) if photo.xmp and exif_block.orientation(photo.exif) > 1 else photo.xmp,
    )


# Writing: each gives the bytes of a file for a Photo.


def _samples(photo: Photo, bits: int, grey: bool = True, alpha: bool = True) -> np.ndarray:
    """(h, w, c) samples to store: one colour channel if the photo is grey and `grey`, alpha if `alpha`."""
    dtype = np.dtype({8: np.uint8, 16: np.uint16, 32: np.float32}[bits])
    pixels = photo.pixels
    if photo.grey and grey:
        pixels = pixels.mean(axis=2, keepdims=True)
    array = from_float(pixels, dtype)
    if photo.alpha is None or not alpha:
        return array
    mask = photo.alpha if photo.alpha.dtype == dtype else from_float(to_float(photo.alpha), dtype)
    return np.concatenate([array, mask[..., None]], axis=2)


def _said(photo: Photo) -> dict:
    return {"icc": photo.icc, "exif": photo.exif, "xmp": photo.xmp, "dpi": photo.dpi}


def _encode_jpeg(photo: Photo) -> bytes:
    return pillow.encode_jpeg(_samples(photo, 8, alpha=False), _said(photo), photo.extras)


def _encode_png(photo: Photo) -> bytes:
    chunks = png.metadata_chunks(**_said(photo), others=photo.extras.get("chunks", ()))
    return png.encode(_samples(photo, min(photo.bits, 16)), chunks)


def _encode_tiff(photo: Photo) -> bytes:
    return tiff.encode(_samples(photo, photo.bits), **_said(photo), compress=photo.extras.get("compress", True))


def _encode_webp(photo: Photo) -> bytes:
    lossless = photo.extras.get("lossless", photo.format != "jpeg")
    return pillow.encode_webp(_samples(photo, 8, grey=False), _said(photo), lossless)


# Files and errors.


def _format(path: Path) -> str:
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"{path}: cannot write {path.suffix or 'a file without a suffix'}: use {', '.join(FORMATS)}")
    return kind


def _range(array: np.ndarray) -> tuple[float, float]:
    """Least and greatest value. InputError for NaN or infinity."""
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if np.isnan(low):
        raise InputError("image: has NaN (not-a-number) pixels")
    if np.isinf(low) or np.isinf(high):
        raise InputError("image: has infinite pixels")
    return low, high


def _check_size(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    if min(width, height) < 2:
        raise ValueError(f"is {width} x {height} px: there is nothing to restore")
    if max(width, height) > MAX_SIDE:
        raise ValueError(f"is {width} x {height} px: no side may be over {MAX_SIDE} px")
    if width * height > max_pixels:
        raise ValueError(f"is {width} x {height} px: over the limit of {max_pixels / 1e6:.3g} megapixels")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder, not a photograph")
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is not a regular file")
        fp = open(path, "rb")  # noqa: SIM115 - closed below, errors inside are not errors of opening
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read it") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    with fp:
        yield fp


@contextlib.contextmanager
def _explained(path: Path, trouble: str) -> Iterator[None]:
    """Any error of a codec as an InputError of one line: with broken files libraries raise whatever they trip over."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, InputError):
            text = text.removeprefix("image: ")
        elif type(error) is not ValueError:
            text = f"{trouble} ({text})"
        raise InputError(f"{path}: {text}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Libraries keep their remarks on odd files to themselves."""
    logger = logging.getLogger("tifffile")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
