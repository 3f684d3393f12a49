"""Rows for VarBench (Wu et al., Science 386, 296 (2024)) and records.json: all that leaderboards ask for."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnbf._io import plain
from nnbf._text import Cell, Table
from nnbf.estimate import REFERENCES, reference_label
from nnbf.report.hamiltonian_facts import hamiltonian_record, varbench_file
from nnbf.report.reading import RunRecord
from nnbf.report.sources import Entry, SweepEntry

VARBENCH_COLUMNS = (
    "energy", "sigma", "variance", "dof", "einf", "v_score", "method", "reference", "kind", "unit", "system",
    "file", "run",
)  # fmt: skip
"""Columns of varbench.csv: those of VarBench and the V-score, then what they belong to."""

FORMAT = 1
"""Version of the layout of records.json."""

_SHOWN = (
    "energy", "energy_kind", "energy_error", "energy_unit", "estimates", "references", "reference_notes",
    "variance", "v_score", "s_squared", "observables", "truncation", "system", "command", "method", "sector",
    "levels", "format", "exact", "n_determinants", "n_connected", "n_parameters", "n_steps", "status",
    "message", "warnings", "wall_time_s", "seed", "versions",
)  # fmt: skip
"""Keys of result.json that have a place of their own."""
_OF_RESULT = (
    "estimates", "truncation", "sector", "exact", "n_determinants", "n_connected", "n_steps", "s_squared",
    "observables", "versions",
)  # fmt: skip
_OF_CONFIG = ("problem", "limits", "command_line", "git", "hardware")
_NETWORK = (
    "network", "network_options", "hidden", "blocked", "spin_flip", "features", "depth", "kernel", "backflow",
    "n_determinants", "cell", "orbitals", "jastrow", "network_jastrow",
)  # fmt: skip
"""Options that shape a wave function."""


def records_json(entries: Sequence[Entry], sweeps: Sequence[SweepEntry], folder: Path) -> str:
    """Return records.json.

    Args:
        entries: Runs.
        sweeps: Sweeps that they are points of.
        folder: Where the file will be: paths are relative to it.
    """
    content = {
        "format": FORMAT,
        "runs": [_record(entry, folder) for entry in entries],
        "sweeps": [
            {"name": sweep.name, "directory": _relative(sweep.path, folder), **_without_points(sweep.content)}
            for sweep in sweeps
        ],
    }
    return json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _without_points(content: Mapping[str, Any]) -> dict[str, Any]:
    """Content of sweep.json but for its points, which stand among the runs."""
    return {key: value for key, value in content.items() if key not in ("points", "name", "timings")}


def _record(entry: Entry, folder: Path) -> dict[str, Any]:
    """The record of a run; of one that cannot be read its name, state and reason."""
    head = {
        "run": entry.name,
        "directory": _relative(entry.path, folder),
        "status": entry.status,
        "reason": entry.reason or None,
        "sweep": entry.sweep,
        "coordinates": dict(entry.coordinates) or None,
    }
    run = entry.run
    if run is None:
        return head
    result, config, energy = run.result, run.config, run.energy
    return {
        **head,
        "hamiltonian": hamiltonian_record(run),
        "energy": None if energy is None else energy.value,
        "energy_unit": run.unit,
        "energy_kind": str(result.get("energy_kind") or ""),
        "sigma": (energy and energy.error) or None,
        "variance": run.variance,
        "v_score": run.v_score,
        "dof": run.dof,
        "einf": run.hamiltonian.infinite_temperature,
        "einf_definition": run.hamiltonian.definition,
        "levels": result.get("levels") if run.is_lattice else None,
        "references": [
            {
                "method": reference_label(key),
                "energy": energy,
                "upper_bound": REFERENCES.get(key, ("", "no"))[1],
                "note": (result.get("reference_notes") or {}).get(key),
            }
            for key, energy in run.references.items()
        ],
        "method": run.method,
        "architecture": _architecture(run),
        "hyperparameters": dict(run.options),
        "command": run.command,
        "seed": result.get("seed", config.get("seed")),
        "wall_time_s": run.seconds,
        "evaluation": {key: value for key, value in run.evaluation.items() if key != "rounds"} or None,
        "warnings": run.warnings,
        "code": run.code,
        **{key: result.get(key) for key in _OF_RESULT},
        **{key: config.get(key) for key in _OF_CONFIG},
        "started": config.get("created"),
        "more": {key: value for key, value in result.items() if key not in _SHOWN} or None,
    }


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()


def _architecture(run: RunRecord) -> dict[str, Any]:
    """The wave function as data: its kind and those options that shape it."""
    kind = "equivariant convolutional backflow" if run.is_lattice else "backflow of a multilayer perceptron"
    shape = {key: run.options[key] for key in _NETWORK if key in run.options}
    return {
        "kind": str(run.options.get("network") or kind),
        **shape,
        "n_parameters": run.result.get("n_parameters"),
    }


def varbench_table(entries: Sequence[Entry]) -> Table:
    """Return the rows of runs; numbers are in full, unknown ones empty."""
    rows = [(entry.name, entry.run) for entry in entries if entry.run is not None]
    return Table(VARBENCH_COLUMNS, ([_cell(value) for value in _row(name, run)] for name, run in rows))


def _row(name: str, run: RunRecord) -> list[Any]:
    energy = run.energy
    return [
        None if energy is None else energy.value,
        (energy and energy.error) or None,
        run.variance,
        run.dof,
        run.hamiltonian.infinite_temperature,
        run.v_score,
        run.method,
        run.code,
        None if energy is None else energy.kind,
        run.unit,
        run.title,
        varbench_file(run.system) if run.is_lattice else None,
        name,
    ]


def _cell(value: Any) -> Cell:
    return Cell("" if value is None else str(value), value)
