"""Growth of a sweep's points with size: errors, times, spaces and memory, with power laws."""

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from nnbf.analysis import scaling_table
from nnbf.sweep.analysis_options import AnalysisOptions
from nnbf.sweep.point_records import PointRecord, listed
from nnbf.sweep.points import picture_name
from nnbf.sweep.result_columns import COST_COLUMNS
from nnbf.sweep.sweep_plan import SweepPlan

_FROM_TABLE = (
    "n_orbitals", "n_electrons", "n_determinants", "n_connected", "n_parameters", "fci_dimension", "variance",
    "v_score",
)  # fmt: skip


def find_growth(plan: SweepPlan, records: Sequence[PointRecord], notes: list[str]) -> list[dict[str, Any]]:
    """Fit power laws to all points that are done, in the series that the manifest asks for.

    Args:
        plan: The sweep.
        records: All its points.
        notes: Grows by one line for whatever is missing.
    """
    options = plan.manifest.analysis
    done = [record for record in records if record.result is not None]
    if not done:
        notes.append("no scaling: no point is done")
        return []
    if len(done) < len(records):
        notes.append(f"scaling made without {listed(r for r in records if r.result is None)}")
    rows = [size_row(record, options) for record in done]
    by_name = {row["series"]: [other for other in rows if other["series"] == row["series"]] for row in rows}
    made = []
    for against in options.against:
        quantities = [quantity for quantity in options.quantities if quantity != against]
        drawn = [name for name in quantities if any(_positive(row, against, name) for row in rows)]
        missing = [name for name in quantities if name not in drawn]
        if missing:
            notes.append(f"no point has both {against} and {', '.join(missing)}")
        if not drawn:
            continue
        series = {name: scaling_table(own, drawn, against=against).record() for name, own in by_name.items()}
        made.append(
            {
                "against": against,
                "quantities": drawn,
                "series": series,
                "points": rows,
                "picture": picture_name("scaling", against),
            }
        )
    return made


def size_row(record: PointRecord, options: AnalysisOptions) -> dict[str, Any]:
    """Return sizes, errors and costs of a point that is done; None where unknown."""
    row: dict[str, Any] = {"directory": record.point.name, "series": _series(record, options.series)}
    row.update({name: record.row.get(name) for name in _FROM_TABLE})
    row.update({name: record.timing.get(name) for name in ("wall_time_s", *COST_COLUMNS)})
    atoms = ((record.result or {}).get("system") or {}).get("atoms")
    row["n_atoms"] = len(atoms) if atoms else None
    row["n_spin_orbitals"] = None if row["n_orbitals"] is None else 2 * row["n_orbitals"]
    # Where V is the whole sector, what is left of the error is rounding and convergence thresholds.
    row["error_mha"] = None if row["n_connected"] == 0 else record.row.get("error_milli")
    if row["n_connected"] and row["n_determinants"]:
        row["connected_per_determinant"] = row["n_connected"] / row["n_determinants"]
    return row


def _series(record: PointRecord, series: str | Mapping[str, str] | None) -> str:
    if series is None:
        return ""
    if isinstance(series, str):
        return str(record.point.coordinates.get(series, record.point.options.get(series, "")))
    matching = (name for name, pattern in series.items() if fnmatch.fnmatchcase(record.point.name, pattern))
    return next(matching, "others")


def _positive(row: Mapping[str, Any], *keys: str) -> bool:
    return all((row.get(key) or 0.0) > 0 for key in keys)
