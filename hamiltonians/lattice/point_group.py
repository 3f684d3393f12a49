"""Point groups of the plane and of a cluster: operations, names (C4v, C2, Cs, ...) and irreps as matrices.

Use it for the little group of a momentum. Operations are integer matrices on lattice coordinates; rotations
carry their angle, mirrors the angle of their line. Names and characters are those of the usual tables
(Cotton; Altmann and Herzig), with these choices where the tables leave one:

* A' and B1 are even, A'' and B2 odd under the reference mirror; on the square lattice that is the x axis, so
  that B1 is even under the axis mirrors and B2 under the diagonal ones.
* Rows of E (E1) transform as (x, y), those of E2 as (x^2 - y^2, 2 x y), in Cartesian coordinates.
* Without mirrors the complex pair of E is split: 1E turns by exp(-2 pi i / n), 2E by its conjugate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.lattice.cluster import GRID, LatticeGeometry
from hamiltonians.lattice.model import Lattice


@dataclass(frozen=True)
class PointOperation:
    """A rotation or a mirror about the centre."""

    matrix: tuple[tuple[int, int], tuple[int, int]]
    """Its matrix on lattice coordinates."""
    is_mirror: bool
    """True for a mirror."""
    angle: int
    """In degrees: of the rotation (0 to 359), or of the mirror line with the x axis (0 to 179)."""

    def turn_line(self, angle: int) -> int:
        """Return the angle of a line, in degrees, after the operation."""
        return (2 * self.angle - angle if self.is_mirror else angle + self.angle) % 180

    def __str__(self) -> str:
        return f"mirror at {self.angle} deg" if self.is_mirror else f"rotation by {self.angle} deg"


@dataclass(frozen=True, eq=False)
class Irrep:
    """An irreducible representation of a point group."""

    name: str
    """Mulliken symbol: A1, B2, E, A', ..."""
    matrices: np.ndarray
    """(n_operations, d, d) unitary matrices, in the order of the operations."""

    @property
    def dimension(self) -> int:
        """Size d of the matrices."""
        return self.matrices.shape[1]

    @property
    def characters(self) -> np.ndarray:
        """(n_operations,) traces."""
        return np.trace(self.matrices, axis1=1, axis2=2)


def point_operations(lattice: LatticeGeometry) -> tuple[PointOperation, ...]:
    """Return the point group of an infinite lattice, identity first."""
    vectors = np.array(lattice.vectors)
    turn, mirror = np.array(lattice.rotation), np.array(lattice.mirror)
    rotations = [np.eye(2, dtype=np.int64)]
    while not np.array_equal(turned := turn @ rotations[-1], rotations[0]):
        rotations.append(turned)
    operations = []
    for matrix in rotations + [rotation @ mirror for rotation in rotations]:
        # Columns of the transposed vectors are a1, a2: Cartesian = vectors^T . coordinates.
        cartesian = vectors.T @ matrix @ np.linalg.inv(vectors.T)
        is_mirror = bool(np.linalg.det(cartesian) < 0)
        degrees = round(np.degrees(np.arctan2(cartesian[1, 0], cartesian[0, 0]))) % 360
        rows = (tuple(matrix[0].tolist()), tuple(matrix[1].tolist()))
        operations.append(PointOperation(rows, is_mirror, degrees // 2 if is_mirror else degrees))
    return tuple(operations)


def point_group_name(operations: Sequence[PointOperation]) -> str:
    """Return the Schoenflies name: C1, Cs, or Cn, Cnv."""
    order = sum(not operation.is_mirror for operation in operations)
    if order == len(operations):
        return f"C{order}"
    return "Cs" if order == 1 else f"C{order}v"


def point_group_irreps(operations: Sequence[PointOperation], reference_mirror: int = 0) -> tuple[Irrep, ...]:
    """Return all irreps of a point group.

    Args:
        operations: The whole group.
        reference_mirror: Angle of the line, in degrees, of the mirror under which B1 is even.
    """
    order = sum(not operation.is_mirror for operation in operations)
    steps = [0 if g.is_mirror else g.angle * order // 360 for g in operations]
    if order == len(operations):
        return tuple(
            Irrep(name, np.exp(-2j * np.pi * power * np.array(steps) / order).reshape(-1, 1, 1))
            for name, power in _cyclic_names(order)
        )
    mirror = np.array([-1.0 if g.is_mirror else 1.0 for g in operations])
    tables = {"A'": mirror**2, "A''": mirror} if order == 1 else {"A1": mirror**2, "A2": mirror}
    if order % 2 == 0:
        lines = [(g.angle - reference_mirror) * order // 180 if g.is_mirror else 0 for g in operations]
        b1 = np.array([(-1.0) ** (step + line) for step, line in zip(steps, lines, strict=True)])
        tables |= {"B1": b1, "B2": b1 * mirror}
    irreps = [Irrep(name, values.reshape(-1, 1, 1)) for name, values in tables.items()]
    pairs = (order - 1) // 2
    for power in range(1, pairs + 1):
        matrices = np.stack([_planar_matrix(g, power) for g in operations])
        irreps.append(Irrep("E" if pairs == 1 else f"E{power}", matrices))
    return tuple(irreps)


def _cyclic_names(order: int) -> list[tuple[str, int]]:
    """(name, m) of the characters exp(-2 pi i m j / n) of Cn."""
    names = [("A", 0)]
    if order % 2 == 0:
        names.append(("B", order // 2))
    pairs = (order - 1) // 2
    for power in range(1, pairs + 1):
        suffix = "" if pairs == 1 else str(power)
        names += [(f"1E{suffix}", power), (f"2E{suffix}", order - power)]
    return names


def _planar_matrix(operation: PointOperation, power: int) -> np.ndarray:
    """Matrix on (cos(power phi), sin(power phi)), phi the polar angle."""
    angle = np.radians(power * operation.angle * (2 if operation.is_mirror else 1))
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, sin], [sin, -cos]] if operation.is_mirror else [[cos, -sin], [sin, cos]])
    # Exact zeros keep real symmetry sectors real.
    return np.where(np.abs(matrix) < 1e-15, 0.0, matrix)


def broken_symmetry(model: Lattice) -> str:
    """Return what keeps the point group of the infinite lattice from being whole, or an empty text."""
    operations = best_centre(model)[1]
    whole = point_operations(model.lattice)
    if len(operations) == len(whole):
        return ""
    lost = next(g for g in whole if g not in operations)
    causes = []
    if model.size[0] != model.size[1]:
        causes.append(f"the cluster is {model.size[0]}x{model.size[1]}")
    first, second = _boundary_name(model, 0), _boundary_name(model, 1)
    if first != second:
        causes.append(f"the boundaries differ, {first} and {second}")
    elif first not in ("pbc", "open"):
        causes.append(f"the boundary is {first}")
    if not causes:
        causes.append(f"it is an open {model.geometry} cluster")
    return f"no {lost}: {' and '.join(causes)}"


def _boundary_name(model: Lattice, direction: int) -> str:
    boundary = model.boundary[direction]
    return boundary if isinstance(boundary, str) else f"twist {boundary:g}"


def best_centre(model: Lattice) -> tuple[np.ndarray, list[PointOperation]]:
    """Return the centre (in units of 1 / `GRID`) with the most operations, and these."""
    basis = np.array(model.lattice.basis)
    middle = (GRID * (np.array(model.size) - 1) + basis.min(axis=0) + basis.max(axis=0)) // 2
    centre = np.where(model.periodic, 0, middle)
    centres = [centre]
    if any(model.periodic) and not all(model.periodic):
        # On a cylinder the mirrors and rotations may meet between two cells.
        centres.append(centre + np.where(model.periodic, GRID // 2, 0))
    choices = [(c, [g for g in point_operations(model.lattice) if is_symmetry(model, g, c)]) for c in centres]
    return max(choices, key=lambda choice: len(choice[1]))


def is_symmetry(model: Lattice, operation: PointOperation, centre: np.ndarray) -> bool:
    """Return whether an operation keeps cluster, boundary and twist."""
    try:
        cells, _ = move_sites(model, operation, centre)
    except LookupError:
        return False
    size, flux = np.array(model.size), np.array(model.flux)
    windings = np.floor_divide(cells, size)
    if np.any(windings[:, ~np.array(model.periodic)]):
        return False
    for direction in np.flatnonzero(model.periodic):
        around = np.array(operation.matrix)[:, direction] * size[direction]
        turns = around // size
        if np.any(turns * size * np.array(model.periodic) != around):
            return False
        change = float(turns @ flux - flux[direction])
        if abs(change - round(change)) > 1e-12:
            return False
    return True


def move_sites(
    model: Lattice, operation: PointOperation, centre: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return cells (n_sites, 2), on the covering lattice, and basis indices of the images of all sites."""
    basis = np.array(model.lattice.basis)
    positions = model.cells * GRID + basis[model.sublattices]
    moved = (positions - centre) @ np.array(operation.matrix).T + centre
    cells, within = np.divmod(moved, GRID)
    matches = np.all(within[:, None] == basis[None], axis=2)
    if not np.all(matches.any(axis=1)):
        raise LookupError("a site is moved to where none is")
    return cells, matches.argmax(axis=1)


def subgroup(model: Lattice, operations: Sequence[PointOperation], name: str) -> list[PointOperation]:
    """Return the operations of a point group by its name.

    Raises:
        InputError: There is no such group, or the cluster breaks it.
    """
    text = name.strip().casefold()
    order_text = "1" if text == "cs" else text[1:].removesuffix("v")
    whole = point_operations(model.lattice)
    full = sum(not g.is_mirror for g in whole)
    has_mirrors = text == "cs" or text.endswith("v")
    if (
        not text.startswith("c")
        or not order_text.isdecimal()
        or not int(order_text)
        or full % int(order_text)
    ):
        known = [f"C{n}{v}" for n in range(full, 1, -1) if full % n == 0 for v in ("v", "")]
        raise InputError(f"point group {name!r}: give one of {', '.join([*known, 'Cs', 'C1'])}")
    order = int(order_text)
    rotations = [g for g in operations if not g.is_mirror and g.angle * order % 360 == 0]
    references = sorted(g.angle for g in operations if g.is_mirror) if has_mirrors else [0]
    for reference in references:
        mirrors = [
            g for g in operations if has_mirrors and g.is_mirror and (g.angle - reference) * order % 180 == 0
        ]
        if len(rotations) == order and len(mirrors) == (order if has_mirrors else 0):
            return rotations + mirrors
    reason = broken_symmetry(model)
    raise InputError(
        f"point group {name} is broken: this cluster has {point_group_name(operations)}"
        + (f", {reason}" if reason else "")
    )
