"""Reads frames of a clip as a player shows them: pixels, transparency, deinterlaced, upright."""

from collections.abc import Callable, Iterable, Iterator

import av
import av.error
import av.filter
import numpy as np
from av.video.reformatter import ColorRange, Interpolation

from restore_jax import io
from restore_jax.errors import InputError
from restore_jax.video import containers
from restore_jax.video.clips import Clip, upright

SCALER = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_SEEK_FROM = 48  # frames; a nearer one is reached by decoding from the first
_BACK = 300  # frames before the wanted one from which it is tried again, if it cannot be decoded from its key frame


def frames(clip: Clip, indices: Iterable[int]) -> Iterator[np.ndarray]:
    """Yield the frames of the given numbers, which must not decrease; a repeated number gives the same array.

    Frames are (h, w, 3) uint8, or uint16 if the clip has 16 bits. One that cannot be decoded is replaced by the one
    before it, and counted in `clip.mended`. InputError if there is none.
    """
    return _numbered(clip, indices, _folder_pixels if clip.files else _pixels)


def alphas(clip: Clip, indices: Iterable[int]) -> Iterator[np.ndarray]:
    """Yield the transparency of the frames of the given numbers, (h, w) uint8 or uint16, of a video with `alpha`."""
    return _numbered(clip, indices, _alpha)


def _numbered(clip: Clip, indices, pixels: Callable) -> Iterator[np.ndarray]:
    source = held = ahead = array = None
    for index in indices:
        if source is None:
            source = ((i, f) for i, f in enumerate(clip.files[index:], index)) if clip.files else _video(clip, index)
            ahead = next(source, None)
        fresh = False
        while ahead is not None and (ahead[0] <= index or held is None):
            held, ahead, fresh = ahead, next(source, None), True
        if held is None:
            raise InputError(f"{clip.path}: damaged: frame {index + 1} cannot be decoded")
        if held[0] != index and not clip.files:
            clip.mended.setdefault("frames cannot be decoded: the one before stands for each", set()).add(index)
        if fresh:
            array = pixels(held[1], clip)
            if not clip.files and (held[1].width, held[1].height) != clip.stored_size:
                clip.mended.setdefault("frames have another size than the first: they are resized", set()).add(index)
        yield array


def _folder_pixels(path, clip: Clip) -> np.ndarray:
    pixels = io.read_photo(path).pixels
    if pixels.shape[:2] != (clip.height, clip.width):
        raise InputError(
            f"{path}: is {pixels.shape[1]}x{pixels.shape[0]}, but {clip.files[0].name} is {clip.width}x{clip.height}"
        )
    return io.from_float(pixels, np.uint16 if clip.bits == 16 else np.uint8)


def _video(clip: Clip, first: int) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield (number, frame) of the frames from `first` on that can be decoded."""
    if first >= _SEEK_FROM and clip.pts is not None:
        for target in (first, max(0, first - _BACK)):
            source = _decoded(clip, first, target)
            start = next(source, None)
            if start is not None and start[0] == first:
                yield start
                yield from source
                return
    yield from _decoded(clip, first, None)


def _decoded(clip: Clip, first: int, target: int | None) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decode (number, frame) from number `first` on, starting at the key frame before `target` or at the start.

    Later ones may come first, and some may be missing.
    """
    with containers.opened(clip.path) as container:
        stream = containers.picture(container, clip.path)
        if target is not None:
            before = max(0, target - 1) if clip.interlaced else target  # whose lines a deinterlacer takes
            container.seek(int(clip.pts[before]), stream=stream, backward=True)
        numbered = _counted(clip, decoded(container, stream, clip.alpha, clip.damaged), first - clip.interlaced)
        if clip.interlaced:
            numbered = _deinterlaced(numbered, stream)
        last = first - 1
        for index, frame in numbered:
            if index > last:
                last = index
                yield index, frame


def _counted(clip: Clip, source, first: int) -> Iterator[tuple[int, av.VideoFrame]]:
    for count, frame in enumerate(source):
        index = count
        if clip.pts is not None:
            if frame.pts is None:
                continue
            index = int(np.searchsorted(clip.pts, frame.pts))
            if index == len(clip) or clip.pts[index] != frame.pts:
                continue  # a frame that is not presented
        if first <= index < len(clip):
            yield index, frame


def decoded(container, stream, alpha: bool = False, damaged: bool = True) -> Iterator[av.VideoFrame]:
    """Yield the frames of a stream that can be decoded; damaged packets are skipped.

    Of a `damaged` stream one frame is decoded after the other: where several are at once, one takes others with it.
    """
    stream.thread_type = "SLICE" if damaged else "AUTO"
    decoder = stream.codec_context
    if alpha and decoder.name in ("vp8", "vp9"):  # FFmpeg's own decoders of these leave alpha out
        decoder = av.CodecContext.create(f"libvpx-{decoder.name}".replace("-vp8", ""), "r")
    for packet in containers.packets(container, stream):
        try:
            yield from decoder.decode(packet if packet.size else None)
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            continue


def _deinterlaced(numbered, stream) -> Iterator[tuple[int, av.VideoFrame]]:
    """Fill in the lines that interlaced frames lack, by FFmpeg's bwdif; progressive frames stay as they are."""
    graph, waiting = None, []
    for index, frame in numbered:
        if graph is None:
            graph = av.filter.Graph()
            nodes = [
                graph.add_buffer(
                    width=frame.width, height=frame.height, format=frame.format, time_base=stream.time_base
                ),
                graph.add("bwdif", "mode=send_frame:deint=interlaced"),
                graph.add("buffersink"),
            ]
            graph.link_nodes(*nodes).configure()
        waiting.append(index)
        graph.push(frame)
        yield from _pulled(graph, waiting)
    if graph is not None:
        graph.push(None)
        yield from _pulled(graph, waiting)


def _pulled(graph, waiting: list[int]) -> Iterator[tuple[int, av.VideoFrame]]:
    while waiting:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield waiting.pop(0), frame


def _pixels(frame: av.VideoFrame, clip: Clip) -> np.ndarray:
    rgb = frame.reformat(
        *clip.stored_size,
        format="rgb48le" if clip.bits == 16 else "rgb24",
        src_colorspace=clip.matrix,
        src_color_range=frame.color_range,
        dst_color_range=ColorRange.JPEG,
        interpolation=SCALER,
    ).to_ndarray()
    return np.ascontiguousarray(upright(rgb, clip.display))


def _alpha(frame: av.VideoFrame, clip: Clip) -> np.ndarray:
    """Return a frame's alpha, by way of the RGBA of its depth."""
    rgba = frame.reformat(*clip.stored_size, format="rgba64le" if clip.bits == 16 else "rgba").to_ndarray()
    return np.ascontiguousarray(upright(rgba[..., 3], clip.display))
