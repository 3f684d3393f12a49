"""Minimisation of a state whose energy is an exact sum over a fixed basis."""

from dataclasses import dataclass
from typing import Any

import netket as nk
import numpy as np

from nnbf.drivers.base import ExactDriver, Progress
from nnbf.states import SpaceState

#: A step is slow that gains less than this part of the variance over the energy's size. (Where the network
#: can fit the state, a step gains about the whole of it.)
SLOW = 0.03


@dataclass
class _Progress(Progress):
    before: float | None = None
    """What was minimised, before the last step."""


class FullSumDriver(ExactDriver):
    """Minimises the energy of a :class:`~nnbf.states.SpaceState`.

    The run ends by itself when the energy has settled. Optimisers are those of ``nnbf.optimize``.
    """

    def __init__(
        self,
        state: SpaceState,
        *,
        optimizer: Any = None,
        tolerance: float = 1e-8,
        patience: int | None = None,
    ):
        """Make a driver.

        Args:
            state: The state to optimise.
            optimizer: An optimiser of ``nnbf.optimize`` (default Rayleigh-Gauss-Newton).
            tolerance: Converged when ``patience`` steps in a row change the energy by less, relative to
                its size, or by less than `SLOW` times the variance over that size: the network is then
                what limits the energy.
            patience: Number of such steps (default 5, or 30 for an optimiser without a line search).
        """
        super().__init__(state, optimizer, _Progress(), tolerance)
        self._patience = patience or (5 if self._configured.line_search else 30)

    @property
    def converged(self) -> bool:
        """Whether the energy has settled."""
        return self.progress.calm >= self._patience

    @property
    def row(self) -> dict[str, Any]:
        """The step just made, as plain numbers: one row of a run's history."""
        # What is minimised: with lower levels pushed up, more than the energy.
        return {**super().row, "energy_kind": "full_sum", "objective": self.progress.before}

    def compute_loss_and_update(self):
        """One step: propose, search the line."""
        problem = self.state.tangent_problem()
        update, _ = self._propose(problem)
        self._count_calm_steps(problem.energy, float(problem.residual @ problem.residual))
        energy, variance = self.state.energy_and_variance()
        return nk.stats.Stats(mean=energy, error_of_mean=0.0, variance=variance), update

    def _count_calm_steps(self, energy, variance):
        progress = self.progress
        change = np.inf if progress.before is None else abs(energy - progress.before)
        progress.last_change, progress.before = change, energy
        scale = max(1.0, abs(energy))
        enough = max(self._tolerance * scale, SLOW * variance / scale)
        # A step that the line search refused changes nothing: the damping has to grow first.
        self._count(change < enough and progress.fraction > 0)
