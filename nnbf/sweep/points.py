"""The points of a manifest, as plain data; their names are made from what tells them apart."""

import fnmatch
import hashlib
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from hamiltonians.errors import InputError, one_line
from nnbf.sweep.manifest import MOST_POINTS, Axis, Manifest, Override

_LONGEST_PART, _LONGEST = 40, 150
_FILES = (".xyz", ".npz", ".h5", ".hdf5")


@dataclass(frozen=True)
class Point:
    """One run of a sweep."""

    name: str
    """Name of its run folder below the folder of the sweep."""
    coordinates: Mapping[str, Any]
    """Values that tell it apart, by the manifest's names: columns of the table."""
    options: Mapping[str, Any]
    """All options given, by name in Python."""
    words: tuple[str, ...]
    """The command without `--out`: ("molecule", "N2", "--basis=sto-3g")."""
    digest: str
    """Of command, options and the content of the files they name: another one is another calculation."""
    curve: str | None = None
    """Curve that it is on: points of one curve differ in nothing but the variables of the scan."""
    place: int | None = None
    """Place along the curve, from 0, in the order of the manifest."""
    after: str | None = None
    """Name of a point that has to be over, one way or the other, before this one starts: with warm starts
    that whose trained state it starts from."""


def curves(points: Iterable[Point]) -> dict[str, list[Point]]:
    """Return the points of every scan, in order along it."""
    found: dict[str, list[Point]] = {}
    for point in points:
        if point.curve is not None:
            found.setdefault(point.curve, []).append(point)
    return {name: sorted(members, key=lambda point: point.place or 0) for name, members in found.items()}


def neighbours(points: Iterable[Point], point: Point) -> tuple[Point | None, Point | None]:
    """Return the points before and after one on its curve; None beyond the ends, or without a curve."""
    if point.curve is None:
        return None, None
    members = curves(points)[point.curve]
    index = [member.name for member in members].index(point.name)
    before = members[index - 1] if index > 0 else None
    following = members[index + 1] if index + 1 < len(members) else None
    return before, following


@dataclass(frozen=True)
class _Draft:
    coordinates: Mapping[str, Any]
    options: Mapping[str, Any]
    curve: str | None = None
    place: int | None = None


def expand(manifest: Manifest) -> tuple[Point, ...]:
    """Return the points of a manifest: the same ones, in the same order and with the same names, every time.

    The grid is gone through with its first axis outermost, and the scan inside it; then come the points
    that are given one by one.

    Raises:
        InputError: There is no point, two of them are the same, one lacks what its command needs, or the
            template makes no sense.
    """
    count = math.prod(len(axis.values) for axis in (*manifest.grid, *manifest.scan)) + len(manifest.extra)
    if count > MOST_POINTS:
        raise InputError(f"{manifest.path} has {count:,} points: give at most {MOST_POINTS:,}")
    drafts = [*_grid_points(manifest)]
    drafts += [_Draft(options, {**manifest.base, **options}) for options in manifest.extra]
    if not drafts:
        raise InputError(f"{manifest.path} has no points: give it a [grid], a [scan] or a [[point]]")
    points = [_point(draft, manifest) for draft in drafts]
    seen: dict[str, Point] = {}
    for point in points:
        twin = seen.setdefault(point.digest, point)
        if twin is not point:
            raise InputError(
                f"{manifest.path}: the points {twin.name} and {point.name} are the same calculation"
            )
    counts = Counter(point.name.casefold() for point in points)
    return tuple(
        point
        if counts[point.name.casefold()] == 1
        else replace(point, name=f"{point.name}-{digest(point.coordinates, 6)}")
        for point in points
    )


def _grid_points(manifest: Manifest) -> Iterator[_Draft]:
    if not manifest.grid and not manifest.scan:
        return
    for cell in _cells(manifest.grid):
        outer = _values(manifest.grid, cell)
        given = {**manifest.base, **_new_options(manifest, cell)}
        curve = point_name(outer) if manifest.scan and outer else ("scan" if manifest.scan else None)
        for place, inner in enumerate(_cells(manifest.scan)):
            coordinates = {**outer, **_values(manifest.scan, inner)}
            options = {**given, **_scan_options(manifest, inner)}
            matching = [one for one in manifest.overrides if _matches(one, coordinates, options)]
            if any(override.skip for override in matching):
                continue
            for override in matching:
                options.update(override.options)
            yield _Draft(coordinates, options, curve, None if curve is None else place)


def _cells(axes: Sequence[Axis]) -> Iterator[tuple]:
    return itertools.product(*(axis.values for axis in axes))


def _values(axes: Sequence[Axis], cell: tuple) -> dict[str, Any]:
    return {axis.name: value for axis, (value, _) in zip(axes, cell, strict=True)}


def _new_options(manifest: Manifest, cell: tuple) -> dict[str, Any]:
    """Options of a cell of the grid, which nothing else may set."""
    found: dict[str, Any] = {}
    for axis, (_, options) in zip(manifest.grid, cell, strict=True):
        for name in options:
            if name in manifest.base or name in found:
                raise InputError(
                    f"{manifest.path}: grid.{axis.name} sets {name.replace('_', '-')!r}, which is given "
                    "elsewhere: leave one out"
                )
        found.update(options)
    return found


def _scan_options(manifest: Manifest, inner: tuple) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _, options in inner:
        found.update(options)
    template = next((axis.template for axis in manifest.scan if axis.template is not None), None)
    if template is not None:
        option = next(option for option in manifest.vocabulary.options.values() if option.required)
        try:
            found[option.name] = template.format(**_values(manifest.scan, inner))
        except (ValueError, KeyError, IndexError, AttributeError) as error:
            raise InputError(
                f"{manifest.path}: scan.template is not understood: {one_line(error)}"
            ) from error
    return found


def _matches(override: Override, coordinates: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    known = {**options, **coordinates}
    return all(
        key in known and any(_equal(known[key], value) for value in values)
        for key, values in override.when.items()
    )


def _equal(found: Any, wanted: Any) -> bool:
    if isinstance(found, tuple):
        found = list(found)
    if isinstance(found, bool) != isinstance(wanted, bool):
        return False
    if found == wanted:
        return True
    return isinstance(found, str) and isinstance(wanted, str) and fnmatch.fnmatchcase(found, wanted)


def _point(draft: _Draft, manifest: Manifest) -> Point:
    name = point_name(_plain(draft.coordinates))
    vocabulary = manifest.vocabulary
    for option in vocabulary.options.values():
        if option.required and option.name not in draft.options:
            raise InputError(
                f"{manifest.path}: the point {name} has no {option.name}: give one, such as under [base]"
            )
    located, contents = {}, {}
    for key, value in draft.options.items():
        path = _file(value, manifest.path.parent, vocabulary.command)
        located[key] = value if path is None else str(path)
        if path is not None:
            contents[key] = hashlib.sha256(path.read_bytes()).hexdigest()
    return Point(
        name=name,
        coordinates=_plain(draft.coordinates),
        options=_plain(draft.options),
        words=vocabulary.words(located),
        digest=digest([vocabulary.command, _plain(draft.options), contents]),
        curve=draft.curve,
        place=draft.place,
    )


def _file(value: Any, folder: Path, command: str) -> Path | None:
    """Return the file that an option names, which is looked for beside the manifest."""
    if not isinstance(value, str) or not (value.endswith(_FILES) or command == "fcidump"):
        return None
    path = folder / Path(value).expanduser()
    try:
        return path if path.is_file() else None
    except OSError:  # a name too long for the file system is none
        return None


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


# ---- names ----------------------------------------------------------------------------------------


def digest(content: Any, length: int = 16) -> str:
    """Return a short digest of what JSON can hold."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def point_name(coordinates: Mapping[str, Any]) -> str:
    """Return a readable name such as "N2_cc-pvdz_seed0_r1.1".

    Text stands alone, numbers and switches behind the name of their coordinate. Where a part does not say all
    that there is (an inline geometry, say), a short digest is added, so that it depends on nothing but
    the point itself.
    """
    name = "_".join(_part(key.replace("_", "-"), value) for key, value in coordinates.items()) or "point"
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}-{digest(list(coordinates.items()), 8)}"


def _part(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return key if value else f"no-{key}"
    if isinstance(value, int | float):
        return f"{key}{value}"
    if isinstance(value, tuple | list):
        return key + "-".join(map(str, value))
    text = str(value)
    shown = PurePath(text).stem if text.endswith(".xyz") else text.replace("*", "s")
    shown = re.sub(r"[^A-Za-z0-9.+-]+", "-", shown).strip("-.")[:_LONGEST_PART].rstrip("-.")
    if shown == text or shown == text.replace("*", "s"):
        return shown
    return f"{shown}-{digest(text, 6)}" if shown else f"{key}-{digest(text, 6)}"


def group_name(group: Mapping[str, Any], *more: str) -> str:
    """Return a name for points with these coordinates in common: "H2O_seed0"."""
    parts = [point_name(group)] if group else []
    return "_".join([*parts, *(part for part in more if part)])


def picture_name(kind: str, name: str) -> str:
    """Return the file name of a picture: "limit_H2O.png"."""
    return f"{kind}_{name}.png" if name else f"{kind}.png"
