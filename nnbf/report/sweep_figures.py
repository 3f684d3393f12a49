"""Figures of sweeps: potential-energy curves, basis-set limits, growth with size.

Each takes plain records, and belongs to no window; `nnbf.report.style.png` turns it into a file.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hamiltonians.errors import InputError
from nnbf._text import MINUS, value_with_error
from nnbf.analysis import fit_power_law, formula_curve
from nnbf.analysis.scaling import LABELS
from nnbf.estimate import REFERENCES, reference_label
from nnbf.report.style import (
    DASHED,
    INK,
    MUTED,
    PAPER,
    SERIES,
    bars,
    draw_accuracy,
    draw_legend,
    label_powers,
    logarithmic,
    new_figure,
    new_panels,
    number,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLES: dict[str, dict[str, Any]] = {
    "hf": {"color": MUTED, "linewidth": 1.2, "linestyle": DASHED},
    "ccsd": {"color": SERIES[4], "linewidth": 1.2, "linestyle": (0, (1, 1.5))},
    "ccsd_t": {"color": SERIES[1], "linewidth": 1.3},
    "fci": {"color": INK, "linewidth": 1.3},
}
_LEAST_ERROR = 1e-4  # mHa; below, differences along a scan are convergence thresholds


def draw_finding(kind: str, record: Mapping[str, Any], sweep: str) -> "Figure":
    """Draw a finding of a sweep.

    Args:
        kind: Key in `analysis` of sweep.json: basis_limits, curves or scaling.
        record: The entry there.
        sweep: Name of the sweep, for findings without a name.
    """
    title = str(record.get("name") or sweep)
    if kind == "basis_limits":
        family = record.get("family") or ""
        title = title if family in title else f"{title} {family}"  # the name has it where there are several
        return draw_basis_limit(record, exact=record.get("exact"), title=title)
    if kind == "curves":
        constants = (record.get("constants") or {}).get("energy")
        label = record["x_label"]
        return draw_curve(record["points"], x="x", x_label=label, constants=constants, title=title)
    group, against = "series" if any(record["series"]) else None, record["against"]
    return draw_scaling(record["points"], record["quantities"], against=against, group=group, title=sweep)


def draw_curve(
    rows: Sequence[Mapping[str, Any]],
    *,
    x: str = "r",
    x_label: str = "r (Å)",
    constants: Mapping[str, Any] | None = None,
    title: str = "",
) -> "Figure":
    """Draw energies along a scan, their error against FCI (or the best reference of all points), and <S^2>.

    Args:
        rows: One a geometry: `x`, `energy`, and where there are `energy_error`, `s_squared`, and the
            references "hf", "ccsd", "ccsd_t", "fci", in the row or under `references`.
        x: Key of the abscissa.
        x_label: Its name and unit.
        constants: `nnbf.analysis.DiatomicConstants.record()`, whose minimum is marked.
        title: Above the picture.

    Raises:
        InputError: No row has both `x` and an energy.
    """
    table = _table(rows, x)
    reference = _reference(table)
    spins = np.isfinite(table["s_squared"]).any()
    heights = [2.0, *([1.4] if reference else []), *([0.7] if spins else [])]
    size = (6.4, 1.0 + 1.5 * sum(heights))
    figure, columns = new_panels(size, len(heights), title=title, sharex=True, height_ratios=heights)
    panels = columns[:, 0]
    _draw_energies(panels[0], table, constants)
    if reference:
        _draw_errors(panels[1], table, reference)
    if spins:
        _draw_spin(panels[-1], table)
    panels[-1].set_xlabel(x_label)
    figure.align_ylabels()
    return figure


def _table(rows: Sequence[Mapping[str, Any]], x: str) -> dict[str, np.ndarray]:
    """Columns by ascending abscissa, NaN where a row has no value."""
    flat = [{**(row.get("references") or {}), **row} for row in rows]
    known = [row for row in flat if np.isfinite(number(row, x)) and np.isfinite(number(row, "energy"))]
    if not known:
        raise InputError(f"no point of the scan has {x!r} and an energy: there is nothing to draw")
    known.sort(key=lambda row: row[x])
    columns = {"x": np.array([number(row, x) for row in known])}
    for key in ("energy", "energy_error", "s_squared", *_STYLES):
        columns[key] = np.array([number(row, key) for row in known])
    return columns


def _reference(table: Mapping[str, np.ndarray]) -> str:
    """The most trusted reference that all points have, or ""."""
    for key in ("fci", "ccsd_t", "ccsd"):
        if np.isfinite(table[key]).all():
            return key
    return "fci" if np.isfinite(table["fci"]).any() else ""


def _draw_energies(axes: Any, table: Mapping[str, np.ndarray], constants: Any) -> None:
    for key, style in _STYLES.items():
        if np.isfinite(table[key]).any():
            axes.plot(table["x"], table[key], label=reference_label(key), zorder=2, **style)
    axes.errorbar(
        table["x"], table["energy"], bars(table["energy_error"]), fmt="o", color=SERIES[0],
        markersize=5, capsize=2.5, zorder=4, label="this work",
    )  # fmt: skip
    if constants is not None:
        where, how = constants["r_e"], constants["omega_e"]
        axes.axvline(where, color=MUTED, linewidth=0.9, linestyle=":", zorder=1)
        text = f"$r_e$ = {value_with_error(where, constants['r_e_error'])} Å\n"
        text += f"$\\omega_e$ = {value_with_error(how, constants['omega_e_error'])} cm$^{{-1}}$"
        axes.annotate(
            text, (where, 0.97), xycoords=axes.get_xaxis_transform(), xytext=(6, 0),
            textcoords="offset points", va="top", fontsize=8, color=INK,
        )  # fmt: skip
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_ylabel("energy (Ha)")
    _frame_well(axes, table)
    draw_legend(axes, ncols=2, loc="upper right")


def _frame_well(axes: Any, table: Mapping[str, np.ndarray]) -> None:
    """Show the well: a repulsive wall far above the far end would leave it flat."""
    drawn = [table[key][np.isfinite(table[key])] for key in ("energy", *_STYLES)]
    lowest = min(values.min() for values in drawn if values.size)
    highest = max(values.max() for values in drawn if values.size)
    far = max(values[-1] for values in drawn if values.size)
    limit = min(highest, far + 1.2 * max(far - lowest, 1e-3))
    margin = 0.05 * (limit - lowest)
    axes.set_ylim(lowest - margin, limit + margin)


def _draw_errors(axes: Any, table: Mapping[str, np.ndarray], reference: str) -> None:
    exact = REFERENCES[reference][1] == "exact"
    others = {key: table[key] for key in _STYLES if key not in ("hf", reference)}
    shown = {"energy": table["energy"], **others}
    for key, values in shown.items():
        error = 1e3 * (values - table[reference])
        if not np.isfinite(error).any():
            continue
        style = _STYLES[key] if key in _STYLES else {"color": SERIES[0], "linewidth": 1.2}
        marker = "o" if key == "energy" else "."
        magnitude = np.maximum(np.abs(error), _LEAST_ERROR)
        axes.plot(table["x"], magnitude, zorder=3, **style)
        below = error < 0
        # Hollow where the method lies below: a logarithmic axis has no sign.
        for where, face in ((~below, style["color"]), (below, PAPER)):
            axes.plot(
                table["x"][where], magnitude[where], marker, color=style["color"], markerfacecolor=face,
                markersize=5 if key == "energy" else 7, zorder=4,
            )  # fmt: skip
    axes.set_yscale("log")
    label_powers(axes.yaxis)
    if exact:
        draw_accuracy(axes)
    axes.set_ylabel(f"|error| to {reference_label(reference)} (mHa)\nhollow: below")


def _draw_spin(axes: Any, table: Mapping[str, np.ndarray]) -> None:
    axes.plot(table["x"], table["s_squared"], "o-", color=SERIES[3], markersize=4, linewidth=1.2)
    low, high = np.nanmin(table["s_squared"]), np.nanmax(table["s_squared"])
    if high - low < 0.05:  # noise of a pure spin state fills no panel
        middle = 0.5 * (low + high)
        axes.set_ylim(middle - 0.05, middle + 0.05)
    axes.set_ylabel("⟨S²⟩")


_PARTS = (("hf", "Hartree-Fock"), ("correlation", "correlation"))
_ZETA = {2: "D", 3: "T", 4: "Q"}


def draw_basis_limit(limit: Mapping[str, Any], *, exact: float | None = None, title: str = "") -> "Figure":
    """Draw total energies against X with the limit, the distances to it, and every formula's limit.

    Args:
        limit: `nnbf.analysis.BasisLimit.record()`.
        exact: Energy of a complete basis from elsewhere, Hartree.
        title: Above the picture.
    """
    figure = new_figure((8.6, 5.2), title=title)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.25, 1.0))
    total = figure.add_subplot(grid[0, 0])
    distance = figure.add_subplot(grid[1, 0], sharex=total)
    formulas = figure.add_subplot(grid[:, 1])
    for axes in (total, distance, formulas):
        style_axes(axes)
    _draw_total(total, limit, exact)
    _draw_distance(distance, limit)
    _draw_formulas(formulas, limit, exact)
    return figure


def _draw_total(axes: Any, limit: Mapping[str, Any], exact: float | None) -> None:
    x = np.array([point["cardinal"] for point in limit["points"]])
    y = np.array([point["energy"] for point in limit["points"]])
    errors = [point["error"] for point in limit["points"]]
    end = x[-1] + 1.0
    dense = np.linspace(x[-2], end - 0.25, 300)
    zero = limit["energy"]
    curve = sum(formula_curve(limit[part]["values"][0], dense) for part, _ in _PARTS)
    axes.plot(dense, 1e3 * (curve - zero), color=SERIES[0], linewidth=1.3, zorder=2)
    axes.errorbar(
        x, 1e3 * (y - zero), 1e3 * np.array(errors), fmt="o", color=SERIES[0], markersize=5,
        capsize=3, zorder=3, label="total energy",
    )  # fmt: skip
    if exact is not None:
        axes.axhline(1e3 * (exact - zero), color=MUTED, linewidth=1.0, linestyle=DASHED, label="exact")
    axes.errorbar(
        [end], [0.0], [1e3 * limit["error"]], fmt="P", color=SERIES[1], markersize=7, capsize=4,
        zorder=4, label=f"limit {value_with_error(limit['energy'], limit['error'])} Ha (no bound)",
    )  # fmt: skip
    axes.set_xticks([*x, end], [*(_ZETA.get(number, str(number)) for number in x), "∞"])
    axes.tick_params(labelbottom=False)
    axes.set_xlim(x[0] - 0.3, end + 0.3)
    axes.set_ylabel("energy less limit (mHa)")
    draw_legend(axes)


def _draw_distance(axes: Any, limit: Mapping[str, Any]) -> None:
    x = np.array([point["cardinal"] for point in limit["points"]])
    hf = np.array([point["hf"] for point in limit["points"]])
    total = np.array([point["energy"] for point in limit["points"]])
    dense = np.linspace(x[-2], x[-1] + 0.75, 300)
    for index, ((part, name), values) in enumerate(zip(_PARTS, (hf, total - hf), strict=True)):
        colour, zero = SERIES[2 + index], limit[part]["energy"]
        axes.plot(
            x, 1e3 * np.abs(values - zero), "so"[index], color=colour, markersize=5, zorder=3, label=name
        )
        curve = 1e3 * np.abs(formula_curve(limit[part]["values"][0], dense) - zero)
        axes.plot(dense, curve, color=colour, linewidth=1.2, zorder=2)
    axes.set_yscale("log")
    label_powers(axes.yaxis)
    axes.set_xlabel("cardinal number X" + (f" of {limit['family']}" if limit.get("family") else ""))
    axes.set_ylabel("above its limit (mHa)")
    draw_legend(axes, loc="upper right")


def _draw_formulas(axes: Any, limit: Mapping[str, Any], exact: float | None) -> None:
    """A row for every formula: its limit less the recommended one's."""
    row, ticks = 0, []
    for index, (part, name) in enumerate(_PARTS):
        colour, chosen = SERIES[2 + index], limit[part]
        rows = [value for value in chosen["values"] if value["energy"] is not None]
        _name_row(axes, row, name, colour)
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
    _name_row(axes, row, "total", SERIES[1])
    row += 1
    axes.errorbar(
        [0.0], [row], xerr=[1e3 * limit["error"]], fmt="P", color=SERIES[1], capsize=4, markersize=7
    )
    ticks.append((row, "limit"))
    if exact is not None:
        row += 1
        axes.plot([1e3 * (exact - limit["energy"])], [row], "|", color=INK, markersize=14, markeredgewidth=2)
        ticks.append((row, "exact"))
    axes.set_ylim(row + 0.6, -0.6)
    axes.axvline(0.0, color=MUTED, linewidth=0.8, zorder=1)
    axes.set_yticks([place for place, _ in ticks], [label for _, label in ticks])
    axes.tick_params(axis="y", labelsize=8, length=0)
    axes.grid(False, axis="y")
    axes.margins(x=0.12)
    axes.set_xlabel("limit less the recommended one (mHa)")


def _name_row(axes: Any, row: float, name: str, colour: str) -> None:
    axes.annotate(
        name, (0.0, row), xycoords=axes.get_yaxis_transform(), xytext=(4, 0), textcoords="offset points",
        color=colour, fontsize=8.5, va="center",
    )  # fmt: skip


def _typeset(label: str) -> str:
    """A formula with raised exponents and proper minus signs."""
    return re.sub(r"\^(-[\w.]+)", r"$^{\1}$", label).replace("(-", f"({MINUS}")


_MARKERS = "osD^vP"


def draw_scaling(
    rows: Sequence[Mapping[str, Any]],
    quantities: Sequence[str],
    *,
    against: str = "n_spin_orbitals",
    group: str | None = None,
    labels: Mapping[str, str] | None = None,
    title: str = "",
) -> "Figure":
    """Draw quantities against size, with power laws where three sizes or more have a value.

    Args:
        rows: One a run.
        quantities: Keys of what is drawn, a panel each; `q_error`, where there is one, is the error of `q`.
        against: Key of the size.
        group: Key whose values ("chain", "ring") have points and fits of their own.
        labels: Names of keys, beside `LABELS`.
        title: Above the picture.

    Raises:
        InputError: No quantities, or no row has the size and one of them.
    """
    names = {**LABELS, **(labels or {})}
    drawable = [row for row in rows if any(_positive(row, against, key) for key in quantities)]
    if not drawable:
        raise InputError(f"no run has {against!r} and one of {', '.join(quantities) or 'no quantities'}")
    columns = min(len(quantities), 2 if len(quantities) in (2, 4) else 3)
    lines = -(-len(quantities) // columns)
    size = (3.7 * columns + 0.5, 3.1 * lines + 0.3)
    figure, grid = new_panels(size, lines, columns, title=title, sharex=True)
    panels = grid.ravel()
    for axes, key in zip(panels, quantities):
        _draw_quantity(axes, drawable, key, against, group)
        axes.set_ylabel(names.get(key, key))
    for spare in panels[len(quantities) :]:
        spare.set_visible(False)
    for index in range(len(quantities)):
        if index + columns >= len(quantities):  # nothing below
            panels[index].set_xlabel(names.get(against, against))
            panels[index].tick_params(labelbottom=True)
    logarithmic(panels[0].xaxis, [number(row, against) for row in drawable])
    figure.align_ylabels()
    return figure


def _draw_quantity(
    axes: Any, rows: Sequence[Mapping[str, Any]], key: str, against: str, group: str | None
) -> None:
    names = [None] if group is None else list(dict.fromkeys(row.get(group) for row in rows))
    drawn: list[float] = []
    for index, name in enumerate(names):
        chosen = [row for row in rows if group is None or row.get(group) == name]
        known = [row for row in chosen if _positive(row, against, key)]
        if not known:
            continue
        colour = SERIES[index % len(SERIES)]
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
        axes.text(0.5, 0.5, "no values", ha="center", va="center", transform=axes.transAxes, color=MUTED)
        return
    logarithmic(axes.yaxis, drawn)
    draw_legend(axes, loc="best")


def _fit(x: np.ndarray, y: np.ndarray, errors: np.ndarray, name: str) -> tuple[Any, str]:
    """The power law, or None, and what the legend says of it."""
    try:
        law = fit_power_law(x.tolist(), y.tolist(), errors.tolist() if errors.any() else None)
    except InputError:
        return None, name or "too few sizes for a fit"
    power = f"$x^{{{value_with_error(law.exponent, max(law.exponent_error, 1e-3))}}}$"
    return law, f"{name}: {power}" if name else power


def _positive(row: Mapping[str, Any], *keys: str) -> bool:
    return all(np.isfinite(number(row, key)) and number(row, key) > 0 for key in keys)
