"""Which point-group operations the shape of a cluster and its boundary leave, and about which centre."""

from collections.abc import Sequence

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.lattice.cluster import GRID
from hamiltonians.lattice.model import Lattice
from hamiltonians.lattice.point_group import PointOperation, point_group_name, point_operations


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
    if not text.startswith("c") or not order_text.isdigit() or not int(order_text) or full % int(order_text):
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
