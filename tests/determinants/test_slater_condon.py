"""Matrix elements against OpenFermion, PySCF and the textbook rules."""

from types import SimpleNamespace

import numpy as np
import pytest
from pyscf.fci import direct_spin1, direct_uhf

from hamiltonians import MolecularIntegrals
from hamiltonians.packing import number_of_pairs
from nnbf.determinants import build_tables, diagonal_elements, hamiltonian_matrix, max_connections
from nnbf.determinants.rows import Rounding, flat_connections
from tests.determinants.oracles import (
    bit_strings,
    configurations,
    openfermion_matrix,
    openfermion_sector,
    random_integrals,
    slow_hamiltonian,
)


def dense_connections(tables, rows, n_alpha, n_beta) -> np.ndarray:
    """The matrix that the list of connections spells out; every connection once, none of them outside."""
    counts, connected, elements = flat_connections(tables, rows)
    index = {bytes(row): k for k, row in enumerate(rows)}
    matrix = np.zeros((len(rows), len(rows)))
    seen = set()
    for row, state, value in zip(np.repeat(np.arange(len(rows)), counts), connected, elements, strict=True):
        place = (int(row), index[bytes(state)])
        assert place not in seen
        seen.add(place)
        matrix[place] = value
    assert all((k, k) in seen for k in range(len(rows)))
    assert counts.max() <= 1 + max_connections(tables.n_orbitals, n_alpha, n_beta)
    return matrix


@pytest.mark.parametrize("spin_resolved", [False, True], ids=["restricted", "spin-resolved"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_every_element_equals_openfermion(size, spin_resolved):
    integrals = random_integrals(size, 0, 0, seed=size, spin_resolved=spin_resolved)
    tables = build_tables(integrals)
    fock = openfermion_matrix(integrals)
    for n_alpha in range(size + 1):
        for n_beta in range(size + 1):
            configs = configurations(size, n_alpha, n_beta)
            expected = openfermion_sector(fock, size, configs)
            assert np.allclose(slow_hamiltonian(integrals, configs), expected, rtol=0, atol=1e-11)
            rows = bit_strings(configs, size)
            assert np.allclose(diagonal_elements(tables, rows), np.diag(expected), rtol=0, atol=1e-11)
            found = dense_connections(tables, rows, n_alpha, n_beta)
            assert np.allclose(found, expected, rtol=0, atol=1e-11)
            sparse = hamiltonian_matrix(tables, rows).toarray()
            assert np.allclose(sparse, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("size", "n_alpha", "n_beta"), [(4, 2, 2), (5, 3, 1), (6, 3, 2), (5, 4, 4), (4, 3, 0)]
)
@pytest.mark.parametrize("spin_resolved", [False, True], ids=["restricted", "spin-resolved"])
def test_lowest_energy_equals_pyscf(size, n_alpha, n_beta, spin_resolved):
    integrals = random_integrals(size, n_alpha, n_beta, seed=100 + size, spin_resolved=spin_resolved)
    solver = (direct_uhf if spin_resolved else direct_spin1).FCISolver(None)
    solver.conv_tol = 1e-12
    one_body, two_body = np.array(integrals.one_body), np.array(integrals.two_body)
    if spin_resolved:
        one_body, two_body = tuple(one_body), tuple(two_body)
    energy, _ = solver.kernel(one_body, two_body, size, (n_alpha, n_beta), ecore=integrals.constant)
    rows = bit_strings(configurations(size, n_alpha, n_beta), size)
    spectrum = np.linalg.eigvalsh(hamiltonian_matrix(build_tables(integrals), rows).toarray())
    assert spectrum[0] == pytest.approx(energy, abs=1e-9)


@pytest.mark.parametrize(
    ("places", "size", "spin_resolved"),
    [
        ((2, 31, 62, 63, 64, 69), 70, False),
        ((0, 63, 64, 65, 68, 69), 70, True),
        ((0, 63, 64, 127, 128, 129), 130, False),
    ],
)
def test_orbitals_spread_over_several_words(places, size, spin_resolved):
    """A system of six orbitals in a basis of many: the same matrix, signs included."""
    small = random_integrals(6, 3, 2, seed=7, spin_resolved=spin_resolved)
    p, q = np.tril_indices(6)
    pairs = np.array(places)[p] * (np.array(places)[p] + 1) // 2 + np.array(places)[q]
    blocks = 3 if spin_resolved else 1
    two_body = np.zeros((blocks, number_of_pairs(size), number_of_pairs(size)))
    one_body = np.zeros((2 if spin_resolved else 1, size, size))
    for block, source in zip(two_body, small.two_body.reshape(blocks, 21, 21), strict=True):
        block[np.ix_(pairs, pairs)] = source
    for h, source in zip(one_body, small.one_body.reshape(-1, 6, 6), strict=True):
        h[np.ix_(places, places)] = source
    if not spin_resolved:
        (one_body,), (two_body,) = one_body, two_body
    if size < 100:
        large = MolecularIntegrals(small.constant, one_body, two_body, 3, 2)
    else:
        # Zeros that nobody touches take no memory; the class above would check, and so touch, 600 MB.
        large = SimpleNamespace(
            n_orbitals=size, constant=small.constant, one_body=one_body, two_body=two_body
        )
    configs = configurations(6, 3, 2)
    expected = slow_hamiltonian(small, configs)
    spread = [tuple(tuple(places[p] for p in spin) for spin in config) for config in configs]
    rows = bit_strings(spread, size)
    assert rows.shape[1] == 2 * -(-size // 64)
    tables = build_tables(large)
    found = dense_connections(tables, rows, 3, 2)
    assert np.allclose(found, expected, rtol=0, atol=1e-11)
    assert np.allclose(hamiltonian_matrix(tables, rows).toarray(), expected, rtol=0, atol=1e-11)
    assert np.allclose(diagonal_elements(tables, rows), np.diag(expected), rtol=0, atol=1e-11)


@pytest.mark.parametrize("spin_resolved", [False, True], ids=["restricted", "spin-resolved"])
def test_threshold_drops_exactly_the_smaller_elements(spin_resolved):
    integrals = random_integrals(5, 2, 3, seed=11, spin_resolved=spin_resolved)
    tables = build_tables(integrals)
    configs = configurations(5, 2, 3)
    rows = bit_strings(configs, 5)
    exact = slow_hamiltonian(integrals, configs)
    size = np.abs(exact)
    off_diagonal = ~np.eye(len(configs), dtype=bool)
    kept_before = off_diagonal.sum() + 1
    for threshold in np.quantile(size[off_diagonal & (size > 0)], [0.0, 0.2, 0.5, 0.9, 1.0]) + 1e-9:
        expected = np.where(off_diagonal & (size < threshold), 0.0, exact)
        found = hamiltonian_matrix(tables, rows, threshold=threshold).toarray()
        assert np.allclose(found, expected, rtol=0, atol=1e-11)
        counts, _, elements = flat_connections(tables, rows, threshold)
        assert np.array_equal(counts, (expected != 0).sum(axis=1))
        assert counts.sum() == len(elements) < kept_before
        kept_before = counts.sum()
    assert kept_before == len(rows)


def test_small_elements_are_rounded_at_random_and_right_on_average():
    tables = build_tables(random_integrals(4, 2, 2, seed=3))
    rows = bit_strings(configurations(4, 2, 2), 4)
    exact = hamiltonian_matrix(tables, rows).toarray()
    off_diagonal = ~np.eye(len(rows), dtype=bool)
    cut = float(np.quantile(np.abs(exact[off_diagonal & (exact != 0)]), 0.7))
    small = off_diagonal & (np.abs(exact) < cut)
    index = {bytes(row): k for k, row in enumerate(rows)}
    seeds = 1000
    total = np.zeros_like(exact)
    for seed in range(seeds):
        counts, connected, elements = flat_connections(tables, rows, rounding=Rounding(cut, seed))
        found = np.zeros_like(exact)
        found[np.repeat(np.arange(len(rows)), counts), [index[bytes(state)] for state in connected]] = (
            elements
        )
        assert np.array_equal(found[~small], exact[~small])
        assert set(np.unique(np.abs(found[small]))) <= {0.0, cut}
        total += found
    small &= exact != 0
    size = np.abs(exact[small])
    deviations = (total / seeds - exact)[small] / np.sqrt(size * (cut - size) / seeds)
    assert np.abs(deviations).max() < 5
    assert 0.8 < np.std(deviations) < 1.2
    some = flat_connections(tables, rows[3:5], rounding=Rounding(cut, seed))
    assert np.array_equal(some[2], elements[counts[:3].sum() : counts[:5].sum()])


def test_numbers_of_connections():
    """Every determinant one or two excitations away is counted, and none where nothing can move."""
    assert max_connections(4, 0, 0) == max_connections(3, 3, 3) == max_connections(3, 0, 3) == 0
    for size, n_alpha, n_beta in [(4, 2, 2), (5, 1, 3), (3, 2, 0)]:
        first, *others = configurations(size, n_alpha, n_beta)
        moved = [sum(len(set(a) - set(b)) for a, b in zip(first, other, strict=True)) for other in others]
        assert max_connections(size, n_alpha, n_beta) == sum(distance <= 2 for distance in moved)


def test_tables_do_not_depend_on_how_a_restricted_hamiltonian_is_given():
    integrals = random_integrals(4, 2, 1, seed=3)
    rows = bit_strings(configurations(4, 2, 1), 4)
    matrices = [
        hamiltonian_matrix(build_tables(given), rows).toarray()
        for given in (integrals, integrals.spin_resolved())
    ]
    assert np.array_equal(*matrices)
