"""From a trained state to a source of samples: what is summed exactly, and how the rest is drawn."""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np

from nnbf.determinants import connected_space, max_connections, multiplicities, pack_occupations
from nnbf.determinants.configurations import spin_flip_representatives
from nnbf.determinants.hashing import merge_equal
from nnbf.evaluation.amplitude_table import AmplitudeTable
from nnbf.evaluation.determinant_chains import STRIDE, ChainSource
from nnbf.evaluation.evaluation_options import EvaluationOptions
from nnbf.evaluation.sampling_loop import PILOT_POWER
from nnbf.evaluation.tabulated_sector import SectorSource
from nnbf.operators.connections import rounded_up
from nnbf.sampling import ExcitationRule
from nnbf.states import SpaceState, symmetry_sector
from nnbf.states.amplitudes import BATCH

#: Determinants that H reaches from L are tabulated up to this number: L is smaller where there are more.
MOST_CONNECTED = 2_000_000
#: Calls of the sampler, of `STRIDE` sweeps each, that look for large determinants where none are known.
SEARCH = 16

Note = Callable[[str], None]


def make_source(
    state: SpaceState,
    irreps: np.ndarray,
    options: EvaluationOptions,
    *,
    large: np.ndarray | None = None,
    note: Note = lambda what: None,
) -> SectorSource | ChainSource:
    """Choose how a state is sampled, and prepare that.

    Independent samples of the tabulated sector are taken where the sector is small enough and the table
    takes at most half of the time limit, else Metropolis chains.

    Args:
        state: The trained state.
        irreps: (M,) XOR codes of the orbitals' irreps (zeros where unknown).
        options: Sampler, limits, seed.
        large: Determinants (n, 2 W) that are known to be large; default: found by sampling.
        note: Told what is being done.

    Raises:
        FloatingPointError: Amplitudes are not finite.
    """
    if options.sampler != "metropolis":
        sector = symmetry_sector(state, irreps, options.sector_limit)
        if sector is not None and _affordable(state, sector, options):
            note(f"the network on all {len(sector):,} determinants of the sector")
            return sector_source(state, sector, options)
    return chain_source(state, irreps, options, large=large, note=note)


def sector_source(state: SpaceState, sector: np.ndarray, options: EvaluationOptions) -> SectorSource:
    """Independent samples from a sector; L is its ``options.large`` determinants of largest weight."""
    sign, log_abs = _finite(*state.signed_log(sector))
    psi = sign * np.exp(log_abs - np.max(log_abs))
    m = multiplicities(sector, state.spin_flip)
    # Not all: that part which is sampled stays a check of what is summed.
    n_large = max(1, min(options.large, len(sector) // 4))
    order = np.argsort(-m * psi**2, kind="stable")
    table = _table(state, sector[order], psi[order], n_large)
    return SectorSource(
        table,
        m[order],
        _reference(table, m[order]),
        np.random.default_rng(options.seed),
        infinite_temperature=state.hamiltonian.infinite_temperature_energy(),
    )


def chain_source(
    state: SpaceState,
    irreps: np.ndarray,
    options: EvaluationOptions,
    *,
    large: np.ndarray | None = None,
    note: Note = lambda what: None,
) -> ChainSource:
    """Metropolis chains; L is the largest of the given determinants, or of those that chains find."""
    integrals = state.hamiltonian.integrals
    counts = (integrals.n_alpha, integrals.n_beta)
    rule = ExcitationRule(
        integrals.n_orbitals,
        *counts,
        tables=state.hamiltonian.tables,
        orbital_irreps=irreps,
        reference=tuple(tuple(map(int, orbitals)) for orbitals in integrals.reference_occupation),
    )
    if large is None:
        note("looking for the large determinants")
        large = _found_by_sampling(state, rule, options)
    sign, log_abs = _finite(*state.signed_log(large))
    order = np.argsort(-log_abs, kind="stable")
    large, sign, log_abs = large[order], sign[order], log_abs[order]
    anchor = log_abs[0]

    def amplitudes_of(determinants):
        # Few sizes, so that few are compiled.
        n = len(determinants)
        missing = rounded_up(n, 64, 2.0) - n if n < BATCH else 0
        filled = np.concatenate([determinants, np.repeat(determinants[:1], missing, axis=0)])
        sign, log_abs = _finite(*state.signed_log(filled))
        return (sign * np.exp(log_abs - anchor))[:n]

    psi = sign * np.exp(log_abs - anchor)
    n_large = min(
        options.large,
        len(large),
        max(1, 20 * MOST_CONNECTED // max_connections(integrals.n_orbitals, *counts)),
    )
    while True:
        outside = connected_space(state.hamiltonian.tables, large[:n_large], psi[:n_large], state.spin_flip)
        if len(outside.determinants) <= MOST_CONNECTED or n_large == 1:
            break
        n_large = max(1, n_large // 2)
    note(f"the network on {len(outside.determinants):,} determinants connected with {n_large:,} large ones")
    around = amplitudes_of(outside.determinants) if len(outside.determinants) else np.zeros(0)
    table = _table(
        state,
        np.concatenate([large[:n_large], outside.determinants]),
        np.concatenate([psi[:n_large], around]),
        n_large,
    )
    reference = _reference(table, multiplicities(table.determinants, state.spin_flip))
    note("thermalising the chains")
    return ChainSource(
        state,
        table,
        reference,
        amplitudes_of,
        rule,
        chains=options.chains,
        power=PILOT_POWER if options.power is None else options.power,
        seed=options.seed,
    )


def _table(state, determinants, psi, n_large):
    integrals = state.hamiltonian.integrals
    return AmplitudeTable(
        state.hamiltonian.tables,
        (integrals.n_alpha, integrals.n_beta),
        determinants,
        psi,
        n_large,
        spin_flip=state.spin_flip,
    )


def _reference(table, multiplicity):
    """Rayleigh quotient on L, Hartree."""
    n = table.n_large
    large, _ = table.rows(table.determinants[:n])
    psi, m = table.amplitudes[:n], multiplicity[:n]
    return float(np.sum(m * psi * large) / np.sum(m * psi**2))


def _finite(sign, log_abs):
    if np.any(np.isnan(log_abs)) or np.any(log_abs == np.inf):
        raise FloatingPointError("the amplitudes of the trained network are not finite")
    return sign, log_abs


def _affordable(state, sector, options):
    """True where the network can be evaluated on a whole sector in half of the time."""
    if len(sector) <= 2 * BATCH or options.sampler == "sector":
        return True
    state.signed_log(sector[: 2 * BATCH])  # compiles
    started = time.perf_counter()
    state.signed_log(sector[: 2 * BATCH])
    return (time.perf_counter() - started) * len(sector) / (2 * BATCH) < 0.5 * options.time_limit


def _found_by_sampling(state, rule, options):
    """The distinct determinants that chains from the reference come across."""
    electrons = state.hamiltonian.n_electrons
    sampler = nk.sampler.MetropolisSampler(
        state.hamiltonian.hilbert,
        rule,
        n_chains=options.chains,
        sweep_size=max(10, electrons),
        dtype=jnp.int8,
    )
    chain = sampler.init_state(state.model, state.variables, jax.random.key(options.seed + 1))
    chain = sampler.reset(state.model, state.variables, chain)
    found = [state.hamiltonian.reference]
    for _ in range(SEARCH):
        samples, chain = sampler.sample(state.model, state.variables, state=chain, chain_length=STRIDE)
        found.append(pack_occupations(np.asarray(samples).reshape(-1, samples.shape[-1])))
    determinants = np.concatenate(found)
    if state.spin_flip:
        determinants = spin_flip_representatives(determinants)
    return merge_equal(determinants)[0]
