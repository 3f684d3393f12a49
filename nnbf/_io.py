"""Files: written whole or not at all, JSON in plain values, errors in one line."""

import contextlib
import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError, one_line, reason_of
from hamiltonians.files import remove_leftovers as remove_leftovers
from hamiltonians.files import sync_folder as sync_folder
from hamiltonians.files import write_atomically as write_atomically
from hamiltonians.foreign import parse_json, read_text, require_shallow

_MOST_TOML = 1_000_000  # bytes
_MANY_PARTS = re.compile(r"""(\.[ \t]*([A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')[ \t]*){50}""")
"""Dotted keys, for which the time that tomllib takes grows with the square of their length."""


def given_path(text: str | Path) -> Path:
    """Return a path that a user gave, with ~ resolved; there need not be anything there.

    Raises:
        InputError: There can be nothing there: it is too long, holds a null character, or is out of reach.
    """
    try:
        path = Path(text).expanduser()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.lstat()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{str(text)[:80]!r} cannot be used ({reason_of(error)}): give another path"
        ) from error
    return path


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object as indented JSON, atomically; NaN and infinity become null."""
    write_bytes(path, json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_bytes(path: Path, content: bytes | str) -> None:
    """Write a file atomically; text in UTF-8."""
    data = content.encode() if isinstance(content, str) else content
    write_atomically(path, lambda stream: stream.write(data))


def read_json(path: Path, what: str = "a run") -> dict[str, Any]:
    """Return the JSON object in a file.

    Args:
        path: The file.
        what: What it belongs to, for the message.

    Raises:
        InputError: It cannot be read, is not JSON, or holds something else than an object.
    """
    try:
        content = parse_json(read_text(path))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({reason_of(error)[:120]}): is it that of {what}?"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged (no JSON object)")
    return content


def read_toml(path: Path, remedy: str) -> dict[str, Any]:
    """Return the content of a TOML file.

    Args:
        path: The file.
        remedy: What to give instead, for the message.

    Raises:
        InputError: It cannot be read, or is not TOML.
    """
    try:
        text = read_text(path, _MOST_TOML)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {reason_of(error)}; give {remedy}") from error
    try:
        if _MANY_PARTS.search(text):
            raise ValueError("a key has too many parts")
        content = tomllib.loads(text)
        require_shallow(content)
        _require_64_bits(content, "")
    except (ValueError, RecursionError) as error:
        reason = "it nests too deep" if isinstance(error, RecursionError) else one_line(error)[:120]
        raise InputError(f"{path} is not TOML: {reason}") from error
    return content


def _require_64_bits(value: Any, place: str) -> None:
    """Refuse whole numbers that TOML does not promise to keep."""
    if isinstance(value, Mapping | list):
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            _require_64_bits(item, f"{place}.{key}".lstrip("."))
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{place[:60]} is no whole number of 64 bits")


def json_line(row: Mapping[str, Any]) -> str:
    """Return an object as one line of JSON; floats come back bit by bit."""
    return json.dumps(plain(row), ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """Return `value` made of what JSON knows; array scalars become numbers, NaN becomes None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # arrays and their scalars, of NumPy and of JAX
        return plain(value.tolist())
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
