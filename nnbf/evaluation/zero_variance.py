r"""Extrapolation of a run's energies to vanishing variance, or vanishing second-order correction.

Near an eigenstate the error of the energy is proportional to the variance <(H - E)^2> (Kashima, Imada,
J. Phys. Soc. Jpn. 70, 2287 (2001)) and to the second-order correction (Holmes, Umrigar, Sharma, J. Chem.
Phys. 147, 164111 (2017)): both vanish where V is everything. The points are the states that V grew
from, one a stage, and the final state. A fit is no bound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

LEAST_POINTS = 3
"""Fewest points of a fit: two would leave no sign of its error."""
SMALLEST_SPACE = 16
"""Stages with fewer determinants are no approximation of the ground state yet."""


@dataclass(frozen=True)
class Point:
    """One settled state of a run."""

    n_space: int
    """Determinants in V."""
    energy: float
    """Variational energy, Hartree."""
    variance: float | None
    """<(H - E)^2> under the whole Hamiltonian, Hartree^2."""
    pt2: float | None
    """Second-order correction, Hartree (negative)."""


@dataclass(frozen=True)
class Extrapolation:
    """An energy where the abscissa vanishes."""

    method: str
    """variance or pt2."""
    energy: float
    """Hartree."""
    error: float
    """Statistical error of the fit combined with the largest change under another fit."""
    coefficients: tuple[float, ...]
    """Of the straight line: energy at zero, slope."""
    x: tuple[float, ...]
    """Abscissas: variance, or minus the second-order correction."""
    y: tuple[float, ...]
    """Energies, Hartree."""


def settled_points(history: Sequence[Mapping[str, Any]], result: Mapping[str, Any] | None) -> list[Point]:
    """The states of a selected-space run at the end of each stage, in the order of the run.

    The column ``variance`` of a history is that inside V, which says nothing about what V leaves out:
    not it, but ``grown_from`` of the steps at which V grew is used.

    Args:
        history: Rows of history.jsonl.
        result: Content of result.json, whose ``variational`` and ``pt2`` give the last point.
    """
    points: list[Point] = []
    for row in history:
        found = row.get("grown_from")
        if found and found["n_space"] >= SMALLEST_SPACE:
            points.append(Point(found["n_space"], found["energy"], found["variance"], found["pt2"]))
    final = _final_point(result or {})
    if final is not None:
        # The final evaluation is that of the last growth, exactly summed.
        points = [point for point in points if point.n_space != final.n_space]
        points.append(final)
    return points


def extrapolate(points: Sequence[Point], method: str) -> Extrapolation | str:
    """Fit energies against variances ("variance") or second-order corrections ("pt2").

    The energy is that of a straight line, points weighted with the inverse square of their abscissa; the
    error combines that of the fit with the largest difference from a parabola and from the line without the
    first point.

    Returns:
        The fit, or a line that says why there is none.
    """
    known = []
    for point in points:
        left = point.variance if method == "variance" else point.pt2
        if left is not None and np.isfinite(left) and np.isfinite(point.energy):
            known.append((abs(left), point.energy))
    known = _falling(known)
    if len(known) < LEAST_POINTS:
        return f"{len(known)} settled stages with a {_NAMES[method]}, at least {LEAST_POINTS} are needed"
    abscissas, energies = zip(*known, strict=True)
    x, y = np.array(abscissas), np.array(energies)
    if x[-1] <= 1e-12:
        return f"the {_NAMES[method]} of the last stage is zero: there is nothing to extrapolate"
    line, error = _fit(x, y, 1)
    others = [_fit(x, y, 2)[0][0], _fit(x[1:], y[1:], 1)[0][0]]
    spread = max(abs(other - line[0]) for other in others)
    return Extrapolation(
        method, float(line[0]), float(np.hypot(error, spread)), tuple(map(float, line)), abscissas, energies
    )


_NAMES = {"variance": "variance", "pt2": "second-order correction"}


def _final_point(result: Mapping[str, Any]) -> Point | None:
    estimates = result.get("estimates") or {}
    variational = estimates.get("variational")
    if not variational or variational.get("energy") is None or not result.get("n_determinants"):
        return None
    correction = (estimates.get("pt2") or {}).get("correction")
    if correction is None:  # without it the recorded variance is that inside V
        return None
    return Point(result["n_determinants"], variational["energy"], variational.get("variance"), correction)


def _falling(points):
    """The points from which on abscissa and energy both fall: what comes before belongs to no trend."""
    kept: list[tuple[float, float]] = []
    for x, y in reversed(points):
        if kept and not (x > kept[-1][0] and y > kept[-1][1]):
            break
        kept.append((x, y))
    return kept[::-1]


def _fit(x, y, degree):
    """Coefficients from the constant up, and the standard error of the constant."""
    freedom = len(x) - degree - 1
    # Without degrees of freedom the scatter is not known.
    found, covariance = np.polyfit(x, y - y[-1], degree, w=1.0 / x, cov=True if freedom else "unscaled")
    # One standard deviation of Student's t: few points know their own scatter poorly.
    error = stdtrit(freedom, 0.84134) * np.sqrt(covariance[-1, -1]) if freedom else 0.0
    found[-1] += y[-1]
    return found[::-1], float(error)
