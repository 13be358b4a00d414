"""Lay one photograph of a scene on the pixel grid of another that was focused or exposed differently.

This makes a training pair of two shots, as the RealDOF test set was made with a beam splitter (dissertation, section
4.3.3). Features give a robust homography, which is refined on copies that are blurred alike; then come gains of the
colour channels and, if asked for, a small smooth displacement. The moving photograph is resampled once.

In linear light defocus only spreads light: its centre stays and none is lost. So everything is measured in linear
light, on copies of at most WORK_SIDE pixels, after the moving photograph was blurred, at every pixel, with the disc
that makes it most like the fixed one there. Points are (x, y), the centre of the first pixel is (0, 0), as in OpenCV.
"""

import dataclasses
from typing import Literal, NamedTuple

import cv2
import numpy as np

from restore_jax.errors import InputError
from restore_jax.io.photos import from_float, to_float

Encoding = Literal["srgb", "linear"]
MIN_SIDE = 64
MAX_SIDE = 32_000  # OpenCV's remap counts pixels in 16 bits
MAX_SCALE = 4.0  # between the two grids, either way
MIN_OVERLAP = 0.1  # of the fixed photograph's area
MIN_INLIERS = 12  # photographs of different scenes have at most 5
MIN_CORRELATION = 0.5
WORK_SIDE = 1600

_FEATURES = 5000
_MATCH_BLURS = (0.0, 2.0, 4.0)  # sigmas in pixels; blurred by the larger ones, sharp and defocused edges match in SIFT
_ENOUGH_INLIERS = 100  # with this many, no stronger blur is tried
_RADII = (0.0, 0.75, 1.25, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 16.0)  # of the discs, in pixels of the copies
_WINDOW = 9.0  # pixels: sigma of the window in which a pixel's disc is chosen
_BAND = 8.0  # pixels: sigma of the local mean that is subtracted before correlating, against shading and veiling glare
_REFINEMENTS = 3
_CLIPPED, _DARK = 0.9, 0.004  # linear light; above and below, values are not proportional to light
_BLOOM = 8  # pixels around clipped ones that are not compared
_FLOW_SIGMAS = (48.0, 24.0, 12.0)
_FLOW_ROUNDS = 3
_FLOW_LIMIT = 0.01  # of the longer side; a larger displacement is a wrong match or something that moved
_ROWS = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Alignment:
    """An aligned photograph, and how well it fits.

    image: (h, w, 3), the moving photograph on the fixed one's grid, in its own dtype.
    valid: (h, w) bool, where the moving photograph has content.
    crop: slices of rows and columns, the largest rectangle of valid pixels.
    homography: (3, 3), takes points of the moving photograph to points of the fixed one.
    gains: (3,), the factors of the channels.
    inliers: number of matched features that agree with the homography.
    error_before, error_after: median distance in fixed pixels between where things are in the two photographs, laid
      corner on corner and aligned. The second is measured by optical flow where there is texture (nan without any). The
      measurement itself errs by about 0.1 px, and flatters an alignment that followed that flow.
    correlation: that of detail in the two, aligned by the homography and blurred alike. Good pairs have 0.9 and more.
      Less means noise, things that moved, or parallax, which no homography follows.
    """

    image: np.ndarray
    valid: np.ndarray
    crop: tuple[slice, slice]
    homography: np.ndarray
    gains: np.ndarray
    inliers: int
    error_before: float
    error_after: float
    correlation: float


def align(
    moving: np.ndarray,
    fixed: np.ndarray,
    *,
    flow: bool = False,
    gain: bool = True,
    encoding: Encoding = "srgb",
    names: tuple[str, str] = ("moving image", "fixed image"),
) -> Alignment:
    """Resample the moving photograph onto the fixed one's pixel grid and match its exposure.

    Args:
      moving, fixed: (h, w, 3) RGB, each uint8, uint16 or float in [0, 1]; their sizes, crops and dtypes may differ. The
        sharper one should be the moving one: it is blurred like the other to be compared.
      flow: follow a smooth remaining displacement too, of at most 1 % of the longer side (lens distortion, slight
        parallax). Where there is none this only adds its own error, about 0.1 px: look at error_after first.
      gain: multiply each channel, in linear light, to match the fixed one.
      encoding: "srgb", or "linear" for pixels that are proportional to light; gains are ratios of light in either case.
      names: what to call the two in errors.
    Raises InputError, which begins with one of `names` or both, for a size that cannot be used and for a pair that
    does not show the same scene, is mirrored, or differs in scale by more than MAX_SCALE.
    """
    if encoding not in ("srgb", "linear"):
        raise ValueError(f"encoding must be 'srgb' or 'linear', not {encoding!r}")
    for image, name in zip((moving, fixed), names, strict=True):
        _check_size(image, name)
    pair = " and ".join(names)
    steps = [-(-max(image.shape[:2]) // WORK_SIDE) for image in (moving, fixed)]
    copies = [_copy(image, step, encoding) for image, step in zip((moving, fixed), steps, strict=True)]
    reductions = [_reduction(step) for step in steps]

    small, inliers = _match(*copies, pair)
    _check_homography(np.linalg.inv(reductions[1]) @ small @ reductions[0], fixed.shape, pair)
    small, correlation = _refine(*copies, small, pair)
    homography = np.linalg.inv(reductions[1]) @ small @ reductions[0]
    homography /= homography[2, 2]

    gains = _gains(*copies, small, pair) if gain else np.ones(3)
    field, error_after = _displacement(*copies, small, None)
    if flow:
        for _ in range(_FLOW_ROUNDS - 1):
            field, _ = _displacement(*copies, small, field)
        _, error_after = _displacement(*copies, small, field)
    else:
        field = None
    image, valid = _resample(moving, homography, field, steps[1], fixed.shape[:2], gains, encoding)
    crop = _largest_rectangle(valid)
    if (crop[0].stop - crop[0].start) * (crop[1].stop - crop[1].start) < MIN_OVERLAP * valid.size:
        raise InputError(f"{pair}: overlap in less than {MIN_OVERLAP:.0%} of the picture")
    return Alignment(
        image=image,
        valid=valid,
        crop=crop,
        homography=homography,
        gains=gains,
        inliers=inliers,
        error_before=_shift(homography, moving.shape, fixed.shape),
        error_after=error_after * steps[1],
        correlation=correlation,
    )


# Pixels and light.


def _check_size(image, name):
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"{name} has shape {image.shape}, not (h, w, 3)")
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise InputError(f"{name}: is {width} x {height} px: too small to align, {MIN_SIDE} px a side are the least")
    if max(height, width) > MAX_SIDE:
        raise InputError(f"{name}: is {width} x {height} px: no side may be over {MAX_SIDE} px to be aligned")


def _light(values, encoding):
    """Convert pixels in [0, 1] to linear light (IEC 61966-2-1)."""
    if encoding == "linear":
        return values
    return np.where(values <= 0.04045, values / 12.92, np.power((values + 0.055) / 1.055, 2.4))


def _encoded(light, encoding):
    if encoding == "linear":
        return light
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.power(light, 1 / 2.4) - 0.055)


class _Copy(NamedTuple):
    """A reduced photograph: float32 linear light in colour and in grey, and a uint8 mask that is 0 near clipping."""

    light: np.ndarray
    grey: np.ndarray
    usable: np.ndarray


def _copy(image, k, encoding):
    light = _reduced(image, k, encoding)
    clipped = (light.max(2) > _CLIPPED).astype(np.uint8)
    # Around a clipped spot the defocused photograph has light that the sharp one lacks.
    clipped = cv2.dilate(clipped, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _BLOOM + 1,) * 2))
    return _Copy(light, cv2.cvtColor(light, cv2.COLOR_RGB2GRAY), 1 - clipped)


def _reduced(image, k, encoding):
    """Average k x k pixels of linear light: (h // k, w // k, 3) float32."""
    height, width = (side // k for side in image.shape[:2])
    out = np.empty((height, width, 3), np.float32)
    rows = max(1, _ROWS // k)
    for top in range(0, height, rows):
        part = image[top * k : (top + rows) * k, : width * k]
        part = _light(to_float(part[: len(part) // k * k]), encoding)
        out[top : top + rows] = part.reshape(-1, k, width, k, 3).mean((1, 3), dtype=np.float32)
    return out


def _reduction(k):
    """Return the homography from points of a photograph to those of its copy."""
    return np.array([[1 / k, 0, 0.5 / k - 0.5], [0, 1 / k, 0.5 / k - 0.5], [0, 0, 1]])


# Features.


def _match(moving, fixed, pair):
    """Match the copies: the homography between them, and how many matches agree with it."""
    found = _best_match(moving.grey, fixed.grey)
    if found is None or found[1] < MIN_INLIERS:
        mirrored = _best_match(np.ascontiguousarray(moving.grey[:, ::-1]), fixed.grey)
        if mirrored is not None and mirrored[1] >= MIN_INLIERS:
            raise InputError(f"{pair}: one is a mirror image of the other: flip it first")
        count = found[1] if found else 0
        raise InputError(f"{pair}: do not show the same scene ({count} features agree, {MIN_INLIERS} are the least)")
    return found


def _best_match(moving, fixed):
    best = None
    for sigma in _MATCH_BLURS:
        (points, features), (fixed_points, fixed_features) = (_features(image, sigma) for image in (moving, fixed))
        if min(len(points), len(fixed_points)) < MIN_INLIERS:
            continue
        pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(features, fixed_features, 2)
        pairs = np.array([(a.queryIdx, a.trainIdx) for a, b in pairs if a.distance < 0.8 * b.distance])  # Lowe's ratio
        if len(pairs) < MIN_INLIERS:
            continue
        source, target = points[pairs[:, 0]], fixed_points[pairs[:, 1]]
        homography, agree = cv2.findHomography(source, target, cv2.USAC_MAGSAC, 3.0, maxIters=10_000, confidence=0.999)
        if homography is None:
            continue
        inliers = len(np.unique(target[agree.ravel() > 0], axis=0))  # a degenerate homography maps many to few points
        if best is None or inliers > best[1]:
            best = homography, inliers
        if inliers >= _ENOUGH_INLIERS:
            break
    return best


def _features(grey, sigma):
    """Return points (n, 2) and their RootSIFT descriptors (n, 128)."""
    grey = np.sqrt(grey)
    low, high = np.percentile(grey, (0.5, 99.5))
    grey = np.clip((grey - low) * (255 / max(high - low, 1e-3)), 0, 255).astype(np.uint8)
    if sigma:
        grey = cv2.GaussianBlur(grey, (0, 0), sigma)
    keys, features = cv2.SIFT_create(_FEATURES, contrastThreshold=0.01).detectAndCompute(grey, None)
    if not keys:
        return np.zeros((0, 2)), np.zeros((0, 128), np.float32)
    features = np.sqrt(features / np.maximum(features.sum(1, keepdims=True), 1e-6))
    return np.array([key.pt for key in keys]), features


# The homography.


def _apply(homography, points):
    """Map (n, 2) points by a homography; returns them and their n depths (third homogeneous coordinates)."""
    x = points @ homography[:, :2].T + homography[:, 2]
    return x[:, :2] / x[:, 2:], x[:, 2]


def _grid(shape, count=9):
    """Return count x count points (n, 2) from corner to corner."""
    x, y = np.meshgrid(np.linspace(0, shape[1] - 1, count), np.linspace(0, shape[0] - 1, count))
    return np.stack([x.ravel(), y.ravel()], 1)


def _check_homography(homography, fixed_shape, pair):
    """Raise InputError for a homography that cannot lie between two shots of a scene."""
    implausible = f"{pair}: no plausible homography lies between them: do they show the same scene?"
    if abs(np.linalg.det(homography)) < 1e-6:
        raise InputError(implausible)
    inverse = np.linalg.inv(homography)
    _, depth = _apply(inverse, _grid(fixed_shape))
    centre = depth[len(depth) // 2]
    if (depth / centre).min() < 0.2:  # the horizon lies in the picture or close to it
        raise InputError(implausible)
    area = np.linalg.det(inverse) / depth**3  # the Jacobian: pixels of the moving photograph in one of the fixed
    if area.min() < 0:
        raise InputError(f"{pair}: one is a mirror image of the other: flip it first")
    times = max(area.max(), 1 / area.min()) ** 0.5
    if times > MAX_SCALE:
        raise InputError(f"{pair}: differ {times:.1f} times in scale, the most is {MAX_SCALE:g}")


def _shift(homography, shape, fixed_shape):
    """Return the median distance in fixed pixels between things in the two, laid corner on corner."""
    there, _ = _apply(np.linalg.inv(homography), _grid(fixed_shape))
    laid = (there + 0.5) * (np.array(fixed_shape[1::-1]) / shape[1::-1]) - 0.5
    return float(np.median(np.linalg.norm(laid - _grid(fixed_shape), axis=1)))


def _coordinates(inverse, rows, width, field, k):
    """Return where pixels of the fixed grid lie in the moving photograph: x and y, (rows, width) float32.

    inverse: homography from the fixed grid. field: None, or a displacement (h, w, 2) of the k times smaller copy.
    """
    x, y = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(rows.start, rows.stop, dtype=np.float64))
    if field is not None:
        at = [((axis + 0.5) / k - 0.5).astype(np.float32) for axis in (x, y)]
        moved = cv2.remap(field, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        x, y = x + k * moved[..., 0], y + k * moved[..., 1]
    there = [row[0] * x + row[1] * y + row[2] for row in inverse]
    return [(axis / there[2]).astype(np.float32) for axis in there[:2]]


def _inside(x, y, shape):
    return (x >= 0) & (y >= 0) & (x <= shape[1] - 1) & (y <= shape[0] - 1)


def _antialiased(image, homography, shape):
    """Remove the detail of an image for which the fixed grid, of that shape, is too coarse."""
    inverse = np.linalg.inv(homography)
    _, depth = _apply(inverse, _grid(shape))
    step = np.sqrt(np.median(np.linalg.det(inverse) / depth**3))
    if step < 1.1:
        return image
    return cv2.GaussianBlur(image, (0, 0), 0.5 * np.sqrt(step**2 - 1))


def _laid(moving, fixed, homography, field=None):
    """Lay the moving copy's light on the fixed copy's grid; also returns where it has content and can be compared."""
    height, width = fixed.grey.shape
    x, y = _coordinates(np.linalg.inv(homography), slice(0, height), width, field, 1)
    light = _antialiased(moving.light, homography, fixed.grey.shape)
    light = cv2.remap(light, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    seen = _inside(x, y, moving.grey.shape)
    usable = cv2.remap(moving.usable, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    return light, seen, seen & (usable > 0) & (fixed.usable > 0)


def _disc(radius):
    """Return the kernel of a disc: the area of each pixel inside it."""
    side = 2 * int(np.ceil(radius - 0.5)) + 1
    t = (np.arange(16 * side) + 0.5) / 16 - side / 2
    covered = (t[:, None] ** 2 + t**2 <= radius**2).reshape(side, 16, side, 16).mean((1, 3))
    return (covered / covered.sum()).astype(np.float32)


def _blurred(image, radius):
    return cv2.filter2D(image, -1, _disc(radius), borderType=cv2.BORDER_REFLECT_101) if radius else image


def _local_mean(image, weight, sigma):
    """Average, weighted by a Gaussian and by `weight`, (h, w) float32; also returns the sum of the weights."""
    total = cv2.GaussianBlur(weight, (0, 0), sigma)
    weighted = image * (weight if image.ndim == 2 else weight[..., None])
    mean = cv2.GaussianBlur(weighted, (0, 0), sigma)
    safe = np.maximum(total, 1e-6)
    return mean / (safe if image.ndim == 2 else safe[..., None]), total


def _blurred_alike(light, fixed, mask):
    """Blur the light at each pixel with the disc that makes it most like the fixed copy.

    Returns (h, w, 3) light, and (h, w) grey that is scaled to the fixed copy's.
    """
    grey = cv2.cvtColor(light, cv2.COLOR_RGB2GRAY)
    weight = mask.astype(np.float32)
    means = [_local_mean(image, weight, _WINDOW)[0][mask] for image in (fixed.grey, grey)]
    grey = grey * np.median(means[0] / np.maximum(means[1], 1e-4))
    error = np.full(grey.shape, np.inf, np.float32)
    alike, alike_grey = np.empty_like(light), np.empty_like(grey)
    for radius in _RADII:
        candidate = _blurred(grey, radius)
        this, _ = _local_mean((candidate - fixed.grey) ** 2, weight, _WINDOW)
        better = this < error
        error[better], alike_grey[better] = this[better], candidate[better]
        alike[better] = _blurred(light, radius)[better]
    return alike, alike_grey


def _refine(moving, fixed, homography, pair):
    """Refine the homography between the copies to a fraction of a pixel; also returns the correlation of detail.

    It maximises the enhanced correlation coefficient (Evangelidis and Psarakis, 2008) of the two, blurred alike and
    with their local means subtracted.
    """
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-6)
    for _ in range(_REFINEMENTS):
        light, seen, mask = _laid(moving, fixed, homography)
        if mask.sum() < 0.25 * seen.sum():
            mask = seen
        if mask.mean() < MIN_OVERLAP / 2:
            raise InputError(f"{pair}: overlap in less than {MIN_OVERLAP:.0%} of the picture")
        _, alike = _blurred_alike(light, fixed, mask)
        weight = mask.astype(np.float32)
        details = [image - _local_mean(image, weight, _BAND)[0] for image in (fixed.grey, alike)]
        try:
            correlation, step = cv2.findTransformECC(
                *details, np.eye(3, dtype=np.float32), cv2.MOTION_HOMOGRAPHY, stop, mask.astype(np.uint8), 1
            )
        except cv2.error as error:
            raise InputError(f"{pair}: do not show the same scene (detail does not correlate)") from error
        if correlation < MIN_CORRELATION:
            raise InputError(f"{pair}: do not show the same scene (detail correlates by {correlation:.2f})")
        homography = np.linalg.inv(step.astype(np.float64)) @ homography
    return homography, float(correlation)


# Exposure and displacement.


def _gains(moving, fixed, homography, pair):
    """Return (3,) ratios of light, fixed over moving: medians over all places that are neither clipped nor dark."""
    light, _, mask = _laid(moving, fixed, homography)
    if mask.any():
        light, _ = _blurred_alike(light, fixed, mask)
        (ours, total), (theirs, _) = (_local_mean(x, mask.astype(np.float32), _WINDOW) for x in (light, fixed.light))
        bright = (total > 0.5) & mask & (np.minimum(ours, theirs).min(2) > _DARK)
        if bright.mean() > 0.001:
            return np.median(theirs[bright] / ours[bright], axis=0).astype(np.float64)
    raise InputError(f"{pair}: no place is well exposed in both: their brightness cannot be compared")


def _displacement(moving, fixed, homography, field):
    """Measure the smooth displacement (h, w, 2) between the copies, and the median length of its new part.

    field: the displacement known so far, or None. The result includes it, in pixels of the fixed copy, to be added to
    its points.
    """
    light, seen, mask = _laid(moving, fixed, homography, field)
    mask = mask if mask.any() else seen
    _, alike = _blurred_alike(light, fixed, mask)
    both = [np.sqrt(np.maximum(image, 0)) for image in (fixed.grey, alike)]
    low, high = np.percentile(both[0], (0.5, 99.5))
    both = [np.clip((x - low) * (255 / max(high - low, 1e-3)), 0, 255).astype(np.uint8) for x in both]
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    forth, back = dis.calc(*both, None), dis.calc(*both[::-1], None)

    height, width = mask.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    returned = forth + cv2.remap(back, x + forth[..., 0], y + forth[..., 1], cv2.INTER_LINEAR)
    length, limit = np.linalg.norm(forth, axis=2), _FLOW_LIMIT * max(mask.shape)
    trusted = mask & (np.linalg.norm(returned, axis=2) < 0.5) & (length < limit)
    # Flow means nothing where there is no edge: weigh it by the lesser eigenvalue of the structure tensor.
    texture = cv2.cornerMinEigenVal(cv2.GaussianBlur(both[1], (0, 0), 1).astype(np.float32) / 255, 7)
    textured = trusted & (texture > np.median(texture[trusted])) if trusted.any() else trusted
    error = float(np.median(length[textured])) if textured.any() else float("nan")

    weight = np.where(trusted, np.minimum(texture / max(float(texture.max()), 1e-9), 0.1), 0).astype(np.float32)
    smooth = np.zeros_like(forth)  # no displacement where there is no evidence
    for sigma in _FLOW_SIGMAS:  # wider windows fill what narrower ones leave open
        mean, total = _local_mean(forth, weight, sigma)
        smooth += (total / (total + 1e-3))[..., None] * (mean - smooth)
    if field is not None:
        smooth += field
    length = np.linalg.norm(smooth, axis=2, keepdims=True)
    return smooth * np.minimum(1, limit / np.maximum(length, 1e-6)), error


# The picture.


def _resample(moving, homography, field, k, shape, gains, encoding):
    """Resample the moving photograph onto the fixed grid of that (h, w); also returns where it has content."""
    source = _antialiased(to_float(moving), homography, shape)
    inverse = np.linalg.inv(homography)
    height, width = shape
    out, valid = np.empty((height, width, 3), moving.dtype), np.empty(shape, bool)
    for top in range(0, height, _ROWS):
        rows = slice(top, min(top + _ROWS, height))
        x, y = _coordinates(inverse, rows, width, field, k)
        part = cv2.remap(source, x, y, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT_101)
        part = np.clip(part, 0, 1)
        if (gains != 1).any():
            part = _encoded(np.minimum(_light(part, encoding) * gains.astype(np.float32), 1), encoding)
        out[rows], valid[rows] = from_float(part, moving.dtype), _inside(x, y, moving.shape)
    return out, valid


def _largest_rectangle(valid):
    """Return slices (rows, columns) of the largest rectangle of True that crosses the column with most of them."""
    column = int(valid.sum(0).argmax())
    # The run of True around that column in each row: its first and last + 1.
    left = column + 1 - np.where((~valid[:, column::-1]).any(1), (~valid[:, column::-1]).argmax(1), column + 1)
    right = column + np.where((~valid[:, column:]).any(1), (~valid[:, column:]).argmax(1), valid.shape[1] - column)
    best, crop = -1, (slice(0, 0), slice(0, 0))
    for top in range(len(valid)):
        start, stop = np.maximum.accumulate(left[top:]), np.minimum.accumulate(right[top:])
        areas = (stop - start) * np.arange(1, len(start) + 1)
        n = int(areas.argmax())
        if areas[n] > best:
            best, crop = int(areas[n]), (slice(top, top + n + 1), slice(int(start[n]), int(stop[n])))
    return crop
