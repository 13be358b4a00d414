"""Finds how a longer lens's video lies in a wide one: time offset, relative field of view, colour difference.

All three are found in what the frames show. Where: the reference, downsized by many factors, is sought in the wide
frame by normalised cross-correlation of fine detail. When: candidates come from correlating how each video as a whole
moves and changes its brightness; the best match in space picks one; then what changes inside the found field of view
is correlated over all offsets. Colour: mean colours of cells of the matched areas are compared.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from restore_jax import video
from restore_jax.errors import InputError

FRAMES = 300  # frames that are looked at in a video, at most; in its reference half as many more
THUMB = 160  # pixels: width of the reduced frames in which the time offset is searched
FINE = 640  # pixels: width of the frames in which the field of view is measured
PAIRS = 5  # number of pairs of frames in which the field of view is measured
MAX_FOV = 8.0  # largest ratio of the two views' widths
SAME_FOV = 1.1  # ratio up to which two lenses count as one
BEYOND = 0.05  # how far the reference may reach beyond the wide frame, as a part of its width
FOUND = ((2.0, 6.0), (0.3, 0.5))  # (fields of view, the correlation of fine detail that true matches reach at them)
SURE = 0.6  # correlation of fine detail that views of different scenes do not reach
MOVED = 0.2  # correlation of changes over time that true offsets reach
MIN_SHARED = 4  # frames that two videos must share at an offset


@dataclasses.dataclass(frozen=True)
class Pairing:
    """The relation of a reference to a wide video; confidences are in [0, 1], and 1 for a value that was given.

    offset: seconds; what the wide video shows at t, the reference shows at t + offset. fov: how many times as wide
    the wide view is. centre: (x, y) of the reference's view in the wide frame, as parts of its sides. gains: (r, g, b)
    that make the reference's colours those of the wide video.
    """

    fov: float
    centre: tuple[float, float]
    gains: tuple[float, float, float]
    fov_confidence: float
    colour_confidence: float
    offset: float = 0.0
    offset_confidence: float = 1.0


class View(NamedTuple):
    """The place of a reference in wide frames of `width` x `height` pixels: left, top, width and height of its view."""

    score: float
    left: float
    top: float
    width: float
    height: float


def pair_images(
    wide: np.ndarray, reference: np.ndarray, fov: float | None = None, names=("the wide image", "the reference")
) -> Pairing:
    """Find how a longer lens's photograph, (h, w, 3) uint8 or uint16, lies in a wide one. Raises as `pair` does."""
    views = _shrunk(wide, FINE), _shrunk(reference, FINE)
    found = _compared([views], fov)
    if fov is None and found.fov_confidence < SURE:
        _check_order(found, lambda: _compared([views[::-1]], None), *names)
    return found


def pair(
    wide: video.Clip, reference: video.Clip, *, first: int = 0, fov: float | None = None, offset: float | None = None
) -> Pairing:
    """Find how `reference` lies to `wide`, from the wide frame `first` on; `fov` and `offset` are taken as given.

    InputError if the reference has the wider view, if nothing common is found, or if no moments are common.
    """
    found = _paired(wide, reference, first, fov, offset)
    if fov is None and found.fov_confidence < SURE:
        start = min(first, len(reference) - 1)
        turned = None if offset is None else -offset
        _check_order(found, lambda: _paired(reference, wide, start, None, turned), wide.path, reference.path)
    return found


def _check_order(found: Pairing, turn: Callable[[], Pairing], wide, reference) -> None:
    """Raise InputError if pairing in the other order (`turn`) is better, or if neither is a match."""
    turned = turn()
    if turned.fov > SAME_FOV and _is_match(turned) and turned.fov_confidence > found.fov_confidence:
        raise InputError(
            f"{reference}: shows more than {wide}, about {turned.fov:.1f} times as wide a view: "
            "the wider one comes first, the longer lens is --ref"
        )
    if not _is_match(found):
        raise InputError(f"{reference}: nothing of {wide} found in it; if it is there, say --fov and --offset")


def _is_match(found: Pairing) -> bool:
    """Say whether a pairing is a match; small views need a higher correlation, as they reach some by chance."""
    return found.fov_confidence >= np.interp(found.fov, *FOUND)


def _paired(wide, reference, first, fov, offset) -> Pairing:
    confidence = 1.0
    if offset is None:
        offset, confidence = find_offset(wide, reference, first, fov)
    stop = min(len(wide), first + FRAMES)
    indices = np.unique(np.linspace(first, stop - 1, 4 * PAIRS).round().astype(int))
    indices = indices[covered(wide, reference, indices, offset)]
    if not len(indices):
        raise InputError(f"{reference.path}: shows no moment that {wide.path} does (offset {offset:+.2f} s)")
    indices = indices[:: -(-len(indices) // PAIRS)]
    partners = nearest(reference, wide.times[indices] + offset)
    pairs = [
        (_shrunk(a, FINE), _shrunk(b, FINE))
        for a, b in zip(video.frames(wide, indices), video.frames(reference, partners), strict=True)
    ]
    return dataclasses.replace(_compared(pairs, fov), offset=float(offset), offset_confidence=confidence)


def nearest(clip: video.Clip, times: np.ndarray) -> np.ndarray:
    """Return the numbers of the clip's frames nearest to `times` in seconds, its first or last beyond its ends."""
    after = np.clip(np.searchsorted(clip.times, times), 1, max(len(clip) - 1, 1))
    earlier = times - clip.times[after - 1] <= clip.times[np.minimum(after, len(clip) - 1)] - times
    return np.minimum(after - earlier, len(clip) - 1)


def covered(wide: video.Clip, reference: video.Clip, indices: np.ndarray, offset: float) -> np.ndarray:
    """Say, for each wide frame, whether the reference has a frame of that moment."""
    times = wide.times[indices] + offset
    slack = 0.75 / float(min(wide.fps, reference.fps))
    return (times >= -slack) & (times <= reference.times[-1] + slack)


# ------------------------------------------------------------------------------------------------------------- time
def find_offset(wide: video.Clip, reference: video.Clip, first: int = 0, fov: float | None = None):
    """Find (offset in seconds, confidence) of two videos, both looked at in steps of one wide frame."""
    step = 1 / float(wide.fps)
    count = min(round((wide.times[-1] - wide.times[first]) / step) + 1, FRAMES)
    # The reference is looked at around the same moment of the files: phones are started within seconds.
    begin = max(0.0, min(wide.times[first], reference.times[-1]) - FRAMES * step / 4)
    moments = begin + step * np.arange(count + FRAMES // 2)
    partners = nearest(reference, moments[moments <= reference.times[-1] + step / 2])
    wide_thumbs = _thumbs(wide, nearest(wide, wide.times[first] + step * np.arange(count)))
    reference_thumbs = _thumbs(reference, partners)
    if min(len(wide_thumbs), len(reference_thumbs)) < MIN_SHARED:
        return 0.0, 0.0
    across = wide_thumbs.shape[2]
    widths = _widths(across / MAX_FOV, across) if fov is None else [round(across / fov)]

    def match(lag):
        shared = [i for i in range(len(wide_thumbs)) if 0 <= i + lag < len(reference_thumbs)]
        chosen = shared[:: max(1, len(shared) // 3)][:3]
        pairs = [(wide_thumbs[i].astype(np.float32), reference_thumbs[i + lag].astype(np.float32)) for i in chosen]
        return _located(pairs, widths)

    none = 1 - len(wide_thumbs)  # the lag of the curves' first place
    alike = round((wide.times[first] - moments[0]) / step)  # the lag of videos begun together
    a, b = _motion(wide_thumbs), _motion(reference_thumbs)
    places = _peaks(_correlation(a, b), 4)
    for column in range(a.shape[1]):
        places += _peaks(_correlation(a[:, column : column + 1], b[:, column : column + 1]), 1)
    lags = {alike, *(place + none + 1 for place in places)}
    view = max((match(lag) for lag in sorted(lags)), key=lambda view: view.score)
    size = (max(8, round(view.width / 3)), max(6, round(view.height / 3)))
    rows, columns = ((max(0, round(a)), round(a + b)) for a, b in ((view.top, view.height), (view.left, view.width)))
    box = np.s_[slice(*rows), slice(*columns)]
    curve = _correlation(
        _changes([cv2.resize(thumb[box], size, interpolation=cv2.INTER_AREA) for thumb in wide_thumbs]),
        _changes([cv2.resize(thumb, size, interpolation=cv2.INTER_AREA) for thumb in reference_thumbs]),
    )
    best = int(np.argmax(curve))
    if curve[best] < MOVED:
        return 0.0, 0.0
    return float(moments[0] + (best + none) * step - wide.times[first]), _distinctness(curve, best)


def _thumbs(clip: video.Clip, indices) -> np.ndarray:
    """Read small grey frames, (frames, h, w) uint8."""
    return np.stack([np.rint(_grey(_shrunk(frame, THUMB))).astype(np.uint8) for frame in video.frames(clip, indices)])


def _motion(thumbs: np.ndarray) -> np.ndarray:
    """Return (frames - 1, 4): motion of the whole picture (x, y), amount of change, and change of brightness."""
    rows = []
    for before, after in itertools.pairwise(thumb.astype(np.float32) for thumb in thumbs):
        (dx, dy), _ = cv2.phaseCorrelate(before, after)
        change = after - before
        rows.append((dx, dy, np.abs(change).mean(), change.mean()))
    rows = np.array(rows, np.float32)
    rows -= np.median(rows, axis=0)
    # A cut is an outlier, in the shift at random: it counts, but not above all else.
    return np.clip(rows / np.maximum(2 * np.median(np.abs(rows), axis=0), 0.01), -3, 3)


def _changes(frames: Sequence[np.ndarray]) -> np.ndarray:
    """Return (frames, pixels): each frame without what stays constant."""
    flat = np.stack(frames).reshape(len(frames), -1).astype(np.float32)
    return flat - flat.mean(axis=0)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlate the rows i of `a` with the rows i + lag of `b`, for lag from 1 - len(a) to len(b) - 1."""
    product, norm_a, norm_b = a @ b.T, (a**2).sum(1), (b**2).sum(1)
    enough = max(MIN_SHARED, min(len(a), len(b)) // 2)
    curve = np.zeros(len(a) + len(b) - 1, np.float32)
    for place, lag in enumerate(range(1 - len(a), len(b))):
        shared = min(len(a), len(b) - lag) - max(0, -lag)
        if shared >= MIN_SHARED:
            energy = norm_a[max(0, -lag) :][:shared].sum() * norm_b[max(0, lag) :][:shared].sum()
            # A few frames correlate by chance.
            weight = min(1.0, shared / enough) ** 0.5
            curve[place] = weight * np.trace(product, offset=lag) / max(energy, 1e-6) ** 0.5
    return curve


def _peaks(curve: np.ndarray, count: int) -> list[int]:
    """Return the places of the `count` highest local maxima."""
    padded = np.pad(curve, 1, constant_values=-np.inf)
    tops = np.flatnonzero((curve >= padded[:-2]) & (curve > padded[2:]))
    return [int(place) for place in tops[np.argsort(curve[tops])[::-1][:count]]]


def _distinctness(curve: np.ndarray, best: int) -> float:
    """Return the height of the best peak, times its lead over the highest one outside of its slopes: in [0, 1]."""
    low = high = best
    while low > 0 and curve[low - 1] <= curve[low]:
        low -= 1
    while high < len(curve) - 1 and curve[high + 1] <= curve[high]:
        high += 1
    others = np.concatenate([curve[:low], curve[high + 1 :], [0]])
    return float(np.clip(curve[best] - max(others.max(), 0), 0, 1))


# ------------------------------------------------------------------------------------------------------------- space
def _compared(pairs, fov: float | None) -> Pairing:
    """Pair frames of the same moments, (h, w, 3) float32 in [0, 255]."""
    small = [tuple(_grey(_shrunk(frame, THUMB)) for frame in pair) for pair in pairs]
    width = small[0][0].shape[1]
    coarse = _located(small, _widths(width / MAX_FOV, width) if fov is None else [round(width / fov)])
    greys = [tuple(_grey(frame) for frame in pair) for pair in pairs]
    full = greys[0][0].shape[1]
    ratio = full / width
    about = coarse.width * ratio
    widths = np.arange(round(about * 0.96), round(about * 1.04) + 1) if fov is None else [round(full / fov)]
    near = _scaled(coarse, ratio)
    view = _located(greys, widths, near=near)
    gains, colour_confidence = _colour(pairs, view)
    height = greys[0][0].shape[0]
    return Pairing(
        fov=float(full / view.width) if fov is None else float(fov),
        centre=((view.left + view.width / 2) / full, (view.top + view.height / 2) / height),
        gains=gains,
        fov_confidence=float(np.clip(view.score, 0, 1)) if fov is None else 1.0,
        colour_confidence=colour_confidence,
    )


def _widths(least: float, most: float) -> list[int]:
    """Return whole widths of a view, at least 2% apart."""
    widths = [round(most)]
    while (following := min(widths[-1] - 1, round(widths[-1] / 1.02))) >= max(least, 8):
        widths.append(following)
    return widths


def _located(pairs, widths, near: View | None = None) -> View:
    """Find where references lie in their wide frames (grey pairs), all in one place, by the best of `widths`.

    The view may reach beyond the frame by `BEYOND` of its width. `near`: looked for around there only.
    """
    details = [_detail(wide) for wide, _ in pairs]
    height, width = details[0].shape
    margin = round(BEYOND * width)
    details = [np.pad(detail, margin) for detail in details]
    left = top = 0
    if near is not None:
        slack = margin
        left, top = (max(0, round(start) + margin - slack) for start in (near.left, near.top))
        right, bottom = round(near.left + near.width) + margin + slack, round(near.top + near.height) + margin + slack
        details = [detail[top:bottom, left:right] for detail in details]
    best, scores = View(-1, 0, 0, width, height), {}
    for across in widths:
        down = round(across * pairs[0][1].shape[0] / pairs[0][1].shape[1])
        if across > details[0].shape[1] or down > details[0].shape[0] or min(across, down) < 4:
            continue
        maps = 0
        for detail, (_, reference) in zip(details, pairs, strict=True):
            view = _detail(cv2.resize(reference, (int(across), int(down)), interpolation=cv2.INTER_AREA))
            maps = maps + cv2.matchTemplate(detail, view, cv2.TM_CCOEFF_NORMED) / len(pairs)
        _, score, _, (x, y) = cv2.minMaxLoc(np.nan_to_num(maps))
        scores[int(across)] = score
        if score > best.score:
            best = View(score, x + left - margin, y + top - margin, float(across), float(down))
    return _interpolated(best, scores)


def _interpolated(view: View, scores: dict[int, float]) -> View:
    """Interpolate the view's width between whole pixels, by a parabola through neighbouring scores."""
    before, after = (scores.get(int(view.width) + step) for step in (-1, 1))
    if before is None or after is None or (bend := before - 2 * view.score + after) >= 0:
        return view
    step = (before - after) / (2 * bend)
    grown = view._replace(width=view.width + step, height=view.height * (1 + step / view.width))
    return grown._replace(left=view.left - step / 2, top=view.top - (grown.height - view.height) / 2)


def _scaled(view: View, factor: float) -> View:
    return View(view.score, *(value * factor for value in view[1:]))


def _detail(grey: np.ndarray) -> np.ndarray:
    """Return the fine detail, without coarser structure, which correlates with anything."""
    return grey - cv2.GaussianBlur(grey, (0, 0), 2.0)


def _shrunk(frame: np.ndarray, width: int) -> np.ndarray:
    """Reduce a frame to float32 in [0, 255], at most `width` pixels wide."""
    scale = 255.0 / 65535.0 if frame.dtype == np.uint16 else 1.0
    if frame.shape[1] > width:
        height = max(1, round(frame.shape[0] * width / frame.shape[1]))
        frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    return frame.astype(np.float32) * np.float32(scale)


def _grey(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


# ------------------------------------------------------------------------------------------------------------- colour
def _colour(pairs, view: View) -> tuple[tuple[float, float, float], float]:
    """Return the gains of the three channels, and their agreement: 1 minus four times their relative spread."""
    height, width = pairs[0][0].shape[:2]
    left, top = max(0, round(view.left)), max(0, round(view.top))
    right, bottom = min(width, round(view.left + view.width)), min(height, round(view.top + view.height))
    if min(right - left, bottom - top) < 4:
        return (1.0, 1.0, 1.0), 0.0
    # The same part of the reference, where the view reaches beyond the wide frame.
    parts = [(left - view.left) / view.width, (right - view.left) / view.width]
    parts += [(top - view.top) / view.height, (bottom - view.top) / view.height]
    cells = []
    for wide, reference in pairs:
        x0, x1 = (max(0, round(part * reference.shape[1])) for part in parts[:2])
        y0, y1 = (max(0, round(part * reference.shape[0])) for part in parts[2:])
        both = (wide[top:bottom, left:right], reference[y0:y1, x0:x1])
        cells.append([cv2.resize(part, (16, 9), interpolation=cv2.INTER_AREA).reshape(-1, 3) for part in both])
    wide, reference = (np.concatenate(column) for column in zip(*cells, strict=True))
    sound = ((wide > 8) & (wide < 247) & (reference > 8) & (reference < 247)).all(axis=1)
    if sound.sum() < 8:
        return (1.0, 1.0, 1.0), 0.0
    wide, reference = wide[sound], reference[sound]
    gains = wide.sum(axis=0) / reference.sum(axis=0)
    spread = np.median(np.abs(wide / reference / gains - 1))
    return tuple(float(gain) for gain in gains), float(np.clip(1 - 4 * spread, 0, 1))
