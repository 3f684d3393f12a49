"""How a sweep's points grow with size: errors, times, spaces and memory, with power laws."""

import fnmatch
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from nnbf.analysis import scaling_table
from nnbf.report.sweeps import draw_scaling
from nnbf.sweep.analysis_options import AnalysisOptions
from nnbf.sweep.columns import COST_COLUMNS
from nnbf.sweep.findings import Finding, Findings, PointRecord, listed, picture_name
from nnbf.sweep.plan import SweepPlan

_FROM_TABLE = (
    "n_orbitals", "n_electrons", "n_determinants", "n_connected", "n_parameters", "fci_dimension", "variance",
    "v_score",
)  # fmt: skip


def find_growth(plan: SweepPlan, records: Sequence[PointRecord], found: Findings) -> None:
    """Fit power laws to all points that are done, in the series that the manifest asks for."""
    options = plan.manifest.analysis
    done = [record for record in records if record.result is not None]
    if not done:
        found.notes.append("no scaling: no point is done")
        return
    if len(done) < len(records):
        left = [record for record in records if record.result is None]
        found.notes.append(f"scaling made without {listed(left)}")
    rows = [size_row(record, options) for record in done]
    for against in options.against:
        quantities = [quantity for quantity in options.quantities if quantity != against]
        drawn = [name for name in quantities if any(_positive(row, against, name) for row in rows)]
        missing = [name for name in quantities if name not in drawn]
        if missing:
            found.notes.append(f"no point has both {against} and {', '.join(missing)}")
        if not drawn:
            continue
        names = dict.fromkeys(row["series"] for row in rows)
        by_name = {name: [row for row in rows if row["series"] == name] for name in names}
        picture = picture_name("scaling", against)
        record = {
            "against": against,
            "quantities": drawn,
            "series": {
                name: scaling_table(own, drawn, against=against).record() for name, own in by_name.items()
            },
            "points": rows,
            "picture": picture,
        }
        group = "series" if options.series is not None else None
        draw = partial(draw_scaling, rows, drawn, against=against, group=group, title=plan.name)
        found.scaling.append(Finding(record, picture, draw))


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
