"""The tables of reports: of one run (energies, levels, observables, stages, excitations) and of many."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from nnbf import _text
from nnbf._text import Cell, Column, Table, value_with_error
from nnbf.estimate import KINDS, REFERENCES, reference_label
from nnbf.report.energies import Reference, best_reference, error_unit
from nnbf.report.hamiltonian_facts import varbench_file
from nnbf.report.reading import RunRecord
from nnbf.report.sources import Entry
from nnbf.report.term_tables import has_terms, terms_table

_OBSERVABLES = {
    "s_squared": ("⟨S²⟩", 4, ""),
    "s_z": ("S_z", 1, ""),
    "dipole_debye": ("dipole moment", 4, "debye"),
    "dipole_au": ("dipole moment (x, y, z)", 4, "e a₀"),
    "natural_occupations": ("natural occupations", 4, ""),
    "inverse_participation_ratio": ("inverse participation ratio", 4, ""),
    "energy_from_densities": ("energy from density matrices", 8, "Hartree"),
    "double_occupancy": ("double occupancy of a site", 4, ""),
    "correlation_ratio": ("correlation ratio", 4, ""),
}
"""Label, decimals and unit; other observables with a value are shown by their key."""
_VISIBLE_WEIGHT = 5e-4

_STATUS = {"time_limit": "time limit", "max_steps": "step limit"}
_BADGES = {"converged": "good", **dict.fromkeys(("failed", "damaged", "changed", "broken off"), "bad")}
"""Class of a status; others have none."""


def energies_table(
    result: Mapping[str, Any],
    references: Mapping[str, float | None] | None = None,
    *,
    with_notes: bool = True,
) -> Table:
    """Return all energies of a result: references first, from HF to exact, then the run's own.

    Args:
        result: Content of result.json.
        references: Energies of other methods; left out: those of the result.
        with_notes: Add a column with remarks about single energies.
    """
    references = (result.get("references") or {}) if references is None else references
    notes, best = result.get("reference_notes") or {}, best_reference(references)
    estimates = dict(result.get("estimates") or {})
    main = result.get("energy_kind")
    if result.get("energy") is not None:
        own = {"energy": result["energy"], "error": result.get("energy_error")}
        estimates.setdefault(str(main), own)
    unit = result.get("energy_unit") or "Hartree"
    away = f"{error_unit(unit)} to {best.label}" if best else "difference"
    table = Table(["", *_right((f"energy ({unit})", away)), "upper bound", Column("note", "wide")])
    for key in _ordered(references, REFERENCES):
        energy = references[key]
        if energy is not None:
            bound = REFERENCES.get(key, ("", "no"))[1]
            cells = _number(energy), _difference(energy, None, best)
            table.add(reference_label(key), *cells, bound, notes.get(key, "") if with_notes else "")
    for kind in _ordered(estimates, KINDS):
        found = estimates[kind] or {}
        if found.get("energy") is None:
            continue
        label, bound = KINDS.get(kind, (kind, "no"))
        # The references are those of the kept orbitals: the whole basis has others.
        comparable = None if kind == "mp2_corrected" else best
        energy, error = found["energy"], found.get("error")
        cells = _number(energy, error), _difference(energy, error, comparable)
        note = _remark(found) if with_notes else ""
        table.add(label, *cells, bound, note, main=kind == main)
    return table.without_empty_columns()


def _remark(estimate: Mapping[str, Any]) -> str:
    """Note of an energy, or what it took."""
    if estimate.get("note") or estimate.get("time_s") is None:
        return str(estimate.get("note") or "")
    return f"{_text.count(estimate['n_determinants'])} determinants in {_text.duration(estimate['time_s'])}"


def result_tables(result: Mapping[str, Any]) -> list[Table]:
    """Return the tables that say what came out: energies or levels; excitations and gap where there are some.

    Args:
        result: Content of result.json, in format 2.
    """
    found = [excitations_table(result), gap_table(result)]
    if has_terms(result.get("levels") or ()):
        return [terms_table(result["levels"], result["energy_unit"])]
    if not any(table.rows for table in found):
        several = len(result.get("levels") or ()) > 1 or result.get("command") == "spectrum"
        found = [
            levels_table(result["levels"], result["energy_unit"])
            if several
            else energies_table(result, with_notes=False)
        ]
    return [table for table in found if table.rows]


def levels_table(levels: Sequence[Mapping[str, Any]], unit: str) -> Table:
    """Return levels, lowest first, with distances to the lowest and to exact ones."""
    levels = sorted(levels, key=lambda level: level["energy"])
    milli = error_unit(unit)
    lowest = levels[0] if levels else {}
    numbers = (
        "level", f"energy ({unit})", f"above lowest ({unit})", f"to exact ({milli})", "variance", "V-score",
        "⟨S²⟩", "degeneracy", "states", "parameters",
    )  # fmt: skip
    table = Table(["particles", "sector", *_right(numbers), "status"])
    finished = all(level.get("status") == "converged" for level in levels)
    numbered = any(level.get("level") for level in levels)
    several = len({str(level.get("particles")) for level in levels}) > 1
    for level in levels:
        energy, error = level["energy"], level.get("error") or 0.0
        gap, both = energy - lowest["energy"], math.hypot(error, lowest.get("error") or 0.0)
        exact = None if level.get("reference") is None else Reference("ed", "ED", level["reference"])
        table.add(
            "+".join(map(str, level.get("particles") or ())) if several else "",
            level["sector"].get("label") or "",
            _shown(_text.count, level.get("level")) if numbered else "",
            _number(energy, error),
            _number(gap, both, 6) if level is not lowest else None,
            _difference(energy, error, exact),
            _shown(_text.small, level.get("variance")),
            _shown(_text.small, level.get("v_score")),
            _spin(level.get("s_squared")),
            *(_shown(_text.count, level.get(key)) for key in ("degeneracy", "n_states", "n_parameters")),
            "" if finished else str(level.get("status") or "").replace("_", " "),
            main=level is lowest and len(levels) > 1,
        )
    return table.without_empty_columns()


def observables_table(result: Mapping[str, Any]) -> Table:
    """Return the observables of a result with their errors: of molecules and lattices alike."""
    found = result.get("observables") or {}
    table = Table(["", Column("value", "right"), "unit", "kind"])
    for key in _ordered(found, _OBSERVABLES):
        entry = found[key]
        if not isinstance(entry, Mapping) or "value" not in entry:
            continue
        label, digits, unit = _OBSERVABLES.get(key, (key.replace("_", " "), 6, entry.get("unit") or ""))
        value, error = entry["value"], entry.get("error")
        if key == "dipole_debye":
            value, error = entry["norm"], entry["norm_error"]
        kind = str(entry.get("kind") or found.get("kind") or "")
        table.add(label, _values(value, error, digits), unit, KINDS.get(kind, (kind, ""))[0])
    symmetry = found.get("symmetry") or {}
    kind = KINDS.get(str(symmetry.get("kind")), ("", ""))[0]
    for name, weight in (symmetry.get("irreps") or {}).items():
        if weight.get("value") is not None and weight["value"] > _VISIBLE_WEIGHT:
            group = f"weight of {name} ({symmetry.get('little_group') or 'little group'})"
            table.add(group, _values(weight["value"], weight.get("error"), 4), "", kind)
    return table.without_empty_columns()


def determinants_table(result: Mapping[str, Any]) -> Table:
    """Return the largest determinants: alpha and beta occupations, and the weight."""
    table = Table(
        ["alpha orbitals", "beta orbitals", Column("weight", "right")], caption="Largest determinants"
    )
    for entry in (result.get("observables") or {}).get("largest_determinants") or ():
        occupied = [" ".join(map(str, entry[spin])) for spin in ("alpha", "beta")]
        table.add(*occupied, _values(entry["weight"], entry.get("error"), 6))
    return table


def density_checks(result: Mapping[str, Any]) -> dict[str, str]:
    """Return the checks of the density matrices as text, by name."""
    checks = (result.get("observables") or {}).get("checks") or {}
    return {name.replace("_", " "): _text.small(value) for name, value in checks.items()}


def stages_table(run: RunRecord) -> Table:
    """Return the ends of all stages, steps on one variational space, of a molecule."""
    best = best_reference(run.references)
    away = f"{run.milli} to {best.label}" if best else "difference"
    titles = ("|V|", "|C|", f"energy ({run.unit})", away, "variance on V", "time")
    table = Table(["steps", *_right(titles)])
    steps = [{"step": k, **row} for k, row in enumerate(run.history if run.is_molecule else ())]
    for _, rows in groupby(steps, key=lambda row: (row.get("stage"), row.get("n_space"))):
        first, *rest = rows
        last = rest[-1] if rest else first
        energy = last.get("energy")
        table.add(
            f"{first['step']}–{last['step']}",
            _shown(_text.count, last.get("n_space")),
            _shown(_text.count, last.get("n_connected")),
            _number(energy),
            None if energy is None else _difference(energy, None, best),
            _shown(_text.small, last.get("variance")),
            _shown(_text.duration, last.get("time_s")),
        )
    return table.without_empty_columns() if table.rows else table


def gap_table(result: Mapping[str, Any]) -> Table:
    """Return the energies of removal and addition, and the charge gap; no rows for other runs."""
    exact = result.get("exact") or {}
    names = {"mu_minus": "E(N) − E(N−1)", "mu_plus": "E(N+1) − E(N)", "charge_gap": "charge gap"}
    table = Table(["", Column("energy (t)", "right"), Column("exact", "right")])
    for key, label in names.items():
        if result.get(key) is not None:
            error = result.get(f"{key}_error")
            table.add(label, _number(result[key], error), _number(exact.get(key)))
    return table.without_empty_columns() if table.rows else table


def excitations_table(result: Mapping[str, Any]) -> Table:
    """Return the levels with a particle more or less: energy, weight and the level they lead to."""
    right = ("ω (t)", "energy (t)", "weight", "n_k")
    table = Table(["momentum", "", "level of", *_right(right)])
    occupations = {tuple(row["momentum"]): row.get("occupation") for row in result.get("momenta") or ()}
    for found in result.get("excitations") or ():
        momentum, target = (tuple(found.get(key) or ()) for key in ("momentum", "target"))
        forbidden = "" if found.get("allowed", True) else " (forbidden)"
        table.add(
            _momentum(momentum),
            "removal" if found["change"] < 0 else "addition",
            f"{_momentum(target)} {found.get('irrep') or ''}{forbidden}".strip(),
            _number(found.get("omega"), found.get("omega_error"), 6),
            _number(found.get("energy"), found.get("error"), 8),
            _number(found.get("weight"), found.get("weight_error"), 6),
            _number(occupations.get(momentum), digits=6),
        )
    return table.without_empty_columns() if table.rows else table


def status_words(status: str | None) -> str:
    """Return the status of a run in words."""
    return _STATUS.get(status or "", status or "unknown")


def status_cell(status: str) -> Cell:
    """Return the status of a run as a cell."""
    words = status_words(status)
    return Cell(words, words, style=f"status {_BADGES.get(status, '')}".strip())


def difference(run: RunRecord, *, unit: bool = True) -> str:
    """Return the distance to the best reference, with its error where the energy has one."""
    error = 1e3 * run.energy.error if run.energy is not None else 0.0
    text = _text.difference(run.difference, error)
    return f"{text} {run.milli}" if text and unit else text


def runs_table(entries: Sequence[Entry], anchors: Mapping[str, str]) -> Table:
    """Return a row for each run.

    Args:
        entries: The runs.
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
    for entry in entries:
        middle = [None] * (len(table.columns) - 2) if entry.run is None else _run_cells(entry.run)
        table.add(_name(entry, anchors), *middle, status_cell(entry.status))
    return table.without_empty_columns()


def _run_cells(run: RunRecord) -> list[Any]:
    return [
        run.title,
        _energy(run),
        _unit(run),
        run.kind,
        Cell(difference(run), run.difference),
        run.reference.label if run.reference else "",
        _shown(_text.small, run.variance),
        _shown(_text.small, run.v_score),
        _shown(_text.count, run.states),
        _shown(_text.count, run.result.get("n_parameters")),
        _shown(_text.duration, run.seconds),
    ]


def points_table(points: Sequence[Entry], anchors: Mapping[str, str]) -> Table:
    """Return a row for each point of a sweep, with its coordinates."""
    names = list(dict.fromkeys(name for entry in points for name in entry.coordinates))
    columns = [
        Column(name.replace("_", "-"), alignment(entry.coordinates.get(name) for entry in points))
        for name in names
    ]
    table = Table(["point", *columns, *_right(("energy", "difference", "⟨S²⟩", "V-score", "time")), "status"])
    for entry in points:
        places = [entry.coordinates.get(name) for name in names]
        row = [Cell("" if place is None else _text.setting(place), place) for place in places]
        row += [Cell("")] * 5 if entry.run is None else _point_cells(entry.run)
        table.add(_name(entry, anchors, entry.path.name), *row, status_cell(entry.status))
    return table.without_empty_columns()


def _point_cells(run: RunRecord) -> list[Cell]:
    return [
        _energy(run),
        Cell(difference(run), run.difference),
        _spin(run.result.get("s_squared")),
        _shown(_text.small, run.v_score),
        _shown(_text.duration, run.seconds),
    ]


def v_scores_table(entries: Sequence[Entry], anchors: Mapping[str, str]) -> Table:
    """Return VarBench rows for people: see `nnbf.report.records.varbench_table` for all digits."""
    numbers = _right(("energy", "sigma", "variance", "dof", "E∞", "V-score"))
    table = Table(["system", *numbers, "kind", Column("method", "wide"), "reference", "file of VarBench"])
    for entry in entries:
        run = entry.run
        if run is None or run.energy is None:
            continue
        sigma = run.energy.error or None
        table.add(
            _name(entry, anchors, run.title),
            Cell(f"{run.energy.value:.10g}" if sigma else f"{run.energy.value:.12g}", run.energy.value),
            _shown(_text.small, sigma),
            _shown(_text.small, run.variance),
            _shown(_text.count, run.dof),
            _infinite(run),
            _shown(_text.small, run.v_score),
            run.kind,
            run.method,
            run.code,
            (varbench_file(run.system) if run.is_lattice else None) or "",
        )
    return table.without_empty_columns()


def paper_tables(entries: Sequence[Entry]) -> list[tuple[str, Table]]:
    """Return (label, table) for a paper: energies of molecules and of lattices, V-scores."""
    found = []
    runs = [entry.run for entry in entries if entry.run is not None and entry.run.energy is not None]
    for unit in dict.fromkeys(run.unit for run in runs):
        what = "molecules" if unit == "Hartree" else "lattice models"
        chosen = [run for run in runs if run.unit == unit]
        found.append((f"tab:nnbf-{what.split()[0]}", _paper_energies(chosen, what)))
    if runs:
        numbers = _right(("Energy", "Variance", "DOF", "E∞", "V-score"))
        scores = Table(["System", *numbers], caption="Variances and V-scores.")
        for run in runs:
            sizes = _text.small(run.variance), _text.count(run.dof), _infinite(run), _text.small(run.v_score)
            scores.add(run.title, _energy(run), *sizes)
        found.append(("tab:nnbf-vscores", scores))
    return found


def _paper_energies(runs: Sequence[RunRecord], what: str) -> Table:
    energy, away = _right((f"Energy ({runs[0].unit})", f"Difference ({runs[0].milli})"))
    table = Table(["System", "Kind", energy, "Reference", energy, away], caption=f"Energies of {what}.")
    for run in runs:
        label, known = (run.reference.label, run.reference.energy) if run.reference else ("", None)
        table.add(run.title, run.kind, _energy(run), label, _number(known), difference(run, unit=False))
    return table


def alignment(values: Iterable[Any]) -> str:
    """Return how a column of these values is aligned: right where all that are known are numbers."""
    known = [value for value in values if value is not None]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
    return "right" if numeric else "left"


def _name(entry: Entry, anchors: Mapping[str, str], text: str = "") -> Cell:
    """A name of a run that leads to its part of the page."""
    text = text or entry.name
    return Cell(text, text, f"#{anchors[entry.name]}" if entry.name in anchors else None)


def _energy(run: RunRecord) -> Cell:
    return Cell("") if run.energy is None else _number(run.energy.value, run.energy.error)


def _infinite(run: RunRecord) -> Cell:
    hot = run.hamiltonian.infinite_temperature
    return Cell("" if hot is None else f"{hot:.6f}", hot)


def _unit(run: RunRecord) -> str:
    return "Ha" if run.unit == "Hartree" else run.unit


def _ordered(found: Iterable[str], known: Iterable[str]) -> list[str]:
    """Keys that are known, in their order, then the others."""
    keys = list(found)
    return [key for key in known if key in keys] + [key for key in keys if key not in list(known)]


def _momentum(momentum: Sequence[int]) -> str:
    return f"({','.join(map(str, momentum))})" if momentum else ""


def _right(titles: Iterable[str]) -> list[Column]:
    return [Column(title, "right") for title in titles]


def _shown(write: Callable[[Any], str], value: Any) -> Cell:
    return Cell(write(value), value)


def _number(value: float | None, error: float | None = None, digits: int = 8) -> Cell:
    return Cell(value_with_error(value, error, digits=digits), value)


def _spin(value: float | None) -> Cell:
    return Cell("" if value is None else f"{abs(value):.4f}", value)


def _difference(energy: float, error: float | None, best: Reference | None) -> Cell | None:
    if best is None:
        return None
    away = 1e3 * (energy - best.energy)
    return Cell(_text.difference(away, 1e3 * (error or 0.0)), away)


def _values(value: Any, error: Any, digits: int) -> Cell:
    if isinstance(value, list):
        errors = error if isinstance(error, list) else [error] * len(value)
        cells = [_values(one, its, digits) for one, its in zip(value, errors, strict=True)]
        return Cell("  ".join(cell.text for cell in cells))
    if not isinstance(value, int | float):
        return Cell(_text.setting(value))
    value = 0.0 if abs(value) < 0.5 * 10.0**-digits else value  # no "-0.0000"
    return Cell(value_with_error(value, error, digits=digits), value)
