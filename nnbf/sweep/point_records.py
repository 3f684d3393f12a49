"""The points of a sweep with everything that their folders say: what tables and analyses are made of."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnbf.analysis import time_per_step, time_to_accuracy
from nnbf.report.energies import best_reference
from nnbf.report.term_tables import has_terms, terms
from nnbf.runs.directory import RunDirectory
from nnbf.sweep.names import COST_COLUMNS, RESULT_COLUMNS, SIZES, TIME_COLUMNS
from nnbf.sweep.points import Point
from nnbf.sweep.sweep_folder import SweepFolder
from nnbf.sweep.sweep_plan import SweepPlan

SHARE_OF_PT2 = 0.25
"""Error of the Epstein-Nesbet correction for what V leaves out, as a share of it: Li2O has 0.03 where it is
0.13 mHa; higher orders grow with it."""
SHARE_OF_MP2 = 0.3
"""Error of the MP2 correction for virtual orbitals that were left out, as a share of it: what CCSD(T) says it
leaves of the error, in docs/basis_limit.md, at most."""

_COPIED = (
    "energy", "energy_error", "energy_kind", "variance", "v_score", "s_squared", "n_determinants",
    "n_connected", "n_parameters", "n_steps",
)  # fmt: skip


_OF_STATE = (
    "energy", "error", "kind", "reference", "excitation_energy", "excitation_ev", "excitation_pt2_ev",
    "excitation_extrapolated_ev", "excitation_error_ev", "s_squared", "double_character", "status",
)  # fmt: skip


@dataclass(frozen=True)
class PointRecord:
    """A point with everything that is known of it."""

    point: Point
    """The point."""
    row: Mapping[str, Any]
    """Its row of the table."""
    timing: Mapping[str, Any]
    """Its row of the timings."""
    result: Mapping[str, Any] | None
    """Its result.json, format 2; None where it is not done."""

    def energy(self, kind: str) -> tuple[float, float] | None:
        """Return the energy of a kind and its error, Hartree; None where there is none.

        Where virtual orbitals were left out it has the MP2 correction for them. The error is statistical
        and, in quadrature, `SHARE_OF_PT2` and `SHARE_OF_MP2` of the corrections that are in the energy; of a
        variational energy it is all that second order says is missing.

        Args:
            kind: "energy" for the headline, or one of `nnbf.estimate.KINDS`.
        """
        row = self.row
        energy = row.get(kind)
        if energy is None:
            return None
        parts = [row.get(f"{kind}_error") or 0.0]
        main, second = row.get("energy"), row.get("pt2")
        name = row.get("energy_kind") if kind == "energy" else kind
        if second is not None and row.get("variational") is not None:
            missing = second - row["variational"]
            parts.append({"variational": 1.0, "pt2": SHARE_OF_PT2}.get(str(name), 0.0) * missing)
        whole = row.get("mp2_corrected")
        if whole is not None and main is not None and name != "mp2_corrected":
            energy += whole - main
            parts.append(SHARE_OF_MP2 * (whole - main))
        return float(energy), math.hypot(*parts)

    def references(self) -> dict[str, float | None]:
        """Return the references; those of the whole basis where virtual orbitals were left out."""
        result = self.result or {}
        whole = (result.get("truncation") or {}).get("references")
        return dict(whole or result.get("references") or {})


def point_records(plan: SweepPlan) -> list[PointRecord]:
    """Return what the folder of a sweep says of all its points."""
    return [_record(plan, point) for point in plan.points]


def _record(plan: SweepPlan, point: Point) -> PointRecord:
    folder, state = plan.folder, plan.folder.state(point)
    row: dict[str, Any] = {**point.coordinates, **dict.fromkeys(RESULT_COLUMNS)}
    row.update(status=state.status, reason=state.reason, directory=point.name)
    record = folder.record(point)
    timing: dict[str, Any] = {
        **dict.fromkeys(TIME_COLUMNS),
        "directory": point.name,
        "process_s": float(record.get("process_s", 0.0)),
        "attempts": int(record.get("attempts", 0)),
    }
    if state.result is not None:
        row.update(_results(state.result))
        accuracy = 1e-3 * plan.manifest.analysis.accuracy_milli
        timing.update(_costs(folder, point, state.result, accuracy))
    return PointRecord(point, row, timing, state.result)


def state_rows(record: PointRecord) -> list[dict[str, Any]]:
    """Return a row for each level of a molecule, where a run has several: curves of states along a sweep.

    Levels of one name are numbered by their energy ("2 1Sig+"): those of one symmetry do not cross, so that a
    name and a number are one curve, across crossings with others and through avoided ones.
    """
    levels, numbers, rows = (record.result or {}).get("levels") or (), dict[str, int](), []
    for group in terms(levels) if has_terms(levels) else ():
        # The highest of degenerate states is an upper bound for all.
        level = max(group, key=lambda one: one["energy"])
        name = str(level["sector"]["label"])
        if level.get("charge") is not None:
            name += f" (charge {level['charge']})"
        numbers[name] = numbers.get(name, 0) + 1
        strengths = [
            one["oscillator_strength"] for one in group if one.get("oscillator_strength") is not None
        ]
        rows.append(
            {
                **record.point.coordinates,
                "directory": record.point.name,
                "state": f"{numbers[name]} {name}",
                "degeneracy": len(group),
                "oscillator_strength": sum(strengths) if strengths else None,
                **{key: level.get(key) for key in _OF_STATE},
            }
        )
    return rows


def listed(records: Iterable[PointRecord]) -> str:
    """Return points with their states: "cc-pvqz (missing), cc-pv5z (failed)"."""
    return ", ".join(f"{record.point.name} ({record.row['status']})" for record in records)


def milli_error(result: Mapping[str, Any]) -> tuple[float, str] | None:
    """Return the energy of a run less the exact one, in thousandths of its unit, and the name of that.

    Args:
        result: Content of result.json.

    Returns:
        Difference and "FCI" or "ED"; None without one.
    """
    best, energy = best_reference(result.get("references") or {}), result.get("energy")
    if best is None or not best.is_exact or energy is None:
        return None
    return 1e3 * (energy - best.energy), best.label


def _results(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return `RESULT_COLUMNS` as far as a result has them."""
    row = {name: result.get(name) for name in _COPIED}
    for kind, estimate in (result.get("estimates") or {}).items():
        row |= {kind: estimate.get("energy"), f"{kind}_error": estimate.get("error")}
    row |= result.get("references") or {}
    row["error_milli"] = (milli_error(result) or (None,))[0]
    dipole = (result.get("observables") or {}).get("dipole_debye")
    row["dipole_debye"] = dipole.get("norm") if dipole else None
    start = result.get("started_from")
    row["started_from"] = Path(start["folder"]).name if start else None
    row |= {name: (result.get("system") or {}).get(name) for name in SIZES}
    return {name: value for name, value in row.items() if name in RESULT_COLUMNS}


def _costs(folder: SweepFolder, point: Point, result: Mapping[str, Any], accuracy: float) -> dict[str, Any]:
    costs = {name: result.get(name) for name in ("wall_time_s", *COST_COLUMNS)}
    try:
        rows = RunDirectory(folder.run(point)).read_history()
    except (OSError, ValueError):  # damaged, or moved away
        return costs
    best = best_reference(result.get("references") or {})
    exact = best.energy if best is not None and best.is_exact else None
    costs["time_per_step_s"] = time_per_step(rows)
    costs["time_to_accuracy_s"] = None if exact is None else time_to_accuracy(rows, exact, accuracy)
    return costs
