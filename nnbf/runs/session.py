"""One stretch of a run in its folder: from the start or a checkpoint to an outcome on disk."""

import contextlib
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError, one_line
from nnbf.runs.checkpoint import INTERVAL, Checkpointing, CheckpointStore, load_checkpoint, network_spec
from nnbf.runs.density_files import write_observables
from nnbf.runs.directory import RunDirectory
from nnbf.runs.history import HistoryWriter
from nnbf.runs.provenance import MemoryMeter
from nnbf.runs.record import broken_record, result_record
from nnbf.runs.signals import StopRequest

if TYPE_CHECKING:
    from hamiltonians import Molecule
    from nnbf.drivers.level import Outcome

OnStep = Callable[[dict[str, Any]], None]
Warn = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class CompletedRun:
    """A run that ended in an orderly way."""

    directory: RunDirectory
    """Where everything was written."""
    result: dict[str, Any]
    """The content of result.json."""
    outcome: "Outcome"
    """Levels, with parameters and states."""


class RunError(RuntimeError):
    """Raised when a run broke off; result.json then says "failed", history and checkpoints are kept."""

    def __init__(self, message: str, directory: RunDirectory, remedy: str) -> None:
        super().__init__(message)
        self.directory = directory
        """The folder of the run."""
        self.remedy = remedy
        """What to do now."""


@dataclass(frozen=True, eq=False)
class Session:
    """A run that is about to start or to go on."""

    directory: RunDirectory
    """Its folder, with config.json and the system in it."""
    config: Mapping[str, Any]
    """The content of config.json."""
    system: "Molecule"
    """What to solve."""
    options: Any
    """How: the options of the method."""
    history: HistoryWriter
    """The open history: rows up to the step of `resume`."""
    store: CheckpointStore
    """Where checkpoints go."""
    resume: dict[str, Any] | None = None
    """The snapshot to go on from."""
    notes: tuple[str, ...] = ()
    """Warnings that belong into the result."""

    def run(
        self, request: StopRequest, *, on_step: OnStep | None = None, warn: Warn | None = None
    ) -> CompletedRun:
        """Solve, and write the outcome.

        Raises:
            InputError: Solver and system do not fit, or options and checkpoint; no outcome is written.
            RunError: Solving broke off, or the outcome cannot be written.
            KeyboardInterrupt: On a second Ctrl-C, after the records were written.
        """
        started, memory = time.monotonic(), MemoryMeter()
        interval = self.config.get("checkpoint_interval", INTERVAL)
        checkpointing = Checkpointing(self.store, self.history, interval, warn)
        try:
            outcome = self._solve(request, on_step, checkpointing)
        except InputError:
            raise
        except (Exception, KeyboardInterrupt) as error:
            failure = self._failure(error)
            self._record_end(error, failure, time.monotonic() - started, checkpointing.problems)
            if isinstance(error, KeyboardInterrupt):
                raise
            raise failure from error
        try:
            return self._conclude(outcome, request, checkpointing.problems, memory)
        except OSError as error:
            reason = f"the result cannot be written: {_reason(error)}"
            raise RunError(reason, self.directory, self._after_space()) from error

    def _solve(self, request: StopRequest, on_step: OnStep | None, checkpointing: Checkpointing) -> Any:
        def record(row: dict[str, Any]) -> None:
            self.history.append(row)
            if on_step is not None:
                on_step(row)

        from nnbf.drivers import Monitor, solve

        start = self.directory.start_file
        return solve(
            self.system,
            self.options,
            method=self.config["method"],
            monitor=Monitor(record, request, save=checkpointing, resume=self.resume),
            start=load_checkpoint(start) if start.is_file() else None,
        )

    def _conclude(
        self, outcome: Any, request: StopRequest, problems: list[str], memory: MemoryMeter
    ) -> CompletedRun:
        level = outcome.lowest
        warnings = [*self.system.info.warnings, *self.notes, *outcome.warnings, *problems]
        if request.reason is not None:
            warnings.append(f"stopped by {request.reason} before it was done")
        self.history.sync()
        network = None if level.model is None else network_spec(level.model)
        self.directory.write_checkpoint(level.parameters, level.determinants, network)
        write_observables(self.directory, self.system, level.observables)
        record = result_record(outcome, self.config, tuple(dict.fromkeys(warnings)), request.reason)
        self.directory.write_result({**record, **memory.record()})
        return CompletedRun(self.directory, self.directory.read_result(), outcome)

    def _failure(self, error: BaseException) -> RunError:
        from nnbf.drivers.supervision import DivergenceError

        again = f"'nnbf resume {self.directory.path}'"
        if isinstance(error, DivergenceError):
            # What came after the best state is worth nothing.
            self.history.keep_before(error.step + 1)
            remedy = (
                f"{again} goes on from the best state with still smaller steps; or start anew with another "
                "--seed, a smaller --max-step or --learning-rate"
            )
        elif isinstance(error, MemoryError):
            remedy = f"start anew with a smaller --max-space or network, or try {again} with more memory"
        elif isinstance(error, OSError):
            remedy = self._after_space()
        else:
            remedy = f"{again} tries again from the last checkpoint; or start anew with another --seed"
        return RunError(_reason(error), self.directory, remedy)

    def _record_end(
        self, error: BaseException, failure: RunError, elapsed: float, problems: list[str]
    ) -> None:
        before = 0.0 if self.resume is None else float(self.resume["elapsed_s"])
        interrupted = isinstance(error, KeyboardInterrupt)
        with contextlib.suppress(OSError):  # on a full disk what is said on the screen has to do
            self.directory.write_failure("".join(traceback.format_exception(error)))
            self.directory.write_result(
                broken_record(
                    self.config,
                    self.history.last,
                    status="interrupted" if interrupted else "failed",
                    message=str(failure) if interrupted else f"{failure}; {failure.remedy}",
                    warnings=(*self.system.info.warnings, *self.notes, *problems),
                    wall_time=before + elapsed,
                )
            )

    def _after_space(self) -> str:
        return f"make room, then 'nnbf resume {self.directory.path}' goes on from the last checkpoint"


def cannot_write(path: Path, error: OSError) -> InputError:
    """Say that the files that come before the first step cannot be written."""
    return InputError(f"{path} cannot be written ({_reason(error)}): make room there, or use another folder")


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(error)
