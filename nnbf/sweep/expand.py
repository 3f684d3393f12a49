"""From a manifest to its points."""

import fnmatch
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError, one_line
from nnbf.sweep.manifest import Manifest, Override
from nnbf.sweep.points import Point, digest, point_name

_FILES = (".xyz", ".npz", ".h5", ".hdf5")


@dataclass(frozen=True)
class _Draft:
    coordinates: Mapping[str, Any]
    options: Mapping[str, Any]
    curve: str | None
    place: int | None


def expand(manifest: Manifest) -> tuple[Point, ...]:
    """Return the points of a manifest: the same ones, in the same order and with the same names, every time.

    The grid is gone through with its first axis outermost, and the scan inside it; then come the points
    that are given one by one.

    Raises:
        InputError: There is no point, two of them are the same, one lacks what its command needs, or the
            template makes no sense.
    """
    drafts = [*_grid_points(manifest), *_extra_points(manifest)]
    if not drafts:
        raise InputError(f"{manifest.path} has no points: give it a [grid], a [scan] or a [[point]]")
    points = [_point(draft, manifest) for draft in drafts]
    by_digest: dict[str, Point] = {}
    for point in points:
        if point.digest in by_digest:
            twin = by_digest[point.digest]
            raise InputError(
                f"{manifest.path}: the points {twin.name} and {point.name} are the same calculation"
            )
        by_digest[point.digest] = point
    counts = Counter(point.name.casefold() for point in points)
    return tuple(
        point
        if counts[point.name.casefold()] == 1
        else replace(point, name=f"{point.name}-{digest(_plain(point.coordinates), 6)}")
        for point in points
    )


def _grid_points(manifest: Manifest) -> Iterator[_Draft]:
    if not manifest.grid and not manifest.scan:
        return
    for cell in itertools.product(*(axis.values for axis in manifest.grid)):
        outer = {axis.name: value for axis, (value, _) in zip(manifest.grid, cell, strict=True)}
        given: dict[str, Any] = dict(manifest.base)
        for axis, (_, options) in zip(manifest.grid, cell, strict=True):
            _require_new(given, options, manifest, axis.name)
            given.update(options)
        curve = point_name(outer) if manifest.scan and outer else ("scan" if manifest.scan else None)
        for place, inner in enumerate(itertools.product(*(axis.values for axis in manifest.scan))):
            coordinates = {**outer, **_scanned(manifest, inner)}
            options = {**given, **_scan_options(manifest, inner)}
            matching = [one for one in manifest.overrides if _matches(one, coordinates, options)]
            if any(override.skip for override in matching):
                continue
            for override in matching:
                options.update(override.options)
            yield _Draft(coordinates, options, curve, None if curve is None else place)


def _require_new(given: Mapping[str, Any], options: Mapping[str, Any], manifest: Manifest, axis: str) -> None:
    for name in options:
        if name in given:
            raise InputError(
                f"{manifest.path}: grid.{axis} sets {name.replace('_', '-')!r}, which is given elsewhere: "
                "leave one out"
            )


def _scanned(manifest: Manifest, inner: tuple) -> dict[str, Any]:
    return {axis.name: value for axis, (value, _) in zip(manifest.scan, inner, strict=True)}


def _scan_options(manifest: Manifest, inner: tuple) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _, options in inner:
        found.update(options)
    template = next((axis.template for axis in manifest.scan if axis.template is not None), None)
    if template is not None:
        option = next(option for option in manifest.vocabulary.options.values() if option.positional)
        try:
            found[option.name] = template.format(**_scanned(manifest, inner))
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


def _extra_points(manifest: Manifest) -> Iterator[_Draft]:
    for options in manifest.extra:
        yield _Draft(dict(options), {**manifest.base, **options}, None, None)


def _point(draft: _Draft, manifest: Manifest) -> Point:
    name = point_name(_plain(draft.coordinates))
    vocabulary = manifest.vocabulary
    for option in vocabulary.options.values():
        if option.positional and option.name not in draft.options:
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
