"""Looks a video file through: all of its packets, and the frames of its beginning and its end."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange

from restore_jax import io
from restore_jax.errors import InputError
from restore_jax.video import containers, folders, reading, timing
from restore_jax.video.clips import FOLDER_FPS, HDR, Clip, upright

_MATRICES = (1, 4, 5, 6, 7, 9)  # ITU-T H.273: BT.709, FCC, BT.601 twice, SMPTE 240M, BT.2020
_RAW = ("h264", "hevc", "m4v", "mpegvideo")  # formats without times: those that FFmpeg gives are its own invention
_LONGEST = 60  # seconds that a last frame is believed to be shown
_STEADY = 16  # frames that come as their packets promise, until the rest is believed to
_UPRIGHT = (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)  # the display matrix that changes nothing
_SIDE_DATA = {  # of frames, that encoded frames cannot be given
    "A53_CC": "closed captions",
    "DYNAMIC_HDR_PLUS": "HDR10+ metadata",
    "DYNAMIC_HDR_VIVID": "HDR Vivid metadata",
    "DOVI_RPU_BUFFER": "Dolby Vision metadata",
    "DOVI_METADATA": "Dolby Vision metadata",
    "AMBIENT_VIEWING_ENVIRONMENT": "the ambient viewing environment",
    "STEREO3D": "the arrangement of stereoscopic views",
    "SPHERICAL": "the mapping of spherical video",
    "ICC_PROFILE": "an ICC profile",
    "FILM_GRAIN_PARAMS": "film grain parameters",
}


class _Header(NamedTuple):
    """Facts of a file's headers; `rates` are frames a second, `rate` is that of the stream's own headers."""

    base: Fraction
    rates: tuple[Fraction | None, ...]
    rate: Fraction | None
    seconds: float | None
    aspect: Fraction
    alpha: bool
    interlaced: bool
    hidden: bool
    raw: bool
    audio: str | None


class _Packets(NamedTuple):
    """The presented packets: pts of each (None: missing), pts of the last key frame, duration of the last one."""

    pts: list[int | None]
    last_key: int | None
    duration: int | None
    damaged: int
    broken: bool


class _Frames(NamedTuple):
    """Decoded frames: the first one, pts and dts of each, kinds of side data, and whether any is interlaced."""

    first: av.VideoFrame | None
    pts: list[int | None]
    dts: list[int | None]
    side_data: set[str]
    interlaced: bool


class _Times(NamedTuple):
    """Frame times, increasing multiples of `base` seconds; `sought`: decoded frames carry the same ones."""

    times: np.ndarray
    base: Fraction
    sought: bool


def probe(path, fps: Fraction = FOLDER_FPS) -> Clip:
    """Look through a video file, once, or a folder of frames in natural order.

    `fps` is that of a folder. InputError if there is no such file or no video in it.
    """
    path = Path(path)
    if path.is_dir():
        return folders.probe(path, fps)
    with containers.opened(path) as container:
        stream = containers.picture(container, path)
        if stream.width * stream.height > io.MAX_PIXELS:
            raise InputError(f"{path}: is {stream.width}x{stream.height}, over {io.MAX_PIXELS / 1e6:.0f} megapixels")
        header, packets = _header(container, stream), _packets(container, stream)
    if not packets.pts:
        raise InputError(f"{path}: holds no frames")
    head = _decoded(path, header, np.unique([pts for pts in packets.pts if pts is not None]))
    if head.first is None:
        raise InputError(f"{path}: holds no frame that can be decoded")
    found, notes = _presented(path, header, packets, head)
    early = packets.broken or containers.ends_early(path)
    if early and found.sought:
        found = found._replace(times=_those_that_end(path, header, packets, found.times))
    stamps, tick = timing.on_grid(found.times, found.base, header.rates)
    rate = timing.usual_rate(stamps, tick, next((rate for rate in header.rates if rate), FOLDER_FPS))
    last = float((packets.duration or 0) * header.base)
    if not 0 < last < _LONGEST:
        last = float(stamps[-1] - stamps[-2]) * float(tick) if len(stamps) > 1 else 1 / float(rate)
    seconds = float(stamps[-1] * tick) + last
    if early:
        named = header.seconds and header.seconds > seconds + 2 * last
        notes.append(f"ends early: {seconds:.2f} s" + (f" of the {header.seconds:.2f} s it names" if named else ""))
    if packets.damaged:
        notes.append(f"{packets.damaged} damaged frame{'s' * (packets.damaged > 1)}, shown as far as decodable")
    if head.interlaced or header.interlaced:
        notes.append("interlaced: its frames are deinterlaced (bwdif)")
    lost = dict.fromkeys(text for kind, text in _SIDE_DATA.items() if kind in head.side_data)
    if lost:
        notes.append(f"{', '.join(lost)}: cannot be carried to new frames and is left out")
    frame = head.first
    display = _display(frame)
    height, width = upright(np.empty((frame.height, frame.width), bool), display).shape
    return Clip(
        path,
        width,
        height,
        rate,
        stamps * float(tick),
        display=display,
        bits=16 if frame.format.components[0].bits > 8 else 8,
        matrix=_matrix(frame),
        primaries=frame.color_primaries,
        transfer=frame.color_trc,
        full_range=frame.color_range == ColorRange.JPEG,
        aspect=header.aspect,
        interlaced=head.interlaced or header.interlaced,
        alpha=any(component.is_alpha for component in frame.format.components),
        damaged=early or packets.damaged > 0,
        hdr=_hdr(frame),
        audio=header.audio,
        pts=found.times if found.sought else None,
        stamps=stamps,
        tick=tick,
        last=last,
        start=Fraction(int(found.times[0])) * found.base,
        notes=tuple(notes),
    )


def _header(container, stream) -> _Header:
    seconds = container.duration and container.duration / av.time_base
    if stream.duration is not None:
        seconds = float(stream.duration * stream.time_base)
    context, audio = stream.codec_context, container.streams.best("audio")
    alpha = {key.lower(): text for key, text in stream.metadata.items()}.get("alpha_mode") == "1"
    return _Header(
        stream.time_base,
        (stream.average_rate, stream.guessed_rate, stream.base_rate),
        context.framerate,
        seconds,
        stream.sample_aspect_ratio or Fraction(1),
        alpha and "libvpx-vp9" in av.codecs_available,
        context.field_order > 1,  # FFmpeg's AV_FIELD_PROGRESSIVE is 1, 0 is unknown
        context.name in ("vp8", "vp9", "av1"),
        container.format.name in _RAW,
        audio and (audio.codec_context.name if audio.codec_context else "unknown"),
    )


def _packets(container, stream) -> _Packets:
    pts, last_key, duration, damaged, broken = [], None, None, 0, False
    try:
        for packet in container.demux(stream):
            if not packet.size:
                continue
            damaged += packet.is_corrupt
            if packet.is_keyframe and packet.pts is not None:
                last_key = packet.pts
            if not packet.is_discard:
                duration = packet.duration
                pts.append(packet.pts)
    except av.error.FFmpegError:
        broken = True
    ordered = None not in pts and pts == sorted(pts)  # else a packet lasts until the next one in order of decoding
    return _Packets(pts, last_key, duration if ordered else None, damaged, broken)


def _decoded(path: Path, header: _Header, expected=None, start: int | None = None) -> _Frames:
    """Decode frames of a file, from the key frame before the time `start` on if given.

    If frames are `expected` at some times, only so many are decoded as show that they come.
    """
    first, pts, dts, side_data, interlaced = None, [], [], set(), False
    with containers.opened(path) as container:
        stream = containers.picture(container, path)
        if start is not None:
            container.seek(start, stream=stream, backward=True)
        for frame in reading.decoded(container, stream, header.alpha):
            first = frame if first is None else first
            pts.append(frame.pts)
            dts.append(frame.dts)
            interlaced = interlaced or frame.interlaced_frame
            side_data |= {data.type.name for data in frame.side_data}
            if expected is not None and len(pts) >= _STEADY and None not in pts:
                break
    return _Frames(first, pts, dts, side_data, interlaced)


def _presented(path: Path, header: _Header, packets: _Packets, head: _Frames) -> tuple[_Times, list[str]]:
    """Return the times of the frames that a player shows, and notes on others."""
    if not header.raw and None not in packets.pts and None not in head.pts:
        expected = np.unique(packets.pts)
        reached = expected[expected <= max(head.pts)]
        missing = np.setdiff1d(reached, head.pts)
        if len(expected) == len(packets.pts) and (missing < min(head.pts)).all() and np.isin(head.pts, reached).all():
            notes = [_left_out(len(missing), "at its beginning lack the frames they build on")] if len(missing) else []
            return _Times(expected[len(missing) :], header.base, True), notes
    # Packets are no frames, one for one: all are decoded to see which come.
    frames = _decoded(path, header)
    lost = len(packets.pts) - len(frames.pts)
    damaged = lost > 0 and not header.hidden and not frames.interlaced
    notes = [_left_out(lost, "of it are damaged")] if damaged else []
    for times, sought in ((frames.pts, True), (frames.dts, False)):
        if None not in times and not header.raw:
            times = np.array(times, np.int64)
            if (np.diff(times) >= (0 if sought else 1)).all():
                return _Times(np.unique(times), header.base, sought), notes
    rate = header.rate or next((rate for rate in header.rates if rate), None)
    if not header.rate:
        notes.append(f"names no frame rate: {float(rate or FOLDER_FPS):g} frames a second are assumed")
    return _Times(np.arange(len(frames.pts)), 1 / Fraction(rate or FOLDER_FPS), False), notes


def _left_out(count: int, why: str) -> str:
    return f"{count} frame{'s' * (count > 1)} {why}: left out"


def _those_that_end(path: Path, header: _Header, packets: _Packets, times: np.ndarray) -> np.ndarray:
    """Leave out times behind the last key frame that give no frame."""
    if packets.last_key is None:
        return times
    shown = _decoded(path, header, start=packets.last_key).pts
    if not shown:  # the key frame is not found by its time
        shown = _decoded(path, header).pts
    return times[(times < packets.last_key) | np.isin(times, [pts for pts in shown if pts is not None])]


# ------------------------------------------------------------------------------------------------- what a frame says
def _matrix(frame: av.VideoFrame) -> int:
    """Return the matrix that a frame names, or the one that players assume."""
    if frame.colorspace in _MATRICES:
        return frame.colorspace
    return 1 if frame.height > 576 or frame.width >= 1280 else 6


def _display(frame: av.VideoFrame) -> tuple[int, ...] | None:
    data = _side_data(frame, "DISPLAYMATRIX")
    display = data and struct.unpack("=9i", data[:36])
    return None if display == _UPRIGHT else display


def _hdr(frame: av.VideoFrame) -> HDR | None:
    """Read FFmpeg's structures: ten rationals, and two integers that say if colours and luminances are known."""
    mastering, light = _side_data(frame, "MASTERING_DISPLAY_METADATA"), _side_data(frame, "CONTENT_LIGHT_LEVEL")
    if mastering is None and light is None:
        return None
    primaries = luminance = None
    if mastering:
        *pairs, coloured, lit = struct.unpack("=22i", mastering[:88])
        values = [Fraction(a, b) if b else Fraction(0) for a, b in zip(pairs[::2], pairs[1::2], strict=True)]
        if coloured:
            steps = [round(value * 50_000) for value in values[:8]]
            primaries = tuple(zip(steps[::2], steps[1::2], strict=True))
        if lit:
            luminance = (round(values[9] * 10_000), round(values[8] * 10_000))
    return HDR(primaries, luminance, light and struct.unpack("=2I", light[:8]))


def _side_data(frame: av.VideoFrame, name: str) -> bytes | None:
    return next((bytes(data) for data in frame.side_data if data.type.name == name), None)
