"""The picture of a basis-set limit: energies against X, distance to the limit, what each formula says."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nnbf.analysis import formula_curve
from nnbf.report._axes import draw_legend, new_figure, with_error
from nnbf.report._theme import LIGHT, Theme, style_axes
from nnbf.report.numbers import MINUS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PARTS = (("hf", "Hartree-Fock"), ("correlation", "correlation"))
_ZETA = {2: "D", 3: "T", 4: "Q"}


def draw_basis_limit(
    limit: Mapping[str, Any], *, exact: float | None = None, title: str = "", theme: Theme = LIGHT
) -> "Figure":
    """Draw total energies against X with the limit, the distances to it, and every formula's limit.

    Args:
        limit: `nnbf.analysis.BasisLimit.record()`.
        exact: Energy of a complete basis from elsewhere, Hartree.
        title: Above the picture.
        theme: Colours.

    Returns:
        A Matplotlib figure that belongs to no window.
    """
    figure = new_figure((8.6, 5.2), theme)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.25, 1.0))
    total = figure.add_subplot(grid[0, 0])
    distance = figure.add_subplot(grid[1, 0], sharex=total)
    formulas = figure.add_subplot(grid[:, 1])
    for axes in (total, distance, formulas):
        style_axes(axes, theme)
    _draw_total(total, limit, exact, theme)
    _draw_distance(distance, limit, theme)
    _draw_formulas(formulas, limit, exact, theme)
    if title:
        figure.suptitle(title, color=theme.ink, fontsize=10)
    return figure


def _draw_total(axes: Any, limit: Mapping[str, Any], exact: float | None, theme: Theme) -> None:
    x = np.array([point["cardinal"] for point in limit["points"]])
    y = np.array([point["energy"] for point in limit["points"]])
    errors = [point["error"] for point in limit["points"]]
    end = x[-1] + 1.0
    dense = np.linspace(x[-2], end - 0.25, 300)
    zero = limit["energy"]
    curve = sum(formula_curve(limit[part]["values"][0], dense) for part, _ in _PARTS)
    axes.plot(dense, 1e3 * (curve - zero), color=theme.series[0], linewidth=1.3, zorder=2)
    axes.errorbar(
        x, 1e3 * (y - zero), 1e3 * np.array(errors), fmt="o", color=theme.series[0], markersize=5,
        capsize=3, zorder=3, label="total energy",
    )  # fmt: skip
    if exact is not None:
        axes.axhline(
            1e3 * (exact - zero), color=theme.muted, linewidth=1.0, linestyle=(0, (4, 3)), label="exact"
        )
    axes.errorbar(
        [end], [0.0], [1e3 * limit["error"]], fmt="P", color=theme.series[1], markersize=7, capsize=4,
        zorder=4, label=f"limit {with_error(limit['energy'], limit['error'])} Ha (no bound)",
    )  # fmt: skip
    axes.set_xticks([*x, end], [*(_ZETA.get(number, str(number)) for number in x), "∞"])
    axes.tick_params(labelbottom=False)
    axes.set_xlim(x[0] - 0.3, end + 0.3)
    axes.set_ylabel("energy less limit (mHa)")
    draw_legend(axes, theme)


def _draw_distance(axes: Any, limit: Mapping[str, Any], theme: Theme) -> None:
    x = np.array([point["cardinal"] for point in limit["points"]])
    hf = np.array([point["hf"] for point in limit["points"]])
    total = np.array([point["energy"] for point in limit["points"]])
    dense = np.linspace(x[-2], x[-1] + 0.75, 300)
    for index, ((part, name), values) in enumerate(zip(_PARTS, (hf, total - hf), strict=True)):
        colour, zero = theme.series[2 + index], limit[part]["energy"]
        axes.plot(
            x, 1e3 * np.abs(values - zero), "so"[index], color=colour, markersize=5, zorder=3, label=name
        )
        curve = 1e3 * np.abs(formula_curve(limit[part]["values"][0], dense) - zero)
        axes.plot(dense, curve, color=colour, linewidth=1.2, zorder=2)
    axes.set_yscale("log")
    axes.set_xlabel("cardinal number X" + (f" of {limit['family']}" if limit.get("family") else ""))
    axes.set_ylabel("above its limit (mHa)")
    draw_legend(axes, theme, loc="upper right")


def _draw_formulas(axes: Any, limit: Mapping[str, Any], exact: float | None, theme: Theme) -> None:
    """A row for every formula: its limit less the recommended one's."""
    row, ticks = 0, []
    for index, (part, name) in enumerate(_PARTS):
        colour, chosen = theme.series[2 + index], limit[part]
        rows = [value for value in chosen["values"] if value["energy"] is not None]
        axes.annotate(
            name, (0.0, row), xycoords=axes.get_yaxis_transform(), xytext=(4, 0), textcoords="offset points",
            color=colour, fontsize=8.5, va="center",
        )  # fmt: skip
        top = row + 0.55
        for value in rows:
            row += 1
            shift = 1e3 * (value["energy"] - chosen["energy"])
            axes.errorbar(
                [shift], [row], xerr=[1e3 * value["error"]], fmt="so"[index], color=colour, capsize=3,
                markersize=6, markerfacecolor=colour if value is rows[0] else "none",
            )  # fmt: skip
            ticks.append((row, _typeset(value["label"])))
        half = 1e3 * chosen["error"]
        axes.fill_betweenx([top, row + 0.45], -half, half, color=colour, alpha=0.13, linewidth=0)
        row += 1
    axes.annotate(
        "total", (0.0, row), xycoords=axes.get_yaxis_transform(), xytext=(4, 0), textcoords="offset points",
        color=theme.series[1], fontsize=8.5, va="center",
    )  # fmt: skip
    row += 1
    axes.errorbar(
        [0.0], [row], xerr=[1e3 * limit["error"]], fmt="P", color=theme.series[1], capsize=4, markersize=7
    )
    ticks.append((row, "limit"))
    if exact is not None:
        row += 1
        axes.plot(
            [1e3 * (exact - limit["energy"])], [row], "|", color=theme.ink, markersize=14, markeredgewidth=2
        )
        ticks.append((row, "exact"))
    axes.set_ylim(row + 0.6, -0.6)
    axes.axvline(0.0, color=theme.muted, linewidth=0.8, zorder=1)
    axes.set_yticks([place for place, _ in ticks], [label for _, label in ticks])
    axes.tick_params(axis="y", labelsize=8, length=0)
    axes.grid(False, axis="y")
    axes.margins(x=0.12)
    axes.set_xlabel("limit less the recommended one (mHa)")


def _typeset(label: str) -> str:
    """A formula with raised exponents and proper minus signs."""
    return re.sub(r"\^(-[\w.]+)", r"$^{\1}$", label).replace("(-", f"({MINUS}")
