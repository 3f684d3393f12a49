"""Read a manifest: a TOML file that describes a grid of runs."""

import glob
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError, nearest_names
from nnbf._io import given_path, read_toml
from nnbf.sweep.analysis_options import AnalysisOptions, analysis_options
from nnbf.sweep.names import RESULT_COLUMNS, Vocabulary, require_known

SECTIONS = ("sweep", "base", "scan", "grid", "override", "point", "analysis")
"""Tables that a manifest may have."""

MOST_POINTS = 100_000
"""Points of the largest sweep, and values of its longest axis."""

_SPEC = re.compile(r"[-+ ]?0?\d{0,2}(\.\d{1,2})?[eEfFgG]?")
"""Formats of a variable in a template: numbers, of a width below 100."""
_HEAD = ("name", "command", "warm_start")
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


@dataclass(frozen=True)
class Override:
    """Options for those points of the grid that match."""

    when: Mapping[str, tuple[Any, ...]]
    """Coordinate or option -> the values that match; text may hold the wildcards * and ?."""
    options: Mapping[str, Any]
    """Options that they are given."""
    skip: bool
    """True where they are left out."""


@dataclass(frozen=True)
class Manifest:
    """The content of a manifest, checked."""

    path: Path
    """The file."""
    name: str
    """Name of the sweep."""
    vocabulary: Vocabulary
    """The command of all points and its options."""
    base: Mapping[str, Any]
    """Options of all points."""
    grid: tuple[Axis, ...]
    """Axes of the grid, the first one outermost."""
    scan: tuple[Axis, ...]
    """Variables of the scan, inside the grid."""
    overrides: tuple[Override, ...]
    """Options for some points, the last one wins."""
    extra: tuple[Mapping[str, Any], ...]
    """Options of points beside the grid."""
    analysis: AnalysisOptions = field(default_factory=AnalysisOptions)
    """Analyses at the end."""
    warm_start: Any = None
    """True where points start from their neighbours, or the place where curves begin."""


def read_manifest(path: str | Path, vocabularies: Mapping[str, Vocabulary]) -> Manifest:
    """Read and check a manifest; see docs/sweeps.md for what may stand in it.

    Args:
        path: The file.
        vocabularies: Commands that a sweep can run, by their word.

    Raises:
        InputError: The file cannot be read, or something in it makes no sense.
    """
    source = given_path(path)
    content = read_toml(source, "a manifest, a TOML file")
    require_known(str(source), content, SECTIONS)
    head = _table(content, "sweep", source)
    require_known(f"{source}: sweep", head, _HEAD)
    vocabulary = _vocabulary(head.get("command", "molecule"), vocabularies, source)
    grid = _table(content, "grid", source)
    return Manifest(
        path=source,
        name=_name(head.get("name", source.stem), source),
        vocabulary=vocabulary,
        base=vocabulary.checked_table(_table(content, "base", source), f"{source}: base"),
        grid=tuple(_grid_axis(key, entry, vocabulary, source) for key, entry in grid.items()),
        scan=_scan(_table(content, "scan", source), vocabulary, source),
        overrides=tuple(
            _override(entry, vocabulary, f"{source}: override {number}")
            for number, entry in enumerate(_tables(content, "override", source), 1)
        ),
        extra=tuple(
            vocabulary.checked_table(entry, f"{source}: point {number}")
            for number, entry in enumerate(_tables(content, "point", source), 1)
        ),
        warm_start=head.get("warm_start", head.get("warm-start")),
        analysis=analysis_options(_table(content, "analysis", source), vocabulary.command, str(source)),
    )


def _table(content: Mapping[str, Any], key: str, source: Path) -> Mapping[str, Any]:
    found = content.get(key, {})
    if not isinstance(found, Mapping):
        raise InputError(f"{source}: {key!r} is not a table: write it as [{key}]")
    return found


def _tables(content: Mapping[str, Any], key: str, source: Path) -> list[Mapping[str, Any]]:
    found = content.get(key, [])
    if not isinstance(found, list) or not all(isinstance(entry, Mapping) for entry in found):
        raise InputError(f"{source}: {key!r} is not a list of tables: write each as [[{key}]]")
    return found


def _name(name: Any, source: Path) -> str:
    allowed = set(string.ascii_letters + string.digits + "._-+")
    if not isinstance(name, str) or not name or set(name) - allowed or name.startswith("."):
        raise InputError(f"{source}: sweep.name = {name!r}: give letters, digits, '-', '_', '.' or '+'")
    return name


def _vocabulary(command: Any, vocabularies: Mapping[str, Vocabulary], source: Path) -> Vocabulary:
    if not isinstance(command, str) or command not in vocabularies:
        close = nearest_names(str(command), vocabularies)
        hint = f"did you mean {close[0]!r}?" if close else f"give one of {', '.join(vocabularies)}"
        raise InputError(f"{source}: sweep.command = {command!r} cannot be swept: {hint}")
    return vocabularies[command]


def _scan(entries: Mapping[str, Any], vocabulary: Vocabulary, source: Path) -> tuple[Axis, ...]:
    if not entries:
        return ()
    template = entries.get("template")
    if template is not None and not isinstance(template, str):
        raise InputError(f'{source}: scan.template is not text such as "N 0 0 0; N 0 0 {{r}}"')
    try:
        parts = [*string.Formatter().parse(template or "")]
    except ValueError as error:
        raise InputError(f"{source}: scan.template is not understood: {error}") from error
    used = {name for _, name, _, _ in parts if name is not None}
    for _, name, spec, conversion in parts:
        if name is not None and (conversion or not name.isidentifier() or not _SPEC.fullmatch(spec or "")):
            raise InputError(
                f"{source}: scan.template: write a variable as {{r}} or {{r:.3f}}, not {name[:20]!r}"
            )
    variables = {key: value for key, value in entries.items() if key != "template"}
    missing = sorted(used - set(variables))
    if missing:
        raise InputError(
            f"{source}: scan.template has {{{missing[0]}}}, which has no values: give scan.{missing[0]}"
        )
    if not variables:
        raise InputError(f"{source}: scan has no variable: give one, such as r = [1.0, 1.1]")
    if template is not None and not used:
        raise InputError(f"{source}: scan.template has no variable: write it as {{r}} where it belongs")
    return tuple(
        _scan_axis(key, value, vocabulary, source, template if key in used else None)
        for key, value in variables.items()
    )


def _override(entry: Mapping[str, Any], vocabulary: Vocabulary, where: str) -> Override:
    when = entry.get("when")
    if not isinstance(when, Mapping) or not when:
        raise InputError(f'{where} has no condition: give one, such as when = {{ basis = "cc-pv5z" }}')
    skip = entry.get("skip", False)
    if not isinstance(skip, bool):
        raise InputError(f"{where}: skip = {skip!r}: give true or false")
    rest = {key: value for key, value in entry.items() if key not in ("when", "skip")}
    options = vocabulary.checked_table(rest, where)
    if skip == bool(options):
        raise InputError(f"{where}: give either skip = true or options")
    conditions = {
        key.replace("-", "_"): tuple(value) if isinstance(value, list) else (value,)
        for key, value in when.items()
    }
    return Override(conditions, options, skip)


# ---- axes ----------------------------------------------------------------------------------------


def _grid_axis(key: str, entry: Any, vocabulary: Vocabulary, source: Path) -> Axis:
    """Read an axis: a list of values of the option with its name, or labels with a value or a table each."""
    where = f"{source}: grid.{key}"
    name = _coordinate(key, where)
    values: list[tuple[Any, Mapping[str, Any]]] = []
    if isinstance(entry, Mapping):
        for label, value in entry.items():
            place = f"{where}.{label}"
            if isinstance(value, Mapping):
                options = vocabulary.checked_table(value, place)
            else:
                options = dict([vocabulary.checked(key, value, place)])
            values.append((label, options))
    elif isinstance(entry, list):
        for value in (file for item in entry for file in _files(item, source, where)):
            option, converted = vocabulary.checked(key, value, where)
            values.append((converted, {option: converted}))
    else:
        raise InputError(f"{where} = {entry!r} is one value: give a list, or put it under [base]")
    return _checked(Axis(name, tuple(values)), where)


def _scan_axis(key: str, entry: Any, vocabulary: Vocabulary, source: Path, template: str | None) -> Axis:
    """Read a variable of the template, or else an option: numbers, or a range with both ends included."""
    where = f"{source}: scan.{key}"
    name = _coordinate(key, where)
    numbers = _range(entry, where) if isinstance(entry, Mapping) else entry
    if not isinstance(numbers, list) or not all(map(_is_number, numbers)):
        raise InputError(f"{where}: give a list of numbers, or {{ start = 0.7, stop = 2.3, count = 9 }}")
    values: list[tuple[Any, Mapping[str, Any]]] = [(number, {}) for number in numbers]
    if template is None:
        checked = [vocabulary.checked(key, number, where) for number in numbers]
        values = [(converted, {option: converted}) for option, converted in checked]
    return _checked(Axis(name, tuple(values), template), where)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _coordinate(key: str, where: str) -> str:
    name = key.replace("-", "_")
    if name in RESULT_COLUMNS:
        raise InputError(f"{where}: the table has a column {name!r} of its own: give another name")
    return name


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
    start, stop, count = numbers = [entry.get(key) for key in _RANGE]
    if not all(map(_is_number, numbers)) or not isinstance(count, int) or not 2 <= count <= MOST_POINTS:
        raise InputError(
            f"{where}: give start and stop, numbers, and count, a whole number from 2 to {MOST_POINTS}"
        )
    step = (stop - start) / (count - 1)  # type: ignore[operator]
    # Rounded, so that 0.75 + 3 * 0.15 is 1.2 in names and tables.
    return [float(f"{start + index * step:.10g}") for index in range(count)]


def _checked(axis: Axis, where: str) -> Axis:
    if not axis.values:
        raise InputError(f"{where} is empty: give at least one value")
    seen = set()
    for value, _ in axis.values:
        if (type(value), value) in seen:
            raise InputError(f"{where} has {value!r} twice")
        seen.add((type(value), value))
    return axis
