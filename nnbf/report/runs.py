"""Read a run folder for a report: finished, broken off or still going, as plain data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError


@dataclass(frozen=True)
class RunRecord:
    """What the files of a run folder say."""

    path: Path
    """The folder."""
    config: Mapping[str, Any]
    """Content of config.json."""
    result: Mapping[str, Any]
    """Content of result.json; of a run that has not finished, what its history says so far."""
    history: list[dict[str, Any]]
    """Rows of history.jsonl."""
    finished: bool
    """Whether there is a result.json."""
    evaluation: Mapping[str, Any]
    """Content of evaluation.json, empty where the trained state was not sampled."""

    @property
    def title(self) -> str:
        """Molecule and basis, such as "N2 / sto-3g"."""
        system = self.result.get("system") or {}
        name = system.get("name") or system.get("formula") or self.path.resolve().name
        return f"{name} / {system['basis']}" if system.get("basis") else name


def read_run(folder: str | Path) -> RunRecord:
    """Read a run folder.

    Raises:
        InputError: It is none, or its files are damaged.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise InputError(f"there is no folder {path}: give the folder of a run")
    if not (path / "config.json").is_file() and not (path / "result.json").is_file():
        raise InputError(f"{path} is not a run folder: give one that holds config.json and history.jsonl")
    config = _object(path / "config.json")
    history = _rows(path / "history.jsonl")
    finished = (path / "result.json").is_file()
    result = _object(path / "result.json") if finished else _so_far(config, history)
    return RunRecord(path, config, result, history, finished, _object(path / "evaluation.json"))


def _object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}): give another run") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged (no JSON object): give another run")
    return content


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines; the last may be cut short where a run was killed, or is being written."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    try:
        return [json.loads(line) for line in lines[:-1] if line.strip()]
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}): give another run") from error


def _so_far(config: Mapping[str, Any], history: list[dict[str, Any]]) -> dict[str, Any]:
    last = history[-1] if history else {}
    estimates = {}
    if last.get("energy") is not None:
        estimates["variational"] = {"energy": last["energy"], "error": None}
    keys = ("energy_unit", "references", "reference_notes", "seed", "versions", "system")
    return {
        "energy": last.get("energy"),
        "energy_kind": "variational",
        "estimates": estimates,
        **{key: config.get(key) for key in keys},
        "variance": last.get("variance"),
        "n_determinants": last.get("n_space"),
        "n_connected": last.get("n_connected"),
        "n_steps": last.get("step"),
        "wall_time_s": last.get("time_s"),
        "status": "running or broken off",
        "warnings": [],
    }
