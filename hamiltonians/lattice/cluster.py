"""Sites, bonds and point-group operations of the square, triangular and honeycomb lattice.

A cluster has L1 x L2 unit cells along the lattice vectors a1 and a2, nearest neighbours at distance 1.
Site ``(x * L2 + y) * B + b`` is basis site b of B in cell (x, y), so on one-site cells
``n.reshape(L1, L2)[x, y]`` is the occupation of cell (x, y).
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

# A bond pattern (b, b', dx, dy) joins basis site b of cell (x, y) to b' of cell (x + dx, y + dy). Each
# undirected bond of the infinite lattice occurs once.
Pattern = tuple[int, int, int, int]

# Lattice coordinates are whole multiples of 1/6: thirds from the honeycomb basis, halves from the centre
# of an open cluster.
GRID = 6


@dataclass(frozen=True)
class LatticeGeometry:
    """An infinite lattice: unit cell, bonds, symmetry."""

    name: str
    """`square`, `triangular` or `honeycomb`."""
    vectors: tuple[tuple[float, float], tuple[float, float]]
    """a1 and a2, Cartesian, nearest-neighbour distance 1."""
    basis: tuple[tuple[int, int], ...]
    """Lattice coordinates of the sites of a cell, in units of 1 / `GRID`, the rotation centre at 0."""
    nearest: tuple[Pattern, ...]
    """Nearest-neighbour bonds."""
    next_nearest: tuple[Pattern, ...]
    """Next-nearest-neighbour bonds."""
    rotation: tuple[tuple[int, int], tuple[int, int]]
    """The smallest rotation about the centre, as an integer matrix on lattice coordinates."""
    mirror: tuple[tuple[int, int], tuple[int, int]]
    """One mirror, as an integer matrix on lattice coordinates."""
    mirror_angle: int
    """Angle to the x axis, in degrees, of a mirror line through the sites nearest to the centre."""

    @property
    def n_basis(self) -> int:
        """Sites in a unit cell."""
        return len(self.basis)


GEOMETRIES = {
    "square": LatticeGeometry(
        "square",
        vectors=((1.0, 0.0), (0.0, 1.0)),
        basis=((0, 0),),
        nearest=((0, 0, 1, 0), (0, 0, 0, 1)),
        next_nearest=((0, 0, 1, 1), (0, 0, 1, -1)),
        rotation=((0, -1), (1, 0)),
        mirror=((1, 0), (0, -1)),
        mirror_angle=0,
    ),
    "triangular": LatticeGeometry(
        "triangular",
        vectors=((1.0, 0.0), (0.5, sqrt(0.75))),
        basis=((0, 0),),
        nearest=((0, 0, 1, 0), (0, 0, 0, 1), (0, 0, 1, -1)),
        next_nearest=((0, 0, 1, 1), (0, 0, 2, -1), (0, 0, 1, -2)),
        rotation=((0, -1), (1, 1)),
        mirror=((1, 1), (0, -1)),
        mirror_angle=0,
    ),
    "honeycomb": LatticeGeometry(
        "honeycomb",
        vectors=((sqrt(3.0), 0.0), (sqrt(0.75), 1.5)),
        basis=((2, 2), (4, 4)),
        nearest=((0, 1, 0, 0), (0, 1, -1, 0), (0, 1, 0, -1)),
        next_nearest=(
            (0, 0, 1, 0),
            (0, 0, 0, 1),
            (0, 0, 1, -1),
            (1, 1, 1, 0),
            (1, 1, 0, 1),
            (1, 1, 1, -1),
        ),
        rotation=((0, -1), (1, 1)),
        mirror=((1, 1), (0, -1)),
        mirror_angle=30,
    ),
}


@dataclass(frozen=True, eq=False)
class Bonds:
    """The bonds of a cluster, one entry for each bond of the infinite lattice.

    Two sites may be joined by several bonds: on a periodic direction of length 2 the bond inside the
    cluster and the one across the boundary are two bonds between the same sites.
    """

    sites: np.ndarray
    """(n_bonds, 2) the two sites i, j."""
    windings: np.ndarray
    """(n_bonds, 2) how often the way from i to j crosses the boundary of each direction, with its sign."""
    shells: np.ndarray
    """(n_bonds,) 1 for nearest, 2 for next-nearest neighbours."""
    phases: np.ndarray
    """(n_bonds,) factor of c+_i c_j that the twist puts on a bond; real where all are."""


def cell_table(size: tuple[int, int], n_basis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells (n_sites, 2) and the basis indices (n_sites,) of all sites."""
    x, y, b = np.meshgrid(*(np.arange(extent) for extent in (*size, n_basis)), indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1), b.ravel()


def phase_factor(turns: np.ndarray) -> np.ndarray:
    """Return e^(2 pi i turns): real, and exact, where every entry is a multiple of one half."""
    turns = np.asarray(turns, dtype=float)
    halves = np.rint(2 * turns)
    if np.all(np.abs(2 * turns - halves) < 1e-12):
        return np.where(halves % 2 == 0, 1.0, -1.0)
    return np.exp(2j * np.pi * turns)


def build_bonds(
    geometry: LatticeGeometry,
    size: tuple[int, int],
    periodic: tuple[bool, bool],
    flux: tuple[float, float],
) -> Bonds:
    """Return the bonds of a cluster, of both shells; the twist `flux` is in units of 2 pi.

    Next-nearest neighbours of a chain (one direction of length 1, one site a cell) are two sites apart; in
    one of two sites there are none.
    """
    cells, _ = cell_table(size, 1)
    extent = np.array(size)
    sites, windings, shells = [], [], []
    patterns = [(1, pattern) for pattern in geometry.nearest]
    further = geometry.next_nearest
    if 1 in size and geometry.n_basis == 1:
        further = ((0, 0, 2, 0), (0, 0, 0, 2)) if max(size) > 2 else ()
    patterns += [(2, pattern) for pattern in further]
    for shell, (start, end, dx, dy) in patterns:
        target = cells + np.array([dx, dy])
        winding = np.floor_divide(target, extent)
        kept = np.all((winding == 0) | np.array(periodic), axis=1)
        target = target - winding * extent
        first = (cells[:, 0] * size[1] + cells[:, 1]) * geometry.n_basis + start
        second = (target[:, 0] * size[1] + target[:, 1]) * geometry.n_basis + end
        sites.append(np.stack([first, second], axis=1)[kept])
        windings.append(winding[kept])
        shells.append(np.full(kept.sum(), shell))
    all_sites, all_windings = np.concatenate(sites), np.concatenate(windings)
    phases = phase_factor(all_windings @ np.array(flux))
    return Bonds(all_sites, all_windings, np.concatenate(shells), phases)
