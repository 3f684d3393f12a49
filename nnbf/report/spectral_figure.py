"""The figure of a spectral function A(k, omega): a row for each momentum, with the exact one behind."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hamiltonians.errors import InputError
from nnbf.report.lattice_figures import momentum_label
from nnbf.report.style import GRID, INK, MUTED, SERIES, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Peaks below this weight do not widen the range of energies.
_VISIBLE = 0.02
_POINTS = 800

Shape = Literal["lorentzian", "gaussian"]


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

    Returns:
        A Matplotlib figure that belongs to no window.

    Raises:
        InputError: A momentum is not in the result, or the width is not positive.
    """
    chosen = _chosen(result, momenta)
    omega = _grid([result] if exact is None else [result, exact], chosen, width)
    figure = new_figure((7.0, 1.3 + 0.95 * len(chosen)))
    rows = figure.subplots(len(chosen), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, row in zip(rows, chosen, strict=True):
        style_axes(axes)
        momentum = tuple(row["momentum"])
        for change, colour, name in ((-1, SERIES[1], "removal"), (1, SERIES[0], "addition")):
            curve = _curve(result, momentum, (change,), omega, width, shape)
            axes.fill_between(omega, curve, color=colour, alpha=0.25, linewidth=0)
            axes.plot(omega, curve, color=colour, linewidth=1.4, label=f"{name}, optimised states")
        if exact is not None:
            curve = _curve(exact, momentum, (-1, 1), omega, width, shape)
            axes.plot(omega, curve, "--", color=INK, linewidth=0.9, label="exact, all levels")
        _mark_gap(axes, result)
        axes.set_title(_title(row), loc="left", color=INK, fontsize=8, pad=2)
    rows[0].set_ylim(bottom=0.0)
    rows[0].set_xlim(omega[0], omega[-1])
    rows[-1].set_xlabel("ω (t)")
    figure.supylabel("A(k, ω)  (1/t)", color=INK, fontsize=9.5)
    handles, labels = rows[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    for text in legend.get_texts():
        text.set_color(INK)
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


def _curve(result, momentum, changes, omega, width, shape) -> np.ndarray:
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


def _title(row: Mapping[str, Any]) -> str:
    found = [f"{100 * row[f'{name}_coverage']:.2f} % of {name}" for name in ("removal", "addition")]
    return f"{momentum_label(row)}   n_k = {row['occupation']:.4f}; shown {', '.join(found)}"
