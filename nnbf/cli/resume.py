"""The command `nnbf resume`: go on with a run of any kind from its last checkpoint."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Interval

from hamiltonians.errors import InputError
from nnbf._options import Checked
from nnbf.cli.console import Progress, counted
from nnbf.cli.main import DONE
from nnbf.cli.options import parse_command
from nnbf.cli.solve import molecular_job, run_sectors, sectors_job, shown_run

if TYPE_CHECKING:
    from nnbf.runs import StopRequest

_EXAMPLES = ("nnbf resume runs/demo", "nnbf resume runs/demo --time-limit 3600 --max-steps 5000")


@dataclass(frozen=True)
class ResumeTarget:
    """What to go on with."""

    folder: str
    """Run folder."""


@dataclass(frozen=True)
class ResumeOptions(Checked):
    """Limits, and what is printed; everything else is as the run began."""

    max_steps: Annotated[int, Ge(1)] | None = None
    """Most optimisation steps, those made already included; left out: as before."""
    time_limit: Annotated[float, Interval(gt=0, le=math.inf)] | None = None
    """Stop optimising after this many seconds from now (inf: no limit); left out: as before, from now."""
    quiet: bool = False
    """Print only the final table."""


@dataclass(frozen=True)
class ResumeCommand:
    """Go on with a run that was stopped, killed or at its limit, from its last checkpoint.

    On the same machine the outcome is bit by bit that of a run that never stopped.
    """

    target: ResumeTarget
    """What to go on with."""
    options: ResumeOptions = field(default_factory=ResumeOptions)
    """Limits, and what is printed."""


def resume(arguments: Sequence[str]) -> int:
    """Run `nnbf resume` and return its exit code."""
    command = parse_command(ResumeCommand, arguments, prog="nnbf resume", examples=_EXAMPLES)
    from nnbf.runs.schema import is_lattice, load_config

    if is_lattice(load_config(command.target.folder)):
        return _sectors(command)
    return _molecule(command, shlex.join(["nnbf", "resume", *arguments]))


def _sectors(command: ResumeCommand) -> int:
    from nnbf.runs.schema import load_config
    from nnbf.runs.spectrum import resumed_spectrum

    options = command.options
    if load_config(command.target.folder)["command"] == "charge":
        raise InputError("charge excitations are not resumed: run the command in its config.json again")
    if options.max_steps is not None:
        raise InputError("a spectrum is resumed sector by sector: max_steps cannot be changed")
    directory, plan = resumed_spectrum(command.target.folder, options.time_limit)
    if not plan.remaining():
        print(f"{directory.path}: {counted(len(plan.sectors), 'sector')} done, nothing is missing")
        return DONE

    def run(progress: Progress, stop: "StopRequest") -> Path:
        return run_sectors(plan, directory, directory.read_config(), progress, stop)

    return shown_run(sectors_job(plan, run), Progress(quiet=options.quiet, time_limit=plan.limits.time_limit))


def _molecule(command: ResumeCommand, command_line: str) -> int:
    from nnbf.runs import plan_resumption, resume_run

    options = command.options
    plan = plan_resumption(command.target.folder, max_steps=options.max_steps, time_limit=options.time_limit)
    if plan.nothing_to_do is not None:
        print(f"{plan.directory.path}: {plan.nothing_to_do}")
        return DONE
    system = plan.directory.read_system()

    def run(progress: Progress, stop: "StopRequest") -> Path:
        done = resume_run(
            plan,
            system,
            command_line=command_line,
            on_start=lambda directory, step: progress.begun(directory.path, step),
            on_step=progress.row,
            warn=progress.warn,
            stop=stop,
        )
        return done.directory.path

    return shown_run(
        molecular_job(system, run), Progress(quiet=options.quiet, time_limit=plan.options.time_limit)
    )
