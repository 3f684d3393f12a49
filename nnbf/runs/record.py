"""Content of config.json and result.json as plain dictionaries: format 2, for every command."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hamiltonians.molecule.references import fci_dimension
from nnbf.runs.process import git_state, hardware, versions
from nnbf.runs.schema import FORMAT, complete_level, plain_level

if TYPE_CHECKING:
    from hamiltonians import Molecule
    from nnbf.drivers.level import Level
    from nnbf.runs.job import Job

_OF_MOLECULE = (
    "name",
    "point_group",
    "reference_method",
    "orbitals",
    "n_frozen_core",
    "active_space",
    "ecp",
    "atoms",
    "source",
)
_OF_RESULT = ("estimates", "observables", "message", "started_warm")
"""What a level has at the top of result.json alone, where it is the lowest."""


def system_record(system: "Molecule") -> dict[str, Any]:
    """Describe a molecule: keys that every result has, then what a reader may want to know."""
    integrals, info = system.integrals, system.info
    size = integrals.n_orbitals
    return {
        "formula": info.formula,
        "basis": info.basis,
        "n_orbitals": size,
        "n_electrons": integrals.n_electrons,
        "charge": info.charge,
        "two_S": integrals.two_S,
        **{name: getattr(info, name) for name in _OF_MOLECULE},
        "fci_dimension": fci_dimension(integrals),
    }


def config_record(
    job: "Job",
    *,
    command_line: str,
    checkpoint_interval: float,
    start: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the resolved configuration of a run, with a name for it that no other run has."""
    return {
        "format": FORMAT,
        "command": job.command,
        "run": uuid.uuid4().hex,
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command_line": command_line,
        "method": job.method,
        "problem": _fields(job.described),
        "options": _fields(job.options),
        "sectors": _fields(job.choice),
        "limits": _fields(job.limits) or {},
        "checkpoint_interval": checkpoint_interval,
        "start": start,
        "seed": getattr(job.options, "seed", None),
        **_described(job),
        "versions": versions(),
        "git": git_state(),
        "hardware": hardware(),
        "resumed": [],
    }


def level_record(level: "Level", *, of_charge: bool = False) -> dict[str, Any]:
    """Return what is known of a level; `result_record` takes it apart."""
    from nnbf.drivers.level import estimate_record

    found = level.observables
    record = {
        **level.record(),
        "estimates": {kind: estimate_record(estimate) for kind, estimate in level.estimates.items()},
        "observables": None if found is None else found.record(),
        "message": level.message,
        "started_warm": level.started_warm,
    }
    if level.determinants is not None:
        record["n_determinants"] = level.n_determinants
    if of_charge:
        record["particles"] = list(level.problem.particles)
    return complete_level(record)


def row_record(row: Mapping[str, Any], status: str) -> dict[str, Any]:
    """Return the record of a molecule's level that broke off, from the last row of its history."""
    energy, kind = row.get("energy"), row.get("energy_kind", "variational")
    error = row.get("energy_error")
    return plain_level(
        energy=energy,
        error=error,
        kind=kind,
        variance=row.get("variance"),
        status=status,
        n_steps=row["step"] + 1,
        n_determinants=row.get("n_space"),
        n_connected=row.get("n_connected"),
        wall_time_s=row.get("time_s"),
        estimates={kind: {"energy": energy, "error": error}},
    )


def result_record(
    config: Mapping[str, Any],
    levels: Sequence[Mapping[str, Any]],
    *,
    status: str,
    wall_time: float,
    message: str | None = None,
    stopped_by: str | None = None,
    warnings: Sequence[str] = (),
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the content of result.json.

    Args:
        config: The content of config.json.
        levels: Records of all levels.
        status: How the run ended, or "interrupted" while it goes on.
        wall_time: Seconds of all sessions.
        message: One line on how it ended; by default that of the lowest level.
        stopped_by: The signal that ended it.
        warnings: One line each.
        more: What this command's result has beyond its levels; goes before everything else.
    """
    known = [level for level in levels if level["energy"] is not None and _is_own(level, config)]
    lowest: Mapping[str, Any] = min(known, key=lambda level: level["energy"], default={})
    references = dict(config.get("references") or {})
    if not references:
        exact = [level["reference"] for level in known if level["reference"] is not None]
        # Charge excitations are diagonalised together, after their levels.
        together = ((more or {}).get("exact") or {}).get("energy")
        references = {"ed": min(exact, default=together)}
    record = {
        "format": FORMAT,
        "command": config["command"],
        **headline(lowest or None),
        "energy_unit": config["energy_unit"],
        "references": references,
        "reference_notes": config.get("reference_notes") or {},
        **{key: config.get(key) for key in ("method", "seed", "versions", "system", "truncation")},
        "s_squared": _s_squared(lowest),
        "observables": lowest.get("observables"),
        "n_determinants": lowest.get("n_determinants"),
        "n_connected": lowest.get("n_connected"),
        "n_steps": sum(level["n_steps"] or 0 for level in levels),
        "started_from": config.get("start") if lowest.get("started_warm") else None,
        "status": status,
        "message": lowest.get("message", "") if message is None else message,
        "stopped_by": stopped_by,
        "warnings": list(warnings),
        "wall_time_s": wall_time,
        **(more or {}),
        "levels": [_of_level(level) for level in levels],
    }
    return with_correction(record)


def _of_level(level: Mapping[str, Any]) -> dict[str, Any]:
    """Record of a level as it stands among the levels; states of molecules keep their energies by kind."""
    kept = {"estimates"} if level.get("term") is not None else set()
    return {key: value for key, value in level.items() if key not in _OF_RESULT or key in kept}


def with_correction(record: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a result.json with the estimate `mp2_corrected`, where orbitals were left out.

    The headline stays as it is: that of the Hamiltonian without the orbitals that were left out. Its error
    is that of the estimate too: how far off second order is, is unknown.

    Args:
        record: With `energy`, `energy_error`, `energy_kind`, `estimates` and, where orbitals were left out,
            `truncation`.
    """
    truncation: Mapping[str, Any] | None = record.get("truncation")
    energy = record.get("energy")
    if truncation is None or energy is None:
        return record
    correction, kind, dropped = truncation["correction"], record.get("energy_kind"), truncation["n_dropped"]
    estimate = {
        "energy": energy + correction,
        "error": record.get("energy_error"),
        "upper_bound": False,
        "correction": correction,
        "corrected": kind,
        "note": f"{kind} plus MP2 for {dropped} virtual orbitals left out",
    }
    return {**record, "estimates": {**(record.get("estimates") or {}), "mp2_corrected": estimate}}


def headline(lowest: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what result.json says of its lowest level."""
    of_lowest = ("energy", "variance", "v_score", "n_parameters")
    if lowest is None:
        found: dict[str, Any] = dict.fromkeys((*of_lowest, "energy_kind", "energy_error", "sector"))
        return {**found, "estimates": {}}
    estimates = dict(lowest.get("estimates") or {})
    if not estimates:
        known = ("energy", "error", "upper_bound", "variance")
        estimates = {lowest["kind"]: {key: lowest[key] for key in known}}
    if "vmc" in lowest:
        # Sampled anew by `nnbf evaluate`.
        estimates["vmc"] = lowest["vmc"]
    return {
        **{key: lowest[key] for key in of_lowest},
        "energy_kind": lowest["kind"],
        "energy_error": lowest["error"],
        "estimates": estimates,
        "sector": {**lowest["sector"], "total_spin": lowest.get("total_spin"), "level": lowest["level"]},
    }


def _is_own(level: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """True where a level has as many particles as the problem: charge excitations have others, too."""
    return level.get("particles") in (None, (config.get("system") or {}).get("particles"))


def _s_squared(lowest: Mapping[str, Any]) -> float | None:
    if lowest.get("s_squared") is not None:
        return lowest["s_squared"]
    found = (lowest.get("observables") or {}).get("s_squared")
    return found.get("value") if isinstance(found, Mapping) else found


def _fields(record: Any) -> dict[str, Any] | None:
    return asdict(record) if is_dataclass(record) and not isinstance(record, type) else None


def _described(job: "Job") -> dict[str, Any]:
    if job.is_lattice:
        return {"system": job.problem.to_dict(), "energy_unit": "t"}
    system = job.problem
    if not job.is_molecule:
        described = {"name": system.title, "kind": system.format, **(_fields(system) or {})}
        return {"system": described, "energy_unit": system.unit, "references": dict(system.references)}
    truncation = system.truncation
    return {
        "system": system_record(system),
        "energy_unit": "Hartree",
        "references": dict(system.references),
        "reference_notes": dict(system.reference_notes),
        "truncation": None if truncation is None else truncation.record(system.references),
    }
