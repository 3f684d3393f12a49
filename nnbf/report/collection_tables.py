"""The tables of many runs: for the page, for Markdown and for papers."""

from collections.abc import Mapping, Sequence
from typing import Any

from nnbf import _text
from nnbf._text import Cell, Column, Table, value_with_error
from nnbf.report.method import code_reference
from nnbf.report.sources import Entry
from nnbf.report.summary import Summary
from nnbf.report.varbench_names import varbench_file

Runs = Sequence[tuple[Entry, Summary | None]]

BADGES = {
    "converged": "good",
    "failed": "bad",
    "damaged": "bad",
    "changed": "bad",
    "broken off": "bad",
}
"""Class of a status; others have none."""

_STATUS = {"time_limit": "time limit", "max_steps": "step limit"}
_UNITS = {"Hartree": "Ha"}
_LONG_LIST = 8


def status_words(status: str | None) -> str:
    """Return the status of a run in words."""
    return _STATUS.get(status or "", status or "unknown")


def status_cell(status: str) -> Cell:
    """Return the status of a run as a cell."""
    words = status_words(status)
    return Cell(words, words, style=f"status {BADGES.get(status, '')}".strip())


def difference(summary: Summary, *, unit: bool = True) -> str:
    """Return the distance to the best reference, with its error where the energy has one."""
    error = 1e3 * summary.energy.error if summary.energy is not None else 0.0
    text = _text.difference(summary.difference, error)
    return f"{text} {summary.milli}" if text and unit else text


def runs_table(runs: Runs, anchors: Mapping[str, str]) -> Table:
    """Return a row for each run.

    Args:
        runs: Runs, with their summaries where they can be read.
        anchors: Part of the page for each name of a run; empty: no links.
    """
    table = Table(
        [
            "run",
            "system",
            Column("energy", "right", "with the standard error of its last digits in brackets"),
            "unit",
            Column("kind", note="which energy it is: see the words below"),
            Column("difference", "right", "energy less that of the best reference"),
            "to",
            Column("variance", "right"),
            Column("V-score", "right", "degrees of freedom · variance / (energy − E∞)²"),
            Column("states", "right", "determinants in V, or states of the symmetry sector"),
            Column("parameters", "right"),
            Column("time", "right"),
            "status",
        ]
    )
    for entry, summary in runs:
        name = Cell(entry.name, entry.name, _link(entry.name, anchors))
        middle: list[Any] = [None] * (len(table.columns) - 2)
        if summary is not None:
            middle = [summary.system, *_numbers_of(summary)]
        table.add(name, *middle, status_cell(entry.status))
    return table.without_empty_columns()


def _numbers_of(summary: Summary) -> list[Any]:
    parameters = summary.run.result.get("n_parameters")
    return [
        _energy_cell(summary),
        _UNITS.get(summary.unit, summary.unit),
        summary.kind,
        Cell(difference(summary), summary.difference),
        summary.reference.label if summary.reference else "",
        Cell(_text.small(summary.variance), summary.variance),
        Cell(_text.small(summary.v_score), summary.v_score),
        Cell(_text.count(summary.states), summary.states),
        Cell(_text.count(parameters), parameters),
        Cell(_text.duration(summary.seconds), summary.seconds),
    ]


def points_table(points: Runs, anchors: Mapping[str, str]) -> Table:
    """Return a row for each point of a sweep, with its coordinates."""
    names = list(dict.fromkeys(name for entry, _ in points for name in entry.coordinates))
    numeric = {name: _all_numbers(entry.coordinates.get(name) for entry, _ in points) for name in names}
    right = ("energy", "difference", "⟨S²⟩", "V-score", "time")
    coordinates = [Column(name.replace("_", "-"), "right" if numeric[name] else "left") for name in names]
    numbers = (Column(title, "right") for title in right)
    table = Table([Column("point"), *coordinates, *numbers, Column("status")])
    for entry, summary in points:
        row = [Cell(entry.path.name, entry.path.name, _link(entry.name, anchors))]
        for name in names:
            value = entry.coordinates.get(name)
            row.append(Cell("" if value is None else _text.setting(value), value))
        row += [Cell("")] * 5 if summary is None else _point_cells(summary)
        table.add(*row, status_cell(entry.status))
    return table.without_empty_columns()


def _point_cells(summary: Summary) -> list[Cell]:
    spin = summary.run.result.get("s_squared")
    return [
        _energy_cell(summary),
        Cell(difference(summary), summary.difference),
        Cell("" if spin is None else f"{abs(spin):.4f}", spin),
        Cell(_text.small(summary.v_score), summary.v_score),
        Cell(_text.duration(summary.seconds), summary.seconds),
    ]


def v_scores_table(summaries: Sequence[Summary], anchors: Mapping[str, str]) -> Table:
    """Return VarBench rows for people: see `nnbf.report.records.varbench_table` for all digits."""
    right = ("energy", "sigma", "variance", "dof", "E∞", "V-score")
    numbers = (Column(title, "right") for title in right)
    columns = [Column("system"), *numbers, Column("kind"), Column("method", "wide")]
    table = Table([*columns, Column("reference"), Column("file of VarBench")])
    for summary in summaries:
        energy, hot = summary.energy, summary.infinite_temperature.energy
        if energy is None:
            continue
        sigma = energy.error or None
        table.add(
            Cell(summary.system, summary.system, _link(summary.entry.name, anchors)),
            Cell(f"{energy.value:.10g}" if sigma else f"{energy.value:.12g}", energy.value),
            Cell(_text.small(sigma), sigma),
            Cell(_text.small(summary.variance), summary.variance),
            Cell(_text.count(summary.dof), summary.dof),
            Cell("" if hot is None else f"{hot:.6f}", hot),
            Cell(_text.small(summary.v_score), summary.v_score),
            summary.kind,
            summary.method,
            code_reference(summary.run),
            (varbench_file(summary.run.system) if summary.run.is_lattice else None) or "",
        )
    return table.without_empty_columns()


def paper_tables(summaries: Sequence[Summary]) -> list[tuple[str, Table]]:
    """Return (label, table) for a paper: energies of molecules and of lattices, V-scores."""
    found = []
    for unit in dict.fromkeys(summary.unit for summary in summaries):
        chosen = [s for s in summaries if s.unit == unit and s.energy is not None]
        what = "molecules" if unit == "Hartree" else "lattice models"
        found.append((f"tab:nnbf-{what.split()[0]}", _paper_energies(chosen, what)))
    if summaries:
        right = (Column(title, "right") for title in ("Energy", "Variance", "DOF", "E∞", "V-score"))
        scores = Table(["System", *right], caption="Variances and V-scores.")
        for summary in summaries:
            hot = summary.infinite_temperature.energy
            scores.add(
                summary.system, _energy_cell(summary), _text.small(summary.variance),
                _text.count(summary.dof), "" if hot is None else f"{hot:.6f}", _text.small(summary.v_score),
            )  # fmt: skip
        found.append(("tab:nnbf-vscores", scores))
    return found


def _paper_energies(summaries: Sequence[Summary], what: str) -> Table:
    unit, milli = summaries[0].unit, summaries[0].milli
    energy, away = Column(f"Energy ({unit})", "right"), Column(f"Difference ({milli})", "right")
    table = Table(["System", "Kind", energy, "Reference", energy, away], caption=f"Energies of {what}.")
    for summary in summaries:
        reference = summary.reference
        table.add(
            summary.system,
            summary.kind,
            _energy_cell(summary),
            reference.label if reference else "",
            value_with_error(reference.energy, None) if reference else "",
            difference(summary, unit=False),
        )
    return table


def extra_table(value: Any) -> Table | None:
    """Return what sweep.json says beside its points as a table, a row for each object; None for others."""
    if isinstance(value, Mapping) and value and all(isinstance(item, Mapping) for item in value.values()):
        value = [{"": key, **item} for key, item in value.items()]
    if not isinstance(value, list) or not value or not all(isinstance(item, Mapping) for item in value):
        return None
    keys = dict.fromkeys(key for item in value for key in item if not key.endswith("error"))
    columns = [
        Column(key.replace("_", " "), "right" if _all_numbers(item.get(key) for item in value) else "left")
        for key in keys
    ]
    table = Table(columns, ([_with_error(item, key) for key in keys] for item in value))
    return table.without_empty_columns()


def brief(value: Any) -> str:
    """Return any value as text; nothing for long lists and nested objects, which stand in records.json."""
    items = list(value.values()) if isinstance(value, Mapping) else value
    if value is None:
        return ""
    if isinstance(items, list):
        flat = all(not isinstance(item, list | Mapping) for item in items)
        return _text.setting(value) if flat and len(items) <= _LONG_LIST else ""
    return f"{value:.8g}" if isinstance(value, float) else _text.setting(value)


def _with_error(item: Mapping[str, Any], key: str) -> Cell:
    """A number with its error, which stands beside it as "error" (of an energy) or as "<key>_error"."""
    value = item.get(key)
    error = item.get(f"{key}_error", item.get("error") if key == "energy" else None)
    if isinstance(value, float) and isinstance(error, int | float):
        return Cell(value_with_error(value, error), value)
    return Cell(brief(value), value if isinstance(value, int | float) else None)


def _energy_cell(summary: Summary) -> Cell:
    energy = summary.energy
    return Cell("") if energy is None else Cell(value_with_error(energy.value, energy.error), energy.value)


def _link(name: str, anchors: Mapping[str, str]) -> str | None:
    return f"#{anchors[name]}" if name in anchors else None


def _all_numbers(values: Any) -> bool:
    return all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
    )
