"""From a molecular system to its ground-state energy: ``solve`` is the one call."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import netket as nk
import numpy as np
import optax
from netket.utils import struct

from hamiltonians import InputError, MolecularSystem, irrep_bits
from nnbf.ansatz import NeuralBackflow
from nnbf.drivers.growth import Growth, TailTraining
from nnbf.drivers.options import SolverOptions
from nnbf.drivers.selected import SelectedSpaceDriver
from nnbf.operators import MolecularHamiltonian
from nnbf.optimize import FirstOrder, RayleighGaussNewton, StochasticReconfiguration
from nnbf.states import (
    SelectedState,
    connected_estimates,
    full_sum_energy,
    spin_square,
    symmetry_sector,
)

StepCallback = Callable[[dict[str, Any]], None]


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
    """<S^2> on the variational space; None for spin-resolved orbitals."""
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
    state: SelectedState | None = field(default=None, repr=False, compare=False)
    """The optimised NetKet state."""


def make_model(system: MolecularSystem, options: SolverOptions) -> NeuralBackflow:
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
    system: MolecularSystem,
    options: SolverOptions | None = None,
    *,
    on_step: StepCallback | None = None,
    should_stop: Callable[[], bool] | None = None,
    loggers: tuple = (),
    callbacks: tuple = (),
) -> SolveResult:
    """Find the ground state of a molecular system by selected-space neural backflow.

    Args:
        system: Integrals and what they describe (``hamiltonians.build_molecule``, ``read_fcidump``, ...).
        options: How to search; defaults are meant to be good.
        on_step: Called with one row of numbers after every step.
        should_stop: Asked after every step; true ends the optimisation early.
        loggers: NetKet loggers.
        callbacks: NetKet callbacks.

    Returns:
        The result, every energy labelled with its kind.

    Raises:
        InputError: The options do not fit the system.
        FloatingPointError: The optimisation left the finite numbers.
    """
    options = SolverOptions() if options is None else options
    started = time.perf_counter()
    model = make_model(system, options)
    state = SelectedState(MolecularHamiltonian(system.integrals), model, seed=options.seed)
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
    )
    watch = _Watch(on_step, should_stop, started, options.time_limit)
    driver.run(options.max_steps, out=loggers, callback=(*callbacks, watch), show_progress=False)
    # A callback of the caller's may have ended the run, too.
    ended = "max_steps" if driver.step_count >= options.max_steps else "interrupted"
    status = "converged" if driver.converged else (watch.reason or ended)
    return _evaluate(system, options, driver, sector, status, started)


class _Watch(nk.callbacks.AbstractCallback):
    """Reports steps, and ends the run at the time limit or on request."""

    _on_step: Any = struct.field(pytree_node=False, serialize=False)
    _should_stop: Any = struct.field(pytree_node=False, serialize=False)
    _started: float = struct.field(pytree_node=False, serialize=False)
    _time_limit: float | None = struct.field(pytree_node=False, serialize=False)
    reason: str = struct.field(pytree_node=False, serialize=False)

    def __init__(self, on_step, should_stop, started, time_limit):
        self._on_step = on_step
        self._should_stop = should_stop
        self._started = started
        self._time_limit = time_limit
        self.reason = ""

    def on_step_start(self, step, log_data, driver):
        # Not at the end of the step before, which would then be neither counted nor logged.
        if self.reason:
            raise nk.callbacks.RunFinished(self.reason)

    def on_step_end(self, step, log_data, driver):
        row = driver.row
        row["time_s"] = time.perf_counter() - self._started
        if self._on_step is not None:
            self._on_step(row)
        if driver.converged:
            return
        if self._should_stop is not None and self._should_stop():
            self.reason = "interrupted"
        elif self._time_limit is not None and row["time_s"] > self._time_limit:
            self.reason = "time_limit"


def _evaluate(system, options, driver, sector, status, started):
    state: SelectedState = driver.state
    stats = state.expect(state.hamiltonian)
    energy, kind, variance = float(stats.mean), "variational", float(stats.variance)
    estimates: dict[str, dict[str, Any]] = {}
    n_connected = driver.n_connected
    if options.pt2 or options.projected:
        found = connected_estimates(state, projected=options.projected)
        n_connected, variance = found.n_connected, found.variance
        if options.pt2:
            estimates["pt2"] = _estimate(energy + found.second_order, False, correction=found.second_order)
        if found.projected is not None:
            estimates["projected"] = _estimate(found.projected, False)
    estimates["variational"] = _estimate(energy, True, variance=variance)
    if sector is not None:
        total, total_variance = full_sum_energy(state, sector)
        estimates["full_sum"] = _estimate(total, True, variance=total_variance, n_determinants=len(sector))
        # Both are upper bounds of the sector's ground state: the lower one is the better answer.
        if total <= energy + 1e-10:
            energy, kind, variance = total, "full_sum", total_variance
    spread = energy - state.hamiltonian.infinite_temperature_energy()
    v_score = state.hamiltonian.n_electrons * variance / spread**2 if spread else 0.0
    warnings = list(system.info.warnings)
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
        s_squared=spin_square(state),
        n_determinants=len(state.determinants),
        n_connected=n_connected,
        n_parameters=state.n_parameters,
        n_steps=int(driver.step_count),
        status=status,
        wall_time_s=time.perf_counter() - started,
        parameters=state.parameters,
        determinants=state.determinants,
        warnings=tuple(warnings),
        message=_MESSAGES[status],
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
