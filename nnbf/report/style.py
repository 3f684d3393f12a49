"""House style of figures: colours, axes, legends; PNG files, and SVG that follows the colours of a page."""

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hamiltonians.errors import one_line
from nnbf._text import MINUS
from nnbf.estimate import reference_label
from nnbf.report.energies import Reference

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Layout = Literal["constrained"] | None
PAPER, INK, MUTED, GRID = "#ffffff", "#1b1f24", "#66707c", "#e4e7eb"
SERIES = ("#1f5fd0", "#c2410c", "#0f766e", "#7e3fb5", "#a16207", "#be185d", "#0369a1", "#4d7c0f")
CHEMICAL_ACCURACY = 1.6
"""Chemical accuracy in mHa: one kcal/mol."""

SMALLEST = 1e-5
"""Thousandths of the unit; below, differences are rounding and convergence thresholds."""

DASHED = (0, (4, 3))
"""Line style of references."""

_LINEAR_WITHIN = 1.0  # of a scale with negative values
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LABEL_GAP = 9.5  # points between two labels

# The style sheet of a page says what each is in light, in dark and on paper.
_VARIABLES = {
    **dict(zip((PAPER, INK, MUTED, GRID, "#000000"), ("paper", "ink", "muted", "line", "ink"))),
    **{color: f"s{number}" for number, color in enumerate(SERIES)},
}


def new_figure(size: tuple[float, float], *, title: str = "", layout: Layout = "constrained") -> "Figure":
    """Return a figure that belongs to no window.

    Args:
        size: Width and height in inches.
        title: Above the picture.
        layout: Layout engine, or None for fixed margins.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=150, facecolor=PAPER, layout=layout)
    if title:
        figure.suptitle(title, color=INK, fontsize=10)
    return figure


def new_panels(
    size: tuple[float, float],
    rows: int = 1,
    columns: int = 1,
    *,
    title: str = "",
    layout: Layout = "constrained",
    **options: Any,
) -> "tuple[Figure, np.ndarray]":
    """Return a figure that belongs to no window, and its axes (rows, columns) in the house style.

    Args:
        size: Width and height in inches.
        rows: Number of rows.
        columns: Number of columns.
        title: Above the picture.
        layout: Layout engine, or None for fixed margins.
        options: Further ones of `matplotlib.figure.Figure.subplots`.
    """
    figure = new_figure(size, title=title, layout=layout)
    panels = figure.subplots(rows, columns, squeeze=False, **options)
    for axes in panels.flat:
        style_axes(axes)
    return figure, panels


def style_axes(axes: Any) -> None:
    """Give axes no frame above and to the right, and a quiet grid."""
    axes.set_facecolor(PAPER)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(MUTED)
        spine.set_linewidth(0.8)
    axes.tick_params(which="both", colors=MUTED, labelcolor=INK, labelsize=9, width=0.8)
    axes.grid(True, which="major", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label, axes.title):
        label.set_color(INK)
        label.set_fontsize(9.5)


def draw_legend(axes: Any, *, beside: bool = False, **options: Any) -> None:
    """Draw the legend of these axes, if there is anything to name; `beside` them, or inside."""
    if not axes.get_legend_handles_labels()[0]:
        return
    if beside:
        options |= {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "frameon": False}
    shared = {"fontsize": 8, "framealpha": 0.85, "facecolor": PAPER, "edgecolor": GRID, "labelcolor": INK}
    axes.legend(**shared, **options)


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
    label_powers(axis)
    if decades <= 3:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))


def label_powers(axis: Any) -> None:
    """Label powers of ten by plain characters: Matplotlib's formulas take longer than all the rest of it."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))


def power_of_ten(value: float) -> str:
    """Return 10⁻³ for 0.001, 0 for 0, and as few digits as do for what is no power."""
    if value == 0:
        return "0"
    exponent = round(math.log10(abs(value)))
    if not math.isclose(abs(value), 10.0**exponent, rel_tol=1e-6):
        return f"{value:g}".replace("-", MINUS)
    return ("" if value > 0 else MINUS) + "10" + str(exponent).translate(_RAISED)


def draw_accuracy(axes: Any, *, label: bool = True) -> None:
    """Shade what lies within chemical accuracy on a vertical axis in mHa."""
    lowest, highest = axes.get_ylim()
    if lowest >= CHEMICAL_ACCURACY:
        return
    axes.axhspan(lowest, CHEMICAL_ACCURACY, color=GRID, alpha=0.45, zorder=0)
    axes.set_ylim(lowest, max(highest, 2 * CHEMICAL_ACCURACY))
    if not label:
        return
    axes.annotate(
        "within 1.6 mHa", (0.015, CHEMICAL_ACCURACY), xycoords=axes.get_yaxis_transform(), xytext=(0, -8),
        textcoords="offset points", va="center", fontsize=8, color=MUTED,
    )  # fmt: skip


@dataclass(frozen=True)
class ErrorScale:
    """Map from energies to heights of a plot."""

    reference: Reference | None
    """Reference that is subtracted; None plots energies as they are."""
    unit: str
    """Name of the unit on the axis."""
    logarithmic: bool
    """True where all errors are positive, so that a logarithmic axis can show them."""

    @classmethod
    def for_energies(
        cls, reference: Reference | None, energies: Sequence[float], unit: str, energy_unit: str
    ) -> "ErrorScale":
        """Choose the scale that can show these energies."""
        if reference is None:
            return cls(None, energy_unit, False)
        errors = 1e3 * (np.asarray(energies, dtype=float) - reference.energy)
        return cls(reference, unit, bool(errors.size and np.all(errors > -SMALLEST)))

    @property
    def label(self) -> str:
        """Text of the axis."""
        if self.reference is None:
            return f"energy ({self.unit})"
        return f"energy above {self.reference.label} ({self.unit})"

    def heights(self, energies: Sequence[float]) -> np.ndarray:
        """Return what is plotted for these energies."""
        values = np.asarray(energies, dtype=float)
        if self.reference is None:
            return values
        errors = 1e3 * (values - self.reference.energy)
        return np.maximum(errors, SMALLEST) if self.logarithmic else errors

    def place(self, energy: float) -> tuple[float, bool]:
        """Return (height, below): on an axis that cannot show what lies below, distances count."""
        if (
            not self.logarithmic
            or self.reference is None
            or energy >= self.reference.energy - 1e-3 * SMALLEST
        ):
            return float(self.heights([energy])[0]), False
        return float(self.heights([2 * self.reference.energy - energy])[0]), True

    def apply(self, axes: Any, heights: np.ndarray) -> None:
        """Set scale and limits of an axis to these heights."""
        if self.logarithmic:
            axes.set_yscale("log")
            label_powers(axes.yaxis)
            axes.set_ylim(max(heights.min(), SMALLEST) / 2.5, max(heights.max(), 2 * SMALLEST) * 2.5)
        elif self.reference is not None:
            axes.set_yscale("symlog", linthresh=_LINEAR_WITHIN)
            label_powers(axes.yaxis)
            span = max(abs(heights.min()), abs(heights.max()), _LINEAR_WITHIN)
            axes.set_ylim(min(2.5 * heights.min(), -0.1 * _LINEAR_WITHIN), 2.5 * span)
        else:
            pad = 0.05 * max(np.ptp(heights), 1e-6)
            axes.set_ylim(heights.min() - pad, heights.max() + pad)

    def lines(self, references: Mapping[str, float | None]) -> list[tuple[float, str]]:
        """Return (height, label) of the other methods; on a logarithmic axis, distances below count too."""
        found = []
        for key, energy in references.items():
            if energy is None or (self.reference is not None and key == self.reference.key):
                continue
            label = reference_label(key)
            if self.reference is None:
                found.append((energy, label))
                continue
            error = 1e3 * (energy - self.reference.energy)
            if self.logarithmic and error < 0:
                label += " (below)"
                error = -error
            if not self.logarithmic or error >= SMALLEST:
                found.append((error, label))
        if self.reference is not None and not self.logarithmic:
            found.append((0.0, self.reference.label))
        return found


def draw_lines(axes: Any, lines: Sequence[tuple[float, str]], *, labels: bool) -> None:
    """Draw horizontal lines that are on the axis, with labels to the right that do not overlap."""
    lowest, highest = axes.get_ylim()
    shown = sorted((height, label) for height, label in lines if lowest <= height <= highest)
    for height, _ in shown:
        axes.axhline(height, color=MUTED, linewidth=0.9, linestyle=DASHED, zorder=1)
    if not labels:
        return
    to_points = 72.0 / axes.figure.dpi
    wanted = [axes.transData.transform((0, height))[1] * to_points for height, _ in shown]
    for (height, label), at, place in zip(shown, wanted, spread(wanted, _LABEL_GAP), strict=True):
        axes.annotate(
            label,
            xy=(1.0, height),
            xycoords=axes.get_yaxis_transform(),
            xytext=(5, place - at),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=MUTED,
            annotation_clip=False,
        )


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Return ascending places at least `gap` apart, as near as possible to the `wanted` ones."""
    # Pool-adjacent-violators on places less their minimal offsets: [sum, count] of every pool.
    pools: list[list[float]] = []
    for index, place in enumerate(wanted):
        pools.append([place - gap * index, 1.0])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            total, count = pools.pop()
            pools[-1][0] += total
            pools[-1][1] += count
    levels = [total / count for total, count in pools for _ in range(int(count))]
    return [level + gap * index for index, level in enumerate(levels)]


def bars(errors: Any) -> np.ndarray | None:
    """Return error bars; None for exact sums."""
    errors = np.nan_to_num(np.asarray(errors, dtype=float))
    return errors if np.any(errors) else None


def number(row: Mapping[str, Any], key: str) -> float:
    """Return a number of a record, NaN where there is none."""
    value = row.get(key)
    return float("nan") if value is None else float(value)


def verbatim(text: str, longest: int = 40) -> str:
    """Return text of a user that is drawn as it is, without formulas; a long one is cut."""
    text = " ".join(text.split())
    return (text if len(text) <= longest else f"{text[: longest - 1]}…").replace("$", r"\$")


@dataclass(frozen=True)
class Plot:
    """A figure that has not been drawn yet."""

    name: str
    """Name of its file, without suffix."""
    section: str
    """Part of the page that it belongs to."""
    description: str
    """Content in words."""
    draw: "Callable[[], Figure]"
    """Makes the figure."""


@dataclass(frozen=True)
class DrawnPlot:
    """A figure, or the reason why there is none."""

    plot: Plot
    """Name, place and description."""
    svg: str = ""
    """The figure inside a page."""
    png: bytes = b""
    """The figure as a file."""
    problem: str = ""
    """Reason why it could not be drawn, in one line."""


def drawn(plots: Sequence[Plot], prefix: str, *, files: bool) -> list[DrawnPlot]:
    """Draw figures; one that cannot be drawn costs no more than itself.

    Args:
        plots: The figures.
        prefix: Begin of the ids in the page.
        files: Draw PNG files, too.
    """
    return [_drawn(plot, f"{prefix}-{plot.name}", files=files) for plot in plots]


def _drawn(plot: Plot, prefix: str, *, files: bool) -> DrawnPlot:
    try:
        figure = plot.draw()
        return DrawnPlot(plot, svg(figure, plot.description, prefix), png(figure) if files else b"")
    except Exception as error:  # Matplotlib and the files of other versions raise whatever they like
        name = plot.name.replace("_", " ")
        return DrawnPlot(plot, problem=f"no picture of {name}: {type(error).__name__}: {one_line(error)}")


def png(figure: "Figure") -> bytes:
    """Return a figure as PNG; the same figure gives the same bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor=figure.get_facecolor(), metadata={"Software": None})
    return stream.getvalue()


def svg(figure: "Figure", description: str, prefix: str) -> str:
    """Return a figure as SVG inside a page, in the colours of its style sheet.

    Args:
        figure: The figure, in the colours above.
        description: Content in words, for those who cannot see it.
        prefix: Begin of all ids, another one for every figure of a page.
    """
    from matplotlib import rc_context

    stream = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "nnbf"}):
        figure.savefig(stream, format="svg", facecolor=figure.get_facecolor(), metadata={"Date": None})
    text = stream.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", text, flags=re.DOTALL)
    head, body = text[text.index("<svg") :].split(">", 1)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)
    width, height = (float(side) for side in box.groups()) if box else (480.0, 320.0)
    return (
        f'<svg class="plot" viewBox="0 0 {width:g} {height:g}" style="max-width:{1.25 * width:.0f}px" '
        f'role="img" aria-label="{escape(description)}">{_adopted(body, prefix)}'
    )


def _adopted(body: str, prefix: str) -> str:
    """Elements of an SVG with ids of their own and the colours of the page."""
    body = body.replace("xlink:href=", "href=")
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', body))
    own = {name for name in re.findall(r' id="([^"]*)"', body) if name in used}
    body = re.sub(r' id="([^"]*)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in own else "", body)
    body = re.sub(
        r'(url\(#|href="#)([^)"]+)', lambda m: m[1] + (f"{prefix}-{m[2]}" if m[2] in own else m[2]), body
    )
    return re.sub(
        r"#[0-9a-f]{6}\b", lambda m: f"var(--{_VARIABLES[m[0]]})" if m[0] in _VARIABLES else m[0], body
    )
