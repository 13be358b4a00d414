"""Pictures to look at: images side by side, labelled sheets of them, and maps in false colours."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont


def side_by_side(*images: np.ndarray, gap: int | None = None) -> np.ndarray:
    """Put images `(h, w)` or `(h, w, c)` of one shape and dtype in a row, with `gap` white pixels between them.

    The default gap is 1/200 of the width, at least 2 pixels. White is 1 for floats, the largest number for integers.
    """
    height, width = images[0].shape[:2]
    gap = max(2, width // 200) if gap is None else gap
    total = len(images) * width + (len(images) - 1) * gap
    dtype = images[0].dtype
    white = np.iinfo(dtype).max if dtype.kind == "u" else 1
    row = np.full((height, total, *images[0].shape[2:]), white, dtype)
    for index, image in enumerate(images):
        start = index * (width + gap)
        row[:, start : start + width] = image
    return row


def labelled(rows: Sequence[Sequence[tuple[str, np.ndarray]]], gap: int = 8) -> np.ndarray:
    """Lay labelled pictures out on a sheet: rows of (label, `(h, w, 3)` uint8), all of one shape.

    Short rows are filled up with white. Returns uint8 `(H, W, 3)`.
    """
    height, width = rows[0][0][1].shape[:2]
    text = max(14, width // 28)
    font, bar = ImageFont.load_default(text), 2 * text
    columns = max(len(row) for row in rows)
    size = (columns * (width + gap) + gap, len(rows) * (height + bar) + gap)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for j, row in enumerate(rows):
        for i, (label, picture) in enumerate(row):
            left, top = gap + i * (width + gap), j * (height + bar)
            draw.text((left, top + bar // 2), label, fill="black", font=font, anchor="lm")
            sheet.paste(Image.fromarray(np.ascontiguousarray(picture)), (left, top + bar))
    return np.asarray(sheet)


def sheet(pictures: Mapping[str, np.ndarray]) -> np.ndarray:
    """Lay {name: (k, h, w, 3) floats in [0, 1]} out on a labelled uint8 sheet: a row an example, a column a name."""
    names = list(pictures)
    eight_bit = {name: np.round(255 * np.clip(pictures[name], 0, 1)).astype(np.uint8) for name in names}
    return labelled([[(name, eight_bit[name][k]) for name in names] for k in range(len(eight_bit[names[0]]))])


def false_colours(values: np.ndarray) -> np.ndarray:
    """Colour a map (h, w), clipped to [0, 1], from dark to bright (OpenCV's inferno): (h, w, 3) uint8."""
    levels = np.round(255 * np.clip(values, 0, 1)).astype(np.uint8)
    return cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
