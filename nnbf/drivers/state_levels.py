"""Several levels of a molecule: networks for the lowest eigenvectors of H on one V, and their properties."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg

from hamiltonians import InputError, Molecule
from hamiltonians.errors import extra
from hamiltonians.irreps import irrep_name
from hamiltonians.term_symbols import spatial_irrep, term_symbol
from nnbf.ansatz import contract
from nnbf.determinants.parallel import sparse_times_vector
from nnbf.drivers.growth import Growth
from nnbf.drivers.level import Level
from nnbf.drivers.level_observables import final_observables
from nnbf.drivers.methods import Task
from nnbf.drivers.monitor import Monitor
from nnbf.drivers.selected_space import FREE_SPACE, make_model, make_optimizer
from nnbf.drivers.several_states import Eigenstate, FoundStates, Wanted, lowest_states
from nnbf.drivers.states_driver import StatesDriver, Target
from nnbf.drivers.supervision import Ending, Stopwatch, supervise
from nnbf.estimate import Estimate, v_score
from nnbf.observables.transitions import Transition, transition
from nnbf.states import SpaceState

#: Electronvolt in one Hartree (CODATA 2018).
HARTREE_EV = 27.211386245988
#: Eigenvalues of the overlap matrix of networks below this are left out of the Rayleigh-Ritz step.
_SINGULAR = 1e-8
#: Stages of V that energies are extrapolated from.
_EXTRAPOLATED = 3


@dataclass(frozen=True)
class Term:
    """Name of a level of a molecule: what its sector is in a record."""

    spin: float
    """S."""
    irrep: str
    """Irrep of the full point group."""
    momentum: None = None
    """There is none."""
    spin_flip: None = None
    """Parity follows from S."""

    @property
    def label(self) -> str:
        """2S + 1 before the irrep: 3Sigu+."""
        return term_symbol(self.spin, self.irrep)


def term_of(state: Eigenstate, system: Molecule) -> Term:
    """Name of a level from a state of it."""
    group = system.integrals.point_group
    if system.integrals.orbital_irreps is None:
        return Term(state.spin, spatial_irrep(["A"] * len(state.partners), "", None))
    names = [irrep_name(code, group) for code in state.partners]
    return Term(state.spin, spatial_irrep(names, system.info.point_group, group))


def several_levels(task: Task, wanted: Wanted | None = None) -> tuple[Level, ...]:
    """The lowest levels of a molecule on one variational space, by exact sums.

    Args:
        task: The problem and options; ``options.states`` says how many.
        wanted: Which states; left out: the lowest of all spins and irreps.

    Raises:
        InputError: The options do not fit the system, or there are fewer states.
    """
    system, options, monitor = task.problem, task.options, task.monitor
    _require(task)
    stopwatch = Stopwatch(monitor.resume)
    largest = options.largest_space(None)
    growth = Growth(max_size=largest, free_size=min(largest, FREE_SPACE), accuracy=options.accuracy)
    found = lowest_states(
        system.integrals,
        Wanted(options.states) if wanted is None else wanted,
        growth,
        whole_limit=options.largest_space(1),
        should_stop=lambda: monitor.is_over or monitor.is_stopped,
    )
    targets = [
        Target(
            state,
            model_of(state, task),
            options.seed,
            term_of(state, system).label,
        )
        for state in found.states
    ]
    ending, steps = _trained(targets, options, task.optimizer, monitor, stopwatch)
    return _levels(task, found, targets, ending, steps, stopwatch)


def _require(task: Task) -> None:
    options = task.options
    if task.start is not None or task.lower:
        raise InputError("several states start by themselves: leave out the start, or give states 1")
    if options.optimizer not in ("auto", "rgn") or not options.truncated:
        raise InputError("states above the lowest need the optimizer rgn, with truncated local energies")
    given = {"total_spin": options.total_spin, "spin_penalty": options.spin_penalty or None}
    names = [name for name, value in given.items() if value is not None]
    if options.start_orbitals != "reference" or options.equivariant or names:
        name = (*names, "start_orbitals" if not options.equivariant else "equivariant")[0]
        raise InputError(f"{name} has no effect with several states: leave it out, or give states 1")


def model_of(state: Eigenstate, task: Task) -> Any:
    """The network of the options for a state: from its largest determinant, with its parity."""
    if task.model is not None:
        return task.model
    system, options = task.problem, task.options
    block, size = state.block, system.integrals.n_orbitals
    occupied = block.hamiltonian.unpack(block.determinants[[np.argmax(np.abs(state.vector))]])[0]
    alpha, beta = (tuple(np.flatnonzero(part).tolist()) for part in (occupied[:size], occupied[size:]))
    integrals = replace(system.integrals, reference_occupation=(alpha, beta))
    model = make_model(replace(system, integrals=integrals), options)
    if contract.spin_flip_parity(model) == 1 and round(state.spin) % 2:
        return model.clone(spin_flip="odd" if options.spin_flip in ("auto", "canonical") else "none")
    return model


def _trained(targets, options, optimizer, monitor: Monitor, stopwatch) -> tuple[Ending, int]:
    driver = StatesDriver(
        targets,
        optimizer=make_optimizer(options) if optimizer is None else optimizer,
        energy_tolerance=options.energy_tolerance,
        most_steps=options.max_steps,
    )
    if monitor.is_over or monitor.is_stopped:
        status = "interrupted" if monitor.is_stopped else "time_limit"
        return Ending(status, ()), 0
    ending = supervise(driver, len(targets) * options.max_steps, monitor, stopwatch=stopwatch)
    driver.note_end()
    return ending, int(driver.step_count)


# ---- levels ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Result:
    """A state as it is reported: by its network, or the eigenvector where that was not trained."""

    target: Target
    vector: np.ndarray
    energy: float
    own: float
    """Part of the network itself in the state after the Rayleigh-Ritz step; 1 of an eigenvector."""

    @property
    def is_trained(self) -> bool:
        return self.target.steps > 0


def ritz_results(targets: Sequence[Target]) -> list[_Result]:
    """States in the space that the networks span, block by block: every eigenvalue is an upper bound.

    Eigenvectors of H on V stand in for states below that have no network.
    """
    results: dict[int, _Result] = {}
    for block in {target.goal.block.code: target.goal.block for target in targets}.values():
        mine = [target for target in targets if target.goal.block.code == block.code]
        goal = max(mine, key=lambda target: target.goal.number).goal
        columns = np.concatenate([goal.below, goal.vector[:, None]], axis=1)
        for target in mine:
            if target.steps:
                columns[:, target.goal.number] = target.amplitudes()
        energies, vectors, own = _ritz(block.matrix, columns)
        for target in mine:
            number = target.goal.number
            results[id(target)] = _Result(target, vectors[:, number], energies[number], own[number])
    return [results[id(target)] for target in targets]


def _ritz(matrix, columns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies, vectors in columns, and the part of each column in its vector."""
    images = np.stack([sparse_times_vector(matrix, column) for column in columns.T], axis=1)
    overlap = columns.T @ columns
    if np.linalg.eigvalsh(overlap)[0] < _SINGULAR:
        return np.einsum("ij,ij->j", columns, images), columns, np.ones(columns.shape[1])
    projected = columns.T @ images
    energies, inside = scipy.linalg.eigh(0.5 * (projected + projected.T), overlap)
    vectors = columns @ inside
    parts = np.einsum("ij,ij->j", columns, vectors)
    return energies, vectors * np.where(parts < 0, -1.0, 1.0), parts**2


def _levels(task, found: FoundStates, targets, ending, steps, stopwatch) -> tuple[Level, ...]:
    results = ritz_results(targets)
    ground = min(results, key=lambda result: result.energy)
    notes = list(ending.warnings)
    wanted = task.options.states
    if len(results) > wanted:
        notes.append(f"the last level is degenerate: {len(results)} states instead of {wanted}")
    if ending.status != "converged":
        notes.append(f"the optimisation ended before it converged ('{ending.status}')")
    degeneracies = {t.goal.term: 0 for t in targets}
    for target in targets:
        degeneracies[target.goal.term] += 1
    levels = []
    for number, result in enumerate(results):
        state = result.target.goal
        shared = (task, found, result, ground, ending, stopwatch)
        level = _level(*shared, number, degeneracies[state.term])
        warnings = notes if result is ground else []
        levels.append(replace(level, warnings=(*level.warnings, *warnings)))
    first = results.index(ground)
    return tuple(
        _with_observables(level, task) if number == first else level for number, level in enumerate(levels)
    )


def _level(task, found, result: _Result, ground: _Result, ending, stopwatch, number, degeneracy) -> Level:
    system = task.problem
    target, goal = result.target, result.target.goal
    estimates, energy = _estimates(found, result)
    hamiltonian = goal.block.hamiltonian
    raised = goal.block.raising @ result.vector
    s_z = 0.5 * abs(system.integrals.two_S)
    state = _whole_state(target) if result.is_trained else None
    term = term_of(goal, system)
    group = system.integrals.point_group
    component = None if system.integrals.orbital_irreps is None else irrep_name(goal.block.code, group)
    passed = None if result is ground else _passed(system, ground, result)
    status = ending.status if not result.is_trained else target.status
    if status in ("", "unfinished"):
        status = ending.status if ending.status != "converged" else "max_steps"
    details = {
        "term": goal.term,
        "multiplicity": round(2 * goal.spin) + 1,
        "degeneracy": degeneracy,
        "component": component,
        "irrep": term.irrep,
        "n_connected": None,
        "ritz_overlap": result.own if result.is_trained else None,
        "second_order": None if found.complete else goal.second_order,
        **excitation_record(result.energy - ground.energy, goal, ground.target.goal, found.complete),
        **({} if passed is None else passed.record()),
    }
    determinants = goal.block.determinants if state is None else state.determinants
    return Level(
        problem=system,
        energy=energy,
        status=status,
        n_steps=target.steps,
        n_parameters=0 if state is None else state.n_parameters,
        wall_time_s=stopwatch.total,
        model=target.model,
        parameters=None if state is None else state.parameters,
        sector=term,
        number=number,
        estimates=estimates,
        v_score=v_score(
            hamiltonian.n_electrons,
            energy.variance or 0.0,
            energy.value,
            hamiltonian.infinite_temperature_energy(),
        ),
        s_squared=s_z * (s_z + 1.0) + float(raised @ raised),
        reference=goal.energy if found.complete else None,
        determinants=determinants,
        details=details,
        state=state,
    )


def _estimates(found: FoundStates, result: _Result) -> tuple[dict[str, Estimate], Estimate]:
    goal = result.target.goal
    product = sparse_times_vector(goal.block.matrix, result.vector)
    variance = float(np.sum((product - result.energy * result.vector) ** 2))
    size = {"n_determinants": len(goal.block.determinants)}
    ci = Estimate(goal.energy, kind="selected_ci", upper_bound=True, details=size)
    kind = "full_sum" if found.complete else "variational"
    headline = Estimate(result.energy, kind=kind, upper_bound=True, variance=variance)
    estimates = {kind: headline} if result.is_trained else {}
    estimates["selected_ci"] = ci
    if not found.complete:
        total = goal.energy + goal.second_order
        details = {"correction": goal.second_order}
        estimates["selected_ci_pt2"] = Estimate(total, kind="selected_ci_pt2", details=details)
        limit = extrapolated(goal.stages)
        if limit is not None:
            error = max(abs(limit - total), 0.1 * abs(limit - goal.energy))
            estimates["extrapolated"] = Estimate(limit, error, kind="extrapolated")
    return estimates, headline if result.is_trained else ci


def extrapolated(stages: Sequence[tuple[float, float]]) -> float | None:
    """Energy (Hartree) at no second order, by a line through the last stages; None of one stage alone.

    Args:
        stages: (energy, second order) on V as it grew, Hartree.
    """
    if len(stages) < 2:
        return None
    energies, corrections = np.array(stages[-_EXTRAPOLATED:]).T
    # The last ones are closer to what is sought: they count for more.
    weights = 1.0 / np.maximum(np.abs(corrections), 1e-10)
    return float(np.polyfit(corrections, energies, 1, w=weights)[1])


def excitation_record(energy: float, state: Eigenstate, ground: Eigenstate, complete: bool) -> dict[str, Any]:
    """Excitation energies as they stand in records, in Hartree and eV.

    Args:
        energy: Of the headline energies, Hartree.
        state: The eigenvector on V.
        ground: That of the lowest state.
        complete: Whether V is the whole sector.
    """
    record = {"excitation_energy": energy, "excitation_ev": HARTREE_EV * energy}
    if complete:
        return record
    on_space = state.energy - ground.energy
    corrected = on_space + state.second_order - ground.second_order
    limits = extrapolated(state.stages), extrapolated(ground.stages)
    record["excitation_pt2_ev"] = HARTREE_EV * corrected
    if None not in limits:
        limit = limits[0] - limits[1]  # type: ignore[operator]
        error = max(abs(limit - corrected), 0.25 * abs(limit - on_space))
        record["excitation_extrapolated_ev"] = HARTREE_EV * limit
        record["excitation_error_ev"] = HARTREE_EV * error
    return record


def _passed(system: Molecule, ground: _Result, result: _Result) -> Transition:
    lower, upper = ((found.target.goal.block.determinants, found.vector) for found in (ground, result))
    size, properties = system.integrals.n_orbitals, system.properties
    return transition(lower, upper, result.energy - ground.energy, size, properties)


def _whole_state(target: Target) -> SpaceState:
    """The network on V as any other part of the program takes it."""
    rows = target.folded.rows if target.parity == 1 else target.goal.block.determinants
    return SpaceState(
        target.goal.block.hamiltonian, target.model, rows, variables=target.state.variables, seed=target.seed
    )


def _with_observables(level: Level, task: Task) -> Level:
    """The lowest level with all observables of a ground state."""
    if level.state is None:
        return level
    failures: list[str] = []
    measure: Callable[[], Any] = lambda: final_observables(  # noqa: E731
        task.problem, task.options, level.state, level.energy.kind
    )
    found = extra("observables", measure, failures.append)
    return replace(level, observables=found, warnings=(*level.warnings, *failures))
