"""The command `nnbf report`: plot, page and tables again, from the files of run folders."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hamiltonians.errors import InputError
from nnbf.cli._parsing import parse_command
from nnbf.cli.main import DONE

_EXAMPLES = ("nnbf report runs/demo", "nnbf report runs/n2_* --out n2_comparison")


@dataclass(frozen=True)
class ReportTarget:
    """What to report on."""

    folders: tuple[str, ...]
    """Run folders; several are also compared with each other."""


@dataclass(frozen=True)
class ReportOutput:
    """Where the comparison goes."""

    out: str | None = None
    """Folder of the comparison of several runs; left out: "comparison" beside them."""
    quiet: bool = False
    """Print nothing."""


@dataclass(frozen=True)
class ReportCommand:
    """Write plot, page and tables into the report folder of runs, and compare several."""

    target: ReportTarget
    """What to report on."""
    output: ReportOutput = field(default_factory=ReportOutput)
    """Where the comparison goes."""


def report(arguments: Sequence[str]) -> int:
    """Run `nnbf report` and return its exit code."""
    command = parse_command(ReportCommand, arguments, prog="nnbf report", examples=_EXAMPLES)
    from nnbf.cli.charge import report_charge
    from nnbf.cli.spectrum import report_spectrum
    from nnbf.report import write_report
    from nnbf.rundir.spectrum import LATTICE_COMMANDS, command_of

    shown = {**dict.fromkeys(LATTICE_COMMANDS, report_spectrum), "charge": report_charge}
    alone = {
        folder: shown[name] for folder in command.target.folders if (name := command_of(folder)) in shown
    }
    if alone:
        folder, report_one = next(iter(alone.items()))
        if len(command.target.folders) > 1:
            raise InputError(f"{folder} is the run of a lattice model: 'nnbf report' shows one at a time")
        return report_one(folder, quiet=command.output.quiet)
    written = write_report(command.target.folders, out=command.output.out)
    if not command.output.quiet:
        print(f"page   {written.page}\nplot   {written.plot}\ntable  {written.table}")
    return DONE
