"""What is done to an example on the host: NumPy, one random generator an example, the same for all its views.

Pictures keep their dtype; colour, noise and defocus are the task's, on the device (but for those that a virtual camera
films, whose views differ in them). Clips have time first.
"""

from collections.abc import Mapping

import numpy as np

from restore_jax.data.triple_camera import TELE, TELE_CROP, WIDE, training_window, turned
from restore_jax.errors import InputError
from restore_jax.ops.imresize import imresize

Example = Mapping[str, np.ndarray]


def training_example(example: Example, rng: np.random.Generator, data) -> dict[str, np.ndarray]:
    """What is trained on of any source's example: of a scene a `training_window`, of clips a `training_clip`, of
    pictures a `training_crop`."""
    if "scene" in example:
        return training_window(example["scene"], rng, data)
    return (training_clip if "lrs" in example else training_crop)(example, rng, data)


def evaluation_example(example: Example, data) -> dict[str, np.ndarray]:
    """The same without chance, of the middle: a scene is filmed in one way of its own; clips may be whole (size 0)."""
    if "scene" in example:
        with_own = np.random.default_rng([int(example["number"]), 7])
        return training_window(example["scene"], with_own, data)
    return (central_clip if "lrs" in example else central_crop)(example, data)


def training_crop(example: Example, rng: np.random.Generator, data) -> dict[str, np.ndarray]:
    """Reduce, cut, and flip and turn at random, as `data` says.

    data.size: side of the crop. data.margin: cut around it where defocus is still to be rendered, whose blur reaches
    in. data.scale_probability, data.min_scale: how often, and down to what, a picture is
    reduced. data.turn: flips and quarter turns, which would break the disparity of real dual-pixel views.
    """
    reduced = rng.random() < data.scale_probability
    scale = rng.uniform(data.min_scale, 1.0) if reduced else 1.0
    height, width = next(iter(example.values())).shape[:2]
    size = cut_size(example, data)
    # A window of size / scale pixels, reduced to size: the same as reducing all and cutting, but cheaper.
    window = min(round(size / scale), height, width)
    top, left = rng.integers(height - window + 1), rng.integers(width - window + 1)
    flip, quarters = (rng.random() < 0.5, rng.integers(4)) if data.turn else (False, 0)

    def one(picture):
        crop = _resized(picture[top : top + window, left : left + window], size)
        return np.ascontiguousarray(np.rot90(crop[:, ::-1] if flip else crop, quarters))

    return {view: one(picture) for view, picture in example.items()}


def central_crop(example: Example, data) -> dict[str, np.ndarray]:
    """The middle of an example, data.size pixels a side and the margin; with size 0 all, to the last multiple of 8."""
    height, width = next(iter(example.values())).shape[:2]
    if data.size:
        rows = columns = cut_size(example, data)
    else:
        rows, columns = height // 8 * 8, width // 8 * 8
    top, left = ((height - rows) // 2, (width - columns) // 2) if data.size else (0, 0)
    return {view: picture[top : top + rows, left : left + columns] for view, picture in example.items()}


def training_clip(example: Example, rng: np.random.Generator, data) -> dict[str, np.ndarray]:
    """Crops of a clip's whole frames that show the same (networks.md, "Crops"), with views and sizes of
    `triple_camera.training_window`.

    The ultra-wide's crop lies anywhere in the wide camera's field of view. The references' crops show the same, but
    up to data.shift of their LR pixels further right and down (the random translation of dissertation 5.4), and inside
    their frames: a telephoto's crop is the nearest there is. Raises InputError for frames too small.
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
    """The middle of a clip's frames, as `training_clip` cuts it, without shift; with size 0 whole frames."""
    if not data.size:
        return {view: example[view] for view in data.views}
    corner = (np.array(example["lrs"].shape[1:3]) - data.size) // 2
    return _aligned(example, corner, {"refs": 0, "teles": 0}, data)


def _aligned(example, corner, shifts, data):
    """Crops at `corner` (y, x) of the ultra-wide LR frame and where the others show the same, plus a shift."""
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
    """The side of what is cut: data.size, and a margin for what is still to be rendered. InputError if too large."""
    size = data.size + (0 if "blurred" in example else 2 * data.margin)
    height, width = next(iter(example.values())).shape[:2]
    if min(height, width) < size:
        raise InputError(f"a picture of {width}x{height} is smaller than what is cut from it, {size} (data.size)")
    return size


def halved(photo: np.ndarray, max_side: int) -> np.ndarray:
    """A picture (h, w, 3), by means of 2x2 halved until no side is over max_side."""
    import cv2

    while max(photo.shape) > max_side:
        photo = cv2.resize(photo, (photo.shape[1] // 2, photo.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return photo


def _resized(picture, size):
    import cv2

    if picture.shape[:2] == (size, size):
        return picture
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
