"""The plot of one run: energy error against steps and seconds, over the size of the variational space."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from nnbf.report._errors import ErrorScale, draw_lines
from nnbf.report._theme import LIGHT, Theme, style_axes
from nnbf.report.energies import KINDS, best_reference, error_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nnbf.report.runs import RunRecord

_CHEMICAL_ACCURACY = 1.6  # mHa, one kcal/mol
_MARKERS = {"full_sum": "D", "projected": "^", "pt2": "v", "vmc": "s", "extrapolated": "P"}


def draw_run(run: "RunRecord", theme: Theme = LIGHT, *, narrow: bool = False) -> "Figure":
    """Draw a run.

    Args:
        run: What its folder says.
        theme: Colours.
        narrow: Put steps and seconds below each other, for phones.

    Returns:
        A Matplotlib figure that belongs to no window.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    size = (4.6, 8.6) if narrow else (9.0, 4.9)
    figure = Figure(figsize=size, dpi=150, facecolor=theme.paper)
    rows = [row for row in run.history if row.get("energy") is not None]
    if not rows:
        figure.text(0.5, 0.5, "no step has been made yet", ha="center", color=theme.muted)
        return figure
    columns = _panels(figure, narrow=narrow)
    scale = _scale(run, rows)
    sampled = rows[-1].get("energy_kind") == "vmc"
    label = "vmc, of each step" if sampled else "variational, on V"
    heights = scale.heights([row["energy"] for row in rows])
    axis = (
        ("step", np.array([row.get("step", index) for index, row in enumerate(rows)])),
        ("time (s)", np.array([row.get("time_s") or 0.0 for row in rows])),
    )
    for (upper, lower), (name, x) in zip(columns, axis, strict=True):
        upper.plot(x, heights, color=theme.series[0], linewidth=1.8, zorder=3, label=label)
        if len(x) < 40:
            upper.plot(x, heights, ".", color=theme.series[0], markersize=5, zorder=3)
        _draw_estimates(upper, run, scale, x[-1], theme)
        _draw_space(lower, rows, x, theme, "n_unique" if sampled else "n_space")
        lower.set_xlabel(name)
        for axes in (upper, lower):
            style_axes(axes, theme)
            axes.margins(x=0.03)
        if narrow or name == "step":
            upper.set_ylabel(scale.label, color=theme.ink)
            lower.set_ylabel("distinct" if sampled else "|V|", color=theme.ink)
        if name != "step":
            upper.set_xlim(left=0.0)  # what came before the first step took time, too
        scale.apply(upper, _all_heights(run, scale, heights))
    columns[0][1].xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    if scale.yardstick is None:
        columns[0][0].ticklabel_format(axis="y", useOffset=False)
    _draw_legend(columns[0][0], theme)
    _draw_references([upper for upper, _ in columns], run, scale, theme, narrow=narrow)
    figure.align_ylabels()
    return figure


def _panels(figure: "Figure", *, narrow: bool) -> list[tuple[Any, Any]]:
    """Return (energy, space) axes for steps and for seconds."""
    # Fixed margins: an automatic layout takes longer than all the rest.
    if narrow:
        heights = (3, 1, 0.25, 3, 1)
        grid = figure.add_gridspec(
            5, 1, height_ratios=heights, left=0.155, right=0.795, top=0.99, bottom=0.06, hspace=0.1
        )
        places = [(grid[0, 0], grid[1, 0]), (grid[3, 0], grid[4, 0])]
    else:
        grid = figure.add_gridspec(
            2, 2, height_ratios=(3, 1), left=0.085, right=0.905, top=0.985, bottom=0.105,
            hspace=0.07, wspace=0.05,
        )  # fmt: skip
        places = [(grid[0, 0], grid[1, 0]), (grid[0, 1], grid[1, 1])]
    columns: list[tuple[Any, Any]] = []
    for index, (above, below) in enumerate(places):
        beside = columns[0] if index and not narrow else (None, None)
        upper = figure.add_subplot(above, sharey=beside[0])
        lower = figure.add_subplot(below, sharex=upper, sharey=beside[1])
        upper.tick_params(labelbottom=False)
        if beside[0] is not None:
            for axes in (upper, lower):
                axes.tick_params(which="both", labelleft=False)
        columns.append((upper, lower))
    return columns


def png(figure: "Figure") -> bytes:
    """Return a figure as PNG; the same figure gives the same bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor=figure.get_facecolor(), metadata={"Software": None})
    return stream.getvalue()


def _scale(run: "RunRecord", rows: list[dict[str, Any]]) -> ErrorScale:
    yardstick = best_reference(run.result.get("references") or {})
    energies = [row["energy"] for row in rows]
    energy_unit = run.result.get("energy_unit") or "Hartree"
    return ErrorScale.for_runs(yardstick, energies, error_unit(run.result), energy_unit)


def _estimates(run: "RunRecord") -> dict[str, float]:
    found = run.result.get("estimates") or {}
    return {
        kind: found[kind]["energy"]
        for kind in _MARKERS
        if found.get(kind) and found[kind].get("energy") is not None
    }


def _height_of_estimate(scale: ErrorScale, energy: float) -> tuple[float, bool]:
    """Return (height, whether it lies below the reference on an axis that cannot show that)."""
    if not scale.logarithmic or scale.yardstick is None or energy >= scale.yardstick.energy:
        return float(scale.heights([energy])[0]), False
    return float(scale.heights([2 * scale.yardstick.energy - energy])[0]), True


def _all_heights(run: "RunRecord", scale: ErrorScale, heights: np.ndarray) -> np.ndarray:
    extra = [_height_of_estimate(scale, energy)[0] for energy in _estimates(run).values()]
    return np.concatenate([heights, extra])


def _draw_estimates(axes: Any, run: "RunRecord", scale: ErrorScale, x: float, theme: Theme) -> None:
    for index, (kind, energy) in enumerate(_estimates(run).items(), start=1):
        height, below = _height_of_estimate(scale, energy)
        label = KINDS[kind][0] + (" (below)" if below else "")
        # Hollow, so that energies that agree can be seen through each other.
        axes.plot(
            [x], [height], _MARKERS[kind], color=theme.series[index], markerfacecolor="none",
            markersize=7, markeredgewidth=1.4, zorder=4, linestyle="none", label=label,
        )  # fmt: skip


def _draw_space(axes: Any, rows: list[dict[str, Any]], x: np.ndarray, theme: Theme, key: str) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    sizes = np.array([row.get(key) or np.nan for row in rows], dtype=float)
    axes.step(x, sizes, where="post", color=theme.series[0], linewidth=1.5)
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


def _draw_references(
    panels: list[Any],
    run: "RunRecord",
    scale: ErrorScale,
    theme: Theme,
    *,
    narrow: bool,
) -> None:
    lines = scale.lines(run.result.get("references") or {})
    exact = scale.yardstick is not None and scale.yardstick.is_exact
    for index, axes in enumerate(panels):
        if exact and scale.unit == "mHa" and axes.get_ylim()[0] < _CHEMICAL_ACCURACY:
            axes.axhspan(axes.get_ylim()[0], _CHEMICAL_ACCURACY, color=theme.grid, alpha=0.45, zorder=0)
            if index == 0:
                axes.annotate(
                    "within 1.6 mHa", xy=(0.015, _CHEMICAL_ACCURACY), xytext=(0, -8), fontsize=8,
                    xycoords=axes.get_yaxis_transform(), textcoords="offset points", va="center",
                    color=theme.muted,
                )  # fmt: skip
    for index, axes in enumerate(panels):
        draw_lines(axes, lines, theme, labels=narrow or index == 1)


def _draw_legend(axes: Any, theme: Theme) -> None:
    legend = axes.legend(loc="lower left", fontsize=8, frameon=True, framealpha=0.85, edgecolor=theme.grid)
    legend.get_frame().set_facecolor(theme.paper)
    for text in legend.get_texts():
        text.set_color(theme.ink)
