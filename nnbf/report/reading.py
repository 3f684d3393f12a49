"""Read a run folder for a report: finished, broken off or still going, as plain data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError
from nnbf._io import read_json
from nnbf.runs.schema import is_lattice, is_molecule, load_config, load_result, upgraded_result

RUNNING = "running or broken off"
"""Status of a run without a result."""

UNFIT = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors of reading files that hold something else than those of a run."""

_RUN_FILES = ("config.json", "result.json", "history.jsonl", "system.npz")


@dataclass(frozen=True)
class RunRecord:
    """Content of the files of a run folder, in format 2."""

    path: Path
    """The folder."""
    config: Mapping[str, Any]
    """Content of config.json."""
    result: Mapping[str, Any]
    """Content of result.json; of a run that has not finished, what its history says so far."""
    history: list[dict[str, Any]]
    """Rows of history.jsonl."""
    finished: bool
    """True where there is a result.json."""
    evaluation: Mapping[str, Any]
    """Content of evaluation.json, empty where the trained state was not sampled."""

    @property
    def command(self) -> str:
        """Command that made the run: molecule, fcidump, solve, lattice, spectrum or charge."""
        return str(self.result.get("command") or self.config.get("command"))

    @property
    def is_lattice(self) -> bool:
        """True for lattice models."""
        return is_lattice({"command": self.command})

    @property
    def is_molecule(self) -> bool:
        """True for molecules."""
        return is_molecule({"command": self.command})

    @property
    def levels(self) -> list[Mapping[str, Any]]:
        """Levels that have an energy."""
        return [level for level in self.result.get("levels") or () if level.get("energy") is not None]

    @property
    def system(self) -> Mapping[str, Any]:
        """Description of the molecule or lattice."""
        return self.result.get("system") or self.config.get("system") or {}

    @property
    def title(self) -> str:
        """Molecule and basis, such as "N2 / sto-3g"; of a lattice the model, such as "t-V 4x4, N=5, V=1"."""
        folder = self.path.resolve().name
        if self.is_lattice:
            return lattice_title(self.system) or folder
        name = self.system.get("name") or self.system.get("formula") or folder
        return f"{name} / {self.system['basis']}" if self.system.get("basis") else name

    @property
    def unit(self) -> str:
        """Unit of energies: Hartree, or t."""
        return str(self.result.get("energy_unit") or ("t" if self.is_lattice else "Hartree"))

    @cached_property
    def references(self) -> dict[str, float | None]:
        """Energies of other methods, in the unit of the run."""
        found = dict(self.result.get("references") or {})
        exact = self.result.get("exact")  # of charge excitations: the record of exact diagonalisation
        if isinstance(exact, Mapping) and exact.get("energy") is not None:
            found.setdefault("ed", exact["energy"])
        return found


def read_run(folder: str | Path) -> RunRecord:
    """Read a run folder.

    Raises:
        InputError: It is none, or its files are damaged.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise InputError(f"there is no folder {path}: give the folder of a run")
    has_config, finished = (path / "config.json").is_file(), (path / "result.json").is_file()
    if not has_config and not finished:
        raise InputError(f"{path} is not a run folder: give one that holds config.json and history.jsonl")
    history = _rows(path / "history.jsonl")
    try:
        config = load_config(path) if has_config else {}
        result = _result(path, config) if finished else _so_far(config, history)
    except UNFIT as error:
        if isinstance(error, InputError):
            raise
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{path}: its files hold something else than those of a run ({reason})") from error
    evaluation = path / "evaluation.json"
    return RunRecord(
        path, config, result, history, finished, read_json(evaluation) if evaluation.is_file() else {}
    )


def is_run(path: Path) -> bool:
    """Return whether a folder is that of a run, be it one that was killed right after it began."""
    return any((path / name).is_file() for name in _RUN_FILES)


def lattice_title(system: Mapping[str, Any]) -> str:
    """Return the name of a lattice model in few words; nothing where the description is too short."""
    if not {"kind", "size", "particles"} <= system.keys():
        return ""
    parts = ["x".join(map(str, system["size"]))]
    if system.get("geometry", "square") != "square":
        parts.append(str(system["geometry"]))
    boundary = system.get("boundary") or ["pbc", "pbc"]
    if list(boundary) != ["pbc", "pbc"]:
        parts.append(" x ".join(b if isinstance(b, str) else f"twist {b:g}" for b in boundary))
    words = [" ".join(parts), "N=" + "+".join(map(str, system["particles"]))]
    for name, key, usual in (("t", "t", 1.0), ("t'", "t_prime", 0.0), ("U", "U", 0.0), ("V", "V", 0.0)):
        value = system.get(key, usual)
        if value != usual:
            words.append(f"{name}={value:g}")
    return f"{'t-V' if system['kind'] == 'tv' else 'Hubbard'} {', '.join(words)}"


def _result(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    return load_result(path) if config else upgraded_result(read_json(path / "result.json"), {})


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines; the last may be cut short where a run was killed, or is being written."""
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        rows = [json.loads(line) for line in lines[:-1] if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}): give another run") from error
    if not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path} is damaged (a line is no JSON object): give another run")
    return rows


def _so_far(config: Mapping[str, Any], history: list[dict[str, Any]]) -> dict[str, Any]:
    """The result of a run that has none, from the last steps of its levels."""
    usual = "variational" if is_molecule(config) else "full_sum"
    last = {(str(row.get("particles")), row.get("sector"), row.get("level")): row for row in history}
    levels = [
        {
            **row,
            "sector": {"label": str(row.get("sector") or "")},
            "level": row.get("level") or 0,
            "error": row.get("energy_error"),
            "kind": row.get("energy_kind") or usual,
        }
        for row in last.values()
    ]
    keys = ("command", "references", "reference_notes", "seed", "versions", "system", "method", "energy_unit")
    lowest = min(levels, key=lambda row: (row.get("energy") is None, row.get("energy") or 0.0), default={})
    kind, energy, error = lowest.get("kind", usual), lowest.get("energy"), lowest.get("error")
    ends = history[-1] if history else {}
    return {
        **{key: config.get(key) for key in keys},
        "energy": energy,
        "energy_kind": kind,
        "energy_error": error,
        "estimates": {} if energy is None else {kind: {"energy": energy, "error": error}},
        "levels": levels,
        "variance": lowest.get("variance"),
        "n_determinants": lowest.get("n_space"),
        "n_connected": lowest.get("n_connected"),
        "n_steps": ends.get("step"),
        "wall_time_s": ends.get("time_s"),
        "status": RUNNING,
        "warnings": [],
    }
