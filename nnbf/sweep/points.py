"""One point of a sweep, as plain data, and its name, which is made from what tells the points apart."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

_LONGEST_PART, _LONGEST = 40, 150


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
