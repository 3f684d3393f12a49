"""The final wave function as plain arrays: one .npz file that NumPy alone can read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hamiltonians.errors import InputError, one_line
from nnbf._io import write_atomically

_PARAMETERS = "parameters"
_DETERMINANTS = "determinants"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What is needed to evaluate a wave function again."""

    parameters: Any
    """Parameters of the network: nested dictionaries and lists of arrays."""
    determinants: np.ndarray
    """The variational space V, uint64 bit strings, one row a determinant."""


def save_checkpoint(path: Path, parameters: Any, determinants: np.ndarray) -> None:
    """Write parameters and determinants, atomically.

    An array at `parameters["a"]["b"]` is stored as "parameters/a/b"; "[0]" stands for the first
    item of a list or tuple.

    Raises:
        TypeError: `parameters` holds a container that is neither mapping, list nor tuple.
    """
    arrays = {_DETERMINANTS: np.asarray(determinants), **_flatten(parameters, _PARAMETERS)}
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
        with np.load(source, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        determinants = arrays.pop(_DETERMINANTS)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"{source} is not a readable checkpoint ({one_line(error)[:120]})") from error
    return Checkpoint(_unflatten(arrays), determinants)


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
