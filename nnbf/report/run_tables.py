"""The tables of one run: energies, levels, observables, stages, excitations."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nnbf import _text
from nnbf._text import Cell, Column, Table, value_with_error
from nnbf.estimate import KINDS, REFERENCES, reference_label
from nnbf.report.energies import Reference, best_reference, error_unit
from nnbf.report.reading import RunRecord

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
    table = Table(
        [
            "",
            Column(f"energy ({result.get('energy_unit') or 'Hartree'})", "right"),
            Column(f"{error_unit(result)} to {best.label}" if best else "difference", "right"),
            "upper bound",
            Column("note", "wide"),
        ]
    )
    for key in _ordered(references, REFERENCES):
        energy = references[key]
        if energy is not None:
            bound = REFERENCES.get(key, ("", "no"))[1]
            cells = _energy(energy, None), _difference(energy, None, best)
            table.add(reference_label(key), *cells, bound, notes.get(key, "") if with_notes else "")
    for kind in _ordered(estimates, KINDS):
        found = estimates[kind] or {}
        if found.get("energy") is None:
            continue
        label, bound = KINDS.get(kind, (kind, "no"))
        # The references are those of the kept orbitals: the whole basis has others.
        comparable = None if kind == "mp2_corrected" else best
        energy, error = found["energy"], found.get("error")
        cells = _energy(energy, error), _difference(energy, error, comparable)
        note = str(found.get("note") or "") if with_notes else ""
        table.add(label, *cells, bound, note, main=kind == main)
    return table.without_empty_columns()


def result_tables(result: Mapping[str, Any]) -> list[Table]:
    """Return the tables that say what came out: energies or levels; excitations and gap where there are some.

    Args:
        result: Content of result.json, in format 2.
    """
    found = [excitations_table(result), gap_table(result)]
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
    milli = error_unit({"energy_unit": unit})
    lowest = levels[0] if levels else {}
    table = Table(
        [
            "particles",
            "sector",
            Column("level", "right"),
            Column(f"energy ({unit})", "right"),
            Column(f"above lowest ({unit})", "right"),
            Column(f"to exact ({milli})", "right"),
            Column("variance", "right"),
            Column("V-score", "right"),
            Column("⟨S²⟩", "right"),
            Column("degeneracy", "right"),
            Column("states", "right"),
            Column("parameters", "right"),
            "status",
        ]
    )
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
            _count(level.get("level")) if numbered else "",
            _energy(energy, error),
            _number(gap, both, 6) if level is not lowest else None,
            _difference(energy, error, exact),
            _small(level.get("variance")),
            _small(level.get("v_score")),
            _spin(level.get("s_squared")),
            _count(level.get("degeneracy")),
            _count(level.get("n_states")),
            _count(level.get("n_parameters")),
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


@dataclass(frozen=True)
class Stage:
    """Steps that were made on one variational space."""

    n_space: int | None
    """Determinants in V."""
    n_connected: int | None
    """Determinants in the connected space, where known."""
    first_step: int
    """Number of its first step."""
    last_step: int
    """Number of its last step."""
    time_s: float | None
    """Seconds at its end."""
    energy: float | None
    """Variational energy at its end."""
    variance: float | None
    """Energy variance on V at its end."""


def stages(history: Sequence[Mapping[str, Any]]) -> list[Stage]:
    """Group the rows of a history by the size of V and the stage they name."""
    found: list[Stage] = []
    key: tuple[Any, Any] | None = None
    first = 0
    for index, row in enumerate(history):
        step = row.get("step", index)
        following = (row.get("stage"), row.get("n_space"))
        if following != key:
            key, first = following, step
        else:
            found.pop()
        found.append(
            Stage(
                row.get("n_space"), row.get("n_connected"), first, step, row.get("time_s"),
                row.get("energy"), row.get("variance"),
            )
        )  # fmt: skip
    return found


def stages_table(run: RunRecord) -> Table:
    """Return the ends of all stages of the variational space of a molecule."""
    best = best_reference(run.references)
    columns = ["|V|", "|C|", f"energy ({run.unit})"]
    columns += [
        f"{error_unit(run.result)} to {best.label}" if best else "difference",
        "variance on V",
        "time",
    ]
    table = Table(["steps", *(Column(title, "right") for title in columns)])
    for stage in stages(run.history) if run.is_molecule else ():
        energy = None if stage.energy is None else _energy(stage.energy, None)
        away = None if stage.energy is None else _difference(stage.energy, None, best)
        steps = f"{stage.first_step}–{stage.last_step}"
        sizes = _count(stage.n_space), _count(stage.n_connected)
        table.add(steps, *sizes, energy, away, _small(stage.variance), _duration(stage.time_s))
    return table.without_empty_columns() if table.rows else table


def gap_table(result: Mapping[str, Any]) -> Table:
    """Return the energies of removal and addition, and the charge gap; no rows for other runs."""
    exact = result.get("exact") or {}
    names = {"mu_minus": "E(N) − E(N−1)", "mu_plus": "E(N+1) − E(N)", "charge_gap": "charge gap"}
    table = Table(["", Column("energy (t)", "right"), Column("exact", "right")])
    for key, label in names.items():
        if result.get(key) is not None:
            error = result.get(f"{key}_error")
            known = None if exact.get(key) is None else _energy(exact[key], None)
            table.add(label, _energy(result[key], error), known)
    return table.without_empty_columns() if table.rows else table


def excitations_table(result: Mapping[str, Any]) -> Table:
    """Return the levels with a particle more or less: energy, weight and the level they lead to."""
    right = ("ω (t)", "energy (t)", "weight", "n_k")
    table = Table(["momentum", "", "level of", *(Column(title, "right") for title in right)])
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
            _number(occupations.get(momentum), None, 6),
        )
    return table.without_empty_columns() if table.rows else table


def _ordered(found: Iterable[str], known: Iterable[str]) -> list[str]:
    """Keys that are known, in their order, then the others."""
    keys = list(found)
    return [key for key in known if key in keys] + [key for key in keys if key not in list(known)]


def _momentum(momentum: Sequence[int]) -> str:
    return f"({','.join(map(str, momentum))})" if momentum else ""


def _number(value: float | None, error: float | None, digits: int) -> Cell | None:
    return None if value is None else Cell(value_with_error(value, error, digits=digits), value)


def _energy(value: float, error: float | None) -> Cell:
    return Cell(value_with_error(value, error), value)


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


def _count(value: int | None) -> Cell | None:
    return None if value is None else Cell(_text.count(value), value)


def _small(value: float | None) -> Cell | None:
    return None if value is None else Cell(_text.small(value), value)


def _spin(value: float | None) -> Cell | None:
    return None if value is None else Cell(f"{abs(value):.4f}", value)


def _duration(value: float | None) -> Cell | None:
    return None if value is None else Cell(_text.duration(value), value)
