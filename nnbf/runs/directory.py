"""A run folder on disk: which file is where, and how each is written and read."""

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError, reason_of
from nnbf._io import given_path, remove_leftovers, write_atomically, write_json
from nnbf._text import typed
from nnbf.runs.checkpoint import Checkpoint, CheckpointStore, load_checkpoint, save_checkpoint
from nnbf.runs.fields import LATTICE_SNAPSHOT, SNAPSHOT
from nnbf.runs.history import HistoryWriter, read_rows
from nnbf.runs.schema import is_lattice, load_config, load_result

if TYPE_CHECKING:
    from hamiltonians import Molecule
    from nnbf.drivers.level import Level

_BEFORE_CONFIG = {"history.jsonl", "system.npz", "start.npz"}


def default_folder(words: Iterable[str], parent: Path | None = None, now: datetime | None = None) -> Path:
    """Return a folder that does not exist yet: runs/<word>_<word>_<time> under the current one.

    Args:
        words: What names the run, such as molecule and basis.
        parent: Where run folders are kept; by default "runs".
        now: The time in the name; by default the present.
    """
    moment = (now or datetime.now()).strftime("%Y%m%d-%H%M%S")
    parts = [*(_slug(word) for word in words), moment]
    folder = (parent or Path("runs")) / "_".join(part for part in parts if part)
    candidate, count = folder, 1
    while candidate.exists():
        count += 1
        candidate = folder.with_name(f"{folder.name}-{count}")
    return candidate


def require_free(folder: str | Path) -> Path:
    """Return `folder` if a run may be written there.

    It does not exist, it is empty, or it holds nothing but what a run has left that was killed before its
    config.json was there.

    Raises:
        InputError: The folder holds another run or other files, or cannot be written.
    """
    path = given_path(folder)
    if path.is_dir():
        if (path / "config.json").exists():
            raise InputError(
                f"{path} holds another run: give another folder, look at it with {typed('report', path)}, "
                f"or go on with it: {typed('resume', path)}"
            )
        if any(path.iterdir()) and not _is_stub(path):
            raise InputError(f"{path} holds other files: give a new or empty folder")
        nearest = path
    else:
        if path.exists():
            raise InputError(f"{path} is a file: give a new or empty folder")
        nearest = next(parent for parent in path.absolute().parents if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: give a writable folder")
    return path


def _is_stub(path: Path) -> bool:
    """True of a folder in which a run was killed before config.json was there; the history comes first."""
    history = path / "history.jsonl"
    if not history.is_file() or history.stat().st_size:
        return False
    return all(
        file.name in _BEFORE_CONFIG or (file.name[0] == "." and file.suffix == ".tmp")
        for file in path.iterdir()
    )


class _Place:
    """A file or folder of a run."""

    def __init__(self, name: str, what: str) -> None:
        self._name, self.__doc__ = name, what

    def __get__(self, run: "RunDirectory", owner: type) -> Path:
        return run.path / self._name


@dataclass(frozen=True)
class RunDirectory:
    """The files of one run.

    Make one with `create` or `open`; every write is atomic except that of `history.jsonl`, which
    grows by whole lines (see `nnbf.runs.history`).
    """

    path: Path
    """The folder."""
    made: tuple[Path, ...] = ()
    """The folder and its parents, as far as `create` made them, innermost first."""

    @classmethod
    def create(cls, folder: str | Path) -> "RunDirectory":
        """Make the folder (and its parents).

        Raises:
            InputError: See `require_free`.
        """
        path = require_free(folder)
        made = tuple(folder for folder in (path, *path.parents) if not folder.exists())
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make {path}: {reason_of(error)}; give another folder") from error
        return cls(path, made)

    @classmethod
    def open(cls, folder: str | Path) -> "RunDirectory":
        """Open the folder of an earlier run.

        Raises:
            InputError: There is no run in it.
        """
        path = given_path(folder)
        if not (path / "config.json").is_file():
            if _is_stub(path):
                raise InputError(f"{path} has no step to go on from: give the command that began it again")
            raise InputError(f"{path} is not a run folder: give one that holds config.json")
        return cls(path)

    config_file = _Place("config.json", "Resolved options, versions, command line.")
    system_file = _Place("system.npz", "The problem: enough to run again without PySCF.")
    start_file = _Place("start.npz", "State that the run began with, where it started from another one.")
    history_file = _Place("history.jsonl", "One line of JSON a step.")
    result_file = _Place("result.json", "The outcome.")
    evaluation_file = _Place("evaluation.json", "Rounds, samples and fits of a state that was sampled.")
    failure_file = _Place("failure.txt", "The traceback of a run that broke off.")
    checkpoint_folder = _Place("checkpoint", "States to resume from, and the final wave function.")
    checkpoint_file = _Place("checkpoint/final.npz", "Final parameters and determinants of a molecule.")
    density_file = _Place("rdm.npz", "Density matrices of the final state (with the option rdm2).")
    natural_orbitals_file = _Place("natural_orbitals.npz", "The system in its own natural orbitals.")

    def state_file(self, record: Mapping[str, Any]) -> Path:
        """Parameters and network of a level, from its record."""
        momentum, particles = record.get("momentum"), record.get("particles")
        if momentum is None:
            if record.get("term") is None:
                return self.checkpoint_file
            return self.path / "states" / f"{record['level']}_{_slug(record['sector']['label'])}.npz"
        parts = [] if particles is None else ["N" + "-".join(map(str, particles))]
        parts += [f"{momentum[0]}-{momentum[1]}", record["irrep"] or ""]
        parts.append({None: "", 1: "even", -1: "odd"}[record["spin_flip"]])
        parts.append(str(record["level"]))
        name = "_".join(part for part in parts if part).replace("'", "p")
        return self.path / "states" / f"{name}.npz"

    def write_problem(self, problem: Any) -> None:
        """Write system.npz."""
        problem.save(self.system_file)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write config.json."""
        write_json(self.config_file, config)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write result.json."""
        write_json(self.result_file, result)

    def write_failure(self, traceback: str) -> None:
        """Write failure.txt."""
        write_atomically(self.failure_file, lambda stream: stream.write(traceback.encode()))

    def write_checkpoint(self, level: "Level") -> None:
        """Write checkpoint/final.npz of a molecule."""
        _save_level(self.checkpoint_file, level)

    def write_state(self, record: Mapping[str, Any], level: "Level") -> None:
        """Write parameters and network of a level of a lattice, which has this record."""
        path = self.state_file(record)
        path.unlink(missing_ok=True)  # where this one cannot be written, an earlier one is not its state
        _save_level(path, level)

    def claim(self) -> HistoryWriter:
        """Open the history of a new run and lock it before any other file is there.

        Raises:
            InputError: Another process has begun a run here.
            OSError: It cannot be opened.
        """
        history = self.history()
        try:
            require_free(self.path)
            for file in (self.system_file, self.start_file):
                file.unlink(missing_ok=True)
            self.remove_leftovers()
        except BaseException:
            history.close()
            raise
        return history

    def history(self) -> HistoryWriter:
        """Open history.jsonl for appending rows, and lock it; see `HistoryWriter`."""
        return HistoryWriter(self.history_file)

    def checkpoints(self, config: Mapping[str, Any] | None = None) -> CheckpointStore:
        """Return the store of the states to resume from; config.json is read where it is not given."""
        config = self.read_config() if config is None else config
        layout = LATTICE_SNAPSHOT if is_lattice(config) else SNAPSHOT
        return CheckpointStore(self.checkpoint_folder, config.get("run"), layout)

    def read_config(self) -> dict[str, Any]:
        """Return config.json; see `load_config`."""
        return load_config(self.path)

    def read_result(self) -> dict[str, Any]:
        """Return result.json; see `load_result`."""
        return load_result(self.path)

    def read_result_or_none(self) -> dict[str, Any] | None:
        """Return result.json if it is there and whole."""
        try:
            return self.read_result()
        except InputError:
            return None

    def read_history(self) -> list[dict[str, Any]]:
        """Return the rows of history.jsonl; a line cut short by a crash is left out.

        Raises:
            InputError: The file is damaged.
        """
        return read_rows(self.history_file)

    def read_system(self) -> "Molecule":
        """Return the system that was solved."""
        from hamiltonians import Molecule, load_problem

        return load_problem(self.system_file, Molecule)

    def read_problem(self, config: Mapping[str, Any]) -> Any:
        """Return the problem that was solved.

        Raises:
            InputError: The file is damaged or missing.
        """
        from hamiltonians import Lattice, load_problem

        if self.system_file.is_file():
            return load_problem(self.system_file)
        if not is_lattice(config):
            raise InputError(f"{self.path} has no {self.system_file.name}: start the run anew")
        # Folders of format 1 describe a lattice in words.
        return Lattice.from_dict(config["system"])

    def read_checkpoint(self) -> Checkpoint:
        """Return final parameters and determinants."""
        return load_checkpoint(self.checkpoint_file)

    def remove_leftovers(self) -> None:
        """Remove temporary files of a process that was killed."""
        for folder in (self.path, self.checkpoint_folder, self.path / "states"):
            remove_leftovers(folder)

    def discard(self) -> None:
        """Take back what is written before the first step, and the folders that were made for it."""
        states = self.checkpoints({}).files()
        for file in (self.config_file, self.system_file, self.start_file, self.history_file, *states):
            file.unlink(missing_ok=True)
        self.leave()

    def leave(self) -> None:
        """Remove the folders that were made, as far as they are empty."""
        for folder in (self.checkpoint_folder, *self.made):
            with contextlib.suppress(OSError):  # somebody else has put something there
                folder.rmdir()


def _save_level(path: Path, level: "Level") -> None:
    from nnbf.drivers.monitor import network_spec

    path.parent.mkdir(exist_ok=True)
    save_checkpoint(path, level.parameters, level.determinants, network_spec(level.model), level.n_steps)


def _slug(text: str) -> str:
    """Return text that is safe in a file name: "cc-pVDZ" stays, "N: 6-31g*" loses its marks."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", text.replace("*", "s")).strip("-.")[:40]
