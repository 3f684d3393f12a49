r"""The tangent space of a normalised state on a list of determinants.

With normalised amplitudes c (multiplicities included) the state moves by
``dc = J dtheta``, ``J = (1 - c c^T) diag(c) O``, O the Jacobian of ``log|psi|``. Rows of J are, up to
the sign of c, the centred log-derivatives times the square roots of their weights: every optimiser
here (SR, SPRING, Rayleigh-Gauss-Newton, first-order) is linear algebra with J and the residual
``r = H c - E c``, whose entries are ``c_i (E_loc(i) - E)``.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jax.flatten_util import ravel_pytree

from nnbf._devices import multiple, on_host
from nnbf.determinants.device_matrix import device_copy
from nnbf.determinants.parallel import sparse_times_dense, sparse_times_vector
from nnbf.optimize.structured import GradientFactors, jvp, tangent_kernel, vjp

PyTree = Any


class Proposal(NamedTuple):
    """A step that an optimiser proposes."""

    update: PyTree
    """Change of the parameters."""
    change: np.ndarray
    """Its first-order effect on the normalised amplitudes, (n,)."""
    predicted: float
    """Predicted energy change, Hartree (negative)."""
    iterations: int = 0
    """Iterations of the linear solver (0: direct)."""


class TangentSpace:
    """The map J between changes of the parameters and of the normalised amplitudes."""

    def __init__(self, factors: GradientFactors, params: Mapping, amplitudes: np.ndarray):
        """Collect the pieces.

        Args:
            factors: Structured gradients of ``log|psi|`` on the n determinants, and after them on what fills
                them up to a multiple of the number of devices.
            params: Parameter tree, for the shape of updates.
            amplitudes: Normalised amplitudes c, (n,).
        """
        self.factors = factors
        self.params = params
        self.amplitudes = np.asarray(amplitudes)
        self._filled = self._with_zeros(self.amplitudes)

    @property
    def size(self) -> int:
        """Number of determinants."""
        return len(self.amplitudes)

    def restricted(self, rows: np.ndarray) -> "TangentSpace":
        """The same on some of the determinants, their amplitudes normalised again."""
        part = self.amplitudes[rows]
        chosen = np.pad(rows, (0, multiple(len(rows)) - len(rows)), mode="edge")
        factors = jax.tree.map(lambda leaf: leaf[chosen], self.factors)
        return TangentSpace(factors, self.params, part / np.linalg.norm(part))

    def forward(self, tangent: PyTree) -> np.ndarray:
        """``J dtheta``: first-order change of the normalised amplitudes, (n,)."""
        return on_host(_forward(self.factors, tangent, self._filled))[: self.size]

    def backward(self, dual: np.ndarray) -> PyTree:
        """``J^T y``: a parameter tree."""
        return _backward(self.factors, self._with_zeros(dual), self._filled, self.params)

    @property
    def n_explicit(self) -> int | None:
        """Number of parameters P where the whole Jacobian is known explicitly, else None."""
        explicit = self.factors.explicit
        return None if self.factors.layers or explicit is None else int(explicit.shape[1])

    def jacobian(self) -> np.ndarray:
        """``J``, (n, P).

        Raises:
            ValueError: Only factors of it are known (:attr:`n_explicit` is None).
        """
        if self.n_explicit is None:
            raise ValueError("the Jacobian of dense layers is known in factors only")
        return on_host(_jacobian(self.factors.explicit, self._filled))[: self.size]

    def unravel(self, flat: np.ndarray) -> PyTree:
        """A column of :meth:`jacobian`'s parameters (P,) as a parameter tree."""
        return ravel_pytree(self.params)[1](jnp.asarray(flat))

    def kernel(self) -> np.ndarray:
        """``J J^T``, (n, n), writable."""
        return np.array(on_host(self._kernel_there()))

    def kernel_solution(self, metric: np.ndarray, shift: float, right: np.ndarray) -> np.ndarray:
        """Solve ``(D J J^T D + shift) y = right`` (n,) on the device; D is the diagonal ``metric`` (n,)."""
        scale = jnp.broadcast_to(metric, right.shape)
        return on_host(_positive_solution(self._kernel_there(), scale, shift, right))

    def factored_kernel(self, metric: np.ndarray, shift: float) -> Callable[[np.ndarray], np.ndarray]:
        """The same for many right-hand sides."""
        inverse = _positive_inverse(self._kernel_there(), metric, shift)
        return lambda right: on_host(_times(inverse, right))

    def _kernel_there(self):
        kernel = _kernel(self.factors, self._filled)
        return kernel if len(kernel) == self.size else kernel[: self.size, : self.size]

    def _with_zeros(self, vector):
        """A vector (n,) with zeros for what fills the factors up."""
        return np.pad(vector, (0, multiple(self.size) - self.size))


class TangentProblem(TangentSpace):
    """Everything that one optimisation step needs to know about the state and its energy."""

    def __init__(
        self,
        factors: GradientFactors,
        params: Mapping,
        amplitudes: np.ndarray,
        matrix: scipy.sparse.csr_matrix,
        matrix_times_amplitudes: np.ndarray | None = None,
        pushed_up: np.ndarray | None = None,
        strength: float = 0.0,
    ):
        """Collect the pieces.

        Args:
            factors: Structured gradients of ``log|psi|`` on the n determinants.
            params: Parameter tree, for the shape of updates.
            amplitudes: Normalised amplitudes c, (n,).
            matrix: Symmetric Hamiltonian (n, n), Hartree.
            matrix_times_amplitudes: ``H c`` where it is known already, or not that of ``matrix`` alone.
            pushed_up: Orthonormal vectors v (k, n): to H belongs ``strength * sum_k |v_k><v_k|``.
            strength: Energy.
        """
        super().__init__(factors, params, amplitudes)
        self.matrix = matrix
        self._pushed_up, self._strength = pushed_up, strength
        product = matrix_times_amplitudes
        if product is None:
            product = self._raised(sparse_times_vector(matrix, self.amplitudes), self.amplitudes)
        self.energy = float(self.amplitudes @ product)
        """Rayleigh quotient, Hartree."""
        self.residual = product - self.energy * self.amplitudes
        """``H c - E c``, (n,); its squared norm is the energy variance inside the space."""

    @property
    def excitations(self) -> np.ndarray:
        """``H_ii - E`` (n,), not below 0."""
        return np.maximum(self.matrix.diagonal() - self.energy, 0.0)

    def curvature(self, change: np.ndarray) -> float:
        """Second-order energy change ``dc^T (H - E) dc``."""
        return float(change @ self.shifted(change))

    def shifted(self, change: np.ndarray) -> np.ndarray:
        """``(H - E) dc`` for a vector (n,) or a matrix (n, k)."""
        product = (
            sparse_times_vector(self.matrix, change)
            if change.ndim == 1
            else sparse_times_dense(self.matrix, change)
        )
        product -= self.energy * change
        return self._raised(product, change)

    def newton_solution(self, damping: float, shift: float) -> tuple[PyTree, np.ndarray]:
        """Solve ``((H - E + shift) J J^T + damping) y = -r`` on the device: ``J^T y`` and ``J J^T y``."""
        raised = np.zeros((0, self.size)) if self._pushed_up is None else self._pushed_up
        dual, change = _newton_solution(
            self._kernel_there(),
            device_copy(self.matrix).dense,
            self._strength * raised.T,
            raised,
            shift - self.energy,
            damping,
            self.residual,
        )
        return self.backward(on_host(dual)), on_host(change)

    def _raised(self, product, change):
        vectors = self._pushed_up
        return product if vectors is None else product + self._strength * (vectors.T @ (vectors @ change))


class SampledProblem(TangentSpace):
    """Tangent space on distinct samples of a real psi, with the energy and its residual there."""

    def __init__(
        self,
        factors: GradientFactors,
        params: PyTree,
        weights: np.ndarray,
        local_values: np.ndarray,
        diagonal: np.ndarray | float = 0.0,
    ):
        """Collect the pieces.

        Args:
            factors: Structured gradients of ``log|psi|`` on the n distinct samples.
            params: Parameter tree.
            weights: Share of each sample, (n,), sum 1; zero for padding.
            local_values: Local values of what is minimised, (n,).
            diagonal: ``H_ii`` (n,).
        """
        amplitudes = np.sqrt(weights)
        super().__init__(factors, params, amplitudes)
        self.energy = float(weights @ local_values)
        """Weighted mean of what is minimised."""
        self.residual = amplitudes * (local_values - self.energy)
        """(n,); its squared norm is the variance on the samples."""
        self.excitations = np.maximum(diagonal - self.energy, 0.0)
        """``H_ii - E`` (n,), not below 0."""

    def curvature(self, change: np.ndarray) -> float:
        """Not known from samples: 0."""
        return 0.0


class ExplicitProblem:
    r"""The same by its rows, for psi real or complex.

    For parameters that are real and a state that is complex, the change of the state and the residual are
    vectors of real and imaginary parts,

    .. math:: J = \sqrt{w_i} \begin{pmatrix} \mathrm{Re} \\ \mathrm{Im} \end{pmatrix} (O_{ip} - \bar O_p),
        \qquad r = \sqrt{w_i} \begin{pmatrix} \mathrm{Re} \\ \mathrm{Im} \end{pmatrix} (E_{loc}(i) - E)

    so that :math:`J^T r` is half the gradient of the energy and :math:`J^T J` the real part of the quantum
    geometric tensor.
    """

    def __init__(
        self,
        rows: jax.Array,
        residual: np.ndarray,
        energy: float,
        params: PyTree,
        diagonal: np.ndarray | float = 0.0,
    ):
        """Collect the pieces.

        Args:
            rows: J (n, P), centred and weighted.
            residual: (n,).
            energy: Weighted mean of what is minimised.
            params: Parameter tree, for the shape of updates.
            diagonal: ``H_ii`` (n,).
        """
        self.rows, self.residual, self.energy = rows, residual, energy
        self.excitations = np.maximum(diagonal - energy, 0.0)
        self._unravel = ravel_pytree(params)[1]

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.rows.shape[0]

    def forward(self, tangent: PyTree) -> np.ndarray:
        """``J dtheta``, (n,)."""
        return on_host(_times(self.rows, ravel_pytree(tangent)[0]))

    def backward(self, dual: np.ndarray) -> PyTree:
        """``J^T y``: a parameter tree."""
        return self._unravel(_transpose_times(self.rows, jnp.asarray(dual)))

    def kernel(self) -> np.ndarray:
        """``J J^T``, (n, n), writable."""
        return np.array(on_host(_gram(self.rows)))

    def kernel_solution(self, metric: np.ndarray, shift: float, right: np.ndarray) -> np.ndarray:
        """Solve ``(D J J^T D + shift) y = right`` (n,) on the device; D is the diagonal ``metric`` (n,)."""
        kernel = _gram(self.rows)
        return on_host(_positive_solution(kernel, jnp.broadcast_to(metric, right.shape), shift, right))

    def curvature(self, change: np.ndarray) -> float:
        """Not known from samples: 0."""
        return 0.0


def bounded_step(
    problem: TangentProblem | SampledProblem | ExplicitProblem,
    direction: PyTree,
    change: np.ndarray,
    most: float,
    *,
    rate: float = 1.0,
    iterations: int = 0,
) -> Proposal:
    """The step ``rate * direction``, shortened to the step bound.

    Args:
        problem: What is solved.
        direction: Direction of the parameters.
        change: First-order effect of the whole step on the normalised amplitudes, (n,).
        most: Largest norm of it.
        rate: Factor of the direction.
        iterations: Those of the linear solver.
    """
    norm = float(np.linalg.norm(change))
    scale = min(1.0, most / norm) if norm > 0 else 1.0
    change = scale * change
    update = jax.tree.map(lambda leaf: scale * rate * leaf, direction)
    predicted = 2.0 * float(change @ problem.residual) + problem.curvature(change)
    return Proposal(update, change, predicted, iterations)


@jax.jit
def _times(rows, vector):
    return rows @ vector


@jax.jit
def _transpose_times(rows, vector):
    return vector @ rows


@jax.jit
def _gram(rows):
    return rows @ rows.T


@jax.jit
def _forward(factors, tangent, c):
    change = c * jvp(factors, tangent)
    return change - c * jnp.vdot(c, change)


@jax.jit
def _backward(factors, dual, c, params):
    return vjp(factors, c * (dual - c * jnp.vdot(c, dual)), params)


@jax.jit
def _jacobian(explicit, c):
    rows = c[:, None] * explicit
    return rows - c[:, None] * (c @ rows)


@jax.jit
def _kernel(factors, c):
    kernel = tangent_kernel(factors) * c[:, None] * c[None, :]
    row = kernel @ c
    return (
        kernel
        - c[:, None] * row[None, :]
        - row[:, None] * c[None, :]
        + jnp.vdot(c, row) * c[:, None] * c[None, :]
    )


@jax.jit
def _positive_solution(kernel, metric, shift, right):
    matrix = kernel * metric[:, None] * metric + shift * jnp.eye(len(right))
    return jax.scipy.linalg.solve(matrix, right, assume_a="pos")


@jax.jit
def _positive_inverse(kernel, metric, shift):
    identity = jnp.eye(len(metric))
    factor = jax.scipy.linalg.cho_factor(kernel * metric[:, None] * metric + shift * identity)
    return jax.scipy.linalg.cho_solve(factor, identity)


@jax.jit
def _newton_solution(kernel, matrix, left, raised, shift, damping, residual):
    product = matrix @ kernel + left @ (raised @ kernel) + shift * kernel
    least = 8 * jnp.finfo(product.dtype).eps * jnp.abs(product).sum(axis=0).max()
    product = product + jnp.maximum(damping, least) * jnp.eye(len(residual))
    dual = jnp.linalg.solve(product, -residual)
    return dual, kernel @ dual


@jax.jit
def tree_dot(left: PyTree, right: PyTree) -> jax.Array:
    """Sum of products over all leaves."""
    products = jax.tree.map(jnp.vdot, left, right)
    return jnp.sum(jnp.stack(jax.tree.leaves(products)))


@jax.jit
def tree_axpy(scale: float, x: PyTree, y: PyTree) -> PyTree:
    """``scale * x + y`` leaf by leaf."""
    return jax.tree.map(lambda a, b: scale * a + b, x, y)


def kernel_diagonal(factors: GradientFactors) -> np.ndarray:
    """Squared norms ``|grad_i|^2`` (n,) of the per-sample gradients."""
    return on_host(_kernel_diagonal(factors))


@jax.jit
def _kernel_diagonal(factors):
    total = jnp.zeros(())
    for layer in factors.layers:
        inputs, errors = layer.distinct
        gram = jnp.einsum("nci,ndi->ncd", inputs, layer.inputs) + (1.0 if layer.has_bias else 0.0)
        gram *= jnp.einsum("nco,ndo->ncd", errors, layer.errors)
        total = total + layer.images * jnp.sum(gram, axis=(1, 2))
    if factors.explicit is not None:
        total = total + jnp.sum(factors.explicit**2, axis=1)
    return total
