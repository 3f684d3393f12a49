"""The tables of a sweep, made from what is on disk: sweep.csv, sweep.json, sweep.md, states.csv, timings.csv.

Everything that depends on the machine or on interruptions is in timings.csv (and in `timings` of sweep.json,
and the last column of sweep.md): sweep.csv is the same however often the sweep was killed.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nnbf._io import write_atomically, write_bytes, write_json
from nnbf._text import Cell, Column, Table, value_with_error
from nnbf.analysis import findings_markdown
from nnbf.sweep.names import RESULT_COLUMNS, TIME_COLUMNS
from nnbf.sweep.point_records import PointRecord, point_records, state_rows
from nnbf.sweep.sweep_folder import locked
from nnbf.sweep.sweep_plan import SweepPlan

FORMAT = 1
"""Version of the layout of sweep.json."""

_SHOWN = {
    "energy": "energy",
    "energy_kind": "kind",
    "error_milli": "error (10⁻³)",
    "hf": "HF",
    "ccsd_t": "CCSD(T)",
    "fci": "FCI",
    "ed": "ED",
    "s_squared": "<S²>",
    "dipole_debye": "dipole (D)",
    "n_determinants": "|V|",
    "n_parameters": "parameters",
    "n_steps": "steps",
    "started_from": "from",
    "status": "status",
}
"""Columns of sweep.md, with their heads."""
_FORMS = {"error_milli": "+.4f", "s_squared": ".4f", "dipole_debye": ".4f"}
_WORDS = ("energy_kind", "started_from", "status")


@contextmanager
def tables_kept(plan: SweepPlan) -> Iterator[Callable[[], None]]:
    """Make the folder of a sweep; write its tables now and, with the analyses, at the end.

    Returns:
        A context whose value is a function that writes them anew, unless that would take more than a
        twentieth of the time.

    Raises:
        InputError: The folder cannot be made.
        OSError: Something cannot be written.
    """
    following = 0.0

    def update() -> None:
        nonlocal following
        started = time.monotonic()
        if started >= following:
            write_tables(plan, final=False)
            following = time.monotonic() + 20 * (time.monotonic() - started)

    plan.begin()
    update()
    try:
        yield update
    finally:
        write_tables(plan)


def write_tables(plan: SweepPlan, *, final: bool = True) -> None:
    """Write all tables, each atomically, from the state of the folder.

    Args:
        plan: The sweep.
        final: Whether to analyse the points too, and draw what is found.

    Raises:
        OSError: They cannot be written.
    """
    path = plan.folder.path
    # Two sweeps at once: the later state is written last.
    with locked(plan.folder.table_lock):
        records = point_records(plan)
        columns = (*_coordinates(plan), *RESULT_COLUMNS)
        write_bytes(path / "sweep.csv", _full(columns, [record.row for record in records]).csv())
        write_bytes(path / "timings.csv", _full(TIME_COLUMNS, [record.timing for record in records]).csv())
        states = [row for record in records for row in state_rows(record)]
        if states:
            write_bytes(path / "states.csv", _full(tuple(states[0]), states).csv())
        _write_parquet(path / "sweep.parquet", columns, records)
        found: dict[str, Any] = {}
        if final:
            # Here, as SciPy and Matplotlib take their time.
            from nnbf.sweep.findings import analyse, draw_findings

            analysis = analyse(plan, records)
            analysis["notes"] += draw_findings(plan, analysis)
            limits = analysis["basis_limits"]
            found = {"limits": limits[0] if limits else None, "analysis": analysis}
        text = [f"# {plan.name}", "", points_table(plan, records).markdown(), *_failures(records)]
        text += [*findings_markdown(found.get("analysis", {})), ""]
        write_bytes(path / "sweep.md", "\n".join(text))
        timings = {r.point.name: {key: r.timing[key] for key in TIME_COLUMNS[1:]} for r in records}
        write_json(path / "sweep.json", {**_content(plan, records), **found, "timings": timings})


def points_table(plan: SweepPlan, records: Sequence[PointRecord]) -> Table:
    """Return the most important columns of all points, for people."""
    names = _coordinates(plan)
    columns = [
        Column(name.replace("_", "-"), _side(record.row.get(name) for record in records)) for name in names
    ]
    columns += [Column(head, "left" if key in _WORDS else "right") for key, head in _SHOWN.items()]
    table = Table([*columns, Column("time (s)", "right")])
    for record in records:
        seconds = record.timing["wall_time_s"]
        cells: list[Any] = [_text(record.row.get(name)) for name in names]
        cells += [_shown(key, record.row) for key in _SHOWN]
        table.add(*cells, None if seconds is None else Cell(f"{seconds:.1f}", seconds))
    return table.without_empty_columns()


def _coordinates(plan: SweepPlan) -> tuple[str, ...]:
    """Return the coordinates that any point has, in the order in which they come up."""
    return tuple(dict.fromkeys(name for point in plan.points for name in point.coordinates))


def _full(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Table:
    return Table(columns, [[_text(row.get(column)) for column in columns] for row in rows])


def _text(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, list | bool) else str(value)


def _content(plan: SweepPlan, records: Sequence[PointRecord]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": plan.name,
        "command": plan.command,
        "energy_unit": "Hartree" if plan.command in ("molecule", "fcidump") else "t",
        "coordinates": _coordinates(plan),
        "points": [
            {
                "coordinates": record.point.coordinates,
                "options": record.point.options,
                "curve": record.point.curve,
                **{column: record.row[column] for column in RESULT_COLUMNS},
                **({"states": found} if (found := state_rows(record)) else {}),
            }
            for record in records
        ],
    }


def _failures(records: Sequence[PointRecord]) -> list[str]:
    rows = [record.row for record in records if record.row["status"] == "failed"]
    return ["", "Failed:", "", *(f"* {row['directory']}: {row['reason']}" for row in rows)] if rows else []


def _shown(key: str, row: Mapping[str, Any]) -> Any:
    value = row[key]
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return Cell(f"{value:,d}", value)
    if key in _FORMS:
        return Cell(format(value, _FORMS[key]), value)
    return Cell(value_with_error(value, row.get(f"{key}_error")), value)


def _side(values: Iterable[Any]) -> str:
    """Return where a column stands: numbers on the right."""
    kinds = {type(value) for value in values}
    return "right" if kinds <= {int, float, type(None)} else "left"


def _write_parquet(path: Path, columns: Sequence[str], records: Sequence[PointRecord]) -> None:
    if find_spec("pyarrow") is None or find_spec("pandas") is None:
        return
    import pandas

    frame = pandas.DataFrame([record.row for record in records], columns=columns)
    for name in frame.columns:
        if {type(value) for value in frame[name]} - {int, float, bool, str, type(None)}:
            frame[name] = frame[name].map(_text)  # lists
    write_atomically(path, frame.to_parquet)
