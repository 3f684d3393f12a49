"""A run folder as it is read for a report: finished, broken off or still going, as plain data."""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError
from nnbf import _text
from nnbf._io import given_path, read_json
from nnbf.estimate import KINDS, Estimate, v_score
from nnbf.report.energies import Reference, best_reference, error_unit
from nnbf.report.hamiltonian_facts import HamiltonianFacts, hamiltonian_facts
from nnbf.report.response_tables import peaks_table, sum_lines
from nnbf.runs.history import read_rows
from nnbf.runs.schema import is_lattice, is_molecule, load_config, load_result, upgraded_result

RUNNING = "running or broken off"
"""Status of a run without a result."""

UNFIT = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors of reading files that hold something else than those of a run."""

_RUN_FILES = ("config.json", "result.json", "history.jsonl", "system.npz")
_HOW = {
    "selected": "selected determinants",
    "vmc": "variational Monte Carlo",
    "full_sum": "full sums",
    "exact": "exact diagonalisation",
}


@dataclass(frozen=True)
class RunRecord:
    """Content of the files of a run folder, in format 2, and what follows from it."""

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
    responses: tuple[Mapping[str, Any], ...] = ()
    """Content of the files in response/."""

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
    def status(self) -> str:
        """How the run ended."""
        return str(self.result.get("status") or "unknown")

    @property
    def warnings(self) -> list[str]:
        """Warnings, one line each."""
        return [str(text) for text in self.result.get("warnings") or ()]

    @property
    def levels(self) -> list[Mapping[str, Any]]:
        """Levels that have an energy."""
        return [level for level in self.result.get("levels") or () if level.get("energy") is not None]

    @property
    def system(self) -> Mapping[str, Any]:
        """Description of the molecule or lattice."""
        return self.result.get("system") or self.config.get("system") or {}

    @property
    def options(self) -> Mapping[str, Any]:
        """Options of the solver as resolved, groups of options flattened."""
        found: dict[str, Any] = {}
        for key, value in (self.config.get("options") or {}).items():
            found.update(value if isinstance(value, Mapping) else {key: value})
        return found

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

    @property
    def milli(self) -> str:
        """Name of a thousandth of the unit."""
        return error_unit(self.unit)

    @cached_property
    def references(self) -> dict[str, float | None]:
        """Energies of other methods, in the unit of the run."""
        found = dict(self.result.get("references") or {})
        exact = self.result.get("exact")  # of charge excitations: the record of exact diagonalisation
        if isinstance(exact, Mapping) and exact.get("energy") is not None:
            found.setdefault("ed", exact["energy"])
        return found

    @cached_property
    def reference(self) -> Reference | None:
        """The most trusted reference."""
        return best_reference({key: _number(value) for key, value in self.references.items()})

    @property
    def has_exact(self) -> bool:
        """True where the reference is exact."""
        return self.reference is not None and self.reference.is_exact

    @cached_property
    def energy(self) -> Estimate | None:
        """Energy that the run reports; None as long as it has none."""
        value, kind = _number(self.result.get("energy")), str(self.result.get("energy_kind") or "")
        if value is None:
            return None
        bound = KINDS.get(kind, ("", "no"))[1] != "no"
        error = _number(self.result.get("energy_error")) or 0.0
        return Estimate(value, error, kind, self.unit, upper_bound=bound, variance=self.variance)

    @property
    def kind(self) -> str:
        """Label of the kind of the energy."""
        return "" if self.energy is None else KINDS.get(self.energy.kind, (self.energy.kind, ""))[0]

    @property
    def difference(self) -> float | None:
        """Energy less that of the reference, in thousandths of the unit."""
        if self.energy is None or self.reference is None:
            return None
        return 1e3 * (self.energy.value - self.reference.energy)

    @property
    def variance(self) -> float | None:
        """Variance of H in the state of the energy."""
        return _number(self.result.get("variance"))

    @property
    def dof(self) -> int | None:
        """Number of particles (electrons that are not frozen), as VarBench counts."""
        if not self.is_lattice:
            return self.system.get("n_electrons")
        particles = self.system.get("particles")
        return sum(particles) if particles else None

    @cached_property
    def hamiltonian(self) -> HamiltonianFacts:
        """The Hamiltonian in brief, with its energy at infinite temperature."""
        return hamiltonian_facts(self)

    @cached_property
    def v_score(self) -> float | None:
        """Dof * variance / (energy - E_inf)^2 where these are known, else what is stored."""
        hot = self.hamiltonian.infinite_temperature
        if self.energy is None or self.variance is None or self.dof is None or hot is None:
            return _number(self.result.get("v_score"))
        return v_score(self.dof, self.variance, self.energy.value, hot)

    @property
    def states(self) -> int | None:
        """Determinants in V, or states of the symmetry sector."""
        energy = self.result.get("energy")
        of_sector = (level.get("n_states") for level in self.levels if level["energy"] == energy)
        return self.result.get("n_determinants") or next(of_sector, None)

    @property
    def seconds(self) -> float | None:
        """Wall time."""
        return _number(self.result.get("wall_time_s"))

    @property
    def method(self) -> str:
        """The method in words: "neural backflow (MLP 128, 2 determinants), selected determinants"."""
        options, inside = self.options, []
        if options.get("network"):
            method = str(self.result.get("method" if self.is_molecule else "energy_kind") or "")
            given = f" ({options['network_options']})" if options.get("network_options") else ""
            rest = [sector_words(self.result.get("sector")), _HOW.get(method, method)]
            return ", ".join([f"network {options['network']}{given}", *(word for word in rest if word)])
        if self.is_lattice:
            plain = options.get("backflow") == "none"
            name = "Slater determinants" if plain else "equivariant neural backflow"
            if options.get("features") and options.get("depth"):
                inside.append(f"CNN of {options['depth']} layers, {options['features']} features")
            kind = str(self.result.get("energy_kind"))
            rest = [sector_words(self.result.get("sector")), _HOW.get(kind, "")]
        else:
            name = "neural backflow"
            if options.get("hidden"):
                inside.append("MLP " + "-".join(map(str, options["hidden"])))
            method = str(self.result.get("method") or self.config.get("method") or "")
            rest = [_HOW.get(method, method)]
        count = options.get("n_determinants")
        if isinstance(count, int):
            inside.append(f"{_text.count(count)} determinant{'s' if count != 1 else ''}")
        if self.is_lattice and options.get("jastrow"):
            inside.append("Jastrow factor")
        head = f"{name} ({', '.join(inside)})" if inside else name
        return ", ".join([head, *(word for word in rest if word)])

    @property
    def code(self) -> str:
        """The program behind the numbers: "nnbf 0.1.0 (commit 0123456789)"."""
        versions, git = self.result.get("versions") or {}, self.config.get("git")
        name = f"nnbf {versions.get('nnbf') or ''}".strip()
        if not git or not git.get("commit"):
            return name
        changed = ", with changes" if git.get("modified") else ""
        return f"{name} (commit {str(git['commit'])[:10]}{changed})"


def read_run(folder: str | Path) -> RunRecord:
    """Read a run folder.

    Raises:
        InputError: It is none, or its files are damaged.
    """
    path = given_path(folder)
    if not path.is_dir():
        raise InputError(f"there is no folder {path}: give the folder of a run")
    has_config, finished = (path / "config.json").is_file(), (path / "result.json").is_file()
    if not has_config and not finished:
        raise InputError(f"{path} is not a run folder: give one that holds config.json and history.jsonl")
    history = read_rows(path / "history.jsonl")
    evaluation = path / "evaluation.json"
    try:
        config = load_config(path) if has_config else {}
        if finished:
            result = load_result(path) if config else upgraded_result(read_json(path / "result.json"), {})
        else:
            result = _so_far(config, history)
        sampled = read_json(evaluation) if evaluation.is_file() else {}
        run = RunRecord(path, config, result, history, finished, sampled, _responses(path))
        _check_numbers(run)
    except UNFIT as error:
        if isinstance(error, InputError):
            raise
        raise unfit(path, error) from error
    return run


def _responses(path: Path) -> tuple[Mapping[str, Any], ...]:
    """Records of responses; a damaged one is left out: it is made again by one command."""
    found = []
    for file in sorted((path / "response").glob("*.json")):
        with contextlib.suppress(*UNFIT):
            record = read_json(file, "a response")
            peaks_table(record), sum_lines(record)
            found.append(record)
    return tuple(found)


def unfit(path: Path, error: Exception) -> InputError:
    """Return the error of a folder whose files hold something else than those of a run."""
    reason = f"{type(error).__name__}: {error}"
    return InputError(f"{path}: its files hold something else than those of a run ({reason})")


def is_run(path: Path) -> bool:
    """Return whether a folder is that of a run, be it one that was killed right after it began."""
    return any((path / name).is_file() for name in _RUN_FILES)


def sector_words(sector: Mapping[str, Any] | None) -> str:
    """Return a sector in words: "momentum (0,0), B2, even spin", with a total spin that was projected on."""
    if not sector:
        return ""
    words = []
    if sector.get("momentum") is not None:
        words.append(f"momentum ({','.join(map(str, sector['momentum']))})")
    if sector.get("irrep"):
        words.append(str(sector["irrep"]))
    if sector.get("spin_flip") in (1, -1):
        words.append("even spin" if sector["spin_flip"] == 1 else "odd spin")
    if sector.get("total_spin") is not None:
        words.append(f"projected on total spin {sector['total_spin']:g}")
    return ", ".join(words)


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


def _check_numbers(run: RunRecord) -> None:
    """Raise what comes of text where numbers should be, and of levels that have none."""
    if run.is_lattice and run.finished and len(run.levels) < len(run.result["levels"]):
        raise TypeError("a level without energy")
    for row in (*run.history, *run.levels):
        for key in ("energy", "time_s", "variance"):
            _number(row.get(key))
    for name in ("energy", "reference", "v_score", "seconds", "states", "method"):
        getattr(run, name)


def _number(value: Any) -> float | None:
    """A finite number, or None; TypeError for text, or another thing that is no number."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} where a number should be")
    return float(value) if math.isfinite(value) else None


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
