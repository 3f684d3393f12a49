"""First-order optimisers from optax on the exact gradient of the selected-space energy."""

from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
import optax

from nnbf.optimize.rgn import Proposal
from nnbf.optimize.tangent import TangentProblem

PyTree = Any


@dataclass(frozen=True)
class FirstOrderState:
    """What the optimiser carries from step to step."""

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
        predicted = 2.0 * float(np.dot(change, problem.residual)) + problem.curvature(change)
        return Proposal(update, change, predicted), replace(state, inner=inner)

    def adapt(
        self, state: FirstOrderState, proposal: Proposal, fraction: float, gain: float
    ) -> FirstOrderState:
        """Nothing adapts: the schedule is optax's."""
        return state

    def restrained(self, state: FirstOrderState, level: int) -> tuple["FirstOrder", FirstOrderState]:
        """This optimiser with updates divided by four ``level`` times, and its state."""
        return replace(self, scale=self.scale / 4.0**level), state
