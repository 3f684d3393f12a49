"""From a molecular system to its ground-state energy: ``solve`` is the one call."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import optax

from hamiltonians import InputError, Molecule, irrep_bits
from nnbf.ansatz import NeuralBackflow
from nnbf.drivers.final import (
    check_observables,
    final_observables,
    make_penalties,
    spin_warnings,
)
from nnbf.drivers.growth import Growth, TailTraining
from nnbf.drivers.monitor import Monitor
from nnbf.drivers.options import SolverOptions
from nnbf.drivers.selected import SelectedSpaceDriver
from nnbf.drivers.start import Start, excess_warning, take_over
from nnbf.drivers.supervision import Ending, Stopwatch, supervise
from nnbf.observables import Observables
from nnbf.operators import MolecularHamiltonian
from nnbf.optimize import FirstOrder, RayleighGaussNewton, StochasticReconfiguration
from nnbf.states import (
    Objective,
    SpaceState,
    connected_estimates,
    full_sum_energy,
    sector_amplitudes,
    symmetry_sector,
)


@dataclass(frozen=True)
class SolveResult:
    """What a calculation found; energies in Hartree."""

    energy: float
    """The headline energy."""
    energy_kind: str
    """Its kind: full_sum where the sector was summed, else variational. An upper bound."""
    energy_error: float
    """Its statistical error: 0, these sums are exact."""
    estimates: dict[str, dict[str, Any]]
    """Kind -> {"energy", "error", "upper_bound", ...}."""
    variance: float
    """Energy variance of the state behind ``energy``, Hartree^2."""
    v_score: float
    """V-score of that state (Wu et al., Science 386, 296 (2024))."""
    s_squared: float | None
    """<S^2> of the state behind ``energy``; None for UHF orbitals whose overlap is not known."""
    n_determinants: int
    """Determinants in the variational space (spin-flip pairs count once)."""
    n_connected: int | None
    """Determinants in its connected space."""
    n_parameters: int
    """Parameters of the network."""
    n_steps: int
    """Optimisation steps."""
    status: str
    """converged, time_limit, max_steps or interrupted."""
    wall_time_s: float
    """Seconds spent, evaluation included."""
    parameters: Any
    """Parameter tree of the network."""
    determinants: np.ndarray
    """The variational space, (n, 2 W) bit strings."""
    warnings: tuple[str, ...] = ()
    """What the user should know before trusting the result."""
    message: str = ""
    """One line on how the calculation ended, and how to go on."""
    started_warm: bool = False
    """Whether it began from a start that was given, and not from Hartree-Fock."""
    observables: Observables | None = None
    """Dipole moment, spin, density matrices ... of the state behind ``energy``."""
    state: SpaceState | None = field(default=None, repr=False, compare=False)
    """The optimised NetKet state."""


def make_model(system: Molecule, options: SolverOptions) -> NeuralBackflow:
    """The network that ``options`` describe, for ``system``.

    Raises:
        InputError: Spin flip symmetry is asked for where the system has none.
    """
    integrals = system.integrals
    can_flip = integrals.n_alpha == integrals.n_beta and not integrals.is_spin_resolved
    spin_flip = options.spin_flip
    if spin_flip == "auto":
        spin_flip = "canonical" if can_flip and integrals.n_electrons > 0 else "none"
    elif spin_flip != "none" and not can_flip:
        raise InputError(f"spin_flip {spin_flip} needs 2S = 0 and one set of orbitals: give spin_flip none")
    return NeuralBackflow(
        n_orbitals=integrals.n_orbitals,
        n_alpha=integrals.n_alpha,
        n_beta=integrals.n_beta,
        n_determinants=options.n_determinants,
        hidden=tuple(options.hidden),
        blocked=options.blocked,
        spin_flip=spin_flip,
        reference=(_plain(integrals.reference_occupation[0]), _plain(integrals.reference_occupation[1])),
        orbital_irreps=_plain(irrep_bits(integrals)),
        noise=options.noise,
    )


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


def solve(
    system: Molecule,
    options: SolverOptions | None = None,
    *,
    monitor: Monitor | None = None,
    start: Start | None = None,
) -> SolveResult:
    """Find the ground state of a molecular system by selected-space neural backflow.

    Args:
        system: Integrals and what they describe (``hamiltonians.build_molecule``, ``read_fcidump``, ...).
        options: How to search; defaults are meant to be good.
        monitor: Rows, stop requests, checkpoints, NetKet's callbacks and loggers. It resumes snapshots of
            the same system and options (``max_steps`` and ``time_limit`` may differ; the time limit is
            that of the session).
        start: Begin with the parameters and the variational space of this result (or of the checkpoint of a
            run folder) instead of Hartree-Fock; its orbitals have to be those of ``system``
            (:func:`hamiltonians.align_orbitals`). It is given up, with a warning, where it is closer to
            an excited state. A resumption needs the same start again.

    Returns:
        The result, every energy labelled with its kind.

    Raises:
        InputError: The options do not fit the system, the snapshot is that of other options, or
            ``start`` is that of another network.
        FloatingPointError: The optimisation left the finite numbers or diverged, also with smaller steps.
    """
    options = SolverOptions() if options is None else options
    if not options.truncated and options.optimizer in ("auto", "rgn"):
        raise InputError("complete local energies (truncated false) need the optimizer sr or adam")
    monitor = (monitor or Monitor()).within(options.time_limit)
    stopwatch = Stopwatch(monitor.resume)
    model = make_model(system, options)
    check_observables(system, options)
    objective = Objective(MolecularHamiltonian(system.integrals), make_penalties(system, options))
    state = SpaceState(objective, model, seed=options.seed)
    taken = None if start is None else take_over(state, start, system)
    sector = None
    if options.full_sum_limit:
        sector = symmetry_sector(state, irrep_bits(system.integrals), options.full_sum_limit)
    driver = SelectedSpaceDriver(
        state,
        optimizer=make_optimizer(options),
        growth=Growth(
            max_size=options.max_space,
            free_size=min(options.max_space, 4096),
            accuracy=options.accuracy,
            sector=sector,
        ),
        tail=TailTraining(steps=options.tail_steps, seed=options.seed),
        energy_tolerance=options.energy_tolerance,
        truncated=options.truncated,
        chooses_anew=taken is not None and taken.used,
    )
    ending = supervise(driver, options.max_steps, monitor, stopwatch=stopwatch)
    if ending.status != "converged" and (note := driver.return_before_growth()):
        ending = replace(ending, warnings=(*ending.warnings, note))
    if taken is not None:
        note = excess_warning(state, options.accuracy) if taken.used else taken.note
        ending = replace(ending, warnings=(*ending.warnings, *([note] if note else [])))
    result = evaluated(
        system, options, state, sector, ending, stopwatch, driver.step_count, driver.n_connected
    )
    return replace(result, started_warm=taken is not None and taken.used)


def evaluated(
    system: Molecule,
    options: SolverOptions,
    state: SpaceState,
    sector: np.ndarray | None,
    ending: Ending,
    stopwatch: Stopwatch,
    n_steps: int,
    n_connected: int | None = None,
) -> SolveResult:
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
    """
    status = ending.status
    stats = state.expect(state.hamiltonian)
    energy, kind, variance = float(stats.mean), "variational", float(stats.variance)
    estimates: dict[str, dict[str, Any]] = {}
    if options.pt2 or options.projected:
        found = connected_estimates(state, projected=options.projected)
        n_connected, variance = found.n_connected, found.variance
        if options.pt2:
            estimates["pt2"] = _estimate(energy + found.second_order, False, correction=found.second_order)
        if found.projected is not None:
            estimates["projected"] = _estimate(found.projected, False)
    estimates["variational"] = _estimate(energy, True, variance=variance)
    sector_psi = None
    if sector is not None:
        sector_psi = sector_amplitudes(state, sector)
        total, total_variance = full_sum_energy(state, sector, sector_psi)
        estimates["full_sum"] = _estimate(total, True, variance=total_variance, n_determinants=len(sector))
        # Both are upper bounds of the sector's ground state: the lower one is the better answer.
        if total <= energy + 1e-10:
            energy, kind, variance = total, "full_sum", total_variance
    spread = energy - state.hamiltonian.infinite_temperature_energy()
    v_score = state.hamiltonian.n_electrons * variance / spread**2 if spread else 0.0
    observables = final_observables(system, options, state, kind, sector, sector_psi)
    spin = observables.s_squared
    warnings = [*system.info.warnings, *ending.warnings, *spin_warnings(system, options, observables)]
    if status != "converged":
        warnings.append(f"the optimisation ended before it converged ({status})")
    order = ("variational", "full_sum", "projected", "pt2")
    return SolveResult(
        energy=energy,
        energy_kind=kind,
        energy_error=0.0,
        estimates={name: estimates[name] for name in order if name in estimates},
        variance=variance,
        v_score=v_score,
        s_squared=None if spin is None else float(spin.value),
        n_determinants=len(state.determinants),
        n_connected=n_connected,
        n_parameters=state.n_parameters,
        n_steps=int(n_steps),
        status=status,
        wall_time_s=stopwatch.total,
        parameters=state.parameters,
        determinants=state.determinants,
        warnings=tuple(warnings),
        message=_MESSAGES[status],
        observables=observables,
        state=state,
    )


def _plain(orbitals):
    return tuple(int(p) for p in orbitals)


def _estimate(energy, upper_bound, **more):
    return {"energy": float(energy), "error": 0.0, "upper_bound": upper_bound, **more}


_MESSAGES = {
    "converged": "converged",
    "time_limit": "the time limit ended the optimisation: give a longer --time-limit",
    "max_steps": "the step limit ended the optimisation: give more --max-steps",
    "interrupted": "interrupted: the state so far was evaluated",
}
