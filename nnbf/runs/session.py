"""One stretch of a run in its folder: from the start or a checkpoint to an outcome on disk."""

import contextlib
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError, one_line
from nnbf._program import typed
from nnbf.runs.checkpoint import INTERVAL, Checkpointing, CheckpointStore, load_checkpoint, network_spec
from nnbf.runs.density_files import write_observables
from nnbf.runs.directory import RunDirectory
from nnbf.runs.history import HistoryWriter
from nnbf.runs.job import Job, level_key, sector_key
from nnbf.runs.provenance import MemoryMeter
from nnbf.runs.record import level_record, result_record, row_record
from nnbf.runs.signals import StopRequest

if TYPE_CHECKING:
    from hamiltonians import Sector
    from nnbf.drivers.level import Level

OnRow = Callable[[dict[str, Any]], None]
OnLevel = Callable[[dict[str, Any]], None]
Warn = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class CompletedRun:
    """A run that ended in an orderly way."""

    directory: RunDirectory
    """Where everything was written."""
    result: dict[str, Any]
    """The content of result.json."""
    levels: "tuple[Level, ...]"
    """Levels that were found in this session, with parameters and states."""

    @property
    def lowest(self) -> "Level":
        """Level of lowest energy among them."""
        return min(self.levels, key=lambda level: float(level.energy))


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
    """Its folder, with config.json and the problem in it."""
    config: Mapping[str, Any]
    """The content of config.json."""
    job: Job
    """What to compute."""
    history: HistoryWriter
    """The open history: rows up to those of `resume`."""
    store: CheckpointStore
    """Where checkpoints go."""
    resume: dict[str, Any] | None = None
    """The snapshot to go on from."""
    done: tuple[dict[str, Any], ...] = ()
    """Records of levels that earlier sessions finished."""
    spent: float = 0.0
    """Seconds of earlier sessions."""
    notes: tuple[str, ...] = ()
    """Warnings that belong into the result."""
    _records: list[dict[str, Any]] = field(default_factory=list, init=False)
    _levels: "list[Level]" = field(default_factory=list, init=False)

    def run(
        self,
        request: StopRequest,
        *,
        on_row: OnRow | None = None,
        on_level: OnLevel | None = None,
        warn: Warn | None = None,
    ) -> CompletedRun:
        """Compute, and write the outcome.

        Raises:
            InputError: Solver and problem do not fit, or options and checkpoint; no outcome is written.
            RunError: Solving broke off, or the outcome cannot be written.
            KeyboardInterrupt: On a second Ctrl-C, after the records were written.
        """
        started, memory = time.monotonic(), MemoryMeter()
        self._records.extend(self.done)
        interval = self.config.get("checkpoint_interval", INTERVAL)
        checkpointing = Checkpointing(self.store, self.history, interval, warn)
        try:
            more = self._compute(request, on_row, on_level, checkpointing, started)
        except InputError:
            raise
        except (Exception, KeyboardInterrupt) as error:
            failure = self._failure(error)
            self._record_end(error, failure, started, checkpointing.problems)
            if isinstance(error, KeyboardInterrupt):
                raise
            raise failure from error
        try:
            return self._conclude(request, more, started, checkpointing.problems, memory)
        except OSError as error:
            reason = f"the result cannot be written: {_reason(error)}"
            raise RunError(reason, self.directory, self._after_space()) from error

    def _compute(
        self,
        request: StopRequest,
        on_row: OnRow | None,
        on_level: OnLevel | None,
        checkpointing: Checkpointing,
        started: float,
    ) -> dict[str, Any] | None:
        """Return what the result has beyond levels; None where the calculation is not complete."""
        from nnbf.drivers.monitor import Monitor, StoppedError

        def row(row: dict[str, Any]) -> None:
            # Steps of lattices are those of a level; in the history they rise from the first to the last.
            row = {**row, "step": self.history.count} if self.job.is_lattice else row
            self.history.append(row)
            if on_row is not None:
                on_row(row)

        def level(found: "Level") -> None:
            record = self._finished(found)
            if record is not None and self.job.is_lattice:
                self.directory.write_result(self._result("interrupted", started))
                if on_level is not None:
                    on_level(record)

        def save(take: Callable[[], dict[str, Any]], must: bool) -> bool:
            more = {"rows": self.history.count} if self.job.is_lattice else {}
            return checkpointing(lambda: {**more, **take()}, must)

        monitor = Monitor(row, request, save=save, resume=self.resume, on_level=level, recall=self._recalled)
        start = self.directory.start_file
        try:
            return self.job.compute(
                monitor, self._records, load_checkpoint(start) if start.is_file() else None
            )
        except StoppedError:
            return None

    def _finished(self, level: "Level") -> dict[str, Any] | None:
        """Write the state of a level and keep its record, which is returned if it is new."""
        record = level_record(level, of_charge=self.job.command == "charge")
        if level_key(record) in map(level_key, self._records):
            return None
        self._levels.append(level)
        if self.job.command == "lattice":
            from nnbf.drivers.level_observables import level_observables

            found = level_observables(self.job.problem, level)
            record["observables"] = None if found is None else found.record()
        if self.job.is_lattice:
            with contextlib.suppress(OSError):  # a full disk costs the run nothing but that
                self.directory.write_state(record, level.parameters, network_spec(level.model))
        self._records.append(record)
        return record

    def _recalled(self, problem: Any, sector: "Sector", number: int) -> "Level | None":
        """A level that an earlier session finished, from its file; None where it is to be made."""
        particles = problem.particles if self.job.command == "charge" else None
        key = (*sector_key(sector, particles), number)
        record = next((record for record in self._records if level_key(record) == key), None)
        if record is None:
            return None
        from nnbf.runs.recall import recalled_level

        try:
            return recalled_level(self.directory, record, problem, sector, self.job.options)
        except InputError:  # damaged: made again
            self._records.remove(record)
            return None

    def _conclude(
        self,
        request: StopRequest,
        more: dict[str, Any] | None,
        started: float,
        problems: list[str],
        memory: MemoryMeter,
    ) -> CompletedRun:
        self.history.sync()
        if not self.job.is_lattice:
            (level,) = self._levels
            self.directory.write_checkpoint(level.parameters, level.determinants, network_spec(level.model))
            write_observables(self.directory, self.job.problem, level.observables)
        poor = [r["status"] for r in self._records if r["status"] not in ("converged", "exact")]
        status = poor[0] if poor else "converged"
        if more is None or len(self._records) < (self.job.n_wanted or 0):
            status = "interrupted" if request() else "time_limit"
        result = self._result(status, started, request.reason, problems, more)
        self.directory.write_result({**result, **memory.record()})
        return CompletedRun(self.directory, self.directory.read_result(), tuple(self._levels))

    def _result(
        self,
        status: str,
        started: float,
        stopped_by: str | None = None,
        problems: list[str] | None = None,
        more: Mapping[str, Any] | None = None,
        message: str | None = None,
    ) -> dict[str, Any]:
        records = self._records
        warnings = [*self.job.warnings, *self.notes]
        if self.job.is_lattice:
            order = {sector_key(sector): place for place, sector in enumerate(self.job.sectors)}
            records = sorted(records, key=lambda r: (order.get(level_key(r)[:-1], 0), r["level"]))
            warnings += [f"{r['sector']['label']}: {text}" for r in records for text in r.get("warnings", ())]
            more = {"n_levels_wanted": self.job.n_wanted, **(more or {})}
        else:
            warnings += [text for r in records for text in r.get("warnings", ())]
        if stopped_by is not None and message is None:
            warnings.append(f"stopped by {stopped_by} before it was done")
        # A molecule's level has the time of all sessions already.
        own = records[0]["wall_time_s"] if records and not self.job.is_lattice and message is None else None
        return result_record(
            self.config,
            records,
            status=status,
            wall_time=self.spent + time.monotonic() - started if own is None else own,
            message=message,
            stopped_by=stopped_by,
            warnings=tuple(dict.fromkeys((*warnings, *(problems or ())))),
            more=more,
        )

    def _failure(self, error: BaseException) -> RunError:
        from nnbf.drivers.supervision import DivergenceError

        again = typed("resume", self.directory.path)
        if isinstance(error, DivergenceError):
            if not self.job.is_lattice:
                # What came after the best state is worth nothing.
                self.history.keep_before(error.step + 1)
            remedy = (
                f"{again} goes on from the best state with still smaller steps; or start anew with another "
                "seed, a smaller max_step or learning_rate"
            )
        elif isinstance(error, MemoryError):
            remedy = f"start anew with a smaller max_space or network, or try {again} with more memory"
        elif isinstance(error, OSError):
            remedy = self._after_space()
        else:
            remedy = f"{again} tries again from the last checkpoint; or start anew with another seed"
        return RunError(_reason(error), self.directory, remedy)

    def _record_end(
        self, error: BaseException, failure: RunError, started: float, problems: list[str]
    ) -> None:
        interrupted = isinstance(error, KeyboardInterrupt)
        status = "interrupted" if interrupted else "failed"
        row = self.history.last
        if not self.job.is_lattice:
            self._records[:] = [row_record(row, status)] if row else []
        with contextlib.suppress(OSError):  # on a full disk what is said on the screen has to do
            self.directory.write_failure("".join(traceback.format_exception(error)))
            message = str(failure) if interrupted else f"{failure}; {failure.remedy}"
            result = self._result(
                status, started, "SIGINT" if interrupted else None, problems, message=message
            )
            self.directory.write_result(result)

    def _after_space(self) -> str:
        return f"make room, then {typed('resume', self.directory.path)} goes on from the last checkpoint"


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
