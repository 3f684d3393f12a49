"""Levels of a lattice model in one symmetry sector, by full summation over the sector."""

from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError
from hamiltonians.lattice.exact import sector_basis
from hamiltonians.lattice.model import Lattice
from hamiltonians.lattice.sector_points import sector_points
from nnbf.drivers.general import summed_level
from nnbf.drivers.level import Level
from nnbf.drivers.methods import Task
from nnbf.drivers.options import LatticeOptions
from nnbf.drivers.sector_ansatz import make_lattice_ansatz, single_row
from nnbf.drivers.supervision import Stopwatch
from nnbf.operators import LatticeHamiltonian
from nnbf.optimize import RayleighGaussNewton
from nnbf.states import Space, SpaceState

if TYPE_CHECKING:
    from hamiltonians import Sector


def sector_state(
    model: Lattice,
    sector: "Sector",
    options: LatticeOptions | None = None,
    *,
    ansatz: Any = None,
) -> SpaceState:
    """A state of the default ansatz on the whole of a sector.

    Args:
        model: The lattice model.
        sector: The sector; of irreps of dimension above 1 a row.
        options: Network, orbitals, seed.
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
    basis = sector_basis(model, sector)
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
    options, sector = task.options, task.sector
    assert sector is not None
    stopwatch = Stopwatch(task.monitor.resume)
    if len(task.lower) >= sector.n_states:
        raise InputError(f"sector {sector.label} has {sector.n_states} states, no level {len(task.lower)}")
    state = sector_state(task.problem, sector, options, ansatz=task.model)
    settings = options.settings("full-sum")
    optimizer = task.optimizer
    if optimizer is None:
        optimizer = RayleighGaussNewton(damping=settings.damping, dense_limit=options.dense_limit)
    return summed_level(task, state, optimizer, settings.max_steps, stopwatch)
