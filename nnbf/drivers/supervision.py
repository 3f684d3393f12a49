"""Running a driver so that the run survives: checkpoints, resuming, going back when energies run away."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import netket as nk
import numpy as np
from netket.utils import struct

from hamiltonians import InputError
from nnbf.drivers.guard import MAX_REWINDS, EnergyGuard
from nnbf.drivers.snapshot import OnCheckpoint, ResumableDriver, Snapshot

OnStep = Callable[[dict[str, Any]], None]


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
    *,
    stopwatch: Stopwatch,
    time_limit: float | None = None,
    on_step: OnStep | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_checkpoint: OnCheckpoint | None = None,
    resume: Snapshot | None = None,
    loggers: tuple = (),
    callbacks: tuple = (),
    max_rewinds: int = MAX_REWINDS,
) -> Ending:
    """Run a driver to its end.

    Where numbers leave the finite ones or the energy runs away, the driver returns to the best state
    so far and goes on with smaller steps, ``max_rewinds`` times at most. Rows of the steps taken back
    are given to ``on_step`` again, with the same numbers of steps; their ``rewinds`` tells how often.

    Args:
        driver: The driver.
        max_steps: Most steps, those before a resumption included.
        stopwatch: Gives the rows their time.
        time_limit: Seconds of this session after which the run ends.
        on_step: Called with the row of every step.
        should_stop: Asked after every step; true ends the run.
        on_checkpoint: Offered a snapshot before every step, and told to save the last one.
        resume: A snapshot that ``on_checkpoint`` was given, of a driver that was made alike.
        loggers: NetKet loggers.
        callbacks: NetKet callbacks.
        max_rewinds: Returns to an earlier state before giving up.

    Raises:
        DivergenceError: All returns were in vain.
        InputError: ``resume`` is the snapshot of another network, optimiser or version.
    """
    guard = EnergyGuard(driver.snapshot())
    if resume is not None:
        try:
            driver.restore(resume["driver"])
            guard.restore(resume["guard"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"the checkpoint does not fit the options of the run: {error}") from error
    watch = _Watch(driver, guard, stopwatch, time_limit, on_step, should_stop, on_checkpoint)
    while True:
        try:
            remaining = max_steps - driver.step_count
            driver.run(max(remaining, 0), out=loggers, callback=(*callbacks, watch), show_progress=False)
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
    # A callback of the caller's may have ended the run, too.
    ended = "max_steps" if driver.step_count >= max_steps else "interrupted"
    status = "converged" if driver.converged else (watch.reason or ended)
    return Ending(status, tuple(guard.notes))


class _Watch(nk.callbacks.AbstractCallback):
    """Reports and checks steps, offers checkpoints, and ends the run at the time limit or on request."""

    _driver: Any = struct.field(pytree_node=False, serialize=False)
    _guard: EnergyGuard = struct.field(pytree_node=False, serialize=False)
    _stopwatch: Stopwatch = struct.field(pytree_node=False, serialize=False)
    _time_limit: float | None = struct.field(pytree_node=False, serialize=False)
    _on_step: Any = struct.field(pytree_node=False, serialize=False)
    _should_stop: Any = struct.field(pytree_node=False, serialize=False)
    _on_checkpoint: Any = struct.field(pytree_node=False, serialize=False)
    _before: Any = struct.field(pytree_node=False, serialize=False)
    _ended: int = struct.field(pytree_node=False, serialize=False)
    _saved: bool = struct.field(pytree_node=False, serialize=False)
    _in_step: bool = struct.field(pytree_node=False, serialize=False)
    reason: str = struct.field(pytree_node=False, serialize=False)

    def __init__(self, driver, guard, stopwatch, time_limit, on_step, should_stop, on_checkpoint):
        self._driver = driver
        self._guard = guard
        self._stopwatch = stopwatch
        self._time_limit = time_limit
        self._on_step = on_step
        self._should_stop = should_stop
        self._on_checkpoint = on_checkpoint
        self.reason = ""
        self.rewound()

    def rewound(self):
        """Take the driver's present state for that between two steps."""
        self._before = self._driver.snapshot()
        self._ended = int(self._driver.step_count)
        self._saved = False
        self._in_step = False

    def save(self):
        """Have the state after the last whole step saved, unless it is already."""
        # Where something ended the run in the middle of a step, the state before it counts.
        if not self._in_step and self._driver.step_count == self._ended:
            self._before = self._driver.snapshot()
        self._offer(must=True)

    def on_step_start(self, step, log_data, driver):
        self._before = driver.snapshot()
        self._offer(must=False)
        # Not at the end of the step before, which would then be neither counted nor logged.
        if self.reason:
            raise nk.callbacks.RunFinished(self.reason)
        self._in_step = True

    def on_step_end(self, step, log_data, driver):
        row = driver.row
        self._guard.check(row, self._before)
        self._ended = step + 1
        self._saved = self._in_step = False
        row["time_s"] = self._stopwatch.total
        row["rewinds"] = len(self._guard.notes)
        if self._on_step is not None:
            self._on_step(row)
        if driver.converged:
            return
        if self._should_stop is not None and self._should_stop():
            self.reason = "interrupted"
        elif self._time_limit is not None and self._stopwatch.session > self._time_limit:
            self.reason = "time_limit"

    def _offer(self, *, must):
        if self._on_checkpoint is not None and not self._saved:
            self._saved = self._on_checkpoint(self._snapshot, must)

    def _snapshot(self):
        return {
            "elapsed_s": self._stopwatch.total,
            "driver": self._before,
            "guard": self._guard.snapshot(),
        }
