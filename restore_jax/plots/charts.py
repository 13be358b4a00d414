"""Charts of results, drawn by Matplotlib (the extra `plots`): precision against recall, and quality against cost."""

import importlib.util
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from restore_jax.errors import InputError, install_line

COLOURS = (  # Okabe & Ito's: told apart by people of any colour vision
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"),
)
MARGIN = 80  # pixels around the axes


def check_matplotlib(what: object) -> None:
    """Raise InputError, naming `what` needs them, unless Matplotlib and adjustText are installed."""
    if importlib.util.find_spec("matplotlib") is None or importlib.util.find_spec("adjustText") is None:
        raise InputError(f"{what}: needs Matplotlib: {install_line('plots')}")


def draw_precision_recall(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> np.ndarray:
    """Draw curves {label: (precision, recall)}, both in [0, 1] (dissertation, Fig. 3.6). Returns (h, w, 3) uint8."""
    figure, axes = _figure(640, 640)
    for colour, (label, (precision, recall)) in zip(itertools.cycle(COLOURS), curves.items(), strict=False):
        order = np.argsort(recall, kind="stable")
        axes.plot(np.asarray(recall)[order], np.asarray(precision)[order], color=colour, linewidth=2, label=label)
    low = np.floor(10 * min([min(precision) for precision, _ in curves.values()] + [0.9])) / 10
    axes.set(xlim=(0, 1), ylim=(low, 1), xlabel="recall", ylabel="precision")
    axes.legend(loc="lower left")
    return _pixels(figure)


def draw_scatter(points: Mapping[str, tuple[float, float | None, float | None]], x: str, y: str) -> np.ndarray:
    """Draw points {label: (x, measured, printed)}, full where measured, rings where printed. Returns (h, w, 3) uint8.

    The x axis is logarithmic if its values differ by more than a factor of two. x, y: names of the axes.
    """
    from adjustText import adjust_text
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure, axes = _figure(960, 640)
    axes.margins(0.1)
    places, rings, texts = [], [], []
    for colour, (label, (cost, *values)) in zip(itertools.cycle(COLOURS), points.items(), strict=False):
        for value, face in zip(values, (colour, "none"), strict=True):
            if value is not None:
                rings += axes.plot(cost, value, "o", ms=9, color=colour, markerfacecolor=face, markeredgewidth=2)
                places.append((cost, value))
        texts.append(axes.text(*places[-1], label, color=colour))
    costs = [cost for cost, _ in places]
    if max(costs) > 2 * min(costs):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    axes.set(xlabel=x, ylabel=f"{y}  (full: measured, ring: printed)")
    adjust_text(texts, objects=rings, ax=axes, expand=(1.2, 1.4), iter_lim=200, time_lim=None)
    return _pixels(figure)


def _figure(width: int, height: int):
    """Return (figure, axes): axes of width x height pixels with a grid."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    whole = width + 2 * MARGIN, height + 2 * MARGIN
    figure = Figure((whole[0] / 100, whole[1] / 100), dpi=100)
    FigureCanvasAgg(figure)  # a picture in memory, which no window shows
    axes = figure.add_axes((MARGIN / whole[0], MARGIN / whole[1], width / whole[0], height / whole[1]))
    axes.grid(color="#e0e0e0")
    axes.set_axisbelow(True)
    return figure, axes


def _pixels(figure) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
