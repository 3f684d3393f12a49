"""Chains and rings of one element by name: "H10-chain-1.8", "H6-ring-1.0"."""

import math
import re

_NAME = re.compile(r"([A-Za-z]{1,2})(\d+)-(chain|ring)-(\d*\.?\d+)", re.IGNORECASE)


def chain_atoms(name: str) -> tuple[tuple[str, tuple[float, float, float]], ...] | None:
    """Return the atoms of a chain along z, or of a regular polygon in the x-y plane.

    Args:
        name: Element, number of atoms, "chain" or "ring", and the distance between neighbours, in any unit.

    Returns:
        (element as given, position in the unit of the distance) of every atom; None if the name is not of
        that form, or has no atoms, or fewer than three in a ring.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    element, count, distance = match[1], int(match[2]), float(match[4])
    if match[3].casefold() == "chain":
        return tuple((element, (0.0, 0.0, k * distance)) for k in range(count)) or None
    if count < 3:
        return None
    radius = distance / (2.0 * math.sin(math.pi / count))
    angles = [2.0 * math.pi * k / count for k in range(count)]
    return tuple((element, (radius * math.cos(a), radius * math.sin(a), 0.0)) for a in angles)
