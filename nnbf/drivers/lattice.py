"""Levels of a lattice model in one symmetry sector, by full summation over the sector."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.lattice.exact import SectorBasis, sector_basis
from hamiltonians.lattice.model import Lattice
from hamiltonians.lattice.sector_points import sector_points
from nnbf.drivers.full_sum import FullSumDriver
from nnbf.drivers.lattice_ansatz import make_lattice_ansatz, single_row
from nnbf.drivers.lattice_options import LatticeOptions
from nnbf.drivers.monitor import Monitor
from nnbf.drivers.supervision import Stopwatch, supervise
from nnbf.operators import LatticeHamiltonian
from nnbf.optimize import RayleighGaussNewton
from nnbf.states import Exclude, Objective, Space, SpaceState

if TYPE_CHECKING:
    from hamiltonians import Sector

#: Penalty on lower levels, in units of the largest gap that the next one can have.
PENALTY = 1.5


@dataclass(frozen=True, eq=False)
class SectorLevel:
    """One optimised level of a sector. Energies are in units of t, of kind ``full_sum``."""

    sector: "Sector"
    """Where it is."""
    level: int
    """0 for the lowest of the sector."""
    energy: float
    """Rayleigh quotient; for level 0 an upper bound of the exact level."""
    variance: float
    """Variance of H."""
    overlap: float
    """Largest overlap |<lower|this>| with the levels below, 0 where there is none."""
    status: str
    """converged, max_steps, time_limit or interrupted."""
    n_steps: int
    """Steps made."""
    n_parameters: int
    """Parameters of the network."""
    wall_time_s: float
    """Seconds."""
    state: SpaceState
    """The state."""


def sector_state(
    model: Lattice,
    sector: "Sector",
    options: LatticeOptions | None = None,
    *,
    basis: SectorBasis | None = None,
) -> SpaceState:
    """A state of the default ansatz on the whole of a sector.

    Args:
        model: The lattice model.
        sector: The sector; of irreps of dimension above 1 a row.
        options: Network, orbitals, seed.
        basis: The sector's basis, where it is known.

    Raises:
        InputError: The sector is too large to be summed, or has no states.
    """
    options = LatticeOptions() if options is None else options
    single_row(sector)
    if sector.n_states > options.full_sum_limit:
        raise InputError(
            f"sector {sector.label} has {sector.n_states:,} states, more than full_sum_limit "
            f"({options.full_sum_limit:,}): give a smaller lattice, an irrep, or a larger limit"
        )
    basis = sector_basis(model, sector) if basis is None else basis
    if basis.n_states == 0:
        raise InputError(f"sector {sector.label} has no states at this filling")
    ansatz = make_lattice_ansatz(model, sector, options)
    points, transform = sector_points(basis, sector.row or 0)
    hamiltonian = LatticeHamiltonian(model)
    space = Space.sector(hamiltonian.pack(points), transform, basis.matrix())
    is_real = basis.is_real and ansatz.is_real
    return SpaceState(hamiltonian, ansatz, space, seed=options.seed, is_real=is_real)


def solve_sector(
    model: Lattice,
    sector: "Sector",
    options: LatticeOptions | None = None,
    *,
    lower: Sequence[SectorLevel] = (),
    monitor: Monitor | None = None,
) -> SectorLevel:
    """Optimise the lowest level of a sector that is orthogonal to known ones.

    Args:
        model: The lattice model.
        sector: The sector; of irreps of dimension above 1 a row.
        options: Network, optimiser, limits.
        lower: Levels of this sector that are known; the result is the next one.
        monitor: Rows, stop requests, deadline, checkpoints.

    Raises:
        InputError: The sector is too large, or has no states.
        FloatingPointError: The optimisation left the finite numbers, also with smaller steps.
    """
    options = LatticeOptions() if options is None else options
    monitor = Monitor() if monitor is None else monitor
    stopwatch = Stopwatch(monitor.resume)
    if len(lower) >= sector.n_states:
        raise InputError(f"sector {sector.label} has {sector.n_states} states, no level {len(lower)}")
    state = sector_state(model, sector, options)
    known = np.array([level.state.vector() for level in lower]).reshape(len(lower), state.n_states)
    if len(lower):
        strength = PENALTY * _largest_gap(state, [level.energy for level in lower])
        penalty = Exclude(tuple(level.state for level in lower), strength)
        state.objective = Objective(state.hamiltonian, (penalty,))
    settings = options.settings("full-sum")
    driver = FullSumDriver(
        state,
        optimizer=RayleighGaussNewton(damping=settings.damping, dense_limit=options.dense_limit),
        tolerance=options.tolerance,
    )
    ending = supervise(driver, settings.max_steps, monitor, stopwatch=stopwatch)
    energy, variance = state.energy_and_variance()
    overlaps = np.abs(known.conj() @ state.vector()) if len(lower) else np.zeros(1)
    return SectorLevel(
        sector=sector,
        level=len(lower),
        energy=energy,
        variance=variance,
        overlap=float(overlaps.max()),
        status=ending.status,
        n_steps=int(driver.step_count),
        n_parameters=state.n_parameters,
        wall_time_s=stopwatch.total,
        state=state,
    )


def _largest_gap(state: SpaceState, lower: Sequence[float]) -> float:
    """Bound on the distance of the next level from the lowest: the next is not above the mean of the rest."""
    trace = float(state.matrix.diagonal().sum()) / (1 if state.is_real else 2)
    mean_of_rest = (trace - sum(lower)) / (state.n_states - len(lower))
    return max(mean_of_rest - min(lower), 0.0)
