"""Symmetries of a Hamiltonian that permute its orbitals, up to signs: found in the integrals themselves."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from hamiltonians.integrals import MolecularIntegrals
from hamiltonians.packing import pair_indices

#: Difference (Hartree) of integrals that count as equal: geometries are written with six decimals. A state is
#: symmetric at the cost of its square.
TOLERANCE = 1e-5
#: Most operations that are looked for; Hamiltonians with more have orbitals that do not see each other.
MOST = 64
#: Most signs of orbitals that nothing relates, which are tried out.
_FREE_SIGNS = 6


def orbital_symmetries(
    integrals: MolecularIntegrals, most: int = MOST, tolerance: float = TOLERANCE
) -> tuple[np.ndarray, np.ndarray]:
    """Signed permutations of the orbitals that leave all integrals as they are.

    In localised orbitals they are operations of the point group, on a lattice translations, too; canonical
    orbitals have signs alone. Orbitals are told apart by their own integrals first, the rest is a search that
    gives a branch up at the first pair that differs.

    Args:
        integrals: The Hamiltonian.
        most: Operations; where there are more, none but the identity is returned.
        tolerance: Hartree.

    Returns:
        Images (G, M) and signs (G, M), the identity first: operation g turns orbital p into ``signs[g, p]``
        times orbital ``images[g, p]``. A common sign of all orbitals is left out.
    """
    size = integrals.n_orbitals
    nothing = np.arange(size)[None], np.ones((1, size))
    if integrals.is_spin_resolved or size < 2:
        return nothing
    found = []
    pair = pair_indices(size)
    for images in _permutations(_invariants(integrals, pair), tolerance):
        for signs in _signs(integrals, pair, images, tolerance):
            if _leaves(integrals, pair, images, signs, tolerance):
                found.append((images, signs))
        if len(found) > most:
            return nothing
    found.sort(key=lambda one: (tuple(one[0] != np.arange(size)), tuple(one[0]), tuple(-one[1])))
    return np.array([images for images, _ in found]), np.array([signs for _, signs in found])


def _invariants(integrals, pair):
    """Matrices (3, M, M) that do not depend on signs: hopping, Coulomb and exchange."""
    diagonal = np.diag(pair)
    coulomb = integrals.two_body[np.ix_(diagonal, diagonal)]
    return np.stack([np.abs(integrals.one_body), coulomb, integrals.two_body[pair, pair]])


def _permutations(invariants, tolerance) -> Iterator[np.ndarray]:
    """All permutations that leave the invariants of every pair, by backtracking."""
    size = invariants.shape[-1]
    # Orbitals that interact with those before them first: wrong branches end early.
    order = [0]
    while len(order) < size:
        strength = invariants[0][:, order].sum(axis=1)
        strength[order] = -1.0
        order.append(int(np.argmax(strength)))
    sums = np.sort(invariants, axis=-1)
    alike = np.all(np.abs(sums[:, :, None] - sums[:, None]) <= tolerance, axis=(0, 3))
    images = np.empty(size, np.int64)

    def extended(depth):
        if depth == size:
            yield images.copy()
            return
        p, before = order[depth], order[:depth]
        wanted = invariants[:, p, [*before, p]]
        for q in np.flatnonzero(alike[p]):
            taken = images[before]
            if q in taken or np.any(np.abs(invariants[:, q, [*taken, q]] - wanted) > tolerance):
                continue
            images[p] = q
            yield from extended(depth + 1)

    yield from extended(0)


def _signs(integrals, pair, images, tolerance) -> Iterator[np.ndarray]:
    """Signs (M,) with which a permutation may leave the integrals; that of the first orbital is 1."""
    ratio = np.zeros(pair.shape)
    mean = integrals.two_body[:, np.diag(pair)].sum(axis=1)[pair]
    for matrix in (integrals.one_body, mean):
        related = (ratio == 0.0) & (np.abs(matrix) > 10.0 * tolerance)
        ratio = np.where(related, np.sign(matrix * matrix[np.ix_(images, images)]), ratio)
    size = len(images)
    group = np.full(size, -1)
    signs = np.ones(size)
    n_groups = 0
    for root in range(size):
        if group[root] >= 0:
            continue
        group[root], waiting = n_groups, [root]
        while waiting:
            p = waiting.pop()
            for q in map(int, np.flatnonzero((ratio[p] != 0.0) & (group < 0))):
                group[q], signs[q] = n_groups, signs[p] * ratio[p, q]
                waiting.append(q)
        n_groups += 1
    if n_groups - 1 > _FREE_SIGNS:
        return
    for free in product((1.0, -1.0), repeat=n_groups - 1):
        yield signs * np.array([1.0, *free])[group]


def _leaves(integrals, pair, images, signs, tolerance):
    """True where a signed permutation leaves all integrals as they are."""
    one_body = integrals.one_body[np.ix_(images, images)] * signs[:, None] * signs
    if np.abs(one_body - integrals.one_body).max() > tolerance:
        return False
    row, column = np.tril_indices(len(images))
    place, sign = pair[images[row], images[column]], signs[row] * signs[column]
    two_body = integrals.two_body[np.ix_(place, place)] * sign[:, None] * sign
    return bool(np.abs(two_body - integrals.two_body).max() <= tolerance)


def orbital_shells(integrals: MolecularIntegrals, tolerance: float = TOLERANCE) -> np.ndarray:
    """Shell of every orbital, (M,) numbers from 0: degenerate orbitals that symmetry turns into each other.

    They have the same diagonal elements of every operator that the whole group leaves as it is: of h, and of
    the Coulomb and exchange operators of all orbitals. Orbitals without irreps are shells of their own.

    Args:
        integrals: The Hamiltonian, in symmetry-adapted orbitals.
        tolerance: Hartree.
    """
    size = integrals.n_orbitals
    labels = integrals.orbital_irreps
    if integrals.is_spin_resolved or labels is None or len(set(labels)) == 1:
        return np.arange(size)
    invariants = _invariants(integrals, pair_indices(size))
    known = np.stack([np.diag(integrals.one_body), *invariants[1:].sum(axis=2)], axis=1)
    shells = np.full(size, -1)
    for orbital in range(size):
        if shells[orbital] < 0:
            alike = np.abs(known - known[orbital]).max(axis=1) <= tolerance * size
            shells[alike & (shells < 0)] = shells.max() + 1
    return shells
