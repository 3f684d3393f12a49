r"""A variational state on an orthonormal basis of one symmetry sector, summed exactly.

Coordinates of a state that lies in the sector follow from its amplitudes on a list of configurations,
``a = T psi``, T block diagonal by orbit. Where H or psi is complex, the real and imaginary parts of a are
the coordinates, and H becomes the symmetric matrix ``[[Re H, -Im H], [Im H, Re H]]``: optimisers see real
numbers only.
"""

from functools import partial
from typing import Any

import flax
import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import scipy.sparse
from jax.flatten_util import ravel_pytree

from nnbf.determinants.sparse import sparse_times_vector
from nnbf.optimize import GradientFactors, TangentProblem
from nnbf.states.batches import initial_variables, model_at_once

PyTree = Any

#: Log-derivatives are derivatives over amplitudes: amplitudes are not let closer to zero than this.
SMALLEST = 1e-100


class SectorState(nk.vqs.VariationalState):
    """A wave function in a symmetry sector; expectation values and gradients are exact sums."""

    def __init__(
        self,
        hilbert: nk.hilbert.AbstractHilbert,
        model: flax.linen.Module,
        configurations: np.ndarray,
        transform: scipy.sparse.spmatrix,
        matrix: scipy.sparse.spmatrix,
        *,
        is_real: bool,
        variables: PyTree | None = None,
        seed: int = 0,
    ):
        """Make a state.

        Args:
            hilbert: NetKet Hilbert space of the configurations.
            model: Flax module, occupations (n, modes) -> log psi (n,), with psi in the sector.
            configurations: (n, modes) occupations.
            transform: T (n, n), from amplitudes on the configurations to coordinates.
            matrix: Hermitian H (n, n) in the orthonormal basis.
            is_real: Whether psi, T and H are real.
            variables: Parameters; default a fresh initialisation from ``seed``.
            seed: Seed of the initialisation.
        """
        super().__init__(hilbert)
        self.model = model
        """The Flax module."""
        self.mutable = False
        self.is_real = is_real
        """Whether coordinates are real."""
        self.evaluations = 0
        """Configurations that the network was evaluated on so far, gradients included."""
        self.configurations = jnp.asarray(configurations, jnp.int8)
        """(n, modes) occupations."""
        self._transform = scipy.sparse.csr_matrix(transform)
        self._hermitian = scipy.sparse.csr_matrix(matrix)
        self.matrix = realified(self._hermitian, is_real)
        """Real symmetric H on the coordinates."""
        if variables is None:
            variables = initial_variables(model, jax.random.key(seed), self.configurations[:1])
        self.variables = variables

        self._lower = np.zeros((0, self.matrix.shape[0]))
        self._penalty = 0.0

    _amplitudes: np.ndarray | None = None

    def exclude(self, vectors: np.ndarray, penalty: float) -> None:
        """Make optimisers minimise ``H + penalty * sum_k |v_k><v_k|``: the next level above known ones.

        Args:
            vectors: (k, n_states) orthonormal vectors in the basis of the sector.
            penalty: Energy; more than the gap to be bridged.
        """
        vectors = np.asarray(vectors).reshape(-1, self.n_states)
        if self.is_real:
            self._lower = vectors.real
        else:
            turned = 1j * vectors
            parts = [np.concatenate([v.real, v.imag], axis=1) for v in (vectors, turned)]
            self._lower = np.concatenate(parts)
        self._penalty = float(penalty)

    @property
    def n_states(self) -> int:
        """Dimension of the sector."""
        return self._transform.shape[0]

    @property
    def n_coordinates(self) -> int:
        """Real numbers that a state of the sector is made of: twice the dimension where it is complex."""
        return self.matrix.shape[0]

    def reset(self) -> None:
        """Forget the coordinates of the previous parameters."""
        self._amplitudes = None

    def amplitudes(self) -> np.ndarray:
        """Normalised real coordinates: (n_states,), or (2 n_states,) real parts before imaginary ones.

        Raises:
            FloatingPointError: They are not finite, or all zero.
        """
        if self._amplitudes is None:
            self._amplitudes = self.amplitudes_at(self.variables)
        return self._amplitudes

    def amplitudes_at(self, variables: PyTree) -> np.ndarray:
        """Like :meth:`amplitudes`, for other variables."""
        raw, _ = self._raw(variables)
        return raw / np.linalg.norm(raw)

    def vector(self) -> np.ndarray:
        """The normalised state in the basis of the sector, (n_states,), complex where it must be."""
        parts = self.amplitudes()
        return parts if self.is_real else parts[: self.n_states] + 1j * parts[self.n_states :]

    def objective_at(self, variables: PyTree) -> float:
        """What is minimised, for other variables: the Rayleigh quotient and what :meth:`exclude` adds."""
        amplitudes = self.amplitudes_at(variables)
        return float(amplitudes @ _times(self.matrix, self._lower, self._penalty, amplitudes))

    def energy_and_variance(self) -> tuple[float, float]:
        """Rayleigh quotient of H (kind ``full_sum``) and variance."""
        amplitudes = self.amplitudes()
        product = sparse_times_vector(self.matrix, amplitudes)
        energy = float(amplitudes @ product)
        return energy, float(np.sum((product - energy * amplitudes) ** 2))

    def tangent_problem(self) -> TangentProblem:
        """State, energy, residual and Jacobian for one optimisation step."""
        raw, shift = self._raw(self.variables)
        self.evaluations += len(self.configurations)
        derivatives = np.asarray(
            _derivatives(self.model, self.variables, self.configurations, shift, self.is_real)
        )
        if self.is_real:
            rows = self._transform @ derivatives[:, 0]
        else:
            rows = self._transform @ (derivatives[:, 0] + 1j * derivatives[:, 1])
            rows = np.concatenate([rows.real, rows.imag])
        divisor = np.where(np.abs(raw) < SMALLEST, SMALLEST, raw)
        norm = np.linalg.norm(raw)
        factors = GradientFactors((), jnp.asarray(rows / divisor[:, None]))
        amplitudes = divisor / norm
        if not len(self._lower):
            return TangentProblem(factors, self.parameters, amplitudes, self.matrix)
        return _ExcludingProblem(
            factors, self.parameters, amplitudes, self.matrix, self._lower, self._penalty
        )

    def _raw(self, variables):
        """Coordinates, not normalised, and the logarithm that was taken out of psi."""
        self.evaluations += len(self.configurations)
        log_psi = np.asarray(_log_psi(self.model, variables, self.configurations))
        shift = float(np.max(log_psi.real))
        if not np.isfinite(shift) or np.any(np.isnan(log_psi)):
            raise FloatingPointError("the amplitudes of the sector are not finite")
        psi = np.exp(log_psi - shift)
        if self.is_real:
            return self._transform @ psi.real, shift
        coordinates = self._transform @ psi
        return np.concatenate([coordinates.real, coordinates.imag]), shift

    def _replace_model(self, model=None, *, apply_fun=None, variables=None):
        if apply_fun is not None:
            raise NotImplementedError("SectorState takes a Flax module, not an apply function")
        return SectorState(
            self.hilbert,
            self.model if model is None else model,
            np.asarray(self.configurations),
            self._transform,
            self._hermitian,
            is_real=self.is_real,
            variables=self.variables if variables is None else variables,
        )

    def __repr__(self):
        kind = "real" if self.is_real else "complex"
        return f"SectorState(n_states={self.n_states}, n_parameters={self.n_parameters}, {kind})"


class _ExcludingProblem(TangentProblem):
    """A step where known vectors are pushed up."""

    def __init__(self, factors, params, amplitudes, matrix, lower, penalty):
        self._lower, self._penalty = lower, penalty
        product = _times(matrix, lower, penalty, amplitudes)
        super().__init__(factors, params, amplitudes, matrix, product)

    def shifted(self, change):
        return super().shifted(change) + self._penalty * (self._lower.T @ (self._lower @ change))


def _times(matrix, lower, penalty, amplitudes):
    product = sparse_times_vector(matrix, amplitudes)
    return product + penalty * (lower.T @ (lower @ amplitudes)) if len(lower) else product


def realified(matrix: scipy.sparse.csr_matrix, is_real: bool) -> scipy.sparse.csr_matrix:
    """A Hermitian matrix as a real symmetric one, on real parts before imaginary ones."""
    matrix = matrix.copy()
    matrix.sum_duplicates()
    if is_real:
        return scipy.sparse.csr_matrix(matrix.real)
    re, im = matrix.real, matrix.imag
    return scipy.sparse.bmat([[re, -im], [im, re]], format="csr")


@partial(jax.jit, static_argnums=0)
def _log_psi(model, variables, configurations):
    chunk_size = model_at_once(model, configurations.shape[-1])
    return nk.jax.apply_chunked(model.apply, in_axes=(None, 0), chunk_size=chunk_size)(
        variables, configurations
    )


@partial(jax.jit, static_argnums=(0, 4))
def _derivatives(model, variables, configurations, shift, is_real):
    """Derivatives (n, parts, P) of real (and imaginary) part of ``psi exp(-shift)``."""
    rest = {name: value for name, value in variables.items() if name != "params"}
    flat, unravel = ravel_pytree(variables["params"])

    def parts(p, x):
        psi = jnp.exp(model.apply({"params": unravel(p), **rest}, x[None])[0] - shift)
        return psi.real[None] if is_real else jnp.stack([psi.real, psi.imag])

    one = jax.jacrev(parts)
    return jax.lax.map(
        lambda x: one(flat, x), configurations, batch_size=model_at_once(model, configurations.shape[-1])
    )
