r"""What one optimisation step needs, estimated from samples of a lattice state, real or complex.

For parameters that are real and a state that is complex, the change of the state and the residual are taken
as vectors of real and imaginary parts,

.. math:: J = \sqrt{w_i} \begin{pmatrix} \mathrm{Re} \\ \mathrm{Im} \end{pmatrix} (O_{ip} - \bar O_p), \qquad
    r = \sqrt{w_i} \begin{pmatrix} \mathrm{Re} \\ \mathrm{Im} \end{pmatrix} (E_{loc}(i) - E)

so that :math:`J^T r` is half the gradient of the energy and :math:`J^T J` the real part of the quantum
geometric tensor: optimisers of exact sums take samples, too.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
from jax.flatten_util import ravel_pytree

from nnbf.ansatz import contract
from nnbf.determinants.configurations import pack_modes
from nnbf.determinants.hashing import first_rows, merge_equal
from nnbf.operators.connections import padded_to, rounded_up
from nnbf.operators.lattice_hamiltonian import LatticeHamiltonian
from nnbf.operators.spin_exchange import s_squared_diagonal, spin_exchanges
from nnbf.states.amplitudes import log_psi as log_amplitudes
from nnbf.states.amplitudes import model_at_once
from nnbf.states.sampled import DistinctSamples, SampledStep, ratio_statistics

PyTree = Any


class ExplicitTangent:
    """Tangent space on samples by its rows, with the energy and its residual there."""

    def __init__(self, rows: jax.Array, residual: np.ndarray, energy: float, params: PyTree):
        """Collect the pieces.

        Args:
            rows: J (n, P), centred and weighted.
            residual: (n,).
            energy: Weighted mean of the local energy.
            params: Parameter tree, for the shape of updates.
        """
        self.rows, self.residual, self.energy = rows, residual, energy
        self._unravel = ravel_pytree(params)[1]

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.rows.shape[0]

    def forward(self, tangent: PyTree) -> np.ndarray:
        """``J dtheta``, (n,)."""
        return np.asarray(_times(self.rows, ravel_pytree(tangent)[0]))

    def backward(self, dual: np.ndarray) -> PyTree:
        """``J^T y``: a parameter tree."""
        return self._unravel(_transpose_times(self.rows, jnp.asarray(dual)))

    def kernel(self) -> np.ndarray:
        """``J J^T``, (n, n), writable."""
        return np.array(_gram(self.rows))

    def curvature(self, change: np.ndarray) -> float:
        """Not known from samples: 0."""
        return 0.0


def lattice_samples(state: nk.vqs.MCState, hamiltonian: LatticeHamiltonian) -> DistinctSamples:
    """Local energies of a state's samples, and the samples without repetitions; energies may be complex.

    Raises:
        FloatingPointError: Local energies are not finite.
    """
    return _sampled(state, hamiltonian, with_spin=False)[0]


def _sampled(state, hamiltonian, with_spin):
    """Distinct samples, and the local values of S^2 where they are asked for."""
    samples = np.asarray(state.samples)
    rows = samples.reshape(-1, samples.shape[-1])
    n_sites = hamiltonian.model.n_sites
    connections = hamiltonian.listed(rows)
    of_sample = connections.of_sample
    n = int(of_sample.max()) + 1
    some = first_rows(of_sample, n)
    distinct = np.ascontiguousarray(rows[some], np.int8)
    occupations = connections.occupations
    if with_spin:
        exchange_row, images, sign = spin_exchanges(distinct, n_sites)
        occupations, position = _extended(occupations, images)
    log_psi = log_amplitudes(state.model, state.variables, occupations, model_at_once(state.model, n_sites))
    log_own = log_psi[connections.own]

    def summed(row, target, element):
        total = np.zeros(n, complex)
        np.add.at(total, row, element * np.exp(log_psi[target] - log_own[row]))
        if not np.all(np.isfinite(total)):
            raise FloatingPointError("local energies are not finite")
        return total

    found = DistinctSamples(
        determinants=pack_modes(distinct),
        occupations=rows[some],
        local_energies=summed(connections.row, connections.target, connections.element),
        log_abs=log_own.real,
        log_weights=(2.0 - float(state.sampler.machine_pow)) * log_own.real,
        counts=np.bincount(of_sample, minlength=n),
        of_sample=of_sample,
        shape=(int(np.prod(samples.shape[:-2])), samples.shape[-2]),
        evaluations=len(occupations),
    )
    if not with_spin:
        return found, None
    return found, s_squared_diagonal(distinct, n_sites) + summed(exchange_row, position, sign)


def _extended(occupations, more):
    """Distinct configurations, those of ``occupations`` first, and the position of ``more`` among them."""
    every = np.concatenate([occupations, more])
    keys, position = merge_equal(pack_modes(every))
    return every[first_rows(position, len(keys))], position[len(occupations) :]


def lattice_step(
    state: nk.vqs.MCState, hamiltonian: LatticeHamiltonian, *, spin_penalty: float = 0.0
) -> SampledStep:
    """Estimate energy, residual and tangent space from a lattice state's samples.

    Args:
        state: A state of a real or complex wave function with real parameters; any power of |psi| is sampled.
        hamiltonian: The Hamiltonian.
        spin_penalty: What is minimised is H + ``spin_penalty`` S^2; the energies of the result are those of
            H alone.

    Raises:
        FloatingPointError: Local energies are not finite.
    """
    found, s_squared = _sampled(state, hamiltonian, with_spin=bool(spin_penalty))
    n = len(found.counts)
    size = rounded_up(n, 64, 1.25)
    weights = np.zeros(size)
    weights[:n] = found.shares
    occupations = padded_to(found.occupations, size, found.occupations[0])
    local = np.zeros(size, complex)
    local[:n] = found.local_energies
    if s_squared is not None:
        local[:n] += spin_penalty * s_squared
    mean = complex(weights @ local)
    is_real = contract.is_real(state.model)
    deviations = np.where(weights > 0, local - mean, 0.0) * np.sqrt(weights)
    residual = deviations.real if is_real else np.concatenate([deviations.real, deviations.imag])
    rows = _tangent_rows(
        state.model,
        model_at_once(state.model, hamiltonian.model.n_sites),
        is_real,
        state.variables,
        jnp.asarray(occupations),
        jnp.asarray(weights),
    )
    problem = ExplicitTangent(rows, residual, mean.real, state.parameters)
    statistics = ratio_statistics([found], state.sampler)[0]
    return SampledStep(problem, statistics, found)  # type: ignore[arg-type]


@jax.jit
def _times(rows, vector):
    return rows @ vector


@jax.jit
def _transpose_times(rows, vector):
    return vector @ rows


@jax.jit
def _gram(rows):
    return rows @ rows.T


@partial(jax.jit, static_argnums=(0, 1, 2))
def _tangent_rows(model, chunk_size, is_real, variables, occupations, weights):
    """Centred, weighted derivatives of log psi: (n, P), or (2 n, P) real parts before imaginary ones."""
    rest = {name: value for name, value in variables.items() if name != "params"}
    flat, unravel = ravel_pytree(variables["params"])

    def parts(p, x):
        value = model.apply({"params": unravel(p), **rest}, x[None])[0]
        return value.real[None] if is_real else jnp.stack([value.real, value.imag])

    one = jax.jacrev(parts)
    rows = jax.lax.map(lambda x: one(flat, x), occupations, batch_size=chunk_size)
    rows = rows - jnp.einsum("n,nkp->kp", weights, rows)
    rows = rows * jnp.sqrt(weights)[:, None, None]
    return jnp.moveaxis(rows, 1, 0).reshape(-1, flat.size)
