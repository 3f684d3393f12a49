"""A sweep that is about to start or to go on: its points, their folder, and who starts from whom.

With warm starts each point of a scan begins with the trained state of its neighbour. The points of a curve
form a tree: one of them starts cold, every other one from its neighbour on the way there. Who starts from
whom is fixed by the manifest alone, never by what happens to be done first.
"""

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError, nearest_names
from nnbf._io import given_path, write_bytes
from nnbf.sweep.manifest import Axis, Manifest, read_manifest
from nnbf.sweep.names import Vocabulary
from nnbf.sweep.points import Point, curves, digest, expand
from nnbf.sweep.sweep_folder import PASSED_OVER, SweepFolder, locked


@dataclass(frozen=True)
class SweepPlan:
    """Points of a sweep with the folder that they are made in."""

    manifest: Manifest
    """Manifest, as the user wrote it."""
    folder: SweepFolder
    """Folder of the sweep."""
    points: tuple[Point, ...]
    """All points: rows of the table."""
    chosen: tuple[Point, ...]
    """Those that are to be worked on."""

    @property
    def name(self) -> str:
        """Name of the sweep."""
        return self.manifest.name

    @property
    def command(self) -> str:
        """Command of all points."""
        return self.manifest.vocabulary.command

    def begin(self) -> None:
        """Make the folder, with a copy of the manifest in it.

        Raises:
            InputError: It cannot be made.
            OSError: It cannot be written.
        """
        self.folder.make()
        with locked(self.folder.table_lock):
            write_bytes(self.folder.path / "manifest.toml", self.manifest.path.read_bytes())


def plan_sweep(
    manifest: str | Path,
    vocabularies: Mapping[str, Vocabulary],
    *,
    out: str | Path | None = None,
    only: str | None = None,
    warm_start: bool | None = None,
) -> SweepPlan:
    """Read a manifest and expand it; nothing is written.

    Args:
        manifest: The file.
        vocabularies: Commands that a sweep can run.
        out: The folder of the sweep; by default runs/<name> under the current one.
        only: Pattern (with * and ?) of the names of the points to be worked on; by default all.
        warm_start: Whether points of a scan start from their neighbours; by default what the manifest says.

    Raises:
        InputError: Something in the manifest makes no sense, or no point matches.
    """
    content = read_manifest(manifest, vocabularies)
    begin = _begin(content, content.warm_start, f"{content.path}: sweep.warm_start")
    if warm_start is not None and warm_start != (begin is not None):
        begin = _begin(content, warm_start, "warm_start")
    points = expand(content)
    if begin is not None:
        points = with_starts(points, content.scan, begin)
    chosen = points
    if only is not None:
        chosen = tuple(point for point in points if fnmatch.fnmatchcase(point.name, only))
        if not chosen:
            names = [point.name for point in points]
            close = (nearest_names(only.strip("*"), names) or names)[0]
            raise InputError(f"only {only!r} matches none of the {len(points)} points, such as {close}")
    folder = Path("runs") / content.name if out is None else given_path(out)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give a folder as out")
    return SweepPlan(content, SweepFolder(folder), points, chosen)


# ---- warm starts ---------------------------------------------------------------------------------


def _begin(content: Manifest, value: Any, where: str) -> dict[str, float] | None:
    """Return the place where curves begin, as far as it is given; None for cold starts everywhere."""
    if value is None or value is False:
        return None
    command = content.vocabulary.command
    if command != "molecule":
        raise InputError(f"{where}: only molecules start from their neighbours, not {command}: leave it out")
    if not content.scan:
        raise InputError(f"{where} needs a scan, along which points have neighbours: give [scan]")
    if value is True:
        return {}
    names = [axis.name for axis in content.scan]
    if not isinstance(value, Mapping) or not value:
        raise InputError(f"{where} = {value!r}: give true, false or where to begin, such as {{ r = 1.1 }}")
    for key, number in value.items():
        if key not in names:
            raise InputError(f"{where}: {key!r} is not scanned: give one of {', '.join(names)}")
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise InputError(f"{where}.{key} = {number!r}: give a number")
    return {str(key): float(number) for key, number in value.items()}


def with_starts(
    points: Iterable[Point], scan: Sequence[Axis], begin: Mapping[str, float]
) -> tuple[Point, ...]:
    """Return the points with `after` set: the neighbour that each one starts from.

    A curve begins at the point nearest to `begin`, or in the middle of those variables that it does not
    name; from there it grows outwards, along the last variable first. Points that are left out are stepped
    over.

    Args:
        points: All points of a sweep.
        scan: The variables of the scan.
        begin: Where curves begin.
    """
    points = tuple(points)
    ranks = {axis.name: _ranks(axis) for axis in scan}
    root = [_first_rank(ranks[axis.name], begin.get(axis.name)) for axis in scan]
    before: dict[str, str] = {}
    for members in curves(points).values():
        by_rank = {
            tuple(rank[point.coordinates[name]] for name, rank in ranks.items()): point for point in members
        }
        first = min(by_rank, key=lambda place: (sum(abs(a - b) for a, b in zip(place, root)), place))
        for place, point in by_rank.items():
            if place != first:
                before[point.name] = by_rank[_towards(place, first, by_rank)].name
    return tuple(_started(point, before.get(point.name)) for point in points)


def start_words(folder: SweepFolder, points: Iterable[Point]) -> Callable[[Point], tuple[str, ...] | None]:
    """Return a function that tells from which run folder a point starts: further words for its command.

    They name its neighbour's, once that is done. A neighbour that has failed by itself is passed over, for
    the one before it; one that was killed or stopped is waited for.

    Args:
        folder: Folder of the sweep.
        points: All points of the sweep.

    Returns:
        A function of a point; no words for a cold start, None where the point cannot start yet.
    """
    by_name = {point.name: point for point in points}

    def words(point: Point) -> tuple[str, ...] | None:
        if (folder.run(point) / "config.json").is_file():
            return ()  # it has begun, and knows where
        name = point.after
        while name is not None and folder.record(by_name[name]).get(PASSED_OVER):
            name = by_name[name].after
        if name is None:
            return ()
        before = by_name[name]
        return (f"--start-from={folder.run(before)}",) if folder.state(before).done else None

    return words


def _started(point: Point, after: str | None) -> Point:
    if after is None:
        return point
    return replace(point, after=after, digest=digest([point.digest, "warm start"]))


def _ranks(axis: Axis) -> dict[Any, int]:
    return {value: rank for rank, value in enumerate(sorted(value for value, _ in axis.values))}


def _first_rank(ranks: Mapping[Any, int], begin: float | None) -> int:
    if begin is None:
        return (len(ranks) - 1) // 2
    return min((abs(value - begin), rank) for value, rank in ranks.items())[1]


def _towards(place: tuple[int, ...], first: tuple[int, ...], there: Mapping[tuple[int, ...], Point]) -> tuple:
    """Return the next place on the way to the first one at which there is a point."""
    at = list(place)
    for axis in reversed(range(len(at))):
        while at[axis] != first[axis]:
            at[axis] += 1 if first[axis] > at[axis] else -1
            if tuple(at) in there:
                return tuple(at)
    return first
