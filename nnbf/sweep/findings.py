"""The analyses of a sweep: basis-set limits, curves, growth with size, and their pictures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import one_line
from nnbf._io import write_atomically
from nnbf.report.style import png
from nnbf.report.sweep_figures import draw_basis_limit, draw_curve, draw_scaling
from nnbf.sweep.curve_findings import find_curves
from nnbf.sweep.limit_findings import find_limits
from nnbf.sweep.point_records import PointRecord
from nnbf.sweep.points import group_name
from nnbf.sweep.size_findings import find_growth
from nnbf.sweep.sweep_plan import SweepPlan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAKERS: dict[str, tuple[str, Callable[[SweepPlan, Sequence[PointRecord], list[str]], list[dict[str, Any]]]]]
_MAKERS = {
    "basis_limit": ("basis_limits", find_limits),
    "curve": ("curves", find_curves),
    "scaling": ("scaling", find_growth),
}
_AUTOMATIC = ("basis_limit", "curve")


def analyse(plan: SweepPlan, records: Sequence[PointRecord]) -> dict[str, list[Any]]:
    """Make the analyses that the manifest asks for; without a word from it, those that suggest themselves.

    Nothing is raised, so that the tables are written whatever happens.

    Returns:
        The entry ``analysis`` of sweep.json: records of `basis_limits`, `curves` and `scaling`, and `notes`,
        one line for each that could not be made.
    """
    notes: list[str] = []
    found: dict[str, list[Any]] = {name: [] for name, _ in _MAKERS.values()}
    kinds = plan.manifest.analysis.kinds
    if kinds is None:
        kinds = _AUTOMATIC if plan.command == "molecule" else ()
    for kind in kinds:
        name, make = _MAKERS[kind]
        try:
            found[name] = make(plan, records, notes)
        except Exception as error:  # the tables matter more than what is made of them
            notes.append(f"no {kind.replace('_', ' ')}: {type(error).__name__}: {one_line(error)}")
    return {**found, "notes": notes}


def draw_findings(plan: SweepPlan, analysis: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Write the pictures into the folder of the sweep.

    Returns:
        One line for each that could not be made.
    """
    problems = []
    for kind, draw in _PICTURES.items():
        for record in analysis[kind]:
            try:
                _write_picture(plan.folder.path / record["picture"], png(draw(record, plan.name)))
            except Exception as error:  # as above
                problems.append(f"no {record['picture']}: {type(error).__name__}: {one_line(error)}")
    return problems


def _draw_limit(record: Mapping[str, Any], sweep: str) -> "Figure":
    title = " ".join(filter(None, (group_name(record["group"]) or sweep, record["family"])))
    return draw_basis_limit(record, exact=record["exact"], title=title)


def _draw_curve(record: Mapping[str, Any], sweep: str) -> "Figure":
    constants = record["constants"].get("energy")
    title = record["name"] or sweep
    return draw_curve(record["points"], x="x", x_label=record["x_label"], constants=constants, title=title)


def _draw_growth(record: Mapping[str, Any], sweep: str) -> "Figure":
    group = "series" if any(record["series"]) else None
    rows, names = record["points"], record["quantities"]
    return draw_scaling(rows, names, against=record["against"], group=group, title=sweep)


_PICTURES = {"basis_limits": _draw_limit, "curves": _draw_curve, "scaling": _draw_growth}


def _write_picture(path: Path, content: bytes) -> None:
    write_atomically(path, lambda stream: stream.write(content))
