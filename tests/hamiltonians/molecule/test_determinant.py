import numpy as np
import pytest

from hamiltonians import determinant_energy, determinant_irrep, irrep_bits, lowest_determinant


@pytest.mark.parametrize("spin_resolved", [False, True])
def test_energy_is_the_diagonal_element(random_integrals, slow_matrix, determinants, spin_resolved):
    integrals = random_integrals(4, 2, 1, spin_resolved=spin_resolved)
    diagonal = np.diag(slow_matrix(integrals))
    for state, expected in zip(determinants(integrals), diagonal, strict=True):
        occupation = (tuple(p for p in state if p < 4), tuple(p - 4 for p in state if p >= 4))
        assert determinant_energy(integrals, occupation) == pytest.approx(expected, abs=1e-12)


def _spin_orbitals(occupation, size):
    return set(occupation[0]) | {size + orbital for orbital in occupation[1]}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("numbers", [(2, 1), (2, 2), (3, 0), (4, 2), (0, 0), (1, 0)])
def test_search_ends_where_no_single_or_double_is_lower(random_integrals, determinants, numbers, seed):
    integrals = random_integrals(4, *numbers, seed=seed, spin_resolved=bool(seed % 2))
    start = (tuple(range(numbers[0])), tuple(range(numbers[1])))
    found = lowest_determinant(integrals, start)
    energy = determinant_energy(integrals, found)
    assert energy <= determinant_energy(integrals, start)
    for state in determinants(integrals):
        if len(_spin_orbitals(found, 4) - set(state)) <= 2:
            occupation = (tuple(p for p in state if p < 4), tuple(p - 4 for p in state if p >= 4))
            assert determinant_energy(integrals, occupation) >= energy - 1e-9


def test_search_stays_in_the_irrep_and_finds_hartree_fock(build):
    system = build("N2")
    integrals = system.integrals
    excited = ((*range(6), 7), (*range(6), 7))
    assert determinant_energy(integrals, excited) > system.references["hf"] + 0.1
    found = lowest_determinant(integrals, excited)
    assert found == integrals.reference_occupation


def test_search_can_be_sent_to_another_irrep(build):
    integrals = build("N2").integrals
    target = int(irrep_bits(integrals)[6] ^ irrep_bits(integrals)[7])
    assert target != 0
    found = lowest_determinant(integrals, integrals.reference_occupation, target)
    assert determinant_irrep(*found, irrep_bits(integrals)) == target
