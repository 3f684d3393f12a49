"""Minimisation of a state whose energy is an exact sum over a fixed basis."""

import time
from collections.abc import Mapping
from typing import Any

import jax
import netket as nk
import numpy as np

from nnbf.drivers.base import ExactDriver, static_field
from nnbf.drivers.line_search import search_line
from nnbf.drivers.snapshot import Snapshot
from nnbf.optimize import RayleighGaussNewton
from nnbf.states import SpaceState

PyTree = Any

#: A step is slow that gains less than this part of the variance over the energy's size. (Where the network
#: can fit the state, a step gains about the whole of it.)
SLOW = 0.03

_NUMBERS = ("calm", "last_change", "fraction", "step_norm", "iterations")


class FullSumDriver(ExactDriver):
    """Minimises the energy of a :class:`~nnbf.states.SpaceState`.

    A NetKet driver: ``run(n_iter, out=loggers, callback=...)`` takes NetKet's loggers and callbacks. The
    run ends by itself when the energy has settled. Optimisers are those of ``nnbf.optimize``.
    """

    _tolerance: float = static_field()
    _patience: int = static_field()
    _calm: int = static_field()
    _last_change: float = static_field()
    _fraction: float = static_field()
    _step_norm: float = static_field()
    _iterations: int = static_field()
    _before: float | None = static_field()

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
        super().__init__(state, minimized_quantity_name="Energy")
        self.use(RayleighGaussNewton() if optimizer is None else optimizer)
        self._tolerance = tolerance
        self._patience = patience or (5 if self._configured.line_search else 30)
        self._calm, self._last_change = 0, np.inf
        self._fraction, self._step_norm, self._iterations = 1.0, 0.0, 0
        self._before = None

    @property
    def converged(self) -> bool:
        """Whether the energy has settled."""
        return self._calm >= self._patience

    @property
    def row(self) -> dict[str, Any]:
        """The step just made, as plain numbers: one row of a run's history."""
        stats = self._loss_stats
        damping = getattr(self.optimizer_state, "damping", None)
        return {
            "step": int(self.step_count),
            "time_s": time.perf_counter() - self._started,
            "energy": float(stats.mean),
            "energy_kind": "full_sum",
            # What is minimised: with lower levels pushed up, more than the energy.
            "objective": self._before,
            "variance": float(stats.variance),
            "step_norm": float(self._step_norm),
            "damping": None if damping is None else float(damping),
            "accepted": bool(self._fraction > 0),
            "step_fraction": float(self._fraction),
            "solver_iterations": int(self._iterations),
            "evaluations": int(self.state.evaluations),
        }

    def snapshot(self) -> Snapshot:
        """Everything that the next step depends on; see :class:`~nnbf.drivers.ResumableDriver`."""
        return {
            **self._packed(),
            "before": self._before,
            "evaluations": self.state.evaluations,
            **{name: getattr(self, f"_{name}") for name in _NUMBERS},
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot, bit by bit as the driver that it was taken from.

        Raises:
            ValueError: It is the snapshot of another network or optimiser.
        """
        self._unpack(snapshot)
        self._before = snapshot["before"]
        for name in _NUMBERS:
            setattr(self, f"_{name}", snapshot[name])
        self.state.evaluations = snapshot["evaluations"]

    def compute_loss_and_update(self):
        """One step: propose, search the line."""
        state: SpaceState = self.state
        problem = state.tangent_problem()
        proposal, optimizer_state = self._optimizer.propose(problem, self.optimizer_state)
        if not np.isfinite(proposal.predicted):
            raise FloatingPointError(f"step {self.step_count}: the proposed update is not finite")
        fraction, gain = 1.0, 0.0
        if self._optimizer.line_search:
            fraction, energy = search_line(state, problem.energy, proposal, problem.size)
            gain = (energy - problem.energy) / proposal.predicted if proposal.predicted else 0.0
        self.optimizer_state = self._optimizer.adapt(optimizer_state, proposal, fraction, gain)
        self._fraction = fraction
        self._step_norm = fraction * float(np.linalg.norm(proposal.change))
        self._iterations = proposal.iterations
        self._count_calm_steps(problem.energy, float(problem.residual @ problem.residual))
        energy, variance = state.energy_and_variance()
        stats = nk.stats.Stats(mean=energy, error_of_mean=0.0, variance=variance)
        return stats, jax.tree.map(lambda leaf: fraction * leaf, proposal.update)

    def _count_calm_steps(self, energy, variance):
        change = np.inf if self._before is None else abs(energy - self._before)
        self._last_change, self._before = change, energy
        scale = max(1.0, abs(energy))
        enough = max(self._tolerance * scale, SLOW * variance / scale)
        # A step that the line search refused changes nothing: the damping has to grow first.
        small = change < enough and self._fraction > 0
        self._calm = self._calm + 1 if small else 0
