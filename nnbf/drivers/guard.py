"""The watch over a run's energies: when to go back, where to, and how often."""

import math
from collections.abc import Mapping
from typing import Any

from nnbf.drivers.snapshot import Snapshot

MAX_REWINDS = 5
"""Returns to an earlier state before a run gives up."""


class EnergyGuard:
    """Remembers the best state of a run, and notices when its energies run away.

    The best state is the one of lowest energy (plus two standard errors) in the current stage. Energies
    run away when one is not finite, or lies above the first energy of the stage by three times the
    largest of: the standard deviation of the energy in that first state, the energy gained since, and a
    hundredth of the energy. All of it depends on the steps alone, never on the clock.
    """

    def __init__(self, start: Snapshot) -> None:
        """Begin with the state of a driver before its first step."""
        self.best: Snapshot = start
        self.rewinds = 0
        """Returns since the run started or was resumed after giving up."""
        self.level = 0
        """How much smaller steps are made (see ``ResumableDriver.restrain``)."""
        self.notes: list[str] = []
        """One line a return."""
        self._stage: Any = None
        self._first: float | None = None
        self._spread = 0.0
        self._lowest = math.inf

    def check(self, row: Mapping[str, Any], before: Snapshot) -> None:
        """Take note of a step.

        Args:
            row: The step.
            before: The state before it, to which the row's energy belongs.

        Raises:
            FloatingPointError: The energy is not finite, or runs away.
        """
        step, energy = row["step"], row.get("objective", row["energy"])
        if not math.isfinite(energy):
            raise FloatingPointError(f"step {step}: the energy is not finite")
        stage = row.get("stage")
        if self._first is None or stage != self._stage:
            variance = row.get("variance")
            known = variance is not None and math.isfinite(variance) and variance > 0
            self._stage, self._first, self._lowest = stage, energy, math.inf
            self._spread = math.sqrt(variance) if known and variance is not None else 0.0
        gained = self._first - self._lowest if math.isfinite(self._lowest) else 0.0
        limit = 3.0 * max(self._spread, gained, 0.01 * max(1.0, abs(self._first)))
        if energy - self._first > limit:
            rise = f"the energy rose from {self._first:.6g} to {energy:.6g}"
            raise FloatingPointError(f"step {step}: the optimisation diverges ({rise})")
        pessimistic = energy + 2.0 * (row.get("energy_error") or 0.0)
        if pessimistic <= self._lowest:
            self._lowest, self.best = pessimistic, before

    def snapshot(self) -> Snapshot:
        """The guard between two steps."""
        return {
            "best": self.best,
            "rewinds": self.rewinds,
            "level": self.level,
            "notes": list(self.notes),
            "stage": self._stage,
            "first": self._first,
            "spread": self._spread,
            "lowest": self._lowest,
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        self.best = snapshot["best"]
        self.rewinds = snapshot["rewinds"]
        self.level = snapshot["level"]
        self.notes = list(snapshot["notes"])
        self._stage = snapshot["stage"]
        self._first = snapshot["first"]
        self._spread = snapshot["spread"]
        self._lowest = snapshot["lowest"]
