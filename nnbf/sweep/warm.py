"""Warm starts along a scan: each point begins with the trained state of its neighbour.

The points of a curve form a tree: one of them starts cold, every other one from its neighbour on the way
there. Who starts from whom is fixed by the manifest alone, never by what happens to be done first.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hamiltonians.errors import InputError
from nnbf.sweep.axes import Axis
from nnbf.sweep.points import Point, curves, digest
from nnbf.sweep.sweep_folder import SweepFolder

PASSED_OVER = "passed_over"
"""Key of the record of a point that has failed by itself: others do not start from it, also if it is made
later on."""


def warm_start_of(value: Any, scan: Sequence[Axis], command: str, where: str) -> dict[str, float] | None:
    """Return the place where curves begin, as far as it is given; None for cold starts everywhere.

    Args:
        value: true, false, or a table with values of scanned variables.
        scan: The variables of the scan.
        command: What the points run.
        where: What to name in messages: "sweep.toml: sweep.warm_start".

    Raises:
        InputError: The value makes no sense, or there is no scan of a molecule.
    """
    if value is None or value is False:
        return None
    if command != "molecule":
        raise InputError(f"{where}: only molecules start from their neighbours, not {command}: leave it out")
    if not scan:
        raise InputError(f"{where} needs a scan, along which points have neighbours: give [scan]")
    if value is True:
        return {}
    names = [axis.name for axis in scan]
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
    ranks = [_ranks(axis) for axis in scan]
    root = [_first_rank(axis, begin) for axis in scan]
    before: dict[str, str] = {}
    for members in curves(points).values():
        by_rank = {
            tuple(rank[point.coordinates[axis.name]] for axis, rank in zip(scan, ranks, strict=True)): point
            for point in members
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


def _first_rank(axis: Axis, begin: Mapping[str, float]) -> int:
    ranks = _ranks(axis)
    if axis.name not in begin:
        return (len(ranks) - 1) // 2
    return min((abs(value - begin[axis.name]), rank) for value, rank in ranks.items())[1]


def _towards(place: tuple[int, ...], first: tuple[int, ...], there: Mapping[tuple[int, ...], Point]) -> tuple:
    """Return the next place on the way to the first one at which there is a point."""
    at = list(place)
    for axis in reversed(range(len(at))):
        while at[axis] != first[axis]:
            at[axis] += 1 if first[axis] > at[axis] else -1
            if tuple(at) in there:
                return tuple(at)
    return first
