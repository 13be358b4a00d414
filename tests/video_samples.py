"""Small videos for the tests: drawn frames, encoded by PyAV."""

from fractions import Fraction

import av
import numpy as np

FPS = Fraction(30000, 1001)


def drawn(count, width=64, height=48, seed=0):
    """(count, h, w, 3) uint8: a smooth pattern that drifts and changes its brightness."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    frames = []
    for i in range(count):
        waves = [np.sin((x + 2 * i) / 7 + p) * np.cos((y - i) / 9 - p) for p in phase]
        frames.append(np.stack(waves, -1) * 80 + 128 + 20 * np.sin(i / 5))
    return np.clip(frames, 0, 255).astype(np.uint8)


def save(
    path,
    frames,
    fps=FPS,
    *,
    rotation=0,
    mirrored=False,
    audio=None,
    times=None,
    matrix=1,
    primaries=2,
    transfer=2,
    full_range=False,
    aspect=None,
    interlaced=False,
    bits=8,
    gop=12,
    codec="libx264",
    encoder=None,
    options=None,
):
    """Encodes (n, h, w, 3) uint8 frames as they are stored; `audio` names a codec, `times` are multiples of 1/fps.

    encoder: options of the video's encoder; options: of the format.
    """
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w", options=options or {}) as container:
        encoder = {"x264-params": "tff=1"} if interlaced else encoder or {}
        encoder = {"crf": "4", "g": str(gop), "preset": "veryfast", **encoder}
        stream = container.add_stream(codec, rate=fps, options=encoder)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv420p10le" if bits > 8 else "yuv420p"
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = 2 if full_range else 1
        stream.codec_context.time_base = 1 / fps
        stream.codec_context.color_primaries, stream.codec_context.color_trc = primaries, transfer
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if interlaced:
            stream.codec_context.flags |= 1 << 18 | 1 << 29  # interlaced transform and motion
        if rotation or mirrored:
            stream.set_display_rotation(rotation, hflip=mirrored)
        sound = None
        if audio:
            sound = container.add_stream(audio, rate=48000, layout="mono")
        for i, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(
                format=stream.pix_fmt, dst_colorspace=matrix, src_color_range=2, dst_color_range=2 if full_range else 1
            )
            picture.pts, picture.time_base = i if times is None else times[i], 1 / fps
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
        if sound:
            _add_tone(container, sound, float(len(frames) / fps))


def _add_tone(container, sound, seconds):
    samples = (np.sin(np.arange(int(seconds * 48000)) / 20) * 8000).astype(np.int16)
    for start in range(0, len(samples), 1024):
        block = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="s16", layout="mono")
        block.sample_rate, block.pts = 48000, start
        container.mux(sound.encode(block))
    container.mux(sound.encode())


def decoded(path):
    """All frames of a file as they are stored, RGB by swscale's defaults, and the last frame read."""
    with av.open(str(path)) as container:
        read = list(container.decode(video=0))
    return np.stack([frame.to_ndarray(format="rgb24") for frame in read]), read[-1]


def packets(path, kind="audio"):
    """(bytes, time in seconds) of every packet of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return [(bytes(p), float(p.pts * p.time_base)) for p in container.demux(stream) if p.size]
