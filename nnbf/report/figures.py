"""Figures of runs: energies against steps and time, extrapolations, many runs side by side."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnbf.estimate import KINDS
from nnbf.report.energies import best_reference
from nnbf.report.style import (
    CHEMICAL_ACCURACY,
    DASHED,
    GRID,
    INK,
    MUTED,
    PAPER,
    SERIES,
    SMALLEST,
    ErrorScale,
    draw_accuracy,
    draw_legend,
    draw_lines,
    label_powers,
    logarithmic,
    new_figure,
    new_panels,
    verbatim,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nnbf.report.reading import RunRecord

_MOST_CURVES = 12  # that can be told apart
_MOST_POINTS = 400
_MOST_SYSTEMS = 40
_MARKERS = {"full_sum": "D", "projected": "^", "pt2": "v", "vmc": "s", "extrapolated": "P"}
_PANELS = (("pt2", "minus second-order correction"), ("variance", "variance"))


def draw_history(run: "RunRecord") -> "Figure":
    """Draw energies against steps and seconds: of one level above its space, of several their distances.

    Args:
        run: Content of its folder.
    """
    rows = [row for row in run.history if row.get("energy") is not None]
    if not rows:
        figure = new_figure((9.0, 1.0), layout=None)
        figure.text(0.5, 0.5, "no step has been made yet", ha="center", color=MUTED)
        return figure
    curves = _curves(rows)
    return _draw_one_level(run, rows) if len(curves) == 1 else _draw_many_levels(run, curves)


def has_history(run: "RunRecord") -> bool:
    """Return whether a history has steps: those of older charge excitations have finished levels."""
    return any(row.get("energy") is not None and "time_s" in row for row in run.history)


def _curves(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, int], list[Mapping[str, Any]]]:
    """Rows of every level: by particles, sector and number."""
    curves: dict[tuple[str, str, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        sector = re.sub(r" row \d+$", "", str(row.get("sector") or ""))  # any row of an irrep has its levels
        key = (_particles(row), sector, row.get("level") or 0)
        curves.setdefault(key, []).append(row)
    return curves


def _particles(row: Mapping[str, Any]) -> str:
    return "+".join(map(str, row.get("particles") or ()))


def _thinned(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Some of many rows, the first and the last among them."""
    if len(rows) <= _MOST_POINTS:
        return list(rows)
    return [rows[k] for k in np.unique(np.linspace(0, len(rows) - 1, _MOST_POINTS).round().astype(int))]


def _draw_one_level(run: "RunRecord", rows: Sequence[Mapping[str, Any]]) -> "Figure":
    from matplotlib.ticker import MaxNLocator

    rows = _thinned(rows)
    sampled = rows[-1].get("energy_kind") == "vmc"
    sizes = "n_unique" if sampled else "n_space"
    with_space = any(row.get(sizes) for row in rows)
    # Fixed margins: a layout engine takes more time than all the rest.
    figure, panels = new_panels(
        (9.0, 4.9 if with_space else 3.8), 2 if with_space else 1, 2, layout=None, sharex="col", sharey="row",
        height_ratios=(3, 1) if with_space else (1,),
        gridspec_kw={"left": 0.085, "right": 0.905, "top": 0.985, "hspace": 0.07, "wspace": 0.05,
                     "bottom": 0.105 if with_space else 0.135},
    )  # fmt: skip
    scale = _scale(run, rows)
    kind = "vmc" if sampled else "variational" if run.is_molecule else "full_sum"
    label = KINDS[kind][0] if kind == "variational" else f"{KINDS[kind][0]}, of each step"
    heights = scale.heights([row["energy"] for row in rows])
    around = scale.heights([_energy_around(row) for row in rows])
    steps = np.array([row.get("step", index) for index, row in enumerate(rows)])
    times = np.array([row.get("time_s") or 0.0 for row in rows])
    for (upper, *_, lower), name, x in zip(panels.T[:, [0, -1]], ("step", "time (s)"), (steps, times)):
        upper.plot(x, heights, color=SERIES[0], linewidth=1.8, zorder=3, label=label)
        if len(x) < 40:
            upper.plot(x, heights, ".", color=SERIES[0], markersize=5, zorder=3)
        if not np.all(np.isnan(around)):
            upper.plot(x, around, ".-", color=SERIES[4], linewidth=1.0, label="V and a sample around it")
        _draw_estimates(upper, run, scale, x[-1])
        if with_space:
            _draw_space(lower, rows, x, sizes)
        lower.set_xlabel(name)
        for axes in (upper, lower):
            axes.margins(x=0.03)
        scale.apply(upper, _all_heights(run, scale, np.concatenate([heights, around[~np.isnan(around)]])))
    panels[0, 0].set_ylabel(scale.label)
    if with_space:
        panels[1, 0].set_ylabel("distinct" if sampled else "|V|")
    if times[0] < 0.5 * times[-1]:  # what came before the first step took time, too
        panels[0, 1].set_xlim(left=0.0)
    panels[-1, 0].xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    if scale.reference is None:
        panels[0, 0].ticklabel_format(axis="y", useOffset=False)
    draw_legend(panels[0, 0], loc="best")
    _draw_references(panels[0], run, scale)
    figure.align_ylabels()
    return figure


def _energy_around(row: Mapping[str, Any]) -> float:
    """Energy of V and a sample of what is around it, which steps outside V minimise; else not a number."""
    found = row.get("objective") if row.get("energy_kind") == "variational" else None
    return math.nan if found is None else float(found)


def _scale(run: "RunRecord", rows: Sequence[Mapping[str, Any]]) -> ErrorScale:
    energies = [row["energy"] for row in rows]
    return ErrorScale.for_energies(best_reference(run.references), energies, run.milli, run.unit)


def _estimates(run: "RunRecord") -> dict[str, float]:
    found = run.result.get("estimates") or {}
    return {
        kind: found[kind]["energy"]
        for kind in _MARKERS
        if found.get(kind) and found[kind].get("energy") is not None
    }


def _all_heights(run: "RunRecord", scale: ErrorScale, heights: np.ndarray) -> np.ndarray:
    return np.concatenate([heights, [scale.place(energy)[0] for energy in _estimates(run).values()]])


def _draw_estimates(axes: Any, run: "RunRecord", scale: ErrorScale, x: float) -> None:
    for index, (kind, energy) in enumerate(_estimates(run).items(), start=1):
        height, below = scale.place(energy)
        label = KINDS[kind][0] + (" (below)" if below else "")
        # Hollow, so that energies that agree can be seen through each other.
        axes.plot(
            [x], [height], _MARKERS[kind], color=SERIES[index], markerfacecolor="none",
            markersize=7, markeredgewidth=1.4, zorder=4, linestyle="none", label=label,
        )  # fmt: skip


def _draw_space(axes: Any, rows: Sequence[Mapping[str, Any]], x: np.ndarray, key: str) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    sizes = np.array([row.get(key) or np.nan for row in rows], dtype=float)
    axes.step(x, sizes, where="post", color=SERIES[0], linewidth=1.5)
    known = np.unique(sizes[np.isfinite(sizes)])
    if not known.size:
        return
    axes.set_yscale("log")
    axes.set_ylim(known[0] / 2, known[-1] * 2)
    # Label the sizes that occur, from the largest down, where there is room.
    labelled = [known[-1]]
    least = max(2.0, (known[-1] / known[0]) ** 0.24)
    for size in known[::-1]:
        if labelled[-1] / size >= least:
            labelled.append(size)
    axes.yaxis.set_major_locator(FixedLocator(labelled))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _draw_references(panels: np.ndarray, run: "RunRecord", scale: ErrorScale) -> None:
    yardstick = (run.result.get("estimates") or {}).get("selected_ci") or {}
    lines = scale.lines({**run.references, "selected_ci": yardstick.get("energy")})
    exact = scale.reference is not None and scale.reference.is_exact and scale.unit == "mHa"
    for index, axes in enumerate(panels if exact else ()):
        draw_accuracy(axes, label=index == 0)
    for index, axes in enumerate(panels):
        draw_lines(axes, lines, labels=index == 1)


def _draw_many_levels(
    run: "RunRecord", curves: Mapping[tuple[str, str, int], Sequence[Mapping[str, Any]]]
) -> "Figure":
    exact = {
        (_particles(level), level["sector"].get("label") or "", level.get("level") or 0): level["reference"]
        for level in run.levels
        if level.get("reference") is not None
    }
    if len({key[0] for key in curves}) == 1:  # all of one number of particles, which then need not be named
        exact = {("", *key[1:]): value for key, value in exact.items()}
        curves = {("", *key[1:]): rows for key, rows in curves.items()}
    measured = all(key in exact for key in curves)
    figure, [panels] = new_panels((9.0, 3.9), columns=2, sharey=True)
    many = len(curves) > _MOST_CURVES
    for index, (key, rows) in enumerate(curves.items()):
        rows = _thinned(rows)
        values = [_distance(row, exact.get(key), measured=measured) for row in rows]
        color, dashes = (MUTED, "-") if many else (SERIES[index % 8], "-" if index < 8 else "--")
        for axes, name in zip(panels, ("step", "time_s"), strict=True):
            x = [k if name == "step" else row.get("time_s") or 0.0 for k, row in enumerate(rows)]
            axes.plot(
                x, values, color=color, linestyle=dashes, linewidth=1.4, alpha=0.6 if many else 1.0,
                marker="." if len(rows) < 40 else None, markersize=4, label=_curve_name(key),
            )  # fmt: skip
    panels[0].set_yscale("log")
    label_powers(panels[0].yaxis)
    panels[0].set_ylabel(f"distance to ED ({run.milli})" if measured else f"variance ({run.unit}²)")
    for axes, name in zip(panels, ("step of the level", "time (s)"), strict=True):
        axes.set_xlabel(name)
    if not many:
        draw_legend(panels[1], beside=True)
    return figure


def _distance(row: Mapping[str, Any], exact: float | None, *, measured: bool) -> float:
    value = 1e3 * abs(row["energy"] - exact) if measured and exact is not None else row.get("variance")
    return max(value or 0.0, SMALLEST * 1e-4)


def _curve_name(key: tuple[str, str, int]) -> str:
    particles, sector, level = key
    words = [f"N={particles}" if particles else "", sector, f"level {level}" if level else ""]
    return verbatim(" ".join(word for word in words if word))


def has_extrapolation(run: "RunRecord") -> bool:
    """Return whether evaluation.json holds a fit."""
    return bool(_fits(run))


def draw_extrapolations(run: "RunRecord") -> "Figure":
    """Draw every fit: points, straight line, and where it ends.

    Args:
        run: Content of its folder; see `has_extrapolation`.
    """
    fits = _fits(run)
    figure, [panels] = new_panels((4.6 * len(fits), 3.9), columns=len(fits))
    for axes, (label, fit) in zip(panels, fits, strict=True):
        _draw_fit(axes, run, label, fit)
    return figure


def _fits(run: "RunRecord") -> list[tuple[str, Mapping[str, Any]]]:
    found = run.evaluation.get("extrapolations") or {}
    return [(label, found[name]) for name, label in _PANELS if "energy" in (found.get(name) or {})]


def _draw_fit(axes: Any, run: "RunRecord", label: str, fit: Mapping[str, Any]) -> None:
    reference = best_reference(run.references)
    zero = fit["energy"] if reference is None else reference.energy
    name = "the fit's end" if reference is None else reference.label
    x = np.array(fit["x"])
    y = 1e3 * (np.array(fit["y"]) - zero)
    constant, slope = fit["coefficients"]
    line = np.linspace(0.0, 1.05 * x.max(), 200)
    axes.plot(line, 1e3 * (constant + slope * line - zero), color=SERIES[0], linewidth=1.3, label="line")
    axes.plot(x, y, "o", color=SERIES[0], markersize=5, zorder=3, label="end of a stage")
    axes.errorbar(
        [0.0], [1e3 * (fit["energy"] - zero)], yerr=[1e3 * fit["error"]], fmt="P", color=SERIES[1],
        markersize=7, capsize=4, zorder=4, clip_on=False, label="extrapolated (no bound)",
    )  # fmt: skip
    if reference is not None:
        axes.axhline(0.0, color=MUTED, linewidth=0.9, linestyle=DASHED, zorder=1)
    axes.set_xlim(left=-0.02 * x.max())
    axes.set_xlabel(f"{label} ({run.unit}²)" if label == "variance" else f"{label} ({run.unit})")
    axes.set_ylabel(f"energy less {name} ({run.milli})")
    draw_legend(axes, loc="upper left")


def draw_distances(runs: Sequence[tuple[str, "RunRecord"]]) -> "Figure":
    """Draw distances to the best reference, a row for each system; dots lead to the parts about runs.

    Args:
        runs: Runs with a reference, of one unit, each after the id of its part of the page.
    """
    systems = list(dict.fromkeys(run.title for _, run in runs))
    shown = systems[:_MOST_SYSTEMS]
    known = [(anchor, run, run.difference or 0.0) for anchor, run in runs if run.title in shown]
    figure, [[axes]] = new_panels((7.0, 1.0 + 0.27 * len(shown)))
    legend: dict[str, Any] = {}
    for exact, below in ((True, False), (True, True), (False, False), (False, True)):
        chosen = [row for row in known if row[1].has_exact == exact and (row[2] < -SMALLEST) == below]
        if not chosen:
            continue
        color = SERIES[0] if exact else SERIES[1]
        label = f"to {'FCI or ED' if exact else 'a method that is not exact'}{', below' if below else ''}"
        legend[label] = axes.scatter(
            [max(abs(x), SMALLEST) for *_, x in chosen], [shown.index(run.title) for _, run, _ in chosen],
            s=34, facecolor=PAPER if below else color, edgecolor=color, linewidth=1.5, zorder=3,
        )  # fmt: skip
        legend[label].set_urls([f"#{anchor}" for anchor, *_ in chosen])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_yticks(range(len(shown)), [verbatim(system) for system in shown])
    axes.set_xscale("log")
    label_powers(axes.xaxis)
    axes.margins(x=0.06)
    milli = runs[0][1].milli
    left_out = len(systems) - len(shown)
    note = f"; {len(shown)} of {len(systems)} systems" if left_out else ""
    axes.set_xlabel(f"distance to the best reference ({milli}){note}")
    if milli == "mHa" and axes.get_xlim()[0] < CHEMICAL_ACCURACY:
        axes.axvspan(axes.get_xlim()[0], CHEMICAL_ACCURACY, color=GRID, alpha=0.45, zorder=0)
    handles, labels = list(legend.values()), list(legend)
    figure.legend(
        handles, labels, loc="outside upper right", ncols=4, fontsize=8, frameon=False, labelcolor=INK
    )
    return figure


def draw_progress(curves: Sequence[tuple[str, Sequence[tuple[float, float]]]], milli: str) -> "Figure":
    """Draw distances to the best reference over time, a line for each run.

    Args:
        curves: Name, and (seconds, distance) of every step.
        milli: Unit of the distances.
    """
    figure, [[axes]] = new_panels((7.0, 3.4))
    for index, (name, points) in enumerate(curves):
        x, y = np.array(points[:: max(1, len(points) // _MOST_POINTS)]).T
        axes.plot(
            x, np.maximum(y, SMALLEST), color=SERIES[index % 8], linestyle="-" if index < 8 else "--",
            linewidth=1.5, label=verbatim(name),
        )  # fmt: skip
    axes.set_yscale("log")
    label_powers(axes.yaxis)
    logarithmic(axes.xaxis, [x for _, points in curves for x, _ in points])
    axes.set_xlabel("time (s)")
    axes.set_ylabel(f"distance ({milli})")
    draw_legend(axes, beside=True)
    return figure
