"""Drivers' common parts: an optimiser, snapshots, an end where they have converged; steps of exact sums."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import jax
import netket as nk
import numpy as np
from netket.utils import struct

from nnbf.drivers.monitor import Snapshot, pack_fields, pack_tree, unpack_fields, unpack_tree
from nnbf.optimize import RayleighGaussNewton
from nnbf.optimize.tangent import Proposal

PyTree = Any

#: The shortest fraction of a step that is tried is the last one above this.
SHORTEST = 1e-3


def static_field() -> Any:
    """An attribute of a driver or a callback that is neither traced nor saved."""
    return struct.field(pytree_node=False, serialize=False)


class StopWhenConverged(nk.callbacks.AbstractCallback):
    """Ends the run when the driver says that it has converged."""

    def on_step_start(self, step, log_data, driver):
        """Stop where the last step left the driver converged, when that step is counted and logged."""
        if driver.converged:
            raise nk.callbacks.RunFinished("converged")


class ConvergingDriver(nk.driver.AbstractDriver):
    """A NetKet driver with an optimiser, and a property ``converged``, which ends its run."""

    optimizer_state: Any = static_field()
    _optimizer: Any = static_field()
    _configured: Any = static_field()
    _level: int = static_field()
    _started: float = static_field()

    def use(self, optimizer: Any) -> None:
        """Begin with an optimiser, with steps as it is configured."""
        self._configured = self._optimizer = optimizer
        self._level = 0
        self.optimizer_state = optimizer.init(self.state.parameters)
        self._started = time.perf_counter()

    def restrain(self, level: int) -> None:
        """Make smaller steps from now on; 0 is as configured, each level is smaller."""
        self._optimizer, self.optimizer_state = self._configured.restrained(self.optimizer_state, level)
        self._level = level

    def _packed(self) -> Snapshot:
        """Steps, variables and optimiser: the part of snapshots that all drivers have."""
        return {
            "step": int(self.step_count),
            "variables": pack_tree(self.state.variables),
            "optimizer": pack_fields(self.optimizer_state),
            "level": self._level,
        }

    def _unpack(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from that part.

        Raises:
            ValueError: It is that of another network or optimiser.
        """
        optimizer, like = self._configured.restrained(self.optimizer_state, snapshot["level"])
        self.optimizer_state = unpack_fields(snapshot["optimizer"], like=like)
        self._optimizer, self._level = optimizer, snapshot["level"]
        self.state.variables = unpack_tree(snapshot["variables"], like=self.state.variables)
        self._step_count = snapshot["step"]

    def update_parameters(self, dp: PyTree) -> None:
        """Add the update to the parameters."""
        self.state.parameters = jax.tree.map(lambda p, d: p + d, self.state.parameters, dp)

    def _default_callbacks(self, callbacks, **kwargs):
        return super()._default_callbacks([*callbacks, StopWhenConverged()], **kwargs)


@dataclass
class Progress:
    """State that a driver of exact sums carries from step to step, beside parameters and optimiser."""

    calm: int = 0
    """Steps in a row that changed next to nothing."""
    last_change: float = np.inf
    """Change of the energy by the last step."""
    fraction: float = 1.0
    """Fraction of the last step that was made."""
    step_norm: float = 0.0
    """Norm of the change of the normalised state."""
    iterations: int = 0
    """Iterations of the linear solver."""


class ExactDriver(ConvergingDriver):
    """A driver whose energies are exact sums: it can search along its steps.

    A NetKet driver: ``run(n_iter, out=loggers, callback=...)`` takes NetKet's loggers and callbacks. A
    step lets the optimiser propose a change of the parameters, shortens it until the energy falls
    (optimisers with a line search), and applies it.
    """

    progress: Any = static_field()
    _tolerance: float = static_field()
    _patience: int = static_field()

    def __init__(self, state: Any, optimizer: Any, progress: Progress, tolerance: float):
        super().__init__(state, minimized_quantity_name="Energy")
        self.use(RayleighGaussNewton() if optimizer is None else optimizer)
        self.progress, self._tolerance = progress, tolerance

    @property
    def row(self) -> dict[str, Any]:
        """The step just made, as plain numbers: one row of a run's history."""
        stats, progress = self._loss_stats, self.progress
        damping = getattr(self._used_state(), "damping", None)
        return {
            "step": int(self.step_count),
            "time_s": time.perf_counter() - self._started,
            "energy": float(stats.mean),
            "variance": float(stats.variance),
            "step_norm": float(progress.step_norm),
            "damping": None if damping is None else float(damping),
            "accepted": bool(progress.fraction > 0),
            "step_fraction": float(progress.fraction),
            "solver_iterations": int(progress.iterations),
            "evaluations": int(self.state.evaluations),
        }

    def _used_state(self):
        """State of the optimiser that made the last step."""
        return self.optimizer_state

    def snapshot(self) -> Snapshot:
        """Everything that the next step depends on; see :class:`~nnbf.drivers.ResumableDriver`."""
        return {**self._packed(), "evaluations": self.state.evaluations, **vars(self.progress)}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot, bit by bit as the driver that it was taken from.

        Raises:
            ValueError: It is the snapshot of another network, optimiser or kind of driver.
        """
        if not {field.name for field in fields(Progress)} <= set(snapshot):
            raise ValueError(f"the snapshot is not that of a {type(self).__name__}")
        # Checkpoints of earlier versions lack what was added since.
        names = [field.name for field in fields(self.progress) if field.name in snapshot]
        self._unpack(snapshot)
        self.progress = type(self.progress)(**{name: snapshot[name] for name in names})
        self.state.evaluations = snapshot["evaluations"]

    def reset_step(self, hard: bool = False) -> None:
        """Nothing is sampled: amplitudes stay valid until the parameters change."""

    def _propose(self, problem, optimizer=None):
        """Propose a step and search along it: its update, and the energy after it, None without a search.

        Args:
            problem: State, energy and Jacobian.
            optimizer: One that shares the state of the driver's; default that itself.

        Raises:
            FloatingPointError: The step is not finite.
        """
        optimizer = self._optimizer if optimizer is None else optimizer
        proposal, optimizer_state = optimizer.propose(problem, self.optimizer_state)
        if not np.isfinite(proposal.predicted):
            raise FloatingPointError(f"step {self.step_count}: the proposed update is not finite")
        fraction, gain, energy = 1.0, 0.0, None
        if optimizer.line_search:
            fraction, energy = search_line(self.state, problem.energy, proposal, problem.size)
            gain = (energy - problem.energy) / proposal.predicted if proposal.predicted else 0.0
        self.optimizer_state = optimizer.adapt(optimizer_state, proposal, fraction, gain)
        return self._taken(proposal, fraction), energy

    def _taken(self, proposal, fraction):
        """Note a step, and return its update."""
        progress = self.progress
        progress.fraction, progress.iterations = fraction, proposal.iterations
        progress.step_norm = fraction * float(np.linalg.norm(proposal.change))
        return jax.tree.map(lambda leaf: fraction * leaf, proposal.update)

    def _count(self, is_calm):
        self.progress.calm = self.progress.calm + 1 if is_calm else 0


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
