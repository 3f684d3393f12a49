"""Full sums (the driver, too) and Monte Carlo: levels of any problem with an operator, lattices included."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import netket as nk
import numpy as np

from hamiltonians.errors import InputError, extra
from nnbf.ansatz import named_network
from nnbf.drivers.base import ExactDriver, Progress
from nnbf.drivers.level import Level, estimate_record
from nnbf.drivers.methods import Task
from nnbf.drivers.monte_carlo import LARGEST_R_HAT, MonteCarloDriver, Remedies, StepSchedule
from nnbf.drivers.supervision import Ending, Stopwatch, supervise
from nnbf.estimate import Estimate, v_score
from nnbf.evaluation import EvaluationOptions, sample_energy
from nnbf.evaluation.state_source import LEAST_CHAINS, OperatorSource
from nnbf.operators import Hamiltonian
from nnbf.optimize import RayleighGaussNewton, StochasticReconfiguration
from nnbf.states import Exclude, Objective, Space, SpaceState
from nnbf.states.amplitudes import initial_variables
from nnbf.states.markov_chains import chain_sampler, example_of, settle

#: A step is slow that gains less than this part of the variance over the energy's size. (Where the network
#: can fit the state, a step gains about the whole of it.)
SLOW = 0.03
#: Penalty on lower levels, in units of the largest gap that the next one can have.
PENALTY = 1.5
#: Sweeps before the first samples are used.
THERMALISATION = 30
#: Part of a time limit that is kept for the final energy.
FINAL_SHARE = 0.12

#: Seconds for the final energy of a run whose time is over: one round of samples is made in any case.
_LEAST_SECONDS = 1e-3
#: Up to this many states all levels are diagonalised: Lanczos needs more of them.
_DENSE = 64

REMEDIES = Remedies(
    disagreement="longer sweeps (sweep_size) or more n_samples",
    few="noise a larger value, or more n_samples",
)


# ---- driver ----------------------------------------------------------------------------------------


@dataclass
class _Progress(Progress):
    before: float | None = None
    """Objective before the last step."""


class FullSumDriver(ExactDriver):
    """Minimises the energy of a :class:`~nnbf.states.SpaceState`.

    The run ends by itself when the energy has settled. Optimisers are those of ``nnbf.optimize``.
    """

    def __init__(self, state: SpaceState, *, optimizer: Any = None, tolerance: float = 1e-8):
        """Make a driver.

        Args:
            state: The state to optimise.
            optimizer: An optimiser of ``nnbf.optimize`` (default Rayleigh-Gauss-Newton).
            tolerance: Converged when five steps in a row (30 of an optimiser without a line search) change
                the energy by less, relative to its size, or by less than `SLOW` times the variance over that
                size: the network is then what limits the energy.
        """
        super().__init__(state, optimizer, _Progress(), tolerance)
        self._patience = 5 if self._configured.line_search else 30

    @property
    def converged(self) -> bool:
        """True where the energy has settled."""
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


# ---- problems of users -----------------------------------------------------------------------------


def full_sum_level(task: Task) -> Level:
    """Level by sums over all configurations.

    Raises:
        InputError: There are more of them than ``full_sum_limit``.
        FloatingPointError: The optimisation left the finite numbers, also with smaller steps.
    """
    options, hamiltonian = task.options, task.problem.hamiltonian()
    size = _n_states(hamiltonian)
    if size is None or size > options.full_sum_limit:
        count = "too many to be counted" if size is None else f"{size:,}"
        raise InputError(
            f"the configurations ({count}) are more than full_sum_limit ({options.full_sum_limit:,}): "
            "give method vmc, or a larger limit"
        )
    state = SpaceState(hamiltonian, _network(task, hamiltonian), Space.whole(hamiltonian), seed=options.seed)
    level = summed_level(task, state, options.damping, options.max_steps)
    return _compared(level, hamiltonian, options.exact_limit, len(task.lower))


def vmc_level(task: Task) -> Level:
    """Lowest level by Monte Carlo, its energy sampled anew.

    Raises:
        InputError: Levels below are given, or the snapshot is that of other options.
        FloatingPointError: Numbers ran away, also with smaller steps.
    """
    task.require_lowest()
    options, monitor, hamiltonian = task.options, task.monitor, task.problem.hamiltonian()
    stopwatch = Stopwatch(monitor.resume)
    network = _network(task, hamiltonian)
    variables = initial_variables(network, jax.random.key(options.seed), example_of(hamiltonian))
    state = sampled_state(hamiltonian, network, variables, options)
    optimizer = task.optimizer
    if optimizer is None:
        optimizer = StochasticReconfiguration(
            learning_rate=options.learning_rate,
            diag_shift=options.damping,
            momentum=options.spring,
            max_step=0.1,
        )
    driver = MonteCarloDriver(
        state,
        hamiltonian,
        optimizer=optimizer,
        schedule=StepSchedule(window=options.window, tolerance=0.0, significance=1.0),
        n_reachable=_n_states(hamiltonian),
        remedies=replace(REMEDIES, few="more n_samples"),  # the network says how it begins
    )
    ending = supervise(driver, options.max_steps, monitor.share(1.0 - FINAL_SHARE), stopwatch=stopwatch)
    ending = replace(ending, warnings=(*ending.warnings, *driver.doubts))
    level = sampled_level(task, state, ending, int(driver.step_count), stopwatch)
    return _compared(level, hamiltonian, options.exact_limit)


def _network(task: Task, hamiltonian: Hamiltonian) -> Any:
    if task.model is not None:
        return task.model
    known = {
        "n_modes": hamiltonian.hilbert.size,
        "particles": task.problem.particles,
        "is_real": not np.issubdtype(hamiltonian.dtype, np.complexfloating),
    }
    return named_network(task.options.network, task.options.network_options, known)


def _n_states(hamiltonian: Hamiltonian) -> int | None:
    hilbert = hamiltonian.hilbert
    return hilbert.n_states if hilbert.is_indexable else None


def _compared(level: Level, hamiltonian: Hamiltonian, limit: int, number: int = 0) -> Level:
    """The level with the exact one beside it."""
    warnings = list(level.warnings)
    exact = extra("exact diagonalisation", lambda: _exact(hamiltonian, limit, number), warnings.append)
    return replace(level, reference=exact, warnings=tuple(warnings))


def _exact(hamiltonian: Hamiltonian, limit: int, number: int = 0) -> float | None:
    """Level of that number by diagonalisation, where there are few configurations."""
    size = _n_states(hamiltonian)
    if size is None or size > limit:
        return None
    if size <= _DENSE:
        return float(np.linalg.eigvalsh(hamiltonian.to_sparse().toarray())[number])
    return float(np.sort(nk.exact.lanczos_ed(hamiltonian, k=number + 1))[number])


# ---- shared with lattices --------------------------------------------------------------------------


def summed_level(
    task: Task, state: SpaceState, damping: float, max_steps: int, stopwatch: Stopwatch | None = None
) -> Level:
    """Optimise a state whose energy is an exact sum, with levels below it pushed up.

    Args:
        task: Problem, sector, levels below, monitor.
        state: The state; its objective is changed where there are levels below.
        damping: Of the optimiser, where the task has none.
        max_steps: Most steps.
        stopwatch: Of the run; default: one that starts now.
    """
    stopwatch = Stopwatch(task.monitor.resume) if stopwatch is None else stopwatch
    exclude(state, task.lower)
    optimizer = task.optimizer
    if optimizer is None:
        optimizer = RayleighGaussNewton(damping=damping, dense_limit=task.options.dense_limit)
    driver = FullSumDriver(state, optimizer=optimizer, tolerance=task.options.tolerance)
    ending = supervise(driver, max_steps, task.monitor, stopwatch=stopwatch)
    return replace(
        level_of_state(task.problem, task.sector, state, task.lower),
        status=ending.status,
        n_steps=int(driver.step_count),
        wall_time_s=stopwatch.total,
        warnings=ending.warnings,
    )


def exclude(state: SpaceState, lower: Sequence[Level]) -> None:
    """Push known levels up, by a penalty on their part in a state of the whole sector."""
    if lower:
        strength = PENALTY * _largest_gap(state, [float(level.energy) for level in lower])
        penalty = Exclude(tuple(level.state for level in lower), strength)
        state.objective = Objective(state.hamiltonian, (*state.objective.penalties, penalty))


def level_of_state(problem: Any, sector: Any, state: SpaceState, lower: Sequence[Level] = ()) -> Level:
    """Level of a state as it is, without steps.

    Args:
        problem: The problem.
        sector: Its sector; None where it has none.
        state: The state.
        lower: Levels below.
    """
    value, variance = state.energy_and_variance()
    energy = Estimate(value, 0.0, "full_sum", unit=problem.unit, upper_bound=not lower, variance=variance)
    overlaps = [float(np.abs(np.vdot(level.state.vector(), state.vector()))) for level in lower]
    hot = state.hamiltonian.infinite_temperature_energy()
    return Level(
        problem=problem,
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
        v_score=v_score(state.hamiltonian.n_particles, variance, value, hot),
        details={"overlap": max(overlaps, default=0.0)},
        state=state,
    )


def sampled_state(hamiltonian: Hamiltonian, network: Any, variables: Any, options: Any) -> nk.vqs.MCState:
    """An ``MCState`` with Metropolis chains, thermalised.

    Args:
        hamiltonian: Has the Hilbert space, and the moves.
        network: The Flax module.
        variables: Its variables.
        options: ``n_samples``, ``sweep_size``, ``sampling_power``, ``seed``.
    """
    chains = max(2, options.n_samples // 4)
    sampler = chain_sampler(
        hamiltonian, network, chains, sweep_size=options.sweep_size, power=options.sampling_power
    )
    state = nk.vqs.MCState(
        sampler,
        network,
        n_samples=options.n_samples,
        n_discard_per_chain=0,
        variables=variables,
        sampler_seed=options.seed,
    )
    settle(state, THERMALISATION)
    return state


def sampled_level(
    task: Task, state: nk.vqs.MCState, ending: Ending, n_steps: int, stopwatch: Stopwatch
) -> Level:
    """Level of a state after its optimisation: the energy is sampled anew.

    Args:
        task: Problem, sector, monitor, and options of the final energy.
        state: The optimised state.
        ending: How the optimisation ended.
        n_steps: Steps made.
        stopwatch: Of the run.
    """
    options, monitor, problem = task.options, task.monitor, task.problem
    sampling = EvaluationOptions(
        precision=options.precision,
        relative=True,
        time_limit=max(monitor.remaining, _LEAST_SECONDS),
        samples=options.final_samples,
        seed=options.seed + 1,
        # As many chains as those of the steps: their program is there already.
        chains=max(LEAST_CHAINS, state.sampler.n_chains),
    )
    source = OperatorSource(
        problem,
        state.model,
        state.variables,
        sampling,
        sweep_size=options.sweep_size,
        stride=state.chain_length,
    )
    final, draws = sample_energy(source, sampling, should_stop=monitor.should_stop)
    warnings = list(ending.warnings)
    status = "interrupted" if final.status == "interrupted" else ending.status
    r_hat = final.energy.r_hat
    if r_hat is not None and r_hat > LARGEST_R_HAT:
        warnings.append(
            f"chains of the final energy disagree (split R-hat {r_hat:.2f}): give a larger sweep_size"
        )
    energy = replace(
        final.energy,
        kind="vmc",
        unit=problem.unit,
        upper_bound=True,
        variance=final.variance.value,
        n_samples=final.n_samples,
        details={"acceptance": final.acceptance},
    )
    sampled = ("r_hat", "tau_corr", "acceptance", "n_samples")
    known = dict.fromkeys(sampled) | estimate_record(energy)
    return Level(
        problem=problem,
        energy=energy,
        status=status,
        n_steps=n_steps,
        n_parameters=int(state.n_parameters),
        wall_time_s=stopwatch.total,
        model=state.model,
        parameters=state.parameters,
        sector=task.sector,
        estimates={"vmc": energy},
        v_score=final.v_score,
        warnings=tuple(dict.fromkeys(warnings)),
        details={"overlap": 0.0, **{name: known[name] for name in sampled}},
        state=state,
        samples=draws,
    )


def _largest_gap(state: SpaceState, lower: Sequence[float]) -> float:
    """Bound on the distance of the next level from the lowest: the next is not above the mean of the rest."""
    trace = float(state.matrix.diagonal().sum()) / (1 if state.is_real else 2)
    mean_of_rest = (trace - sum(lower)) / (state.n_states - len(lower))
    return max(mean_of_rest - min(lower), 0.0)
