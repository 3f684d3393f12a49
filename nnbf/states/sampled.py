r"""What one optimisation step needs, estimated from Monte Carlo samples.

Samples may come from :math:`|\psi|^\alpha` with any power alpha (the sampler's ``machine_pow``): sample
k then carries the weight :math:`|\psi|^{2-\alpha}`. Molecular states are peaked, and a determinant
whose amplitude is too small by chance is never drawn from :math:`|\psi|^2`, so that nothing tells the
network to raise it; :math:`\alpha = 1` draws it. Repeated samples are merged: distinct determinant i
has a share :math:`w_i` of the weight. In the basis of distinct samples the state has amplitudes
:math:`c_i = \sqrt{w_i}` (signs cancel), and

.. math:: r_i = c_i (E_{loc}(i) - E), \qquad J^T r = \sum_i w_i (E_{loc}(i) - E) \nabla \log|\psi_i|

is the Monte Carlo estimate of half the energy gradient: optimisers for exact sums take samples, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np

from nnbf.determinants import pack_occupations, spin_flip_representatives
from nnbf.determinants.hashing import merge_equal
from nnbf.operators import MolecularHamiltonian
from nnbf.operators.connections import rounded_up
from nnbf.operators.dispatch import energies_of_rows, even_under_spin_flip, merged_connections
from nnbf.optimize import GradientFactors
from nnbf.optimize.tangent import TangentSpace
from nnbf.states.space_state import log_abs_factors

PyTree = Any

#: Chains that independent samples are cut into, so that split R-hat and errors mean the same for them.
CHAINS = 32
#: Determinants that the network evaluates at once, where the state does not say.
CHUNK = 8192


class SampledProblem(TangentSpace):
    """Tangent space on distinct samples, with the energy and its residual there."""

    def __init__(
        self,
        factors: GradientFactors,
        params: PyTree,
        weights: np.ndarray,
        local_energies: np.ndarray,
    ):
        """Collect the pieces.

        Args:
            factors: Structured gradients of ``log|psi|`` on the n distinct samples.
            params: Parameter tree.
            weights: Share of each sample, (n,), sum 1; zero for padding.
            local_energies: (n,), Hartree.
        """
        amplitudes = np.sqrt(weights)
        super().__init__(factors, params, amplitudes)
        self.energy = float(weights @ local_energies)
        """Weighted mean of the local energy, Hartree."""
        self.residual = amplitudes * (local_energies - self.energy)
        """(n,); its squared norm is the variance of the local energy on the samples."""

    def curvature(self, change: np.ndarray) -> float:
        """Not known from samples: 0."""
        return 0.0


@dataclass(frozen=True, eq=False)
class DistinctSamples:
    """The samples of a state without repetitions."""

    determinants: np.ndarray
    """(n, 2 W) bit strings; spin-flip representatives where psi is even under spin flip."""
    occupations: np.ndarray
    """(n, 2M): a sample for each."""
    local_energies: np.ndarray
    """(n,), Hartree."""
    log_abs: np.ndarray
    """(n,): log|psi|, unnormalised."""
    log_weights: np.ndarray
    """(n,): logarithm of ``|psi|^(2 - machine_pow)``, what a sample counts."""
    counts: np.ndarray
    """How often each was drawn, (n,)."""
    of_sample: np.ndarray
    """Which of them every sample is, (n_samples,)."""
    shape: tuple[int, int]
    """Chains and their length."""
    evaluations: int
    """Determinants that the network was evaluated on for the local energies."""

    @property
    def shares(self) -> np.ndarray:
        """Share (n,) of each in averages over |psi|^2."""
        shares = self.counts * np.exp(self.log_weights - self.log_weights.max())
        return shares / shares.sum()

    @property
    def unseen(self) -> float:
        """Good-Turing estimate of the chance that the next sample is a determinant not drawn before.

        The share of samples whose determinant was drawn once; Good, Biometrika 40, 237 (1953).
        """
        return float(np.sum(self.counts == 1) / np.sum(self.counts))


def distinct_samples(state: nk.vqs.MCState, hamiltonian: MolecularHamiltonian) -> DistinctSamples:
    """Local energies of a state's samples, and the samples without repetitions.

    Raises:
        FloatingPointError: Local energies are not finite.
    """
    samples = np.asarray(state.samples)
    rows = samples.reshape(-1, samples.shape[-1])
    determinants = pack_occupations(rows)
    even = even_under_spin_flip(state, hamiltonian)
    if even:
        determinants = spin_flip_representatives(determinants)
    distinct, of_sample = merge_equal(determinants)
    n = len(distinct)
    some = np.zeros(n, np.int64)
    some[of_sample] = np.arange(len(of_sample))
    occupations = rows[some]
    connections = merged_connections(hamiltonian, occupations, spin_flip=even)
    chunk = state.chunk_size or CHUNK
    place = np.asarray(connections.of_sample)
    # Without its only array that has no padding: few shapes are compiled.
    padded = connections._replace(of_sample=connections.own)
    local, log_abs = (
        np.asarray(part)[place] for part in _local_energies(state.model, chunk, state.variables, padded)
    )
    if not np.all(np.isfinite(local)):
        raise FloatingPointError("local energies are not finite")
    return DistinctSamples(
        determinants=distinct,
        occupations=occupations,
        local_energies=local,
        log_abs=log_abs,
        log_weights=(2 - state.sampler.machine_pow) * log_abs,
        counts=np.bincount(of_sample, minlength=n),
        of_sample=of_sample,
        shape=(int(np.prod(samples.shape[:-2])), samples.shape[-2]),
        evaluations=len(connections.occupations),
    )


@dataclass(frozen=True, eq=False)
class SampledStep:
    """Samples of a state and what follows from them."""

    problem: SampledProblem
    """For an optimiser."""
    statistics: nk.stats.Stats
    """Energy: mean, error (autocorrelation and fluctuating weights included), tau_corr, split R_hat; and
    the variance of the local energy."""
    samples: DistinctSamples
    """What was drawn."""


def sampled_step(state: nk.vqs.MCState, hamiltonian: MolecularHamiltonian) -> SampledStep:
    """Estimate energy, residual and tangent space from the state's samples.

    Args:
        state: A state with a real wave function (log psi has imaginary part 0 or pi).
        hamiltonian: The Hamiltonian.

    Raises:
        FloatingPointError: Local energies are not finite.
    """
    found = distinct_samples(state, hamiltonian)
    n = len(found.counts)
    occupations = padded_rows(found.occupations)
    factors = log_abs_factors(state.model, state.variables, occupations)
    # Padding carries no weight.
    padding = len(occupations) - n
    problem = SampledProblem(
        factors,
        state.parameters,
        np.pad(found.shares, (0, padding)),
        np.pad(found.local_energies, (0, padding)),
    )
    return SampledStep(problem, weighted_statistics([found], state.sampler), found)


def weighted_statistics(batches: Sequence[DistinctSamples], sampler: nk.sampler.Sampler) -> nk.stats.Stats:
    """Energy of one or several batches of samples that continue the same chains.

    The energy is a ratio of two means. Its error is that of the linearised ratio, to which every sample
    contributes ``w (E_loc - E) / <w>``: autocorrelation and fluctuating weights are in it. The ratio's
    bias is of the order of the squared error over the energy's spread, far below the error. What
    determinants contribute that were drawn once is added in quadrature: as much may be due to those
    that were not drawn at all, which the spread of the samples does not know of.
    """
    statistics, deviations = ratio_statistics(batches, sampler)
    rare = float(np.sum(deviations[_drawn_once(batches)])) / deviations.size
    return statistics.replace(error_of_mean=float(np.hypot(statistics.error_of_mean, rare)))


def ratio_statistics(
    batches: Sequence[DistinctSamples], sampler: nk.sampler.Sampler
) -> tuple[nk.stats.Stats, np.ndarray]:
    """Energy of batches of samples that continue the same chains, its error that of the linearised ratio.

    Returns:
        The statistics, and ``w (E_loc - E) / <w>`` of every sample (chains, length), real parts.
    """
    top = max(float(batch.log_weights.max()) for batch in batches)

    def unfolded(batch, values):
        return values[batch.of_sample].reshape(batch.shape)

    weights = np.concatenate([unfolded(b, np.exp(b.log_weights - top)) for b in batches], axis=1)
    local = np.concatenate([unfolded(b, b.local_energies) for b in batches], axis=1)
    weights /= weights.mean()
    energy = float(np.mean(weights * local).real)
    variance = float(np.mean(weights * np.abs(local - energy) ** 2))
    deviations = weights * (local.real - energy)
    return chain_statistics(energy + deviations, sampler).replace(variance=variance), deviations


def _drawn_once(batches):
    """Which samples (chains, length) are of a determinant that no other sample is of."""
    determinants = np.concatenate([batch.determinants for batch in batches])
    counts = np.concatenate([batch.counts for batch in batches])
    distinct, of_row = merge_equal(determinants)
    once = np.bincount(of_row, weights=counts, minlength=len(distinct))[of_row] == 1
    parts = np.split(once, np.cumsum([len(batch.counts) for batch in batches])[:-1])
    masks = [part[b.of_sample].reshape(b.shape) for part, b in zip(parts, batches, strict=True)]
    return np.concatenate(masks, axis=1)


def padded_rows(occupations: np.ndarray) -> jax.Array:
    """Occupations (n, 2M) as doubles, the first row repeated up to one of few lengths to compile for."""
    size = rounded_up(len(occupations), 64, 1.25)
    padding = np.broadcast_to(occupations[:1], (size - len(occupations), occupations.shape[1]))
    return jnp.asarray(np.concatenate([occupations, padding]), jnp.float64)


def chain_statistics(values: np.ndarray, sampler: nk.sampler.Sampler) -> nk.stats.Stats:
    """NetKet's statistics of values (chains, length); independent samples are cut into chains first."""
    if sampler.is_exact and values.size >= 4 * CHAINS:
        values = values.ravel()[: values.size - values.size % CHAINS].reshape(CHAINS, -1)
    return nk.stats.statistics(jnp.asarray(values))


@partial(jax.jit, static_argnums=(0, 1))
def _local_energies(model, chunk_size, variables, connections):
    """Local energies and log|psi| of the distinct samples that connections were made of."""
    apply = nk.jax.apply_chunked(model.apply, in_axes=(None, 0), chunk_size=chunk_size)
    log_psi = apply(variables, connections.occupations.astype(jnp.float64))
    return energies_of_rows(log_psi, connections).real, log_psi[connections.own].real
