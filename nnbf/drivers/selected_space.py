"""Levels of molecules by exact sums: on a selected space that grows, or on a whole symmetry sector."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import optax

from hamiltonians import InputError, Molecule, irrep_bits
from hamiltonians.errors import extra
from nnbf.ansatz import NeuralBackflow, named_network
from nnbf.ansatz.spin_projection import spin_rotations
from nnbf.determinants import spin_flip_representatives
from nnbf.drivers.final_energy import LARGEST_EXCESS, ended_above, with_full_state
from nnbf.drivers.growth import Growth
from nnbf.drivers.level import Level
from nnbf.drivers.level_observables import (
    check_observables,
    final_observables,
    sampled_observables,
    spin_warnings,
    unfolded,
)
from nnbf.drivers.methods import Task
from nnbf.drivers.operator_levels import exclude
from nnbf.drivers.options import SolverOptions
from nnbf.drivers.selected import SelectedSpaceDriver, TailTraining
from nnbf.drivers.start import excess_warning, take_over
from nnbf.drivers.starting_orbitals import starting_orbitals
from nnbf.drivers.supervision import Ending, Stopwatch, supervise
from nnbf.estimate import Estimate, v_score
from nnbf.evaluation import Samples
from nnbf.operators import MolecularHamiltonian
from nnbf.optimize import FirstOrder, RayleighGaussNewton, StochasticReconfiguration
from nnbf.states import (
    Objective,
    SpaceState,
    SpinPenalty,
    connected_estimates,
    full_sum_energy,
    sector_amplitudes,
    symmetry_sector,
)
from nnbf.states.selected_ci import in_natural_orbitals, selected_ci

#: Steps outside V where nothing else is said, and the largest V that they are made with.
TAIL_STEPS, LARGEST_TRAINED_AROUND = 40, 20_000
#: V has as many determinants however little is left out.
FREE_SPACE = 4096
#: Share of |psi|^2 in the variational space from which on energies of the part there are worth a line.
LEAST_LISTED = 0.9


def make_model(system: Molecule, options: SolverOptions) -> Any:
    """The network that ``options`` describe, for ``system``.

    Raises:
        InputError: Spin flip symmetry, a total spin or orbitals are asked for that the system or the network
            does not have, or the network is not registered.
    """
    integrals = system.integrals
    given = options.total_spin is not None or options.start_orbitals != "reference" or options.equivariant
    if given and (not options.blocked or options.network is not None):
        raise InputError(
            "total_spin, start_orbitals and equivariant are for products of a determinant of each spin: give "
            "blocked and leave out network"
        )
    orbitals, symmetry = starting_orbitals(integrals, options)
    if options.network is not None:
        alpha, beta = integrals.reference_occupation
        size = integrals.n_orbitals
        known = {
            "n_modes": system.n_modes,
            "n_sites": size,
            "particles": system.particles,
            "occupied": (*_plain(alpha), *(size + p for p in _plain(beta))),
            "is_real": True,
        }
        return named_network(options.network, options.network_options, known)
    return NeuralBackflow(
        n_orbitals=integrals.n_orbitals,
        n_alpha=integrals.n_alpha,
        n_beta=integrals.n_beta,
        n_determinants=options.n_determinants,
        hidden=tuple(options.hidden),
        blocked=options.blocked,
        spin_flip=_spin_flip(integrals, options),
        reference=(_plain(integrals.reference_occupation[0]), _plain(integrals.reference_occupation[1])),
        initial_orbitals=orbitals,
        total_spin=options.total_spin,
        orbital_irreps=_plain(irrep_bits(integrals)),
        symmetry=symmetry,
        noise=options.noise,
    )


def _spin_flip(integrals, options):
    """Spin flip symmetry of the network itself."""
    can_flip = integrals.n_alpha == integrals.n_beta and not integrals.is_spin_resolved
    if options.total_spin is not None:
        _check_total_spin(integrals, options)
        return "none"
    if options.spin_flip == "auto":
        if not can_flip or integrals.n_electrons == 0:
            return "none"
        # Of a broken symmetry each half has another determinant.
        return "average" if options.start_orbitals == "uhf" or options.equivariant else "canonical"
    if options.spin_flip != "none" and not can_flip:
        raise InputError(
            f"spin_flip {options.spin_flip} needs 2S = 0 and one set of orbitals: give spin_flip none"
        )
    return options.spin_flip


def _check_total_spin(integrals, options):
    if integrals.is_spin_resolved:
        raise InputError("total_spin needs one set of orbitals for both spins: give reference rohf")
    if options.spin_flip not in ("auto", "none"):
        raise InputError(
            f"a state of one total_spin has its spin flip: leave out spin_flip {options.spin_flip}"
        )
    try:
        spin_rotations(options.total_spin, (integrals.n_alpha, integrals.n_beta), integrals.n_orbitals)
    except ValueError as error:
        raise InputError(f"total_spin does not fit the system ({error}): give another one") from error


def make_optimizer(options: SolverOptions) -> Any:
    """The optimiser that ``options`` describe."""
    if options.optimizer == "adam":
        return FirstOrder(optax.adam(options.learning_rate or 1e-3))
    bound: dict[str, Any] = {} if options.max_step is None else {"max_step": options.max_step}
    if options.optimizer == "sr":
        return StochasticReconfiguration(
            learning_rate=options.learning_rate or 0.3,
            diag_shift=0.1 * options.damping,
            momentum=options.momentum,
            dense_limit=options.dense_limit,
            **bound,
        )
    return RayleighGaussNewton(damping=options.damping, dense_limit=options.dense_limit, **bound)


def make_penalties(system: Molecule, options: SolverOptions) -> tuple[SpinPenalty, ...]:
    """The penalties that ``options`` describe: a spin penalty, or none.

    Raises:
        InputError: S^2 is not known in the orbitals of the system, or leads out of them.
    """
    if not options.spin_penalty:
        return ()
    if not system.integrals.is_spin_resolved:
        return (SpinPenalty(options.spin_penalty),)
    overlap = None if system.properties is None else system.properties.overlap_alpha_beta
    if overlap is None:
        raise InputError(
            "spin_penalty needs the overlap of alpha and beta orbitals, which this file lacks: "
            "build the molecule again, or give spin_penalty 0"
        )
    if len(overlap) == system.integrals.n_orbitals:
        try:
            return (SpinPenalty(options.spin_penalty, np.asarray(overlap)),)
        except ValueError:
            pass
    raise InputError(
        "spin_penalty with UHF orbitals needs all of them, no frozen core or active space: "
        "give reference rohf, or spin_penalty 0"
    )


def selected_level(task: Task) -> Level:
    """Level by neural backflow on a selected space that grows.

    Raises:
        InputError: The options do not fit the system, or the start is that of another network.
    """
    return _exact_level(task, whole_sector=False)


def full_sum_level(task: Task) -> Level:
    """Level by sums over the whole symmetry sector of the reference determinant.

    Raises:
        InputError: The sector is larger than ``full_sum_limit``, or as above.
    """
    return _exact_level(task, whole_sector=True)


def _exact_level(task: Task, *, whole_sector: bool) -> Level:
    system, options, monitor = task.problem, task.options, task.monitor
    optimizer = make_optimizer(options) if task.optimizer is None else task.optimizer
    if not options.truncated and optimizer.line_search:
        raise InputError("complete local energies (truncated false) need the optimizer sr or adam")
    stopwatch = Stopwatch(monitor.resume)
    model = make_model(system, options) if task.model is None else task.model
    check_observables(system, options)
    objective = Objective(MolecularHamiltonian(system.integrals), make_penalties(system, options))
    state = SpaceState(objective, model, seed=options.seed)
    taken = None if task.start is None else take_over(state, task.start, system)
    sector = None
    if options.full_sum_limit:
        sector = symmetry_sector(state, irrep_bits(system.integrals), options.full_sum_limit)
    largest = options.largest_space(None if sector is None else len(sector))
    growth = Growth(
        max_size=largest,
        free_size=min(largest, FREE_SPACE),
        accuracy=options.accuracy,
        sector=sector,
    )
    if whole_sector:
        if sector is None:
            raise InputError(
                f"the sector has more determinants than full_sum_limit ({options.full_sum_limit:,}): "
                "give method selected or vmc, or a larger limit"
            )
        state.set_determinants(sector)
        exclude(state, task.lower)
        growth = replace(growth, max_size=len(sector), free_size=len(sector))
    else:
        task.require_lowest()
    driver = SelectedSpaceDriver(
        state,
        optimizer=optimizer,
        growth=growth,
        tail=_tail(task, optimizer, state),
        energy_tolerance=options.energy_tolerance,
        truncated=options.truncated,
        chooses_anew=taken is not None and taken.used,
        irreps=irrep_bits(system.integrals),
    )
    ending = supervise(driver, options.max_steps, monitor, stopwatch=stopwatch)
    notes = []
    if driver.progress.tail_done:  # V had settled; the amplitudes are those of other parameters then
        state.parameters = driver.averaged
    elif ending.status != "converged":
        notes.append(driver.return_before_growth())
    if taken is not None:
        notes.append(excess_warning(state, options.accuracy) if taken.used else taken.note)
    ending = replace(ending, warnings=(*ending.warnings, *(note for note in notes if note)))
    parts = system, options, state, sector, ending, stopwatch, driver.step_count, driver.progress.n_connected
    level = evaluated(*parts, trained_around=driver.has_trained_around)
    if driver.has_trained_around:
        if sector is None:
            irreps, failures = irrep_bits(system.integrals), list[str]()
            how = options.precision, options.seed + 1, monitor.should_stop, options.time_limit
            found = extra(
                "energy of the whole state", lambda: with_full_state(level, irreps, *how), failures.append
            )
            level = found or replace(level, warnings=(*level.warnings, *failures))
        before = driver.parameters_before
        excess = (
            level.energy.value
            - 3.0 * level.energy.error
            - state.energy_at({**state.variables, "params": before})
        )
        if excess > LARGEST_EXCESS:
            state.parameters = before
            level = evaluated(*parts)
            level = replace(level, warnings=(*level.warnings, ended_above(excess)))
        level = replace(level, wall_time_s=stopwatch.total)
    if task.lower:
        above = {
            kind: replace(found, upper_bound=False)
            for kind, found in level.estimates.items()
            if not kind.startswith("selected_ci")  # of the lowest
        }
        level = replace(level, number=len(task.lower), energy=above[level.energy.kind], estimates=above)
    return replace(level, started_warm=taken is not None and taken.used)


def _tail(task, optimizer, state):
    """Training outside V: as many steps as are asked for, or some where they go with everything else."""
    steps, seed = task.options.tail_steps, task.options.seed
    if steps is not None:
        return TailTraining(steps, seed=seed)
    suits = optimizer.line_search and state.is_real and not task.lower
    return TailTraining(TAIL_STEPS if suits else 0, LARGEST_TRAINED_AROUND, seed=seed)


def evaluated(
    system: Molecule,
    options: SolverOptions,
    state: SpaceState,
    sector: np.ndarray | None,
    ending: Ending,
    stopwatch: Stopwatch,
    n_steps: int,
    n_connected: int | None = None,
    *,
    yardstick_size: int | None = None,
    sampled: tuple[Estimate, Samples] | None = None,
    trained_around: bool = False,
) -> Level:
    """All energies and observables of a state that was optimised.

    Args:
        system: What was solved.
        options: Which estimates are wanted.
        state: The network on the variational space.
        sector: The whole symmetry sector, where it is summed.
        ending: How the optimisation ended.
        stopwatch: Of the run.
        n_steps: Optimisation steps made.
        n_connected: Size of the connected space, where known.
        yardstick_size: Determinants of the selected CI beside; left out: it has the space of the state.
        sampled: Energy of the whole state and the samples behind it. Of a state that is spread out over more
            than the variational space, nothing is said of its part there.
        trained_around: Whether psi was trained outside of the variational space, too.
    """
    connected = None
    spread_out = sampled is not None and (
        sampled[1].share(state.hamiltonian.unpack(state.determinants)) < LEAST_LISTED
    )
    if (options.pt2 or options.projected) and not spread_out:
        connected = connected_estimates(state, projected=options.projected)
        n_connected = connected.n_connected
    sector_psi = None if sector is None else sector_amplitudes(state, sector)
    warnings = [*system.info.warnings, *ending.warnings]
    compare = partial(yardstick, state, yardstick_size, options.pt2)
    beside = extra("selected CI", compare, warnings.append) or {}
    estimates = {} if spread_out else _estimates_on_space(options, state, connected)
    if sector is not None:
        estimates["full_sum"] = _full_sum(state, sector, sector_psi)
    estimates |= beside
    known = [estimates[kind] for kind in ("variational", "full_sum") if kind in estimates]
    known += [] if sampled is None else [sampled[0]]
    headline = known[0]
    # Both are upper bounds of the lowest energy of the sector.
    if sector is not None and (trained_around or estimates["full_sum"].value <= headline.value + 1e-10):
        headline = estimates["full_sum"]
    hamiltonian = state.hamiltonian

    def measured():
        if sampled is None or sector is not None:
            return final_observables(system, options, state, headline.kind, sector, sector_psi)
        configurations = partial(unfolded, sampled[1], state.spin_flip)
        return sampled_observables(system, state, configurations, rdm2=options.rdm2)

    observables = extra("observables", measured, warnings.append)
    total_spin = getattr(state.model, "total_spin", None)
    s_squared = None if total_spin is None else total_spin * (total_spin + 1.0)
    if observables is not None and s_squared is None:
        s_squared = None if observables.s_squared is None else float(observables.s_squared.value)
        warnings += spin_warnings(system, options, observables)
    if ending.status != "converged":
        # In quotes: the name of a status is that of an option, too, and not to be spelt as one.
        warnings.append(f"the optimisation ended before it converged ('{ending.status}')")
    return Level(
        problem=system,
        energy=headline,
        estimates=estimates,
        v_score=v_score(
            hamiltonian.n_electrons,
            headline.variance or 0.0,
            headline.value,
            hamiltonian.infinite_temperature_energy(),
        ),
        s_squared=s_squared,
        n_parameters=state.n_parameters,
        n_steps=int(n_steps),
        status=ending.status,
        wall_time_s=stopwatch.total,
        model=state.model,
        parameters=state.parameters,
        determinants=state.determinants,
        warnings=tuple(warnings),
        message=_MESSAGES[ending.status],
        observables=observables,
        details={"n_determinants": len(state.determinants), "n_connected": n_connected},
        state=state,
    )


def yardstick(state: SpaceState, size: int | None, with_second_order: bool) -> dict[str, Estimate]:
    """Energies of selected CI, by kind: of the determinants that the state has, or of as many as are given.

    Args:
        state: The network on its space.
        size: Determinants of a selected CI that grows from the reference, in other orbitals where these have
            a lower one; None: those of the state.
        with_second_order: Whether the one with second-order correction is wanted, too.
    """
    hamiltonian, spin_flip = state.hamiltonian, state.spin_flip
    if size is None:
        begin, matrix = state.determinants, state.matrix
    else:
        hamiltonian = in_natural_orbitals(hamiltonian)
        spin_flip = hamiltonian.spin_flip_symmetric
        begin, matrix = hamiltonian.reference.reshape(1, -1), None
        begin = spin_flip_representatives(begin) if spin_flip else begin
    found = selected_ci(
        hamiltonian,
        begin,
        spin_flip,
        size=size,
        matrix=matrix,
        with_second_order=with_second_order,
    )
    facts = {"n_determinants": len(found.determinants), "time_s": found.seconds}
    energies = {"selected_ci": Estimate(found.energy, kind="selected_ci", upper_bound=True, details=facts)}
    if found.second_order is not None:
        total = found.energy + found.second_order
        energies["selected_ci_pt2"] = Estimate(
            total, kind="selected_ci_pt2", details={"correction": found.second_order}
        )
    return energies


def _estimates_on_space(options, state, connected) -> dict[str, Estimate]:
    """Energies of a state on its variational space, by kind."""
    stats = state.expect(state.hamiltonian)
    energy = float(stats.mean)
    variance = float(stats.variance) if connected is None else connected.variance
    found = {"variational": Estimate(energy, kind="variational", upper_bound=True, variance=variance)}
    if options.projected and connected.projected is not None:
        found["projected"] = Estimate(float(connected.projected), kind="projected")
    if options.pt2:
        correction = connected.second_order
        found["pt2"] = Estimate(energy + correction, kind="pt2", details={"correction": correction})
    return found


def _full_sum(state, sector, sector_psi) -> Estimate:
    total, variance = full_sum_energy(state, sector, sector_psi)
    size = {"n_determinants": len(sector)}
    return Estimate(total, kind="full_sum", upper_bound=True, variance=variance, details=size)


def _plain(orbitals):
    return tuple(int(p) for p in orbitals)


_MESSAGES = {
    "converged": "converged",
    "time_limit": "the time limit ended the optimisation: give a longer time_limit",
    "max_steps": "the step limit ended the optimisation: give more max_steps",
    "interrupted": "interrupted: the state so far was evaluated",
}
