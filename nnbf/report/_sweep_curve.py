"""The picture of a potential-energy scan: curves of all methods, their errors, and <S^2>."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hamiltonians.errors import InputError
from nnbf.report._axes import draw_legend, new_figure, number, with_error
from nnbf.report._theme import LIGHT, Theme, style_axes
from nnbf.report.energies import REFERENCES, reference_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRAWN = ("hf", "ccsd", "ccsd_t", "fci")
_CHEMICAL_ACCURACY = 1.6  # mHa, one kcal/mol
_SMALLEST = 1e-4  # mHa; below, differences are convergence thresholds
_LEGEND_COLUMNS = 2


def draw_curve(
    rows: Sequence[Mapping[str, Any]],
    *,
    x: str = "r",
    x_label: str = "r (Å)",
    constants: Mapping[str, Any] | None = None,
    title: str = "",
    theme: Theme = LIGHT,
) -> "Figure":
    """Draw energies along a scan, their error against FCI (or the best reference of all points), and <S^2>.

    Args:
        rows: One a geometry: `x`, `energy`, and where there are `energy_error`, `s_squared`, and the
            references "hf", "ccsd", "ccsd_t", "fci", in the row or under `references`.
        x: Key of the abscissa.
        x_label: Its name and unit.
        constants: `nnbf.analysis.DiatomicConstants.record()`, whose minimum is marked.
        title: Above the picture.
        theme: Colours.

    Returns:
        A Matplotlib figure that belongs to no window.

    Raises:
        InputError: No row has both `x` and an energy.
    """
    table = _table(rows, x)
    yardstick = _yardstick(table)
    spins = np.isfinite(table["s_squared"]).any()
    heights = [2.0, *([1.4] if yardstick else []), *([0.7] if spins else [])]
    figure = new_figure((6.4, 1.0 + 1.5 * sum(heights)), theme)
    panels = list(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0])
    for axes in panels:
        style_axes(axes, theme)
    _draw_energies(panels[0], table, constants, theme)
    if yardstick:
        _draw_errors(panels[1], table, yardstick, theme)
    if spins:
        _draw_spin(panels[-1], table, theme)
    panels[-1].set_xlabel(x_label)
    figure.align_ylabels()
    if title:
        figure.suptitle(title, color=theme.ink, fontsize=10)
    return figure


def _table(rows: Sequence[Mapping[str, Any]], x: str) -> dict[str, np.ndarray]:
    """Columns by ascending abscissa, NaN where a row has no value."""
    flat = [{**(row.get("references") or {}), **row} for row in rows]
    known = [row for row in flat if np.isfinite(number(row, x)) and np.isfinite(number(row, "energy"))]
    if not known:
        raise InputError(f"no point of the scan has {x!r} and an energy: there is nothing to draw")
    known.sort(key=lambda row: row[x])
    columns = {"x": np.array([number(row, x) for row in known])}
    for key in ("energy", "energy_error", "s_squared", *_DRAWN):
        columns[key] = np.array([number(row, key) for row in known])
    return columns


def _yardstick(table: Mapping[str, np.ndarray]) -> str:
    """The most trusted reference that all points have, or ""."""
    for key in ("fci", "ccsd_t", "ccsd"):
        if np.isfinite(table[key]).all():
            return key
    return "fci" if np.isfinite(table["fci"]).any() else ""


def _draw_energies(axes: Any, table: Mapping[str, np.ndarray], constants: Any, theme: Theme) -> None:
    for key, style in _styles(theme).items():
        if np.isfinite(table[key]).any():
            axes.plot(table["x"], table[key], label=reference_label(key), zorder=2, **style)
    errors = np.nan_to_num(table["energy_error"])
    axes.errorbar(
        table["x"], table["energy"], errors if errors.any() else None, fmt="o", color=theme.series[0],
        markersize=5, capsize=2.5, zorder=4, label="this work",
    )  # fmt: skip
    if constants is not None:
        where, how = constants["r_e"], constants["omega_e"]
        axes.axvline(where, color=theme.muted, linewidth=0.9, linestyle=":", zorder=1)
        text = f"$r_e$ = {with_error(where, constants['r_e_error'])} Å\n"
        text += f"$\\omega_e$ = {with_error(how, constants['omega_e_error'])} cm$^{{-1}}$"
        axes.annotate(
            text, (where, 0.97), xycoords=axes.get_xaxis_transform(), xytext=(6, 0),
            textcoords="offset points", va="top", fontsize=8, color=theme.ink,
        )  # fmt: skip
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_ylabel("energy (Ha)")
    _frame_well(axes, table)
    draw_legend(axes, theme, ncols=_LEGEND_COLUMNS, loc="upper right")


def _frame_well(axes: Any, table: Mapping[str, np.ndarray]) -> None:
    """Show the well: a repulsive wall far above the far end would leave it flat."""
    drawn = [table[key][np.isfinite(table[key])] for key in ("energy", *_DRAWN)]
    lowest = min(values.min() for values in drawn if values.size)
    highest = max(values.max() for values in drawn if values.size)
    far = max(values[-1] for values in drawn if values.size)
    limit = min(highest, far + 1.2 * max(far - lowest, 1e-3))
    margin = 0.05 * (limit - lowest)
    axes.set_ylim(lowest - margin, limit + margin)


def _draw_errors(axes: Any, table: Mapping[str, np.ndarray], yardstick: str, theme: Theme) -> None:
    exact = REFERENCES[yardstick][1] == "exact"
    shown = {"energy": table["energy"], **{key: table[key] for key in _DRAWN if key not in ("hf", yardstick)}}
    for key, values in shown.items():
        error = 1e3 * (values - table[yardstick])
        if not np.isfinite(error).any():
            continue
        style = _styles(theme)[key] if key in _DRAWN else {"color": theme.series[0], "linewidth": 1.2}
        marker = "o" if key == "energy" else "."
        magnitude = np.maximum(np.abs(error), _SMALLEST)
        axes.plot(table["x"], magnitude, zorder=3, **style)
        below = error < 0
        # Hollow where the method lies below: a logarithmic axis has no sign.
        for where, face in ((~below, style["color"]), (below, theme.paper)):
            axes.plot(
                table["x"][where], magnitude[where], marker, color=style["color"], markerfacecolor=face,
                markersize=5 if key == "energy" else 7, zorder=4,
            )  # fmt: skip
    axes.set_yscale("log")
    if exact:
        lowest, highest = axes.get_ylim()
        axes.axhspan(lowest, _CHEMICAL_ACCURACY, color=theme.grid, alpha=0.45, zorder=0)
        axes.set_ylim(lowest, max(highest, 2 * _CHEMICAL_ACCURACY))
        axes.annotate(
            "within 1.6 mHa", (0.012, _CHEMICAL_ACCURACY), xycoords=axes.get_yaxis_transform(),
            xytext=(0, -7), textcoords="offset points", va="center", fontsize=8, color=theme.muted,
        )  # fmt: skip
    axes.set_ylabel(f"|error| to {reference_label(yardstick)} (mHa)\nhollow: below")


def _draw_spin(axes: Any, table: Mapping[str, np.ndarray], theme: Theme) -> None:
    axes.plot(table["x"], table["s_squared"], "o-", color=theme.series[3], markersize=4, linewidth=1.2)
    low, high = np.nanmin(table["s_squared"]), np.nanmax(table["s_squared"])
    if high - low < 0.05:  # noise of a pure spin state fills no panel
        middle = 0.5 * (low + high)
        axes.set_ylim(middle - 0.05, middle + 0.05)
    axes.set_ylabel("⟨S²⟩")


def _styles(theme: Theme) -> dict[str, dict[str, Any]]:
    return {
        "hf": {"color": theme.muted, "linewidth": 1.2, "linestyle": (0, (4, 3))},
        "ccsd": {"color": theme.series[4], "linewidth": 1.2, "linestyle": (0, (1, 1.5))},
        "ccsd_t": {"color": theme.series[1], "linewidth": 1.3},
        "fci": {"color": theme.ink, "linewidth": 1.3},
    }
