"""What all drivers here have in common: they add updates, and end by themselves when they have converged."""

import time
from collections.abc import Mapping
from typing import Any

import jax
import netket as nk
from netket.utils import struct

from nnbf.drivers.snapshot import Snapshot, pack_fields, pack_tree, unpack_fields, unpack_tree

PyTree = Any


def static_field() -> Any:
    """A driver attribute that is neither traced nor saved."""
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


class ExactDriver(ConvergingDriver):
    """One whose energies are exact sums."""

    def reset_step(self, hard: bool = False) -> None:
        """Nothing is sampled: amplitudes stay valid until the parameters change."""
