"""Sparse Hamiltonians, connected spaces, perturbation theory, against dense matrices of the sector."""

import numpy as np
import pytest

from nnbf.determinants import (
    build_tables,
    connected_space,
    hamiltonian_matrix,
    multiplicities,
    spin_flip_representatives,
    symmetrised,
)
from nnbf.determinants.parallel import sparse_times_dense, sparse_times_vector
from tests.determinants.oracles import (
    bit_strings,
    configurations,
    even_spin_basis,
    random_integrals,
    second_order_energy,
    slow_hamiltonian,
)


class Case:
    """A random system, its dense matrix, a variational space in it, and psi on that space.

    With ``fold`` the space holds one determinant of every flip pair; ``whole`` and ``psi_whole`` are the
    rows of all the determinants that it stands for, and psi there.
    """

    def __init__(self, fold, spin_resolved, seed=0):
        rng = np.random.default_rng(seed)
        self.fold = fold
        self.size, self.n_alpha, self.n_beta = (5, 2, 2) if fold else (5, 3, 2)
        self.integrals = random_integrals(
            self.size, self.n_alpha, self.n_beta, seed=seed, spin_resolved=spin_resolved
        )
        self.tables = build_tables(self.integrals)
        configs = configurations(self.size, self.n_alpha, self.n_beta)
        self.matrix = slow_hamiltonian(self.integrals, configs)
        self.rows = bit_strings(configs, self.size)
        self.index = {bytes(row): k for k, row in enumerate(self.rows)}
        candidates, self.basis = even_spin_basis(configs) if fold else (list(range(len(configs))), None)
        chosen = rng.permutation(candidates)[: len(candidates) // 4]
        self.space = self.rows[chosen]
        self.psi = rng.normal(size=len(chosen))
        self.psi_whole = np.zeros(len(configs))
        self.psi_whole[chosen] = self.psi
        if fold:
            self.psi_whole[[self.index[bytes(row[::-1])] for row in self.space]] = self.psi
        self.psi_whole /= np.linalg.norm(self.psi_whole)
        self.inside = self.psi_whole != 0


@pytest.fixture(scope="module", params=["plain", "spin-resolved", "folded"])
def case(request) -> Case:
    return Case(fold=request.param == "folded", spin_resolved=request.param == "spin-resolved")


def test_connected_space_is_the_dense_matrix_applied(case):
    found = connected_space(case.tables, case.space, 3.0 * case.psi, case.fold)
    places = [case.index[bytes(row)] for row in found.determinants]
    product = case.matrix @ case.psi_whole
    assert len(set(places)) == len(places)
    assert not case.inside[places].any()
    assert np.allclose(found.couplings, product[places], rtol=0, atol=1e-12)
    assert np.allclose(found.diagonal, np.diag(case.matrix)[places], rtol=0, atol=1e-12)
    if case.fold:
        assert np.array_equal(spin_flip_representatives(found.determinants), found.determinants)
    # Nothing that H reaches is left out.
    reached = np.abs(case.matrix[:, case.inside]).max(axis=1) > 1e-13
    weight = multiplicities(found.determinants, case.fold)
    assert weight.sum() == np.count_nonzero(reached & ~case.inside)
    assert np.sum(weight * found.couplings**2) == pytest.approx(np.sum(product[~case.inside] ** 2), abs=1e-12)


def test_connected_space_does_not_depend_on_partitions_or_threads(case, monkeypatch):
    results = []
    for threads, partitions in [("1", 1), ("1", 3), ("2", 7), ("2", None)]:
        monkeypatch.setenv("NNBF_NUM_THREADS", threads)
        found = connected_space(case.tables, case.space, case.psi, case.fold, n_partitions=partitions)
        keys = list(map(bytes, found.determinants))
        results.append(dict(zip(keys, found.couplings, strict=True)))
        assert len(keys) == len(results[-1])
    for other in results[1:]:
        assert other == results[0]


def test_threshold_skips_exactly_the_smaller_contributions(case):
    """|H_ji psi_i| decides for every pair on its own."""
    places = [
        place
        for place in np.flatnonzero(~case.inside)
        if not case.fold or case.rows[place][0] <= case.rows[place][1]
    ]
    terms = case.matrix[np.ix_(places, case.inside)] * case.psi_whole[case.inside]
    sizes = np.abs(terms)
    thresholds = [0.0, *(np.quantile(sizes[sizes > 1e-13], [0.1, 0.5, 0.99]) + 1e-9)]
    counts = []
    for threshold in thresholds:
        kept = np.where(sizes >= max(threshold, 1e-13), terms, 0.0)
        expected = {bytes(case.rows[p]): row.sum() for p, row in zip(places, kept, strict=True) if row.any()}
        found = connected_space(case.tables, case.space, case.psi, case.fold, threshold)
        sums = dict(zip(map(bytes, found.determinants), found.couplings, strict=True))
        assert sums == pytest.approx(expected, abs=1e-12)
        counts.append(len(sums))
    assert sorted(counts, reverse=True) == counts
    assert 0 < counts[-1] < counts[0]
    beyond = sizes.max() + 1e-9
    assert len(connected_space(case.tables, case.space, case.psi, case.fold, beyond).determinants) == 0


def test_second_order_energy_is_the_sum_over_everything_outside(case):
    energy = float(case.psi_whole @ case.matrix @ case.psi_whole) - 30.0
    product = case.matrix @ case.psi_whole
    outside = ~case.inside
    expected = float(np.sum(product[outside] ** 2 / (energy - np.diag(case.matrix)[outside])))
    assert expected < 0
    for partitions in (None, 1, 5):
        found = second_order_energy(
            case.tables, case.space, case.psi, energy, case.fold, n_partitions=partitions
        )
        assert found == pytest.approx(expected, rel=1e-12)


def test_second_order_energy_stays_finite_and_negative_above_the_outside(case):
    """A determinant below the energy belongs into V: its denominator is bounded by -1 mHa."""
    above = float(np.diag(case.matrix).max()) + 1.0
    product = case.matrix @ case.psi_whole
    expected = -float(np.sum(product[~case.inside] ** 2)) / 1e-3
    assert second_order_energy(case.tables, case.space, case.psi, above, case.fold) == pytest.approx(expected)


def test_matrix_on_the_space(case):
    matrix = hamiltonian_matrix(case.tables, case.space, case.fold)
    multiplicity = multiplicities(case.space, case.fold)
    symmetric = symmetrised(matrix, multiplicity).toarray()
    assert np.allclose(symmetric, symmetric.T, rtol=0, atol=1e-12)
    places = [case.index[bytes(row)] for row in case.space]
    # A row is the plain row on unfolded amplitudes, as far as they lie in V.
    unfolded = np.where(case.inside, case.psi_whole, 0.0)
    psi = case.psi_whole[places]
    assert np.allclose(matrix @ psi, (case.matrix @ unfolded)[places], rtol=0, atol=1e-12)
    c = psi * np.sqrt(multiplicity)
    assert np.linalg.norm(c) == pytest.approx(1.0)
    assert c @ symmetric @ c == pytest.approx(case.psi_whole @ case.matrix @ case.psi_whole, abs=1e-12)


def test_rows_on_other_columns(case):
    outside = connected_space(case.tables, case.space, case.psi, case.fold).determinants
    block = hamiltonian_matrix(case.tables, case.space, case.fold, columns=outside)
    assert block.shape == (len(case.space), len(outside))
    psi = np.random.default_rng(5).normal(size=len(outside))
    whole = np.zeros(len(case.rows))
    for row, value in zip(outside, psi, strict=True):
        whole[case.index[bytes(row)]] = value
        if case.fold:
            whole[case.index[bytes(row[::-1])]] = value
    places = [case.index[bytes(row)] for row in case.space]
    assert np.allclose(block @ psi, (case.matrix @ whole)[places], rtol=0, atol=1e-12)
    for rows, columns in ((case.space, outside[:0]), (case.space[:0], outside)):
        found = hamiltonian_matrix(case.tables, rows, case.fold, columns=columns)
        assert found.shape == (len(rows), len(columns))


@pytest.mark.parametrize("seed", range(4))
def test_folded_spectrum_is_the_even_spin_part(seed):
    """Folding gives every eigenvalue of the states even under spin flip, and no other."""
    case = Case(fold=True, spin_resolved=False, seed=seed)
    representatives = case.rows[even_spin_basis(configurations(case.size, 2, 2))[0]]
    folded = hamiltonian_matrix(case.tables, representatives, fold=True)
    spectrum = np.linalg.eigvalsh(symmetrised(folded, multiplicities(representatives, True)).toarray())
    even = np.linalg.eigvalsh(case.basis.T @ case.matrix @ case.basis)
    assert np.allclose(spectrum, even, rtol=0, atol=1e-11)
    assert len(spectrum) < len(case.rows)


def test_space_of_one_determinant_and_of_everything(case):
    """Edges: V of one determinant, and V that has nothing outside."""
    energy = second_order_energy(case.tables, case.rows, np.ones(len(case.rows)), 0.0)
    assert energy == 0.0
    assert connected_space(case.tables, case.rows, np.ones(len(case.rows))).determinants.shape == (0, 2)
    one = case.space[:1]
    assert hamiltonian_matrix(case.tables, one, case.fold).shape == (1, 1)
    empty = build_tables(random_integrals(3, 0, 0))
    vacuum = bit_strings([((), ())], 3)
    assert hamiltonian_matrix(empty, vacuum).toarray() == pytest.approx(np.array([[empty.constant]]))
    assert len(connected_space(empty, vacuum, np.ones(1)).determinants) == 0


def test_zero_amplitudes_reach_nothing(case):
    psi = np.where(np.arange(len(case.psi)) == 0, case.psi, 0.0)
    found = connected_space(case.tables, case.space, psi, case.fold)
    alone = connected_space(case.tables, case.space[:1], psi[:1], case.fold)
    in_space = set(map(bytes, case.space))
    expected = {
        bytes(row): value
        for row, value in zip(alone.determinants, alone.couplings, strict=True)
        if bytes(row) not in in_space
    }
    sums = dict(zip(map(bytes, found.determinants), found.couplings, strict=True))
    assert sums == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_threaded_products(threads, monkeypatch):
    monkeypatch.setenv("NNBF_NUM_THREADS", threads)
    case = Case(fold=False, spin_resolved=True, seed=2)
    matrix = hamiltonian_matrix(case.tables, case.rows)
    dense = np.random.default_rng(0).normal(size=(len(case.rows), 600))
    assert np.allclose(matrix.toarray(), case.matrix, rtol=0, atol=1e-11)
    assert np.allclose(sparse_times_dense(matrix, dense), case.matrix @ dense, rtol=0, atol=1e-10)
    assert np.allclose(
        sparse_times_vector(matrix, dense[:, 0]), case.matrix @ dense[:, 0], rtol=0, atol=1e-10
    )
