"""Read a run folder for a report: finished, broken off or still going, as plain data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError

LATTICE_COMMANDS = ("lattice", "spectrum", "charge")
"""What config.json says of runs on lattices."""

_RUN_FILES = ("config.json", "result.json", "history.jsonl", "system.npz")


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
    def command(self) -> str:
        """Command that made the run: molecule, fcidump, lattice, spectrum or charge."""
        known = self.config.get("command") or self.result.get("command")
        if known:
            return str(known)
        return "fcidump" if "file" in (self.config.get("problem") or {}) else "molecule"

    @property
    def is_lattice(self) -> bool:
        """Whether the run is that of a lattice model."""
        return self.command in LATTICE_COMMANDS

    @property
    def title(self) -> str:
        """Molecule and basis, such as "N2 / sto-3g"; of a lattice the model, such as "t-V 4x4, N=5, V=1"."""
        system = self.result.get("system") or {}
        if self.is_lattice:
            return lattice_title(system) or self.path.resolve().name
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


def is_run(path: Path) -> bool:
    """Whether a folder is that of a run, be it one that was killed right after it began."""
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
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        rows = [json.loads(line) for line in lines[:-1] if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}): give another run") from error
    if not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path} is damaged (a line is no JSON object): give another run")
    return rows


def _so_far(config: Mapping[str, Any], history: list[dict[str, Any]]) -> dict[str, Any]:
    of_lattice = config.get("command") in LATTICE_COMMANDS
    last = (_lowest(history) if of_lattice else history[-1]) if history else {}
    kind = last.get("energy_kind") or ("full_sum" if of_lattice else "variational")
    estimates = {}
    if last.get("energy") is not None:
        estimates[kind] = {"energy": last["energy"], "error": last.get("energy_error")}
    keys = ("references", "reference_notes", "seed", "versions", "system", "method")
    return {
        "energy": last.get("energy"),
        "energy_kind": kind,
        "energy_error": last.get("energy_error"),
        "estimates": estimates,
        **{key: config.get(key) for key in keys},
        "energy_unit": config.get("energy_unit") or ("t" if of_lattice else None),
        "system": lattice_of(config) if of_lattice else config.get("system"),
        "variance": last.get("variance"),
        "n_determinants": last.get("n_space"),
        "n_connected": last.get("n_connected"),
        "n_steps": last.get("step"),
        "wall_time_s": last.get("time_s"),
        "status": "running or broken off",
        "warnings": [],
    }


def _lowest(history: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the last steps of all sectors the one of lowest energy."""
    last = {(row.get("sector"), row.get("level")): row for row in history}
    return min(last.values(), key=lambda row: (row.get("energy") is None, row.get("energy") or 0.0))


def lattice_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of the lattice model that a configuration asks for; empty if it makes none."""
    from hamiltonians import Lattice

    problem = config.get("problem") or {}
    kind = str(problem.get("model") or problem.get("kind") or "")
    interaction = problem.get("interaction", 1.0)
    try:
        model = Lattice(
            kind,
            problem["size"],
            problem["particles"],
            t=problem.get("hopping", 1.0),
            t_prime=problem.get("next_hopping", 0.0),
            U=0.0 if kind == "tv" else interaction,
            V=interaction if kind == "tv" else problem.get("neighbour_repulsion", 0.0),
            geometry=problem.get("geometry", "square"),
            boundary=problem.get("boundary", "pbc"),
        )
    except (InputError, KeyError, TypeError):
        return {}
    return model.to_dict()
