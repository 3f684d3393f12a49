"""records.json: everything a public leaderboard asks of a run, one object each."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnbf.report.collection.hamiltonian import hamiltonian_record
from nnbf.report.collection.method import architecture, settings
from nnbf.report.collection.sources import Entry, SweepEntry
from nnbf.report.collection.summary import Summary, references
from nnbf.report.collection.varbench import code_reference
from nnbf.report.energies import REFERENCES, reference_label

FORMAT = 1
"""Version of the layout of records.json."""

_SHOWN = (
    "energy", "energy_kind", "energy_error", "energy_unit", "estimates", "references", "reference_notes",
    "variance", "v_score", "s_squared", "observables", "truncation", "system", "command", "method", "sector",
    "sectors", "exact", "n_determinants", "n_connected", "n_parameters", "n_steps", "status", "message",
    "warnings", "wall_time_s", "seed", "versions",
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
    return json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


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
    run, result, config = summary.run, summary.run.result, summary.run.config
    return {
        **head,
        "hamiltonian": hamiltonian_record(run, summary.integrals),
        "energy": summary.energy,
        "energy_unit": summary.unit,
        "energy_kind": summary.kind,
        "sigma": summary.error,
        "variance": summary.variance,
        "v_score": summary.v_score,
        "dof": summary.dof,
        "einf": summary.hot.energy,
        "einf_definition": summary.hot.definition,
        "estimates": result.get("estimates"),
        "truncation": result.get("truncation"),
        "sector": result.get("sector"),
        "levels": result.get("sectors"),
        "references": [
            {
                "method": reference_label(key),
                "energy": energy,
                "upper_bound": REFERENCES.get(key, ("", "no"))[1],
                "note": (result.get("reference_notes") or {}).get(key),
            }
            for key, energy in references(run).items()
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
        "code": code_reference(result.get("versions") or {}, config.get("git")),
        "versions": result.get("versions"),
        "git": config.get("git"),
        "hardware": hardware(config),
        "started": config.get("created") or config.get("started"),
        "more": {key: value for key, value in result.items() if key not in _SHOWN} or None,
    }


def hardware(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a run stored of the machine it ran on; None for runs of versions that stored nothing."""
    found = config.get("hardware")
    return dict(found) if isinstance(found, Mapping) else None


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()


def _plain(value: Any) -> Any:
    """NaN and infinity become null: JSON has neither."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
