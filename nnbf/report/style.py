"""House style of figures: colours, axes, legends; PNG files, and SVG that follows the colours of a page."""

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER, INK, MUTED, GRID = "#ffffff", "#1b1f24", "#66707c", "#e4e7eb"
SERIES = ("#1f5fd0", "#c2410c", "#0f766e", "#7e3fb5", "#a16207", "#be185d", "#0369a1", "#4d7c0f")
CHEMICAL_ACCURACY = 1.6
"""Chemical accuracy in mHa: one kcal/mol."""

DASHED = (0, (4, 3))
"""Line style of references."""

# The style sheet of a page says what each is in light, in dark and on paper.
_VARIABLES = {
    **dict(zip((PAPER, INK, MUTED, GRID, "#000000"), ("paper", "ink", "muted", "line", "ink"))),
    **{color: f"s{number}" for number, color in enumerate(SERIES)},
}


def new_figure(
    size: tuple[float, float], *, layout: Literal["constrained"] | None = "constrained"
) -> "Figure":
    """Return a figure that belongs to no window.

    Args:
        size: Width and height in inches.
        layout: Layout engine; None for fixed margins, which take less time than all the rest.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=size, dpi=150, facecolor=PAPER, layout=layout)


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


def draw_legend(axes: Any, **options: Any) -> None:
    """Draw the legend of these axes, if there is anything to name."""
    if not axes.get_legend_handles_labels()[0]:
        return
    legend = axes.legend(**{"fontsize": 8, "framealpha": 0.85, "edgecolor": GRID, **options})
    legend.get_frame().set_facecolor(PAPER)
    for text in legend.get_texts():
        text.set_color(INK)


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
