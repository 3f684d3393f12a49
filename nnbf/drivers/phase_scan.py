r"""Order and its onset: a scan over the interaction, lattice by lattice.

The correlation ratio :math:`R = 1 - S(Q + \delta q) / S(Q)` at Q = (pi, pi) rises from 0 in a state without
order to 1 in an ordered one, and its curves for two sizes cross near the critical interaction;
:math:`S(Q) / N_s` extrapolated to infinite size is the square of the order parameter.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hamiltonians import space_group
from hamiltonians.errors import InputError
from hamiltonians.lattice.model import Lattice
from nnbf.ansatz.orbitals import lowest_momentum
from nnbf.drivers.calculation import solve
from nnbf.drivers.level_observables import level_configurations
from nnbf.drivers.monitor import Monitor
from nnbf.drivers.options import LatticeOptions
from nnbf.observables.correlations import Quantity, correlation_ratio, structure_factor

#: Resamplings behind the error of a crossing.
RESAMPLINGS = 2000


@dataclass(frozen=True)
class ScanPoint:
    """One lattice at one interaction."""

    size: tuple[int, int]
    n_sites: int
    particles: tuple[int, ...]
    interaction: float
    """V of t-V, U of Hubbard."""
    momentum: tuple[int, int]
    """Total momentum of the state."""
    energy: float
    error: float
    kind: str
    """full_sum or vmc."""
    structure: float
    """S(pi, pi) / N_s, of densities (t-V) or S^z (Hubbard)."""
    structure_error: float
    ratio: float
    """Correlation ratio."""
    ratio_error: float
    status: str


@dataclass(frozen=True)
class Crossing:
    """Crossing of the correlation ratios of two sizes."""

    sizes: tuple[tuple[int, int], tuple[int, int]]
    interaction: float
    error: float
    """Standard deviation over resampled ratios."""
    found: float
    """Share of the resamplings with a crossing inside the scan: below 0.9 the error is not to be trusted."""


def scan_interaction(
    models: Sequence[Lattice],
    options: LatticeOptions | None = None,
    *,
    momentum: Callable[[Lattice], tuple[int, int]] = lowest_momentum,
    time_limit: float | None = None,
    monitor: Monitor | None = None,
) -> Iterator[ScanPoint]:
    """Yield order and energy of each model, by full sums or Monte Carlo as its sector's size wants.

    Args:
        models: Lattices and interactions.
        options: Network, optimiser, method.
        momentum: Total momentum of each model's state; in open shells several are degenerate without
            interaction, and the choice matters (default: that of a lowest filling of free particles).
        time_limit: Seconds for each model.
        monitor: Rows and stop requests.

    Raises:
        InputError: (pi, pi) is no momentum of a lattice.
    """
    options = LatticeOptions() if options is None else options
    monitor = Monitor() if monitor is None else monitor
    for model in models:
        if model.geometry != "square" or model.size[0] % 2 or model.size[1] % 2:
            raise InputError(f"{model}: order at (pi, pi) needs a square lattice with even sides")
    for model in models:
        sector = space_group(model).sector(momentum(model), None)
        watched = monitor.within(time_limit)
        level = solve(model, options, sector=sector, monitor=watched).lowest
        quantity: Quantity = "spin" if model.is_spinful else "density"
        configurations = level_configurations(model, level)
        structure = structure_factor(model, configurations, quantity).values
        ratio = correlation_ratio(model, configurations, quantity)
        corner = (model.size[0] // 2, model.size[1] // 2)
        yield ScanPoint(
            size=model.size,
            n_sites=model.n_sites,
            particles=model.particles,
            interaction=model.U if model.is_spinful else model.V,
            momentum=sector.momentum,
            energy=float(level.energy),
            error=float(level.energy.error),
            kind=level.energy.kind,
            structure=float(structure.value[corner]) / model.n_sites,
            structure_error=float(np.broadcast_to(structure.error, structure.value.shape)[corner])
            / model.n_sites,
            ratio=float(ratio.value),
            ratio_error=float(ratio.error),
            status=level.status,
        )


def crossings(points: Sequence[ScanPoint], *, degree: int = 2, seed: int = 0) -> list[Crossing]:
    """Crossings of the correlation ratios of successive sizes.

    A polynomial is fitted to the ratios of each size at the interactions that both sizes have; the error is
    the spread over ratios drawn anew within their errors.

    Args:
        points: Of two sizes or more, at ``degree + 1`` common interactions or more.
        degree: Of the polynomials.
        seed: Of the resampling.

    Raises:
        InputError: Too few sizes or interactions.
    """
    by_size: dict[tuple[int, int], dict[float, ScanPoint]] = {}
    for point in points:
        by_size.setdefault(point.size, {})[point.interaction] = point
    sizes = sorted(by_size, key=lambda size: size[0] * size[1])
    if len(sizes) < 2:
        raise InputError("crossings need two sizes or more")
    rng = np.random.default_rng(seed)
    found = []
    for small, large in pairwise(sizes):
        common = np.array(sorted(by_size[small].keys() & by_size[large].keys()))
        if len(common) < degree + 1:
            raise InputError(
                f"{len(common)} interactions common to {small[0]}x{small[1]} and {large[0]}x{large[1]}: "
                f"give {degree + 1} or more"
            )
        curves = [[by_size[size][v] for v in common] for size in (small, large)]
        values = np.array([[point.ratio for point in curve] for curve in curves])
        errors = np.array([[point.ratio_error for point in curve] for curve in curves])
        central = _crossings_of(common, values[1] - values[0], degree)
        noise = errors * rng.normal(size=(RESAMPLINGS, *values.shape))
        drawn = _crossings_of(common, (values + noise)[:, 1] - (values + noise)[:, 0], degree)
        there = drawn[np.isfinite(drawn)]
        if not np.isfinite(central) and not len(there):
            continue
        found.append(
            Crossing(
                sizes=(small, large),
                interaction=float(central if np.isfinite(central) else np.median(there)),
                error=float(there.std(ddof=1)) if len(there) > 1 else 0.0,
                found=len(there) / RESAMPLINGS,
            )
        )
    return found


def critical_interaction(points: Sequence[ScanPoint], **options: Any) -> tuple[float, float]:
    """Critical interaction and its uncertainty from the crossings of all successive sizes.

    The crossing of the largest sizes, with its error and, in quadrature, its distance from the one before:
    crossings drift with size.

    Raises:
        InputError: No two sizes cross inside the scan.
    """
    found = crossings(points, **options)
    if not found:
        raise InputError("the correlation ratios do not cross inside the scan: widen it")
    last = found[-1]
    drift = abs(last.interaction - found[-2].interaction) if len(found) > 1 else 0.0
    return last.interaction, float(np.hypot(last.error, drift))


def order_parameter(points: Sequence[ScanPoint]) -> dict[float, tuple[float, float]]:
    """S(pi, pi) / N_s in the limit of infinite size, with its error, for every interaction of three sizes.

    Linear in 1/L, the published extrapolation; it can come out slightly negative where there is no order.
    """
    by_interaction: dict[float, list[ScanPoint]] = {}
    for point in points:
        by_interaction.setdefault(point.interaction, []).append(point)
    limits = {}
    for interaction, group in sorted(by_interaction.items()):
        if len(group) < 3:
            continue
        x = np.array([1.0 / np.sqrt(point.n_sites) for point in group])
        y = np.array([point.structure for point in group])
        sigma = np.array([max(point.structure_error, 1e-9) for point in group])
        line, covariance = np.polyfit(x, y, 1, w=1.0 / sigma, cov="unscaled")
        chi2 = np.sum(((y - np.polyval(line, x)) / sigma) ** 2) / (len(group) - 2)
        # A line that misses the points by more than their errors is no better than it looks.
        limits[interaction] = float(line[1]), float(np.sqrt(covariance[1, 1] * max(chi2, 1.0)))
    return limits


def _crossings_of(interactions: np.ndarray, differences: np.ndarray, degree: int) -> np.ndarray:
    """Where polynomials through differences (..., n) first pass zero upwards inside the scan, (...,); or NaN.

    Order sets in where the larger lattice overtakes the smaller one.
    """
    grid = np.linspace(interactions[0], interactions[-1], 401)
    centre, scale = interactions.mean(), np.ptp(interactions) or 1.0
    powers = [np.vander((x - centre) / scale, degree + 1) for x in (interactions, grid)]
    curves = differences @ (powers[1] @ np.linalg.pinv(powers[0])).T
    up = (curves[..., :-1] < 0) & (curves[..., 1:] >= 0)
    first = np.argmax(up, axis=-1)
    low = np.take_along_axis(curves, first[..., None], axis=-1)[..., 0]
    high = np.take_along_axis(curves, first[..., None] + 1, axis=-1)[..., 0]
    rise = np.where(high > low, high - low, 1.0)
    return np.where(up.any(axis=-1), grid[first] - low / rise * (grid[1] - grid[0]), np.nan)
