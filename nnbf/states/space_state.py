r"""The one state whose expectation values are exact sums: over selected determinants, or a whole sector.

Where H or psi is complex, the real and imaginary parts of its coordinates are the coordinates, and H becomes
the symmetric matrix ``[[Re H, -Im H], [Im H, Re H]]``: optimisers see real numbers only.
"""

from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import flax
import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import scipy.sparse
from jax.flatten_util import ravel_pytree

from nnbf._devices import by_device, on_host, spread
from nnbf.ansatz import contract
from nnbf.determinants.parallel import sparse_times_vector
from nnbf.operators import Hamiltonian
from nnbf.optimize import GradientFactors, TangentProblem, gradient_factors
from nnbf.states.amplitudes import (
    compiled_values,
    initial_variables,
    log_psi_of_all,
    model_at_once,
    signed_log_of_all,
    signed_log_of_strings,
)
from nnbf.states.objective import Objective, PenaltyTerms, as_objective
from nnbf.states.space import Space

PyTree = Any

#: Log-derivatives are derivatives over amplitudes: amplitudes are not let closer to zero than this.
SMALLEST = 1e-100


class SpaceState(nk.vqs.VariationalState):
    r"""A neural wave function on a :class:`Space`.

    .. math:: |\psi\rangle = \sum_{n} \psi(n) |n\rangle

    Expectation values and gradients are exact sums. On a symmetry sector, or all configurations, the energy
    is that of the wave function (kind ``full_sum``); on selected determinants that of its part there
    (``variational``): upper bounds both. The Hamiltonian on the space is a sparse matrix that is built once.
    """

    def __init__(
        self,
        objective: Hamiltonian | Objective,
        model: flax.linen.Module,
        space: Space | np.ndarray | None = None,
        *,
        variables: PyTree | None = None,
        seed: int = 0,
        is_real: bool | None = None,
    ):
        """Make a state.

        Args:
            objective: The Hamiltonian, with the penalties that optimisers minimise besides the energy.
            model: Flax module, configurations (n, modes) -> log psi (n,). Any NetKet model does.
            space: The space, or a list (n, W) of bit strings; default the Hamiltonian's reference. Lists
                are of spin-flip pairs where the model declares psi even (``nnbf.ansatz.contract``).
            variables: Parameters and other variables; default a fresh initialisation from ``seed``.
            seed: Seed of the initialisation.
            is_real: Whether psi is real up to a factor (log psi has imaginary part 0 or pi). Default: as
                the model declares; a model that does not is taken to be real where H and the space are.

        Raises:
            ValueError: Spin-flip pairs, where the Hamiltonian is not symmetric under spin flip.
        """
        objective = as_objective(objective)
        hamiltonian = objective.hamiltonian
        super().__init__(hamiltonian.hilbert)
        self.model = model
        """The Flax module."""
        self.mutable = False
        self.evaluations = 0
        """Configurations that the network was evaluated on so far, gradients included."""
        space = _as_space(space, hamiltonian, model)
        if space.spin_flip and not hamiltonian.spin_flip_symmetric:
            raise ValueError("spin flip needs as many alpha as beta electrons in the same orbitals")
        if is_real is None:
            possible = space.is_real and not np.issubdtype(hamiltonian.dtype, np.complexfloating)
            is_real = possible and contract.is_real(model, default=True)
        self.is_real = is_real
        """True where coordinates are real."""
        self._objective = objective
        self.space = space
        if variables is None:
            one = self._network_input(space.configurations[:1])
            variables = initial_variables(model, jax.random.key(seed), one)
        self.variables = variables

    _cached_amplitudes: np.ndarray | None

    # ---- space and Hamiltonian ---------------------------------------------------------------------

    @property
    def space(self) -> Space:
        """The space; may be replaced, the parameters stay."""
        return self._space

    @space.setter
    def space(self, space: Space):
        self._space = space
        self._occupations = spread(self._network_input(space.configurations))
        for cached in ("matrix", "penalty", "minimised"):
            self.__dict__.pop(cached, None)
        self.reset()

    @property
    def objective(self) -> Objective:
        """The Hamiltonian and the penalties; may be replaced."""
        return self._objective

    @objective.setter
    def objective(self, objective: Objective):
        same = objective.hamiltonian is self._objective.hamiltonian
        self._objective = objective
        for cached in ("penalty", "minimised", *(() if same else ("matrix",))):
            self.__dict__.pop(cached, None)

    @property
    def hamiltonian(self) -> Hamiltonian:
        """The Hamiltonian."""
        return self._objective.hamiltonian

    @property
    def determinants(self) -> np.ndarray:
        """Bit strings (n, W) of the space."""
        return self._space.configurations

    @property
    def multiplicity(self) -> np.ndarray:
        """How many configurations each entry of the space stands for, (n,)."""
        return self._space.multiplicity

    @property
    def spin_flip(self) -> bool:
        """True where the space holds spin-flip representatives."""
        return self._space.spin_flip

    @property
    def n_states(self) -> int:
        """Dimension of the space."""
        return self._space.n_states

    @property
    def n_coordinates(self) -> int:
        """Real numbers that a state of the space is made of: twice the dimension where it is complex."""
        return self.n_states * (1 if self.is_real else 2)

    @cached_property
    def matrix(self) -> scipy.sparse.csr_matrix:
        """Real symmetric H on the coordinates, without penalties."""
        return self._matrix_of(self.hamiltonian)

    @cached_property
    def penalty(self) -> PenaltyTerms:
        """All penalties on the coordinates together."""
        terms = [p.terms(self.hamiltonian, self._space, self.is_real) for p in self._objective.penalties]
        sparse = [term.sparse for term in terms if term.sparse is not None]
        low_rank = [term for term in terms if term.vectors is not None and len(term.vectors)]
        if len(low_rank) > 1:
            raise ValueError("levels to exclude must be given as one penalty")
        vectors, strength = (low_rank[0].vectors, low_rank[0].strength) if low_rank else (None, 0.0)
        return PenaltyTerms(sum(sparse[1:], sparse[0]) if sparse else None, vectors, strength)

    @cached_property
    def minimised(self) -> scipy.sparse.csr_matrix:
        """H with the sparse part of the penalties: the matrix that optimisers are given."""
        return self.matrix if self.penalty.sparse is None else (self.matrix + self.penalty.sparse).tocsr()

    def set_determinants(self, determinants: np.ndarray) -> None:
        """Replace the space by a list (n, W) of bit strings, with spin flip as before."""
        self.space = Space.selected(determinants, spin_flip=self._space.spin_flip)

    # ---- wave function -----------------------------------------------------------------------------

    def reset(self) -> None:
        """Forget amplitudes of the previous parameters."""
        self._cached_amplitudes = None

    def log_value(self, occupations: jax.Array) -> jax.Array:
        """Complex log psi (n,) of configurations (n, modes)."""
        return _log_psi(self.model, self.variables, occupations)

    def signed_log(self, configurations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sign and log|psi| (n,) of a real psi on any bit strings (n, W)."""
        self.evaluations += len(configurations)
        return signed_log_of_strings(self.hamiltonian, self.model, self.variables, configurations)

    def values_on(self, configurations: np.ndarray) -> np.ndarray:
        """A real psi (n,) on any bit strings (n, W), on the scale of :meth:`wave_function`."""
        on_space = self.wave_function()
        anchor = int(np.argmax(np.abs(on_space)))
        sign0, log0 = self.signed_log(self.determinants[anchor : anchor + 1])
        sign, log_abs = self.signed_log(configurations)
        return on_space[anchor] * sign0[0] * sign * np.exp(log_abs - log0[0])

    def amplitudes(self) -> np.ndarray:
        """Normalised real coordinates: (n_states,), or (2 n_states,) real parts before imaginary ones.

        Raises:
            FloatingPointError: They are not finite, or all zero.
        """
        if self._cached_amplitudes is None:
            self._cached_amplitudes = self.amplitudes_at(self.variables)
        return self._cached_amplitudes

    def amplitudes_at(self, variables: PyTree) -> np.ndarray:
        """Like :meth:`amplitudes`, for other variables."""
        coordinates, _ = self._coordinates(variables)
        return coordinates / np.linalg.norm(coordinates)

    def vector(self) -> np.ndarray:
        """The normalised state in the basis of the space, (n_states,), complex where it must be."""
        parts = self.amplitudes()
        return parts if self.is_real else parts[: self.n_states] + 1j * parts[self.n_states :]

    def wave_function(self) -> np.ndarray:
        """Psi (n,) on a list, normalised over all configurations that its entries stand for."""
        return self.vector() / np.sqrt(self.multiplicity)

    # ---- energies ----------------------------------------------------------------------------------

    def energy_and_variance(self) -> tuple[float, float]:
        """Rayleigh quotient of H and its variance inside the space."""
        amplitudes = self.amplitudes()
        product = sparse_times_vector(self.matrix, amplitudes)
        energy = float(amplitudes @ product)
        return energy, float(np.sum((product - energy * amplitudes) ** 2))

    def energy_at(self, variables: PyTree) -> float:
        """Rayleigh quotient of H for other variables."""
        amplitudes = self.amplitudes_at(variables)
        return float(amplitudes @ sparse_times_vector(self.matrix, amplitudes))

    def objective_at(self, variables: PyTree) -> float:
        """Objective at other variables: :meth:`energy_at` and the penalties."""
        amplitudes = self.amplitudes_at(variables)
        return float(amplitudes @ self.minimised_times(amplitudes))

    def minimised_times(self, vector: np.ndarray) -> np.ndarray:
        """H and the penalties applied to real coordinates."""
        product, vectors = sparse_times_vector(self.minimised, vector), self.penalty.vectors
        return (
            product if vectors is None else product + self.penalty.strength * (vectors.T @ (vectors @ vector))
        )

    # ---- derivatives -------------------------------------------------------------------------------

    def gradient_factors(self) -> GradientFactors:
        """Gradients of the logarithm of |psi| on a list, structured."""
        self.evaluations += len(self._space)
        return log_abs_factors(self.model, self.variables, self._occupations)

    def tangent_problem(self, product: np.ndarray | None = None) -> TangentProblem:
        """State, energy (with penalties), residual and Jacobian for one optimisation step.

        Args:
            product: H and the penalties applied to the amplitudes, where it is not that within the space.
        """
        factors, amplitudes = self._tangent()
        if product is None:
            product = self.minimised_times(amplitudes)
        penalty = self.penalty
        return TangentProblem(
            factors, self.parameters, amplitudes, self.minimised, product, penalty.vectors, penalty.strength
        )

    def _tangent(self):
        """Gradients of log|coordinates|, and the coordinates."""
        if self._space.transform is None and self.is_real:
            return self.gradient_factors(), self.amplitudes()
        raw, shift = self._coordinates(self.variables)
        self.evaluations += len(self._space)
        derivatives = on_host(
            _derivatives(self.model, self._at_once, self.variables, self._occupations, shift, self.is_real)
        )[: len(self._space)]
        if self.is_real:
            rows = self._transform @ derivatives[:, 0]
        else:
            rows = self._transform @ (derivatives[:, 0] + 1j * derivatives[:, 1])
            rows = np.concatenate([rows.real, rows.imag])
        divisor = np.where(np.abs(raw) < SMALLEST, SMALLEST, raw)
        factors = GradientFactors((), spread(rows / divisor[:, None]))
        return factors, divisor / np.linalg.norm(raw)

    def _coordinates(self, variables):
        """Real coordinates, not normalised, and the logarithm that was taken out of psi."""
        self.evaluations += len(self._space)
        if self._space.transform is None and self.is_real:
            found = compiled_values(self.hamiltonian, self.model, variables, self.determinants)
            if found is None:
                found = signed_log_of_all(self.model, variables, self._occupations)
            sign, log_abs = (on_host(part)[: len(self._space)] for part in found)
            shift = float(np.max(log_abs))
            if not np.isfinite(shift) or np.any(np.isnan(log_abs)):
                raise FloatingPointError("the amplitudes of the variational space are not finite")
            return sign * np.exp(log_abs - shift) * np.sqrt(self.multiplicity), shift
        logs = on_host(log_psi_of_all(self.model, variables, self._occupations, self._at_once))
        logs = logs[: len(self._space)]
        shift = float(np.max(logs.real))
        if not np.isfinite(shift) or np.any(np.isnan(logs)):
            raise FloatingPointError("the amplitudes of the sector are not finite")
        psi = np.exp(logs - shift)
        if self.is_real:
            return self._transform @ psi.real, shift
        coordinates = self._transform @ psi
        return np.concatenate([coordinates.real, coordinates.imag]), shift

    @property
    def _transform(self):
        transform = self._space.transform
        return scipy.sparse.diags(np.sqrt(self.multiplicity)) if transform is None else transform

    @property
    def _at_once(self):
        return model_at_once(self.model, self.hilbert.size)

    def _network_input(self, configurations):
        return self.hamiltonian.network_input(configurations)

    def _matrix_of(self, hamiltonian):
        if hamiltonian is self.hamiltonian and self._space.matrix is not None:
            return realified(self._space.matrix, self.is_real)
        if self._space.transform is not None:
            raise ValueError("another operator than the Hamiltonian has no matrix in this sector")
        found = hamiltonian.symmetric_matrix(self.determinants, self.multiplicity, self.spin_flip)
        return found if self.is_real else realified(found, self.is_real)

    def _replace_model(self, model=None, *, apply_fun=None, variables=None):
        if apply_fun is not None:
            raise NotImplementedError("SpaceState takes a Flax module, not an apply function")
        return SpaceState(
            self._objective,
            self.model if model is None else model,
            self._space,
            variables=self.variables if variables is None else variables,
            is_real=self.is_real,
        )

    def on(self, space: Space) -> "SpaceState":
        """The same wave function on another space; a matrix that the space brings has the penalties in it."""
        other = self._replace_model()
        if space.matrix is not None:
            other.objective = replace(self._objective, penalties=())
        other.space = space
        return other

    def __repr__(self):
        kind = "real" if self.is_real else "complex"
        return (
            f"SpaceState({self.hamiltonian!r}, n_states={self.n_states}, n_parameters={self.n_parameters}, "
            f"spin_flip={self.spin_flip}, {kind})"
        )


@nk.vqs.expect.dispatch
def expect(state: SpaceState, operator: Hamiltonian) -> nk.stats.Stats:
    """Rayleigh quotient: exact, so that the error is 0; the variance is that inside the space."""
    matrix = _matrix_of(state, operator)
    amplitudes = state.amplitudes()
    product = sparse_times_vector(matrix, amplitudes)
    energy = float(amplitudes @ product)
    variance = float(np.sum((product - energy * amplitudes) ** 2))
    return nk.stats.Stats(mean=energy, error_of_mean=0.0, variance=variance)


@nk.vqs.expect_and_grad.dispatch
def expect_and_grad(
    state: SpaceState, operator: Hamiltonian, *, mutable=False, **kwargs
) -> tuple[nk.stats.Stats, PyTree]:
    """Energy and its exact gradient with respect to the parameters."""
    factors, amplitudes = state._tangent()
    problem = TangentProblem(factors, state.parameters, amplitudes, _matrix_of(state, operator))
    gradient = jax.tree.map(lambda leaf: 2.0 * leaf, problem.backward(problem.residual))
    variance = float(problem.residual @ problem.residual)
    return nk.stats.Stats(mean=problem.energy, error_of_mean=0.0, variance=variance), gradient


def _as_space(space: Space | np.ndarray | None, hamiltonian: Hamiltonian, model: Any) -> Space:
    if isinstance(space, Space):
        return space
    listed = hamiltonian.reference if space is None else space
    return Space.selected(listed, spin_flip=contract.spin_flip_parity(model) == 1)


def _matrix_of(state, operator):
    return state.matrix if operator is state.hamiltonian else state._matrix_of(operator)


def realified(matrix: scipy.sparse.csr_matrix, is_real: bool) -> scipy.sparse.csr_matrix:
    """A Hermitian matrix as a real symmetric one, on real parts before imaginary ones."""
    matrix = matrix.copy()
    matrix.sum_duplicates()
    if is_real:
        return scipy.sparse.csr_matrix(matrix.real)
    re, im = matrix.real, matrix.imag
    return scipy.sparse.bmat([[re, -im], [im, re]], format="csr")


@partial(jax.jit, static_argnums=0)
def _log_psi(model, variables, occupations):
    return model.apply(variables, occupations)


@partial(jax.jit, static_argnums=0)
def log_abs_factors(model, variables, occupations):
    """Factors of the derivatives of the logarithm of |psi|; see :func:`nnbf.optimize.gradient_factors`."""

    def factors(variables, occupations):
        rest = {name: value for name, value in variables.items() if name != "params"}

        def log_abs(params, x):
            return jnp.real(model.apply({"params": params, **rest}, x))

        return gradient_factors(log_abs, variables["params"], occupations)

    return by_device(factors)(variables, occupations)


@partial(jax.jit, static_argnums=(0, 1, 5))
def _derivatives(model, chunk_size, variables, configurations, shift, is_real):
    """Derivatives (n, parts, P) of real (and imaginary) part of ``psi exp(-shift)``."""

    def of_rows(variables, shift, rows):
        rest = {name: value for name, value in variables.items() if name != "params"}
        flat, unravel = ravel_pytree(variables["params"])

        def parts(p, x):
            psi = jnp.exp(model.apply({"params": unravel(p), **rest}, x[None])[0] - shift)
            return psi.real[None] if is_real else jnp.stack([psi.real, psi.imag])

        one = jax.jacrev(parts)
        return jax.lax.map(lambda x: one(flat, x), rows, batch_size=chunk_size)

    return by_device(of_rows)(variables, shift, configurations)
