"""The command `nnbf response`: spectra of the trained state of a run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import extra
from nnbf._text import Table, typed
from nnbf.cli.console import Progress, say_error, say_warning
from nnbf.cli.main import DONE, FAILED
from nnbf.cli.parsing import parse_command
from nnbf.response.response_options import ResponseOptions

if TYPE_CHECKING:
    from nnbf.runs.response_run import RunResponse

_EXAMPLES = (
    "nnbf response runs/water",
    "nnbf response runs/water --operator removal --max-space 50000",
    'nnbf response runs/tv --operator density --momenta "X M" --broadening 0.05',
    "nnbf response runs/hubbard --operator current",
)
_PEAKS = 12  # in a table


@dataclass(frozen=True)
class ResponseTarget:
    """What responds."""

    folder: str
    """Run folder of a molecule or a lattice."""


@dataclass(frozen=True)
class ResponseOutput:
    """Files, and what is printed."""

    out: str | None = None
    """Folder of the files; left out: response/ in the run folder, from where the report takes them."""
    quiet: bool = False
    """Print only the tables."""


@dataclass(frozen=True)
class ResponseCommand:
    """Spectra of a trained state, by Lanczos: absorption, ionisation, S(q, omega), A(k, omega), conductivity.

    From O|psi>, with the amplitudes of the network, in a space that is all that H reaches, or is regrown by
    amplitude; beside it the same of the eigenvector of H on the configurations of the state.
    """

    target: ResponseTarget
    """What responds."""
    response: ResponseOptions = field(default_factory=ResponseOptions)
    """To what, and how far."""
    output: ResponseOutput = field(default_factory=ResponseOutput)
    """Files, and what is printed."""


def response(arguments: Sequence[str]) -> int:
    """Run `nnbf response` and return its exit code."""
    command = parse_command(ResponseCommand, arguments, prog="nnbf response", examples=_EXAMPLES)
    from nnbf.runs.response_run import respond

    shown = Progress(quiet=command.output.quiet, options=ResponseCommand)
    try:
        done = respond(
            command.target.folder,
            command.response,
            out=command.output.out,
            note=lambda what: shown.show(f"{what} ..."),
        )
    except FloatingPointError as error:
        say_error(f"{error}: {typed('resume', command.target.folder)} goes on from the last checkpoint")
        return FAILED
    for warning in done.record["warnings"]:
        shown.warn(warning)
    files = [f"record      {done.file}", f"tables      {done.file.with_suffix('')}_*.csv"]
    files += _report(done, command.output.out)
    shown.tables(_tables(done), [*_sums(done), *files])
    return DONE


def _tables(done: "RunResponse") -> list[Table]:
    from nnbf.report.response_tables import peaks_table

    return [peaks_table(done.record, most=_PEAKS)]


def _report(done: "RunResponse", out: str | None) -> list[str]:
    """Write the pictures beside the record, and the report of the run again; return where they are."""
    from nnbf.cli.report import written_report
    from nnbf.report.response_figures import write_pictures

    warn = lambda why: say_warning(f"the response is safe, but {why}")  # noqa: E731
    pictures = extra("the picture", lambda: write_pictures(done.record, done.file), warn) or []
    lines = [f"picture     {picture}" for picture in pictures]
    if out is None:
        found: Any = extra("the report", lambda: written_report(done.directory.path), warn) or []
        lines += [line for line in found if line.startswith("page")]
    return lines


def _sums(done: "RunResponse") -> list[str]:
    from nnbf.report.response_tables import sum_lines

    return sum_lines(done.record)
