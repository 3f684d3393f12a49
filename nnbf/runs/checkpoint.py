"""Checkpoints: snapshots to resume from, trained states as plain arrays, and the files that hold both.

An archive is an .npz followed by the digest of its bytes; NumPy reads it like any other. `CheckpointStore`
keeps the last two snapshots of a run, each written whole or not at all and checked before it is used.
`save_checkpoint` writes what NumPy alone can make sense of: parameters, configurations, the network.
"""

import contextlib
import hashlib
import io
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hamiltonians.errors import InputError, one_line, reason_of
from hamiltonians.foreign import DEEPEST, parse_json, read_npz
from nnbf._io import sync_folder, write_atomically
from nnbf.runs.fields import Needed, require_fields
from nnbf.runs.history import HistoryWriter

INTERVAL = 30.0
"""Default number of seconds between checkpoints."""

LARGEST_SHARE = 0.05
"""Most of the time that checkpoints may take, unless every step is to be saved."""

KEPT = 2
"""Checkpoints that are kept."""

TREE = "tree"
"""Array with the JSON of a nested dictionary, beside its arrays."""

_MARK = b"\nnnbf sha256 "
_TAIL = len(_MARK) + 64
_ARRAY = "#array"
_NAME = re.compile(r"state-(\d{6,})\.npz")
_PARAMETERS = "parameters"
_DETERMINANTS = "determinants"
_NETWORK = "network"
_STEP = "step"


class DamagedFileError(ValueError):
    """Raised for a file whose content is not what was written; the message says what is wrong."""


def write_archive(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays and the digest, atomically.

    Raises:
        OSError: The file cannot be written; an earlier one is then unchanged.
    """
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    content = stream.getbuffer()
    digest = hashlib.sha256(content).hexdigest().encode()

    def write(file) -> None:
        file.write(content)
        file.write(_MARK + digest)

    write_atomically(path, write)


def read_archive(path: Path, *, digest_required: bool = True) -> dict[str, np.ndarray]:
    """Return the arrays that `write_archive` wrote.

    Args:
        path: The file.
        digest_required: Whether an archive without a digest is refused.

    Raises:
        DamagedFileError: The file is cut short, changed or of another kind.
        OSError: It cannot be read.
    """
    content = path.read_bytes()
    archive, mark, digest = content[:-_TAIL], content[-_TAIL:-64], content[-64:]
    if mark == _MARK:
        if hashlib.sha256(archive).hexdigest().encode() != digest:
            raise DamagedFileError("its content does not match its digest")
    elif digest_required:
        raise DamagedFileError("it is empty" if not content else "it is cut short, or no checkpoint")
    else:
        archive = content
    try:
        return read_npz(io.BytesIO(archive))
    except ValueError as error:
        raise DamagedFileError(f"it holds no arrays ({error})") from error


def flatten_nested(nested: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays of `nested` by name, and the rest of it as JSON in the array "tree".

    Arrays with the same content are kept once. Tuples become lists.

    Raises:
        TypeError: There is something that is neither dictionary (with text as keys), list, array,
            number, text, boolean nor None.
    """
    arrays: dict[str, np.ndarray] = {}
    names: dict[tuple, str] = {}

    def array_reference(value: np.ndarray) -> dict[str, str]:
        key = (value.shape, value.dtype.str, hashlib.sha256(value.tobytes()).digest())
        if key not in names:
            names[key] = f"array_{len(names)}"
            arrays[names[key]] = value
        return {_ARRAY: names[key]}

    def encoded(value: Any, path: str) -> Any:
        if value is None or isinstance(value, bool | str | int | float):
            return value
        if isinstance(value, Mapping):
            wrong = [key for key in value if not isinstance(key, str) or key == _ARRAY]
            if wrong:
                raise TypeError(f"{path or 'the snapshot'} has the key {wrong[0]!r}: keys are text")
            return {key: encoded(item, f"{path}/{key}") for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [encoded(item, f"{path}/{index}") for index, item in enumerate(value)]
        if hasattr(value, "__array__"):
            array = np.asarray(value)
            if array.dtype.kind in "biufc":
                return array_reference(array)
        raise TypeError(f"{path} is a {type(value).__name__}, which a checkpoint cannot hold")

    text = json.dumps(encoded(nested, ""))
    return {TREE: np.frombuffer(text.encode(), dtype=np.uint8), **arrays}


def unflatten_nested(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return what `flatten_nested` took.

    Raises:
        DamagedFileError: An array is missing, or the array "tree" is no JSON of a dictionary.
    """
    if TREE not in arrays:
        raise DamagedFileError(f"it has no {TREE}")

    def decoded(value: Any) -> Any:
        if isinstance(value, list):
            return [decoded(item) for item in value]
        if not isinstance(value, dict):
            return value
        if _ARRAY not in value:
            return {key: decoded(item) for key, item in value.items()}
        name = value[_ARRAY]
        if not isinstance(name, str) or name not in arrays:
            raise DamagedFileError("an array is missing")
        return arrays[name]

    try:
        nested = parse_json(arrays[TREE].tobytes())
    except ValueError as error:
        raise DamagedFileError(f"its {TREE} is no JSON ({one_line(error)[:100]})") from error
    if not isinstance(nested, dict):
        raise DamagedFileError(f"its {TREE} is no dictionary")
    return decoded(nested)


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
    step: int | None = None
    """Optimisation steps made; None where the file does not say."""
    is_result: bool = True
    """Whether result.json describes it; not, where the run was to go on from it."""
    notes: tuple[str, ...] = ()
    """One line for everything that is not as it should be."""


def save_checkpoint(
    path: Path,
    parameters: Any,
    determinants: np.ndarray | None = None,
    network: Mapping[str, Any] | None = None,
    step: int | None = None,
) -> None:
    """Write a trained wave function, atomically.

    An array at `parameters["a"]["b"]` is stored as "parameters/a/b"; "[0]" stands for the first
    item of a list or tuple. The network is JSON in an array of bytes, "network"; "step" is a number.

    Raises:
        TypeError: `parameters` holds a container that is neither mapping, list nor tuple.
    """
    arrays = _flatten(parameters, _PARAMETERS)
    if determinants is not None:
        arrays[_DETERMINANTS] = np.asarray(determinants)
    if network is not None:
        arrays[_NETWORK] = np.frombuffer(json.dumps(network).encode(), dtype=np.uint8)
    if step is not None:
        arrays[_STEP] = np.asarray(step)
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
        network, step = arrays.pop(_NETWORK, None), arrays.pop(_STEP, None)
        determinants = arrays.pop(_DETERMINANTS, None)
        spec = None if network is None else parse_json(network.tobytes())
        if not isinstance(spec, dict | None):
            raise ValueError("its network is no dictionary")
        if determinants is not None and (determinants.ndim != 2 or determinants.dtype != np.uint64):
            raise ValueError("its determinants are no table of bit strings")
        return Checkpoint(_unflatten(arrays), determinants, spec, None if step is None else int(step))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{source} is not a readable checkpoint ({one_line(error)[:120]})") from error


@dataclass(frozen=True, eq=False)
class Found:
    """Content of a folder of checkpoints."""

    snapshot: dict[str, Any] | None
    """The newest snapshot that is whole and belongs to the run, or None."""
    file: Path | None
    """Its file."""
    problems: tuple[str, ...]
    """One line for every newer file that is damaged or of another run."""
    files: tuple[Path, ...]
    """All files that there were, oldest first."""


class CheckpointStore:
    """A folder of numbered files, each a snapshot: nested dictionaries of arrays, numbers and text.

    Example:
        >>> store = CheckpointStore(folder, run="a7")  # doctest: +SKIP
        >>> store.save({"step": 3, "weights": np.ones(2)})  # doctest: +SKIP
        >>> store.load().snapshot["step"]  # doctest: +SKIP
        3
    """

    def __init__(self, folder: Path, run: str | None = None, layout: Mapping[str, Any] | None = None) -> None:
        """Use a folder, which need not exist yet.

        Args:
            folder: Where the files are.
            run: Name of the run that they belong to; files with another name in them are not used.
            layout: What a snapshot must hold, see `nnbf.runs.fields`; other files are not used.
        """
        self.folder = folder
        self._run = run
        self._layout = layout or {}
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
        """Return the newest snapshot that is whole.

        Raises:
            InputError: A file of the run has the digest of its content, and that is no snapshot: no accident.
        """
        problems: list[str] = []
        files = tuple(self.files())
        for path in reversed(files):
            try:
                arrays, reason = read_archive(path), "it belongs to another run"
                if TREE not in arrays:
                    raise DamagedFileError(f"it has no {TREE}")
            except (OSError, DamagedFileError) as error:
                arrays, reason = {}, reason_of(error)
            if TREE in arrays:
                content = self._content(path, arrays)
                if content.get("run") == self._run:
                    return Found(content["snapshot"], path, tuple(problems), files)
            problems.append(f"the checkpoint {path} is not used: {reason}")
            self._useless.add(path)
        return Found(None, None, tuple(problems), files)

    def _content(self, path: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        try:
            content = unflatten_nested(arrays)
            if content.get("run") == self._run:
                require_fields(content, {"snapshot": Needed(self._layout)}, "")
        except ValueError as error:
            raise InputError(f"the checkpoint {path} is none ({one_line(error)[:100]}): remove it") from error
        return content


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

    def __call__(self, take: Callable[[], Mapping[str, Any]], must: bool) -> bool:
        """Save `take()` if it is time to or `must`; return whether it is saved."""
        started = time.monotonic()
        if not must and started < self._due:
            return False
        saved = self._save(take)
        ended = time.monotonic()
        wait = max(self._interval, (ended - started) / LARGEST_SHARE) if self._interval > 0 else 0.0
        self._due = ended + wait
        return saved

    def _save(self, take: Callable[[], Mapping[str, Any]]) -> bool:
        try:
            self._history.sync()
            self._store.save(take())
        except OSError as error:
            problem = (
                f"a checkpoint could not be written ({reason_of(error)}): "
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
        for folder in folders[:DEEPEST]:
            node = node.setdefault(folder, {})
            if not isinstance(node, dict):
                raise ValueError(f"{path[:60]} is both an array and a folder of arrays")
        node[name] = array
    if _PARAMETERS not in root:
        raise KeyError("no parameters")
    return _lists_restored(root[_PARAMETERS])


def _lists_restored(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(key.startswith("[") for key in node):
        return [_lists_restored(node[f"[{index}]"]) for index in range(len(node))]
    return {key: _lists_restored(value) for key, value in node.items()}
