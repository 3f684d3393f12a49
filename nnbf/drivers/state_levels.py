"""Several levels of a molecule: networks for the lowest eigenvectors of H on one V, and their properties."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
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
from nnbf.drivers.several_states import FewStates, FoundStates, Wanted, lowest_states
from nnbf.drivers.state_blocks import Eigenstate
from nnbf.drivers.state_sectors import StateSector, state_sectors
from nnbf.drivers.states_driver import StatesDriver, Target
from nnbf.drivers.supervision import Ending, Stopwatch, supervise
from nnbf.estimate import Estimate, v_score
from nnbf.observables.dyson import dyson_orbital
from nnbf.observables.transitions import transition
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


def several_levels(task: Task) -> tuple[Level, ...]:
    """The lowest levels of a molecule, of all spins and irreps or of those asked for, by exact sums.

    Args:
        task: The problem and options: ``states``, ``irreps``, ``spins`` and ``charges`` say which.

    Raises:
        InputError: The options do not fit the system, or there are fewer states.
    """
    system, options, monitor = task.problem, task.options, task.monitor
    _require(task)
    sectors = state_sectors(system, options)
    stopwatch = Stopwatch(monitor.resume)
    largest = options.largest_space(None)
    growth = Growth(max_size=largest, free_size=min(largest, FREE_SPACE), accuracy=options.accuracy)
    search = partial(
        lowest_states,
        growth=growth,
        whole_limit=options.largest_space(1),
        should_stop=lambda: monitor.is_over or monitor.is_stopped,
    )
    sought: list[Sought] = []
    for sector in sectors:
        try:
            found = search(sector.system.integrals, sector.wanted)
        except FewStates as error:
            if len(sectors) == 1 or options.irreps.strip().casefold() != "all":
                raise
            found = error.found
        sought += [Sought(sector, found, state) for state in found.states]
    sought = _with_ground(sought, system, search)
    targets = [
        Target(one.state, model_of(one, task), options.seed, term_of(one.state, system).label)
        for one in sought
    ]
    ending = _trained(targets, options, task.optimizer, monitor, stopwatch)
    return _levels(task, sought, targets, ending, stopwatch)


@dataclass(frozen=True, eq=False)
class Sought:
    """A state that a network is made for."""

    sector: StateSector
    """Charge, spin and irrep that it was looked for in."""
    found: FoundStates
    """All that was found there."""
    state: Eigenstate
    """The eigenvector."""


def _with_ground(sought: list[Sought], system: Molecule, search: Callable[..., FoundStates]) -> list[Sought]:
    """The states with the lowest of all before them, if it is not among them: excitations begin there."""
    if all(one.sector.wanted.is_any for one in sought if not one.sector.change):
        return sought
    sector = StateSector(system, 0, Wanted(1))
    found = search(system.integrals, sector.wanted)
    name = term_of(found.states[0], system)
    known = {term_of(one.state, one.sector.system) for one in sought if not one.sector.change}
    return sought if name in known else [*(Sought(sector, found, state) for state in found.states), *sought]


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


def model_of(sought: Sought, task: Task) -> Any:
    """The network of the options for a state: from its largest determinant, with its parity."""
    if task.model is not None:
        return task.model
    system, options, state = sought.sector.system, task.options, sought.state
    block, size = state.block, system.integrals.n_orbitals
    occupied = block.hamiltonian.unpack(block.determinants[[np.argmax(np.abs(state.vector))]])[0]
    alpha, beta = (tuple(np.flatnonzero(part).tolist()) for part in (occupied[:size], occupied[size:]))
    integrals = replace(system.integrals, reference_occupation=(alpha, beta))
    model = make_model(replace(system, integrals=integrals), options)
    if contract.spin_flip_parity(model) == 1 and round(state.spin) % 2:
        return model.clone(spin_flip="odd" if options.spin_flip in ("auto", "canonical") else "none")
    return model


def _trained(targets, options, optimizer, monitor: Monitor, stopwatch) -> Ending:
    driver = StatesDriver(
        targets,
        optimizer=make_optimizer(options) if optimizer is None else optimizer,
        energy_tolerance=options.energy_tolerance,
        most_steps=options.max_steps,
    )
    if monitor.is_over or monitor.is_stopped:
        status = "interrupted" if monitor.is_stopped else "time_limit"
        return Ending(status, ())
    ending = supervise(driver, len(targets) * options.max_steps, monitor, stopwatch=stopwatch)
    driver.note_end()
    return ending


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
    for block in {id(target.goal.block): target.goal.block for target in targets}.values():
        mine = [target for target in targets if target.goal.block is block]
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


def _levels(task, sought: list[Sought], targets, ending, stopwatch) -> tuple[Level, ...]:
    results = dict(zip(map(id, targets), ritz_results(targets), strict=True))
    order = sorted(range(len(targets)), key=lambda k: (sought[k].sector.change != 0, *_place(targets[k], k)))
    neutral = [k for k in order if sought[k].sector.change == 0] or order
    ground = min(neutral, key=lambda k: results[id(targets[k])].energy)
    notes = _notes(task, sought, ending)
    numbered = _Numbers(task, sought, targets, [results[id(target)] for target in targets], ground, stopwatch)
    levels = []
    for number, k in enumerate(order):
        level = numbered.level(k, number, ending)
        if k == ground:
            level = _with_observables(replace(level, warnings=(*level.warnings, *notes)), task)
        levels.append(level)
    return tuple(levels)


def _place(target: Target, k: int) -> tuple[float, int]:
    return target.goal.energy, k


def _notes(task, sought: list[Sought], ending: Ending) -> list[str]:
    notes = list(ending.warnings)
    wanted = task.options.states
    for sector in {id(one.sector): one.sector for one in sought}.values():
        mine = [one.state for one in sought if one.sector is sector]
        if len(mine) > wanted > 1:
            last = term_of(mine[-1], sector.system).label
            notes.append(f"level {last} is degenerate: {len(mine)} states instead of {wanted}")
    if ending.status != "converged":
        notes.append(f"the optimisation ended before it converged ('{ending.status}')")
    return notes


class _Numbers:
    """Levels from networks and eigenvectors, with what they are relative to the lowest one."""

    def __init__(self, task, sought, targets, results, ground, stopwatch):
        self.task, self.sought, self.targets = task, sought, targets
        self.results, self.ground, self.stopwatch = results, ground, stopwatch
        keys = [(id(one.sector), one.state.term) for one in sought]
        self.terms = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        self.keys = keys

    def level(self, k: int, number: int, ending: Ending) -> Level:
        """The level of a state."""
        one, target, result = self.sought[k], self.targets[k], self.results[k]
        goal, system = target.goal, one.sector.system
        estimates, energy = _estimates(one.found, result)
        state = _whole_state(target) if result.is_trained else None
        hamiltonian = goal.block.hamiltonian
        raised = goal.block.raising @ result.vector
        s_z = 0.5 * abs(system.integrals.two_S)
        return Level(
            problem=system,
            energy=energy,
            status=_status(target, ending),
            n_steps=target.steps,
            n_parameters=0 if state is None else state.n_parameters,
            wall_time_s=self.stopwatch.total,
            model=target.model,
            parameters=None if state is None else state.parameters,
            sector=term_of(goal, system),
            number=number,
            estimates=estimates,
            v_score=v_score(
                hamiltonian.n_electrons,
                energy.variance or 0.0,
                energy.value,
                hamiltonian.infinite_temperature_energy(),
            ),
            s_squared=s_z * (s_z + 1.0) + float(raised @ raised),
            reference=goal.energy if one.found.complete else None,
            determinants=goal.block.determinants if state is None else state.determinants,
            details=self._details(k),
            state=state,
        )

    def _details(self, k):
        one, target, result = self.sought[k], self.targets[k], self.results[k]
        goal, system = target.goal, one.sector.system
        base, ground = self.sought[self.ground], self.results[self.ground]
        known = system.integrals.orbital_irreps is not None
        group = system.integrals.point_group
        complete = one.found.complete and base.found.complete
        return {
            "term": self.terms[self.keys[k]],
            "multiplicity": round(2 * goal.spin) + 1,
            "degeneracy": self.keys.count(self.keys[k]),
            "component": irrep_name(goal.block.code, group) if known else None,
            "irrep": term_of(goal, system).irrep,
            "n_connected": None,
            "ritz_overlap": result.own if result.is_trained else None,
            "second_order": None if one.found.complete else goal.second_order,
            **self._of_charge(one, result),
            **excitation_record(result.energy - ground.energy, goal, base.state, complete),
            **self._passed(k),
        }

    def _of_charge(self, one, result):
        if not one.sector.change:
            return {}
        ground, size = self.results[self.ground], one.sector.system.integrals.n_orbitals
        states = [(found.target.goal.block.determinants, found.vector) for found in (ground, result)]
        pair = states if one.sector.change > 0 else states[::-1]
        orbital = dyson_orbital(pair[0], pair[1], size)
        record = {
            "charge": self.task.problem.info.charge + one.sector.change,
            "charge_change": one.sector.change,
            "particles": list(one.sector.system.particles),
        }
        if orbital is not None:
            record |= {"pole_strength": float(orbital @ orbital), "dyson_orbital": orbital.tolist()}
        return record

    def _passed(self, k):
        one, base = self.sought[k], self.sought[self.ground]
        if k == self.ground or one.sector.system.particles != base.sector.system.particles:
            return {}
        results = self.results[self.ground], self.results[k]
        lower, upper = ((found.target.goal.block.determinants, found.vector) for found in results)
        system = one.sector.system
        energy = results[1].energy - results[0].energy
        found = transition(lower, upper, energy, system.integrals.n_orbitals, system.properties)
        return found.record()


def _status(target: Target, ending: Ending) -> str:
    if target.steps and target.status not in ("", "unfinished"):
        return target.status
    return ending.status if ending.status != "converged" else "max_steps"


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
