"""The analyses of a sweep: basis-set limits, curves, growth with size, and their pictures."""

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import dist
from typing import Any

import numpy as np

from hamiltonians import read_geometry
from hamiltonians.errors import InputError, one_line
from nnbf._io import write_bytes
from nnbf.analysis import (
    BasisPoint,
    basis_family,
    basis_limit,
    cardinal_number,
    diatomic_constants,
    non_parallelity,
    scaling_table,
)
from nnbf.report.style import png
from nnbf.report.sweep_figures import draw_finding
from nnbf.sweep.names import COST_COLUMNS
from nnbf.sweep.point_records import PointRecord, listed
from nnbf.sweep.points import digest, group_name, picture_name
from nnbf.sweep.sweep_plan import SweepPlan

_SYSTEM = ("molecule", "charge", "spin", "unit", "ecp", "frozen_core", "active_space")
_LIMITS_OF = ("ccsd_t", "fci")
_CURVES_OF = ("energy", "hf", "ccsd_t", "fci")
_FROM_TABLE = (
    "n_orbitals", "n_electrons", "n_determinants", "n_connected", "n_parameters", "fci_dimension", "variance",
    "v_score",
)  # fmt: skip
_Records = Sequence[PointRecord]
_Entries = list[dict[str, Any]]


def analyse(plan: SweepPlan, records: _Records) -> dict[str, list[Any]]:
    """Make the analyses that the manifest asks for; without a word from it, those that suggest themselves.

    Nothing is raised, so that the tables are written whatever happens.

    Returns:
        The entry ``analysis`` of sweep.json: records of `basis_limits`, `curves` and `scaling`, and `notes`,
        one line for each that could not be made.
    """
    notes: list[str] = []
    found: dict[str, list[Any]] = {kind.entry: [] for kind in _KINDS.values()}
    kinds = plan.manifest.analysis.kinds
    if kinds is None:
        kinds = ("basis_limit", "curve") if plan.command == "molecule" else ()
    for name in kinds:
        try:
            found[_KINDS[name].entry] = _KINDS[name].make(plan, records, notes)
        except Exception as error:  # the tables matter more than what is made of them
            notes.append(f"no {name.replace('_', ' ')}: {type(error).__name__}: {one_line(error)}")
    return {**found, "notes": notes}


def draw_findings(plan: SweepPlan, analysis: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Write the pictures into the folder of the sweep.

    Returns:
        One line for each that could not be made.
    """
    problems = []
    for kind in _KINDS.values():
        for record in analysis[kind.entry]:
            try:
                figure = draw_finding(kind.entry, record, plan.name)
                write_bytes(plan.folder.path / record["picture"], png(figure))
            except Exception as error:  # as above
                problems.append(f"no {record['picture']}: {type(error).__name__}: {one_line(error)}")
    return problems


# ---- basis-set limits ----------------------------------------------------------------------------


def _limits(plan: SweepPlan, records: _Records, notes: list[str]) -> _Entries:
    """Extrapolate every group that has sets of one correlation-consistent family.

    Points belong to one group if they agree in all coordinates but the basis, and in what defines the
    system. Those of one family are extrapolated together: cc-pVXZ and aug-cc-pVXZ give two limits.
    """
    options = plan.manifest.analysis
    asked = "basis_limit" in (options.kinds or ())
    families = _families(plan, records, notes if asked else [])
    if asked and not families:
        notes.append("no basis-set limit: no two basis sets of one correlation-consistent family")
    several = len({family for _, family, _ in families}) > 1
    made = []
    for group, family, members in families:
        name = group_name(group, family if several else "")
        done = [record for record in members if _usable(record, options.energy)]
        left = _why([record for record in members if record not in done], options.energy)
        try:
            if len(done) < 2:
                raise InputError(left)
            limit = _limit(family, done, options.energy)
        except InputError as error:
            notes.append(f"no limit of {name or family}: {error}")
            continue
        limit["notes"] += [f"made without {left}"] if left else []
        shared = {"group": group, "name": name, "exact": options.exact}
        made.append({**limit, **shared, "picture": picture_name("limit", name)})
    return made


def _families(
    plan: SweepPlan, records: _Records, notes: list[str]
) -> list[tuple[dict[str, Any], str, list[PointRecord]]]:
    """(shared coordinates, family, points), of two points or more."""
    axes = {axis.name for axis in plan.manifest.grid if any("basis" in options for _, options in axis.values)}
    shared_axes = {*(axis.name for axis in (*plan.manifest.grid, *plan.manifest.scan)), *_SYSTEM} - axes
    found: dict[tuple[str, str], tuple[dict[str, Any], str, list[PointRecord]]] = {}
    for record in records:
        if "basis" not in record.point.options:
            continue
        shared = {key: value for key, value in record.point.coordinates.items() if key in shared_axes}
        system = {key: record.point.options.get(key) for key in _SYSTEM}
        try:
            family = basis_family(_basis(record))
        except InputError as error:
            notes.append(f"{record.point.name} is in no limit: {error}")
            continue
        found.setdefault((digest([shared, system]), family), (shared, family, []))[2].append(record)
    return [entry for entry in found.values() if len(entry[2]) > 1]


def _basis(record: PointRecord) -> str | Mapping[str, str]:
    text = str(record.point.options["basis"])
    if "=" not in text:
        return text
    pairs = (item.partition("=") for item in text.split(","))
    return {element.strip(): name.strip() for element, _, name in pairs}


def _usable(record: PointRecord, kind: str) -> bool:
    return record.energy(kind) is not None and record.references().get("hf") is not None


def _why(left: list[PointRecord], kind: str) -> str:
    others = listed(record for record in left if record.result is None)
    done = ", ".join(record.point.name for record in left if record.result is not None)
    missing = "energy" if kind == "energy" else f"{kind} energy"
    return "; ".join(filter(None, (others, done and f"{done} (no {missing}, or none of HF)")))


def _limit(family: str, done: list[PointRecord], kind: str) -> dict[str, Any]:
    points: list[BasisPoint] = []
    for record in done:
        energy, error = record.energy(kind) or (0.0, 0.0)
        hf = float(record.references()["hf"] or 0.0)
        points.append(BasisPoint(cardinal_number(_basis(record)), hf, energy, error))
    made = basis_limit(points, family=family).record()
    by_cardinal = {point.cardinal: record.point for point, record in zip(points, done, strict=True)}
    for row in made["points"]:
        point = by_cardinal[row["cardinal"]]
        row.update(basis=point.options["basis"], directory=point.name)
    notes = list(made["notes"])
    cut = [str(r.point.options["basis"]) for r in done if r.row.get("mp2_corrected") is not None]
    if cut:
        said = f"energies in {', '.join(cut)} have the MP2 correction for virtual orbitals that were left out"
        notes.append(said)
    references = dict(_reference_limits(points, done))
    return {**made, "notes": notes, "extrapolated": kind, "references": references}


def _reference_limits(
    points: list[BasisPoint], done: list[PointRecord]
) -> Iterable[tuple[str, dict[str, float]]]:
    """Limits of other methods at the same points, where all of them have it."""
    for method in _LIMITS_OF:
        energies = [record.references().get(method) for record in done]
        known = [energy for energy in energies if energy is not None]
        if len(known) == len(done):
            limit = basis_limit((p.cardinal, p.hf, e) for p, e in zip(points, known, strict=True))
            yield method, {"energy": limit.energy, "error": limit.error}


# ---- curves --------------------------------------------------------------------------------------


def _curves(plan: SweepPlan, records: _Records, notes: list[str]) -> _Entries:
    """Put the points of every scan along a curve; with the constants of the bond, of a diatomic."""
    options = plan.manifest.analysis
    variables = [axis.name for axis in plan.manifest.scan if axis.template is not None]
    if not variables:
        if "curve" in (options.kinds or ()):
            notes.append("no curve: the manifest scans no geometry; give [scan] with a template")
        return []
    scans: dict[str, list[PointRecord]] = {}
    for record in records:
        if record.point.curve is not None:
            scans.setdefault(record.point.curve, []).append(record)
    made = []
    for members in scans.values():
        shared = {key: value for key, value in members[0].point.coordinates.items() if key not in variables}
        name = group_name(shared)
        try:
            curve = _curve(members, variables, options.energy)
        except InputError as error:
            notes.append(f"no curve{' of ' + name if name else ''}: {error}")
            continue
        made.append({"group": shared, "name": name, **curve, "picture": picture_name("curve", name)})
    return made


def _curve(members: list[PointRecord], variables: list[str], kind: str) -> dict[str, Any]:
    known = [(record, value) for record in members if (value := record.energy(kind)) is not None]
    if len(known) < 2:
        raise InputError(f"{len(known)} of {len(members)} points have an energy: two are needed")
    atoms, where, label = _abscissa(variables, [record for record, _ in known])
    rows: _Entries = [
        {
            "x": x,
            "energy": energy,
            "energy_error": error,
            "s_squared": record.row.get("s_squared"),
            "dipole_debye": record.row.get("dipole_debye"),
            "references": record.references(),
            "directory": record.point.name,
        }
        for x, (record, (energy, error)) in zip(where, known, strict=True)
    ]
    rows.sort(key=lambda row: row["x"])
    constants, notes = _constants(rows, atoms) if atoms else ({}, [])
    left = [record.point.name for record in members if record.energy(kind) is None]
    if left:
        notes.append(f"made without {', '.join(left)}")
    return {
        "x_label": label,
        "atoms": atoms,
        "points": rows,
        "constants": constants,
        "to_fci": _parallel(rows),
        "notes": notes,
    }


def _abscissa(
    variables: list[str], records: list[PointRecord]
) -> tuple[tuple[str, str] | None, list[float], str]:
    """The two atoms of a diatomic, or None; the abscissa of each point; its name."""
    geometries = [
        read_geometry(record.point.options["molecule"], unit=record.point.options.get("unit") or "angstrom")
        for record in records
    ]
    if all(len(geometry.atoms) == 2 for geometry in geometries):
        distances = [dist(geometry.atoms[0][1], geometry.atoms[1][1]) for geometry in geometries]
        (first, _), (second, _) = geometries[0].atoms
        return (first, second), [round(distance, 10) for distance in distances], "r (Å)"
    if len(variables) > 1:
        raise InputError(f"the scan has {len(variables)} variables ({', '.join(variables)}): a curve has one")
    return None, [float(record.point.coordinates[variables[0]]) for record in records], variables[0]


def _constants(rows: _Entries, atoms: tuple[str, str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Constants of our curve and of the references', and why there are none of ours."""
    made, notes = {}, []
    x = [row["x"] for row in rows]
    for method in _CURVES_OF:
        ours = method == "energy"
        energies = [row["energy"] if ours else row["references"].get(method) for row in rows]
        if any(energy is None for energy in energies):
            continue
        errors = [row["energy_error"] for row in rows] if ours else None
        try:
            fit = diatomic_constants(x, energies, atoms, errors=errors)
        except (InputError, np.linalg.LinAlgError) as error:
            notes += [f"no constants of the bond: {error}"] if ours else []
            continue
        made[method] = fit.record()
        notes += fit.notes if ours else ()
    return made, notes


def _parallel(rows: _Entries) -> Mapping[str, Any] | None:
    columns = (
        [row["energy"] for row in rows],
        [row["references"].get("fci") for row in rows],
        [row["energy_error"] for row in rows],
    )
    try:
        return non_parallelity(*columns).record()
    except InputError:
        return None


# ---- growth with size ----------------------------------------------------------------------------


def _growth(plan: SweepPlan, records: _Records, notes: list[str]) -> _Entries:
    """Fit power laws to all points that are done, in the series that the manifest asks for."""
    options = plan.manifest.analysis
    done = [record for record in records if record.result is not None]
    if not done:
        notes.append("no scaling: no point is done")
        return []
    if len(done) < len(records):
        notes.append(f"scaling made without {listed(r for r in records if r.result is None)}")
    rows = [_size_row(record, options.series) for record in done]
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


def _size_row(record: PointRecord, series: str | Mapping[str, str] | None) -> dict[str, Any]:
    """Sizes, errors and costs of a point that is done; None where unknown."""
    row: dict[str, Any] = {"directory": record.point.name, "series": _series(record, series)}
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


@dataclass(frozen=True)
class _Kind:
    entry: str
    make: Callable[[SweepPlan, _Records, list[str]], _Entries]


_KINDS = {
    "basis_limit": _Kind("basis_limits", _limits),
    "curve": _Kind("curves", _curves),
    "scaling": _Kind("scaling", _growth),
}
