"""Colours of plots, for light and for dark pages."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Theme:
    """Colours of one plot."""

    paper: str
    ink: str
    muted: str
    grid: str
    series: tuple[str, ...]


LIGHT = Theme(
    paper="#ffffff",
    ink="#1b1f24",
    muted="#66707c",
    grid="#e4e7eb",
    series=("#1f5fd0", "#c2410c", "#0f766e", "#7e3fb5", "#a16207", "#be185d", "#0369a1", "#4d7c0f"),
)
DARK = Theme(
    paper="#16191e",
    ink="#e7eaee",
    muted="#98a2ae",
    grid="#2b3038",
    series=("#7fa9ff", "#fb923c", "#4fd1c0", "#c79bf2", "#e2b93b", "#f48fb8", "#5cc1ee", "#a3cf58"),
)


def style_axes(axes: Any, theme: Theme) -> None:
    """Give axes the colours of a theme: no frame above and to the right, a quiet grid."""
    axes.set_facecolor(theme.paper)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.muted)
        spine.set_linewidth(0.8)
    axes.tick_params(which="both", colors=theme.muted, labelcolor=theme.ink, labelsize=9, width=0.8)
    axes.grid(True, which="major", color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label, axes.title):
        label.set_color(theme.ink)
        label.set_fontsize(9.5)
