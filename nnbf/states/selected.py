"""A variational state on a list of determinants, summed exactly."""

from functools import partial
from typing import Any

import flax
import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import scipy.sparse

from nnbf.ansatz import contract
from nnbf.determinants import (
    hamiltonian_matrix,
    multiplicities,
    spin_flip_representatives,
    symmetrised,
    unpack_occupations,
)
from nnbf.determinants.sparse import sparse_times_vector
from nnbf.operators import MolecularHamiltonian
from nnbf.optimize import GradientFactors, TangentProblem, gradient_factors
from nnbf.states.penalty import SpinPenalty

PyTree = Any

#: Amplitudes outside V are evaluated in batches of this many determinants, so that one shape is compiled.
BATCH = 8192


class SelectedState(nk.vqs.VariationalState):
    r"""A neural wave function restricted to a variational space V of determinants.

    .. math:: |\psi_V\rangle = \sum_{n \in V} \psi(n) |n\rangle

    Expectation values and gradients are exact sums over V. The Hamiltonian on V is a sparse matrix that
    is built once per change of V. Where the wave function is even under spin flip (``spin_flip``), V
    holds one determinant of every flip pair and sums carry its multiplicity.
    """

    def __init__(
        self,
        hamiltonian: MolecularHamiltonian,
        model: flax.linen.Module,
        *,
        determinants: np.ndarray | None = None,
        spin_flip: bool | None = None,
        variables: PyTree | None = None,
        seed: int = 0,
        spin_penalty: SpinPenalty | None = None,
    ):
        """Make a state.

        Args:
            hamiltonian: The Hamiltonian.
            model: Flax module, occupations (n, 2M) -> log psi (n,), real up to a sign: the imaginary
                part is 0 or pi. Any NetKet model of that kind works.
            determinants: Bit strings (n, 2 W) of V; default the reference determinant.
            spin_flip: Whether psi is even under spin flip (default: as the model declares, see
                ``nnbf.ansatz.contract``).
            variables: Parameters and other variables; default a fresh initialisation from ``seed``.
            seed: Seed of the initialisation.
            spin_penalty: What optimisers minimise besides the energy; expectation values are without it.

        Raises:
            ValueError: If ``spin_flip`` is asked for with different numbers of alpha and beta electrons.
        """
        super().__init__(hamiltonian.hilbert)
        self.hamiltonian = hamiltonian
        """The Hamiltonian that defines V's connections."""
        self.model = model
        """The Flax module."""
        self.mutable = False
        self.evaluations = 0
        """Determinants that the network was evaluated on so far, gradients included."""
        if spin_flip is None:
            spin_flip = contract.spin_flip_parity(model) == 1
        integrals = hamiltonian.integrals
        if spin_flip and (integrals.n_alpha != integrals.n_beta or integrals.is_spin_resolved):
            raise ValueError("spin flip needs as many alpha as beta electrons in the same orbitals")
        self.spin_flip = bool(spin_flip)
        """Whether V holds spin-flip representatives."""
        self.spin_penalty = spin_penalty
        """What optimisers minimise besides the energy."""
        if variables is None:
            dummy = jnp.asarray(unpack_occupations(hamiltonian.reference, hamiltonian.n_orbitals), float)
            # Compiled: only what makes the parameters is left of the forward pass.
            variables = _initial_variables(model, jax.random.key(seed), dummy)
        self.variables = variables
        self.set_determinants(hamiltonian.reference if determinants is None else determinants)

    _matrix: scipy.sparse.csr_matrix | None
    _objective: scipy.sparse.csr_matrix | None
    _cached_amplitudes: np.ndarray | None

    @property
    def determinants(self) -> np.ndarray:
        """V: (n, 2 W) bit strings."""
        return self._determinants

    @property
    def multiplicity(self) -> np.ndarray:
        """How many determinants each entry of V stands for, (n,)."""
        return self._multiplicity

    @property
    def matrix(self) -> scipy.sparse.csr_matrix:
        """Symmetric Hamiltonian (n, n) on the orthonormal basis of V, Hartree."""
        if self._matrix is None:
            rows = hamiltonian_matrix(self.hamiltonian.tables, self._determinants, self.spin_flip)
            self._matrix = symmetrised(rows, self._multiplicity).tocsr()
        return self._matrix

    @property
    def objective(self) -> scipy.sparse.csr_matrix:
        """What is minimised, (n, n), Hartree: ``matrix``, with the spin penalty where there is one."""
        if self.spin_penalty is None:
            return self.matrix
        if self._objective is None:
            penalty = self.spin_penalty.matrix(
                self._determinants, self.hamiltonian.n_orbitals, self.spin_flip
            )
            self._objective = (self.matrix + penalty).tocsr()
        return self._objective

    def set_determinants(self, determinants: np.ndarray) -> None:
        """Replace V; with spin flip, representatives are taken and must be distinct.

        Args:
            determinants: (n, 2 W) bit strings.
        """
        determinants = np.ascontiguousarray(determinants, dtype=np.uint64)
        if self.spin_flip:
            determinants = spin_flip_representatives(determinants)
        self._determinants: np.ndarray = determinants
        self._multiplicity: np.ndarray = multiplicities(determinants, self.spin_flip)
        self._occupations = _occupations(determinants, self.hamiltonian.n_orbitals)
        self._matrix = None
        self._objective = None
        self.reset()

    def with_space(
        self, determinants: np.ndarray, multiplicity: np.ndarray, matrix: scipy.sparse.csr_matrix
    ) -> "SelectedState":
        """The same wave function on other determinants, with weights and a Hamiltonian of one's own.

        Args:
            determinants: (n, 2 W) bit strings.
            multiplicity: (n,) weights in place of the multiplicities.
            matrix: Symmetric (n, n) matrix on the orthonormal basis, Hartree, with any penalty.
        """
        other = self._replace_model()
        other.spin_penalty = None
        other.set_determinants(determinants)
        other._multiplicity = np.asarray(multiplicity, dtype=np.float64)
        other._matrix = matrix
        return other

    def reset(self) -> None:
        """Forget amplitudes of the previous parameters."""
        self._cached_amplitudes = None

    def log_value(self, occupations: jax.Array) -> jax.Array:
        """Complex log psi (n,) of occupations (n, 2M)."""
        return _log_psi(self.model, self.variables, occupations)

    def signed_log(self, determinants: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sign and log|psi| (n,) of bit strings (n, 2 W), in batches of one compiled shape."""
        n = len(determinants)
        self.evaluations += n
        if n <= BATCH:
            batches = [determinants]
        else:
            batches = [determinants[lo : lo + BATCH] for lo in range(0, n, BATCH)]
            missing = BATCH - len(batches[-1])
            # The last batch is filled up with its own first row; what that gives is cut off again.
            batches[-1] = np.concatenate([batches[-1], np.repeat(batches[-1][:1], missing, axis=0)])
        parts = [
            _signed_log(self.model, self.variables, _occupations(batch, self.hamiltonian.n_orbitals))
            for batch in batches
        ]
        sign, log_abs = (np.concatenate([np.asarray(part[k]) for part in parts])[:n] for k in range(2))
        return sign, log_abs

    def amplitudes(self) -> np.ndarray:
        """Normalised amplitudes c (n,) on the orthonormal basis of V.

        Raises:
            FloatingPointError: If they are not finite, or all zero.
        """
        if self._cached_amplitudes is None:
            self._cached_amplitudes = self.amplitudes_at(self.variables)
        return self._cached_amplitudes

    def amplitudes_at(self, variables: PyTree) -> np.ndarray:
        """Like :meth:`amplitudes`, for other variables."""
        self.evaluations += len(self._determinants)
        sign, log_abs = (np.asarray(part) for part in _signed_log(self.model, variables, self._occupations))
        largest = np.max(log_abs)
        if not np.isfinite(largest) or np.any(np.isnan(log_abs)):
            raise FloatingPointError("the amplitudes of the variational space are not finite")
        amplitudes = sign * np.exp(log_abs - largest) * np.sqrt(self._multiplicity)
        return amplitudes / np.linalg.norm(amplitudes)

    def wave_function(self) -> np.ndarray:
        """Amplitudes psi (n,) on V, normalised over all determinants that its entries stand for."""
        return self.amplitudes() / np.sqrt(self._multiplicity)

    def energy_at(self, variables: PyTree) -> float:
        """Rayleigh quotient on V for other variables, Hartree (kind ``variational``)."""
        amplitudes = self.amplitudes_at(variables)
        return float(amplitudes @ sparse_times_vector(self.matrix, amplitudes))

    def objective_at(self, variables: PyTree) -> float:
        """What is minimised, for other variables, Hartree: :meth:`energy_at` plus any spin penalty."""
        amplitudes = self.amplitudes_at(variables)
        return float(amplitudes @ sparse_times_vector(self.objective, amplitudes))

    def gradient_factors(self) -> GradientFactors:
        """Structured gradients of log|psi| on V."""
        self.evaluations += len(self._determinants)
        return log_abs_factors(self.model, self.variables, self._occupations)

    def tangent_problem(self) -> TangentProblem:
        """State, energy (with any spin penalty), residual and Jacobian for one optimisation step."""
        return TangentProblem(self.gradient_factors(), self.parameters, self.amplitudes(), self.objective)

    def _replace_model(self, model=None, *, apply_fun=None, variables=None):
        if apply_fun is not None:
            raise NotImplementedError("SelectedState takes a Flax module, not an apply function")
        return SelectedState(
            self.hamiltonian,
            self.model if model is None else model,
            determinants=self._determinants,
            spin_flip=self.spin_flip,
            variables=self.variables if variables is None else variables,
            spin_penalty=self.spin_penalty,
        )

    def __repr__(self):
        return (
            f"SelectedState({self.hamiltonian!r}, n_determinants={len(self._determinants)}, "
            f"n_parameters={self.n_parameters}, spin_flip={self.spin_flip})"
        )


@nk.vqs.expect.dispatch
def expect(state: SelectedState, operator: MolecularHamiltonian) -> nk.stats.Stats:
    """Rayleigh quotient on V: exact, so that the error is 0; the variance is that inside V."""
    matrix = _matrix_of(state, operator)
    amplitudes = state.amplitudes()
    product = sparse_times_vector(matrix, amplitudes)
    energy = float(amplitudes @ product)
    variance = float(np.sum((product - energy * amplitudes) ** 2))
    return nk.stats.Stats(mean=energy, error_of_mean=0.0, variance=variance)


@nk.vqs.expect_and_grad.dispatch
def expect_and_grad(
    state: SelectedState, operator: MolecularHamiltonian, *, mutable=False, **kwargs
) -> tuple[nk.stats.Stats, PyTree]:
    """Energy on V and its exact gradient with respect to the parameters."""
    problem = TangentProblem(
        state.gradient_factors(), state.parameters, state.amplitudes(), _matrix_of(state, operator)
    )
    gradient = jax.tree.map(lambda leaf: 2.0 * leaf, problem.backward(problem.residual))
    variance = float(problem.residual @ problem.residual)
    return nk.stats.Stats(mean=problem.energy, error_of_mean=0.0, variance=variance), gradient


def _matrix_of(state, operator):
    if operator is state.hamiltonian:
        return state.matrix
    rows = hamiltonian_matrix(operator.tables, state.determinants, state.spin_flip)
    return symmetrised(rows, state.multiplicity).tocsr()


def _occupations(determinants, n_orbitals):
    return jnp.asarray(unpack_occupations(determinants, n_orbitals), dtype=jnp.float64)


@partial(jax.jit, static_argnums=0)
def _initial_variables(model, key, occupations):
    return model.init(key, occupations)


@partial(jax.jit, static_argnums=0)
def _log_psi(model, variables, occupations):
    return model.apply(variables, occupations)


@partial(jax.jit, static_argnums=0)
def _signed_log(model, variables, occupations):
    log_psi = model.apply(variables, occupations)
    return jnp.where(jnp.cos(jnp.imag(log_psi)) < 0, -1.0, 1.0), jnp.real(log_psi)


@partial(jax.jit, static_argnums=0)
def log_abs_factors(model, variables, occupations):
    """Factors of the derivatives of the logarithm of |psi|; see :func:`nnbf.optimize.gradient_factors`."""
    rest = {name: value for name, value in variables.items() if name != "params"}

    def log_abs(params, x):
        return jnp.real(model.apply({"params": params, **rest}, x))

    return gradient_factors(log_abs, variables["params"], occupations)
