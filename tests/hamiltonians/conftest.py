"""Shared systems (built once) and slow, obvious oracles for the tests of `hamiltonians`."""

from functools import cache
from itertools import combinations

import numpy as np
import pytest

from hamiltonians import MolecularIntegrals, build_molecule


@pytest.fixture(scope="session")
def build():
    """`build_molecule` without references, remembering what it has built."""

    @cache
    def built(molecule, basis="sto-3g", **options):
        return build_molecule(molecule, basis, **{"references": False, **options})

    return built


@pytest.fixture(scope="session")
def random_integrals():
    """Random real Hamiltonians with all the symmetries they must have, and no others."""

    def make(n_orbitals, n_alpha, n_beta, *, seed=0, spin_resolved=False):
        rng = np.random.default_rng(seed)
        count = 2 if spin_resolved else 1
        one_body, two_body = [], []
        for _ in range(count):
            h = rng.normal(size=(n_orbitals, n_orbitals))
            one_body.append(h + h.T)
        for same_spin in (True, False, True) if spin_resolved else (True,):
            v = rng.normal(size=(n_orbitals,) * 4)
            v = v + v.transpose(1, 0, 2, 3)
            v = v + v.transpose(0, 1, 3, 2)
            two_body.append(v + v.transpose(2, 3, 0, 1) if same_spin else v)
        return MolecularIntegrals.from_full(
            float(rng.normal()),
            np.stack(one_body) if spin_resolved else one_body[0],
            np.stack(two_body) if spin_resolved else two_body[0],
            n_alpha,
            n_beta,
        )

    return make


def _apply(operators, occupied):
    """Apply (orbital, dagger) operators, rightmost first, to a sorted tuple of occupied spin orbitals."""
    sign, state = 1, list(occupied)
    for orbital, dagger in reversed(operators):
        if dagger == (orbital in state):
            return 0, ()
        position = sum(other < orbital for other in state)
        sign *= (-1) ** position
        if dagger:
            state.insert(position, orbital)
        else:
            state.remove(orbital)
    return sign, tuple(state)


@pytest.fixture(scope="session")
def determinants():
    """All determinants of a Hamiltonian as sorted tuples of blocked spin orbitals."""

    def every(integrals):
        size = integrals.n_orbitals
        return [
            alpha + tuple(size + orbital for orbital in beta)
            for alpha in combinations(range(size), integrals.n_alpha)
            for beta in combinations(range(size), integrals.n_beta)
        ]

    return every


@pytest.fixture(scope="session")
def slow_matrix(determinants):
    """The Hamiltonian matrix, straight from its definition in creation and annihilation operators."""

    def matrix(integrals):
        size = integrals.n_orbitals
        full = integrals.unpack_two_body()
        resolved = integrals.is_spin_resolved
        basis = determinants(integrals)
        index = {state: k for k, state in enumerate(basis)}
        result = integrals.constant * np.eye(len(basis))
        orbitals, spins = range(size), (0, 1)
        for column, state in enumerate(basis):
            for s in spins:
                h = integrals.one_body[s] if resolved else integrals.one_body
                for p in orbitals:
                    for q in orbitals:
                        sign, new = _apply([(p + s * size, True), (q + s * size, False)], state)
                        if sign:
                            result[index[new], column] += sign * h[p, q]
            for s in spins:
                for t in spins:
                    v = full[s + t] if resolved else full
                    v = v.transpose(2, 3, 0, 1) if (s, t) == (1, 0) else v
                    for p in orbitals:
                        for q in orbitals:
                            for r in orbitals:
                                for u in orbitals:
                                    operators = [
                                        (p + s * size, True),
                                        (r + t * size, True),
                                        (u + t * size, False),
                                        (q + s * size, False),
                                    ]
                                    sign, new = _apply(operators, state)
                                    if sign:
                                        result[index[new], column] += 0.5 * sign * v[p, q, r, u]
        return result

    return matrix
