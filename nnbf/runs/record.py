"""What goes into config.json and result.json, as plain dictionaries."""

import math
import uuid
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nnbf.runs.provenance import git_state, hardware, versions
from nnbf.runs.truncation import truncation_record, with_correction

if TYPE_CHECKING:
    from hamiltonians import Molecule
    from nnbf.drivers.level import Outcome

FORMAT = 1
"""Version of the layout of config.json and result.json."""

ENERGY_UNIT = "Hartree"


def system_record(system: "Molecule") -> dict[str, Any]:
    """Describe a system: keys that every result has, then what a reader may want to know."""
    integrals, info = system.integrals, system.info
    size = integrals.n_orbitals
    return {
        "formula": info.formula,
        "basis": info.basis,
        "n_orbitals": size,
        "n_electrons": integrals.n_electrons,
        "charge": info.charge,
        "two_S": integrals.two_S,
        "name": info.name,
        "point_group": info.point_group,
        "reference_method": info.reference_method,
        "orbitals": info.orbitals,
        "n_frozen_core": info.n_frozen_core,
        "active_space": info.active_space,
        "ecp": info.ecp,
        "atoms": info.atoms,
        "source": info.source,
        "fci_dimension": math.comb(size, integrals.n_alpha) * math.comb(size, integrals.n_beta),
    }


def config_record(
    system: "Molecule",
    options: Any,
    *,
    method: str,
    problem: object | None,
    command_line: str,
    checkpoint_interval: float,
    start: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the resolved configuration of a run, with a name for it that no other run has."""
    described = asdict(problem) if is_dataclass(problem) and not isinstance(problem, type) else None
    return {
        "format": FORMAT,
        "run": uuid.uuid4().hex,
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command_line": command_line,
        "method": method,
        "problem": described,
        "options": asdict(options),
        "checkpoint_interval": checkpoint_interval,
        "start": start,
        "seed": getattr(options, "seed", None),
        "system": system_record(system),
        "energy_unit": ENERGY_UNIT,
        "references": dict(system.references),
        "reference_notes": dict(system.reference_notes),
        "truncation": truncation_record(system),
        "versions": versions(),
        "git": git_state(),
        "hardware": hardware(),
    }


def result_record(
    outcome: "Outcome", config: Mapping[str, Any], warnings: tuple[str, ...], stopped_by: str | None
) -> dict[str, Any]:
    """Return the outcome of a run that ended in an orderly way."""
    from nnbf.drivers.level import estimate_record

    level = outcome.lowest
    record = {
        "energy": float(level.energy.value),
        "energy_kind": level.energy.kind,
        "energy_error": float(level.energy.error),
        "estimates": {kind: estimate_record(found) for kind, found in level.estimates.items()},
        **_shared(config),
        "variance": level.energy.variance,
        "v_score": level.v_score,
        "s_squared": level.s_squared,
        "observables": None if level.observables is None else level.observables.record(),
        "n_determinants": level.n_determinants,
        "n_connected": level.details.get("n_connected"),
        "n_parameters": level.n_parameters,
        "n_steps": level.n_steps,
        "started_from": config.get("start") if level.started_warm else None,
        "status": level.status,
        "message": level.message,
        "stopped_by": stopped_by,
        "warnings": warnings,
        "wall_time_s": level.wall_time_s,
    }
    return with_correction(record)


def broken_record(
    config: Mapping[str, Any],
    last: Mapping[str, Any] | None,
    *,
    status: str,
    message: str,
    warnings: tuple[str, ...],
    wall_time: float,
) -> dict[str, Any]:
    """Return the outcome of a run that broke off, with the last energy of its history.

    Args:
        config: The content of config.json.
        last: The last row of the history.
        status: "failed", or "interrupted" in the middle of a step.
        message: What happened, and what to do now.
        warnings: One line each.
        wall_time: Seconds that the run has taken.
    """
    row = last or {}
    energy = row.get("energy")
    kind = None if energy is None else row.get("energy_kind", "variational")
    error = row.get("energy_error")
    estimates = {} if kind is None else {kind: {"energy": energy, "error": error}}
    record = {
        "energy": energy,
        "energy_kind": kind,
        "energy_error": error,
        "estimates": estimates,
        **_shared(config),
        "variance": row.get("variance"),
        "v_score": None,
        "s_squared": None,
        "observables": None,
        "n_determinants": row.get("n_space"),
        "n_connected": row.get("n_connected"),
        "n_parameters": None,
        "n_steps": row["step"] + 1 if row else 0,
        "status": status,
        "message": message,
        "stopped_by": "SIGINT" if status == "interrupted" else None,
        "warnings": warnings,
        "wall_time_s": wall_time,
    }
    return with_correction(record)


def _shared(config: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("energy_unit", "references", "reference_notes", "method", "seed", "versions", "system")
    # Folders of earlier versions know no truncation.
    return {**{key: config[key] for key in keys}, "truncation": config.get("truncation")}
