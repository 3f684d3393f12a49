"""Levels of molecules by variational Monte Carlo."""

import math
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import netket as nk
import numpy as np

from hamiltonians import InputError, Molecule, irrep_bits
from nnbf.ansatz import contract
from nnbf.drivers.level import Level
from nnbf.drivers.methods import Task
from nnbf.drivers.monte_carlo import LARGEST_R_HAT, MonteCarloDriver, StepSchedule
from nnbf.drivers.options import SolverOptions
from nnbf.drivers.sampled_power import FIRST_POWER, PowerChoice
from nnbf.drivers.selected_space import evaluated, make_model, make_optimizer, make_penalties
from nnbf.drivers.start import take_over
from nnbf.drivers.supervision import Stopwatch, supervise
from nnbf.evaluation import EvaluationOptions, StateSource, sample_energy
from nnbf.operators import MolecularHamiltonian
from nnbf.sampling import ExcitationRule, OrbitalHopRule, SectorSampler
from nnbf.states import Objective, SpaceState, reference_sector, symmetry_sector

#: Sectors up to this size are listed, and sampled exactly.
EXACT_LIMIT = 100_000
#: Discarded samples of every chain before the first step, and before the final energy.
THERMALISATION = 50
#: Sampled determinants, those of largest amplitude, that become the variational space of the result.
LARGEST_SPACE = 4096
#: Samples of the first round for the final energy, most of all rounds, and rounds before it is given up.
ROUND, FINAL_SAMPLES, FEWEST_ROUNDS = 16384, 819_200, 3
#: Warn where the chance that the next sample is a new determinant is larger than this.
LARGEST_UNSEEN = 0.3


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
    objective = Objective(hamiltonian, make_penalties(system, options))
    selected = SpaceState(hamiltonian, model, seed=options.seed)
    taken = None if task.start is None else take_over(selected, task.start, system)
    irreps = irrep_bits(system.integrals)
    known = symmetry_sector(selected, irreps, max(options.full_sum_limit, EXACT_LIMIT))
    sampler = make_sampler(system, options, hamiltonian, model, known)
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
        schedule=StepSchedule(tolerance=0.2 * options.precision),
        n_reachable=None if known is None else len(known),
        power_choice=PowerChoice() if options.sampling_power == "auto" else None,
    )
    ending = supervise(driver, options.max_steps, monitor, stopwatch=stopwatch)
    if taken is not None and taken.note is not None:
        ending = replace(ending, warnings=(*ending.warnings, taken.note))
    if driver.doubts:
        ending = replace(ending, warnings=(*ending.warnings, *driver.doubts))
    final, draws = _sampled_energy(state, hamiltonian, options, monitor.should_stop)
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
    )
    level = replace(level, started_warm=taken is not None and taken.used)
    return _with_energy(level, final, draws, options)


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
    return nk.sampler.MetropolisSampler(hamiltonian.hilbert, rule, **chains)


def _sampled_energy(state, hamiltonian, options, should_stop):
    """Energy of a state from fresh samples, and these.

    Chains start anew from a seed of their own: the samples depend on the parameters alone. A precision
    that would take more than :data:`FINAL_SAMPLES` is given up early.
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
    hopeless = []

    def judge(row):
        # The error falls with the root of the samples: a precision that is out of reach is not tried for.
        needed = row["n_samples"] * (row["error"] / options.precision) ** 2
        hopeless.append(row["round"] >= FEWEST_ROUNDS and needed > FINAL_SAMPLES)

    final, draws = sample_energy(
        StateSource(fresh, hamiltonian, "Hartree"),
        EvaluationOptions(precision=options.precision, time_limit=math.inf, samples=FINAL_SAMPLES),
        on_round=judge,
        should_stop=lambda: hopeless[-1] or (should_stop is not None and should_stop()),
    )
    # Given up by itself, it has its end: a resumption would give it up at the same round.
    return (replace(final, status="samples") if hopeless[-1] else final), draws


def _with_energy(level, final, draws, options):
    unseen = float(np.mean(draws.drawn_once))
    energy = replace(
        final.energy,
        n_samples=final.n_samples,
        details={
            "acceptance": final.acceptance,
            "n_unique": final.n_unique,
            "unseen": unseen,
            "power": final.power,
        },
    )
    warnings = list(level.warnings)
    status, message = level.status, level.message
    if final.status == "interrupted":
        status, message = "interrupted", "stopped while the final energy was sampled"
    if energy.r_hat is not None and energy.r_hat > LARGEST_R_HAT:
        warnings.append(
            f"chains of the final energy disagree (split R-hat {energy.r_hat:.2f} above {LARGEST_R_HAT})"
        )
        if status == "converged":
            status, message = "max_steps", "the final energy's chains disagree: not called converged"
    if unseen > LARGEST_UNSEEN:
        warnings.append(
            f"{100 * unseen:.0f} % of the samples are determinants drawn once: give more n_samples"
        )
    if energy.error > options.precision and status != "interrupted":
        warnings.append(
            f"the error of the energy, {energy.error:.1e}, is above the precision {options.precision:.1e}: "
            "evaluate the run for longer"
        )
    return replace(
        level,
        energy=energy,
        estimates={"vmc": energy, **level.estimates},
        v_score=final.v_score,
        status=status,
        message=message,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _optimizer(options):
    if options.optimizer == "auto":
        options = replace(options, optimizer="sr")
    # The kernel of samples is noisier than that of exact sums: a tenfold shift kept steps from overshooting.
    return make_optimizer(replace(options, damping=10.0 * options.damping))


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
