"""Solve a problem inside a new run folder: the one place where solving and writing meet."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError
from hamiltonians.formats.fcidump import FileSpec
from hamiltonians.molecule.spec import MoleculeSpec
from nnbf.runs.checkpoint import INTERVAL, save_checkpoint
from nnbf.runs.directory import RunDirectory, default_folder, require_free
from nnbf.runs.job import Job
from nnbf.runs.prepared_start import PreparedStart, prepare_start
from nnbf.runs.record import config_record
from nnbf.runs.session import CompletedRun, OnLevel, OnRow, Session, Warn, cannot_write
from nnbf.runs.signals import StopRequest

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
    problem: object | None = None,
    method: str = "selected",
    start_from: str | Path | PreparedStart | None = None,
    **rest: Any,
) -> CompletedRun:
    """Solve a molecular system and write a run folder; see `run_job`.

    Args:
        system: What to solve.
        options: How to solve it; by default the method's own options.
        problem: Data class that `system` was built from, for config.json.
        method: Name of the method, such as selected or vmc.
        start_from: Run folder whose trained state is where this run starts: a neighbouring geometry, to whose
            orbitals those of `system` are turned. What is needed of it is copied.
        rest: Further arguments of `run_job`.

    Raises:
        InputError: As `run_job`, or solver and start do not fit.
    """
    from nnbf.drivers.methods import make_options

    options = make_options(system.format) if options is None else options
    if isinstance(start_from, str | Path):
        start_from = prepare_start(start_from, system, options)
    if start_from is not None:
        system = start_from.system
    command = "fcidump" if isinstance(problem, FileSpec) else "molecule"
    job = Job(command, system, options, method=method, described=problem)
    return run_job(job, start=start_from, **rest)


def run_job(
    job: Job,
    *,
    out: str | Path | None = None,
    command_line: str = "",
    checkpoint_interval: float = INTERVAL,
    on_start: Callable[[RunDirectory], None] | None = None,
    on_row: OnRow | None = None,
    on_level: OnLevel | None = None,
    warn: Warn | None = None,
    stop: StopRequest | None = None,
    start: PreparedStart | None = None,
) -> CompletedRun:
    """Compute the levels of a problem and write a run folder.

    Ctrl-C and SIGTERM end the run after the current step, with a result; a second Ctrl-C ends it at
    once, with the history so far. Whatever ends it, `resume_run` goes on.

    Args:
        job: What to compute.
        out: The folder; by default one under runs/, named after the problem.
        command_line: What the user typed, for config.json.
        checkpoint_interval: Seconds between checkpoints; 0 saves before every step.
        on_start: Called with the folder before the first step.
        on_row: Called with every row of the history.
        on_level: Called with the record of each level of a lattice.
        warn: Told at once of what goes wrong without ending the run.
        stop: Asks for a stop; by default one that listens to signals.
        start: State to start from, for molecules.

    Raises:
        InputError: The folder is taken or cannot be written, or options and problem do not fit
            (nothing is left behind).
        RunError: Solving broke off.
        KeyboardInterrupt: On a second Ctrl-C, after the records were written.
    """
    job.require()
    config = config_record(
        job,
        command_line=command_line,
        checkpoint_interval=checkpoint_interval,
        start=None if start is None else start.record,
    )
    directory = RunDirectory.create(default_folder(job.words) if out is None else out)
    with stop or StopRequest() as request:
        try:
            # A folder with a config.json can be resumed: it comes last.
            directory.write_problem(job.problem)
            if start is not None and start.checkpoint is not None:
                begin = start.checkpoint
                save_checkpoint(directory.start_file, begin.parameters, begin.determinants, begin.network)
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
            session = Session(directory, config, job, history, directory.checkpoints(config))
            try:
                return session.run(request, on_row=on_row, on_level=on_level, warn=warn)
            except InputError:
                if history.count == 0:
                    directory.discard()
                raise
