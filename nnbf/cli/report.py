"""The command `nnbf report`: the report of a run again, or one over many runs and sweeps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nnbf.cli.console import say_warning
from nnbf.cli.main import DONE
from nnbf.cli.options import parse_command

_EXAMPLES = (
    "nnbf report runs/demo",
    "nnbf report runs/n2_curve",
    "nnbf report runs/tv4 runs/n2_* --out n2_report",
)


@dataclass(frozen=True)
class ReportTarget:
    """What to report on."""

    folders: tuple[str, ...]
    """Run folders in any state, and folders of sweeps."""


@dataclass(frozen=True)
class ReportOutput:
    """Where the report goes."""

    out: str | None = None
    """Folder of the report over several runs; left out: "report" in the sweep, or beside the runs."""
    quiet: bool = False
    """Print nothing."""


@dataclass(frozen=True)
class ReportCommand:
    """Write the report of a run into its folder again, or one report over several runs and sweeps.

    That one is a page, with tables for papers (Markdown, LaTeX), VarBench rows and JSON records beside it.
    """

    target: ReportTarget
    """What to report on."""
    output: ReportOutput = field(default_factory=ReportOutput)
    """Where the report goes."""


def report(arguments: Sequence[str]) -> int:
    """Run `nnbf report` and return its exit code."""
    command = parse_command(ReportCommand, arguments, prog="nnbf report", examples=_EXAMPLES)
    folders, out, quiet = command.target.folders, command.output.out, command.output.quiet
    if len(folders) == 1 and out is None and not (Path(folders[0]).expanduser() / "sweep.json").is_file():
        return _one(folders[0], quiet=quiet)
    from nnbf.report import write_collection
    from nnbf.report.collection.sources import left_out

    written = write_collection(folders, out=out)
    if written.left_out:
        say_warning(f"left out: {left_out(written.left_out)}")
    if not quiet:
        unreadable = f", {written.n_unreadable} of them with nothing to read" if written.n_unreadable else ""
        print(f"{written.n_runs} runs{unreadable}")
        print(f"page      {written.page}\ntables    {written.markdown}, {written.latex.name}")
        print(f"varbench  {written.varbench}\nrecords   {written.records}")
    return DONE


def _one(folder: str, *, quiet: bool) -> int:
    """Write the report of one run into its folder."""
    from nnbf.cli.charge import report_charge
    from nnbf.cli.spectrum import report_spectrum
    from nnbf.report import write_report
    from nnbf.runs.spectrum import LATTICE_COMMANDS, command_of

    shown = {**dict.fromkeys(LATTICE_COMMANDS, report_spectrum), "charge": report_charge}
    name = command_of(folder)
    if name in shown:
        return shown[name](folder, quiet=quiet)
    written = write_report(folder)
    if not quiet:
        print(f"page   {written.page}\nplot   {written.plot}\ntable  {written.table}")
    return DONE
