"""Figures of responses: sticks under a broadened curve, S(q, omega) as a map, conductivity, convergence.

The exact response, that of the eigenvector on all configurations, is drawn as a dashed line.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnbf._io import write_bytes
from nnbf.report.response_tables import title
from nnbf.report.state_figures import momentum_label
from nnbf.report.style import (
    INK,
    MUTED,
    PAPER,
    SERIES,
    draw_legend,
    label_powers,
    logarithmic,
    new_panels,
    png,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STACKED = 9  # channels that have a panel of their own


def write_pictures(record: Mapping[str, Any], file: Path) -> list[Path]:
    """Draw a response into PNG files beside its record.

    Args:
        record: Content of the JSON file.
        file: The JSON file.
    """
    written = []
    for name, draw in figures_of(record).items():
        path = file.with_name(f"{file.stem}{name}.png")
        write_bytes(path, png(draw(record)))
        written.append(path)
    return written


def figures_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the functions that draw a response, by what is added to the name of the file."""
    made: dict[str, Any] = {"": draw_sum if _is_sum(record) else draw_channels}
    if not _is_sum(record) and record["operator"] != "current" and len(record["states"][0]["channels"]) > 2:
        made["_map"] = draw_map
    if any(len(channel["convergence"]) > 1 for channel in record["states"][0]["channels"]):
        made["_convergence"] = draw_convergence
    return made


def draw_sum(record: Mapping[str, Any]) -> "Figure":
    """Draw all channels of a molecule as one spectrum, with sticks: absorption, or ionisation."""
    figure, [[axes]] = new_panels((6.6, 3.9), title=f"{title(record)}, {record['title']}")
    sign = -1.0 if record["operator"] == "removal" else 1.0
    omega = sign * np.array(record["omega"])
    main, *others = record["states"]
    curve = np.sum(main["curves"], axis=0)
    axes.fill_between(omega, curve, color=SERIES[0], alpha=0.18, linewidth=0)
    axes.plot(omega, curve, color=SERIES[0], linewidth=1.5, label="network")
    for other in others:
        axes.plot(
            omega, np.sum(other["curves"], axis=0), "--", color=INK, linewidth=0.9, label=_eigenvector(other)
        )
    inside = [
        p for p in main["peaks"] if omega.min() <= sign * record["factor"] * p["position"] <= omega.max()
    ]
    positions = sign * record["factor"] * np.array([p["position"] for p in inside])
    strengths = np.array([p["strength"] for p in inside])
    sticks = axes.twinx()
    sticks.vlines(positions, 0.0, strengths, color=SERIES[1], linewidth=1.3)
    sticks.set_ylim(0.0, 1.6 * max(strengths.max(initial=0.0), 1e-12))
    sticks.spines[["top", "left", "bottom"]].set_visible(False)
    sticks.spines["right"].set_color(MUTED)
    sticks.tick_params(colors=MUTED, labelcolor=SERIES[1], labelsize=8)
    names = {"dipole": "oscillator strength", "removal": "|Dyson orbital|² per spin"}
    sticks.set_ylabel(names.get(record["operator"], "weight per spin"), color=SERIES[1], fontsize=9)
    axes.set_ylim(bottom=0.0)
    axes.set_xlim(omega.min(), omega.max())
    what = {"dipole": "excitation energy", "removal": "ionisation energy", "addition": "−electron affinity"}
    axes.set_xlabel(f"{what[record['operator']]} ({record['unit']})")
    axes.set_ylabel(
        f"strength per {record['unit']}, {record['shape']}, {record['broadening']:g} {record['unit']}"
    )
    draw_legend(axes, frameon=False)
    return figure


def draw_channels(record: Mapping[str, Any]) -> "Figure":
    """Draw a panel for each channel: momenta, or directions of the current."""
    main, *others = record["states"]
    shown = range(len(main["channels"]))[:_STACKED]
    size = (6.6, 1.5 + 1.15 * len(shown)) if len(shown) > 1 else (6.6, 3.6)
    figure, panels = new_panels(size, len(shown), sharex=True, title=f"{title(record)}, {record['title']}")
    omega = np.array(record["omega"])
    for axes, k in zip(panels[:, 0], shown, strict=True):
        channel = main["channels"][k]
        axes.fill_between(omega, main["curves"][k], color=SERIES[0], alpha=0.2, linewidth=0)
        axes.plot(omega, main["curves"][k], color=SERIES[0], linewidth=1.4, label="network")
        for other in others:
            axes.plot(omega, other["curves"][k], "--", color=INK, linewidth=0.9, label=_eigenvector(other))
        axes.set_ylim(bottom=0.0)
        axes.set_title(_channel_title(record, channel), loc="left", color=INK, fontsize=8, pad=2)
    figure_axes = panels[:, 0]
    figure_axes[0].set_xlim(omega[0], omega[-1])
    figure_axes[-1].set_xlabel(f"ω ({record['unit']})")
    ylabel = {"current": "σ(ω), regular part"}.get(
        record["operator"], f"{title(record)} (1/{record['unit']})"
    )
    figure.supylabel(ylabel, color=INK, fontsize=9.5)
    draw_legend(figure_axes[0], frameon=False, loc="upper right")
    return figure


def draw_map(record: Mapping[str, Any]) -> "Figure":
    """Draw the response over momentum and frequency, along Gamma-X-M-Gamma where the channels lie on it."""
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    main = record["states"][0]
    omega = np.array(record["omega"])
    columns, labels = _columns(record)
    values = np.array([main["curves"][k] if k is not None else np.zeros(len(omega)) for k in columns])
    figure, [[axes]] = new_panels((6.6, 4.2), title=f"{title(record)}, {record['title']}")
    edges = np.arange(len(columns) + 1) - 0.5
    half = 0.5 * (omega[1] - omega[0])
    rows = np.concatenate([omega - half, [omega[-1] + half]])
    mesh = axes.pcolormesh(
        edges, rows, values.T, rasterized=True, norm=PowerNorm(0.5, vmin=0.0, vmax=values.max() or 1.0),
        cmap=LinearSegmentedColormap.from_list("ink", [PAPER, SERIES[0], INK]),
    )  # fmt: skip
    for other in record["states"][1:]:
        for x, k in enumerate(columns):
            if k is not None:
                _mark_poles(axes, x, other["channels"][k], record["factor"])
        axes.plot([], [], "_", color=SERIES[1], markersize=9, label=f"{_eigenvector(other)}, poles")
    axes.set_xticks(range(len(columns)), labels, rotation=30 if len(columns) > 7 else 0)
    axes.set_ylim(omega[0], omega[-1])
    axes.set_ylabel(f"ω ({record['unit']})")
    axes.grid(False)
    bar = figure.colorbar(mesh, ax=axes)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=8)
    bar.ax.set_title(f"1/{record['unit']}", color=INK, fontsize=8.5)
    draw_legend(axes, frameon=False)
    return figure


def draw_convergence(record: Mapping[str, Any]) -> "Figure":
    """Draw the strongest poles and the total weight against the size of the space."""
    channels = [c for c in record["states"][0]["channels"] if len(c["convergence"]) > 1][:6]
    words = f"Convergence with the space, {title(record)}, {record['title']}"
    figure, panels = new_panels((8.4, 3.7), columns=2, title=words)
    left, right = panels[0]
    for index, channel in enumerate(channels):
        rows, color = channel["convergence"], SERIES[index % len(SERIES)]
        sizes = np.array([row["space"] for row in rows])
        total = channel["moments"]["total_weight_expected"]
        missing = np.maximum(1.0 - np.array([row["total_weight"] for row in rows]) / total, 1e-12)
        right.plot(sizes, missing, "o-", color=color, markersize=4, linewidth=1.3, label=channel["label"])
        final = rows[-1]["strongest"]
        for position, _ in sorted(final, key=lambda peak: -peak[1])[:3]:
            shifts = [min(abs(p - position) for p, _ in row["strongest"]) for row in rows[:-1]]
            left.plot(
                sizes[:-1], record["factor"] * np.maximum(shifts, 1e-9), "o-", color=color, markersize=4
            )
    for axes, what in (
        (left, f"shift of strong poles to the last space ({record['unit']})"),
        (right, "share of the weight that the space misses"),
    ):
        logarithmic(axes.xaxis, [row["space"] for c in channels for row in c["convergence"]])
        axes.set_yscale("log")
        label_powers(axes.yaxis)
        axes.set_xlabel("configurations of the space")
        axes.set_ylabel(what)
    draw_legend(right, frameon=False)
    return figure


def _eigenvector(state: Mapping[str, Any]) -> str:
    return "exact" if state["complete"] else "eigenvector of H on V"


def _is_sum(record: Mapping[str, Any]) -> bool:
    return record["energy_unit"] == "Hartree"


def _mark_poles(axes: "Axes", x: int, channel: Mapping[str, Any], factor: float) -> None:
    weights = np.array(channel["strengths"])
    strong = weights > 0.05 * weights.max(initial=0.0)
    places = factor * np.array(channel["positions"])[strong]
    axes.plot(np.full(len(places), x), places, "_", color=SERIES[1], markersize=9, markeredgewidth=1.1)


def _channel_title(record: Mapping[str, Any], channel: Mapping[str, Any]) -> str:
    parts = [momentum_label(channel) or channel["label"]]
    moments = channel["moments"]
    if record["operator"] == "current":
        found = record["states"][0]["optical"][channel["label"]]
        return f"{parts[0]}   Drude weight {found['drude']:.4f} t, f-sum {found['f_sum']:.4f} t"
    parts.append(f"total {moments['total_weight']:.5f} of {moments['total_weight_expected']:.5f}")
    return "   ".join(parts)


def _columns(record: Mapping[str, Any]) -> tuple[list[int | None], list[str]]:
    """Channels of the columns of a map (None where the operator vanishes), and their names."""
    channels = record["states"][0]["channels"]
    by_momentum = {tuple(c["momentum"]): k for k, c in enumerate(channels) if c.get("spin", 0) == 0}
    path = _path(by_momentum) if any(momentum_label(c).startswith("M ") for c in channels) else []
    wanted = path or list(by_momentum)
    names = []
    for momentum in wanted:
        k = by_momentum.get(momentum)
        names.append(
            "Γ" if k is None else (momentum_label(channels[k]).split("(")[0].strip() or str(momentum))
        )
    return [by_momentum.get(momentum) for momentum in wanted], names


def _path(momenta: Mapping[tuple, int]) -> list[tuple]:
    """Gamma-X-M-Gamma through momenta (mx, my), where all of it is there; q = 0 may be missing."""
    half = max((m[0] for m in momenta), default=0)
    path = [(m, 0) for m in range(half)] + [(half, m) for m in range(half)]
    path += [(m, m) for m in range(half, -1, -1)]
    return path if half and {m for m in path if m != (0, 0)} <= set(momenta) else []
