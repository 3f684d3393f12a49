"""Checkpoints: the trained state as plain arrays, numbered snapshots to resume from, and when they are made.

`save_checkpoint` writes what NumPy alone can read: parameters, configurations, the network. `CheckpointStore`
keeps the last two snapshots of a run, each written whole or not at all and checked before it is used.
"""

import contextlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hamiltonians.errors import InputError, one_line
from nnbf._io import sync_folder, write_atomically
from nnbf.runs.archive import (
    TREE,
    DamagedFileError,
    flatten_nested,
    read_archive,
    unflatten_nested,
    write_archive,
)
from nnbf.runs.history import HistoryWriter

INTERVAL = 30.0
"""Default number of seconds between checkpoints."""

LARGEST_SHARE = 0.05
"""Most of the time that checkpoints may take, unless every step is to be saved."""

KEPT = 2
"""Checkpoints that are kept."""

_NAME = re.compile(r"state-(\d{6,})\.npz")

_PARAMETERS = "parameters"
_DETERMINANTS = "determinants"
_NETWORK = "network"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained wave function: all that is needed to evaluate it again."""

    parameters: Any
    """Parameters of the network: nested dictionaries and lists of arrays, or its leaves alone (levels of
    lattices in folders of format 1)."""
    determinants: np.ndarray | None = None
    """The variational space V, uint64 bit strings, one row a determinant; None where there is none."""
    network: dict[str, Any] | None = None
    """The network, see `nnbf.ansatz.ansatz_spec`; None in folders of format 1, and of networks that are not
    registered."""


def network_spec(model: Any) -> dict[str, Any] | None:
    """Return what a checkpoint says of a network; None of one that cannot be stored."""
    from nnbf.ansatz import ansatz_spec

    try:
        return ansatz_spec(model)
    except TypeError:  # a module of the user's that is not registered
        return None


def save_checkpoint(
    path: Path,
    parameters: Any,
    determinants: np.ndarray | None = None,
    network: Mapping[str, Any] | None = None,
) -> None:
    """Write a trained wave function, atomically.

    An array at `parameters["a"]["b"]` is stored as "parameters/a/b"; "[0]" stands for the first
    item of a list or tuple. The network is JSON in an array of bytes, "network".

    Raises:
        TypeError: `parameters` holds a container that is neither mapping, list nor tuple.
    """
    arrays = _flatten(parameters, _PARAMETERS)
    if determinants is not None:
        arrays[_DETERMINANTS] = np.asarray(determinants)
    if network is not None:
        arrays[_NETWORK] = np.frombuffer(json.dumps(network).encode(), dtype=np.uint8)
    write_atomically(path, lambda stream: np.savez(stream, **arrays))  # type: ignore[arg-type]


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote; tuples come back as lists.

    Raises:
        InputError: There is no such file, or it is no checkpoint.
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(f"there is no checkpoint {source}: give a run folder that has finished")
    try:
        arrays = read_archive(source, digest_required=False)
        if TREE in arrays:  # a level of a lattice in a folder of format 1
            return Checkpoint(unflatten_nested(arrays)[_PARAMETERS])
        network = arrays.pop(_NETWORK, None)
        determinants = arrays.pop(_DETERMINANTS, None)
        if not any(name.startswith(_PARAMETERS) for name in arrays):
            raise KeyError("no parameters")
        return Checkpoint(
            _unflatten(arrays), determinants, None if network is None else json.loads(network.tobytes())
        )
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{source} is not a readable checkpoint ({one_line(error)[:120]})") from error


@dataclass(frozen=True, eq=False)
class Found:
    """What a folder of checkpoints holds."""

    snapshot: dict[str, Any] | None
    """The newest snapshot that is whole and belongs to the run, or None."""
    file: Path | None
    """Its file."""
    problems: tuple[str, ...]
    """One line for every newer file that is damaged or of another run."""


class CheckpointStore:
    """A folder of numbered files, each a snapshot: nested dictionaries of arrays, numbers and text.

    Example:
        >>> store = CheckpointStore(folder, run="a7")  # doctest: +SKIP
        >>> store.save({"step": 3, "weights": np.ones(2)})  # doctest: +SKIP
        >>> store.load().snapshot["step"]  # doctest: +SKIP
        3
    """

    def __init__(self, folder: Path, run: str | None = None) -> None:
        """Use a folder, which need not exist yet.

        Args:
            folder: Where the files are.
            run: Name of the run that they belong to; files with another name in them are not used.
        """
        self.folder = folder
        self._run = run
        self._useless: set[Path] = set()

    def files(self) -> list[Path]:
        """Return the files, oldest first."""
        if not self.folder.is_dir():
            return []
        matches = [(_NAME.fullmatch(path.name), path) for path in self.folder.iterdir()]
        numbered = [(int(match.group(1)), path) for match, path in matches if match]
        return [path for _, path in sorted(numbered)]

    def save(self, snapshot: Mapping[str, Any]) -> Path:
        """Write a snapshot as the newest file, then remove all but the last two that are of use.

        Raises:
            OSError: It cannot be written; the files before are unchanged.
            TypeError: The snapshot holds something other than arrays, numbers and text.
        """
        if not self.folder.is_dir():
            self.folder.mkdir()
            sync_folder(self.folder.parent)
        files = self.files()
        number = int(_NAME.fullmatch(files[-1].name).group(1)) + 1 if files else 1  # type: ignore[union-attr]
        path = self.folder / f"state-{number:06}.npz"
        write_archive(path, flatten_nested({"run": self._run, "snapshot": snapshot}))
        # What `load` could not use must not push out what it could.
        useful = [file for file in files if file not in self._useless]
        for old in {*files, *self._useless} - {*useful[-KEPT + 1 :]}:
            with contextlib.suppress(OSError):  # one file too many does no harm
                old.unlink()
        self._useless.clear()
        return path

    def load(self) -> Found:
        """Return the newest snapshot that is whole."""
        problems: list[str] = []
        for path in reversed(self.files()):
            try:
                content = unflatten_nested(read_archive(path))
                if content["run"] != self._run:
                    raise DamagedFileError("it belongs to another run")
                return Found(content["snapshot"], path, tuple(problems))
            except (DamagedFileError, OSError, KeyError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                problems.append(f"the checkpoint {path} is not used: {reason}")
                self._useless.add(path)
        return Found(None, None, tuple(problems))


class Checkpointing:
    """Saves snapshots of a run as they are offered: the `on_checkpoint` of a solver.

    A checkpoint that cannot be written (a full disk, say) costs the run nothing: the one before stays
    valid, and the next is tried when it is due.
    """

    def __init__(
        self,
        store: CheckpointStore,
        history: HistoryWriter,
        interval: float = INTERVAL,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        """Begin; the first checkpoint is due after `interval`.

        Args:
            store: Where checkpoints go.
            history: Written to disk before every checkpoint, which relies on its rows.
            interval: Seconds between checkpoints; 0 saves every step.
            warn: Told when a checkpoint cannot be written, once for each reason.
        """
        self._store = store
        self._history = history
        self._interval = interval
        self._warn = warn
        self._due = time.monotonic() + interval
        self.problems: list[str] = []
        """Why checkpoints could not be written, one line for each reason."""
        self.count = 0
        """Checkpoints written."""
        self.seconds = 0.0
        """Time that took."""

    def __call__(self, take: Callable[[], Mapping[str, Any]], must: bool) -> bool:
        """Save `take()` if it is time to or `must`; return whether it is saved."""
        started = time.monotonic()
        if not must and started < self._due:
            return False
        saved = self._save(take)
        ended = time.monotonic()
        self.seconds += ended - started
        wait = max(self._interval, (ended - started) / LARGEST_SHARE) if self._interval > 0 else 0.0
        self._due = ended + wait
        return saved

    def _save(self, take: Callable[[], Mapping[str, Any]]) -> bool:
        try:
            self._history.sync()
            self._store.save(take())
        except OSError as error:
            problem = (
                f"a checkpoint could not be written ({error.strerror or one_line(error)}): "
                "the one before stays valid, and the run goes on"
            )
            if problem not in self.problems:
                self.problems.append(problem)
                if self._warn is not None:
                    self._warn(problem)
            return False
        self.count += 1
        return True


def _flatten(tree: Any, path: str) -> dict[str, np.ndarray]:
    if isinstance(tree, Mapping):
        items = [(str(key), value) for key, value in tree.items()]
    elif isinstance(tree, list | tuple):
        items = [(f"[{index}]", value) for index, value in enumerate(tree)]
    else:
        array = np.asarray(tree)
        if array.dtype == object:
            raise TypeError(f"{path} is a {type(tree).__name__}: give arrays in dictionaries or lists")
        return {path: array}
    flat: dict[str, np.ndarray] = {}
    for key, value in items:
        if "/" in key:
            raise TypeError(f"the key {key!r} of {path} holds a slash")
        flat.update(_flatten(value, f"{path}/{key}"))
    return flat


def _unflatten(arrays: Mapping[str, np.ndarray]) -> Any:
    root: dict[str, Any] = {}
    for path, array in arrays.items():
        *folders, name = path.split("/")
        node = root
        for folder in folders:
            node = node.setdefault(folder, {})
        node[name] = array
    return _lists_restored(root.get(_PARAMETERS, {}))


def _lists_restored(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(key.startswith("[") for key in node):
        return [_lists_restored(node[f"[{index}]"]) for index in range(len(node))]
    return {key: _lists_restored(value) for key, value in node.items()}
