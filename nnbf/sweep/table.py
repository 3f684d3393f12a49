"""The tables of a sweep, made from what is on disk: sweep.csv, sweep.json, sweep.md, and timings.csv.

Everything that depends on the machine or on interruptions is in timings.csv (and in `timings` of sweep.json,
and the last column of sweep.md): sweep.csv is the same however often the sweep was killed.
"""

import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nnbf._io import write_atomically, write_json
from nnbf._text import markdown_table
from nnbf.report.energies import best_reference
from nnbf.runs.directory import RunDirectory
from nnbf.sweep.columns import COST_COLUMNS, RESULT_COLUMNS, SIZES, TIME_COLUMNS
from nnbf.sweep.findings import PointRecord
from nnbf.sweep.folder import PointState, SweepFolder
from nnbf.sweep.lock import locked
from nnbf.sweep.plan import SweepPlan
from nnbf.sweep.points import Point
from nnbf.sweep.process import read_attempts

FORMAT = 1
"""Version of the layout of sweep.json."""

_MARKDOWN = (
    ("energy", "energy", ".8f"),
    ("±", "energy_error", ".1e"),
    ("kind", "energy_kind", ""),
    ("error (10⁻³)", "error_milli", "+.4f"),
    ("HF", "hf", ".8f"),
    ("CCSD(T)", "ccsd_t", ".8f"),
    ("FCI", "fci", ".8f"),
    ("ED", "ed", ".8f"),
    ("<S²>", "s_squared", ".4f"),
    ("dipole (D)", "dipole_debye", ".4f"),
    ("|V|", "n_determinants", ",d"),
    ("parameters", "n_parameters", ",d"),
    ("steps", "n_steps", ",d"),
    ("from", "started_from", ""),
    ("status", "status", ""),
)


class TableWriter:
    """Writes the tables of a sweep, as often as that is cheap."""

    def __init__(self, plan: SweepPlan) -> None:
        self._plan = plan
        self._next = 0.0

    def update(self) -> None:
        """Write the tables, unless that would take more than a twentieth of the time."""
        if time.monotonic() >= self._next:
            self.write()

    def write(self, *, final: bool = False) -> None:
        """Write the tables; at the end (`final`) with the analyses and their pictures.

        Raises:
            OSError: They cannot be written.
        """
        started = time.monotonic()
        write_tables(self._plan, final=final)
        ended = time.monotonic()
        self._next = ended + 20 * (ended - started)


def write_tables(plan: SweepPlan, extra: Mapping[str, Any] | None = None, *, final: bool = True) -> None:
    """Write all tables, each atomically, from the state of the folder.

    Args:
        plan: The sweep.
        extra: Further keys of sweep.json.
        final: Whether to analyse the points too, and draw what is found.

    Raises:
        OSError: They cannot be written.
    """
    folder = plan.folder
    # Two sweeps at once: the later state is written last.
    with locked(folder.table_lock):
        records = [point_record(plan, point) for point in plan.points]
        rows = [record.row for record in records]
        timings = [record.timing for record in records]
        names = coordinate_names(plan.points)
        _write_text(folder.path / "sweep.csv", _csv((*names, *RESULT_COLUMNS), rows))
        _write_text(folder.path / "timings.csv", _csv(TIME_COLUMNS, timings))
        _write_parquet(folder.path / "sweep.parquet", (*names, *RESULT_COLUMNS), rows)
        found: dict[str, Any] = {}
        text = _markdown(plan, names, rows, timings)
        if final:
            # Here, as SciPy and Matplotlib take their time.
            from nnbf.analysis import findings_markdown
            from nnbf.sweep.analyse import analyse, draw_findings

            findings = analyse(plan, records)
            findings.notes += draw_findings(plan, findings)
            found = findings.record()
            text += findings_markdown(found["analysis"])
        _write_text(folder.path / "sweep.md", "\n".join([*text, ""]))
        write_json(folder.path / "sweep.json", _json(plan, names, rows, timings, {**found, **(extra or {})}))


def point_record(plan: SweepPlan, point: Point) -> PointRecord:
    """Return what the folder says of a point."""
    state = plan.folder.state(point)
    row = point_row(plan, point, state)
    timing = _timing(plan.folder, point, state, 1e-3 * plan.manifest.analysis.accuracy_milli)
    return PointRecord(point, row, timing, state.result)


def coordinate_names(points: Sequence[Point]) -> tuple[str, ...]:
    """Return the coordinates that any point has, in the order in which they come up."""
    return tuple(dict.fromkeys(name for point in points for name in point.coordinates))


def point_row(plan: SweepPlan, point: Point, state: PointState) -> dict[str, Any]:
    """Return the columns of a point: its coordinates, then `RESULT_COLUMNS`; None where unknown."""
    row: dict[str, Any] = {**point.coordinates, **dict.fromkeys(RESULT_COLUMNS)}
    row.update(status=state.status, reason=state.reason, directory=point.name)
    result = state.result
    if result is None:
        return row
    for name in ("energy", "energy_error", "energy_kind", "variance", "v_score", "s_squared"):
        row[name] = result.get(name)
    for kind, estimate in (result.get("estimates") or {}).items():
        if kind in row:
            row[kind], row[f"{kind}_error"] = estimate.get("energy"), estimate.get("error")
    row.update({k: v for k, v in (result.get("references") or {}).items() if k in row})
    if (error := milli_error(result)) is not None:
        row["error_milli"] = error[0]
    dipole = (result.get("observables") or {}).get("dipole_debye")
    row["dipole_debye"] = dipole.get("norm") if dipole else None
    for name in ("n_determinants", "n_connected", "n_parameters", "n_steps"):
        row[name] = result.get(name)
    start = result.get("started_from")
    row["started_from"] = Path(start["folder"]).name if start else None
    for name in SIZES:
        row[name] = (result.get("system") or {}).get(name)
    return row


def milli_error(result: Mapping[str, Any]) -> tuple[float, str] | None:
    """Energy of a run less the exact one, in thousandths of its unit, and whose that is; None without one."""
    best, energy = best_reference(result.get("references") or {}), result.get("energy")
    if best is None or not best.is_exact or energy is None:
        return None
    return 1e3 * (energy - best.energy), best.label


def _timing(folder: SweepFolder, point: Point, state: PointState, accuracy: float) -> dict[str, Any]:
    attempts, seconds = read_attempts(folder, point)
    result = state.result or {}
    return {
        **dict.fromkeys(TIME_COLUMNS),
        **{name: result.get(name) for name in ("wall_time_s", *COST_COLUMNS)},
        **(_steps(folder.run(point), result, accuracy) if result else {}),
        "directory": point.name,
        "process_s": seconds,
        "attempts": attempts,
    }


def _steps(run: Path, result: Mapping[str, Any], accuracy: float) -> dict[str, float | None]:
    """What the history says of times."""
    from nnbf.analysis import time_per_step, time_to_accuracy

    try:
        rows = RunDirectory(run).read_history()
    except (OSError, ValueError):  # damaged, or moved away
        return {}
    best = best_reference(result.get("references") or {})
    exact = best.energy if best is not None and best.is_exact else None
    return {
        "time_per_step_s": time_per_step(rows),
        "time_to_accuracy_s": None if exact is None else time_to_accuracy(rows, exact, accuracy),
    }


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    return stream.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, list) else str(value)


def _json(
    plan: SweepPlan,
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    timings: Sequence[Mapping[str, Any]],
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    points = []
    for point, row in zip(plan.points, rows, strict=True):
        own = {column: row[column] for column in RESULT_COLUMNS}
        points.append(
            {"coordinates": point.coordinates, "options": point.options, "curve": point.curve, **own}
        )
    return {
        "format": FORMAT,
        "name": plan.name,
        "command": plan.command,
        "energy_unit": "Hartree" if plan.command in ("molecule", "fcidump") else "t",
        "coordinates": names,
        "points": points,
        **extra,
        "timings": {row["directory"]: {k: row[k] for k in TIME_COLUMNS[1:]} for row in timings},
    }


def _markdown(
    plan: SweepPlan,
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    timings: Sequence[Mapping[str, Any]],
) -> list[str]:
    shown = [entry for entry in _MARKDOWN if any(_given(entry[1], row[entry[1]]) for row in rows)]
    heads = [*(name.replace("_", "-") for name in names), *(head for head, _, _ in shown), "time (s)"]
    lines = []
    for row, timing in zip(rows, timings, strict=True):
        cells = [_cell(row.get(name)) for name in names]
        cells += [format(row[key], form) if _given(key, row[key]) else "" for _, key, form in shown]
        seconds = timing["wall_time_s"]
        lines.append([*cells, "" if seconds is None else f"{seconds:.1f}"])
    right = [len(names) + place for place, (_, _, form) in enumerate(shown) if form]
    right += [place for place, name in enumerate(names) if _numbers(row.get(name) for row in rows)]
    text = [f"# {plan.name}", "", markdown_table(heads, lines, numbers=(*right, len(heads) - 1))]
    failed = [row for row in rows if row["status"] == "failed"]
    if failed:
        text += ["", "Failed:", "", *(f"* {row['directory']}: {row['reason']}" for row in failed)]
    return text


def _given(key: str, value: Any) -> bool:
    # Sums over a space have no statistical error: a column of zeros would say nothing.
    return value is not None and not (key == "energy_error" and value == 0.0)


def _numbers(values: Any) -> bool:
    return all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
    )


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda stream: stream.write(text.encode()))


def _write_parquet(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    if find_spec("pyarrow") is None or find_spec("pandas") is None:
        return
    import pandas

    frame = pandas.DataFrame([{column: row.get(column) for column in columns} for row in rows])
    for name in frame.columns:
        if {type(value) for value in frame[name]} - {int, float, bool, str, type(None)}:
            frame[name] = frame[name].map(_cell)  # lists
    write_atomically(path, frame.to_parquet)
