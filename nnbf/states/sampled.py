r"""Estimates of one optimisation step from Monte Carlo samples.

Samples may come from :math:`|\psi|^\alpha` with any power alpha (the sampler's ``machine_pow``): sample
k then carries the weight :math:`|\psi|^{2-\alpha}`. Molecular states are peaked, and a determinant
whose amplitude is too small by chance is never drawn from :math:`|\psi|^2`, so that nothing tells the
network to raise it; :math:`\alpha = 1` draws it. Repeated samples are merged: distinct determinant i
has a share :math:`w_i` of the weight. In the basis of distinct samples the state has amplitudes
:math:`c_i = \sqrt{w_i}` (signs cancel), and

.. math:: r_i = c_i (E_{loc}(i) - E), \qquad J^T r = \sum_i w_i (E_{loc}(i) - E) \nabla \log|\psi_i|

is the Monte Carlo estimate of half the energy gradient: optimisers for exact sums take samples, too.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any
from zlib import crc32

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
from jax.flatten_util import ravel_pytree

from nnbf._devices import by_device, multiple, on_host, spread, within_memory
from nnbf.ansatz import contract
from nnbf.determinants.configurations import pack_modes, spin_flip_representatives
from nnbf.determinants.hashing import first_rows, merge_equal
from nnbf.determinants.rows import Rounding
from nnbf.operators import Hamiltonian
from nnbf.operators.connections import padded_to, rounded_up
from nnbf.operators.local_energy import energies_of_rows, even_under_spin_flip
from nnbf.optimize import ExplicitProblem, SampledProblem
from nnbf.states.amplitudes import compiled_values, log_psi, model_at_once
from nnbf.states.device_energies import device_energies, has_device_energies
from nnbf.states.objective import Objective, as_objective
from nnbf.states.space_state import log_abs_factors

PyTree = Any
Problem = SampledProblem | ExplicitProblem

#: Chains that independent samples are cut into, so that split R-hat and errors mean the same for them.
CHAINS = 32
#: Determinants that the network evaluates at once, where the state does not say.
CHUNK = 8192


@dataclass(frozen=True, eq=False)
class DistinctSamples:
    """The samples of a state without repetitions."""

    determinants: np.ndarray
    """(n, 2 W) bit strings; spin-flip representatives where psi is even under spin flip."""
    occupations: np.ndarray
    """(n, 2M): a sample for each."""
    local_energies: np.ndarray
    """(n,), Hartree."""
    penalties: np.ndarray
    """(n,) local values of the penalties."""
    log_abs: np.ndarray
    """(n,): log|psi|, unnormalised."""
    power: float
    """Power of |psi| that was sampled."""
    counts: np.ndarray
    """How often each was drawn, (n,)."""
    of_sample: np.ndarray
    """Which of them every sample is, (n_samples,)."""
    shape: tuple[int, int]
    """Chains and their length."""
    evaluations: int
    """Determinants that the network was evaluated on for the local energies."""

    @property
    def log_weights(self) -> np.ndarray:
        """(n,): logarithm of ``|psi|^(2 - power)``, what a sample counts."""
        return (2.0 - self.power) * self.log_abs

    @property
    def shares(self) -> np.ndarray:
        """Share (n,) of each in averages over |psi|^2."""
        log_weights = self.log_weights
        shares = self.counts * np.exp(log_weights - log_weights.max())
        return shares / shares.sum()

    @property
    def unseen(self) -> float:
        """Good-Turing estimate of the chance that the next sample is a determinant not drawn before.

        The share of samples whose determinant was drawn once; Good, Biometrika 40, 237 (1953).
        """
        return float(np.sum(self.counts == 1) / np.sum(self.counts))


def distinct_samples(state: nk.vqs.MCState, objective: Hamiltonian | Objective) -> DistinctSamples:
    """Local energies of a state's samples, and the samples without repetitions.

    Raises:
        FloatingPointError: Local energies are not finite.
    """
    objective = as_objective(objective)
    hamiltonian = objective.hamiltonian
    samples = on_host(state.samples)
    rows = samples.reshape(-1, samples.shape[-1])
    even = even_under_spin_flip(state, hamiltonian)
    # Other samples have other random numbers, also after a resumption.
    how = (
        {"rounding": Rounding(objective.rounding, crc32(np.ascontiguousarray(rows)))}
        if objective.rounding
        else {}
    )
    if has_device_energies(hamiltonian) and not objective.penalties:
        device = device_energies(state, hamiltonian, state.samples.reshape(rows.shape), spin_flip=even, **how)
        local = device.local.real if _is_real(state, hamiltonian) else device.local
        log_own, of_sample, evaluations = device.log_psi, device.of_sample, device.evaluations
        distinct, n = rows[device.first], len(local)
        penalties = np.zeros(n, local.dtype)
    else:
        connections = hamiltonian.listed(rows, spin_flip=even, **how)
        of_sample, n = connections.of_sample, len(connections.own)
        distinct = rows[first_rows(of_sample, n)]
        moves = [penalty.moves(distinct.astype(np.int8)) for penalty in objective.penalties]
        connections, places = _with_images(hamiltonian, connections, [move.images for move in moves], even)
        evaluated = _in_blocks if contract.per_sample(state.model) else _at_once
        local, log_psi, evaluations = evaluated(state, hamiltonian, connections)
        log_own = log_psi[connections.own]
        penalties = np.zeros(n, local.dtype)
        for move, place in zip(moves, places, strict=True):
            terms = move.element * np.exp(log_psi[place] - log_own[move.row])
            summed = np.zeros(n, local.dtype)
            np.add.at(summed, move.row, terms if np.iscomplexobj(local) else terms.real)
            penalties += move.strength * (move.diagonal + summed)
    if not (np.all(np.isfinite(local)) and np.all(np.isfinite(penalties))):
        raise FloatingPointError("local energies are not finite")
    packed = hamiltonian.pack(distinct)
    return DistinctSamples(
        determinants=spin_flip_representatives(packed) if even else packed,
        occupations=distinct,
        local_energies=local,
        penalties=penalties,
        log_abs=log_own.real,
        power=float(state.sampler.machine_pow),
        counts=np.bincount(of_sample, minlength=n),
        of_sample=of_sample,
        shape=(int(np.prod(samples.shape[:-2])), samples.shape[-2]),
        evaluations=evaluations,
    )


def _with_images(hamiltonian, connections, images, even):
    """Connections with more configurations in their list, and the positions of those."""
    if not images:
        return connections, []
    listed = np.concatenate([connections.occupations, *images])
    if even:
        listed = hamiltonian.unpack(spin_flip_representatives(hamiltonian.pack(listed)))
    keys, position = merge_equal(pack_modes(listed > 0))
    ends = np.cumsum([len(connections.occupations), *map(len, images)])
    return connections._replace(occupations=listed[first_rows(position, len(keys))]), [
        position[lo:hi] for lo, hi in pairwise(ends)
    ]


def _at_once(state, hamiltonian, connections):
    """Local energies, log psi of all that is listed, and its number: by one program of padded arrays."""
    listed = hamiltonian.pack(connections.occupations)
    found = compiled_values(hamiltonian, state.model, state.variables, listed)
    if found is not None:
        sign, log_abs = found
        ratio = np.exp(log_abs[connections.target] - log_abs[connections.own][connections.row])
        ratio *= sign[connections.target] * sign[connections.own][connections.row]
        rows = len(connections.own)
        local = np.bincount(connections.row, connections.element * ratio, minlength=rows)
        return local, log_abs + 1j * np.where(sign < 0, np.pi, 0.0), len(log_abs)
    padded = connections.padded(*hamiltonian.network_shapes)
    # Without its only array that has no padding: few shapes are compiled.
    padded = padded._replace(of_sample=padded.own)

    def by_chunks(chunk):
        return [on_host(array) for array in _local_energies(state.model, chunk, state.variables, padded)]

    local, logs = within_memory(by_chunks, state.chunk_size or CHUNK)
    local, n = local[: len(connections.own)], len(connections.occupations)
    return local.real if _is_real(state, hamiltonian) else local, logs[:n], len(logs)


def _in_blocks(state, hamiltonian, connections):
    """The same by few configurations at a time, whatever their number."""
    at_once = model_at_once(state.model, hamiltonian.n_sites)
    logs = log_psi(state.model, state.variables, connections.occupations, at_once)
    own = logs[connections.own]
    local = np.zeros(len(own), complex)
    ratio = np.exp(logs[connections.target] - own[connections.row])
    np.add.at(local, connections.row, connections.element * ratio)
    return local, logs, len(logs)


def _is_real(state, hamiltonian):
    possible = not np.issubdtype(hamiltonian.dtype, np.complexfloating)
    return contract.is_real(state.model, default=possible)


@dataclass(frozen=True, eq=False)
class SampledStep:
    """Samples of a state and what follows from them."""

    problem: Problem
    """For an optimiser."""
    statistics: nk.stats.Stats
    """Energy: mean, error (autocorrelation and fluctuating weights included), tau_corr, split R_hat; and
    the variance of the local energy."""
    samples: DistinctSamples
    """Samples of the step."""


def sampled_step(state: nk.vqs.MCState, objective: Hamiltonian | Objective) -> SampledStep:
    """Estimate energy, residual and tangent space from the state's samples.

    Args:
        state: A state of a real or complex wave function; any power of |psi| is sampled. A model that does
            not declare it complex is taken to be real where the Hamiltonian is.
        objective: The Hamiltonian, and penalties; the energies of the result are those of H alone.

    Raises:
        FloatingPointError: Local energies are not finite.
    """
    objective = as_objective(objective)
    hamiltonian = objective.hamiltonian
    found = distinct_samples(state, objective)
    is_real = _is_real(state, hamiltonian)
    if is_real and not contract.per_sample(state.model):
        occupations = padded_rows(found.occupations)
        factors = log_abs_factors(state.model, state.variables, occupations)
        # Padding carries no weight.
        padding = (0, len(occupations) - len(found.counts))
        minimised = found.local_energies + found.penalties if objective.penalties else found.local_energies
        problem: Problem = SampledProblem(
            factors,
            state.parameters,
            np.pad(found.shares, padding),
            np.pad(minimised, padding),
            np.pad(_diagonal(hamiltonian, found), padding),
        )
    else:
        problem = _explicit_problem(state, hamiltonian, found, is_real)
    return SampledStep(problem, energy_statistics(found, state.sampler, hamiltonian.peaked), found)


def _diagonal(hamiltonian, found):
    return np.asarray(hamiltonian.diagonal(found.occupations), dtype=float)


def _explicit_problem(state, hamiltonian, found, is_real):
    n = len(found.counts)
    size = multiple(rounded_up(n, 64, 1.25))
    weights, local, diagonal = np.zeros(size), np.zeros(size, complex), np.zeros(size)
    diagonal[:n] = _diagonal(hamiltonian, found)
    weights[:n] = found.shares
    local[:n] = found.local_energies + found.penalties
    mean = complex(weights @ local)
    deviations = np.where(weights > 0, local - mean, 0.0) * np.sqrt(weights)
    residual = deviations.real if is_real else np.concatenate([deviations.real, deviations.imag])
    rows = _tangent_rows(
        state.model,
        model_at_once(state.model, hamiltonian.n_sites),
        is_real,
        state.variables,
        spread(padded_to(found.occupations, size, found.occupations[0])),
        jnp.asarray(weights),
    )
    diagonal = np.tile(diagonal, 1 if is_real else 2)
    return ExplicitProblem(rows, residual, mean.real, state.parameters, diagonal)


def energy_statistics(found: DistinctSamples, sampler: nk.sampler.Sampler, peaked: bool) -> nk.stats.Stats:
    """Energy of samples.

    It is a ratio of two means. Its error is that of the linearised ratio, to which every sample
    contributes ``w (E_loc - E) / <w>``: autocorrelation and fluctuating weights are in it. The ratio's
    bias is of the order of the squared error over the energy's spread, far below the error. Of peaked states
    what determinants contribute that were drawn once is added in quadrature: as much may be due to those
    that were not drawn at all, which the spread of the samples does not know of.
    """

    def of_samples(values):
        return values[found.of_sample].reshape(found.shape)

    log_weights = found.log_weights
    weights = of_samples(np.exp(log_weights - log_weights.max()))
    local = of_samples(found.local_energies)
    weights /= weights.mean()
    energy = float(np.mean(weights * local).real)
    variance = float(np.mean(weights * np.abs(local - energy) ** 2))
    deviations = weights * (local.real - energy)
    statistics = chain_statistics(energy + deviations, sampler).replace(variance=variance)
    if not peaked:
        return statistics
    rare = float(np.sum(deviations[of_samples(found.counts == 1)])) / deviations.size
    return statistics.replace(error_of_mean=float(np.hypot(statistics.error_of_mean, rare)))


def padded_rows(occupations: np.ndarray) -> jax.Array:
    """Occupations (n, 2M) as doubles, the first row repeated up to one of few lengths to compile for."""
    size = multiple(rounded_up(len(occupations), 64, 1.25))
    padding = np.broadcast_to(occupations[:1], (size - len(occupations), occupations.shape[1]))
    return spread(np.concatenate([occupations, padding]).astype(np.float64))


def chain_statistics(values: np.ndarray, sampler: nk.sampler.Sampler) -> nk.stats.Stats:
    """NetKet's statistics of values (chains, length); independent samples are cut into chains first."""
    if sampler.is_exact and values.size >= 4 * CHAINS:
        values = values.ravel()[: values.size - values.size % CHAINS].reshape(CHAINS, -1)
    return nk.stats.statistics(jnp.asarray(values))


@partial(jax.jit, static_argnums=(0, 1))
def _local_energies(model, chunk_size, variables, connections):
    """Local energies of the distinct samples that connections were made of, and log psi of all listed."""
    apply = nk.jax.apply_chunked(model.apply, in_axes=(None, 0), chunk_size=chunk_size)
    log_psi = apply(variables, connections.occupations.astype(jnp.float64))
    return energies_of_rows(log_psi, connections), log_psi


@partial(jax.jit, static_argnums=(0, 1, 2))
def _tangent_rows(model, chunk_size, is_real, variables, occupations, weights):
    """Centred, weighted derivatives of log psi: (n, P), or (2 n, P) real parts before imaginary ones."""

    def derivatives(variables, occupations):
        rest = {name: value for name, value in variables.items() if name != "params"}
        flat, unravel = ravel_pytree(variables["params"])

        def parts(p, x):
            value = model.apply({"params": unravel(p), **rest}, x[None])[0]
            return value.real[None] if is_real else jnp.stack([value.real, value.imag])

        one = jax.jacrev(parts)
        return jax.lax.map(lambda x: one(flat, x), occupations, batch_size=chunk_size)

    rows = by_device(derivatives)(variables, occupations)
    rows = rows - jnp.einsum("n,nkp->kp", weights, rows)
    rows = rows * jnp.sqrt(weights)[:, None, None]
    return jnp.moveaxis(rows, 1, 0).reshape(-1, rows.shape[-1])
