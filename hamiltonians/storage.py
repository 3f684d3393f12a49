"""Saved problems as .npz or .h5: a header of plain values and arrays, bit by bit, whatever the problem is."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hamiltonians.errors import InputError, one_line, reason_of
from hamiltonians.files import write_atomically
from hamiltonians.foreign import parse_json, read_h5, read_npz

SUFFIXES = (".npz", ".h5", ".hdf5")
"""Names of saved problems end in one of these."""

_HEADER = "metadata"  # name of the header among the arrays


def write_archive(path: str | Path, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Path:
    """Write a header and arrays to `path` (.npz or .h5); a reader never sees half a file.

    Returns:
        The path written.

    Raises:
        InputError: The suffix is unknown, or the folder cannot be written.
    """
    target = Path(path)
    if target.suffix.casefold() not in SUFFIXES:
        raise InputError(f"cannot save a system as {target.name!r}: end the name in .npz or .h5")
    packed = {_HEADER: np.frombuffer(json.dumps(header).encode(), dtype=np.uint8), **arrays}
    write = _write_npz if target.suffix.casefold() == ".npz" else _write_h5
    _write(target, lambda stream: write(stream, packed))
    return target


def write_text(path: Path, text: str) -> Path:
    """Write a text file so that a reader never sees half of it.

    Raises:
        InputError: The folder cannot be written.
    """
    _write(path, lambda stream: stream.write(text.encode()))
    return path


def read_archive(
    path: str | Path, make: Callable[[dict[str, Any], dict[str, np.ndarray]], Any], version: int
) -> Any:
    """Return what `make` makes of the header and the arrays that `write_archive` wrote.

    Args:
        path: The file.
        make: Called with header and arrays; whatever it stumbles over counts as damage of the file.
        version: Newest version that can be read.

    Raises:
        InputError: There is no such file, or it is damaged or of another kind.
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(f"there is no system file {source}: give a .npz or .h5 written by save()")
    try:
        arrays = _arrays(source)
        return make(_header(arrays, version), arrays)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    except Exception as error:  # `make` may be anybody's
        raise _damaged(source, error) from error


def _arrays(source: Path) -> dict[str, np.ndarray]:
    with source.open("rb") as stream:
        is_zip = stream.read(2) == b"PK"
        stream.seek(0)
        return read_npz(stream) if is_zip else read_h5(source)


def _header(arrays: dict[str, np.ndarray], version: int) -> dict[str, Any]:
    if _HEADER not in arrays:
        raise InputError("this is not a saved problem: give a file written by save()")
    header = parse_json(arrays.pop(_HEADER).tobytes())
    if not isinstance(header, dict) or not isinstance(header.get("version"), int):
        raise InputError("its header makes no sense: give a file written by save()")
    if header["version"] > version:
        raise InputError(
            f"file format {header['version']} is newer than this program reads ({version}): update it"
        )
    return header


def _damaged(source: Path, error: Exception) -> InputError:
    return InputError(
        f"{source} is not a readable system file ({one_line(error)[:120]}): "
        "build the system again, or give another copy"
    )


def _write(target: Path, write: Callable[[BinaryIO], object]) -> None:
    try:
        write_atomically(target, write)
    except OSError as error:
        raise InputError(f"cannot write {target}: {reason_of(error)}; give a writable folder") from error


def _write_npz(stream: BinaryIO, arrays: dict[str, np.ndarray]) -> None:
    np.savez(stream, **arrays)  # type: ignore[arg-type]


def _write_h5(stream: BinaryIO, arrays: dict[str, np.ndarray]) -> None:
    import h5py

    with h5py.File(stream, "w") as file:
        for name, array in arrays.items():
            checked = {"fletcher32": True} if array.size and array.ndim else {}
            file.create_dataset(name, data=array, **checked)
