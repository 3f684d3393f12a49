"""The command `nnbf resume`: go on with a run from its last checkpoint."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

from annotated_types import Ge, Interval

from hamiltonians.errors import InputError
from nnbf._options import Checked
from nnbf.cli._outcome import shown_run
from nnbf.cli.console import say_warning
from nnbf.cli.main import DONE
from nnbf.cli.options import parse_command

_EXAMPLES = ("nnbf resume runs/demo", "nnbf resume runs/demo --max-steps 2000 --time-limit 3600")


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
    from nnbf.cli._progress import Progress
    from nnbf.cli.spectrum import resume_spectrum
    from nnbf.runs import plan_resumption, resume_run
    from nnbf.runs.spectrum import command_of, is_spectrum

    options = command.options
    if is_spectrum(command.target.folder):
        if options.max_steps is not None:
            raise InputError("a spectrum is resumed sector by sector: max_steps cannot be changed")
        return resume_spectrum(command.target.folder, time_limit=options.time_limit, quiet=options.quiet)
    if command_of(command.target.folder) == "charge":
        raise InputError("charge excitations are not resumed: run the command in its config.json again")
    plan = plan_resumption(command.target.folder, max_steps=options.max_steps, time_limit=options.time_limit)
    if plan.nothing_to_do is not None:
        print(f"{plan.directory.path}: {plan.nothing_to_do}")
        return DONE
    progress = Progress(plan.options, quiet=options.quiet)
    system = plan.directory.read_system()
    for warning in system.info.warnings:
        say_warning(warning)
    run = partial(
        resume_run,
        plan,
        system,
        command_line=shlex.join(["nnbf", "resume", *arguments]),
        on_start=progress.resume,
    )
    return shown_run(run, system, progress, quiet=options.quiet)
