"""What is done to an example on the host: NumPy, one random generator an example, the same for all its views.

Pictures keep their dtype; colour, noise and defocus are the task's, on the device.
"""

from collections.abc import Mapping

import numpy as np

from restore_jax.errors import InputError

Example = Mapping[str, np.ndarray]


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


def cut_size(example: Example, data) -> int:
    """The side of what is cut: data.size, and a margin for what is still to be rendered. InputError if too large."""
    size = data.size + (0 if "blurred" in example else 2 * data.margin)
    height, width = next(iter(example.values())).shape[:2]
    if min(height, width) < size:
        raise InputError(f"a picture of {width}x{height} is smaller than what is cut from it, {size} (data.size)")
    return size


def _resized(picture, size):
    import cv2

    if picture.shape[:2] == (size, size):
        return picture
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
