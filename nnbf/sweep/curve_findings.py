"""Potential-energy curves of a sweep: one for every scanned geometry."""

from collections.abc import Mapping, Sequence
from math import dist
from typing import Any

import numpy as np

from hamiltonians import read_geometry
from hamiltonians.errors import InputError
from nnbf.analysis import diatomic_constants, non_parallelity
from nnbf.sweep.point_records import PointRecord
from nnbf.sweep.points import group_name, picture_name
from nnbf.sweep.sweep_plan import SweepPlan

_METHODS = ("hf", "ccsd_t", "fci")


def find_curves(plan: SweepPlan, records: Sequence[PointRecord], notes: list[str]) -> list[dict[str, Any]]:
    """Put the points of every scan along a curve; with the constants of the bond, of a diatomic.

    Args:
        plan: The sweep.
        records: All its points.
        notes: Grows by one line for each curve that cannot be made.
    """
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


def _constants(
    rows: list[dict[str, Any]], atoms: tuple[str, str]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Constants of our curve and of the references', and why there are none of ours."""
    made, notes = {}, []
    x = [row["x"] for row in rows]
    for method in ("energy", *_METHODS):
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


def _parallel(rows: list[dict[str, Any]]) -> Mapping[str, Any] | None:
    try:
        return non_parallelity(
            [row["energy"] for row in rows],
            [row["references"].get("fci") for row in rows],
            [row["energy_error"] for row in rows],
        ).record()
    except InputError:
        return None
