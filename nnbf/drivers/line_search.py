"""Backtracking along a proposed step."""

from typing import Any

import jax
import numpy as np

from nnbf.optimize.rgn import Proposal

#: The shortest fraction of a step that is tried is the last one above this.
SHORTEST = 1e-3


def search_line(state: Any, energy: float, proposal: Proposal, n_terms: int) -> tuple[float, float]:
    """Halve a step until the energy does not rise.

    Args:
        state: Has ``parameters``, ``model_state`` and ``objective_at(variables)``.
        energy: What is minimised at the present parameters.
        proposal: The step.
        n_terms: Terms in the sums behind the energy: differences below their rounding are no information.

    Returns:
        The fraction of the step, and the energy there; 0 and the present energy where none is good.
    """
    fraction = 1.0
    noise = 1e-14 * abs(energy) * np.sqrt(n_terms)
    while fraction > SHORTEST:
        scale = fraction
        params = jax.tree.map(lambda p, d, s=scale: p + s * d, state.parameters, proposal.update)
        try:
            trial = state.objective_at({**state.model_state, "params": params})
        except FloatingPointError:
            trial = np.inf
        if trial <= energy + noise:
            return fraction, trial
        fraction *= 0.5
    return 0.0, energy
