"""Basis-set limits of a sweep: one for every group of points that differ in nothing but the basis."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hamiltonians.errors import InputError
from nnbf.analysis import BasisPoint, basis_family, basis_limit, cardinal_number
from nnbf.sweep.point_records import PointRecord, listed
from nnbf.sweep.points import digest, group_name, picture_name
from nnbf.sweep.sweep_plan import SweepPlan

_SYSTEM = ("molecule", "charge", "spin", "unit", "ecp", "frozen_core", "active_space")
_REFERENCES = ("ccsd_t", "fci")
_Group = tuple[dict[str, Any], list[PointRecord]]


def find_limits(plan: SweepPlan, records: Sequence[PointRecord], notes: list[str]) -> list[dict[str, Any]]:
    """Extrapolate every group that has sets of one correlation-consistent family.

    Points belong to one group if they agree in all coordinates but the basis, and in what defines the
    system. Those of one family are extrapolated together: cc-pVXZ and aug-cc-pVXZ give two limits.

    Args:
        plan: The sweep.
        records: All its points.
        notes: Grows by one line for each limit that cannot be made.
    """
    options = plan.manifest.analysis
    asked = "basis_limit" in (options.kinds or ())
    families = list(_families(_groups(plan, records), notes if asked else []))
    if asked and not families:
        notes.append("no basis-set limit: no two basis sets of one correlation-consistent family")
    several = len({family for _, family, _ in families}) > 1
    made = []
    for group, family, members in families:
        name = group_name(group, family if several else "")
        done = [record for record in members if _usable(record, options.energy)]
        left = [record for record in members if record not in done]
        try:
            if len(done) < 2:
                raise InputError(_why(left, options.energy))
            record = _limit(group, family, done, options.energy)
        except InputError as error:
            notes.append(f"no limit of {name or family}: {error}")
            continue
        if left:
            record["notes"].append(f"made without {_why(left, options.energy)}")
        made.append({**record, "name": name, "exact": options.exact, "picture": picture_name("limit", name)})
    return made


def _groups(
    plan: SweepPlan, records: Iterable[PointRecord]
) -> list[tuple[dict[str, Any], list[PointRecord]]]:
    """Coordinates that are shared, and the points that share them."""
    axes = {axis.name for axis in plan.manifest.grid if any("basis" in options for _, options in axis.values)}
    grid = {axis.name for axis in (*plan.manifest.grid, *plan.manifest.scan)}
    groups: dict[str, _Group] = {}
    for record in records:
        if "basis" not in record.point.options:
            continue
        known = {key: value for key, value in record.point.coordinates.items() if key not in axes}
        shared = {key: value for key, value in known.items() if key in grid or key in _SYSTEM}
        system = {key: record.point.options.get(key) for key in _SYSTEM}
        groups.setdefault(digest([shared, system]), (shared, []))[1].append(record)
    return list(groups.values())


def _families(
    groups: Iterable[_Group], notes: list[str]
) -> Iterable[tuple[dict[str, Any], str, list[PointRecord]]]:
    """(shared coordinates, family, points), of two points or more."""
    for group, members in groups:
        by_family: dict[str, list[PointRecord]] = {}
        for record in members:
            try:
                by_family.setdefault(basis_family(_basis(record)), []).append(record)
            except InputError as error:
                notes.append(f"{record.point.name} is in no limit: {error}")
        yield from ((group, family, own) for family, own in by_family.items() if len(own) > 1)


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


def _limit(group: dict[str, Any], family: str, done: list[PointRecord], kind: str) -> dict[str, Any]:
    points: list[BasisPoint] = []
    by_cardinal: dict[int, PointRecord] = {}
    for record in done:
        energy, error = record.energy(kind) or (0.0, 0.0)
        cardinal = cardinal_number(_basis(record))
        by_cardinal.setdefault(cardinal, record)
        points.append(BasisPoint(cardinal, float(record.references()["hf"] or 0.0), energy, error))
    made = basis_limit(points, family=family).record()
    for row in made["points"]:
        point = by_cardinal[row["cardinal"]].point
        row.update(basis=point.options["basis"], directory=point.name)
    notes = list(made["notes"])
    cut = [str(r.point.options["basis"]) for r in done if r.row.get("mp2_corrected") is not None]
    if cut:
        said = f"energies in {', '.join(cut)} have the MP2 correction for virtual orbitals that were left out"
        notes.append(said)
    references = dict(_reference_limits(done))
    return {"group": group, **made, "notes": notes, "extrapolated": kind, "references": references}


def _reference_limits(done: list[PointRecord]) -> Iterable[tuple[str, dict[str, float]]]:
    """Limits of other methods at the same points, where all of them have it."""
    for method in _REFERENCES:
        energies = [(known.get(method), known.get("hf")) for known in map(PointRecord.references, done)]
        points = [
            BasisPoint(cardinal_number(_basis(record)), hf, energy)
            for record, (energy, hf) in zip(done, energies, strict=True)
            if energy is not None and hf is not None
        ]
        if len(points) == len(done):
            limit = basis_limit(points)
            yield method, {"energy": limit.energy, "error": limit.error}
