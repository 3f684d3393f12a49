"""Solve a system inside a run folder: the one place where solving and writing meet."""

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError, one_line
from nnbf.rundir.directory import HistoryWriter, RunDirectory, default_folder, require_free
from nnbf.rundir.problem import MoleculeProblem
from nnbf.rundir.record import config_record, failure_record, result_record
from nnbf.rundir.signals import StopRequest

if TYPE_CHECKING:
    from hamiltonians import MolecularSystem
    from nnbf.drivers.ground_state import SolveResult
    from nnbf.drivers.options import SolverOptions

OnStep = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, eq=False)
class CompletedRun:
    """A run that ended in an orderly way."""

    directory: RunDirectory
    """Where everything was written."""
    result: dict[str, Any]
    """The content of result.json."""
    solution: "SolveResult"
    """What the solver returned, with parameters and determinants."""


class RunError(RuntimeError):
    """Raised when solving broke off; result.json then says "failed", and the history is kept."""

    def __init__(self, message: str, directory: RunDirectory) -> None:
        super().__init__(message)
        self.directory = directory
        """The folder of the run."""


def run_molecule(
    problem: MoleculeProblem,
    options: "SolverOptions | None" = None,
    *,
    out: str | Path | None = None,
    **rest: Any,
) -> CompletedRun:
    """Build a molecule and solve it in a run folder; see `run_system`.

    Example:
        >>> run = run_molecule(MoleculeProblem("H2"))  # doctest: +SKIP
        >>> run.result["energy"]  # doctest: +SKIP
    """
    if out is not None:
        require_free(out)  # before the time that building takes
    return run_system(problem.build(), options, out=out, problem=problem, **rest)


def run_system(
    system: "MolecularSystem",
    options: "SolverOptions | None" = None,
    *,
    out: str | Path | None = None,
    problem: object | None = None,
    method: str = "selected",
    command_line: str = "",
    on_start: Callable[[RunDirectory], None] | None = None,
    on_step: OnStep | None = None,
    stop: StopRequest | None = None,
) -> CompletedRun:
    """Solve a system and write a run folder.

    Ctrl-C and SIGTERM end the run after the current step, with a result; a second Ctrl-C ends it at
    once, with the history so far and a result that says "failed".

    Args:
        system: What to solve.
        options: How to solve it; by default `SolverOptions()`.
        out: The folder; by default runs/<name>_<basis>_<time>.
        problem: Data class that `system` was built from, for config.json.
        method: Name of the method, for the records.
        command_line: What the user typed, for config.json.
        on_start: Called with the folder before the first step.
        on_step: Called with every row of the history.
        stop: Asks for a stop; by default one that listens to signals.

    Raises:
        InputError: The folder is taken, or solver and system do not fit (nothing is left behind).
        RunError: Solving broke off.
        KeyboardInterrupt: On a second Ctrl-C, after the records were written.
    """
    if options is None:
        from nnbf.drivers.options import SolverOptions

        options = SolverOptions()
    config = config_record(system, options, method=method, problem=problem, command_line=command_line)
    directory = RunDirectory.create(default_folder(system.info) if out is None else out)
    directory.write_config(config)
    directory.write_system(system)
    started = time.monotonic()
    with directory.history() as history, stop or StopRequest() as request:
        try:
            if on_start is not None:
                on_start(directory)
            solution = _solve(system, options, history, on_step, request)
        except InputError:
            if history.count == 0:
                directory.discard()
            raise
        except (Exception, KeyboardInterrupt) as error:
            elapsed = time.monotonic() - started
            _record_failure(directory, config, history, system.info.warnings, error, elapsed)
            if isinstance(error, KeyboardInterrupt):
                raise
            raise RunError(_reason(error), directory) from error
    warnings = tuple(dict.fromkeys((*system.info.warnings, *solution.warnings)))
    if request.reason is not None:
        warnings = (*warnings, f"stopped by {request.reason} before it was done")
    result = result_record(solution, config, warnings, request.reason)
    directory.write_checkpoint(solution.parameters, solution.determinants)
    directory.write_result(result)
    return CompletedRun(directory, directory.read_result(), solution)


def _solve(
    system: "MolecularSystem",
    options: "SolverOptions",
    history: HistoryWriter,
    on_step: OnStep | None,
    request: StopRequest,
) -> "SolveResult":
    from nnbf.drivers.ground_state import solve

    def record(row: dict[str, Any]) -> None:
        history.append(row)
        if on_step is not None:
            on_step(row)

    return solve(system, options, on_step=record, should_stop=request)


def _record_failure(
    directory: RunDirectory,
    config: Mapping[str, Any],
    history: HistoryWriter,
    warnings: tuple[str, ...],
    error: BaseException,
    elapsed: float,
) -> None:
    (directory.path / "failure.txt").write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    record = failure_record(config, history.last, _reason(error), warnings, elapsed)
    directory.write_result(record)


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, MemoryError):
        return "out of memory"
    return one_line(error)
