"""Levels of a lattice model in one symmetry sector: by sums over the whole sector, or by Monte Carlo."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import netket as nk

from hamiltonians import space_group
from hamiltonians.errors import InputError
from hamiltonians.lattice.exact import sector_basis
from hamiltonians.lattice.model import Lattice
from hamiltonians.lattice.sector_points import sector_points
from nnbf.ansatz import ProjectedBackflow, SymmetryElements, free_orbitals
from nnbf.drivers.lattice_ansatz import make_lattice_ansatz, single_row
from nnbf.drivers.level import Level
from nnbf.drivers.methods import Task
from nnbf.drivers.monte_carlo import MonteCarloDriver, StepSchedule
from nnbf.drivers.operator_levels import FINAL_SHARE, REMEDIES, sampled_level, sampled_state, summed_level
from nnbf.drivers.options import LatticeOptions
from nnbf.drivers.supervision import Ending, Stopwatch, supervise
from nnbf.operators import LatticeHamiltonian
from nnbf.optimize import StochasticReconfiguration
from nnbf.states import Objective, Space, SpaceState, SpinPenalty
from nnbf.states.amplitudes import initial_variables
from nnbf.states.markov_chains import example_of

if TYPE_CHECKING:
    from hamiltonians import Sector

PyTree = Any

#: Most of a time limit that goes into the steps without the point group.
WARM_UP_SHARE = 0.3


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
    return summed_level(task, state, settings.damping, settings.max_steps, stopwatch)


def sampled_lattice_state(
    model: Lattice,
    sector: "Sector",
    options: LatticeOptions,
    *,
    ansatz: Any = None,
    start: PyTree = None,
) -> nk.vqs.MCState:
    """An ``MCState`` in a sector, its chains thermalised.

    Args:
        model: The lattice model.
        sector: The sector.
        options: Network, samples, seed.
        ansatz: The ansatz (default: that of the options).
        start: Variables, or those of an ansatz with less: the rest is random, from the seed.

    Raises:
        InputError: The sector has no states, or no row of its irrep is chosen.
    """
    single_row(sector)
    if sector.n_states == 0:
        raise InputError(f"sector {sector.label} has no states at this filling")
    if ansatz is None:
        ansatz = make_lattice_ansatz(model, sector, options, "vmc")
    hamiltonian = LatticeHamiltonian(model)
    fresh = initial_variables(ansatz, jax.random.key(options.seed), example_of(hamiltonian))
    variables = _updated(fresh, start or {})
    return sampled_state(hamiltonian, ansatz, variables, options)


def vmc_level(task: Task) -> Level:
    """Lowest level of a sector by Monte Carlo, its energy sampled anew.

    Raises:
        InputError: The sector has no states, or the snapshot is that of other options.
        FloatingPointError: Numbers ran away, also with smaller steps.
    """
    model, sector, options, monitor = task.problem, task.sector, task.options, task.monitor
    assert sector is not None
    if task.lower:
        raise InputError(f"sector {sector.label} is sampled: one level a sector, give levels 1")
    options.require_model(model)
    single_row(sector)
    stopwatch = Stopwatch(None if monitor.resume is None else monitor.resume["run"])
    return sampled_level(task, *_optimised(task, stopwatch), stopwatch)


def _optimised(task: Task, stopwatch: Stopwatch) -> tuple[nk.vqs.MCState, Ending, int]:
    """State, ending and steps of an optimisation: on plane waves and a momentum first if cheaper."""
    model, sector, options, monitor = task.problem, task.sector, task.options, task.monitor
    assert sector is not None
    most_steps, resume = options.settings("vmc").max_steps, monitor.resume
    ansatz = make_lattice_ansatz(model, sector, options, "vmc") if task.model is None else task.model
    plain = _single_determinant(model, sector, ansatz) if options.warm_up and task.model is None else None
    stages = [(ansatz, most_steps, monitor.share(1.0 - FINAL_SHARE))]
    if plain is not None:
        stages.insert(0, (plain, options.warm_up, monitor.share(WARM_UP_SHARE)))
    penalties = (SpinPenalty(options.spin_penalty),) if options.spin_penalty else ()
    objective = Objective(LatticeHamiltonian(model), penalties)
    warnings: list[str] = []
    variables, n_steps, ended = None, 0, False
    for number, (current, most, watched) in enumerate(stages):
        if resume is not None and number < resume["stage"]:
            # Folders of earlier versions do not say how far the stage before went.
            n_steps, warnings = resume.get("steps", most), list(resume.get("warnings", ()))
            continue
        state = sampled_lattice_state(model, sector, options, ansatz=current, start=variables)
        if ended:
            # Interrupted before: the state is only projected, and the samples seen are those of that stage.
            break
        driver = MonteCarloDriver(
            state,
            objective,
            optimizer=_optimizer(model, options) if task.optimizer is None else task.optimizer,
            schedule=StepSchedule(window=options.window, tolerance=0.0, significance=1.0),
            n_reachable=min(sector.n_states, model.n_configurations),
            remedies=REMEDIES,
        )
        so_far = {"steps": n_steps, "warnings": list(warnings)}
        ending = supervise(driver, most, watched.stage(number, **so_far), stopwatch=stopwatch)
        variables, n_steps = state.variables, n_steps + int(driver.step_count)
        warnings += ending.warnings
        ended = ending.status == "interrupted"
    return state, Ending(ending.status, (*warnings, *driver.doubts)), n_steps


def _optimizer(model: Lattice, options: LatticeOptions) -> StochasticReconfiguration:
    repulsion = max(abs(model.U), abs(model.V)) / abs(model.t or 1.0)
    return StochasticReconfiguration(
        learning_rate=options.step_size(repulsion),
        diag_shift=options.settings("vmc").damping,
        momentum=options.spring,
        max_step=0.1,
    )


def _single_determinant(model: Lattice, sector: "Sector", ansatz: Any) -> ProjectedBackflow | None:
    """The same network on plane waves and the momentum alone.

    None where that is the ansatz itself, or leads to a state of another irrep.
    """
    if not all(model.periodic) or not isinstance(ansatz, ProjectedBackflow):
        return None
    lowest = free_orbitals(model, sector.momentum, n_determinants=None)
    wanted = ansatz.backflow.orbitals
    if any(
        (a.envelope, a.is_real, a.n_pairs) != (b.envelope, b.is_real, b.n_pairs)
        for a, b in zip(lowest, wanted, strict=True)
    ):
        return None
    momentum = space_group(model).sector(sector.momentum, None)
    backflow = ansatz.backflow.clone(orbitals=lowest)
    if ansatz.n_passes == 1 and backflow == ansatz.backflow:
        return None
    elements = SymmetryElements.from_arrays(
        momentum.permutations, momentum.phases, momentum.weights, momentum.spin_flips
    )
    return ProjectedBackflow(backflow, elements)


def _updated(tree: PyTree, start: PyTree) -> PyTree:
    """A tree with the leaves of another one where that has them."""
    if not isinstance(tree, Mapping):
        return start
    return {name: _updated(leaf, start[name]) if name in start else leaf for name, leaf in tree.items()}
