"""A picture of precision-recall curves, drawn without a plotting library (dissertation, Fig. 3.6)."""

from collections.abc import Mapping, Sequence

import numpy as np

COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
)  # Okabe & Ito: told apart by all
SIDE, MARGIN, TEXT = 640, 80, 20  # pixels: of the axes, around them, of letters


def draw_precision_recall(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> np.ndarray:
    """Curves {label: (precision, recall)}, both in [0, 1], with axes, grid and a legend; (h, w, 3) uint8."""
    from PIL import Image, ImageDraw, ImageFont

    scale = 3  # drawn larger and reduced, for smooth lines
    side, margin, font = scale * SIDE, scale * MARGIN, ImageFont.load_default(scale * TEXT)
    low = np.floor(10 * min([min(precision) for precision, _ in curves.values()] + [0.9])) / 10
    canvas = Image.new("RGB", (side + 2 * margin, side + 2 * margin), "white")
    draw = ImageDraw.Draw(canvas)

    def at(recall, precision):
        return margin + side * recall, margin + side * (1 - precision) / (1 - low)

    for tick in np.linspace(0, 1, 6):
        height = low + tick * (1 - low)
        for ends in (((tick, low), (tick, 1)), ((0, height), (1, height))):
            draw.line([at(*end) for end in ends], fill="#d0d0d0", width=scale)
        x, y = at(tick, low)
        draw.text((x, y + scale * TEXT), f"{tick:.1f}", fill="black", font=font, anchor="mm")
        x, y = at(0, height)
        draw.text((x - scale * 6, y), f"{height:.2f}", fill="black", font=font, anchor="rm")
    for i, (label, (precision, recall)) in enumerate(curves.items()):
        colour = COLOURS[i % len(COLOURS)]
        points = sorted(zip(recall, precision, strict=True), key=lambda point: point[0])
        draw.line([at(*point) for point in points], fill=colour, width=3 * scale, joint="curve")
        x, y = at(0.04, low)
        y -= scale * TEXT * 1.5 * (len(curves) - i)
        draw.line([(x, y), (x + 2 * scale * TEXT, y)], fill=colour, width=3 * scale)
        draw.text((x + 2.5 * scale * TEXT, y), label, fill="black", font=font, anchor="lm")
    draw.text((margin + side / 2, side + 1.6 * margin), "recall", fill="black", font=font, anchor="mm")
    draw.text((margin, margin / 2), "precision", fill="black", font=font, anchor="mm")
    return np.asarray(canvas.reduce(scale))
