"""Basis-set limits of a sweep: one for every group of points that differ in nothing but the basis."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from hamiltonians.errors import InputError
from nnbf.analysis import BasisPoint, basis_family, basis_limit, cardinal_number
from nnbf.report.sweeps import draw_basis_limit
from nnbf.sweep.findings import Finding, Findings, PointRecord, group_name, listed, picture_name
from nnbf.sweep.names import digest
from nnbf.sweep.plan import SweepPlan
from nnbf.sweep.points import Point

_SYSTEM = ("molecule", "charge", "spin", "unit", "ecp", "frozen_core", "active_space")
_REFERENCES = ("ccsd_t", "fci")


def find_limits(plan: SweepPlan, records: Sequence[PointRecord], found: Findings) -> None:
    """Extrapolate every group that has sets of one correlation-consistent family.

    Points belong to one group if they agree in all coordinates but the basis, and in what defines the
    system. Those of one family are extrapolated together: cc-pVXZ and aug-cc-pVXZ give two limits.
    """
    options = plan.manifest.analysis
    asked = "basis_limit" in (options.kinds or ())
    families = _families(_groups(plan, records), found if asked else None)
    if asked and not families:
        found.notes.append("no basis-set limit: no two basis sets of one correlation-consistent family")
    several = {name for _, name, _ in families}
    for group, family, members in families:
        name = group_name(group, family if len(several) > 1 else "")
        done = [record for record in members if _usable(record, options.energy)]
        left = [record for record in members if record not in done]
        if len(done) < 2:
            found.notes.append(f"no limit of {name or family}: {_why(left, options.energy)}")
            continue
        try:
            record = _limit(group, family, done, options.energy)
        except InputError as error:
            found.notes.append(f"no limit of {name or family}: {error}")
            continue
        if left:
            record["notes"] = [*record["notes"], f"made without {_why(left, options.energy)}"]
        picture = picture_name("limit", name)
        record.update(name=name, exact=options.exact, picture=picture)
        title = " ".join(part for part in (group_name(group) or plan.name, family) if part)
        found.limits.append(
            Finding(record, picture, partial(draw_basis_limit, record, exact=options.exact, title=title))
        )


def _groups(
    plan: SweepPlan, records: Iterable[PointRecord]
) -> list[tuple[dict[str, Any], list[PointRecord]]]:
    """Coordinates that are shared, and the points that share them."""
    axes = {axis.name for axis in plan.manifest.grid if any("basis" in options for _, options in axis.values)}
    grid = {axis.name for axis in (*plan.manifest.grid, *plan.manifest.scan)} - axes
    groups: dict[str, tuple[dict[str, Any], list[PointRecord]]] = {}
    for record in records:
        if "basis" not in record.point.options:
            continue
        shared = {
            key: value
            for key, value in record.point.coordinates.items()
            if key in grid or (key in _SYSTEM and key not in axes)
        }
        system = {key: record.point.options.get(key) for key in _SYSTEM}
        groups.setdefault(digest([shared, system]), (shared, []))[1].append(record)
    return list(groups.values())


def _families(
    groups: list[tuple[dict[str, Any], list[PointRecord]]], found: Findings | None
) -> list[tuple[dict[str, Any], str, list[PointRecord]]]:
    """(shared coordinates, family, points), of two points or more."""
    families = []
    for group, members in groups:
        by_family: dict[str, list[PointRecord]] = {}
        for record in members:
            try:
                by_family.setdefault(basis_family(_basis(record)), []).append(record)
            except InputError as error:
                if found is not None:
                    found.notes.append(f"{record.point.name} is in no limit: {error}")
        families += [(group, family, own) for family, own in by_family.items() if len(own) > 1]
    return families


def _basis(record: PointRecord) -> str | Mapping[str, str]:
    text = str(record.point.options["basis"])
    if "=" not in text:
        return text
    pairs = (item.partition("=") for item in text.split(","))
    return {element.strip(): name.strip() for element, _, name in pairs}


def _usable(record: PointRecord, kind: str) -> bool:
    return record.energy(kind) is not None and record.references().get("hf") is not None


def _why(left: list[PointRecord], kind: str) -> str:
    done = [record for record in left if record.result is not None]
    others = [record for record in left if record.result is None]
    parts = [listed(others)] if others else []
    if done:
        names = ", ".join(record.point.name for record in done)
        parts.append(f"{names} (no {'energy' if kind == 'energy' else kind + ' energy'}, or none of HF)")
    return "; ".join(parts)


def _limit(group: dict[str, Any], family: str, done: list[PointRecord], kind: str) -> dict[str, Any]:
    points: list[BasisPoint] = []
    names: dict[int, Point] = {}
    for record in done:
        energy, error = record.energy(kind) or (0.0, 0.0)
        cardinal = cardinal_number(_basis(record))
        names.setdefault(cardinal, record.point)
        points.append(BasisPoint(cardinal, float(record.references()["hf"] or 0.0), energy, error))
    limit = basis_limit(points, family=family)
    made = limit.record()
    for row in made["points"]:
        point = names[row["cardinal"]]
        row.update(basis=point.options["basis"], directory=point.name)
    cut = [str(r.point.options["basis"]) for r in done if r.row.get("mp2_corrected") is not None]
    if cut:
        said = f"energies in {', '.join(cut)} have the MP2 correction for virtual orbitals that were left out"
        made["notes"] = [*made["notes"], said]
    return {"group": group, **made, "extrapolated": kind, "references": _reference_limits(done)}


def _reference_limits(done: list[PointRecord]) -> dict[str, dict[str, float]]:
    """Limits of other methods at the same points, where all of them have it."""
    limits = {}
    for method in _REFERENCES:
        points = []
        for record in done:
            known = record.references()
            energy, hf = known.get(method), known.get("hf")
            if energy is not None and hf is not None:
                points.append(BasisPoint(cardinal_number(_basis(record)), hf, energy))
        if len(points) == len(done):
            limit = basis_limit(points)
            limits[method] = {"energy": limit.energy, "error": limit.error}
    return limits
