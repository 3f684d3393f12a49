"""One stretch of a run in its folder: from the start or a checkpoint to an outcome on disk."""

import contextlib
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError, extra, reason_of
from nnbf._text import typed
from nnbf.runs.checkpoint import INTERVAL, Checkpointing, CheckpointStore, load_checkpoint, write_archive
from nnbf.runs.directory import RunDirectory
from nnbf.runs.followers import share
from nnbf.runs.history import HistoryWriter
from nnbf.runs.job import Job, level_key, sector_key
from nnbf.runs.process import MemoryMeter, StopRequest
from nnbf.runs.record import level_record, result_record, row_record

if TYPE_CHECKING:
    from hamiltonians import Molecule, Sector
    from nnbf.drivers.level import Level

MOST_BYTES = 64_000_000
"""Integrals larger than this (about 75 orbitals) are not written a second time in natural orbitals."""

OnRow = Callable[[dict[str, Any]], None]
OnLevel = Callable[[dict[str, Any]], None]
Warn = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class CompletedRun:
    """A run that ended in an orderly way."""

    directory: RunDirectory
    """The folder with all its files."""
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
        """Advice for now."""


@dataclass(eq=False)
class Session:
    """A run that is about to start or to go on."""

    directory: RunDirectory
    """Its folder, with config.json and the problem in it."""
    config: Mapping[str, Any]
    """The content of config.json."""
    job: Job
    """The job."""
    history: HistoryWriter
    """The open history: rows up to those of `resume`."""
    store: CheckpointStore
    """Store of checkpoints."""
    request: StopRequest
    """Asks for a stop."""
    on_row: OnRow | None = None
    """Called with every row of the history."""
    on_level: OnLevel | None = None
    """Called with the record of each level of a lattice."""
    warn: Warn | None = None
    """Told at once of what goes wrong without ending the run."""
    resume: dict[str, Any] | None = None
    """The snapshot to go on from."""
    done: tuple[dict[str, Any], ...] = ()
    """Records of levels that earlier sessions finished."""
    spent: float = 0.0
    """Seconds of earlier sessions."""
    notes: tuple[str, ...] = ()
    """Warnings that belong into the result."""

    def __post_init__(self) -> None:
        self._started, self._memory = time.monotonic(), MemoryMeter()
        self._records, self._levels = list(self.done), list["Level"]()
        interval = self.config.get("checkpoint_interval", INTERVAL)
        self._checkpointing = Checkpointing(self.store, self.history, interval, self.warn)

    def run(self) -> CompletedRun:
        """Compute, and write the outcome.

        Raises:
            InputError: Solver and problem do not fit, or options and checkpoint; no outcome is written.
            RunError: Solving broke off, or the outcome cannot be written.
            KeyboardInterrupt: On a second Ctrl-C, after the records were written.
        """
        share(self.directory, "run")
        try:
            more = self._compute()
        except InputError:
            raise
        except (Exception, KeyboardInterrupt) as error:
            failure = self._failure(error)
            self._record_end(error, failure)
            if isinstance(error, KeyboardInterrupt):
                raise
            raise failure from error
        try:
            return self._conclude(more)
        except OSError as error:
            reason = f"the result cannot be written: {_reason(error)}"
            raise RunError(reason, self.directory, self._failure(error).remedy) from error

    def _compute(self) -> dict[str, Any] | None:
        """Return what the result has beyond levels; None where the calculation is not complete."""
        from nnbf.drivers.monitor import Monitor, StoppedError

        monitor = Monitor(
            self._row,
            self.request,
            unbroken=self.request.unbroken,
            save=self._save,
            resume=self.resume,
            on_level=self._finished,
            recall=self._recalled,
        )
        start = self.directory.start_file
        try:
            return self.job.compute(
                monitor, self._records, load_checkpoint(start) if start.is_file() else None
            )
        except StoppedError:
            return None

    def _row(self, row: dict[str, Any]) -> None:
        # Steps of lattices are those of a level; in the history they rise from the first to the last.
        row = {**row, "step": self.history.count} if self.job.is_lattice else row
        self.history.append(row)
        if self.on_row is not None:
            self.on_row(row)

    def _save(self, take: Callable[[], dict[str, Any]], must: bool) -> bool:
        more = {"rows": self.history.count} if self.job.is_lattice else {}
        return self._checkpointing(lambda: {**more, **take()}, must)

    def _finished(self, level: "Level") -> None:
        """Keep the record of a level that is new; of lattices write its state, and the result so far."""
        record = level_record(level, of_charge=self.job.command == "charge")
        if level_key(record) in map(level_key, self._records):
            return
        self._levels.append(level)
        if self.job.command == "lattice":
            from nnbf.drivers.level_observables import level_observables

            found = self._extra(record, "observables", lambda: level_observables(self.job.problem, level))
            record["observables"] = None if found is None else found.record()
        if self.job.is_lattice:
            self._extra(record, "its wave function", lambda: self.directory.write_state(record, level))
        self._records.append(record)
        if self.job.is_lattice:
            self.directory.write_result(self._result("interrupted"))
            if self.on_level is not None:
                self.on_level(record)

    def _extra[Value](self, record: dict[str, Any], what: str, make: Callable[[], Value]) -> Value | None:
        """Return what is made beside an energy; where that fails, the record has a warning."""
        return extra(what, make, record.setdefault("warnings", []).append)

    def _recalled(self, problem: Any, sector: "Sector", number: int) -> "Level | None":
        """A level that an earlier session finished, from its file; None where it is to be made."""
        particles = problem.particles if self.job.command == "charge" else None
        key = (*sector_key(sector, particles), number)
        record = next((record for record in self._records if level_key(record) == key), None)
        if record is None:
            return None
        from nnbf.runs.trained import recalled_level

        try:
            return recalled_level(self.directory, record, problem, sector, self.job.options)
        except InputError:  # damaged: made again
            self._records.remove(record)
            return None

    def _conclude(self, more: dict[str, Any] | None) -> CompletedRun:
        self.history.sync()
        if not self.job.is_lattice:
            level = self._write_levels()
            self._extra(
                self._records[self._levels.index(level)],
                "files of observables",
                lambda: write_observables(self.directory, self.job.problem, level.observables),
            )
        poor = [r["status"] for r in self._records if r["status"] not in ("converged", "exact")]
        status = poor[0] if poor else "converged"
        if "interrupted" in poor:
            status = "interrupted"
        elif more is None or len(self._records) < (self.job.n_wanted or 0):
            status = "interrupted" if self.request() else "time_limit"
        # A request that came when all was done has stopped nothing.
        result = self._result(status, self.request.reason if status == "interrupted" else None, more)
        self.directory.write_result({**result, **self._memory.record(), **self._effort()})
        self.directory.failure_file.unlink(missing_ok=True)  # of an earlier session
        return CompletedRun(self.directory, self.directory.read_result(), tuple(self._levels))

    def _write_levels(self) -> "Level":
        """Write the networks of a problem without sectors, and return its lowest level."""
        level = min(self._levels, key=lambda level: float(level.energy))
        if len(self._levels) == 1:
            self.directory.write_checkpoint(level)
            return level
        for record, own in zip(self._records, self._levels, strict=True):
            if own.state is not None:
                self._extra(record, "its wave function", partial(self.directory.write_state, record, own))
        if level.state is not None:
            # After the steps of all networks.
            steps = sum(own.n_steps for own in self._levels)
            self.directory.write_checkpoint(replace(level, n_steps=steps))
        return level

    def _effort(self) -> dict[str, Any]:
        """What computed, and how fast the network was evaluated during the steps."""
        from nnbf._devices import placement

        row = self.history.last or {}
        seconds, evaluations = row.get("time_s"), row.get("evaluations")
        rate = round(evaluations / seconds) if seconds and evaluations else None
        return {"devices": placement(), "evaluations_per_s": rate}

    def _result(
        self,
        status: str,
        stopped_by: str | None = None,
        more: Mapping[str, Any] | None = None,
        message: str | None = None,
    ) -> dict[str, Any]:
        """Return the content of result.json; with a message where the run broke off."""
        order = {sector_key(sector): place for place, sector in enumerate(self.job.sectors)}
        records = sorted(self._records, key=lambda r: (order.get(level_key(r)[:-1], 0), r["level"]))
        warnings = [*self.job.warnings, *self.notes]
        for record in records:
            label = record["sector"]["label"]
            warnings += [f"{label}: {text}" if label else text for text in record.get("warnings", ())]
        if stopped_by is not None and message is None:
            warnings.append(f"stopped by {stopped_by} before it was done")
        wall_time = self.spent + time.monotonic() - self._started
        if self.job.is_lattice:
            more = {"n_levels_wanted": self.job.n_wanted, **(more or {})}
        elif records and message is None:  # a molecule's level has the time of all sessions already
            wall_time = records[0]["wall_time_s"]
        return result_record(
            self.config,
            records,
            status=status,
            wall_time=wall_time,
            message=message,
            stopped_by=stopped_by,
            warnings=tuple(dict.fromkeys((*warnings, *self._checkpointing.problems))),
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
        elif isinstance(error, FileNotFoundError):
            remedy = f"put it back, and {again} goes on from the last checkpoint; else start anew"
        elif isinstance(error, OSError):
            remedy = self._after_space()
        else:
            remedy = f"{again} tries again from the last checkpoint; or start anew with another seed"
        return RunError(_reason(error), self.directory, remedy)

    def _record_end(self, error: BaseException, failure: RunError) -> None:
        interrupted = isinstance(error, KeyboardInterrupt)
        status = "interrupted" if interrupted else "failed"
        row = self.history.last
        if not self.job.is_lattice:
            self._records[:] = [row_record(row, status)] if row else []
        with contextlib.suppress(OSError):  # on a full disk what is said on the screen has to do
            self.directory.write_failure("".join(traceback.format_exception(error)))
            message = str(failure) if interrupted else f"{failure}; {failure.remedy}"
            result = self._result(status, "SIGINT" if interrupted else None, message=message)
            self.directory.write_result(result)

    def _after_space(self) -> str:
        return f"make room, then {typed('resume', self.directory.path)} goes on from the last checkpoint"


def write_observables(directory: RunDirectory, system: "Molecule", found: Any) -> None:
    """Write natural_orbitals.npz, and rdm.npz where there are two-particle density matrices.

    Args:
        directory: The run folder.
        system: What was solved.
        found: Observables of the final state, or None.

    Raises:
        OSError: A file cannot be written.
    """
    if found is None:
        return
    if found.two_body is not None:
        from nnbf.observables.density_matrices import density_arrays

        write_archive(directory.density_file, density_arrays(found))
    if system.integrals.two_body.nbytes > MOST_BYTES:
        return
    from nnbf.observables import natural_orbital_system

    try:
        natural_orbital_system(system, found.natural).save(directory.natural_orbitals_file)
    except InputError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from error
        raise


def cannot_write(path: Path, error: OSError) -> InputError:
    """Say that the files that come before the first step cannot be written."""
    return InputError(f"{path} cannot be written ({_reason(error)}): make room there, or use another folder")


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, MemoryError):
        return "out of memory"
    return reason_of(error)
