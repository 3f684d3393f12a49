"""What the points of a sweep say together: basis-set limits, curves, growth with size."""

from collections.abc import Callable, Sequence
from pathlib import Path

from hamiltonians.errors import one_line
from nnbf._io import write_atomically
from nnbf.report.plot import png
from nnbf.sweep.findings import Findings, PointRecord
from nnbf.sweep.growth import find_growth
from nnbf.sweep.limits import find_limits
from nnbf.sweep.plan import SweepPlan
from nnbf.sweep.scans import find_curves

_MAKERS: dict[str, Callable[[SweepPlan, Sequence[PointRecord], Findings], None]] = {
    "basis_limit": find_limits,
    "curve": find_curves,
    "scaling": find_growth,
}
_AUTOMATIC = ("basis_limit", "curve")


def analyse(plan: SweepPlan, records: Sequence[PointRecord]) -> Findings:
    """Make the analyses that the manifest asks for; without a word from it, those that suggest themselves.

    What cannot be made is a note: nothing is raised, so that the tables are written whatever happens.
    """
    found = Findings()
    kinds = plan.manifest.analysis.kinds
    if kinds is None:
        kinds = _AUTOMATIC if plan.command == "molecule" else ()
    for kind in kinds:
        try:
            _MAKERS[kind](plan, records, found)
        except Exception as error:  # the tables matter more than what is made of them
            found.notes.append(f"no {kind.replace('_', ' ')}: {type(error).__name__}: {one_line(error)}")
    return found


def draw_findings(plan: SweepPlan, found: Findings) -> list[str]:
    """Write the pictures into the folder of the sweep.

    Returns:
        One line for each that could not be made.
    """
    problems = []
    for finding in found.all:
        try:
            _write_picture(plan.folder.path / finding.picture, png(finding.draw()))
        except Exception as error:  # as above
            problems.append(f"no {finding.picture}: {type(error).__name__}: {one_line(error)}")
    return problems


def _write_picture(path: Path, content: bytes) -> None:
    write_atomically(path, lambda stream: stream.write(content))
