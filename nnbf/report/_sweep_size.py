"""The picture of growth with size: a log-log panel for every quantity, with the exponents of its fits."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hamiltonians.errors import InputError
from nnbf.analysis import fit_power_law
from nnbf.analysis.scaling import LABELS
from nnbf.report._axes import draw_legend, logarithmic, new_figure, number, with_error
from nnbf.report._theme import LIGHT, Theme, style_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKERS = "osD^vP"


def draw_scaling(
    rows: Sequence[Mapping[str, Any]],
    quantities: Sequence[str],
    *,
    against: str = "n_spin_orbitals",
    group: str | None = None,
    labels: Mapping[str, str] | None = None,
    title: str = "",
    theme: Theme = LIGHT,
) -> "Figure":
    """Draw quantities against size, with power laws where three sizes or more have a value.

    Args:
        rows: One a run.
        quantities: Keys of what is drawn, a panel each; `q_error`, where there is one, is the error of `q`.
        against: Key of the size.
        group: Key whose values ("chain", "ring") have points and fits of their own.
        labels: Names of keys, beside `LABELS`.
        title: Above the picture.
        theme: Colours.

    Returns:
        A Matplotlib figure that belongs to no window.

    Raises:
        InputError: No quantities, or no row has the size and one of them.
    """
    names = {**LABELS, **(labels or {})}
    drawable = [row for row in rows if any(_positive(row, against, key) for key in quantities)]
    if not drawable:
        raise InputError(f"no run has {against!r} and one of {', '.join(quantities) or 'no quantities'}")
    columns = min(len(quantities), 2 if len(quantities) in (2, 4) else 3)
    lines = -(-len(quantities) // columns)
    figure = new_figure((3.7 * columns + 0.5, 3.1 * lines + 0.3), theme)
    panels = figure.subplots(lines, columns, sharex=True, squeeze=False).ravel()
    for axes, key in zip(panels, quantities):
        style_axes(axes, theme)
        _draw_quantity(axes, drawable, key, against, group, theme)
        axes.set_ylabel(names.get(key, key))
    for spare in panels[len(quantities) :]:
        spare.set_visible(False)
    for index in range(len(quantities)):
        if index + columns >= len(quantities):  # nothing below
            panels[index].set_xlabel(names.get(against, against))
            panels[index].tick_params(labelbottom=True)
    logarithmic(panels[0].xaxis, [number(row, against) for row in drawable])
    figure.align_ylabels()
    if title:
        figure.suptitle(title, color=theme.ink, fontsize=10)
    return figure


def _draw_quantity(
    axes: Any, rows: Sequence[Mapping[str, Any]], key: str, against: str, group: str | None, theme: Theme
) -> None:
    names = [None] if group is None else list(dict.fromkeys(row.get(group) for row in rows))
    drawn: list[float] = []
    for index, name in enumerate(names):
        chosen = [row for row in rows if group is None or row.get(group) == name]
        known = [row for row in chosen if _positive(row, against, key)]
        if not known:
            continue
        colour = theme.series[index % len(theme.series)]
        x = np.array([number(row, against) for row in known])
        y = np.array([number(row, key) for row in known])
        drawn.extend(y)
        errors = np.array([np.nan_to_num(number(row, f"{key}_error")) for row in known])
        law, label = _fit(x, y, errors, "" if name is None else str(name))
        axes.errorbar(
            x, y, np.minimum(errors, 0.9 * y) if errors.any() else None, linestyle="none", capsize=2.5,
            marker=_MARKERS[index % len(_MARKERS)], color=colour, markersize=5, zorder=3, label=label,
        )  # fmt: skip
        if law is not None:
            line = np.geomspace(law.x_range[0], law.x_range[1], 50)
            axes.plot(line, law(line), color=colour, linewidth=1.2, zorder=2)
    if not drawn:
        axes.set_yscale("log")
        axes.text(
            0.5, 0.5, "no values", ha="center", va="center", transform=axes.transAxes, color=theme.muted
        )
        return
    logarithmic(axes.yaxis, drawn)
    draw_legend(axes, theme, loc="best")


def _fit(x: np.ndarray, y: np.ndarray, errors: np.ndarray, name: str) -> tuple[Any, str]:
    """The power law, or None, and what the legend says of it."""
    try:
        law = fit_power_law(x.tolist(), y.tolist(), errors.tolist() if errors.any() else None)
    except InputError:
        return None, name or "too few sizes for a fit"
    power = f"$x^{{{with_error(law.exponent, max(law.exponent_error, 1e-3))}}}$"
    return law, f"{name}: {power}" if name else power


def _positive(row: Mapping[str, Any], *keys: str) -> bool:
    return all(np.isfinite(number(row, key)) and number(row, key) > 0 for key in keys)
