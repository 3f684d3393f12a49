"""Axes of a sweep: those of the grid, and the variables of a scan."""

import glob
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError
from nnbf.sweep.option_names import Vocabulary, require_known
from nnbf.sweep.result_columns import RESULT_COLUMNS

_RANGE = ("start", "stop", "count")


@dataclass(frozen=True)
class Axis:
    """Something that varies."""

    name: str
    """Name of the coordinate, with underscores."""
    values: tuple[tuple[Any, Mapping[str, Any]], ...]
    """Each value as it stands in the table, with the options that it sets."""
    template: str | None = None
    """Text that the value is put into, where it is a variable of a geometry."""


def grid_axis(key: str, entry: Any, vocabulary: Vocabulary, source: Path) -> Axis:
    """Return an axis of the grid.

    Args:
        key: Its name.
        entry: A list of values of the option with that name; a table of labels with one value each; or a
            table of labels with a table of options each.
        vocabulary: The options there are.
        source: The manifest: patterns of file names are relative to its folder.

    Raises:
        InputError: There is no such option, a value has the wrong type, or no file matches.
    """
    where = f"{source}: grid.{key}"
    name = _coordinate(key, where)
    if isinstance(entry, Mapping):
        values = [
            (label, _labelled(key, value, vocabulary, f"{where}.{label}")) for label, value in entry.items()
        ]
    elif isinstance(entry, list):
        found = [item for value in entry for item in _files(value, source, where)]
        values = []
        for value in found:
            option, converted = vocabulary.checked(key, value, where)
            values.append((converted, {option: converted}))
    else:
        raise InputError(f"{where} = {entry!r} is one value: give a list, or put it under [base]")
    return _checked(Axis(name, tuple(values)), where)


def scan_axis(key: str, entry: Any, vocabulary: Vocabulary, source: Path, template: str | None) -> Axis:
    """Return a variable of a scan: a list of numbers, or { start, stop, count } with both ends included.

    Args:
        key: Its name: a variable of the template, or else an option.
        entry: Its values.
        vocabulary: The options there are.
        source: The manifest.
        template: The geometry that the variable stands in, if it does.

    Raises:
        InputError: The values make no sense.
    """
    where = f"{source}: scan.{key}"
    name = _coordinate(key, where)
    numbers = _range(entry, where) if isinstance(entry, Mapping) else entry
    if not isinstance(numbers, list) or not all(
        isinstance(x, int | float) and not isinstance(x, bool) for x in numbers
    ):
        raise InputError(f"{where}: give a list of numbers, or {{ start = 0.7, stop = 2.3, count = 9 }}")
    values: list[tuple[Any, Mapping[str, Any]]] = []
    for number in numbers:
        if template is None:
            option, converted = vocabulary.checked(key, number, where)
            values.append((converted, {option: converted}))
        else:
            values.append((number, {}))
    return _checked(Axis(name, tuple(values), template), where)


def _coordinate(key: str, where: str) -> str:
    name = key.replace("-", "_")
    if name in RESULT_COLUMNS:
        raise InputError(f"{where}: the table has a column {name!r} of its own: give another name")
    return name


def _labelled(key: str, value: Any, vocabulary: Vocabulary, where: str) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return vocabulary.checked_table(value, where)
    return dict([vocabulary.checked(key, value, where)])


def _files(value: Any, source: Path, where: str) -> list[Any]:
    """Return the files that a pattern such as "geometries/*.xyz" stands for, relative to the manifest."""
    if not isinstance(value, str) or not value.endswith((".xyz", ".npz", ".h5")) or not glob.has_magic(value):
        return [value]
    found = sorted(glob.glob(value, root_dir=source.parent))
    if not found:
        raise InputError(f"{where}: no file matches {value!r} in {source.parent}")
    return found


def _range(entry: Mapping[str, Any], where: str) -> list[float]:
    require_known(where, entry, _RANGE)
    start, stop, count = (entry.get(key) for key in _RANGE)
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (start, stop))
    if not numbers or not isinstance(count, int) or isinstance(count, bool) or count < 2:
        raise InputError(f"{where}: give start and stop, numbers, and count, a whole number from 2 on")
    step = (stop - start) / (count - 1)  # type: ignore[operator]
    # Rounded, so that 0.75 + 3 * 0.15 is 1.2 in names and tables.
    return [float(f"{start + index * step:.10g}") for index in range(count)]


def _checked(axis: Axis, where: str) -> Axis:
    if not axis.values:
        raise InputError(f"{where} is empty: give at least one value")
    seen: list[Any] = []
    for value, _ in axis.values:
        if any(value == other and type(value) is type(other) for other in seen):
            raise InputError(f"{where} has {value!r} twice")
        seen.append(value)
    return axis
