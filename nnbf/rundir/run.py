"""Solve a system inside a new run folder: the one place where solving and writing meet."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError
from nnbf.rundir.checkpointing import INTERVAL
from nnbf.rundir.directory import RunDirectory, default_folder, require_free
from nnbf.rundir.methods import method_named
from nnbf.rundir.problem import MoleculeProblem
from nnbf.rundir.record import config_record
from nnbf.rundir.session import CompletedRun, OnStep, Session, Warn, cannot_write
from nnbf.rundir.signals import StopRequest

if TYPE_CHECKING:
    from hamiltonians import MolecularSystem


def run_molecule(
    problem: MoleculeProblem,
    options: Any = None,
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
    options: Any = None,
    *,
    out: str | Path | None = None,
    problem: object | None = None,
    method: str = "selected",
    command_line: str = "",
    checkpoint_interval: float = INTERVAL,
    on_start: Callable[[RunDirectory], None] | None = None,
    on_step: OnStep | None = None,
    warn: Warn | None = None,
    stop: StopRequest | None = None,
) -> CompletedRun:
    """Solve a system and write a run folder.

    Ctrl-C and SIGTERM end the run after the current step, with a result; a second Ctrl-C ends it at
    once, with the history so far. Whatever ends it, `resume_run` goes on.

    Args:
        system: What to solve.
        options: How to solve it; by default the method's own options.
        out: The folder; by default runs/<name>_<basis>_<time>.
        problem: Data class that `system` was built from, for config.json.
        method: Name of the method, one of `nnbf.rundir.methods.METHODS`.
        command_line: What the user typed, for config.json.
        checkpoint_interval: Seconds between checkpoints; 0 saves before every step.
        on_start: Called with the folder before the first step.
        on_step: Called with every row of the history.
        warn: Told at once of what goes wrong without ending the run.
        stop: Asks for a stop; by default one that listens to signals.

    Raises:
        InputError: The folder is taken or cannot be written, or solver and system do not fit (nothing
            is left behind).
        RunError: Solving broke off.
        KeyboardInterrupt: On a second Ctrl-C, after the records were written.
    """
    if options is None:
        options = method_named(method).make_options()
    config = config_record(
        system,
        options,
        method=method,
        problem=problem,
        command_line=command_line,
        checkpoint_interval=checkpoint_interval,
    )
    directory = RunDirectory.create(default_folder(system.info) if out is None else out)
    with stop or StopRequest() as request:
        try:
            # A folder with a config.json can be resumed: it comes last.
            directory.write_system(system)
            directory.write_config(config)
            opened = directory.history()
        except (OSError, InputError) as error:
            directory.discard()
            if isinstance(error, InputError):
                raise
            raise cannot_write(directory.path, error) from error
        with opened as history:
            if on_start is not None:
                on_start(directory)
            session = Session(directory, config, system, options, history, directory.checkpoints(config))
            try:
                return session.run(request, on_step=on_step, warn=warn)
            except InputError:
                if history.count == 0:
                    directory.discard()
                raise
