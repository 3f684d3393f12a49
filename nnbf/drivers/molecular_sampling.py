"""Levels of molecules by variational Monte Carlo."""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import netket as nk
import numpy as np

from hamiltonians import InputError, Molecule, irrep_bits
from nnbf.ansatz import contract
from nnbf.drivers.final_energy import final_energy, with_energy
from nnbf.drivers.level import Level
from nnbf.drivers.methods import Task
from nnbf.drivers.monte_carlo import MonteCarloDriver, StepSchedule
from nnbf.drivers.options import SolverOptions
from nnbf.drivers.sampled_power import FIRST_POWER, PowerChoice
from nnbf.drivers.selected_space import evaluated, make_model, make_optimizer, make_penalties
from nnbf.drivers.start import take_over
from nnbf.drivers.supervision import Stopwatch, supervise
from nnbf.evaluation import EvaluationOptions, StateSource
from nnbf.operators import MolecularHamiltonian
from nnbf.optimize import StochasticReconfiguration
from nnbf.sampling import ExcitationRule, OrbitalHopRule, SectorSampler, ValueSampler
from nnbf.states import Objective, SpaceState, reference_sector, symmetry_sector

#: Sectors up to this size are listed, and sampled exactly.
EXACT_LIMIT = 100_000
#: Discarded samples of every chain before the first step, and before the final energy.
THERMALISATION = 50
#: Sampled determinants, those of largest amplitude, that become the variational space of the result.
LARGEST_SPACE = 4096
#: Samples of the first round for the final energy.
ROUND = 16384
#: Hartree added to the denominators of Davidson's step.
GAP = 0.5


def vmc_level(task: Task) -> Level:
    """Level by variational Monte Carlo with neural backflow.

    The headline energy is of kind ``vmc``, from fresh samples of the final state. The variational space
    of the result holds the sampled determinants of largest amplitude.

    Raises:
        InputError: The options do not fit the system, or the snapshot is that of other options.
    """
    system, options, monitor = task.problem, task.options, task.monitor
    _check(system, options)
    task.require_lowest()
    stopwatch = Stopwatch(monitor.resume)
    model = make_model(system, options) if task.model is None else task.model
    hamiltonian = MolecularHamiltonian(system.integrals)
    penalties = make_penalties(system, options)
    selected = SpaceState(hamiltonian, model, seed=options.seed)
    taken = None if task.start is None else take_over(selected, task.start, system)
    irreps = irrep_bits(system.integrals)
    known = symmetry_sector(selected, irreps, max(options.full_sum_limit, EXACT_LIMIT))
    sampler = make_sampler(system, options, hamiltonian, model, known)
    # Small sectors have few elements to leave out.
    rounding = 0.0 if sampler.is_exact else options.rounding
    objective = Objective(hamiltonian, penalties, rounding)
    state = nk.vqs.MCState(
        sampler,
        model,
        n_samples=_multiple(options.n_samples, sampler.n_chains),
        variables=selected.variables,
        sampler_seed=options.seed,
        chunk_size=None,
    )
    if monitor.resume is None and not sampler.is_exact:
        state.sample(chain_length=1, n_discard_per_chain=THERMALISATION)
    driver = MonteCarloDriver(
        state,
        objective,
        optimizer=_optimizer(options) if task.optimizer is None else task.optimizer,
        schedule=StepSchedule(tolerance=0.2 * options.precision, significance=1.0, patience=3),
        n_reachable=None if known is None else len(known),
        power_choice=PowerChoice() if options.sampling_power == "auto" else None,
    )
    ending = supervise(driver, options.max_steps, monitor, stopwatch=stopwatch)
    if taken is not None and taken.note is not None:
        ending = replace(ending, warnings=(*ending.warnings, taken.note))
    if driver.doubts:
        ending = replace(ending, warnings=(*ending.warnings, *driver.doubts))
    state.parameters = driver.averaged
    final, draws = _sampled_energy(state, objective, options, monitor.should_stop)
    selected.variables = state.variables
    selected.set_determinants(hamiltonian.pack(draws.largest(LARGEST_SPACE)))
    sector = known if known is not None and len(known) <= options.full_sum_limit else None
    level = evaluated(
        system,
        options,
        selected,
        sector,
        ending,
        stopwatch,
        driver.step_count,
        yardstick_size=LARGEST_SPACE,
        sampled=None if draws is None else (final.energy, draws),
    )
    level = replace(level, started_warm=taken is not None and taken.used)
    return with_energy(level, final, draws, options.precision)


def make_sampler(
    system: Molecule,
    options: SolverOptions,
    hamiltonian: MolecularHamiltonian,
    model: Any,
    sector: np.ndarray | None = None,
) -> nk.sampler.Sampler:
    """The sampler that ``options`` describe.

    Args:
        system: What is sampled.
        options: Kind of sampler, power of ``|psi|``, proposals, chains.
        hamiltonian: Its matrix elements guide heat-bath proposals.
        model: Its spin-flip symmetry is that of the samples.
        sector: All determinants (representatives) of the symmetry sector, where they are known.
    """
    integrals = system.integrals
    # An array: programs are compiled for any value.
    power: Any = jnp.asarray(FIRST_POWER) if options.sampling_power == "auto" else options.sampling_power
    fold = contract.spin_flip_parity(model) == 1
    if options.sampler == "exact" and sector is None:
        sector = reference_sector(integrals, irrep_bits(integrals), fold)
    small = sector is not None and len(sector) <= EXACT_LIMIT
    if sector is not None and (options.sampler == "exact" or (options.sampler == "auto" and small)):
        return SectorSampler(hamiltonian.hilbert, sector, spin_flip=fold, machine_pow=power, dtype=np.int8)
    tables = None if options.proposal == "uniform" else hamiltonian.tables
    excitations = ExcitationRule.of(integrals, irrep_bits(integrals), tables)
    unlabelled = not any(irrep_bits(integrals)) and not integrals.is_spin_resolved
    balanced = options.proposal == "balanced" or (options.proposal == "auto" and unlabelled)
    rule = OrbitalHopRule(integrals, excitations) if balanced else excitations
    chains = {
        "n_chains": options.n_chains,
        "sweep_size": options.sweep_size or 2 * integrals.n_orbitals,
        "machine_pow": power,
        "dtype": np.int8,
    }
    if options.n_temperatures > 1:
        return nk.sampler.ParallelTemperingSampler(
            hamiltonian.hilbert, rule, n_replicas=options.n_temperatures, **chains
        )
    return ValueSampler(hamiltonian.hilbert, rule, **chains)


def _sampled_energy(state, objective, options, should_stop):
    """Energy of a state from fresh samples, and these.

    Chains start anew from a seed of their own: the samples depend on the parameters alone.
    """
    sampler = state.sampler
    fresh = nk.vqs.MCState(
        sampler,
        state.model,
        n_samples=_multiple(ROUND, sampler.n_chains),
        variables=state.variables,
        sampler_seed=options.seed + 1,
        n_discard_per_chain=0,
    )
    if not sampler.is_exact:
        fresh.sample(chain_length=1, n_discard_per_chain=THERMALISATION)
    source = StateSource(fresh, objective.hamiltonian, "Hartree", objective.rounding)
    sampling = EvaluationOptions(precision=options.precision)
    return final_energy(source, sampling, should_stop, options.time_limit)


def _optimizer(options):
    if options.optimizer == "adam":
        return make_optimizer(options)
    return StochasticReconfiguration(
        learning_rate=options.learning_rate or 1.0,
        gap=GAP,
        # The kernel of samples is noisy: a tenfold shift kept steps from overshooting.
        diag_shift=10.0 * options.damping,
        momentum=options.momentum,
        dense_limit=options.dense_limit,
        max_step=options.max_step or 0.1,
    )


def _check(system, options):
    if options.optimizer == "rgn":
        raise InputError("optimizer rgn needs exact sums: with method vmc take sr or adam")
    if options.tail_steps:
        raise InputError("tail_steps needs method selected")
    if options.spin_penalty and system.integrals.is_spin_resolved:
        raise InputError("spin_penalty of samples needs one set of orbitals: give reference rohf")
    if options.proposal == "balanced" and system.integrals.is_spin_resolved:
        raise InputError("proposal balanced needs one set of orbitals: give proposal heat-bath")
    if options.n_temperatures > 1 and options.n_temperatures % 2:
        raise InputError(f"n_temperatures must be 1 or even, got {options.n_temperatures}")


def _multiple(n_samples, n_chains):
    return -(-n_samples // n_chains) * n_chains
