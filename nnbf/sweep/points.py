"""One point of a sweep, as plain data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Point:
    """One run of a sweep."""

    name: str
    """Name of its run folder below the folder of the sweep."""
    coordinates: Mapping[str, Any]
    """What tells it apart, by the manifest's names: columns of the table."""
    options: Mapping[str, Any]
    """All options given, by name in Python."""
    words: tuple[str, ...]
    """The command without `--out`: ("molecule", "N2", "--basis=sto-3g")."""
    digest: str
    """Of command, options and the content of the files they name: another one is another calculation."""
    curve: str | None = None
    """Which curve it is on: points of one curve differ in nothing but the variables of the scan."""
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
