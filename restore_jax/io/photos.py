"""Photographs in and out of files; everything wrong with a file is an InputError from here.

JPEG, PNG, TIFF, WebP, HEIC and AVIF are read and written; JPEG XL and camera raw files are read where their extras are
installed. Pixels are the file's numbers over 255 or 65535, RGB and upright, and go back exactly. They are not
colour-managed: the ICC profile travels with them. So do EXIF, XMP, resolution, alpha, and that a file was grey or 16
bits deep. What cannot travel is named, never lost silently. The path "-" is standard input, or standard output.
"""

import contextlib
import dataclasses
import functools
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from restore_jax.errors import InputError
from restore_jax.io import atomic, left_out
from restore_jax.io.codecs import exif as exif_block
from restore_jax.io.codecs import heif, jpeg, jxl, npy, pillow, png, raw, signatures, tiff
from restore_jax.io.codecs import xmp as xmp_packet
from restore_jax.io.left_out import FORMATS
from restore_jax.io.numbers import from_float, to_float
from restore_jax.io.photo import Photo

MAX_PIXELS = 256_000_000
MAX_SIDE = 65_535
SUFFIXES = (*FORMATS, ".jxl", *signatures.RAW)  # that are read
STANDARD = "-"  # the path of standard input and output
_FORMAT_MAX_SIDE = {"jpeg": 65_500, "webp": 16_383}
_READERS = {
    "jpeg": jpeg.read,
    "png": png.read,
    "tiff": tiff.read,
    "webp": pillow.read_webp,
    "heif": heif.read,
    "avif": pillow.read_avif,
    "jxl": jxl.read,
    "raw": raw.read,
}
_INSTEAD = {"jxl": ".png", "raw": ".tif", "heif": ".jpg"}  # of formats that cannot be written


def identify(path: str | os.PathLike) -> str:
    """Return the format of a photograph by its content: a value of FORMATS, "jxl" or "raw".

    InputError, saying what the file is instead, for anything else.
    """
    path = Path(path)
    with _opened(path) as fp, _explained(path, "damaged or truncated"):
        return _format_of(fp, path)


def output_suffix(path: str | os.PathLike, kind: str) -> str:
    """Return the suffix for a result of the photograph `path` of format `kind`: its own where that can be written."""
    own = Path(path).suffix
    known = FORMATS.get(own.lower())
    if known is not None and writable(known):
        return own
    if kind in _INSTEAD and not writable(kind):
        return _INSTEAD[kind]
    return next(suffix for suffix, format in FORMATS.items() if format == kind)


def is_deep(path: str | os.PathLike) -> bool:
    """Return whether a PNG or TIFF file has more than 8 bits a sample, by its header; False for all other files."""
    path = Path(path)
    with _opened(path) as fp, _explained(path, "damaged or truncated"):
        kind = _format_of(fp, path)
        if kind == "png":
            head = fp.read(33)
            return head[12:16] == b"IHDR" and head[24] > 8
        return kind == "tiff" and tiff.read_header(fp).bits > 8


class Header(NamedTuple):
    """The facts that a file's header gives of its photograph.

    width, height: pixels. upright: whether they are those of the upright picture; else they may be exchanged. bits: 8,
    or 16 for all deeper samples; None where the header is not asked.
    """

    width: int
    height: int
    upright: bool
    bits: int | None


def read_header(path: str | os.PathLike) -> Header:
    """Return what a photograph's header says, without decoding its pixels. InputError as for `read_photo`.

    A file whose header is whole may still be damaged behind it. Threads may call it at once.
    """
    path = Path(path)
    with _opened(path) as fp, _explained(path, "damaged or truncated"):
        kind = _format_of(fp, path)
        width, height = _size_by_reader(fp, kind)
        upright, turn, bits = True, 1, 8
        if kind in ("jpeg", "webp", "avif"):
            image = pillow.open_lazily(fp, kind)
            if kind != "jpeg" and image.is_animated:
                raise ValueError("an animation, not a photograph")
            turn = exif_block.orientation(pillow.metadata(image)["exif"])
        elif kind == "png":
            turn = png.look_through(fp)
        elif kind == "tiff":
            fp.seek(0)
            turn = tiff.read_header(fp).orientation
        elif kind == "raw":
            upright, bits = False, 16
        elif kind == "jxl":
            upright, bits = False, None
        else:
            bits = None
    if kind in ("png", "tiff"):
        bits = 16 if is_deep(path) else 8
    return Header(*((height, width) if turn > 4 else (width, height)), upright, bits)


def _size_by_reader(fp: BinaryIO, kind: str) -> tuple[int, int]:
    """Return (width, height) as a reader hands it to be checked, and stop it there, before it decodes."""

    class Stop(Exception):
        pass

    size = []

    def stop(width, height):
        _check_size(width, height)
        size.extend((width, height))
        raise Stop

    with contextlib.suppress(Stop):
        _READERS[kind](fp, stop)
    return tuple(size)


def writable(kind: str) -> bool:
    """Return whether photographs of that format can be written here."""
    return kind in _ENCODERS and (kind != "heif" or heif.encoder())


def read_photo(path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> Photo:
    """Return the photograph in a file of any format in SUFFIXES. InputError, naming the file, for anything else.

    `max_pixels`: of a larger one only the header is read.
    """
    path = Path(path)
    with _opened(path) as fp, _explained(path, "damaged or truncated"), _quiet():
        kind = _format_of(fp, path)
        array, said = _READERS[kind](fp, lambda width, height: _check_size(width, height, max_pixels))
        return _assembled(Photo(array, format=kind, **said), array)


def read_numbers(path: str | os.PathLike) -> np.ndarray:
    """Return the numbers in a .npy file, or the samples of a picture: (h, w) if grey, else (h, w, 3), no alpha.

    Those of a picture are uint8, uint16, or, of a float TIFF, float32 of any range. InputError as for `read_photo`.
    """
    path = Path(path)
    with _opened(path) as fp, _explained(path, "damaged or truncated"), _quiet():
        if path.suffix.lower() == ".npy":
            return npy.read(fp, MAX_PIXELS)
        if _format_of(fp, path) == "tiff":
            header = tiff.read_header(fp)
            if header.kind == "float":
                _check_size(*header.size)
                array = exif_block.turned(tiff.decode(fp, header), header.orientation)
                return array[..., 0] if header.channels < 3 else array[..., :3]
    photo = read_photo(path)
    samples = from_float(photo.pixels, np.uint16 if photo.bits == 16 else np.uint8)
    return samples[..., 0] if photo.grey else samples


def read_bytes(path: str | os.PathLike) -> bytes:
    """Return the bytes of a regular file. InputError, naming it, for anything else."""
    with _opened(Path(path)) as fp:
        return fp.read()


def write_photo(path: str | os.PathLike, pixels: np.ndarray, like: Photo | None = None) -> tuple[str, ...]:
    """Write (h, w, 3) floats in [0, 1] in the format of the path's suffix; the file is complete or untouched.

    Depth, grey, alpha and metadata follow `like` as far as the format holds them. Returns the names of what `like`, or
    the file it was read from, has and the new file has not. InputError for NaN, a size the format cannot hold, or a
    place that cannot be written; ValueError if `like` has an alpha channel of another size.
    """
    path = Path(path)
    like = like or Photo(pixels)
    kind = _format(path, like)
    pixels = np.asarray(pixels)
    height, width = pixels.shape[:2]
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels have shape {pixels.shape}, not (h, w, 3)")
    for name, channel in (("alpha", like.alpha), ("samples", like.samples)):
        if channel is not None and channel.shape[:2] != (height, width):
            raise ValueError(f"{name} has shape {channel.shape}, the pixels {height, width}")
    if max(height, width) > _FORMAT_MAX_SIDE.get(kind, MAX_SIDE):
        raise InputError(f"{path}: {width} x {height} px is more than {kind} can hold: write a PNG or TIFF")
    block = exif_block.upright(like.exif, width, height) if like.exif else None
    like, gone = left_out.fitted(dataclasses.replace(like, pixels=pixels, exif=block), kind)
    with _explained(path, f"cannot be written as {kind}"), _quiet():
        data, more = _ENCODERS[kind](like)
    if os.fspath(path) == STANDARD:
        with atomic.writing(path):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
    else:
        atomic.write(path, data)
    return (*gone, *more)


def check_writable(path: str | os.PathLike) -> None:
    """Make the folder of `path` and see that a file can be written there. InputError, naming the file, if not."""
    if os.fspath(path) == STANDARD:
        return
    _format(Path(path))
    atomic.check_writable(Path(path))


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
        xmp=xmp_packet.upright(photo.xmp) if photo.xmp and exif_block.orientation(photo.exif) > 1 else photo.xmp,
    )


# Writing: each gives the bytes of a file for a Photo that `left_out.fitted` made fit, and what still is left out.


def _samples(photo: Photo) -> np.ndarray:
    """Return (h, w, c) samples to store: one colour channel if the photo is grey, then alpha, then all others."""
    dtype = np.dtype({8: np.uint8, 16: np.uint16, 32: np.float32}[photo.bits])
    pixels = photo.pixels.mean(axis=2, keepdims=True) if photo.grey else photo.pixels
    parts = [from_float(pixels, dtype)]
    for channels in (None if photo.alpha is None else photo.alpha[..., None], photo.samples):
        if channels is not None:
            parts.append(channels if channels.dtype == dtype else from_float(to_float(channels), dtype))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def _said(photo: Photo) -> dict:
    return {"icc": photo.icc, "exif": photo.exif, "xmp": photo.xmp, "dpi": photo.dpi}


def _encode_jpeg(photo: Photo) -> tuple[bytes, tuple[str, ...]]:
    return jpeg.encode(_samples(photo), _said(photo), photo.extras)


def _encode_png(photo: Photo) -> tuple[bytes, tuple[str, ...]]:
    chunks = png.metadata_chunks(**_said(photo), cicp=photo.cicp, others=photo.extras.get("chunks", ()))
    return png.encode(_samples(photo), chunks), ()


def _encode_tiff(photo: Photo) -> tuple[bytes, tuple[str, ...]]:
    extra = () if photo.alpha is None else (2,)
    extra += () if photo.samples is None else (0,) * photo.samples.shape[2]
    return tiff.encode(_samples(photo), extra, **_said(photo), compress=photo.extras.get("compress", True)), ()


def _encode_webp(photo: Photo) -> tuple[bytes, tuple[str, ...]]:
    lossless = photo.extras.get("lossless", photo.format not in ("jpeg", "heif", "avif"))
    return pillow.encode_webp(_samples(photo), _said(photo), lossless), ()


def _encode_heif(photo: Photo) -> tuple[bytes, tuple[str, ...]]:
    return heif.encode(_samples(photo), _said(photo), photo.cicp, photo.extras), ()


def _encode_avif(photo: Photo) -> tuple[bytes, tuple[str, ...]]:
    return pillow.encode_avif(_samples(photo), _said(photo)), ()


_ENCODERS = {
    "jpeg": _encode_jpeg,
    "png": _encode_png,
    "tiff": _encode_tiff,
    "webp": _encode_webp,
    "heif": _encode_heif,
    "avif": _encode_avif,
}


# Files and errors.


def _format_of(fp: BinaryIO, path: Path) -> str:
    """Return the format by an open file's content, and go back to its begin. ValueError for what is no photograph."""
    kind = signatures.identify(fp.read(4096), path.suffix)
    if kind == "tiff" and tiff.is_raw(fp):
        kind = "raw"
    fp.seek(0)
    return kind


def _format(path: Path, like: Photo | None = None) -> str:
    """Return the format by the suffix of a file to write; for standard output that of `like`, or what stands for it."""
    suffix = path.suffix
    if os.fspath(path) == STANDARD:
        suffix = output_suffix("", like.format if like else "png")
    kind = FORMATS.get(suffix.lower())
    if kind is None:
        raise InputError(f"{path}: cannot write {suffix or 'a file without a suffix'}: use {', '.join(FORMATS)}")
    if not writable(kind):
        raise InputError(f"{path}: pillow-heif was installed here without an encoder: write a .jpg or .avif")
    return kind


def _check_size(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    if min(width, height) < 2:
        raise ValueError(f"is {width} x {height} px: there is nothing to restore")
    if max(width, height) > MAX_SIDE:
        raise ValueError(f"is {width} x {height} px: no side may be over {MAX_SIDE} px")
    if width * height > max_pixels:
        raise ValueError(f"is {width} x {height} px: over the limit of {max_pixels / 1e6:.3g} megapixels")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if os.fspath(path) == STANDARD:
        yield io.BytesIO(_all_of(sys.stdin.buffer))
        return
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


@functools.lru_cache(maxsize=1)
def _all_of(stream: BinaryIO) -> bytes:
    """Return all that comes from a stream, and keep it for the next who asks."""
    return stream.read()


@contextlib.contextmanager
def _explained(path: Path, trouble: str) -> Iterator[None]:
    """Raise any error of a codec as an InputError of one line: libraries raise whatever they trip over."""
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
    """Silence the remarks of libraries on odd files."""
    logger = logging.getLogger("tifffile")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
