"""Solve a system inside a new run folder: the one place where solving and writing meet."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError
from hamiltonians.molecule.spec import MoleculeSpec
from nnbf.drivers.methods import make_options
from nnbf.runs.checkpoint import INTERVAL, save_checkpoint
from nnbf.runs.directory import RunDirectory, default_folder, require_free
from nnbf.runs.record import config_record
from nnbf.runs.session import CompletedRun, OnStep, Session, Warn, cannot_write
from nnbf.runs.signals import StopRequest
from nnbf.runs.start import PreparedStart, prepare_start

if TYPE_CHECKING:
    from hamiltonians import Molecule


def run_molecule(
    problem: MoleculeSpec,
    options: Any = None,
    *,
    out: str | Path | None = None,
    **rest: Any,
) -> CompletedRun:
    """Build a molecule and solve it in a run folder; see `run_system`.

    Example:
        >>> run = run_molecule(MoleculeSpec("H2"))  # doctest: +SKIP
        >>> run.result["energy"]  # doctest: +SKIP
    """
    if out is not None:
        require_free(out)  # before the time that building takes
    return run_system(problem.build(), options, out=out, problem=problem, **rest)


def run_system(
    system: "Molecule",
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
    start_from: str | Path | PreparedStart | None = None,
) -> CompletedRun:
    """Solve a system and write a run folder.

    Ctrl-C and SIGTERM end the run after the current step, with a result; a second Ctrl-C ends it at
    once, with the history so far. Whatever ends it, `resume_run` goes on.

    Args:
        system: What to solve.
        options: How to solve it; by default the method's own options.
        out: The folder; by default runs/<name>_<basis>_<time>.
        problem: Data class that `system` was built from, for config.json.
        method: Name of the method, one of `nnbf.drivers.METHODS`.
        command_line: What the user typed, for config.json.
        checkpoint_interval: Seconds between checkpoints; 0 saves before every step.
        on_start: Called with the folder before the first step.
        on_step: Called with every row of the history.
        warn: Told at once of what goes wrong without ending the run.
        stop: Asks for a stop; by default one that listens to signals.
        start_from: Run folder whose trained state is where this run starts: a neighbouring geometry, to whose
            orbitals those of `system` are turned. What is needed of it is copied.

    Raises:
        InputError: The folder is taken or cannot be written, or solver and system (or start) do not fit
            (nothing is left behind).
        RunError: Solving broke off.
        KeyboardInterrupt: On a second Ctrl-C, after the records were written.
    """
    if options is None:
        options = make_options("molecule", method=method)
    start = start_from
    if isinstance(start, str | Path):
        start = prepare_start(start, system, options)
    if start is not None:
        system = start.system
    config = config_record(
        system,
        options,
        method=method,
        problem=problem,
        command_line=command_line,
        checkpoint_interval=checkpoint_interval,
        start=None if start is None else start.record,
    )
    directory = RunDirectory.create(default_folder(system.info) if out is None else out)
    with stop or StopRequest() as request:
        try:
            # A folder with a config.json can be resumed: it comes last.
            directory.write_system(system)
            if start is not None and start.checkpoint is not None:
                begin = start.checkpoint
                save_checkpoint(directory.start_file, begin.parameters, begin.determinants)
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
