"""Full sums over a fixed basis: the driver, and levels of a lattice model in one symmetry sector."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import netket as nk
import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.lattice.exact import SectorBasis, sector_basis
from hamiltonians.lattice.model import Lattice
from hamiltonians.lattice.sector_points import sector_points
from nnbf.drivers.base import ExactDriver, Progress
from nnbf.drivers.level import Level
from nnbf.drivers.methods import Task
from nnbf.drivers.options import LatticeOptions
from nnbf.drivers.sector_ansatz import make_lattice_ansatz, single_row
from nnbf.drivers.supervision import Stopwatch, supervise
from nnbf.estimate import Estimate, v_score
from nnbf.operators import LatticeHamiltonian
from nnbf.optimize import RayleighGaussNewton
from nnbf.states import Exclude, Objective, Space, SpaceState

if TYPE_CHECKING:
    from hamiltonians import Sector

#: A step is slow that gains less than this part of the variance over the energy's size. (Where the network
#: can fit the state, a step gains about the whole of it.)
SLOW = 0.03
#: Penalty on lower levels, in units of the largest gap that the next one can have.
PENALTY = 1.5


@dataclass
class _Progress(Progress):
    before: float | None = None
    """What was minimised, before the last step."""


class FullSumDriver(ExactDriver):
    """Minimises the energy of a :class:`~nnbf.states.SpaceState`.

    The run ends by itself when the energy has settled. Optimisers are those of ``nnbf.optimize``.
    """

    def __init__(
        self,
        state: SpaceState,
        *,
        optimizer: Any = None,
        tolerance: float = 1e-8,
        patience: int | None = None,
    ):
        """Make a driver.

        Args:
            state: The state to optimise.
            optimizer: An optimiser of ``nnbf.optimize`` (default Rayleigh-Gauss-Newton).
            tolerance: Converged when ``patience`` steps in a row change the energy by less, relative to
                its size, or by less than `SLOW` times the variance over that size: the network is then
                what limits the energy.
            patience: Number of such steps (default 5, or 30 for an optimiser without a line search).
        """
        super().__init__(state, optimizer, _Progress(), tolerance)
        self._patience = patience or (5 if self._configured.line_search else 30)

    @property
    def converged(self) -> bool:
        """Whether the energy has settled."""
        return self.progress.calm >= self._patience

    @property
    def row(self) -> dict[str, Any]:
        """The step just made, as plain numbers: one row of a run's history."""
        # What is minimised: with lower levels pushed up, more than the energy.
        return {**super().row, "energy_kind": "full_sum", "objective": self.progress.before}

    def compute_loss_and_update(self):
        """One step: propose, search the line."""
        problem = self.state.tangent_problem()
        update, _ = self._propose(problem)
        self._count_calm_steps(problem.energy, float(problem.residual @ problem.residual))
        energy, variance = self.state.energy_and_variance()
        return nk.stats.Stats(mean=energy, error_of_mean=0.0, variance=variance), update

    def _count_calm_steps(self, energy, variance):
        progress = self.progress
        change = np.inf if progress.before is None else abs(energy - progress.before)
        progress.last_change, progress.before = change, energy
        scale = max(1.0, abs(energy))
        enough = max(self._tolerance * scale, SLOW * variance / scale)
        # A step that the line search refused changes nothing: the damping has to grow first.
        self._count(change < enough and progress.fraction > 0)


def sector_state(
    model: Lattice,
    sector: "Sector",
    options: LatticeOptions | None = None,
    *,
    basis: SectorBasis | None = None,
    ansatz: Any = None,
) -> SpaceState:
    """A state of the default ansatz on the whole of a sector.

    Args:
        model: The lattice model.
        sector: The sector; of irreps of dimension above 1 a row.
        options: Network, orbitals, seed.
        basis: The sector's basis, where it is known.
        ansatz: Network instead of that of the options.

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
    ansatz = make_lattice_ansatz(model, sector, options) if ansatz is None else ansatz
    points, transform = sector_points(basis, sector.row or 0)
    hamiltonian = LatticeHamiltonian(model)
    space = Space.sector(hamiltonian.pack(points), transform, basis.matrix())
    is_real = basis.is_real and getattr(ansatz, "is_real", False)
    return SpaceState(hamiltonian, ansatz, space, seed=options.seed, is_real=is_real)


def full_sum_level(task: Task) -> Level:
    """Level of a sector that is orthogonal to known ones, by sums over the whole sector.

    Raises:
        InputError: The sector is too large, or has no states.
        FloatingPointError: The optimisation left the finite numbers, also with smaller steps.
    """
    options, sector, lower = task.options, task.sector, task.lower
    assert sector is not None
    stopwatch = Stopwatch(task.monitor.resume)
    if len(lower) >= sector.n_states:
        raise InputError(f"sector {sector.label} has {sector.n_states} states, no level {len(lower)}")
    state = sector_state(task.problem, sector, options, ansatz=task.model)
    if lower:
        strength = PENALTY * _largest_gap(state, [float(level.energy) for level in lower])
        penalty = Exclude(tuple(level.state for level in lower), strength)
        state.objective = Objective(state.hamiltonian, (penalty,))
    settings = options.settings("full-sum")
    optimizer = task.optimizer
    if optimizer is None:
        optimizer = RayleighGaussNewton(damping=settings.damping, dense_limit=options.dense_limit)
    driver = FullSumDriver(state, optimizer=optimizer, tolerance=options.tolerance)
    ending = supervise(driver, settings.max_steps, task.monitor, stopwatch=stopwatch)
    found = level_of_state(task.problem, sector, state, lower)
    return replace(
        found,
        status=ending.status,
        n_steps=int(driver.step_count),
        wall_time_s=stopwatch.total,
        warnings=ending.warnings,
    )


def level_of_state(model: Lattice, sector: "Sector", state: SpaceState, lower: Sequence[Level] = ()) -> Level:
    """Level of a state as it is, without steps.

    Args:
        model: The lattice model.
        sector: Its sector.
        state: The state.
        lower: Levels below.
    """
    value, variance = state.energy_and_variance()
    energy = Estimate(value, 0.0, "full_sum", unit="t", upper_bound=not lower, variance=variance)
    overlap = float(np.abs(_vectors(state, lower).conj() @ state.vector()).max()) if lower else 0.0
    return Level(
        problem=model,
        energy=energy,
        status="max_steps",
        n_steps=0,
        n_parameters=state.n_parameters,
        wall_time_s=0.0,
        model=state.model,
        parameters=state.parameters,
        sector=sector,
        number=len(lower),
        estimates={"full_sum": energy},
        v_score=v_score(model.n_particles, variance, value, model.infinite_temperature_energy),
        details={"overlap": overlap},
        state=state,
    )


def _vectors(state: SpaceState, levels: Sequence[Level]) -> np.ndarray:
    return np.array([level.state.vector() for level in levels]).reshape(len(levels), state.n_states)


def _largest_gap(state: SpaceState, lower: Sequence[float]) -> float:
    """Bound on the distance of the next level from the lowest: the next is not above the mean of the rest."""
    trace = float(state.matrix.diagonal().sum()) / (1 if state.is_real else 2)
    mean_of_rest = (trace - sum(lower)) / (state.n_states - len(lower))
    return max(mean_of_rest - min(lower), 0.0)
