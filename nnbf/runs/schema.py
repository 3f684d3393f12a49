"""The layout of config.json and result.json, format 2, and readers that bring format 1 up to it.

Nothing else looks at a format: `load_config` and `load_result` return format 2 whatever is on disk.

config.json
    format, command (molecule, fcidump, solve, lattice, spectrum or charge), run, created, command_line,
    method, problem, options, sectors, limits, checkpoint_interval, seed, system, energy_unit, versions, git,
    hardware, start, resumed; of molecules also references, reference_notes and truncation.
result.json
    energy and what belongs to it at the top level, and under ``levels`` one entry a level: sector
    (momentum, irrep, spin_flip, label), level, energy, error, kind, upper_bound, reference, variance,
    v_score, s_squared, status, n_steps, n_parameters, wall_time_s, warnings; of lattices also momentum,
    irrep, spin_flip, degeneracy, star, n_states and so on; of several states of a molecule term (number of
    the level), multiplicity, irrep, degeneracy, component, excitation_energy and excitation_ev,
    transition_dipole, oscillator_strength, double_character, estimates; of ions charge and pole_strength.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError, one_line
from nnbf._io import given_path, read_json
from nnbf.runs.fields import CONFIG, RESULT, require_fields

FORMAT = 2
"""Version of the layout of config.json and result.json."""

LATTICE = ("lattice", "spectrum", "charge")
"""Commands whose problem is a lattice model."""

MOLECULE = ("molecule", "fcidump")
"""Commands whose problem is a molecule."""

COMMANDS = (*MOLECULE, "solve", *LATTICE)
"""Commands that make run folders."""

_OF_LEVEL = (
    "energy",
    "error",
    "kind",
    "upper_bound",
    "reference",
    "variance",
    "v_score",
    "s_squared",
    "status",
    "n_steps",
    "n_determinants",
    "n_parameters",
    "wall_time_s",
)
_SECTOR = ("momentum", "irrep", "spin_flip")


def load_config(folder: str | Path) -> dict[str, Any]:
    """Return config.json in format 2.

    Args:
        folder: A run folder.

    Raises:
        InputError: There is no run in the folder, or the file is damaged or of a later format.
    """
    path = given_path(folder) / "config.json"
    if not path.is_file():
        raise InputError(f"{path.parent} is not a run folder: give one that holds config.json")
    config = _known(read_json(path), path)
    with _damage_reported(path):
        found = upgraded_config(config)
        require_fields(found, CONFIG, "")
        if found["command"] not in COMMANDS:
            raise ValueError(f"command {found['command'][:20]!r} makes no sense")
    return found


def load_result(folder: str | Path) -> dict[str, Any]:
    """Return result.json in format 2.

    Args:
        folder: A run folder.

    Raises:
        InputError: The run has not finished, or the file is damaged or of a later format.
    """
    path = given_path(folder) / "result.json"
    if not path.is_file():
        raise InputError(f"{path.parent} has no result.json: the run has not finished")
    result = _known(read_json(path), path)
    with _damage_reported(path):
        found = result if result.get("format") == FORMAT else upgraded_result(result, load_config(folder))
        require_fields(found, RESULT, "")
        found["levels"] = [complete_level(level) for level in found["levels"]]
    return found


def is_lattice(record: Mapping[str, Any]) -> bool:
    """Return whether a configuration or result (format 2) is that of a lattice model."""
    return record.get("command") in LATTICE


def is_molecule(record: Mapping[str, Any]) -> bool:
    """Return whether a configuration or result (format 2) is that of a molecule."""
    return record.get("command") in MOLECULE


def sector_label(momentum: Any, irrep: str | None, spin_flip: int | None) -> str:
    """Return the short name of a sector, as `hamiltonians.Sector.label` has it; of a molecule nothing."""
    parts = [] if momentum is None else [f"({momentum[0]},{momentum[1]})"]
    parts += [] if irrep is None else [irrep]
    parts += [] if spin_flip is None else ["even spin" if spin_flip == 1 else "odd spin"]
    return " ".join(parts)


def complete_level(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a level with None for what it lacks: those written and those read are the same."""
    return {**dict.fromkeys((*_OF_LEVEL, *_SECTOR)), **known}


def plain_level(**known: Any) -> dict[str, Any]:
    """Return the record of the level of a molecule, with None for what is not given."""
    sector = {**dict.fromkeys(_SECTOR), "label": ""}
    return {"sector": sector, "level": 0, **dict.fromkeys(_OF_LEVEL), "warnings": [], **known}


def upgraded_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a config.json in format 2, with defaults for what it lacks."""
    found = dict(config)
    command = found.get("command") or _molecular_command(found)
    found |= {"format": FORMAT, "command": command}
    for old, new in (("solver", "options"), ("started", "created"), ("choice", "sectors")):
        if old in found:
            found[new] = found.pop(old)
    found.setdefault("options", {})
    absent = {
        "problem": None,
        "sectors": None,
        "limits": {},
        "checkpoint_interval": 30.0,
        "start": None,
        "resumed": [],
        "method": found["options"].get("method"),
        "seed": found["options"].get("seed"),
    }
    if command in LATTICE:
        known = found.get("system")
        absent |= {"system": known or lattice_description(found.get("problem") or {}), "energy_unit": "t"}
    return {**absent, **found}


def upgraded_result(result: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a result.json of format 1 in format 2.

    Args:
        result: That content.
        config: The configuration of the run, in format 2.
    """
    shared = ("command", "method", "seed", "versions")
    found = {**{key: config.get(key) for key in shared}, **result, "format": FORMAT}
    if found["command"] not in LATTICE:
        found["levels"] = [_molecular_level(found)]
    elif found["command"] == "charge":
        found.setdefault("energy_error", 0.0)
        found.setdefault("status", "converged")
        found["levels"] = [_charge_level(found)]
    else:
        found["levels"] = [_lattice_level(level) for level in found.pop("sectors", ())]
    levels = found["levels"]
    absent: dict[str, Any] = {
        "estimates": {},
        "references": {},
        "warnings": [
            f"{level['sector']['label']}: {text}" for level in levels for text in level.get("warnings") or ()
        ],
        "n_steps": sum(level.get("n_steps") or 0 for level in levels),
    }
    return {**absent, **found}


def lattice_description(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``system`` of the lattice that a problem of format 1 asks for; empty if it makes none."""
    from hamiltonians import LatticeSpec

    known = {name: problem[name] for name in LatticeSpec.__dataclass_fields__ if name in problem}
    known.setdefault("model", str(problem.get("kind") or ""))
    try:
        model = LatticeSpec(**known).build()
    except (InputError, TypeError):
        return {}
    return model.to_dict()


@contextmanager
def _damage_reported(path: Path) -> Iterator[None]:
    """Turn what a file of the wrong make leads to into one line."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged ({one_line(error)}): is it that of a run?") from error


def _known(content: dict[str, Any], path: Path) -> dict[str, Any]:
    found = content.get("format", 1)
    if not isinstance(found, int) or found > FORMAT:
        raise InputError(f"{path} has format {found}, this version knows up to {FORMAT}: use its version")
    return content


def _molecular_command(config: Mapping[str, Any]) -> str:
    return "fcidump" if "file" in (config.get("problem") or {}) else "molecule"


def _molecular_level(result: Mapping[str, Any]) -> dict[str, Any]:
    kind = result.get("energy_kind")
    of_result = {key: result.get(key) for key in _OF_LEVEL}
    return plain_level(
        **of_result
        | {
            "error": result.get("energy_error"),
            "kind": kind,
            "upper_bound": ((result.get("estimates") or {}).get(kind) or {}).get("upper_bound"),
            "reference": (result.get("references") or {}).get("fci"),
        }
    )


def _lattice_level(level: Mapping[str, Any]) -> dict[str, Any]:
    sector = {key: level.get(key) for key in _SECTOR}
    label = sector_label(sector["momentum"], sector["irrep"], sector["spin_flip"])
    return {
        "s_squared": None,
        "status": None,
        "warnings": [],
        **level,
        "sector": {**sector, "label": label},
    }


def _charge_level(result: Mapping[str, Any]) -> dict[str, Any]:
    """The ground state, the only level that format 1 told of."""
    sector = result.get("sector") or {}
    return _lattice_level(
        {
            "momentum": sector.get("momentum"),
            "irrep": sector.get("irrep"),
            "spin_flip": None,
            "level": 0,
            "energy": result.get("energy"),
            "error": 0.0,
            "kind": result.get("energy_kind"),
            "upper_bound": True,
            "reference": (result.get("exact") or {}).get("energy"),
            "variance": result.get("variance"),
            "v_score": None,
            "status": "converged",
            "n_steps": None,
            "n_parameters": None,
            "wall_time_s": None,
            "degeneracy": result.get("degeneracy"),
            "particles": (result.get("system") or {}).get("particles"),
        }
    )
