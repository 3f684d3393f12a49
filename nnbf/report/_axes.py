"""What pictures of sweeps share: figures, legends, logarithmic ticks that can be read."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnbf.report._theme import Theme
from nnbf.report.numbers import MINUS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(size: tuple[float, float], theme: Theme) -> "Figure":
    """Return a figure that belongs to no window."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, dpi=150, facecolor=theme.paper, layout="constrained")


def draw_legend(axes: Any, theme: Theme, **options: Any) -> None:
    """Draw the legend of these axes in the colours of the theme, if there is anything to name."""
    if not axes.get_legend_handles_labels()[0]:
        return
    legend = axes.legend(**{"fontsize": 8, "framealpha": 0.85, "edgecolor": theme.grid, **options})
    legend.get_frame().set_facecolor(theme.paper)
    for text in legend.get_texts():
        text.set_color(theme.ink)


def logarithmic(axis: Any, values: Sequence[float]) -> None:
    """Make an axis logarithmic; where it shows few decades, with plain numbers between powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    known = np.asarray([value for value in values if np.isfinite(value) and value > 0])
    (axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale)("log")
    if not known.size:
        return
    decades = np.log10(known.max() / known.min())
    subs = (1.0,) if decades > 3 else (1.0, 2.0, 5.0) if decades > 1 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    axis.set_major_locator(LogLocator(base=10, subs=subs, numticks=30))
    axis.set_minor_formatter(NullFormatter())
    if decades <= 3:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))


def with_error(value: float, error: float, *, most: int = 7) -> str:
    """Return a value with the uncertainty of its last digits: 1.1942(3), 2.41(11)."""
    if not error > 0:
        return f"{value:.6g}".replace("-", MINUS)
    digits = int(np.clip(np.ceil(-np.log10(error)), 0, most))
    if digits < most and round(error * 10**digits) < 2:
        digits += 1
    scaled = error * 10**digits
    return f"{value:.{digits}f}({max(1, round(scaled))})".replace("-", MINUS)


def number(row: Mapping[str, Any], key: str) -> float:
    """Return a number of a record, NaN where there is none."""
    value = row.get(key)
    return float("nan") if value is None else float(value)
