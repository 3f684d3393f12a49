"""Several runs side by side: one plot of errors against time, one table, links to the runs."""

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnbf.report import _skeleton as html
from nnbf.report import numbers
from nnbf.report._theme import LIGHT, Theme, style_axes
from nnbf.report.energies import KINDS, best_reference, energy_rows, error_unit
from nnbf.report.markdown import table as markdown_table
from nnbf.report.page import status_words
from nnbf.report.runs import RunRecord
from nnbf.report.stages import stages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SMALLEST = 1e-5  # thousandths of the unit
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)))
_HEADS = [
    "run",
    "system",
    "kind",
    "energy",
    "difference",
    "to",
    "|V|",
    "parameters",
    "V-score",
    "time",
    "status",
]
_NUMBERS = (3, 4, 6, 7, 8, 9)


def draw_comparison(runs: Sequence[RunRecord], theme: Theme = LIGHT, *, narrow: bool = False) -> "Figure":
    """Draw the energy errors of several runs against time and |V|, each against its best reference.

    Args:
        runs: What their folders say.
        theme: Colours.
        narrow: Put the panels below each other, for phones.
    """
    from matplotlib.figure import Figure

    size = (4.6, 7.8) if narrow else (9.0, 4.6)
    figure = Figure(figsize=size, dpi=150, facecolor=theme.paper, layout="constrained")
    left, right = figure.subplots(2, 1) if narrow else figure.subplots(1, 2, sharey=True)
    for index, (run, name) in enumerate(zip(runs, run_names(runs), strict=True)):
        best = best_reference(run.result.get("references") or {})
        rows = [row for row in run.history if row.get("energy") is not None]
        if best is None or not rows:
            continue
        colour = theme.series[index % len(theme.series)]
        dash = _DASHES[index // len(theme.series) % len(_DASHES)]
        ends = [(stage.n_space, stage.energy) for stage in stages(rows) if stage.n_space]
        curves: Any = (
            (left, [(row.get("time_s") or 0.0, row["energy"]) for row in rows], ""),
            (right, ends, "o"),
        )
        for axes, points, marker in curves:
            energies = np.array([energy for _, energy in points], dtype=float)
            errors = np.maximum(1e3 * np.abs(energies - best.energy), _SMALLEST)
            axes.plot(
                [x for x, _ in points], errors, color=colour, linestyle=dash, linewidth=1.7,
                marker=marker, markersize=4.5, label=f"{name} (to {best.label})",
            )  # fmt: skip
    right.set_xscale("log")
    units = sorted({error_unit(run.result) for run in runs})
    for axes in (left, right) if narrow else (left,):
        axes.set_yscale("log")
        axes.set_ylabel(f"distance to the best reference ({' or '.join(units)})")
    left.set_xlabel("time (s)")
    right.set_xlabel("|V|, at the end of each stage")
    for axes in (left, right):
        style_axes(axes, theme)
    handles, labels = left.get_legend_handles_labels()
    if handles:
        legend = figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=1 if narrow else min(3, len(handles)),
            fontsize=8,
            frameon=False,
        )
        for text in legend.get_texts():
            text.set_color(theme.ink)
    return figure


def comparison_page(runs: Sequence[RunRecord], images: Mapping[str, bytes], folder: Path) -> str:
    """Return the HTML page of a comparison.

    Args:
        runs: What the folders say.
        images: The plot as PNG; see `nnbf.report._skeleton.picture`.
        folder: Where the page will be, for links to the runs.
    """
    rows = _rows(runs)
    for row, run in zip(rows, runs, strict=True):
        target = Path(os.path.relpath(run.path.absolute() / "report" / "index.html", folder.absolute()))
        row[0] = f'<a href="{escape(target.as_posix())}">{escape(row[0])}</a>'
    return html.page(
        f"nnbf: {len(runs)} runs",
        [
            f"<h1>{len(runs)} runs side by side</h1>",
            '<p class="quiet">Differences are to the best reference of each run. Only FCI and ED are exact; '
            "coupled cluster and MP2 may lie below the ground state.</p>",
            _same_system(runs),
            html.table(_HEADS, rows, numbers=_NUMBERS, raw=(0,)),
            "<h2>Convergence</h2>",
            html.picture(images, "Distance to the best reference against time and size of V"),
            _all_warnings(runs),
        ],
    )


def comparison_markdown(runs: Sequence[RunRecord]) -> str:
    """Return a comparison as Markdown."""
    lines = ["# Comparison of runs", "", markdown_table(_HEADS, _rows(runs), numbers=_NUMBERS)]
    return "\n".join([*lines, "", "![Distance to the best reference](energy.png)", ""])


def run_names(runs: Sequence[RunRecord]) -> list[str]:
    """Return the names of the folders, with as many parents as it takes to tell them apart."""
    paths = [run.path.absolute().parts for run in runs]
    for depth in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-depth:]) for parts in paths]
        if len(set(names)) == len(set(paths)):
            return names
    return [run.path.name for run in runs]


def _rows(runs: Sequence[RunRecord]) -> list[list[str]]:
    rows = []
    for run, name in zip(runs, run_names(runs), strict=True):
        result = run.result
        best = best_reference(result.get("references") or {})
        main = next((row for row in energy_rows(result) if row.is_main), None)
        kind = str(result.get("energy_kind") or "")
        unit = error_unit(result)
        rows.append(
            [
                name,
                run.title,
                KINDS.get(kind, (kind, ""))[0],
                numbers.energy(result.get("energy")),
                f"{numbers.difference(main.difference)} {unit}"
                if main and main.difference is not None
                else "",
                best.label if best else "",
                numbers.count(result.get("n_determinants")),
                numbers.count(result.get("n_parameters")),
                numbers.small(result.get("v_score")),
                numbers.seconds(result.get("wall_time_s")),
                status_words(result.get("status")),
            ]
        )
    return rows


def _same_system(runs: Sequence[RunRecord]) -> str:
    if len({run.title for run in runs}) == 1:
        return ""
    return '<p class="quiet">The runs solve different systems: compare differences, not energies.</p>'


def _all_warnings(runs: Sequence[RunRecord]) -> str:
    found = [
        f"{name}: {text}"
        for run, name in zip(runs, run_names(runs), strict=True)
        for text in run.result.get("warnings") or []
    ]
    return "<h2>Warnings</h2>\n" + html.warnings(found) if found else ""
