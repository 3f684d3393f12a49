r"""Optimisers that follow the gradient: stochastic reconfiguration, and whatever optax has.

In kernel form (minSR; Chen and Heyl, arXiv:2302.01941; Rende et al., arXiv:2310.05715) on exactly
weighted determinants: ``(J J^T + shift) y = -r``, ``dtheta = J^T y``. SPRING (Goldshlager, Abrahamsen,
Lin, arXiv:2401.10190) keeps a decaying share mu of the previous direction:

.. math:: d = \mu d_{prev} + J^T (J J^T + \lambda)^{-1} (-r - \mu J d_{prev})

With a ``gap`` the change of the state is that of Davidson's method, ``-r_i / (H_ii - E + gap)``, instead of
``-r_i``: J becomes ``D J`` and r becomes ``r / D``, with ``D_i^2 = H_ii - E + gap``. One step size then
serves peaked states, whose rare determinants lie Hartrees above E, and those spread over many that are alike.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.linalg

from nnbf._compute import on_device
from nnbf.optimize.tangent import Proposal, TangentProblem, bounded_step, tree_axpy

PyTree = Any

#: Smallest part of the learning rate that steps which raised the energy leave, and growth after others.
SMALLEST_RATE, RECOVERY = 0.1, 1.1


@dataclass(frozen=True)
class SrState:
    """State that the optimiser carries from step to step."""

    direction: PyTree
    """Previous direction d (before the learning rate)."""
    learning_rate: float
    """Current learning rate, 1/Hartree."""


@dataclass(frozen=True)
class StochasticReconfiguration:
    """Natural gradient on weighted determinants."""

    learning_rate: float = 0.3
    """Imaginary-time step, 1/Hartree; with a gap the fraction of Davidson's step."""
    diag_shift: float = 1e-4
    """Regularisation added to the kernel's diagonal; Hartree with a gap."""
    gap: float | None = None
    """Steps are those of Davidson's method, with this (Hartree) added to its denominators; None: those of
    imaginary time."""
    momentum: float = 0.5
    """SPRING's mu; 0 is plain SR."""
    max_step: float = 0.1
    """Largest norm of the first-order change of the normalised amplitudes."""
    dense_limit: int = 4096
    """Largest space for which the kernel is factorised; above, conjugate gradients."""
    cg_iterations: int = 100
    """Most conjugate-gradient iterations a step."""
    cg_tolerance: float = 1e-3
    """Relative residual at which conjugate gradients stop."""

    line_search = False
    """Steps are taken as proposed."""

    def init(self, params: PyTree) -> SrState:
        """Initial state of the optimiser."""
        return SrState(jax.tree.map(jnp.zeros_like, params), self.learning_rate)

    def propose(self, problem: TangentProblem, state: SrState) -> tuple[Proposal, SrState]:
        """The SPRING direction times the learning rate, shortened to the step bound."""
        carried = jax.tree.map(lambda leaf: self.momentum * leaf, state.direction)
        metric = self._metric(problem)
        target = -problem.residual / metric - metric * problem.forward(carried)
        correction, iterations = self._solve(problem, target, metric)
        direction = tree_axpy(1.0, correction, carried)
        change = state.learning_rate * problem.forward(direction)
        most = self.max_step * (state.learning_rate / self.learning_rate)
        proposal = bounded_step(
            problem, direction, change, most, rate=state.learning_rate, iterations=iterations
        )
        return proposal, replace(state, direction=direction)

    def adapt(self, state: SrState, proposal: Proposal, fraction: float, gain: float) -> SrState:
        """Nothing adapts: the learning rate is the user's."""
        return state

    def after_rise(self, state: SrState) -> SrState:
        """State after a step that raised the energy: half the step, and nothing carried on."""
        rate = max(0.5 * state.learning_rate, self.learning_rate * SMALLEST_RATE)
        return SrState(jax.tree.map(jnp.zeros_like, state.direction), rate)

    def after_fall(self, state: SrState) -> SrState:
        """State after a step that did not: steps grow again, up to those that were asked for."""
        return replace(state, learning_rate=min(RECOVERY * state.learning_rate, self.learning_rate))

    def restrained(self, state: SrState, level: int) -> tuple["StochasticReconfiguration", SrState]:
        """This optimiser and its state with smaller steps: for going on after numbers ran away.

        Args:
            state: Present state.
            level: 0 changes nothing; every level divides learning rate and step bound by four and
                multiplies the shift by ten.
        """
        if level == 0:
            return self, state
        smaller = replace(
            self,
            learning_rate=self.learning_rate / 4.0**level,
            max_step=self.max_step / 4.0**level,
            diag_shift=self.diag_shift * 10.0**level,
        )
        return smaller, replace(state, learning_rate=smaller.learning_rate)

    def _metric(self, problem):
        """Square roots D (n,) of Davidson's denominators; 1 without a gap."""
        if self.gap is None:
            return np.float64(1.0)
        return np.sqrt(problem.excitations + self.gap)

    def _solve(self, problem, target, metric):
        if problem.size <= self.dense_limit and on_device():
            dual = problem.kernel_solution(metric, self.diag_shift, target)
            return problem.backward(metric * dual), 0
        if problem.size <= self.dense_limit:
            kernel = problem.kernel()
            if self.gap is not None:
                kernel *= metric[:, None] * metric
            kernel[np.diag_indices(problem.size)] += self.diag_shift
            factor = scipy.linalg.cho_factor(kernel, overwrite_a=True, check_finite=False)
            dual = scipy.linalg.cho_solve(factor, target, check_finite=False)
            return problem.backward(metric * dual), 0
        dual = np.zeros(problem.size)
        residual, direction = target, target
        norm = first = float(residual @ residual)
        iterations = 0
        while iterations < self.cg_iterations and norm > self.cg_tolerance**2 * first:
            image = metric * problem.forward(problem.backward(metric * direction))
            product = image + self.diag_shift * direction
            step = norm / float(direction @ product)
            dual = dual + step * direction
            residual = residual - step * product
            new_norm = float(residual @ residual)
            direction = residual + (new_norm / norm) * direction
            norm = new_norm
            iterations += 1
        return problem.backward(metric * dual), iterations


@dataclass(frozen=True)
class FirstOrderState:
    """State that the optimiser carries from step to step."""

    inner: PyTree
    """State of the optax transformation."""


@dataclass(frozen=True)
class FirstOrder:
    """Any optax transformation on ``dE/dtheta = 2 J^T r``; Adam by default."""

    transformation: optax.GradientTransformation = field(default_factory=lambda: optax.adam(1e-3))
    """The optax transformation, learning rate included."""
    scale: float = 1.0
    """Factor of every update."""

    line_search = False
    """Steps are taken as proposed."""

    def init(self, params: PyTree) -> FirstOrderState:
        """Initial state of the optimiser."""
        return FirstOrderState(self.transformation.init(params))

    def propose(self, problem: TangentProblem, state: FirstOrderState) -> tuple[Proposal, FirstOrderState]:
        """The update that optax makes of the energy gradient."""
        gradient = jax.tree.map(lambda leaf: 2.0 * leaf, problem.backward(problem.residual))
        update, inner = self.transformation.update(gradient, state.inner, problem.params)
        update = jax.tree.map(lambda leaf: self.scale * leaf, update)
        change = problem.forward(update)
        return bounded_step(problem, update, change, np.inf), replace(state, inner=inner)

    def adapt(
        self, state: FirstOrderState, proposal: Proposal, fraction: float, gain: float
    ) -> FirstOrderState:
        """Nothing adapts: the schedule is optax's."""
        return state

    def restrained(self, state: FirstOrderState, level: int) -> tuple["FirstOrder", FirstOrderState]:
        """This optimiser with updates divided by four ``level`` times, and its state."""
        return replace(self, scale=self.scale / 4.0**level), state
