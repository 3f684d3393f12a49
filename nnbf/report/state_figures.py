"""Figures of states: levels by momentum, S(q) over the Brillouin zone, C(R) against distance, A(k, omega).

The figures belong to no window; `nnbf.report.style.png` turns them into files.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hamiltonians.errors import InputError
from nnbf.report.style import GRID, INK, MUTED, PAPER, SERIES, bars, draw_legend, new_panels, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Shape = Literal["lorentzian", "gaussian"]

_MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")


def momentum_label(record: Mapping[str, Any]) -> str:
    """Momentum as its integers, with the name of high-symmetry points of the square lattice."""
    momentum = record.get("momentum") or (record.get("sector") or {}).get("momentum")
    if momentum is None:
        return ""
    kx, ky = (abs(k) for k in record.get("wave_vector") or (np.nan, np.nan))
    name = {(0.0, 0.0): "\u0393 ", (3.14, 3.14): "M ", (3.14, 0.0): "X ", (0.0, 3.14): "X "}
    return f"{name.get((round(kx, 2), round(ky, 2)), '')}({momentum[0]},{momentum[1]})"


def draw_levels(levels: Sequence[Mapping[str, Any]], unit: str = "t") -> "Figure":
    """Draw energies above the lowest level against the momenta, a mark for each irrep.

    Args:
        levels: `levels` of result.json.
        unit: Unit of their energies.

    Raises:
        InputError: There are no levels.
    """
    if not levels:
        raise InputError("there are no levels to draw: go on with the run first")
    places: dict[str, int] = {}
    for level in levels:
        places.setdefault(momentum_label(level), len(places))
    kinds = list(dict.fromkeys(map(_kind, levels)))
    lowest = min(level["energy"] for level in levels)
    figure, [[axes]] = new_panels((max(5.0, 2.6 + 0.6 * len(places)), 4.2))
    for index, kind in enumerate(kinds):
        shift = 0.12 * (index - (len(kinds) - 1) / 2)
        chosen = [level for level in levels if _kind(level) == kind]
        x = np.array([places[momentum_label(level)] + shift for level in chosen])
        axes.errorbar(
            x, [level["energy"] - lowest for level in chosen], bars([number(row, "error") for row in chosen]),
            fmt=_MARKS[index % len(_MARKS)], color=SERIES[index % len(SERIES)], markersize=5, capsize=2.5,
            linestyle="none", label=kind or "lowest of the momentum",
        )  # fmt: skip
        exact = np.array([number(level, "reference") for level in chosen])
        axes.plot(x, exact - lowest, "_", color=INK, markersize=13, markeredgewidth=1.0, zorder=1)
    if any(level.get("reference") is not None for level in levels):
        axes.plot([], [], "_", color=INK, markersize=13, label="exact")
    axes.set_xticks(range(len(places)), list(places), rotation=30, ha="right")
    axes.set_ylabel(f"energy above the lowest level ({unit})")
    axes.set_xlabel("momentum, units of 2\u03c0/L" if any(places) else "")
    draw_legend(axes, beside=True)
    return figure


def _kind(level: Mapping[str, Any]) -> str:
    sector = level.get("sector") or level
    parity = {1: "even spin", -1: "odd spin"}.get(sector.get("spin_flip") or 0, "")
    return " ".join(part for part in (sector.get("irrep"), parity) if part)


_GAMMA = {"\u0393": (0.0, 0.0)}
_NAMES = {
    "square": {**_GAMMA, "X": (np.pi, 0.0), "M": (np.pi, np.pi)},
    "triangular": {**_GAMMA, "K": (4 * np.pi / 3, 0.0), "M": (0.0, 2 * np.pi / np.sqrt(3.0))},
    "honeycomb": {**_GAMMA, "K": (4 * np.pi / np.sqrt(27.0), 0.0), "M": (0.0, 2 * np.pi / 3)},
}
_SYMBOLS = {"density": "S(q)", "spin": "S\u1dbb\u1dbb(q)"}
_LABELS = {"density": "density", "spin": "S\u1dbb S\u1dbb"}


def draw_structure_factor(record: Mapping[str, Any]) -> "Figure":
    """Draw S(q) over the Brillouin zone; on the square lattice of even sides also along \u0393-X-M-\u0393.

    Args:
        record: `StructureFactor.record()`.
    """
    values = np.array(record["values"])
    path = _path(record["lattice"], values.shape)
    figure, [panels] = new_panels((8.4, 3.8) if path else (4.8, 3.8), columns=2 if path else 1)
    _draw_zone(panels[0], record)
    if path:
        _draw_path(panels[1], record, path)
    return figure


def draw_correlations(*records: Mapping[str, Any]) -> "Figure":
    """Draw C(R) against graph distance from R = 1 on: averages as a line, single displacements as dots.

    Args:
        records: `Correlations.record()`, one or several (density and spin).
    """
    from matplotlib.ticker import MaxNLocator

    figure, [[axes]] = new_panels((5.4, 3.8))
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    for index, record in enumerate(records):
        color = SERIES[index % len(SERIES)]
        distances = np.array(record["distances"])
        apart = distances > 0
        axes.plot(
            distances[apart], np.array(record["values"])[apart], "o", color=color, markersize=3.5, alpha=0.35,
            markeredgewidth=0.0, label="single displacements" if index == len(records) - 1 else None,
        )  # fmt: skip
        mean, error = record["by_distance"][1:], record["by_distance_errors"][1:]
        label = _LABELS[record["quantity"]]
        axes.errorbar(np.arange(1, len(mean) + 1), mean, bars(error), **_line(color, 5), label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("graph distance R")
    axes.set_ylabel("C(R)")
    draw_legend(axes, frameon=False)
    return figure


def _line(color: str, size: float) -> dict[str, Any]:
    widths = {"linewidth": 1.3, "elinewidth": 1.0, "capsize": 2.5}
    return {"fmt": "o-", "color": color, "markersize": size, **widths}


def _draw_zone(axes: "Axes", record: Mapping[str, Any]) -> None:
    """Every q as the Wigner-Seitz cell around it, repeated by reciprocal vectors and cut at the zone."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Polygon

    waves, values = np.array(record["wave_vectors"]), np.array(record["values"])
    cell, reciprocal = _grid_vectors(record["lattice"], values.shape)
    zone = _zone(reciprocal)
    corners = _zone(cell)
    shifts = (
        np.stack(np.meshgrid(*[np.arange(-1, 2)] * 2, indexing="ij"), axis=-1).reshape(-1, 2) @ reciprocal
    )
    centres = (waves.reshape(-1, 1, 2) + shifts).reshape(-1, 2)
    # Those that reach into the zone.
    reach = np.linalg.norm(zone, axis=1).max() + np.linalg.norm(corners, axis=1).max()
    seen = np.linalg.norm(centres, axis=1) < reach
    heights = np.repeat(values.ravel(), len(shifts))[seen]
    tiles = PolyCollection(
        centres[seen][:, None] + corners,
        cmap=LinearSegmentedColormap.from_list("ink", [PAPER, SERIES[0], INK]),
        edgecolors="face",
        linewidths=0.3,
    )
    tiles.set_array(heights)
    tiles.set_clim(0.0, heights.max() or 1.0)
    outline = Polygon(zone, closed=True, fill=False, edgecolor=INK, linewidth=1.0, zorder=3)
    axes.add_collection(tiles)
    axes.add_patch(outline)
    tiles.set_clip_path(outline)
    axes.grid(False)
    axes.set_aspect("equal")
    extent = 1.06 * np.abs(zone).max(axis=0)
    axes.set_xlim(-extent[0], extent[0])
    axes.set_ylim(-extent[1], extent[1])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks([-np.pi, 0.0, np.pi], ["-\u03c0", "0", "\u03c0"])
    axes.set_xlabel("$q_x$")
    axes.set_ylabel("$q_y$")
    bar = axes.figure.colorbar(tiles, ax=axes, shrink=0.85)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=8)
    bar.ax.set_title(_SYMBOLS[record["quantity"]], color=INK, fontsize=9.5)
    for name, place in _NAMES[record["lattice"]].items():
        offset, ha, va = ((5, 5), "left", "bottom") if name == "\u0393" else ((-4, -4), "right", "top")
        axes.annotate(
            name, place, offset, textcoords="offset points", ha=ha, va=va, fontsize=8, color=INK, zorder=4,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.8},
        )  # fmt: skip


def _draw_path(axes: "Axes", record: Mapping[str, Any], path: tuple[list, list]) -> None:
    points, ticks = path
    values, errors = np.array(record["values"]), np.array(record["errors"])
    index = tuple(np.array(points).T)
    x = _lengths(points, values.shape)
    axes.errorbar(x, values[index], bars(errors[index]), **_line(SERIES[0], 4.5))
    axes.set_xticks(x[[place for place, _ in ticks]], [name for _, name in ticks])
    axes.margins(x=0.03)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel(_SYMBOLS[record["quantity"]])


def _path(lattice, shape):
    """Indices along \u0393-X-M-\u0393 and the (position, name) of its corners, or None."""
    first, second = shape
    if lattice != "square" or first != second or first % 2:
        return None
    half = first // 2
    points = [(m, 0) for m in range(half)] + [(half, m) for m in range(half)]
    points += [(m, m) for m in range(half, -1, -1)]
    return points, [(0, "\u0393"), (half, "X"), (2 * half, "M"), (3 * half, "\u0393")]


def _lengths(points, shape):
    """Length of the way to every point."""
    steps = np.linalg.norm(np.diff(np.array(points), axis=0) / shape[0], axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _grid_vectors(lattice, shape):
    """Vectors between neighbouring q, and reciprocal lattice vectors, (2, 2) each, as rows."""
    from hamiltonians.lattice.cluster import GEOMETRIES

    reciprocal = 2 * np.pi * np.linalg.inv(np.array(GEOMETRIES[lattice].vectors)).T
    return reciprocal / np.array(shape)[:, None], reciprocal


def _zone(vectors):
    """Corners (n, 2) of the Wigner-Seitz cell of a lattice: where two bisectors meet, none nearer."""
    short, long = sorted(np.array(vectors), key=np.linalg.norm)
    # Gauss's reduction: then the eight points around bound the cell.
    while steps := np.rint(short @ long / (short @ short)):
        short, long = sorted((short, long - steps * short), key=np.linalg.norm)
    around = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)])
    points = around @ np.array([short, long])
    limits = 0.5 * np.sum(points**2, axis=1)
    found = []
    for i in range(len(points)):
        for j in range(i):
            pair = points[[i, j]]
            if abs(np.linalg.det(pair)) > 1e-9:
                corner = np.linalg.solve(pair, limits[[i, j]])
                if np.all(points @ corner <= limits + 1e-9):
                    found.append(corner)
    corners = np.unique(np.round(found, 9), axis=0)
    return corners[np.argsort(np.arctan2(corners[:, 1], corners[:, 0]))]


#: Peaks below this weight do not widen the range of energies.
_VISIBLE = 0.02
_POINTS = 800


def draw_spectral(
    result: Mapping[str, Any],
    exact: Mapping[str, Any] | None = None,
    *,
    momenta: Sequence[tuple[int, int]] | None = None,
    width: float = 0.1,
    shape: Shape = "lorentzian",
) -> "Figure":
    """Draw removal and addition peaks of each momentum, broadened.

    Args:
        result: The record of `nnbf.observables.spectral_function.ChargeExcitations`.
        exact: That of exact diagonalisation, drawn as a dashed line.
        momenta: Which, from top to bottom; by default all whose peaks differ.
        width: Of the peaks, in units of t: half width of a Lorentzian, standard deviation of a Gaussian.
        shape: lorentzian or gaussian.

    Raises:
        InputError: A momentum is not in the result, or the width is not positive.
    """
    chosen = _chosen(result, momenta)
    omega = _grid([result] if exact is None else [result, exact], chosen, width)
    size = (7.0, 1.3 + 0.95 * len(chosen))
    figure, panels = new_panels(size, len(chosen), sharex=True, sharey=True)
    rows = panels[:, 0]
    for axes, row in zip(rows, chosen, strict=True):
        momentum = tuple(row["momentum"])
        for change, colour, name in ((-1, SERIES[1], "removal"), (1, SERIES[0], "addition")):
            curve = _spectrum(result, momentum, (change,), omega, width, shape)
            axes.fill_between(omega, curve, color=colour, alpha=0.25, linewidth=0)
            axes.plot(omega, curve, color=colour, linewidth=1.4, label=f"{name}, optimised states")
        if exact is not None:
            curve = _spectrum(exact, momentum, (-1, 1), omega, width, shape)
            axes.plot(omega, curve, "--", color=INK, linewidth=0.9, label="exact, all levels")
        _mark_gap(axes, result)
        axes.set_title(_momentum_title(row), loc="left", color=INK, fontsize=8, pad=2)
    rows[0].set_ylim(bottom=0.0)
    rows[0].set_xlim(omega[0], omega[-1])
    rows[-1].set_xlabel("ω (t)")
    figure.supylabel("A(k, ω)  (1/t)", color=INK, fontsize=9.5)
    handles, labels = rows[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=4, fontsize=8, frameon=False, labelcolor=INK
    )
    return figure


def _chosen(result, momenta) -> list[Mapping[str, Any]]:
    rows = {tuple(row["momentum"]): row for row in result["momenta"]}
    if momenta is None:
        distinct: dict[tuple, Mapping[str, Any]] = {}
        for momentum, row in rows.items():
            peaks = sorted((round(e["omega"], 6), round(e["weight"], 6)) for e in _peaks(result, momentum))
            distinct.setdefault(tuple(peaks), row)
        return list(distinct.values())
    for momentum in momenta:
        if tuple(momentum) not in rows:
            known = ", ".join(f"({mx},{my})" for mx, my in rows)
            raise InputError(f"momentum {tuple(momentum)} is not in this result: it has {known}")
    return [rows[tuple(momentum)] for momentum in momenta]


def _peaks(result, momentum) -> list[Mapping[str, Any]]:
    return [e for e in result["excitations"] if e["allowed"] and tuple(e["momentum"]) == momentum]


def _grid(results, rows, width) -> np.ndarray:
    """Energies that hold all peaks of some weight."""
    momenta = {tuple(row["momentum"]) for row in rows}
    found = [
        e["omega"]
        for result in results
        for momentum in momenta
        for e in _peaks(result, momentum)
        if e["weight"] > _VISIBLE
    ]
    edges = [edge for result in results for edge in (result["mu_minus"], result["mu_plus"])]
    found += [edge for edge in edges if edge is not None]
    low, high = min(found, default=-1.0), max(found, default=1.0)
    margin = max(6 * width, 0.04 * (high - low))
    return np.linspace(low - margin, high + margin, _POINTS)


def _spectrum(result, momentum, changes, omega, width, shape) -> np.ndarray:
    from nnbf.observables.spectral_function import broadened

    peaks = [e for e in _peaks(result, momentum) if e["change"] in changes]
    return broadened(
        [e["omega"] for e in peaks], [e["weight"] for e in peaks], omega, width=width, shape=shape
    )


def _mark_gap(axes: "Axes", result) -> None:
    """Chemical potentials of removal and addition; the gap between them where there is one."""
    edges = [result["mu_minus"], result["mu_plus"]]
    for edge in edges:
        if edge is not None:
            axes.axvline(edge, color=MUTED, linewidth=0.8, linestyle=":")
    if None not in edges and edges[0] < edges[1]:
        axes.axvspan(*edges, color=GRID, alpha=0.5, linewidth=0, zorder=0)


def _momentum_title(row: Mapping[str, Any]) -> str:
    found = [f"{100 * row[f'{name}_coverage']:.2f} % of {name}" for name in ("removal", "addition")]
    return f"{momentum_label(row)}   n_k = {row['occupation']:.4f}; shown {', '.join(found)}"
