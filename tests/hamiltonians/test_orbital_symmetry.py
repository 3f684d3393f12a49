"""Signed permutations of the orbitals that leave a Hamiltonian as it is."""

from itertools import permutations, product

import numpy as np
import pytest

from hamiltonians import MolecularIntegrals
from hamiltonians.orbital_symmetry import orbital_symmetries


def averaged(random_integrals, operations, n_orbitals=4):
    """Random integrals with some signed permutations (images, signs) for symmetries: mean over a group."""
    integrals = random_integrals(n_orbitals, 2, 2, seed=3)
    one_body, two_body = np.zeros((n_orbitals,) * 2), np.zeros((n_orbitals,) * 4)
    for images, signs in operations:
        matrix = np.zeros((n_orbitals,) * 2)
        matrix[images, np.arange(n_orbitals)] = signs
        one_body += matrix @ integrals.one_body @ matrix.T
        two_body += np.einsum("pa,qb,rc,sd,abcd", *[matrix] * 4, integrals.unpack_two_body(), optimize=True)
    count = len(operations)
    return MolecularIntegrals.from_full(0.0, one_body / count, two_body / count, 2, 2)


def by_trial(integrals):
    """All of them, by trying all signed permutations."""
    size, two_body = integrals.n_orbitals, integrals.unpack_two_body()
    found = set()
    for images in permutations(range(size)):
        for rest in product((1.0, -1.0), repeat=size - 1):
            signs = np.array([1.0, *rest])
            p = np.array(images)
            moved = two_body[np.ix_(p, p, p, p)] * np.einsum("p,q,r,s->pqrs", *[signs] * 4)
            one_body = integrals.one_body[np.ix_(p, p)] * signs[:, None] * signs
            if np.allclose(one_body, integrals.one_body) and np.allclose(moved, two_body):
                found.add((images, tuple(signs)))
    return found


def listed(integrals):
    images, signs = orbital_symmetries(integrals)
    assert images[0].tolist() == list(range(integrals.n_orbitals))
    assert np.all(signs[0] == 1.0)
    return {(tuple(map(int, image)), tuple(sign)) for image, sign in zip(images, signs, strict=True)}


IDENTITY = ([0, 1, 2, 3], [1, 1, 1, 1])
GROUPS = {
    "none": [IDENTITY],
    "exchange": [IDENTITY, ([1, 0, 3, 2], [1, 1, 1, 1])],
    "exchange with signs": [IDENTITY, ([1, 0, 2, 3], [1, 1, 1, -1])],
    "signs": [IDENTITY, ([0, 1, 2, 3], [1, 1, -1, -1])],
    "cycle": [([(p + k) % 4 for p in range(4)], [1, 1, 1, 1]) for k in range(4)],
}


@pytest.mark.parametrize("name", GROUPS)
def test_all_are_found(random_integrals, name):
    operations = [(np.array(images), np.array(signs)) for images, signs in GROUPS[name]]
    integrals = averaged(random_integrals, operations)
    assert len(listed(integrals)) == len(operations)
    assert listed(integrals) == by_trial(integrals)


def test_sheets_of_atoms(build):
    def number(columns, rows):
        atoms = "; ".join(f"H {1.3 * x} {1.3 * y} 0" for x in range(columns) for y in range(rows))
        return len(orbital_symmetries(build(atoms, orbitals="lowdin").integrals)[0])

    assert (number(2, 2), number(2, 3)) == (8, 4)


def test_many_are_left_alone(random_integrals):
    # Four orbitals that do not see each other: every permutation and every sign.
    zeros = np.zeros((4,) * 4)
    integrals = MolecularIntegrals.from_full(0.0, np.eye(4), zeros, 2, 2)
    assert len(listed(integrals)) == 1
    assert len(orbital_symmetries(integrals, most=24 * 8)[0]) == 24 * 8
    assert len(listed(random_integrals(4, 2, 2, spin_resolved=True))) == 1
