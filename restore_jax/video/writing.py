"""Video files written in encoded parts that are joined without encoding again, each frame at its own time.

H.264, 4:2:0. Pixels are stored as the source stores them, and shown upright by the same display matrix; colour tags,
range, aspect of the pixels and mastering data are those of the source.
"""

import contextlib
import heapq
from collections.abc import Iterator, Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange

from restore_jax.io.codecs import mp4
from restore_jax.video import copying
from restore_jax.video.clips import HDR, Clip, enlarged_display, stored
from restore_jax.video.reading import SCALER


class VideoWriter:
    """Encodes frames of one size to an H.264 file; a context manager. `like` gives times, depth, colours and the turn.

    The first frame that is written is number `first` of `like`; the file's times begin at 0. The file has neither
    sound nor display matrix, which `join` adds.
    """

    def __init__(self, path: Path, width: int, height: int, like: Clip, crf: float, first: int = 0):
        self.like, self.next, self.began = like, first, int(like.stamps[first])
        self.container = av.open(str(path), "w", format="mp4")
        options = {"crf": f"{crf:g}"}
        if like.hdr:
            options["x264-params"] = _x264_hdr(like.hdr)
        stream = self.container.add_stream("libx264", rate=like.fps, options=options)
        turned = like.stored_size != (like.width, like.height)
        stream.width, stream.height = (height, width) if turned else (width, height)
        stream.pix_fmt = "yuv420p10le" if like.bits == 16 else "yuv420p"
        context = stream.codec_context
        context.time_base = like.tick
        context.sample_aspect_ratio = like.aspect
        self.range = ColorRange.JPEG if like.full_range else ColorRange.MPEG
        context.colorspace, context.color_range = like.matrix, self.range
        context.color_primaries, context.color_trc = like.primaries, like.transfer
        self.stream = stream

    def write(self, frame: np.ndarray) -> None:
        """Append an upright (h, w, 3) frame of `like`'s depth, uint8 or uint16."""
        pixels = np.ascontiguousarray(stored(frame, self.like.display))
        picture = av.VideoFrame.from_ndarray(pixels, format="rgb48le" if self.like.bits == 16 else "rgb24")
        picture = picture.reformat(
            format=self.stream.pix_fmt,
            dst_colorspace=self.like.matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=self.range,
            interpolation=SCALER,
        )
        picture.pts, picture.time_base = int(self.like.stamps[self.next]) - self.began, self.like.tick
        self.next += 1
        self.container.mux(self.stream.encode(picture))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.container.mux(self.stream.encode())
        finally:
            self.container.close()


def join(parts: Sequence[Path], counts: Sequence[int], out: Path, like: Clip, first: int, stop: int) -> None:
    """Join encoded parts of `counts` frames into the file `out`, without encoding again.

    Adds all that `copying` takes from `like` between its frames `first` and `stop`: sound, subtitles, chapters,
    metadata; `copying.left_out` tells beforehand what cannot be.
    """
    with contextlib.ExitStack() as stack:
        extent = copying.span(like, first, stop)
        target = stack.enter_context(copying.created(out, like, extent))
        with av.open(_with_hdr(parts[0], like.hdr)) as part:
            template = part.streams.video[0]
            stream = target.add_stream_from_template(template)
            delay = template.codec_context.reorder_depth
            scale = template.width / like.stored_size[0]
        if like.display:
            stream.set_display_matrix(enlarged_display(like.display, scale))
        timed = [_video_packets(parts, counts, like, first, extent.lead, delay, stream)]
        if not like.files:
            timed.append(stack.enter_context(copying.copied(like, extent, out, target, stream)))
        # In order of time: a muxer keeps what runs ahead in memory.
        for _, packet in heapq.merge(*timed, key=lambda pair: pair[0]):
            target.mux(packet)


def _video_packets(parts, counts, like: Clip, first: int, lead: Fraction, delay: int, stream) -> Iterator:
    """Yield (time, packet) of all parts, presented at the clip's times after `lead` seconds.

    Packets are decoded in their order as late as the encoder's reordering by `delay` frames allows.
    """
    shown = [int(stamp) * like.tick for stamp in like.stamps[first : first + sum(counts)] - like.stamps[first]]
    last = _last(like, first + len(shown) - 1)
    # Decoding begins as long before the first frame as it ends before the last frame's end: both sums are one length.
    ahead = shown[-1] + last - (shown[max(len(shown) - 1 - delay, 0)] + last)
    began = done = 0
    for path, count in zip(parts, counts, strict=True):
        with av.open(str(path)) as part:
            packets = [packet for packet in part.demux(part.streams.video[0]) if packet.size]
        ranks = np.argsort(np.argsort([packet.pts for packet in packets]))
        for packet, rank in zip(packets, ranks, strict=True):
            base = packet.time_base
            index, before = began + int(rank), done - delay
            decode = shown[before] if before >= 0 else before * ahead / delay
            length = shown[index + 1] - shown[index] if index + 1 < len(shown) else last
            packet.pts, packet.dts = round((shown[index] + lead) / base), round((decode + lead) / base)
            packet.duration = round(length / base)
            packet.stream = stream
            done += 1
            yield float(packet.dts * base), packet
        began += count


def _last(like: Clip, index: int) -> Fraction:
    """Return the seconds that frame `index` is shown."""
    if index + 1 < len(like):
        return int(like.stamps[index + 1] - like.stamps[index]) * like.tick
    return Fraction(like.last).limit_denominator(10**6)


def _x264_hdr(hdr: HDR) -> str:
    """Return the mastering data as an option of x264, which writes it into the stream."""
    options = []
    if hdr.primaries and hdr.luminance:
        red, green, blue, white = (f"({x},{y})" for x, y in hdr.primaries)
        options.append("mastering-display=G{}B{}R{}WP{}L({},{})".format(green, blue, red, white, *hdr.luminance))
    if hdr.light:
        options.append("cll={},{}".format(*hdr.light))
    return ":".join(options)


def _with_hdr(path: Path, hdr: HDR | None):
    """Return the file, or a copy in memory whose header names the mastering data, for whatever it is added to."""
    return (
        str(path)
        if hdr is None
        else BytesIO(mp4.with_mastering(path.read_bytes(), hdr.primaries, hdr.luminance, hdr.light))
    )
