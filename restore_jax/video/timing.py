"""Frame times as whole ticks: on the grid of a frame rate where they lie on one, else as the file has them."""

from collections.abc import Iterable
from fractions import Fraction

import numpy as np

MOST = 1000  # frames a second


def on_grid(pts: np.ndarray, base: Fraction, named: Iterable[Fraction | None]) -> tuple[np.ndarray, Fraction]:
    """Return (stamps, tick): times of frames from the first one, as whole multiples of `tick` seconds.

    pts: increasing int64 in units of `base` seconds. The tick is that of the first rate on which all times lie to the
    precision of `base`, of the `named` rates and those that the times suggest; a frame that was dropped leaves a gap.
    If there is none, the tick is `base`.
    """
    since = pts - pts[0]
    if len(pts) > 1:
        mean, median = since[-1] / (len(pts) - 1) * float(base), float(np.median(np.diff(since)) * base)
        suggested = [Fraction(1 / step).limit_denominator(1001) for step in (mean, median)]
        for rate in (*named, *suggested):
            if not rate or not 0 < rate <= MOST:
                continue
            numbers = np.rint(since * float(base * rate)).astype(np.int64)
            error = np.abs(numbers / float(rate) - since * float(base)).max()
            # Each time is rounded to the base, and so is the first one, from which they count.
            if error <= min(1.01 * float(base), 0.25 / float(rate)) and (np.diff(numbers) > 0).all():
                return numbers, 1 / Fraction(rate)
    else:
        rate = next((Fraction(rate) for rate in named if rate and 0 < rate <= MOST), None)
        if rate:
            return since, 1 / rate
    return since, base


def usual_rate(stamps: np.ndarray, tick: Fraction, default: Fraction) -> Fraction:
    """Return the frames a second of most frames."""
    if len(stamps) < 2:
        return default
    step = int(np.median(np.diff(stamps)))
    return min(1 / (tick * max(step, 1)), Fraction(MOST)).limit_denominator(1001)
