"""Videos and folders of frames, read and written one frame at a time; everything wrong with a file is an InputError.

Frames are (h, w, 3) uint8 RGB, upright; uint16 where the file has more than 8 bits. YCbCr is converted by the matrix
the file names; a file that names none is BT.601 below 720 lines and BT.709 from there on, as players take it. Nothing
else is colour-managed: matrix, primaries and transfer are named again in what is written, H.264 in limited range,
4:2:0. A file's rotation is undone on reading and said again, not baked in, on writing.
"""

import contextlib
import dataclasses
import heapq
import re
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange, Interpolation

from restore_jax import io
from restore_jax.errors import InputError
from restore_jax.io.codecs import mp4

SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv")  # what is written; whatever FFmpeg knows is read
FRAME_SUFFIXES = (".png", ".jpg", ".jpeg")
FOLDER_FPS = Fraction(30)  # of a folder of frames, which does not say
_MATRICES = (1, 4, 5, 6, 7, 9)  # ITU-T H.273: BT.709, FCC, BT.601 twice, SMPTE 240M, BT.2020
_SCALER = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
# What is opened is one file: no playlist, list of files or stream description may name others, here or elsewhere.
_FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,h264,hevc,flv,asf,ogg,mxf,gif,yuv4mpegpipe,ivf,dv,m4v,nut"
_LENIENT = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}  # later it always is
_SAFELY = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
_SEEK_FROM = 48  # frames; a nearer one is reached by decoding from the first


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
    """A video file or folder of frames, and what it says about itself.

    width, height: upright, pixels. fps: frames a second. times: (frames,) float64 seconds from the first frame.
    rotation: degrees counter-clockwise by which stored pixels are turned to be upright: 0, 90, 180 or 270.
    bits: 8, or 16 for all deeper ones. matrix, primaries, transfer: numbers of ITU-T H.273, 2 is unspecified; matrix
    is what the pixels were read by. audio: its codec, or None. pts: of each frame, in the file's time base. files: of a
    folder.
    """

    path: Path
    width: int
    height: int
    fps: Fraction
    times: np.ndarray
    rotation: int = 0
    bits: int = 8
    matrix: int = 1
    primaries: int = 2
    transfer: int = 2
    audio: str | None = None
    pts: np.ndarray | None = None
    files: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.times)


def probe(path, fps: Fraction = FOLDER_FPS) -> Clip:
    """What a video file, or a folder of PNG or JPEG frames in natural order, holds; reads a video file through once.

    `fps` is that of a folder. InputError if there is no such file, no video in it, or it is truncated, interlaced, or
    of variable frame rate.
    """
    path = Path(path)
    if path.is_dir():
        return _probe_folder(path, fps)
    with _opened(path) as container:
        stream = container.streams.best("video")
        if stream is None:
            raise InputError(f"{path}: holds no video")
        if stream.width * stream.height > io.MAX_PIXELS:
            raise InputError(f"{path}: is {stream.width}x{stream.height}, over {io.MAX_PIXELS / 1e6:.0f} megapixels")
        pts, promised = [], stream.frames
        found = 0
        for packet in container.demux(stream):
            if packet.size:
                found += 1
                if packet.is_corrupt:
                    raise InputError(f"{path}: truncated or damaged after {found - 1} frames")
                if not packet.is_discard:
                    pts.append(packet.pts)
        if found < promised:
            raise InputError(f"{path}: truncated: {found} of its {promised} frames are there")
        if not pts:
            raise InputError(f"{path}: holds no frames")
        if None in pts:
            raise InputError(f"{path}: its frames carry no times; rewrite it: ffmpeg -i {path.name} -r 30 out.mp4")
        pts = np.sort(np.array(pts, np.int64))
        audio = container.streams.best("audio")
        rate = stream.average_rate
        times = (pts - pts[0]) * float(stream.time_base)
        fps = _frame_rate(path, times, rate)
    with _opened(path) as container:
        frame = next(container.decode(container.streams.best("video")), None)
        if frame is None:
            raise InputError(f"{path}: holds no frame that can be decoded")
        if frame.interlaced_frame:
            raise InputError(f"{path}: interlaced; deinterlace it: ffmpeg -i {path.name} -vf bwdif out.mp4")
        if frame.rotation % 90:
            raise InputError(f"{path}: is turned by {frame.rotation} degrees, not by quarters")
        rotation = frame.rotation % 360
        width, height = (frame.width, frame.height) if rotation % 180 == 0 else (frame.height, frame.width)
        named = frame.colorspace if frame.colorspace in _MATRICES else None
        return Clip(
            path,
            width,
            height,
            fps,
            times,
            rotation,
            bits=16 if frame.format.components[0].bits > 8 else 8,
            matrix=named or (1 if frame.height >= 720 else 6),
            primaries=frame.color_primaries,
            transfer=frame.color_trc,
            audio=audio and audio.codec_context.name,
            pts=pts,
        )


def _frame_rate(path: Path, times: np.ndarray, named) -> Fraction:
    """Frames a second of evenly spread times; jitter by less than half a frame is what phones do."""
    if len(times) < 2:
        return Fraction(named or FOLDER_FPS)
    steps = np.diff(times)
    mean = times[-1] / (len(times) - 1)
    drift = np.ptp(times - mean * np.arange(len(times))) / 2
    if steps.max() > 1.75 * mean or drift > 0.5 * mean:
        low, high = 1 / steps.max(), 1 / max(steps.min(), 1e-6)
        raise InputError(
            f"{path}: variable frame rate ({low:.1f} to {high:.1f}); even it out: "
            f"ffmpeg -i {path.name} -r {round(1 / float(np.median(steps)))} out.mp4"
        )
    if named and abs(float(named) * mean - 1) < 1e-3:
        return Fraction(named)
    return Fraction(1 / mean).limit_denominator(1001)


def _probe_folder(path: Path, fps: Fraction) -> Clip:
    found = [p for p in path.iterdir() if p.suffix.lower() in FRAME_SUFFIXES and p.name[0] != "." and p.is_file()]
    if not found:
        raise InputError(f"{path}: holds no frames ({', '.join(FRAME_SUFFIXES)})")
    files = tuple(sorted(found, key=lambda p: [int(s) if s.isdecimal() else s for s in re.split(r"(\d+)", p.name)]))
    first = io.read_photo(files[0])
    height, width = first.pixels.shape[:2]
    times = np.arange(len(files)) / float(fps)
    return Clip(path, width, height, Fraction(fps), times, bits=min(first.bits, 16), files=files)


# -------------------------------------------------------------------------------------------------------------- reading
def frames(clip: Clip, indices: Iterable[int]) -> Iterator[np.ndarray]:
    """The frames of the given numbers, which must not decrease; a number that is repeated gives the same array again.

    InputError where the file is damaged.
    """
    read = _folder_frames if clip.files else _video_frames
    frame, last, source = None, None, None
    for index in indices:
        if source is None:
            source = read(clip, index)
        while last is None or last < index:
            last, frame = next(source)
        yield frame


def _folder_frames(clip: Clip, first: int) -> Iterator[tuple[int, np.ndarray]]:
    dtype = np.uint16 if clip.bits == 16 else np.uint8
    for index in range(first, len(clip.files)):
        pixels = io.read_photo(clip.files[index]).pixels
        if pixels.shape[:2] != (clip.height, clip.width):
            raise InputError(
                f"{clip.files[index]}: is {pixels.shape[1]}x{pixels.shape[0]}, "
                f"but {clip.files[0].name} is {clip.width}x{clip.height}"
            )
        yield index, io.from_float(pixels, dtype)


def _video_frames(clip: Clip, first: int) -> Iterator[tuple[int, np.ndarray]]:
    if first >= _SEEK_FROM:
        found = _decoded(clip, first, seek=True)
        start = next(found, None)
        if start is not None and start[0] == first:
            yield start
            yield from found
            return
    yield from _decoded(clip, first, seek=False)


def _decoded(clip: Clip, first: int, seek: bool) -> Iterator[tuple[int, np.ndarray]]:
    """Frames from number `first` on; after a seek that landed behind it, from a later number."""
    with _opened(clip.path) as container:
        stream = container.streams.best("video")
        stream.thread_type = "AUTO"
        if seek:
            container.seek(int(clip.pts[first]), stream=stream, backward=True)
        reached = first
        for frame in container.decode(stream):
            index = int(np.searchsorted(clip.pts, frame.pts)) if frame.pts is not None else reached
            if index < first or index >= len(clip):
                continue
            if index != reached and not (seek and reached == first):
                raise InputError(f"{clip.path}: damaged: frame {reached} cannot be decoded")
            reached = index + 1
            stored = (clip.width, clip.height) if clip.rotation % 180 == 0 else (clip.height, clip.width)
            if (frame.width, frame.height) != stored:
                raise InputError(f"{clip.path}: frame {index} is {frame.width}x{frame.height}, unlike the first")
            yield index, _pixels(frame, clip)
        if reached < len(clip):
            raise InputError(f"{clip.path}: damaged: frame {reached} cannot be decoded")


def _pixels(frame: av.VideoFrame, clip: Clip) -> np.ndarray:
    rgb = frame.reformat(
        format="rgb48le" if clip.bits == 16 else "rgb24",
        src_colorspace=clip.matrix,
        src_color_range=frame.color_range,
        dst_color_range=ColorRange.JPEG,
        interpolation=_SCALER,
    ).to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, clip.rotation // 90))


@contextlib.contextmanager
def _opened(path: Path):
    """The container, open for reading; errors as an InputError of one line."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if path.suffix.lower() in io.FORMATS:
        raise InputError(f"{path}: is a photograph, not a video: use --image")
    if not path.is_file():
        raise InputError(f"{path}: is not a regular file")
    try:
        with open(path, "rb") as fp:
            mp4.check_tables(fp)
        with _source(path) as container:
            yield container
    except InputError:
        raise
    except Exception as error:  # with damaged files PyAV raises whatever it trips over, beside FFmpeg's own
        if isinstance(error, MemoryError) and not isinstance(error, av.error.FFmpegError):
            raise
        reason = "failed" if isinstance(error, OSError) else "is no video, or damaged or truncated"
        said = error.strerror if isinstance(error, av.error.FFmpegError) else " ".join(str(error).split())
        raise InputError(f"{path}: {reason} ({said})") from error


def _source(path: Path) -> av.container.InputContainer:
    container = av.open(f"file:{path}", options=_SAFELY, **_LENIENT)
    for stream in container.streams.video:
        if stream.codec_context is None:  # FFmpeg has no decoder for it
            continue
        stream.codec_context.options = {"max_pixels": str(io.MAX_PIXELS)}
    return container


# -------------------------------------------------------------------------------------------------------------- writing
class VideoWriter:
    """Encodes frames of one size to an H.264 file; a context manager. `like` gives fps, rotation, depth and colours.

    The file has neither audio nor rotation, which `join` adds.
    """

    def __init__(self, path: Path, width: int, height: int, like: Clip, crf: float):
        self.like, self.count = like, 0
        self.container = av.open(str(path), "w", format="mp4")
        stream = self.container.add_stream("libx264", rate=like.fps, options={"crf": f"{crf:g}"})
        stream.width, stream.height = (width, height) if like.rotation % 180 == 0 else (height, width)
        stream.pix_fmt = "yuv420p10le" if like.bits == 16 else "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_range = like.matrix, ColorRange.MPEG
        context.color_primaries, context.color_trc = like.primaries, like.transfer
        self.stream = stream

    def write(self, frame: np.ndarray) -> None:
        """Appends an upright (h, w, 3) frame of `like`'s depth, uint8 or uint16."""
        stored = np.ascontiguousarray(np.rot90(frame, -(self.like.rotation // 90)))
        picture = av.VideoFrame.from_ndarray(stored, format="rgb48le" if self.like.bits == 16 else "rgb24")
        picture = picture.reformat(
            format=self.stream.pix_fmt,
            dst_colorspace=self.like.matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=_SCALER,
        )
        picture.pts, picture.time_base = self.count, 1 / self.like.fps
        self.count += 1
        self.container.mux(self.stream.encode(picture))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.container.mux(self.stream.encode())
        finally:
            self.container.close()


def check_audio(clip: Clip, out: Path) -> None:
    """Raises InputError if the format that the suffix of `out` stands for cannot hold the clip's audio."""
    if clip.audio is None:
        return
    kind = _container(out)
    try:
        with _source(clip.path) as source, av.open(BytesIO(), "w", format=kind) as target:
            target.add_stream_from_template(source.streams.best("audio"))
            target.start_encoding()
    except (av.error.FFmpegError, ValueError) as error:
        raise InputError(f"{clip.path}: {kind} cannot hold its {clip.audio} audio; write a .mkv") from error


def _container(out: Path) -> str:
    return {".mov": "mov", ".mkv": "matroska"}.get(out.suffix.lower(), "mp4")


def join(parts: Sequence[Path], counts: Sequence[int], out: Path, like: Clip, first: int, stop: int) -> None:
    """Puts encoded parts of `counts` frames one after the other into the file `out`, without encoding again.

    Adds `like`'s rotation, metadata and, copied packet by packet, its audio between frames `first` and `stop`;
    `check_audio` tells beforehand whether that can be.
    """
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(av.open(str(out), "w", format=_container(out)))
        with av.open(str(parts[0])) as part:
            video = target.add_stream_from_template(part.streams.video[0])
        if like.rotation:
            video.set_display_rotation(like.rotation)
        packets = [_video_packets(parts, counts, like.fps, video)]
        if not like.files:
            source = stack.enter_context(_source(like.path))
            brands = ("major_brand", "minor_version", "compatible_brands", "encoder")
            target.metadata.update({key: text for key, text in source.metadata.items() if key not in brands})
        if like.audio:
            stream = source.streams.best("audio")
            audio = target.add_stream_from_template(stream)
            packets.append(_audio_packets(source, stream, audio, like, first, stop))
        # In order of time: a muxer keeps what runs ahead in memory.
        for _, packet in heapq.merge(*packets, key=lambda timed: timed[0]):
            target.mux(packet)


def _video_packets(parts, counts, fps, stream):
    began = 0
    for path, count in zip(parts, counts, strict=True):
        with av.open(str(path)) as part:
            for packet in part.demux(part.streams.video[0]):
                if packet.size:
                    shift = round(began / fps / packet.time_base)
                    packet.pts += shift
                    packet.dts += shift
                    packet.stream = stream
                    yield float(packet.dts * packet.time_base), packet
        began += count


def _audio_packets(source, stream, target, like, first, stop):
    with _source(like.path) as container:
        origin = like.pts[0] * container.streams.best("video").time_base
    begin = origin + Fraction(like.times[first]).limit_denominator(10**6)
    end = None if stop >= len(like) else origin + Fraction(like.times[stop]).limit_denominator(10**6)
    for packet in source.demux(stream):
        if packet.size and packet.dts is not None:
            when = packet.pts * packet.time_base
            if first and when < begin:
                continue
            if end is not None and when >= end:
                return
            shift = round(begin / packet.time_base)
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = target
            yield float(packet.dts * packet.time_base), packet
