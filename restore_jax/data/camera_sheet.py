"""A sheet of draws of the training camera, to look at what a network is trained on."""

import jax
import numpy as np

from restore_jax.errors import InputError
from restore_jax.ops.camera import photograph
from restore_jax.plots.panels import labelled

COLUMNS = 5  # draws in a row of the sheet


def camera_sheet(photo: np.ndarray, settings, margin: int, draws: int = 20, size: int = 256, seed: int = 0):
    """Draw one part of a photograph with `draws` cameras and lay the pictures out under their largest COC.

    Args:
      photo: (h, w, 3) float32 in [0, 1], sharp; its middle, `size` pixels and the margin around them, is shown.
      settings: config.camera of a training config. margin: pixels that blur reaches in from (config.data.margin).
      draws: number of pictures after the truth. seed: of the draws.

    Returns: uint8 (H, W, 3). Raises InputError if the photograph is too small.
    """
    side = size + 2 * margin
    height, width = photo.shape[:2]
    if min(height, width) < side:
        raise InputError(f"the photograph is {width}x{height}; {side}x{side} pixels are needed")
    top, left = (height - side) // 2, (width - side) // 2
    crop = photo[top : top + side, left : left + side]
    draw = jax.jit(lambda key: photograph(key, crop, settings, size))
    pictures = [("sharp", crop[margin:-margin, margin:-margin])]
    for key in jax.random.split(jax.random.key(seed), draws):
        views = draw(key)
        pictures.append((f"COC to {float(views['coc'].max()):.0f} px", np.asarray(views["blurred"])))
    pictures = [(label, np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)) for label, picture in pictures]
    return labelled([pictures[i : i + COLUMNS] for i in range(0, len(pictures), COLUMNS)])
