"""Levels of a lattice model in one symmetry sector by variational Monte Carlo."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import netket as nk

from hamiltonians import space_group
from hamiltonians.errors import InputError
from hamiltonians.lattice.model import Lattice
from nnbf.ansatz import ProjectedBackflow, SymmetryElements, free_orbitals
from nnbf.drivers.lattice_ansatz import make_lattice_ansatz, single_row
from nnbf.drivers.lattice_options import LatticeOptions
from nnbf.drivers.monitor import Monitor
from nnbf.drivers.monte_carlo import LARGEST_R_HAT, MonteCarloDriver, Remedies, StepSchedule
from nnbf.drivers.supervision import Stopwatch, supervise
from nnbf.evaluation import EvaluationOptions, Samples, sample_energy
from nnbf.evaluation.lattice_source import LEAST_CHAINS, LatticeSource
from nnbf.operators import LatticeHamiltonian
from nnbf.optimize import StochasticReconfiguration
from nnbf.sampling import ordered_configuration
from nnbf.states import lattice_step
from nnbf.states.amplitudes import initial_variables
from nnbf.states.lattice_chains import lattice_sampler, settle

if TYPE_CHECKING:
    from hamiltonians import Sector

PyTree = Any

#: Sweeps before the first samples are used.
THERMALISATION = 30
#: Part of a time limit that is kept for the final energy.
FINAL_SHARE = 0.12
#: Most of a time limit that goes into the steps without the point group.
WARM_UP_SHARE = 0.3

#: Seconds for the final energy of a run whose time is over: one round of samples is made in any case.
_LEAST_SECONDS = 1e-3

_REMEDIES = Remedies(
    disagreement="longer sweeps (--sweep-size) or more --n-samples",
    few="more --n-samples or a larger --noise",
)


@dataclass(frozen=True, eq=False)
class SampledLevel:
    """The lowest level of a sector by Monte Carlo. Energies are in units of t, of kind ``vmc``."""

    sector: "Sector"
    """Where it is."""
    energy: float
    """From fresh samples of the final state: an upper bound of the exact level, within its error."""
    error: float
    """Standard error, autocorrelation included."""
    variance: float
    """Variance of the local energy."""
    r_hat: float | None
    """Split R-hat of the chains of the final energy."""
    tau_corr: float | None
    """Autocorrelation time of the final chains, in sweeps."""
    acceptance: float
    """Share of proposals that were accepted."""
    n_samples: int
    """Samples of the final energy."""
    status: str
    """converged, max_steps, time_limit or interrupted."""
    warnings: tuple[str, ...]
    """What to mind."""
    n_steps: int
    """Steps made."""
    n_parameters: int
    """Parameters of the network."""
    wall_time_s: float
    """Seconds, also those before an interruption."""
    state: nk.vqs.MCState
    """The state, with the chains of the last step."""
    draws: Samples
    """The samples of the final energy, with their weights."""


def sampled_lattice_state(
    model: Lattice,
    sector: "Sector",
    options: LatticeOptions,
    *,
    ansatz: ProjectedBackflow | None = None,
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
    example = jnp.asarray(ordered_configuration(model))[None]
    variables = _updated(initial_variables(ansatz, jax.random.key(options.seed), example), start or {})
    state = nk.vqs.MCState(
        lattice_sampler(
            model,
            ansatz,
            max(2, options.n_samples // 4),
            sweep_size=options.sweep_size,
            power=options.sampling_power,
        ),
        ansatz,
        n_samples=options.n_samples,
        n_discard_per_chain=0,
        variables=variables,
        sampler_seed=options.seed,
    )
    settle(state, THERMALISATION)
    return state


def solve_sector_vmc(
    model: Lattice,
    sector: "Sector",
    options: LatticeOptions | None = None,
    *,
    monitor: Monitor | None = None,
) -> SampledLevel:
    """Optimise the lowest level of a sector by Monte Carlo, and sample its energy anew.

    Args:
        model: The lattice model.
        sector: The sector; of irreps of dimension above 1 a row.
        options: Network, samples, steps.
        monitor: Rows, stop requests, deadline (for all, the final energy included), checkpoints.

    Raises:
        InputError: The sector has no states, or the snapshot is that of other options.
        FloatingPointError: Numbers ran away, also with smaller steps.
    """
    options = LatticeOptions() if options is None else options
    settings = options.settings("vmc")
    options.require_model(model)
    single_row(sector)
    monitor = Monitor() if monitor is None else monitor
    resume = monitor.resume
    stopwatch = Stopwatch(None if resume is None else resume["run"])
    hamiltonian = LatticeHamiltonian(model)
    ansatz = make_lattice_ansatz(model, sector, options, "vmc")
    plain = _single_determinant(model, sector, ansatz) if options.warm_up else None
    stages = [(ansatz, settings.max_steps, monitor.share(1.0 - FINAL_SHARE))]
    if plain is not None:
        stages.insert(0, (plain, options.warm_up, monitor.share(WARM_UP_SHARE)))
    warnings: list[str] = []
    variables, n_steps, ended = None, 0, False
    for number, (current, most, watched) in enumerate(stages):
        if resume is not None and number < resume["stage"]:
            n_steps += most
            continue
        state = sampled_lattice_state(model, sector, options, ansatz=current, start=variables)
        if ended:
            # Interrupted before: the state is only projected, and the samples seen are those of that stage.
            break
        driver = MonteCarloDriver(
            state,
            hamiltonian,
            estimator=partial(lattice_step, spin_penalty=options.spin_penalty or 0.0),
            optimizer=StochasticReconfiguration(
                learning_rate=options.step_size(max(abs(model.U), abs(model.V)) / abs(model.t or 1.0)),
                diag_shift=settings.damping,
                momentum=options.spring,
                max_step=0.1,
            ),
            schedule=StepSchedule(window=options.window, tolerance=0.0, significance=1.0),
            n_reachable=min(sector.n_states, model.n_configurations),
            remedies=_REMEDIES,
        )
        ending = supervise(driver, most, watched.stage(number), stopwatch=stopwatch)
        variables, n_steps = state.variables, n_steps + int(driver.step_count)
        warnings += ending.warnings
        ended = ending.status == "interrupted"
    sampling = EvaluationOptions(
        precision=options.precision,
        relative=True,
        time_limit=max(monitor.remaining, _LEAST_SECONDS),
        samples=options.final_samples,
        seed=options.seed + 1,
        # As many chains as those of the steps: their program is there already.
        chains=max(LEAST_CHAINS, state.sampler.n_chains),
    )
    source = LatticeSource(
        model,
        state.model,
        state.variables,
        sampling,
        sweep_size=options.sweep_size,
        stride=state.chain_length,
    )
    final, draws = sample_energy(source, sampling, should_stop=monitor.should_stop)
    energy = final.energy
    warnings = list(dict.fromkeys((*warnings, *driver.doubts)))
    if energy.r_hat is not None and energy.r_hat > LARGEST_R_HAT:
        warnings.append(
            f"chains of the final energy disagree (split R-hat {energy.r_hat:.2f}): give a larger sweep_size"
        )
    return SampledLevel(
        sector=sector,
        energy=energy.value,
        error=energy.error,
        variance=final.variance.value,
        r_hat=energy.r_hat,
        tau_corr=energy.tau,
        acceptance=final.acceptance,
        n_samples=final.n_samples,
        status=ending.status,
        warnings=tuple(warnings),
        n_steps=n_steps,
        n_parameters=int(state.n_parameters),
        wall_time_s=stopwatch.total,
        state=state,
        draws=draws,
    )


def _single_determinant(
    model: Lattice, sector: "Sector", ansatz: ProjectedBackflow
) -> ProjectedBackflow | None:
    """The same network on plane waves and the momentum alone.

    None where that is the ansatz itself, or leads to a state of another irrep.
    """
    if not all(model.periodic):
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
