"""Running a driver so that the run survives: checkpoints, resuming, going back when energies run away."""

import contextlib
import time
from dataclasses import dataclass
from typing import Any

import netket as nk
import numpy as np
from netket.utils import struct

from hamiltonians import InputError
from nnbf.drivers.guard import MAX_REWINDS, EnergyGuard
from nnbf.drivers.monitor import Monitor
from nnbf.drivers.snapshot import ResumableDriver, Snapshot


class Stopwatch:
    """Seconds that a run has taken, those before it was interrupted included."""

    def __init__(self, resume: Snapshot | None = None) -> None:
        """Start, at the time of a snapshot of :func:`supervise` where one is given."""
        self._before = 0.0 if resume is None else float(resume["elapsed_s"])
        self._started = time.perf_counter()

    @property
    def session(self) -> float:
        """Seconds since the start or the last resumption."""
        return time.perf_counter() - self._started

    @property
    def total(self) -> float:
        """Seconds of all sessions."""
        return self._before + self.session


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
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"the checkpoint does not fit the options of the run: {error}") from error
    saver = _Saver(driver, guard, monitor, stopwatch)
    ends = _Ends(monitor)
    watch = (saver, _Rows(saver, guard, monitor, stopwatch), ends)
    while True:
        try:
            remaining = max(max_steps - driver.step_count, 0)
            hooks = (*monitor.callbacks, *watch)
            driver.run(remaining, out=monitor.loggers, callback=hooks, show_progress=False)
            break
        except (FloatingPointError, np.linalg.LinAlgError) as error:
            reason = " ".join(str(error).split())
            given_up = guard.rewinds >= max_rewinds
            guard.level += 1
            driver.restore(guard.best)
            driver.restrain(guard.level)
            saver.rewound()
            if given_up:
                guard.rewinds = 0
                saver.save()
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
                saver.save()
            raise
    saver.save()
    # A callback of the caller's may have ended the run, too.
    ended = "max_steps" if driver.step_count >= max_steps else "interrupted"
    status = "converged" if driver.converged else (ends.reason or ended)
    return Ending(status, tuple(guard.notes))


def _kept():
    """A callback's attribute that is neither traced nor saved."""
    return struct.field(pytree_node=False, serialize=False)


class _Saver(nk.callbacks.AbstractCallback):
    """Keeps the state after the last whole step, and offers it as a checkpoint."""

    before: Any = _kept()
    _driver: Any = _kept()
    _guard: EnergyGuard = _kept()
    _monitor: Monitor = _kept()
    _stopwatch: Stopwatch = _kept()
    _ended: int = _kept()
    _saved: bool = _kept()
    _in_step: bool = _kept()

    def __init__(self, driver, guard, monitor, stopwatch):
        self._driver, self._guard = driver, guard
        self._monitor, self._stopwatch = monitor, stopwatch
        self.rewound()

    def rewound(self):
        """Take the driver's present state for that between two steps."""
        self.before = self._driver.snapshot()
        self._ended = int(self._driver.step_count)
        self._saved = False
        self._in_step = False

    def save(self):
        """Have the state after the last whole step saved, unless it is already."""
        # Where something ended the run in the middle of a step, the state before it counts.
        if not self._in_step and self._driver.step_count == self._ended:
            self.before = self._driver.snapshot()
        self._offer(must=True)

    def on_step_start(self, step, log_data, driver):
        self.before = driver.snapshot()
        self._offer(must=False)
        self._in_step = True

    def counted(self, step):
        """Take a step for whole."""
        self._ended = step + 1
        self._saved = self._in_step = False

    def _offer(self, *, must):
        if self._monitor.save is not None and not self._saved:
            self._saved = self._monitor.save(self._snapshot, must)

    def _snapshot(self):
        return {
            "elapsed_s": self._stopwatch.total,
            "driver": self.before,
            "guard": self._guard.snapshot(),
        }


class _Rows(nk.callbacks.AbstractCallback):
    """Checks steps and reports their rows."""

    _saver: _Saver = _kept()
    _guard: EnergyGuard = _kept()
    _monitor: Monitor = _kept()
    _stopwatch: Stopwatch = _kept()

    def __init__(self, saver, guard, monitor, stopwatch):
        self._saver, self._guard = saver, guard
        self._monitor, self._stopwatch = monitor, stopwatch

    def on_step_end(self, step, log_data, driver):
        row = driver.row
        self._guard.check(row, self._saver.before)
        self._saver.counted(step)
        row["time_s"] = self._stopwatch.total
        row["rewinds"] = len(self._guard.notes)
        if self._monitor.on_row is not None:
            self._monitor.on_row(row)


class _Ends(nk.callbacks.AbstractCallback):
    """Ends the run at the deadline or on request."""

    reason: str = _kept()
    _monitor: Monitor = _kept()

    def __init__(self, monitor):
        self._monitor = monitor
        self.reason = ""

    def on_step_start(self, step, log_data, driver):
        # Not at the end of the step before, which would then be neither counted nor logged.
        if self.reason:
            raise nk.callbacks.RunFinished(self.reason)

    def on_step_end(self, step, log_data, driver):
        if driver.converged:
            return
        if self._monitor.is_stopped:
            self.reason = "interrupted"
        elif self._monitor.is_over:
            self.reason = "time_limit"
