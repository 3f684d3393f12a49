"""The command `nnbf resume`: go on with a run of any kind from its last checkpoint."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

from annotated_types import Ge, Interval

from nnbf._options import Checked
from nnbf.cli.commands import SOLVING
from nnbf.cli.console import Progress
from nnbf.cli.main import DONE
from nnbf.cli.parsing import option_fields, parse_command, with_flags
from nnbf.cli.solve import shown_run

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
    from nnbf.runs import plan_resumption, resume_run

    options = command.options
    plan = plan_resumption(command.target.folder, max_steps=options.max_steps, time_limit=options.time_limit)
    if plan.nothing_to_do is not None:
        print(f"{plan.directory.path}: {with_flags(plan.nothing_to_do, option_fields(ResumeCommand))}")
        return DONE
    limits = plan.job.limits or plan.job.options
    progress = Progress(
        quiet=options.quiet, time_limit=limits.time_limit, options=SOLVING[plan.job.command][0]
    )
    run = partial(
        resume_run,
        plan,
        command_line=shlex.join(["nnbf", "resume", *arguments]),
        on_start=lambda directory, step: progress.begun(directory.path, step),
    )
    return shown_run(run, plan.job, progress, n_done=plan.n_done)
