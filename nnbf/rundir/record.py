"""What goes into config.json and result.json, as plain dictionaries."""

import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nnbf.rundir.provenance import git_state, versions

if TYPE_CHECKING:
    from hamiltonians import MolecularSystem
    from nnbf.drivers.ground_state import SolveResult

FORMAT = 1
"""Version of the layout of config.json and result.json."""

ENERGY_UNIT = "Hartree"


def system_record(system: "MolecularSystem") -> dict[str, Any]:
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
    system: "MolecularSystem",
    options: Any,
    *,
    method: str,
    problem: object | None,
    command_line: str,
) -> dict[str, Any]:
    """Return the resolved configuration of a run."""
    described = asdict(problem) if is_dataclass(problem) and not isinstance(problem, type) else None
    return {
        "format": FORMAT,
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command_line": command_line,
        "method": method,
        "problem": described,
        "options": asdict(options),
        "seed": getattr(options, "seed", None),
        "system": system_record(system),
        "energy_unit": ENERGY_UNIT,
        "references": dict(system.references),
        "reference_notes": dict(system.reference_notes),
        "versions": versions(),
        "git": git_state(),
    }


def result_record(
    solution: "SolveResult", config: Mapping[str, Any], warnings: tuple[str, ...], stopped_by: str | None
) -> dict[str, Any]:
    """Return the outcome of a run that ended in an orderly way."""
    return {
        "energy": solution.energy,
        "energy_kind": solution.energy_kind,
        "energy_error": solution.energy_error,
        "estimates": solution.estimates,
        **_shared(config),
        "variance": solution.variance,
        "v_score": solution.v_score,
        "s_squared": solution.s_squared,
        "n_determinants": solution.n_determinants,
        "n_connected": solution.n_connected,
        "n_parameters": solution.n_parameters,
        "n_steps": solution.n_steps,
        # Readers know four words; `stopped_by` tells a request to stop from a limit that was set.
        "status": "time_limit" if solution.status == "interrupted" else solution.status,
        "message": solution.message,
        "stopped_by": stopped_by,
        "warnings": warnings,
        "wall_time_s": solution.wall_time_s,
    }


def failure_record(
    config: Mapping[str, Any],
    last: Mapping[str, Any] | None,
    message: str,
    warnings: tuple[str, ...],
    wall_time: float,
) -> dict[str, Any]:
    """Return the outcome of a run that broke off, with the last energy of its history."""
    row = last or {}
    energy = row.get("energy")
    estimates = {} if energy is None else {"variational": {"energy": energy, "error": None}}
    return {
        "energy": energy,
        "energy_kind": "variational" if energy is not None else None,
        "energy_error": None,
        "estimates": estimates,
        **_shared(config),
        "variance": row.get("variance"),
        "v_score": None,
        "s_squared": None,
        "n_determinants": row.get("n_space"),
        "n_connected": row.get("n_connected"),
        "n_parameters": None,
        "n_steps": row.get("step", 0),
        "status": "failed",
        "message": message,
        "stopped_by": None,
        "warnings": warnings,
        "wall_time_s": wall_time,
    }


def _shared(config: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("energy_unit", "references", "reference_notes", "method", "seed", "versions", "system")
    return {key: config[key] for key in keys}
