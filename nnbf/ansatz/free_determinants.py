"""Which free-particle states to fill: the lowest in energy at a given total momentum."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Momentum = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Band:
    """A state of one free particle."""

    momentum: Momentum
    """In units of 2 pi / L, without the share of a twist."""
    band: int
    """Index among the states of that momentum, lowest first."""
    energy: float
    """Energy, in units of the hopping."""
    vector: np.ndarray
    """Amplitudes on the sites of a cell."""


def lowest_fillings(
    bands: Sequence[Band],
    size: tuple[int, int],
    particles: tuple[int, ...],
    momentum: Momentum | None,
    count: int,
) -> list[tuple[tuple[int, ...], ...]]:
    """Return the `count` fillings of lowest energy at a total momentum, lowest first, or all there are.

    Args:
        bands: States of one particle, the same for each spin.
        size: Momenta are modulo this.
        particles: Particles of each spin.
        momentum: Total momentum of all spins; None for that of the lowest filling.
        count: How many.

    Returns:
        For each filling and each spin the indices into `bands`, ascending.
    """
    tables = {number: _one_spin(bands, size, number, count) for number in set(particles)}
    partial: dict[Momentum, list] = {(0, 0): [(0.0, ())]}
    for number in particles:
        following: dict[Momentum, list] = {}
        for total, left in partial.items():
            for extra, right in tables[number].items():
                target = ((total[0] + extra[0]) % size[0], (total[1] + extra[1]) % size[1])
                following.setdefault(target, []).extend(
                    (round(e + f, 9), (*masks, mask)) for e, masks in left for f, mask in right
                )
        partial = {key: heapq.nsmallest(count, found) for key, found in following.items()}
    if momentum is None:
        momentum = min(partial, key=lambda key: partial[key][0])
    return [tuple(_members(mask) for mask in masks) for _, masks in partial.get(momentum, [])]


def _one_spin(bands, size, number, count):
    """Momentum -> the lowest (energy, bit mask of filled states), by adding one state after another."""
    order = sorted(range(len(bands)), key=lambda i: (round(bands[i].energy, 9), i))
    tables: list[dict[Momentum, list]] = [{(0, 0): [(0.0, 0)]}] + [{} for _ in range(number)]
    for done, i in enumerate(order):
        (k1, k2), energy, bit = bands[i].momentum, bands[i].energy, 1 << i
        for n in range(min(number, done + 1), 0, -1):
            if n + len(order) - done - 1 < number:
                break
            for (m1, m2), found in tables[n - 1].items():
                target = ((m1 + k1) % size[0], (m2 + k2) % size[1])
                added = [(round(e + energy, 9), mask | bit) for e, mask in found]
                known = tables[n].get(target)
                tables[n][target] = sorted(known + added)[:count] if known else added
    return tables[number]


def _members(mask: int) -> tuple[int, ...]:
    return tuple(i for i in range(mask.bit_length()) if mask >> i & 1)
