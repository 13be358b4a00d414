"""A picture of points, drawn without a plotting library: quality against cost, with labels that do not overlap."""

import math
from collections.abc import Mapping

import numpy as np

from restore_jax.plots.curves import COLOURS, MARGIN, TEXT

WIDTH, HEIGHT, RADIUS, SCALE = 960, 640, 6, 3  # pixels: of the axes, of a point; drawn larger and reduced


def draw_scatter(points: Mapping[str, tuple[float, float | None, float | None]], x: str, y: str) -> np.ndarray:
    """Points {label: (x, measured, printed)}, a full one where measured, a ring where printed; (h, w, 3) uint8.

    The x axis is logarithmic if its values differ by more than a factor of two. x, y: names of the axes.
    """
    from PIL import Image, ImageDraw, ImageFont

    values = [value for _, *pair in points.values() for value in pair if value is not None]
    logarithmic = max(p[0] for p in points.values()) > 2 * min(p[0] for p in points.values())
    across = Axis([point[0] for point in points.values()], logarithmic)
    up = Axis(values, False)
    size = (SCALE * (WIDTH + 2 * MARGIN), SCALE * (HEIGHT + 2 * MARGIN))
    canvas = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(SCALE * TEXT * 3 // 4)

    def at(a, b):
        return SCALE * (MARGIN + WIDTH * across.place(a)), SCALE * (MARGIN + HEIGHT * (1 - up.place(b)))

    for tick in across.ticks:
        draw.line([at(tick, up.low), at(tick, up.high)], fill="#e0e0e0", width=SCALE)
        left, top = at(tick, up.low)
        draw.text((left, top + SCALE * TEXT), f"{tick:,.10g}", fill="black", font=font, anchor="mm")
    for tick in up.ticks:
        draw.line([at(across.low, tick), at(across.high, tick)], fill="#e0e0e0", width=SCALE)
        left, top = at(across.low, tick)
        draw.text((left - SCALE * 6, top), f"{tick:.6g}", fill="black", font=font, anchor="rm")
    taken = []
    for number, (label, (cost, *pair)) in enumerate(points.items()):
        colour = COLOURS[number % len(COLOURS)]
        for value, full in zip(pair, (True, False), strict=True):
            if value is not None:
                (left, top), r = at(cost, value), SCALE * RADIUS
                box = (left - r, top - r, left + r, top + r)
                draw.ellipse(box, fill=colour if full else None, outline=colour, width=2 * SCALE)
                taken.append(box)
        place = at(cost, next(value for value in pair if value is not None))
        box, where = _free(draw, label, font, place, taken, size[0])
        taken.append(box)
        draw.text(where, label, fill=colour, font=font, anchor="lm")
    middle = size[0] / 2
    draw.text((middle, size[1] - SCALE * MARGIN / 3), x, fill="black", font=font, anchor="mm")
    draw.text(
        (SCALE * MARGIN / 4, SCALE * MARGIN / 2), f"{y}  (full: measured, ring: printed)", fill="black", font=font
    )
    return np.asarray(canvas.reduce(SCALE))


class Axis:
    """An axis that holds `values`: its ends `low` and `high`, and `ticks` between them."""

    def __init__(self, values, logarithmic: bool):
        self.logarithmic = logarithmic
        if logarithmic:
            self.low, self.high = min(values) / 1.3, max(values) * 1.3
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            ticks = (digit * 10.0**decade for decade in decades for digit in (1, 2, 5))
        else:
            spread = max(values) - min(values) or abs(max(values)) or 1.0
            self.low, self.high = min(values) - 0.1 * spread, max(values) + 0.1 * spread
            step = 10 ** math.floor(math.log10(1.2 * spread))
            step *= next(f for f in (0.1, 0.2, 0.5, 1, 2) if 1.2 * spread / (f * step) <= 8)
            ticks = (n * step for n in range(math.ceil(self.low / step), math.floor(self.high / step) + 1))
        self.ticks = [tick for tick in ticks if self.low <= tick <= self.high]

    def place(self, value: float) -> float:
        """Where a value lies, 0 to 1."""
        low, high, value = (math.log(v) if self.logarithmic else v for v in (self.low, self.high, value))
        return (value - low) / (high - low)


def _free(draw, label, font, place, taken, width):
    """(box, left middle) of a label beside a point, clear of what is taken if a place nearby is."""
    left, top, right, bottom = draw.textbbox((0, 0), label, font=font, anchor="lm")
    gap, line = 2 * SCALE * RADIUS, bottom - top
    shifts = sorted(range(-12, 13), key=lambda n: (abs(n), n))
    for shift in shifts:
        for start in (place[0] + gap, place[0] - gap - right):
            y = place[1] + shift * line * 0.6
            box = (start + left, y + top, start + right, y + bottom)
            inside = box[0] > 0 and box[2] < width
            if inside and not any(_overlap(box, other) for other in taken):
                return box, (start, y)
    start = min(place[0] + gap, width - right)
    return (start, place[1] + top, start + right, place[1] + bottom), (start, place[1])


def _overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
