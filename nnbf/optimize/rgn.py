r"""Rayleigh-Gauss-Newton in the tangent kernel: the default optimiser of the selected-space method.

Minimises the energy to second order in the change of the state,

.. math:: E(c + dc) \approx E + 2\, dc \cdot r + dc^T (H - E)\, dc, \qquad dc = J\, d\theta,

with a Levenberg-Marquardt term ``damping * |dtheta|^2`` (Webber and Lindsey, Phys. Rev. Research 4,
033099 (2022), there with sampled matrices in parameter space). H is known exactly on the variational
space, so that the step is solved in function space: ``dtheta = J^T y`` with
``((H - E) J J^T + damping) y = -r``, one LU factorisation of a matrix of the size of the space. With
fewer parameters than that, and an explicit Jacobian, ``J^T (H - E) J + damping`` is factorised instead.
Where both are too large, conjugate gradients on it use products with the structured Jacobian only.
Stochastic reconfiguration is the same with ``H - E`` replaced by a constant.

Newton's method goes to the nearest stationary point, which may be an excited state. Where ``H - E`` has a
negative eigenvalue on what is orthogonal to the state, the steps are therefore made with ``H - E + shift``,
which has none: every step leads downhill.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from nnbf._compute import on_device
from nnbf.optimize.tangent import Proposal, TangentProblem, bounded_step, kernel_diagonal, tree_axpy, tree_dot

PyTree = Any


#: Part of the trace outside the core that the preconditioner's shift stands for (measured).
TAIL_SHARE = 1e-4
#: Lowest eigenvalue of the shifted Hamiltonian, Hartree, where a shift is needed.
SMALLEST_GAP = 0.1
#: Columns of the Jacobian that are multiplied with H at once.
COLUMNS = 256
#: Lanczos iterations that look for a negative eigenvalue.
LANCZOS_STEPS = 40


@dataclass(frozen=True)
class RgnState:
    """State that the optimiser carries from step to step."""

    damping: float
    """Levenberg-Marquardt damping."""
    definite: bool = False
    """True where ``H - E`` is known to be positive on what is orthogonal to the state."""


@dataclass(frozen=True)
class RayleighGaussNewton:
    """Second-order energy minimisation with a function-space step bound and adaptive damping."""

    damping: float = 1e-3
    """Initial damping."""
    max_step: float = 0.3
    """Largest norm of the first-order change of the normalised amplitudes."""
    dense_limit: int = 4096
    """Largest space, or number of parameters, for which a matrix is factorised; above, conjugate
    gradients."""
    cg_iterations: int = 100
    """Most conjugate-gradient iterations a step."""
    cg_tolerance: float = 1e-3
    """Smallest relative residual at which conjugate gradients stop; far from the minimum earlier."""
    core_size: int = 2048
    """Determinants whose part of the Gauss-Newton matrix preconditions conjugate gradients: those with the
    largest entries on its diagonal."""
    smallest_damping: float = 1e-9
    largest_damping: float = 1e3

    line_search = True
    """The driver accepts only steps that lower the energy."""

    def init(self, params: PyTree) -> RgnState:
        """Initial state of the optimiser."""
        return RgnState(self.damping)

    def propose(self, problem: TangentProblem, state: RgnState) -> tuple[Proposal, RgnState]:
        """The damped Gauss-Newton step, shortened to the step bound."""
        lowest, error = (np.inf, 0.0) if state.definite else _lowest_excitation(problem)
        shift = SMALLEST_GAP - lowest if lowest <= 0 else 0.0
        update, change, iterations = self._solver(problem)(problem, state.damping, shift)
        proposal = bounded_step(problem, update, change, self.max_step, iterations=iterations)
        # The line search lets E only fall: what is positive stays so until V changes, with a new state.
        return proposal, replace(state, definite=lowest > error)

    def adapt(self, state: RgnState, proposal: Proposal, fraction: float, gain: float) -> RgnState:
        """Damping for the next step.

        Args:
            state: State that made the proposal.
            proposal: The step.
            fraction: Part of the step that the line search took (0: none was good).
            gain: Energy change over the predicted one.
        """
        if fraction == 0.0:
            damping = 10.0 * state.damping
        elif fraction < 1.0:
            damping = 4.0 * state.damping
        elif gain > 0.75:
            damping = state.damping / 3.0
        else:
            damping = state.damping
        return replace(state, damping=float(np.clip(damping, self.smallest_damping, self.largest_damping)))

    def restrained(self, state: RgnState, level: int) -> tuple["RayleighGaussNewton", RgnState]:
        """This optimiser and its state with smaller steps: for going on after numbers ran away.

        Args:
            state: Present state.
            level: 0 changes nothing; every level divides the step bound by four and multiplies the
                smallest damping, which starts from the initial one, by ten.
        """
        if level == 0:
            return self, state
        floor = min(self.damping * 10.0**level, self.largest_damping)
        smaller = replace(
            self,
            max_step=self.max_step / 4.0**level,
            smallest_damping=max(self.smallest_damping, floor),
        )
        return smaller, replace(state, damping=max(state.damping, floor))

    def _solver(self, problem):
        n_parameters = problem.n_explicit
        if n_parameters is not None and n_parameters <= min(problem.size, self.dense_limit):
            return self._primal
        return self._dense if problem.size <= self.dense_limit else self._iterative

    def _primal(self, problem, damping, shift):
        jacobian = problem.jacobian()
        matrix = np.empty((jacobian.shape[1], jacobian.shape[1]))
        for start in range(0, len(matrix), COLUMNS):
            columns = np.ascontiguousarray(jacobian[:, start : start + COLUMNS])
            product = problem.shifted(columns)
            if shift:
                product += shift * columns
            matrix[:, start : start + COLUMNS] = jacobian.T @ product
        damp(matrix, damping)
        flat = _solved(matrix, -(jacobian.T @ problem.residual), assume_a="sym")
        return problem.unravel(flat), jacobian @ flat, 0

    def _dense(self, problem, damping, shift):
        if on_device():
            return *problem.newton_solution(damping, shift), 0
        kernel = problem.kernel()
        matrix = problem.shifted(kernel)
        if shift:
            matrix += shift * kernel
        damp(matrix, damping)
        dual = _solved(matrix, -problem.residual)
        return problem.backward(dual), kernel @ dual, 0

    def _iterative(self, problem, damping, shift):
        def shifted(image):
            product = problem.shifted(image)
            return product + shift * image if shift else product

        precondition = core_preconditioner(problem, damping, self.core_size)
        # Inexact Newton: solve as accurately as the quadratic model is.
        tolerance = float(np.clip(np.linalg.norm(problem.residual), self.cg_tolerance, 0.1))
        return conjugate_gradients(
            problem, -problem.residual, shifted, damping, precondition, self.cg_iterations, tolerance
        )


def conjugate_gradients(
    problem: TangentProblem,
    right: np.ndarray,
    times: Callable[[np.ndarray], np.ndarray],
    damping: float,
    precondition: Callable[[PyTree], PyTree],
    most: int,
    tolerance: float,
) -> tuple[PyTree, np.ndarray, int]:
    """Solve ``(J^T M J + damping) x = J^T right``.

    Args:
        problem: Has J.
        right: (n,).
        times: Multiplies a vector (n,) with M.
        damping: On the diagonal.
        precondition: Approximate inverse.
        most: Most iterations.
        tolerance: Residual at which to stop, in the norm of the preconditioner, relative to the first one.

    Returns:
        x as a parameter tree, ``J x`` (n,), iterations.
    """
    residual = problem.backward(right)
    update = jax.tree.map(jnp.zeros_like, residual)
    change = np.zeros(problem.size)
    direction = correction = precondition(residual)
    norm = first_norm = float(tree_dot(residual, correction))
    iterations = 0
    while iterations < most and norm > tolerance**2 * first_norm:
        image = problem.forward(direction)
        product = tree_axpy(damping, direction, problem.backward(times(image)))
        curvature = float(tree_dot(direction, product))
        if curvature <= 0:
            # Negative curvature: follow it as far as the step bound if there is nothing better yet.
            if iterations == 0:
                update, change = direction, image
            break
        step = norm / curvature
        update = tree_axpy(step, direction, update)
        change = change + step * image
        residual = tree_axpy(-step, product, residual)
        correction = precondition(residual)
        new_norm = float(tree_dot(residual, correction))
        direction = tree_axpy(new_norm / norm, direction, correction)
        norm = new_norm
        iterations += 1
    return update, change, iterations


def damp(matrix: np.ndarray, damping: float) -> float:
    """Add a damping to the diagonal (n, n), in place; return what was added.

    Where the matrix is singular, rounding would otherwise decide the step.
    """
    least = 8 * np.finfo(float).eps * float(np.abs(matrix).sum(axis=0).max())
    matrix[np.diag_indices(len(matrix))] += max(damping, least)
    return max(damping, least)


def _solved(matrix, right, assume_a="gen"):
    # What an ill-conditioned matrix makes of the step is seen by the line search.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scipy.linalg.LinAlgWarning)
        return scipy.linalg.solve(matrix, right, overwrite_a=True, check_finite=False, assume_a=assume_a)


def _lowest_excitation(problem):
    """Lowest eigenvalue of ``H - E`` orthogonal to the state, by Lanczos, and a bound of its error (Hartree).

    The start vector is the residual: what the next step is about. The value is an upper bound.
    """
    start = problem.residual - problem.amplitudes * float(problem.amplitudes @ problem.residual)
    norm = float(np.linalg.norm(start))
    if norm < 1e-13 * max(1.0, abs(problem.energy)):
        # An eigenstate: nothing but rounding to start from, and nowhere to go.
        return np.inf, 0.0
    basis = [start / norm]
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    while True:
        image = problem.shifted(basis[-1])
        diagonal.append(float(basis[-1] @ image))
        known = np.stack([problem.amplitudes, *basis])
        for _ in range(2):
            image = image - known.T @ (known @ image)
        remainder = float(np.linalg.norm(image))
        if len(basis) == LANCZOS_STEPS or remainder < 1e-10 * max(1.0, max(map(abs, diagonal))):
            values, vectors = scipy.linalg.eigh_tridiagonal(diagonal, off_diagonal)
            return float(values[0]), remainder * abs(float(vectors[-1, 0]))
        off_diagonal.append(remainder)
        basis.append(image / remainder)


def core_preconditioner(problem: TangentProblem, damping: float, size: int) -> Callable[[PyTree], PyTree]:
    """Approximate inverse of the Gauss-Newton matrix from the determinants that count most in it.

    ``(J_S^T D_S J_S + shift)^-1`` with the diagonal D_S of H - E on the core S, by the Woodbury
    identity; the shift stands for the damping and what the determinants outside S contribute.
    """
    size = min(size, problem.size)
    diagonal = np.maximum(problem.excitations, SMALLEST_GAP)
    share = problem.amplitudes**2 * kernel_diagonal(problem.factors)[: problem.size] * diagonal
    order = np.argsort(-share, kind="stable")
    core, tail = order[:size], order[size:]
    part = problem.restricted(core)
    shift = damping + TAIL_SHARE * float(share[tail].sum())
    root = np.sqrt(diagonal[core])
    if on_device():
        solved = part.factored_kernel(root, shift)
        return lambda vector: tree_axpy(
            -1.0, part.backward(root * solved(root * part.forward(vector))), vector
        )
    kernel = part.kernel() * root[:, None] * root[None, :]
    kernel[np.diag_indices(size)] += shift
    factor = scipy.linalg.cholesky(kernel, lower=True, overwrite_a=True, check_finite=False)
    # The explicit inverse: one matrix-vector product an iteration is far quicker than two triangular solves.
    inverse, failed = scipy.linalg.lapack.dpotri(factor, lower=True, overwrite_c=True)
    if failed:
        raise FloatingPointError("the core of the Gauss-Newton matrix is singular: give a larger damping")
    inverse = np.tril(inverse) + np.tril(inverse, -1).T

    def apply(vector):
        dual = root * part.forward(vector)
        dual = root * (inverse @ dual)
        return tree_axpy(-1.0, part.backward(dual), vector)

    return apply
