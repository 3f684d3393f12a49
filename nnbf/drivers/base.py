"""What all drivers here have in common: they add updates, and end by themselves when they have converged."""

from typing import Any

import jax
import netket as nk

PyTree = Any


class StopWhenConverged(nk.callbacks.AbstractCallback):
    """Ends the run when the driver says that it has converged."""

    def on_step_start(self, step, log_data, driver):
        """Stop where the last step left the driver converged, when that step is counted and logged."""
        if driver.converged:
            raise nk.callbacks.RunFinished("converged")


class ConvergingDriver(nk.driver.AbstractDriver):
    """A NetKet driver with a property ``converged``, which ends its run."""

    def update_parameters(self, dp: PyTree) -> None:
        """Add the update to the parameters."""
        self.state.parameters = jax.tree.map(lambda p, d: p + d, self.state.parameters, dp)

    def _default_callbacks(self, callbacks, **kwargs):
        return super()._default_callbacks([*callbacks, StopWhenConverged()], **kwargs)


class ExactDriver(ConvergingDriver):
    """One whose energies are exact sums."""

    def reset_step(self, hard: bool = False) -> None:
        """Nothing is sampled: amplitudes stay valid until the parameters change."""
