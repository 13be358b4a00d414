"""Copies what a video file holds besides its pictures, without decoding: other tracks, chapters, metadata.

One way for all of them: each track of the source is tried on the target's format; text subtitles are rewritten in the
target's kind; what does not fit is named by `left_out`, and nothing is left out otherwise.
"""

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import av
import av.error
from av.stream import Discard, Disposition

from restore_jax import io
from restore_jax.errors import InputError
from restore_jax.io.left_out import fitted
from restore_jax.video import containers
from restore_jax.video.clips import Clip

_FORMAT_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder"}  # of the source's file itself
_TRACK_TAGS = {"duration", "encoder", "bps", "number_of_frames", "number_of_bytes", "rotate", "vendor_id", "alpha_mode"}
# What FFmpeg writes into MP4 and QuickTime in their own ways; with other tags it writes all as keys by name.
_PLAIN_TAGS = frozenset(
    (
        *("title", "artist", "author", "album_artist", "composer", "album", "date", "comment", "genre", "copyright"),
        *("description", "synopsis", "show", "episode_id", "network", "lyrics", "grouping", "track", "disc"),
        *("location", "creation_time", "timecode"),
    )
)
_TEXT = {"mov": "mov_text", "mp4": "mov_text", "matroska": "subrip"}  # kind of text subtitles that a format holds
_QUICKTIME = {  # languages that QuickTime knows by other codes of ISO 639-2
    **{"deu": "ger", "nld": "dut", "ell": "gre", "isl": "ice", "zho": "chi", "sqi": "alb", "mkd": "mac", "hye": "arm"},
    **{"kat": "geo", "mya": "bur", "bod": "tib", "cym": "wel", "eus": "baq", "fre": "fra", "cze": "ces", "rum": "ron"},
}
_PREROLL = Fraction(1, 40)  # seconds of sound before its beginning that decoders want to have seen
_BEHIND = 10  # seconds behind the end of what is copied that packets are still sought, as tracks are not interleaved
_LONG = 30  # seconds into a file from which on it is not read from its beginning


class Span(NamedTuple):
    """The part of a source that is copied, in seconds on its clock: from `origin`, the copy's 0, to before `end`.

    lead: seconds after `origin` at which the first frame is shown. whole: nothing is cut off at the beginning.
    """

    origin: Fraction
    lead: Fraction
    end: Fraction | None
    whole: bool


def span(clip: Clip, first: int, stop: int) -> Span:
    """Return the span of frames `first` to `stop`; that of all frames has the sound before and after them too."""
    begin = clip.start + int(clip.stamps[first]) * clip.tick
    end = None if stop >= len(clip) else clip.start + int(clip.stamps[stop]) * clip.tick
    origin = begin
    if not first and not clip.files:
        with containers.opened(clip.path) as source:
            starts = [s.start_time * s.time_base for s in source.streams.audio if s.start_time is not None]
        if clip.pts is not None:
            origin = min([begin, *starts])
    return Span(origin, begin - origin, end, not first)


def left_out(clip: Clip, out: Path | None) -> list[str]:
    """Describe in sentences what the format of `out` cannot hold of the clip; None is a folder of PNG files.

    InputError if that is all of its sound.
    """
    kind = containers.kind(out) if out else None
    name = kind or "a folder of frames"
    lost = []
    if kind and clip.alpha:
        lost.append(f"H.264 in {name} holds no transparency: it is left out")
    if clip.files:
        return lost + _left_out_of_folder(clip, kind)
    with containers.opened(clip.path) as source:
        tracks = [(track, _way(track, kind)) for track in _others(source, clip)]
        if kind is None:
            names = [_named(track) for track, _ in tracks] + (
                [f"{n} chapters"] if (n := len(source.chapters())) else []
            )
            if names:
                lost.append(f"{name} holds no {', '.join(names)}: left out")
            if clip.aspect != 1:
                lost.append(f"{name} has square pixels; those of the video are {clip.aspect} times as wide as high")
            return lost
        unheld = [track for track, way in tracks if way is None]
        sound = [track for track, _ in tracks if track.type == "audio"]
        if sound and all(track in unheld for track in sound):
            raise InputError(f"{clip.path}: {name} cannot hold its {clip.audio} audio; write a .mkv")
        if unheld:
            lost.append(f"{name} cannot hold its {', '.join(map(_named, unheld))}: left out; a .mkv may hold it")
    return lost


def _left_out_of_folder(clip: Clip, kind: str | None) -> list[str]:
    photo = io.read_photo(clip.files[0])
    if kind is None:
        _, names = fitted(photo, "png")
        return [f"its frames become PNG files without {', '.join(names)}"] if names else []
    names = [name for name, there in (("ICC profile", photo.icc), ("EXIF", photo.exif), ("XMP", photo.xmp)) if there]
    if photo.bits > 10:
        names.append("depth beyond 10 bits")
    plain = dataclasses.replace(photo, alpha=None, bits=8, icc=None, exif=None, xmp=None)
    names += fitted(plain, "tiff" if photo.format == "png" else "png")[1]  # what is of its own format alone
    return [f"a video holds no {' or '.join(names)} of its frames: left out"] if names else []


def _named(track) -> str:
    codec = track.codec_context.name if track.codec_context else track.name
    language = track.metadata.get("language", "und")
    return f"{track.type} track {track.index} ({codec or 'unknown'}{'' if language == 'und' else ', ' + language})"


def _others(source, clip: Clip) -> Iterator:
    """List all tracks but the enlarged one and those that hold chapters or a timecode, which are copied by name."""
    picture = containers.picture(source, clip.path)
    for track in source.streams:
        chapters = track.discard == Discard.all and source.chapters()
        timecode = track.type == "data" and "timecode" in track.metadata and "timecode" in picture.metadata
        if track.index != picture.index and not chapters and not timecode:
            yield track


def _way(track, kind: str | None) -> str | None:
    """Return how a track gets into a format: as it is, as an attached picture, as text; None is not at all."""
    if kind is None:
        return None
    if track.disposition & Disposition.attached_pic and kind == "matroska":
        return "attached"
    try:
        with av.open(BytesIO(), "w", format=kind) as target:
            _like(target, track)
            target.start_encoding()
        return "as it is"
    except (av.error.FFmpegError, ValueError):
        text = track.type == "subtitle" and track.codec_context and track.codec_context.codec.text_sub
        return "text" if text else None


def _like(target, track):
    new = target.add_stream_from_template(track)
    _describe(target, track, new)
    return new


def _describe(target, track, new) -> None:
    """Gives the track `new` of the target what the source says about it."""
    new.metadata.update(_kept(track.metadata, _TRACK_TAGS))
    if target.format.name == "mov" and (language := _QUICKTIME.get(new.metadata.get("language"))):
        new.metadata["language"] = language
    new.disposition = track.disposition


def _kept(tags: dict[str, str], without: set[str]) -> dict[str, str]:
    stale = {key for key in tags if key.lower().split("-")[0] in without or key.startswith("_STATISTICS")}
    return {key: text for key, text in tags.items() if key not in stale}


@contextlib.contextmanager
def created(out: Path, clip: Clip, extent: Span) -> Iterator:
    """Create the container of the copy, with the clip's metadata and chapters, and no tracks yet."""
    kind, tags, chapters = containers.kind(out), {}, []
    if not clip.files:
        with containers.opened(clip.path) as source:
            tags, chapters = _kept(source.metadata, _FORMAT_TAGS), _chapters(source.chapters(), extent, clip)
    odd = [key for key in tags if key.lower().split("-")[0] not in _PLAIN_TAGS]
    options = {} if kind == "matroska" else {"movie_timescale": "60000"}  # in which lists of edits count
    if odd and kind != "matroska":
        options["movflags"] = "use_metadata_tags"
    with av.open(str(out), "w", format=kind, container_options=options) as target:
        target.metadata.update(tags)
        target.set_chapters(chapters)
        yield target


def _chapters(chapters: list[dict], extent: Span, clip: Clip) -> list[dict]:
    """Return the chapters that lie in the extent, on its clock."""
    end = extent.end or clip.start + Fraction(clip.duration)
    kept = []
    for chapter in chapters:
        times = [chapter[side] * chapter["time_base"] for side in ("start", "end")]
        start, stop = (round(1000 * (min(max(time, extent.origin), end) - extent.origin)) for time in times)
        if stop > start:
            kept.append({**chapter, "start": start, "end": stop, "time_base": Fraction(1, 1000)})
    return kept


@contextlib.contextmanager
def copied(clip: Clip, extent: Span, out: Path, target, picture) -> Iterator[Iterator]:
    """Add the clip's other tracks to `target` and its video's metadata to `picture`; gives their (time, packet)."""
    kind = containers.kind(out)
    with containers.opened(clip.path) as source:
        video = containers.picture(source, clip.path)
        picture.metadata.update(_kept(video.metadata, _TRACK_TAGS))
        since = round((extent.origin + extent.lead - clip.start) * clip.fps)
        for key in [key for key in picture.metadata if key.lower() == "timecode"]:
            picture.metadata[key] = later_timecode(picture.metadata[key], since, clip.fps)
        picture.disposition = video.disposition
        new = {}
        for track in list(_others(source, clip)):
            way = _way(track, kind)
            if way == "as it is":
                new[track.index] = _like(target, track)
            elif way == "text":
                new[track.index] = _text_track(target, track, kind)
            elif way == "attached":
                _attach(target, track, clip.path)
        tracks = [source.streams[index] for index in new if source.streams[index].type != "attachment"]
        if not extent.whole and extent.origin > _LONG:
            with contextlib.suppress(av.error.FFmpegError):
                source.seek(int((extent.origin - _BEHIND) * av.time_base))
        yield _packets(source, tracks, new, extent, kind) if tracks else iter(())


def later_timecode(code: str, frames: int, fps: Fraction) -> str:
    """The SMPTE timecode HH:MM:SS:FF, or HH:MM:SS;FF with drop frames, so many frames later; others stay the same."""
    match = re.fullmatch(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d)", code)
    if not match or not frames:
        return code
    hours, minutes, seconds, mark, number = (part if part in ":;." else int(part) for part in match.groups())
    rate, minutes = round(fps), 60 * hours + minutes
    skips = 0 if mark == ":" else rate // 15  # numbers that each minute skips at its beginning, but every tenth
    count = (60 * minutes + seconds) * rate + number - skips * (minutes - minutes // 10) + frames
    tens, rest = divmod(count, 600 * rate - 9 * skips)
    count += skips * (9 * tens + max(0, rest - skips) // (60 * rate - skips))
    seconds, number = divmod(count, rate)
    return f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{mark}{number:02}"


def _packets(source, tracks, new: dict, extent: Span, kind: str) -> Iterator:
    """Yield (time, packet) of the tracks in the extent, on its clock; `new`: the new tracks by old number."""
    last = {}
    for packet in containers.packets(source, *tracks):
        when = packet.pts if packet.pts is not None else packet.dts
        if not packet.size or when is None:
            continue
        base, track = packet.time_base, packet.stream
        begin, length = when * base, (packet.duration or 0) * base
        if extent.end is not None and begin >= extent.end + _BEHIND:
            return
        end = _end(track, extent)
        if (end is not None and begin >= end) or not _begins(packet, track, begin, length, extent):
            continue
        if end is not None and begin + length > end:
            packet.duration = round((end - begin) / base)
        shift = round(extent.origin / base)
        if track.type == "subtitle" and begin < extent.origin:  # it is on the screen when the copy begins
            packet.duration = round((begin + length - extent.origin) / base)
            packet.pts = packet.dts = shift
        if track.type == "subtitle" and track.codec_context.name != new[track.index].codec_context.name:
            rewritten = _text_packet(packet, kind)
            if rewritten is None:
                continue
            packet = rewritten
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = max((when if packet.dts is None else packet.dts) - shift, last.get(track.index, -(1 << 60)) + 1)
        packet.pts = packet.dts if packet.pts is None else max(packet.pts, packet.dts)
        last[track.index] = packet.dts
        packet.stream = new[track.index]
        yield float(packet.dts * base), packet


def _end(track, extent: Span) -> Fraction | None:
    """Return where a track is cut: at the extent's end, or where the file's own list of edits ends the track."""
    if extent.end is not None or track.type != "audio" or None in (track.duration, track.start_time):
        return extent.end
    listed = track.container.format.name.startswith("mov")
    return (track.start_time + track.duration) * track.time_base if listed else None


def _begins(packet, track, begin: Fraction, length: Fraction, extent: Span) -> bool:
    """Say whether a packet is heard or seen from the extent's beginning on, or is needed to decode what is."""
    if track.disposition & Disposition.attached_pic:
        return True
    if track.type == "subtitle":
        return begin + length > extent.origin
    if packet.is_discard:
        return begin + length > extent.origin - _PREROLL
    return extent.whole or begin >= extent.origin


def _text_track(target, track, kind: str):
    """Add a track of text subtitles of the kind that the format holds."""
    codec = _TEXT[kind]
    header = track.codec_context.subtitle_header
    new = target.add_stream(codec)
    new.codec_context.subtitle_header = header or _ASS
    new.time_base = track.time_base
    _describe(target, track, new)
    return new


_ASS = b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Default,Arial,16\n"


def _text_packet(packet, kind: str):
    """Convert a subtitle's packet to the format's kind, None if it holds no text."""
    text = b"\n".join(line.dialogue for line in packet.decode() if line.type in (b"ass", b"text")).strip()
    if not text:
        return None
    rewritten = av.Packet(len(text).to_bytes(2, "big") + text if _TEXT[kind] == "mov_text" else text)
    for name in ("time_base", "pts", "dts", "duration"):
        setattr(rewritten, name, getattr(packet, name))
    return rewritten


def _attach(target, track, path: Path) -> None:
    """Attach a cover picture as a file."""
    with containers.opened(path) as source:
        packet = next(p for p in source.demux(source.streams[track.index]) if p.size)
    kind, suffix = ("png", "png") if track.codec_context and track.codec_context.name == "png" else ("jpeg", "jpg")
    target.add_attachment(track.metadata.get("filename", f"cover.{suffix}"), f"image/{kind}", bytes(packet))
