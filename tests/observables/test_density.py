"""Density matrices and <S^2> against PySCF's FCI, over random vectors, foldings and orbitals."""

import numpy as np
import pytest

from nnbf.determinants.spin_ladder import spin_raising_matrix
from nnbf.observables import Configurations
from nnbf.observables.density_matrices import energy_from_densities
from tests.determinants.oracles import bit_strings, configurations, random_integrals, slow_hamiltonian
from tests.observables.vectors import (
    expand,
    one_body_density,
    random_vector,
    s_squared,
    two_body_density,
    vector_to_lists,
)

CASES = [
    (1, (1, 0)),
    (1, (1, 1)),
    (2, (1, 1)),
    (4, (2, 2)),
    (4, (3, 1)),
    (5, (3, 2)),
    (5, (0, 2)),
    (4, (4, 4)),
    (6, (3, 3)),
]


def reference(vector, size, electrons):
    """PySCF's (1-RDMs, [aa, ab, bb]) of an FCI vector."""
    from pyscf.fci import direct_spin1

    one, two = direct_spin1.make_rdm12s(vector, size, electrons)
    return np.array(one), np.array(two)


@pytest.mark.parametrize(("size", "electrons"), CASES)
def test_density_matrices_are_pyscfs(size, electrons):
    vector = random_vector(size, electrons, sparse=0.2)
    one, two = reference(vector, size, electrons)
    state = expand(vector, size, electrons)
    assert one_body_density(state) == pytest.approx(one, abs=1e-12)
    found = two_body_density(state)
    assert found.tensors() == pytest.approx(two, abs=1e-12)
    summed = two[0] + two[2] + two[1] + two[1].transpose(2, 3, 0, 1)
    assert found.spin_summed() == pytest.approx(summed, abs=1e-12)


@pytest.mark.parametrize("size", [2, 4, 5])
def test_folded_states_give_what_unfolded_ones_give(size):
    electrons = (2, 2)
    vector = random_vector(size, electrons, seed=1, even=True)
    whole, folded = expand(vector, size, electrons), expand(vector, size, electrons, fold=True)
    if size > 2:  # a single determinant cannot be folded
        assert len(folded) < len(whole)
    assert one_body_density(folded) == pytest.approx(one_body_density(whole), abs=1e-13)
    left, right = two_body_density(folded), two_body_density(whole)
    assert left.same == pytest.approx(right.same, abs=1e-13)
    assert left.mixed == pytest.approx(right.mixed, abs=1e-13)
    assert s_squared(folded) == pytest.approx(s_squared(whole), abs=1e-12)


@pytest.mark.parametrize("n_threads", ["1", "3"])
def test_threads_do_not_change_the_result(monkeypatch, n_threads):
    monkeypatch.setenv("NNBF_NUM_THREADS", n_threads)
    vector = random_vector(5, (3, 2))
    one, two = reference(vector, 5, (3, 2))
    state = expand(vector, 5, (3, 2))
    assert one_body_density(state) == pytest.approx(one, abs=1e-12)
    assert two_body_density(state).tensors() == pytest.approx(two, abs=1e-12)


def test_strings_of_several_words():
    # 70 orbitals: the electrons sit at both ends and cross the border of the words.
    rng = np.random.default_rng(0)
    active = [0, 62, 63, 64, 69]
    small = random_vector(5, (2, 2), seed=3)
    configs = [
        (tuple(active[p] for p in alpha), tuple(active[q] for q in beta))
        for alpha, beta in configurations(5, 2, 2)
    ]
    small_rows = bit_strings(configurations(5, 2, 2), 5)
    order = rng.permutation(len(configs))
    rows = bit_strings(configs, 70)[order]
    determinants, psi = vector_to_lists(small, 5, (2, 2))
    amplitude = {row.tobytes(): value for row, value in zip(determinants, psi, strict=True)}
    values = np.array([amplitude[small_rows[k].tobytes()] for k in order])
    found = one_body_density(Configurations.expansion(rows, values, 70))
    expected, _ = reference(small, 5, (2, 2))
    assert found[np.ix_([0, 1], active, active)] == pytest.approx(expected, abs=1e-12)
    assert np.sum(np.abs(found)) == pytest.approx(np.sum(np.abs(expected)), abs=1e-10)
    wide = s_squared(Configurations.expansion(rows, values, 70))
    assert wide == pytest.approx(s_squared(Configurations.expansion(determinants, psi, 5)), abs=1e-12)


@pytest.mark.parametrize("spin_resolved", [False, True])
@pytest.mark.parametrize("electrons", [(2, 2), (3, 1)])
def test_energy_from_density_matrices(spin_resolved, electrons):
    size = 4
    integrals = random_integrals(size, *electrons, seed=5, spin_resolved=spin_resolved)
    configs = configurations(size, *electrons)
    psi = np.random.default_rng(1).normal(size=len(configs))
    psi /= np.linalg.norm(psi)
    state = Configurations.expansion(bit_strings(configs, size), psi, size)
    energy = energy_from_densities(integrals, one_body_density(state), two_body_density(state))
    assert energy == pytest.approx(psi @ slow_hamiltonian(integrals, configs) @ psi, abs=1e-11)


def test_irreps_only_save_work():
    size, irreps = 5, np.array([0, 1, 0, 2, 1])
    configs = configurations(size, 2, 2)
    codes = [np.bitwise_xor.reduce(irreps[[*alpha, *beta]]) for alpha, beta in configs]
    inside = [config for config, code in zip(configs, codes, strict=True) if code == 1]
    psi = np.random.default_rng(2).normal(size=len(inside))
    rows = bit_strings(inside, size)
    plain, restricted = (
        Configurations.expansion(rows, psi, size),
        Configurations.expansion(rows, psi, size, irreps=irreps),
    )
    assert one_body_density(restricted) == pytest.approx(one_body_density(plain), abs=1e-14)
    left, right = two_body_density(restricted), two_body_density(plain)
    assert left.tensors() == pytest.approx(right.tensors(), abs=1e-14)


@pytest.mark.parametrize(("size", "electrons"), CASES)
def test_spin_is_pyscfs(size, electrons):
    from pyscf.fci import spin_op

    vector = random_vector(size, electrons, seed=4, sparse=0.3)
    expected = spin_op.spin_square0(vector, size, electrons)[0]
    state = expand(vector, size, electrons)
    assert s_squared(state) == pytest.approx(expected, abs=1e-11)
    assert s_squared(state, np.eye(size)) == pytest.approx(expected, abs=1e-11)
    raising = spin_raising_matrix(state.determinants, size)
    s_z = 0.5 * (electrons[0] - electrons[1])
    raised = np.sum((raising @ state.amplitudes) ** 2)
    assert s_z * (s_z + 1) + raised == pytest.approx(expected, abs=1e-11)


def test_spin_raising_of_folded_states():
    vector = random_vector(4, (2, 2), seed=6, even=True)
    folded = expand(vector, 4, (2, 2), fold=True)
    raising = spin_raising_matrix(folded.determinants, 4, fold=True)
    c = folded.amplitudes * np.sqrt(folded.multiplicity)
    assert np.sum((raising @ c) ** 2) == pytest.approx(s_squared(folded), abs=1e-12)


@pytest.mark.parametrize("electrons", [(2, 2), (3, 1), (1, 2)])
def test_spin_in_different_orbitals_is_pyscfs(electrons):
    from pyscf.fci import spin_op

    size = 4
    rng = np.random.default_rng(7)
    overlap = np.linalg.qr(rng.normal(size=(size, size)))[0]
    vector = random_vector(size, electrons, seed=8)
    alpha = np.linalg.qr(rng.normal(size=(size, size)))[0]
    coefficients = (alpha, alpha @ overlap)
    one, two = reference(vector, size, electrons)
    expected = spin_op.spin_square_general(*one, *two, coefficients, ovlp=np.eye(size))[0]
    state = expand(vector, size, electrons)
    assert s_squared(state, overlap) == pytest.approx(expected, abs=1e-10)
    raising = spin_raising_matrix(state.determinants, size, overlap=overlap)
    s_z = 0.5 * (electrons[0] - electrons[1])
    assert s_z * (s_z + 1) + np.sum((raising @ state.amplitudes) ** 2) == pytest.approx(expected, abs=1e-10)


def test_frozen_orbitals_count_in_spin():
    # The same state with two of six orbitals frozen, and as a state of all six.
    size, core, electrons = 6, 2, (2, 1)
    rng = np.random.default_rng(9)
    overlap = np.linalg.qr(rng.normal(size=(size, size)))[0]
    configs = configurations(size - core, *electrons)
    psi = rng.normal(size=len(configs))
    active = Configurations.expansion(bit_strings(configs, size - core), psi, size - core)
    shifted = [tuple((0, 1, *(p + core for p in spin)) for spin in config) for config in configs]
    whole = Configurations.expansion(bit_strings(shifted, size), psi, size)
    assert s_squared(active, overlap) == pytest.approx(s_squared(whole, overlap), abs=1e-12)


def test_active_orbitals_that_span_less():
    # Two of the five orbitals are left out: turned electrons may go there.
    size, kept, electrons = 5, 3, (2, 1)
    rng = np.random.default_rng(10)
    overlap = np.linalg.qr(rng.normal(size=(size, size)))[0]
    configs = configurations(kept, *electrons)
    psi = rng.normal(size=len(configs))
    active = Configurations.expansion(bit_strings(configs, kept), psi, kept)
    whole = Configurations.expansion(bit_strings(configs, size), psi, size)
    assert s_squared(active, overlap[:kept, :kept]) == pytest.approx(s_squared(whole, overlap), abs=1e-12)


def test_expansions_that_make_no_sense_are_refused():
    rows = bit_strings(configurations(3, 1, 1), 3)
    with pytest.raises(ValueError, match="do not fit"):
        Configurations.expansion(rows, np.ones(2), 3)
    with pytest.raises(ValueError, match="vanish"):
        Configurations.expansion(rows, np.zeros(len(rows)), 3)
    with pytest.raises(ValueError, match="as many alpha as beta"):
        Configurations.expansion(bit_strings(configurations(3, 2, 1), 3), np.ones(9), 3, spin_flip=True)
    with pytest.raises(ValueError, match="numbers of electrons"):
        Configurations.expansion(bit_strings([((0,), (0,)), ((0, 1), ())], 3), np.ones(2), 3)
    state = Configurations.expansion(rows, np.ones(9), 3)
    with pytest.raises(ValueError, match="overlap of shape"):
        s_squared(state, np.eye(2))
    with pytest.raises(ValueError, match="spin flip"):
        s_squared(expand(random_vector(3, (1, 1), even=True), 3, (1, 1), fold=True), np.eye(3))
