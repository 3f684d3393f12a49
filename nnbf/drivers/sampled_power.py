"""The power of |psi| that is sampled during an optimisation, chosen from the samples of the last steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnbf.evaluation.sampling_loop import POWERS, spreads
from nnbf.states import DistinctSamples

#: Power at the start: rare determinants are seen.
FIRST_POWER = 1.0
#: Relative loss of precision at which a smaller power is preferred, which sees more of what is rare.
TOLERANCE = 0.05
#: Relative spread of local energies that is none.
ROUNDING = 1e-10


@dataclass
class PowerChoice:
    """Every few steps, the power whose samples would have given their energies the smallest error.

    The criterion is that of evaluations (:func:`~nnbf.evaluation.sampling_loop.spreads`), as a geometric mean
    over the steps, of which some have outliers. It depends on the samples alone.
    """

    every: int = 10
    """Steps between two choices."""
    steps: int = 0
    """Steps since the last one."""
    sums: tuple[float, ...] = (0.0,) * len(POWERS)
    """Sums over these of log(n sigma_E^2), one for each of the powers."""

    @property
    def is_due(self) -> bool:
        """True when the next step is to be made with another choice."""
        return self.steps >= self.every

    def note(self, found: DistinctSamples) -> None:
        """Take the samples of a step into account."""
        floor = (ROUNDING * (1.0 + np.max(np.abs(found.local_energies)))) ** 2
        new = np.log(np.maximum(spreads(found.shares, found.log_abs, found.local_energies), floor))
        self.sums = tuple(float(old + more) for old, more in zip(self.sums, new, strict=True))
        self.steps += 1

    def choose(self) -> float:
        """The best power of the steps noted, which are then forgotten."""
        means = np.array(self.sums) / max(self.steps, 1)
        good = means <= means.min() + np.log1p(TOLERANCE)
        self.steps, self.sums = 0, (0.0,) * len(POWERS)
        return min(power for power, is_good in zip(POWERS, good, strict=True) if is_good)

    def snapshot(self) -> dict[str, Any]:
        """What the next choice depends on."""
        return {"steps": self.steps, "sums": list(self.sums)}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        self.steps, self.sums = snapshot["steps"], tuple(snapshot["sums"])
