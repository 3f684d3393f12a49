r"""Gauss-Newton steps towards a known state, which cost half of those that search for it.

Where the lowest eigenvector t of H on the space is known, the network is fitted to it:

.. math:: \min_{d\theta} \sum_i D_i (c_i + dc_i - t_i)^2 + \lambda |d\theta|^2, \qquad dc = J\, d\theta,

with :math:`D = \mathrm{diag}(H) - E`, which stands for H - E in :math:`E(c) - E(t) = (c-t)^T (H-E) (c-t)`. In
the space of the amplitudes that is one Cholesky factorisation of :math:`D^{1/2} J J^T D^{1/2} + \lambda`; the
product of H with the kernel and its LU factorisation, which :mod:`nnbf.optimize.rgn` needs, are saved. On
large spaces a few conjugate gradients do it: the preconditioner has the same diagonal D.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from nnbf.optimize.rgn import (
    SMALLEST_GAP,
    RayleighGaussNewton,
    RgnState,
    conjugate_gradients,
    core_preconditioner,
    damp,
)
from nnbf.optimize.tangent import Proposal, TangentProblem, bounded_step

#: Least overlap with the target that the distance to it is scaled with.
SMALLEST_OVERLAP = 0.3


@dataclass(frozen=True, eq=False)
class FitToVector:
    """Damped Gauss-Newton steps towards a vector; damping and step bound are Rayleigh-Gauss-Newton's."""

    like: RayleighGaussNewton
    """Bounds steps, and adapts the damping."""
    target: np.ndarray
    """(n,) normalised amplitudes."""
    tolerance: float = 3e-2
    """Residual at which conjugate gradients stop, relative to the first one."""

    line_search = True
    """The driver accepts only steps that lower the energy."""

    def propose(self, problem: TangentProblem, state: RgnState) -> tuple[Proposal, RgnState]:
        """The damped step, shortened to the step bound."""
        amplitudes = problem.amplitudes
        overlap = float(amplitudes @ self.target)
        # Changes are orthogonal to the state.
        wanted = (np.sign(overlap) * self.target - abs(overlap) * amplitudes) / max(
            abs(overlap), SMALLEST_OVERLAP
        )
        root = np.sqrt(np.maximum(problem.excitations, SMALLEST_GAP))
        solve = self._dense if problem.size <= self.like.dense_limit else self._iterative
        update, change, iterations = solve(problem, root, wanted, state.damping)
        return bounded_step(problem, update, change, self.like.max_step, iterations=iterations), state

    def _dense(self, problem, root, wanted, damping):
        kernel = problem.kernel()
        kernel *= root[:, None]
        kernel *= root[None, :]
        shift = damp(kernel, damping)
        right = root * wanted
        factor = scipy.linalg.cho_factor(kernel, overwrite_a=True, check_finite=False)
        dual = scipy.linalg.cho_solve(factor, right, check_finite=False)
        return problem.backward(root * dual), (right - shift * dual) / root, 0

    def _iterative(self, problem, root, wanted, damping):
        weights = root**2
        precondition = core_preconditioner(problem, damping, self.like.core_size)
        return conjugate_gradients(
            problem,
            weights * wanted,
            lambda image: weights * image,
            damping,
            precondition,
            self.like.cg_iterations,
            self.tolerance,
        )

    def adapt(self, state: RgnState, proposal: Proposal, fraction: float, gain: float) -> RgnState:
        """Damping for the next step; see ``RayleighGaussNewton``."""
        return self.like.adapt(state, proposal, fraction, gain)
