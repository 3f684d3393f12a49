"""Files that anybody may have written: read with bounds on sizes, lengths and depths, and never evaluated.

Everything here raises `ValueError` with a few words on what is wrong; who calls names the file.
"""

import json
import math
import os
import stat
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hamiltonians.errors import one_line

MOST_TEXT = 64_000_000
"""Bytes of the largest JSON file."""
DEEPEST = 64
"""Levels of nesting."""
MOST_DIGITS = 40
"""Digits of whole numbers: states of random number generators have 128 bits."""

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_MOST_ARRAYS = 100_000
_ALWAYS_FITS = 4_000_000  # bytes
_MOST_GROWTH = 20  # arrays of integrals compress well, but not by more


def read_text(path: Path, most: int = MOST_TEXT) -> str:
    """Return the text of a file in UTF-8, with or without byte order mark.

    Raises:
        OSError: It cannot be read.
        ValueError: It has more bytes than `most`, is no text in UTF-8, or a pipe.
    """
    if stat.S_ISFIFO(path.stat().st_mode) and path.parent.parts[:2] != ("/", "dev"):
        raise ValueError("it is a pipe")  # which may never end
    with path.open("rb") as stream:
        # Read with a size, Python sets all of that memory aside.
        known = os.fstat(stream.fileno())
        content = stream.read(min(known.st_size, most) + 1 if stat.S_ISREG(known.st_mode) else most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most:,} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not a text file, byte {error.start} is no UTF-8") from error
    if "\0" in text:
        raise ValueError("not a text file, it has null characters")
    return text


def parse_json(text: str | bytes) -> Any:
    """Return the content of JSON.

    Raises:
        ValueError: It is no JSON, nests deeper than `DEEPEST`, or has a number of more than `MOST_DIGITS`.
    """
    try:
        content = json.loads(text, parse_int=_whole)
    except RecursionError as error:
        raise _too_deep() from error
    require_shallow(content)
    return content


def require_shallow(content: Any) -> None:
    """Refuse dictionaries and lists that nest deeper than `DEEPEST`.

    Raises:
        ValueError: They do.
    """
    level, depth = [content], 0
    while level := [value for value in level if isinstance(value, dict | list)]:
        depth += 1
        if depth > DEEPEST:
            raise _too_deep()
        level = [item for value in level for item in (value.values() if isinstance(value, dict) else value)]


def read_npz(stream: BinaryIO) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz archive.

    Sizes of members and shapes in their headers are checked before anything is unpacked.

    Args:
        stream: The archive, at its beginning.

    Raises:
        ValueError: It is damaged, unpacks to much more than its own size, or holds no numbers.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            _require_size(sum(member.file_size for member in members), stream.seek(0, 2), len(members))
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
    except Exception as error:  # libraries stumble over what is damaged in ever new ways
        raise ValueError(one_line(error)[:120]) from error


def read_h5(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an HDF5 file, those in the file itself alone.

    Raises:
        ValueError: It is damaged, unpacks to much more than its own size, or holds no numbers.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if any(isinstance(file.get(name, getlink=True), h5py.ExternalLink) for name in file):
                raise ValueError("it points to other files")
            sets = dict(file.items())
            for name, found in sets.items():
                if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
                    raise ValueError(f"{name} is no array of its own")
                _require_numbers(name, found.dtype)
            _require_size(sum(found.nbytes for found in sets.values()), path.stat().st_size, len(sets))
            return {name: found[()] for name, found in sets.items()}
    except Exception as error:
        raise ValueError(one_line(error)[:120]) from error


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    name = member.filename
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"{name} is an array of an unknown version")
        shape, _, dtype = _HEADERS[version](file)
        _require_numbers(name, dtype)
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != member.file_size - file.tell():
            raise ValueError(f"{name} has a header that does not fit its content")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _require_numbers(name: str, dtype: np.dtype) -> None:
    if dtype.kind not in "biufc":
        raise ValueError(f"{name} holds no numbers")


def _require_size(unpacked: int, packed: int, count: int) -> None:
    if count > _MOST_ARRAYS:
        raise ValueError(f"it has {count:,} arrays")
    if unpacked > max(_ALWAYS_FITS, _MOST_GROWTH * packed):
        raise ValueError(f"it unpacks to {unpacked:,} bytes from {packed:,}")


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a whole number has {len(digits)} digits")
    return int(digits)


def _too_deep() -> ValueError:
    return ValueError(f"it nests deeper than {DEEPEST} levels")
