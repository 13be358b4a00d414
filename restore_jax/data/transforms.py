"""Cropping, reducing and turning of examples on the host, in NumPy, alike for all views of an example.

Pictures keep their dtype. Colour, noise and defocus are added by the task, on the device; only the virtual camera adds
colour and noise here, because its views differ in them. Clips have time as their first axis.
"""

from collections.abc import Mapping

import cv2
import numpy as np

from restore_jax.data.triple_camera import TELE, TELE_CROP, WIDE, training_window, turned
from restore_jax.errors import InputError
from restore_jax.ops.imresize import imresize

Example = Mapping[str, np.ndarray]


def training_example(example: Example, rng: np.random.Generator, data) -> dict[str, np.ndarray]:
    """Cut what a step trains on from any source's example.

    A scene gives a `training_window`, clips give a `training_clip`, pictures a `training_crop`.
    """
    if "scene" in example:
        return training_window(example["scene"], rng, data)
    return (training_clip if "lrs" in example else training_crop)(example, rng, data)


def evaluation_example(example: Example, data) -> dict[str, np.ndarray]:
    """Cut the middle of an example, without chance, for evaluation.

    A scene is filmed in the one way that its number seeds; clips and pictures may be whole (data.size 0).
    """
    if "scene" in example:
        with_own = np.random.default_rng([int(example["number"]), 7])
        return training_window(example["scene"], with_own, data)
    return (central_clip if "lrs" in example else central_crop)(example, data)


def training_crop(example: Example, rng: np.random.Generator, data) -> dict[str, np.ndarray]:
    """Reduce an example's pictures at random, cut a crop, and flip and turn it at random, as `data` says.

    data.size: side of the crop in pixels. data.margin: pixels that are cut around it where defocus is still to be
    rendered, because blur reaches in from there. data.scale_probability, data.min_scale: how often a picture is
    reduced, and to what factor at least. data.turn: whether to flip and to turn by quarters, which would break the
    disparity of real dual-pixel views.
    """
    reduced = rng.random() < data.scale_probability
    scale = rng.uniform(data.min_scale, 1.0) if reduced else 1.0
    height, width = next(iter(example.values())).shape[:2]
    size = cut_size(example, data)
    # Cutting size / scale pixels and reducing them is cheaper than reducing the whole picture and cutting.
    window = min(round(size / scale), height, width)
    top, left = rng.integers(height - window + 1), rng.integers(width - window + 1)
    flip, quarters = (rng.random() < 0.5, rng.integers(4)) if data.turn else (False, 0)

    def one(picture):
        crop = _resized(picture[top : top + window, left : left + window], size)
        return np.ascontiguousarray(np.rot90(crop[:, ::-1] if flip else crop, quarters))

    return {view: one(picture) for view, picture in example.items()}


def central_crop(example: Example, data) -> dict[str, np.ndarray]:
    """Cut the middle of an example: data.size pixels a side and the margin; size 0 cuts sides to multiples of 8."""
    height, width = next(iter(example.values())).shape[:2]
    if data.size:
        rows = columns = cut_size(example, data)
    else:
        rows, columns = height // 8 * 8, width // 8 * 8
    top, left = ((height - rows) // 2, (width - columns) // 2) if data.size else (0, 0)
    return {view: picture[top : top + rows, left : left + columns] for view, picture in example.items()}


def training_clip(example: Example, rng: np.random.Generator, data) -> dict[str, np.ndarray]:
    """Cut crops that show the same from the whole frames of a clip's cameras (docs/networks.md 4, "Crops").

    Views and sizes are those of `triple_camera.training_window`. The ultra-wide's crop lies anywhere in the wide
    camera's field of view. The references' crops show the same place, moved right and down by up to data.shift of their
    LR pixels (the random translation of dissertation 5.4). They stay inside their frames: a telephoto's crop is the
    nearest possible. Raises InputError for frames that are too small.
    """
    height, width = example["lrs"].shape[1:3]
    margin = np.array([height, width]) // 4
    room = np.array([height, width]) - 2 * margin - data.size
    if room.min() < 0:
        raise InputError(f"the field of view of the wide camera is smaller than what is cut, {data.size} (data.size)")
    corner = margin + rng.integers(room + 1)
    shifts = {name: rng.integers(data.shift + 1, size=2) for name in ("refs", "teles")}
    return turned(_aligned(example, corner, shifts, data), rng, data.turn)


def central_clip(example: Example, data) -> dict[str, np.ndarray]:
    """Cut the middle of a clip's frames as `training_clip` does, but without shift; data.size 0 keeps whole frames."""
    if not data.size:
        return {view: example[view] for view in data.views}
    corner = (np.array(example["lrs"].shape[1:3]) - data.size) // 2
    return _aligned(example, corner, {"refs": 0, "teles": 0}, data)


def _aligned(example, corner, shifts, data):
    """Cut crops at `corner` (y, x) of the ultra-wide LR frame, and where the others show that place, plus a shift."""
    frame = np.array(example["lrs"].shape[1:3])
    crops = {}
    for view in data.views:
        zoom, low = {"refs": (WIDE, "refs"), "teles": (TELE, "teles")}.get(view.removesuffix("_hr"), (1.0, "lrs"))
        side = round(zoom * data.size)
        if (frame < side).any():
            raise InputError(f"{view}: frames of {frame[1]}x{frame[0]} are smaller than what is cut, {side}")
        start = np.rint(zoom * corner - (zoom - 1) / 2 * frame).astype(int) + (shifts[low] if zoom > 1 else 0)
        start = np.clip(start, 0, frame - side)
        scale = example[view].shape[-3] // frame[0]
        y, x = start * scale
        crop = example[view][..., y : y + side * scale, x : x + side * scale, :]
        crops[view] = imresize(crop, TELE_CROP) if low == "teles" else np.ascontiguousarray(crop)
    return crops


def cut_size(example: Example, data) -> int:
    """Return the side of the crop: data.size and the margin on both sides; raises InputError if it is too large."""
    size = data.size + (0 if "blurred" in example else 2 * data.margin)
    height, width = next(iter(example.values())).shape[:2]
    if min(height, width) < size:
        raise InputError(f"a picture of {width}x{height} is smaller than what is cut from it, {size} (data.size)")
    return size


def halved(photo: np.ndarray, max_side: int) -> np.ndarray:
    """Halve a picture (h, w, 3) by 2x2 means until no side is over max_side."""
    while max(photo.shape) > max_side:
        photo = cv2.resize(photo, (photo.shape[1] // 2, photo.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return photo


def halved_size(width: int, height: int, max_side: int) -> tuple[int, int]:
    """Return the (width, height) that `halved` gives a picture of this size."""
    while max(width, height) > max_side:
        width, height = width // 2, height // 2
    return width, height


def _resized(picture, size):
    if picture.shape[:2] == (size, size):
        return picture
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
