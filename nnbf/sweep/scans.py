"""Potential-energy curves of a sweep: one for every scanned geometry."""

from collections.abc import Mapping, Sequence
from functools import partial
from math import dist
from typing import Any

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.molecule.geometry import read_geometry
from nnbf.analysis import diatomic_constants, non_parallelity
from nnbf.report.sweeps import draw_curve
from nnbf.sweep.findings import Finding, Findings, PointRecord, group_name, picture_name
from nnbf.sweep.plan import SweepPlan

_METHODS = ("hf", "ccsd_t", "fci")


def find_curves(plan: SweepPlan, records: Sequence[PointRecord], found: Findings) -> None:
    """Put the points of every scan along a curve; with the constants of the bond, of a diatomic."""
    asked = "curve" in (plan.manifest.analysis.kinds or ())
    variables = [axis.name for axis in plan.manifest.scan if axis.template is not None]
    if not variables:
        if asked:
            found.notes.append("no curve: the manifest scans no geometry; give [scan] with a template")
        return
    scans: dict[str, list[PointRecord]] = {}
    for record in records:
        if record.point.curve is not None:
            scans.setdefault(record.point.curve, []).append(record)
    for members in scans.values():
        shared = {key: value for key, value in members[0].point.coordinates.items() if key not in variables}
        name = group_name(shared)
        try:
            _add(plan, shared, name, variables, members, found)
        except InputError as error:
            found.notes.append(f"no curve{' of ' + name if name else ''}: {error}")


def _add(
    plan: SweepPlan,
    shared: dict[str, Any],
    name: str,
    variables: list[str],
    members: list[PointRecord],
    found: Findings,
) -> None:
    kind = plan.manifest.analysis.energy
    known = [(record, value) for record in members if (value := record.energy(kind)) is not None]
    if len(known) < 2:
        raise InputError(f"{len(known)} of {len(members)} points have an energy: two are needed")
    atoms, where, label = _abscissa(variables, [record for record, _ in known])
    rows: list[dict[str, Any]] = [
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
    if len(known) < len(members):
        left = ", ".join(record.point.name for record in members if record not in [r for r, _ in known])
        notes.append(f"made without {left}")
    picture = picture_name("curve", name)
    record = {
        "group": shared,
        "name": name,
        "x_label": label,
        "atoms": atoms,
        "points": rows,
        "constants": constants,
        "to_fci": _parallel(rows),
        "notes": notes,
        "picture": picture,
    }
    draw = partial(
        draw_curve, rows, x="x", x_label=label, constants=constants.get("energy"), title=name or plan.name
    )
    found.curves.append(Finding(record, picture, draw))


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


def _constants(
    rows: list[dict[str, Any]], atoms: tuple[str, str]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Constants of our curve and of the references', and why there are none of ours."""
    made, notes = {}, []
    for method in ("energy", *_METHODS):
        energies = [row["energy"] if method == "energy" else row["references"].get(method) for row in rows]
        if any(energy is None for energy in energies):
            continue
        errors = [row["energy_error"] for row in rows] if method == "energy" else None
        try:
            fit = diatomic_constants([row["x"] for row in rows], energies, atoms, errors=errors)
        except (InputError, np.linalg.LinAlgError) as error:
            if method == "energy":
                notes.append(f"no constants of the bond: {error}")
            continue
        made[method] = fit.record()
        if method == "energy":
            notes += fit.notes
    return made, notes


def _parallel(rows: list[dict[str, Any]]) -> Mapping[str, Any] | None:
    try:
        return non_parallelity(
            [row["energy"] for row in rows],
            [row["references"].get("fci") for row in rows],
            [row["energy_error"] for row in rows],
        ).record()
    except InputError:
        return None
