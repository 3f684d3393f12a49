"""The plot of a run's extrapolations: settled energies against what vanishes where V is everything."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nnbf.report._theme import LIGHT, Theme, style_axes
from nnbf.report.energies import best_reference, error_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nnbf.report.runs import RunRecord

_PANELS = (("pt2", "minus second-order correction"), ("variance", "variance"))


def has_extrapolation(run: "RunRecord") -> bool:
    """Whether evaluation.json holds a fit."""
    return bool(_fits(run))


def draw_extrapolations(run: "RunRecord", theme: Theme = LIGHT, *, narrow: bool = False) -> "Figure":
    """Draw every fit: points, straight line, and where it ends.

    Args:
        run: What its folder says; see `has_extrapolation`.
        theme: Colours.
        narrow: Put the panels below each other, for phones.

    Returns:
        A Matplotlib figure that belongs to no window.
    """
    from matplotlib.figure import Figure

    fits = _fits(run)
    shape = (len(fits), 1) if narrow else (1, len(fits))
    size = (4.6, 3.6 * len(fits)) if narrow else (4.6 * len(fits), 3.9)
    figure = Figure(figsize=size, dpi=150, facecolor=theme.paper, layout="constrained")
    panels = figure.subplots(*shape, squeeze=False).ravel()
    for axes, (label, fit) in zip(panels, fits, strict=True):
        style_axes(axes, theme)
        _draw_fit(axes, run, label, fit, theme)
    return figure


def _fits(run: "RunRecord") -> list[tuple[str, Mapping[str, Any]]]:
    found = run.evaluation.get("extrapolations") or {}
    return [(label, found[name]) for name, label in _PANELS if "energy" in (found.get(name) or {})]


def _draw_fit(axes: Any, run: "RunRecord", label: str, fit: Mapping[str, Any], theme: Theme) -> None:
    yardstick = best_reference(run.result.get("references") or {})
    zero = fit["energy"] if yardstick is None else yardstick.energy
    name = "the fit's end" if yardstick is None else yardstick.label
    unit = error_unit(run.result)
    x = np.array(fit["x"])
    y = 1e3 * (np.array(fit["y"]) - zero)
    constant, slope = fit["coefficients"]
    line = np.linspace(0.0, 1.05 * x.max(), 200)
    blue, red = theme.series[0], theme.series[1]
    axes.plot(line, 1e3 * (constant + slope * line - zero), color=blue, linewidth=1.3, zorder=2, label="line")
    axes.plot(x, y, "o", color=blue, markersize=5, zorder=3, label="end of a stage")
    axes.errorbar(
        [0.0], [1e3 * (fit["energy"] - zero)], yerr=[1e3 * fit["error"]], fmt="P", color=red,
        markersize=7, capsize=4, zorder=4, clip_on=False, label="extrapolated (no bound)",
    )  # fmt: skip
    if yardstick is not None:
        axes.axhline(0.0, color=theme.muted, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.set_xlim(left=-0.02 * x.max())
    axes.set_xlabel(f"{label} ({_unit_of(label, run)})", color=theme.ink)
    axes.set_ylabel(f"energy less {name} ({unit})", color=theme.ink)
    legend = axes.legend(loc="upper left", fontsize=8, framealpha=0.85, edgecolor=theme.grid)
    legend.get_frame().set_facecolor(theme.paper)
    for text in legend.get_texts():
        text.set_color(theme.ink)


def _unit_of(label: str, run: "RunRecord") -> str:
    unit = run.result.get("energy_unit") or "Hartree"
    return f"{unit}²" if label == "variance" else unit
