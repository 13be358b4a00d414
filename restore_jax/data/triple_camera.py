"""A virtual phone: makes ultra-wide, wide and telephoto videos of one scene from a photograph or a video.

The scene is a photograph under a smoothly moving camera, or a video. Cut-outs move before it, so that there is
occlusion. The three cameras look through one centre, at 1x, 2x and 5x zoom (dissertation 5.4: 30, 59 and 147 mm). Each
has a small misalignment, exposure, colour and noise of its own. A pixel of an HR view is the mean of what it covers. LR
views are reduced from HR views by MATLAB's imresize, by 4 as in the pre-training stage (5.3.1), or are the HR views
themselves, as in the adaptation stage (5.3.2).

All lengths, in `Options` too, are pixels of the ultra-wide LR frame.
"""

import dataclasses
import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import cv2
import numpy as np

from restore_jax.ops.imresize import imresize

WIDE, TELE = 2.0, 5.0  # zooms
TELE_CROP = 4 / 5  # telephoto crops are reduced by this, to 4x the ultra-wide's pixels (docs/networks.md 4, "Crops")
SLACK = 1.15  # a cubic spline may sample this much coarser than the picture without visible aliasing
VIEWS = ("lrs", "refs", "teles", "hr", "hrs", "refs_hr", "teles_hr")
_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)], np.float32)


@dataclasses.dataclass(frozen=True)
class Options:
    """The largest values of what is drawn at random. All 0 means three ideal cameras that stand still."""

    pan: float = 2.0  # pixels a frame
    turn: float = 0.4  # degrees a frame
    zoom: float = 0.004  # relative change a frame
    shake: float = 0.3  # pixels
    tilt: float = 5.0  # degrees between the camera and the photograph
    occluders: int = 2
    occluder_speed: float = 3.0  # pixels a frame, relative to the scene
    misalignment: float = 0.5  # pixels of shift, degrees of turn and percent of scale
    gain: float = 0.05  # relative change of exposure; a colour's is a third of it
    noise: float = 0.01  # sigma of the noise of HR pixels in [0, 1]


STILL = Options(pan=0.0, turn=0.0, zoom=0.0, shake=0.0, tilt=0.0, occluders=0)


class Camera(NamedTuple):
    """A camera of the phone.

    pitch: how many of its pixels fit along one of the ultra-wide LR frame. size: (height, width) in its pixels. shift:
    how far its view may lie off the ultra-wide's centre; None for the ultra-wide, against which the others are
    misaligned.
    """

    pitch: float
    size: tuple[int, int]
    shift: float | None = 0.0


def triple_streams(
    scene: np.ndarray,
    rng: np.random.Generator,
    size: tuple[int, int],
    num_frames: int | None = None,
    options: Options | None = None,
    reduction: int = 4,
) -> dict[str, np.ndarray]:
    """Film a photograph (h, w, 3) or a video (t, h, w, 3), uint8, with all three cameras, whose views share a centre.

    Args:
      size: (height, width) of LR frames.
      num_frames: how many frames to film of a photograph, or at most of a video.
      options: by default a photograph is filmed with `Options()`, a video without any motion but its own.
      reduction: factor between HR and LR.
    As much of the scene is seen as fits. Its pixels should be at least twice as fine as HR ones for the wide views to
    gain anything, five times for the telephoto's.
    Returns uw_lr, wide_lr, tele_lr (t, *size, 3) and uw_hr, wide_hr, tele_hr (t, reduction height, reduction width, 3),
    uint8. The truth uw_hr is free of the noise that uw_lr was made from.
    """
    frames = [scene] * (num_frames or 1) if scene.ndim == 3 else scene[:num_frames]
    if options is None:
        options = Options() if scene.ndim == 3 else STILL
    high = tuple(reduction * side for side in size)
    cameras = {
        "uw": Camera(reduction, high, None),
        "wide": Camera(WIDE * reduction, high),
        "tele": Camera(TELE * reduction, high),
    }
    views = {}
    for name, (clean, noisy) in film(frames, cameras, rng, options, fineness=math.inf).items():
        views[f"{name}_lr"] = _reduced(noisy, reduction)
        views[f"{name}_hr"] = clean if name == "uw" else noisy
    return views


def training_window(scene: np.ndarray, rng: np.random.Generator, data) -> dict[str, np.ndarray]:
    """Film aligned crops with the cameras, anywhere in a scene (h, w, 3) or (t, h, w, 3), uint8.

    data.num_frames: frames to film, as many as a video has. data.size: side of the ultra-wide LR crop. data.reduction:
    factor between HR and LR, 1, 2 or 4. data.views: names out of VIEWS. data.shift: how far a reference's crop may lie
    off the ultra-wide's, in its own LR pixels. data.turn: whether to flip and turn by quarters. data.camera: fields of
    `Options`.
    Returns the views of data.views, uint8, for size s and reduction r:
        lrs (t, s, s, 3), hr (r s, r s, 3), the truth of the centre frame t // 2, hrs (t, r s, r s, 3), that of all
        refs (t, 2 s, 2 s, 3), refs_hr (t, 2 r s, 2 r s, 3)      the wide camera, LR and HR
        teles (t, 4 s, 4 s, 3), teles_hr (t, 4 r s, 4 r s, 3)    the telephoto, at 4 times the ultra-wide's pixels
    """
    frames = [scene] * data.num_frames if scene.ndim == 3 else scene
    reduction, finest = data.reduction, _finest_zoom(data.views) * data.reduction
    cameras = {"lrs": Camera(reduction, (reduction * data.size,) * 2, None)}
    for name, zoom in (("refs", WIDE), ("teles", TELE)):
        if {name, f"{name}_hr"} & set(data.views):
            cameras[name] = Camera(zoom * reduction, (round(zoom * reduction * data.size),) * 2, data.shift / zoom)
    filmed = film(frames, cameras, rng, Options(**data.camera), fineness=finest)

    def view_of(view):
        if view in ("hr", "hrs"):
            clean, _ = filmed["lrs"]
            return clean if view == "hrs" else clean[len(clean) // 2]
        name = view.removesuffix("_hr")
        _, noisy = filmed[name]
        crops = _reduced(noisy, reduction) if view == name else noisy
        return imresize(crops, TELE_CROP) if name == "teles" else crops

    return turned({view: view_of(view) for view in data.views}, rng, data.turn)


def least_side(data) -> int:
    """Return how many pixels a side a scene needs for the sharpest of data.views to show more than the others."""
    return round(_finest_zoom(data.views) * data.reduction * data.size)


def _finest_zoom(views):
    return max({"refs": WIDE, "teles": TELE}.get(view.removesuffix("_hr"), 1.0) for view in views)


def turned(views: dict[str, np.ndarray], rng: np.random.Generator, turn: bool) -> dict[str, np.ndarray]:
    """Flip and turn all views (..., h, w, 3) by quarters alike, at random, if `turn`."""
    flip, quarters = (rng.random() < 0.5, rng.integers(4)) if turn else (False, 0)

    def one(view):
        return np.ascontiguousarray(np.rot90(view[..., ::-1, :] if flip else view, quarters, axes=(-3, -2)))

    return {name: one(view) for name, view in views.items()}


def _reduced(frames, reduction):
    return imresize(frames, 1 / reduction) if reduction > 1 else frames


# Filming. Points are (x, y) in ultra-wide LR pixels from the middle of the view at rest; affine maps are (2, 3).


def film(
    frames: Sequence[np.ndarray],
    cameras: dict[str, Camera],
    rng: np.random.Generator,
    options: Options,
    fineness: float,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Film the scene's frames with each camera: {camera: two (t, height, width, 3) uint8, without and with noise}.

    fineness: how many pixels of the scene a pixel of the ultra-wide LR frame covers along a side. It is about that
    many, or, drawn at random, twice or four times as many; fewer if the scene is too small (inf: as many as fit). The
    place is drawn too.
    """
    moves = _path(rng, len(frames), options, options.pan)
    offsets = {name: _misalignment(rng, camera, options) for name, camera in cameras.items()}
    maps = {name: [_then(offsets[name], move) for move in moves] for name in cameras}
    to_scene = _place(frames[0].shape, cameras, maps, rng, fineness)
    reach = max(max(camera.size) / camera.pitch for camera in cameras.values())
    occluders = [_occluder(rng, len(frames), reach, options) for _ in range(rng.integers(options.occluders + 1))]
    looks = {name: [] for name in cameras}
    for t, frame in enumerate(frames):
        if t == 0 or frame is not frames[t - 1]:  # a photograph's frames are one array
            scene = _Pyramid(frame)
        before = [occluder.at(t) for occluder in occluders]
        for name, camera in cameras.items():
            looks[name].append(_look(scene, camera, maps[name][t], to_scene, before))
    seen = {}
    for name, views in looks.items():
        views = _exposed(np.stack(views), rng, options.gain)
        seen[name] = views, _noisy(views, rng, options.noise)
    return seen


def _similarity(scale, degrees, shift):
    """Return the affine map that scales, turns and then shifts."""
    cos, sin = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]]])


def _then(first, second):
    """Return the affine map that applies `first` and then `second`."""
    linear = second[:, :2] @ first
    return linear + np.array([[0, 0, 1]]) * second[:, 2:]


def _sway(rng, count, fastest):
    """Draw (count,) numbers that go smoothly up and down, neighbours at most `fastest` apart."""
    period, speed = rng.uniform(30, 90), rng.uniform(0, fastest)
    phase = rng.uniform(0, 2 * math.pi) + 2 * math.pi / period * (np.arange(count) - (count - 1) / 2)
    return speed * period / (2 * math.pi) * (np.sin(phase) - np.sin(phase.mean()))


def _path(rng, count, options, speed):
    """Draw a moving camera: for each frame, the map from points of its view to points of the scene."""
    along, across = _sway(rng, count, speed), 0.3 * _sway(rng, count, speed)
    heading = rng.uniform(0, 2 * math.pi)
    x, y = (
        along * math.cos(heading) - across * math.sin(heading),
        along * math.sin(heading) + across * math.cos(heading),
    )
    periods, phases = rng.uniform(3, 12, 2), rng.uniform(0, 2 * math.pi, 2)
    shake = options.shake * np.sin(2 * math.pi * np.arange(count)[:, None] / periods + phases)
    degrees = rng.uniform(-options.tilt, options.tilt) + _sway(rng, count, options.turn)
    scales = np.exp(_sway(rng, count, options.zoom))
    shifts = np.stack([x, y], 1) + shake
    return [_similarity(*pose) for pose in zip(scales, degrees, shifts, strict=True)]


def _misalignment(rng, camera, options):
    """Draw the map from points of a camera's view to points of the ultra-wide's view."""
    if camera.shift is None:
        return _similarity(1.0, 0.0, (0.0, 0.0))
    degrees, percent, *shift = rng.uniform(-options.misalignment, options.misalignment, 4)
    shift = np.array(shift) + rng.uniform(-camera.shift, camera.shift, 2)
    return _similarity(1 + percent / 100, degrees, shift)


def _place(shape, cameras, maps, rng, fineness):
    """Draw the map from points to the scene's coordinates (0 is its first pixel's edge) that keeps all views inside."""
    corners = []
    for name, camera in cameras.items():
        half = np.array(camera.size[::-1]) / (2 * camera.pitch)
        signs = np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)])
        corners += [(signs * half) @ m[:, :2].T + m[:, 2] for m in maps[name]]
    corners = np.concatenate(corners)
    low, extent = corners.min(0), np.ptp(corners, axis=0)
    size = np.array([shape[1], shape[0]])
    most = min(size / extent)
    octaves = min(2, math.floor(math.log2(most / fineness))) if fineness < most else 0
    scale = min(most, fineness * rng.uniform(1, SLACK) * 2.0 ** rng.integers(octaves + 1))
    start = rng.uniform(0, 1, 2) * np.maximum(size - scale * extent, 0)
    return _similarity(scale, 0.0, start - scale * low)


class _Occluder(NamedTuple):
    """A cut-out that moves: its mask, the map from its points to the mask's pixels, and where its texture lies."""

    mask: np.ndarray
    to_mask: np.ndarray
    texture: np.ndarray
    path: list[np.ndarray]

    def at(self, t):
        """Return, at frame t, the mask, the map from the scene to the mask's pixels, and that to the texture."""
        return self.mask, _then(self.path[t], self.to_mask), _then(self.path[t], self.texture)


def _occluder(rng, count, reach, options):
    side = 256
    angle = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    wobble = sum(0.15 * np.sin((n + 2) * angle + rng.uniform(0, 2 * math.pi)) for n in range(4))
    radius = (1 + wobble) * side / 2 / 1.6
    outline = side / 2 + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(mask, [np.round(16 * outline).astype(np.int32)], 255, cv2.LINE_AA, 4)  # 4 fractional bits

    fit = side / (reach * rng.uniform(0.2, 0.6))  # pixels of the mask for each pixel of the view
    centre = reach * rng.uniform(-0.5, 0.5, 2)
    to_mask = _similarity(fit, 0.0, side / 2 - fit * centre)
    texture = _similarity(1.0, rng.uniform(0, 360), reach * rng.uniform(-1, 1, 2))
    return _Occluder(mask, to_mask, texture, _path(rng, count, options, options.occluder_speed))


class _Pyramid:
    """A picture and its halves, quarters and so on, made by 2x2 means when they are first needed."""

    def __init__(self, picture):
        self._levels = [picture]

    def level(self, number):
        """Return (picture, width of its pixels in pixels of the first); the last level if there are fewer."""
        while len(self._levels) <= number and min(self._levels[-1].shape[:2]) >= 2:
            last = self._levels[-1]
            height, width = (side // 2 for side in last.shape[:2])
            even = last[: 2 * height, : 2 * width]
            self._levels.append(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA))
        number = min(number, len(self._levels) - 1)
        return self._levels[number], 2.0**number


def _look(scene, camera, view, to_scene, occluders):
    """Film one frame with a camera: (height, width, 3) uint8, each pixel about the mean of what it covers."""
    height, width = camera.size
    fineness = math.sqrt(np.linalg.det(_then(view, to_scene)[:, :2])) / camera.pitch
    picture, coarser = scene.level(max(0, math.floor(math.log2(fineness) + 0.01)))
    to_scene = _then(to_scene, _similarity(1 / coarser, 0.0, (0.0, 0.0)))
    k = 1 if fineness / coarser <= SLACK**2 else math.ceil(fineness / coarser)  # samples for each pixel along a side
    step = 1 / (k * camera.pitch)  # distance of samples
    view = _then(_similarity(step, 0.0, (step - np.array([width, height]) / camera.pitch) / 2), view)

    seen = _sampled(picture, _then(view, to_scene), (k * width, k * height), cv2.INTER_CUBIC)
    for mask, to_mask, texture in occluders:
        box = _box(_then(view, to_mask), mask.shape[0], seen.shape)
        if box is None:
            continue
        rows, columns = box
        size = columns.stop - columns.start, rows.stop - rows.start
        part = _then(_similarity(1.0, 0.0, (columns.start, rows.start)), view)
        alpha = _sampled(mask, _then(part, to_mask), size, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
        alpha = alpha.astype(np.float32) / 255
        cover = _sampled(picture, _then(_then(part, texture), to_scene), size, cv2.INTER_CUBIC)
        seen[box] = cv2.blendLinear(cover, np.ascontiguousarray(seen[box]), alpha, 1 - alpha)
    return cv2.resize(seen, (width, height), interpolation=cv2.INTER_AREA) if k > 1 else seen


def _sampled(picture, to_picture, size, interpolation, border=None):
    """Sample a picture at (width, height) places, which the map gives for the samples' middles."""
    to_numbers = to_picture - np.array([[0, 0, 0.5]])
    border = cv2.BORDER_REFLECT if border is None else border
    return cv2.warpAffine(picture, to_numbers, size, flags=interpolation | cv2.WARP_INVERSE_MAP, borderMode=border)


def _box(to_mask, side, shape):
    """Return slices (rows, columns) of the samples that may lie on a mask of side x side, or None."""
    back = cv2.invertAffineTransform(to_mask)
    corners = np.array([(0, 0), (0, side), (side, 0), (side, side)]) @ back[:, :2].T + back[:, 2]
    low = np.maximum(np.floor(corners.min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, shape[1::-1])
    return (slice(low[1], high[1]), slice(low[0], high[0])) if (low < high).all() else None


def _exposed(views, rng, gain):
    """Multiply views by a random exposure and a weaker random colour balance."""
    gains = (1 + gain * rng.uniform(-1, 1)) * (1 + gain / 3 * rng.uniform(-1, 1, 3))
    table = np.clip(np.rint(np.arange(256)[:, None] * gains), 0, 255).astype(np.uint8)
    return cv2.LUT(views.reshape(-1, *views.shape[2:]), table[None]).reshape(views.shape)


def _noisy(views, rng, largest):
    """Add Gaussian noise of a random sigma, at most `largest` for values in [0, 1]."""
    if not largest:
        return views
    # Each sample takes one of 256 quantiles, in a tenth of the time of exact normal numbers.
    table = np.float32(255 * rng.uniform(0, largest)) * _QUANTILES
    noise = cv2.LUT(rng.integers(0, 256, views.size, np.uint8), table)
    return cv2.add(views.ravel(), noise.ravel(), dtype=cv2.CV_8U).reshape(views.shape)
