"""Facts about a video file or a folder of frames, once it has been looked through."""

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np

FOLDER_FPS = Fraction(30)  # of a folder of frames, which names no rate
_ONE = 1 << 16  # 1 in the 16.16 numbers of a display matrix


@dataclasses.dataclass(frozen=True)
class HDR:
    """How a film was mastered, in the units of HEVC and MP4.

    primaries: (x, y) of red, green, blue and white, in 0.00002; None if not said. luminance: greatest and least, in
    0.0001 cd/m², or None. light: greatest and greatest average light level in cd/m², or None.
    """

    primaries: tuple[tuple[int, int], ...] | None = None
    luminance: tuple[int, int] | None = None
    light: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
    """A video file or folder of frames, and what it says about itself.

    width, height: upright, pixels. fps: frames a second, of most frames if the rate varies. times: (frames,) float64
    seconds from the first frame; the same as `stamps` (int64) times `tick` seconds. last: seconds that the last frame
    is shown. start: of the first frame on the file's clock, seconds. pts: (frames,) int64 in the file's time base, or
    None if its frames carry no times and are numbered as they come.
    display: FFmpeg's matrix of nine numbers by which stored pixels are shown upright, or None.
    bits: 8, or 16 for all deeper ones. matrix, primaries, transfer: numbers of ITU-T H.273, 2 is unspecified; matrix
    is what the pixels were read by. full_range: whether Y, Cb and Cr use all their codes. aspect: of a stored pixel,
    width over height. interlaced: frames are deinterlaced on reading. alpha: frames are partly transparent.
    damaged: the file is known to be so, or ends early. audio: codec of the best sound track, or None.
    files: of a folder.
    notes: sentences on what of the file is left out or mended. mended: what reading had to mend, by the numbers of
    frames; it grows as frames are read.
    """

    path: Path
    width: int
    height: int
    fps: Fraction
    times: np.ndarray
    display: tuple[int, ...] | None = None
    bits: int = 8
    matrix: int = 1
    primaries: int = 2
    transfer: int = 2
    full_range: bool = False
    aspect: Fraction = Fraction(1)
    interlaced: bool = False
    alpha: bool = False
    damaged: bool = False
    hdr: HDR | None = None
    audio: str | None = None
    pts: np.ndarray | None = None
    files: tuple[Path, ...] = ()
    stamps: np.ndarray | None = None
    tick: Fraction | None = None
    last: float | None = None
    start: Fraction = Fraction(0)
    notes: tuple[str, ...] = ()
    mended: dict[str, set[int]] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        defaults = {"stamps": np.arange(len(self.times)), "tick": 1 / Fraction(self.fps), "last": 1 / float(self.fps)}
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def duration(self) -> float:
        """Return the seconds from the first frame's beginning to the last one's end."""
        return float(self.times[-1]) + self.last

    @property
    def rotation(self) -> int:
        """Return the degrees counter-clockwise by which stored pixels are turned to be upright: 0, 90, 180 or 270."""
        a, b, c, d = _quarter_turn(self.display)
        return {(1, 0): 0, (0, -1): 90, (-1, 0): 180, (0, 1): 270}[(a or d, b or -c)]

    @property
    def stored_size(self) -> tuple[int, int]:
        """Return width and height of the pixels as the file stores them."""
        return (self.height, self.width) if _quarter_turn(self.display)[1] else (self.width, self.height)

    def mended_frames(self) -> str:
        """Describe in words what reading had to mend so far; "" if nothing."""
        return ", ".join(f"{len(numbers)} {what}" for what, numbers in self.mended.items())

    def frames_between(self, start: float, end: float | None) -> tuple[int, int]:
        """Return the first frame from `start` seconds on, and the one after the last before `end`, to half a step."""
        half = 0.5 * min(np.diff(self.times), default=1 / float(self.fps))
        stop = len(self) if end is None else int(np.searchsorted(self.times, end - half))
        return int(np.searchsorted(self.times, start - half)), stop


def _quarter_turn(display) -> tuple[int, int, int, int]:
    """Return the signs (a, b, c, d) of x' = a·x + c·y, y' = b·x + d·y; no turn if `display` is none by quarters."""
    if display is not None:
        a, b, _, c, d = display[:5]
        if (abs(a), abs(b), abs(c), abs(d)) in ((_ONE, 0, 0, _ONE), (0, _ONE, _ONE, 0)):
            return tuple(int(np.sign(value)) for value in (a, b, c, d))
    return 1, 0, 0, 1


def upright(pixels: np.ndarray, display) -> np.ndarray:
    """Turn and mirror stored pixels (h, w, ...) as the display matrix says, if it turns by quarters."""
    a, b, c, d = _quarter_turn(display)
    if b:
        pixels = np.swapaxes(pixels, 0, 1)
    return pixels[:: (b or d), :: (a or c)]


def stored(pixels: np.ndarray, display) -> np.ndarray:
    """Invert `upright`."""
    a, b, c, d = _quarter_turn(display)
    pixels = pixels[:: (b or d), :: (a or c)]
    return np.swapaxes(pixels, 0, 1) if b else pixels


def enlarged_display(display, scale: float) -> tuple[int, ...] | None:
    """Return the display matrix of a picture `scale` times as large: its shift grows, its turn stays."""
    if display is None:
        return None
    return (*display[:6], *(round(shift * scale) for shift in display[6:8]), display[8])
