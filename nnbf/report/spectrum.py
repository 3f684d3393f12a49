"""The picture of a spectrum: levels by momentum, with exact ones where they are known."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nnbf.report._theme import LIGHT, Theme, style_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")


def momentum_label(record: Mapping[str, Any]) -> str:
    """Momentum as its integers, with the name of high-symmetry points of the square lattice."""
    mx, my = record["momentum"]
    kx, ky = (abs(k) for k in record["wave_vector"])
    name = {(0.0, 0.0): "\u0393 ", (3.14, 3.14): "M ", (3.14, 0.0): "X ", (0.0, 3.14): "X "}
    return f"{name.get((round(kx, 2), round(ky, 2)), '')}({mx},{my})"


def draw_spectrum(result: Mapping[str, Any], theme: Theme = LIGHT) -> "Figure":
    """Draw energies above the lowest level against the momenta, a mark for each irrep.

    Args:
        result: The content of result.json of a spectrum.
        theme: Colours.

    Returns:
        A Matplotlib figure that belongs to no window.
    """
    from matplotlib.figure import Figure

    records = result["sectors"]
    momenta = list(dict.fromkeys(tuple(record["momentum"]) for record in records))
    labels = {tuple(record["momentum"]): momentum_label(record) for record in records}
    kinds = list(dict.fromkeys(_kind(record) for record in records))
    lowest = min(record["energy"] for record in records)
    figure = Figure(
        figsize=(max(5.0, 1.6 + 0.75 * len(momenta)), 4.2),
        dpi=150,
        facecolor=theme.paper,
        layout="constrained",
    )
    axes = figure.subplots()
    style_axes(axes, theme)
    exact = [record for record in records if record["reference"] is not None]
    shift = {kind: 0.12 * (index - (len(kinds) - 1) / 2) for index, kind in enumerate(kinds)}
    place = {momentum: index for index, momentum in enumerate(momenta)}

    def x(record):
        return place[tuple(record["momentum"])] + shift[_kind(record)]

    for index, kind in enumerate(kinds):
        chosen = [record for record in records if _kind(record) == kind]
        axes.plot(
            [x(record) for record in chosen],
            [record["energy"] - lowest for record in chosen],
            _MARKS[index % len(_MARKS)],
            color=theme.series[index % len(theme.series)],
            markersize=5,
            label=kind or "lowest of the momentum",
        )
    if exact:
        axes.plot(
            [x(record) for record in exact],
            [record["reference"] - lowest for record in exact],
            "_",
            color=theme.ink,
            markersize=13,
            markeredgewidth=1.0,
            label="exact",
            zorder=1,
        )
    axes.set_xticks(range(len(momenta)), [labels[momentum] for momentum in momenta], rotation=30, ha="right")
    axes.set_ylabel("energy above the lowest level (t)")
    axes.set_xlabel("momentum, units of 2\u03c0/L")
    legend = axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for text in legend.get_texts():
        text.set_color(theme.ink)
    return figure


def _kind(record: Mapping[str, Any]) -> str:
    parts = [record["irrep"] or ""]
    if record["spin_flip"] is not None:
        parts.append("even spin" if record["spin_flip"] == 1 else "odd spin")
    return " ".join(part for part in parts if part)
