"""Running a driver so that the run survives: checkpoints, resuming, going back when energies run away."""

import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import netket as nk
import numpy as np

from hamiltonians import InputError
from nnbf._processes import agreed
from nnbf.drivers.base import static_field
from nnbf.drivers.monitor import Monitor, Snapshot, network_spec

AGREEMENT = 1e-6
"""Relative difference of the energies of two processes from which on they do not make the same steps."""
MAX_REWINDS = 5
"""Returns to an earlier state before a run gives up."""


class ResumableDriver(Protocol):
    """Driver whose runs can be saved, resumed and taken back.

    A driver that is restored to a snapshot goes on bit by bit like the one that the snapshot was taken
    from, on the same machine with the same number of threads.
    """

    @property
    def step_count(self) -> int:
        """Steps made."""

    @property
    def converged(self) -> bool:
        """True where there is nothing left to do."""

    @property
    def row(self) -> dict[str, Any]:
        """The step just made: ``step`` and ``energy``, ``variance`` and ``energy_error`` where known.

        A row with another ``stage`` than the one before may have any energy.
        """

    def run(self, n_iter: int, **options: Any) -> Any:
        """Make steps (NetKet's drivers do).

        Raises:
            FloatingPointError: Numbers are not finite any more.
        """

    def snapshot(self) -> Snapshot:
        """The state between two steps."""

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go back (or on) to a snapshot of a driver that was made alike.

        Raises:
            ValueError: It is that of another network or optimiser.
        """

    def restrain(self, level: int) -> None:
        """Make smaller steps from now on; 0 is as configured, each level is smaller. Part of snapshots."""


@dataclass
class EnergyGuard:
    """Remembers the best state of a run, and notices when its energies run away.

    The best state is the one of lowest energy (plus two standard errors) in the current stage. Energies
    run away when one is not finite, or lies above the first energy of the stage by three times the
    largest of: the standard deviation of the energy in that first state, the energy gained since, and a
    hundredth of the energy. They do, too, when one lies above that of the best state by three times the
    largest of: the standard deviation there, a tenth of what was gained, and a thousandth of the energy.
    Sampled runs that lose a good state would go on from a poor one, with steps that have become small. All
    of it depends on the steps alone, never on the clock.
    """

    best: Snapshot
    """The best state; at first that of a driver before its first step."""
    rewinds: int = 0
    """Returns since the run started or was resumed after giving up."""
    level: int = 0
    """How much smaller steps are made (see ``ResumableDriver.restrain``)."""
    notes: list[str] = field(default_factory=list)
    """One line a return."""
    stage: Any = None
    """The current stage."""
    first: float | None = None
    """First energy of the stage."""
    spread: float = 0.0
    """Standard deviation of the energy in that state."""
    lowest: float = math.inf
    """Energy of the best state, plus two standard errors."""
    lowest_spread: float = 0.0
    """Standard deviation of the energy in the best state."""

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
        if self.first is None or stage != self.stage:
            self.stage, self.first, self.lowest = stage, energy, math.inf
            self.spread = _spread(row)
        gained = self.first - self.lowest if math.isfinite(self.lowest) else 0.0
        limit = 3.0 * max(self.spread, gained, 0.01 * max(1.0, abs(self.first)))
        if energy - self.first > limit:
            rise = f"the energy rose from {self.first:.6g} to {energy:.6g}"
            raise FloatingPointError(f"step {step}: the optimisation diverges ({rise})")
        limit = 3.0 * max(self.lowest_spread, 0.1 * gained, 0.001 * max(1.0, abs(self.first)))
        doubt = 2.0 * (row.get("energy_error") or 0.0)
        if self.lowest_spread and energy - doubt - self.lowest > limit:
            rise = f"the energy rose from {self.lowest:.6g} to {energy:.6g}"
            raise FloatingPointError(f"step {step}: the optimisation lost its best state ({rise})")
        pessimistic = energy + doubt
        if pessimistic <= self.lowest:
            self.lowest, self.best, self.lowest_spread = pessimistic, before, _spread(row)

    def snapshot(self) -> Snapshot:
        """The guard between two steps."""
        return {**vars(self), "notes": list(self.notes)}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        for name in vars(self):
            # Checkpoints of earlier versions lack what was added since.
            setattr(self, name, snapshot.get(name, getattr(self, name)))
        self.notes = list(self.notes)


def _spread(row: Mapping[str, Any]) -> float:
    """Standard deviation of the energy in the state of a step, 0 where it is not known."""
    variance = row.get("variance")
    return math.sqrt(variance) if variance is not None and math.isfinite(variance) and variance > 0 else 0.0


def _require_agreement(row: Mapping[str, Any]) -> None:
    """Notice processes of one calculation that compute different things."""
    energy = float(row["energy"])
    first = agreed(energy)
    if abs(energy - first) > AGREEMENT * max(1.0, abs(first)):
        raise RuntimeError(f"processes have come apart: energies {first:.12g} and {energy:.12g} in one step")


class Stopwatch:
    """Seconds that a run has taken, those before it was interrupted included."""

    def __init__(self, resume: Snapshot | None = None) -> None:
        """Start, at the time of a snapshot of :func:`supervise` where one is given."""
        self._started = time.perf_counter() - (0.0 if resume is None else float(resume["elapsed_s"]))

    @property
    def total(self) -> float:
        """Seconds of all sessions."""
        return time.perf_counter() - self._started


class DivergenceError(FloatingPointError):
    """Raised where numbers run away again and again, also with smaller and smaller steps.

    The last snapshot saved is then the best state, set to still smaller steps: resuming goes on from
    there.
    """

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step
        """Steps made up to the best state."""


@dataclass(frozen=True)
class Ending:
    """How a supervised run ended."""

    status: str
    """converged, time_limit, max_steps or interrupted."""
    warnings: tuple[str, ...]
    """One line for every return to an earlier state."""


def supervise(
    driver: ResumableDriver,
    max_steps: int,
    monitor: Monitor | None = None,
    *,
    stopwatch: Stopwatch | None = None,
    max_rewinds: int = MAX_REWINDS,
) -> Ending:
    """Run a driver to its end.

    Where numbers leave the finite ones or the energy runs away, the driver returns to the best state
    so far and goes on with smaller steps, ``max_rewinds`` times at most. Rows of the steps taken back
    are given to ``monitor.on_row`` again, with the same numbers of steps; their ``rewinds`` tells how often.

    Args:
        driver: The driver.
        max_steps: Most steps, those before a resumption included.
        monitor: Rows, stop requests, deadline, checkpoints, NetKet's callbacks and loggers.
        stopwatch: Gives the rows their time (default: one that starts now).
        max_rewinds: Returns to an earlier state before giving up.

    Raises:
        DivergenceError: All returns were in vain.
        InputError: ``monitor.resume`` is the snapshot of another network, optimiser or version.
    """
    monitor = Monitor() if monitor is None else monitor
    stopwatch = Stopwatch(monitor.resume) if stopwatch is None else stopwatch
    guard = EnergyGuard(driver.snapshot())
    if monitor.resume is not None:
        try:
            driver.restore(monitor.resume["driver"])
            guard.restore(monitor.resume["guard"])
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise InputError(f"the checkpoint does not fit the options of the run: {error}") from error
    watch = _Watch(driver, guard, monitor, stopwatch)
    while True:
        try:
            remaining = max(max_steps - driver.step_count, 0)
            hooks = (*monitor.callbacks, watch)
            driver.run(remaining, out=monitor.loggers, callback=hooks, show_progress=False)
            break
        except (FloatingPointError, np.linalg.LinAlgError) as error:
            reason = " ".join(str(error).split())
            given_up = guard.rewinds >= max_rewinds
            guard.level += 1
            driver.restore(guard.best)
            driver.restrain(guard.level)
            watch.rewound()
            if given_up:
                guard.rewinds = 0
                watch.save()
                raise DivergenceError(
                    f"{reason}, also after {max_rewinds} returns to the best state (step {driver.step_count} "
                    "the last time) with smaller and smaller steps",
                    int(driver.step_count),
                ) from error
            guard.rewinds += 1
            guard.notes.append(
                f"{reason}: returned to step {driver.step_count} and went on with smaller steps "
                f"(return {guard.rewinds} of at most {max_rewinds})"
            )
        except InputError:
            raise
        except BaseException:
            # Out of memory, Ctrl-C in the middle of a step, a mistake in the program: keep what is whole.
            with contextlib.suppress(Exception):
                watch.save()
            raise
    watch.save()
    if driver.converged:
        status = "converged"
    elif driver.step_count >= max_steps:
        status = "max_steps"  # a request that came with the last step has stopped nothing
    else:
        status = watch.reason or "interrupted"  # by a callback of the caller's
    return Ending(status, tuple(guard.notes))


class _Watch(nk.callbacks.AbstractCallback):
    """Keeps the state after the last whole step, checks and reports steps, and ends the run on request."""

    before: Any = static_field()
    reason: str = static_field()
    _driver: Any = static_field()
    _guard: EnergyGuard = static_field()
    _monitor: Monitor = static_field()
    _stopwatch: Stopwatch = static_field()
    _ended: int = static_field()
    _saved: bool = static_field()
    _in_step: bool = static_field()

    def __init__(self, driver, guard, monitor, stopwatch):
        self._driver, self._guard, self._monitor, self._stopwatch = driver, guard, monitor, stopwatch
        self.reason = ""
        self.rewound()

    def rewound(self):
        """Take the driver's present state for that between two steps."""
        self.before = self._driver.snapshot()
        self._ended = int(self._driver.step_count)
        self._saved = self._in_step = False

    def save(self):
        """Have the state after the last whole step saved, unless it is already."""
        # Where something ended the run in the middle of a step, the state before it counts. Behind its row
        # the step is made, though NetKet may not have counted it yet.
        if not self._in_step:
            self.before = {**self._driver.snapshot(), "step": self._ended}
        self._offer(must=True)

    def on_step_start(self, step, log_data, driver):
        self.before = driver.snapshot()
        self._offer(must=False)
        self._in_step = True
        # Not at the end of the step before, which would then be neither counted nor logged.
        if self.reason:
            raise nk.callbacks.RunFinished(self.reason)

    def on_step_end(self, step, log_data, driver):
        row, monitor = driver.row, self._monitor
        with monitor.unbroken():
            self._guard.check(row, self.before)
            _require_agreement(row)
            self._ended = step + 1
            self._saved = self._in_step = False
            row |= {"time_s": self._stopwatch.total, "rewinds": len(self._guard.notes)}
            if monitor.on_row is not None:
                monitor.on_row(row)
        if driver.converged:
            return
        if monitor.is_stopped:
            self.reason = "interrupted"
        elif monitor.is_over:
            self.reason = "time_limit"

    def _offer(self, *, must):
        if self._monitor.save is not None and not self._saved:
            self._saved = self._monitor.save(self._snapshot, must)

    def _snapshot(self):
        state = getattr(self._driver, "state", None)  # not every driver is NetKet's
        return {
            "elapsed_s": self._stopwatch.total,
            "driver": self.before,
            "guard": self._guard.snapshot(),
            "network": None if state is None else network_spec(state.model),
        }
