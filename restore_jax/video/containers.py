"""Opens video files safely: one file and no others, within bounds, with one line for what is wrong."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import av
import av.error

from restore_jax import io
from restore_jax.errors import InputError
from restore_jax.io.codecs import mp4

SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv")  # what is written; whatever FFmpeg knows is read
# What is opened is one file: no playlist, list of files or stream description may name others, here or elsewhere.
_FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,h264,hevc,flv,asf,ogg,mxf,gif,yuv4mpegpipe,ivf,dv,m4v,nut"
_LENIENT = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}  # later it always is
_SAFELY = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}


@contextlib.contextmanager
def opened(path: Path):
    """Open a container for reading; errors become an InputError of one line."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if not path.is_file():
        raise InputError(f"{path}: is not a regular file")
    if _is_photograph(path):
        raise InputError(f"{path}: is a photograph, not a video: use --image")
    try:
        with open(path, "rb") as fp:
            mp4.check_tables(fp)
        with source(path) as container:
            yield container
    except InputError:
        raise
    except Exception as error:  # with damaged files PyAV raises whatever it trips over, beside FFmpeg's own
        if isinstance(error, MemoryError) and not isinstance(error, av.error.FFmpegError):
            raise
        reason = "failed" if isinstance(error, OSError) else "is no video, or damaged or truncated"
        said = error.strerror if isinstance(error, av.error.FFmpegError) else " ".join(str(error).split())
        raise InputError(f"{path}: {reason} ({said})") from error


def _is_photograph(path: Path) -> bool:
    with contextlib.suppress(InputError):
        return bool(io.identify(path))
    return False


def source(path: Path) -> av.container.InputContainer:
    """Open a container for reading; the caller handles its errors."""
    container = av.open(f"file:{path}", options=_SAFELY, **_LENIENT)
    for stream in container.streams.video:
        if stream.codec_context is None:  # FFmpeg has no decoder for it
            continue
        stream.codec_context.options = {"max_pixels": str(io.MAX_PIXELS)}
    return container


def picture(container, path: Path):
    """Return the video stream that is enlarged. Raises InputError if none can be decoded."""
    stream = container.streams.best("video")
    if stream is None:
        raise InputError(f"{path}: holds no video")
    if stream.codec_context is None:
        raise InputError(f"{path}: its video is of a kind that cannot be decoded")
    return stream


def packets(container, *streams) -> Iterator:
    """Yield the packets of the streams, up to where the file cannot be read further."""
    with contextlib.suppress(av.error.FFmpegError):
        yield from container.demux(*streams)


def kind(out: Path) -> str:
    """Return FFmpeg's name of the format that a file's suffix stands for."""
    return {".mov": "mov", ".mkv": "matroska"}.get(out.suffix.lower(), "mp4")


# ----------------------------------------------------------------------------------------------------------- ends early
def ends_early(path: Path) -> bool:
    """Say whether a file is shorter than its own headers say, for the kinds of files that say it."""
    with open(path, "rb") as fp:
        total = fp.seek(0, os.SEEK_END)
        fp.seek(0)
        head = fp.read(12)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            end = _boxes_end(fp, total)
        elif head[:4] == b"\x1a\x45\xdf\xa3":
            end = _segment_end(fp)
        elif head[:4] == b"RIFF":
            end = _riff_end(fp, total)
        else:
            end = _packets_end(fp, total)
        return end > total


def _boxes_end(fp: BinaryIO, total: int) -> int:
    """Return where the last box of an MP4 or QuickTime file ends."""
    at = 0
    while at + 8 <= total:
        fp.seek(at)
        head = fp.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size == 0:
            return total
        if size < 8:
            return at
        at += size
    return at


def _segment_end(fp: BinaryIO) -> int:
    """Return where the segment of a Matroska file ends, 0 if it does not say."""
    fp.seek(4)
    header = _vint(fp)
    if header is None:
        return 0
    fp.seek(header, os.SEEK_CUR)
    if fp.read(4) != b"\x18\x53\x80\x67":
        return 0
    length = _vint(fp)
    return 0 if length is None else fp.tell() + length


def _vint(fp: BinaryIO) -> int | None:
    """Read a number of EBML's variable length, None for "unknown"."""
    first = fp.read(1)
    if not first or not first[0]:
        return None
    extra = 8 - first[0].bit_length()
    value = int.from_bytes(first + fp.read(extra), "big") & ((1 << 7 * (extra + 1)) - 1)
    return None if value == (1 << 7 * (extra + 1)) - 1 else value


def _riff_end(fp: BinaryIO, total: int) -> int:
    """Return where the last RIFF chunk of an AVI file ends."""
    at = 0
    while at + 8 <= total:
        fp.seek(at)
        head = fp.read(8)
        size = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or not size:
            break
        at += 8 + size + size % 2
    return at


def _packets_end(fp: BinaryIO, total: int) -> int:
    """Return where the last packet of an MPEG transport stream ends, 0 if it is none."""
    for size, first in ((188, 0), (192, 4), (204, 0)):
        marks = []
        for number in range(min(5, total // size)):
            fp.seek(first + number * size)
            marks.append(fp.read(1))
        if len(marks) > 1 and set(marks) == {b"\x47"}:
            return -(-total // size) * size
    return 0
