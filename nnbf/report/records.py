"""Rows for VarBench (Wu et al., Science 386, 296 (2024)) and records.json: all that leaderboards ask for."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nnbf._io import plain
from nnbf._text import Cell, Table
from nnbf.estimate import REFERENCES, reference_label
from nnbf.report.method import architecture, code_reference, settings
from nnbf.report.sources import Entry, SweepEntry
from nnbf.report.summary import Summary
from nnbf.report.varbench_names import hamiltonian_record, varbench_file

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
_EVALUATION_LISTS = ("rounds",)


def records_json(
    entries: Sequence[tuple[Entry, Summary | None]], sweeps: Sequence[SweepEntry], folder: Path
) -> str:
    """Return records.json.

    Args:
        entries: Runs, with their summaries where they can be read.
        sweeps: Sweeps that they are points of.
        folder: Where the file will be: paths are relative to it.
    """
    content = {
        "format": FORMAT,
        "runs": [record(entry, summary, folder) for entry, summary in entries],
        "sweeps": [
            {
                "name": sweep.name,
                "directory": _relative(sweep.path, folder),
                # The points stand among the runs.
                **{
                    key: value
                    for key, value in sweep.content.items()
                    if key not in ("points", "name", "timings")
                },
            }
            for sweep in sweeps
        ],
    }
    return json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def record(entry: Entry, summary: Summary | None, folder: Path) -> dict[str, Any]:
    """Return the record of a run; of one that cannot be read its name, state and reason."""
    head = {
        "run": entry.name,
        "directory": _relative(entry.path, folder),
        "status": entry.status,
        "reason": entry.reason or None,
        "sweep": entry.sweep,
        "coordinates": dict(entry.coordinates) or None,
    }
    if summary is None:
        return head
    run, result, config, energy = summary.run, summary.run.result, summary.run.config, summary.energy
    return {
        **head,
        "hamiltonian": hamiltonian_record(run, summary.integrals),
        "energy": None if energy is None else energy.value,
        "energy_unit": summary.unit,
        "energy_kind": str(result.get("energy_kind") or ""),
        "sigma": (energy and energy.error) or None,
        "variance": summary.variance,
        "v_score": summary.v_score,
        "dof": summary.dof,
        "einf": summary.infinite_temperature.energy,
        "einf_definition": summary.infinite_temperature.definition,
        "estimates": result.get("estimates"),
        "truncation": result.get("truncation"),
        "sector": result.get("sector"),
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
        "exact": result.get("exact"),
        "method": summary.method,
        "architecture": architecture(run),
        "hyperparameters": dict(settings(run)),
        "problem": config.get("problem"),
        "limits": config.get("limits"),
        "command": run.command,
        "command_line": config.get("command_line"),
        "seed": result.get("seed", config.get("seed")),
        "n_determinants": result.get("n_determinants"),
        "n_connected": result.get("n_connected"),
        "n_steps": result.get("n_steps"),
        "wall_time_s": summary.seconds,
        "s_squared": result.get("s_squared"),
        "observables": result.get("observables"),
        "evaluation": {k: v for k, v in run.evaluation.items() if k not in _EVALUATION_LISTS} or None,
        "warnings": list(result.get("warnings") or ()),
        "code": code_reference(run),
        "versions": result.get("versions"),
        "git": config.get("git"),
        "hardware": config.get("hardware"),
        "started": config.get("created"),
        "more": {key: value for key, value in result.items() if key not in _SHOWN} or None,
    }


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()


def has_row(summary: Summary) -> bool:
    """Return whether a run has a row: it has ended with an energy, and has not failed."""
    return summary.energy is not None and summary.run.finished and summary.entry.status != "failed"


def varbench_table(summaries: Sequence[Summary]) -> Table:
    """Return the rows of runs; numbers are in full, unknown ones empty."""
    return Table(VARBENCH_COLUMNS, ([_cell(value) for value in _row(summary)] for summary in summaries))


def _row(summary: Summary) -> list[Any]:
    energy, run = summary.energy, summary.run
    return [
        None if energy is None else energy.value,
        (energy and energy.error) or None,
        summary.variance,
        summary.dof,
        summary.infinite_temperature.energy,
        summary.v_score,
        summary.method,
        code_reference(run),
        None if energy is None else energy.kind,
        summary.unit,
        summary.system,
        varbench_file(run.system) if run.is_lattice else None,
        summary.entry.name,
    ]


def _cell(value: Any) -> Cell:
    return Cell("" if value is None else str(value), value)
