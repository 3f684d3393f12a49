"""Arrays in a file that knows whether it is whole: an .npz archive followed by the digest of its bytes.

NumPy reads such a file like any other .npz (the few bytes after the archive do not matter to it). Nested
dictionaries of arrays and numbers become a flat set of arrays, and come back bit by bit.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnbf._io import write_atomically

_MARK = b"\nnnbf sha256 "
_TAIL = len(_MARK) + 64
TREE = "tree"
"""Array with the JSON of a nested dictionary, beside its arrays."""
_ARRAY = "#array"


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
        with np.load(io.BytesIO(archive), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (ValueError, KeyError, EOFError, OSError, AttributeError, zipfile.BadZipFile) as error:
        raise DamagedFileError(f"it holds no arrays ({' '.join(str(error).split())[:100]})") from error


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
        KeyError: An array is missing.
        ValueError: The array "tree" is no JSON.
    """

    def decoded(value: dict[str, Any]) -> Any:
        return arrays[value[_ARRAY]] if _ARRAY in value else value

    return json.loads(arrays[TREE].tobytes(), object_hook=decoded)
