from itertools import product

import numpy as np
import pytest

from hamiltonians import InputError, irrep_bits
from hamiltonians.irreps import fcidump_irreps, irrep_codes, irrep_name

GROUPS = {"N2": "D2h", "LiH": "C2v", "H2O_eq": "C2v", "C2H4": "D2h", "O2": "D2h", "Na2CO3": "Cs"}
# The benchmark's water is symmetric to 1e-6 Angstrom only: what that leaves is set to zero.
GROUPS["H2O"] = "C2v"


@pytest.mark.parametrize(("molecule", "group"), GROUPS.items())
def test_integrals_obey_the_xor_law(build, molecule, group):
    integrals = build(molecule).integrals
    assert integrals.point_group == group
    bits = irrep_bits(integrals)
    assert len(set(bits.tolist())) > 1
    one_body_irrep = bits[:, None] ^ bits[None, :]
    assert not integrals.one_body[one_body_irrep != 0].any()
    full = integrals.unpack_two_body()
    forbidden = (one_body_irrep[:, :, None, None] ^ one_body_irrep[None, None]) != 0
    assert not full[forbidden].any()
    # The law is not empty: allowed integrals of every pair irrep exist.
    for code in set(one_body_irrep.ravel().tolist()):
        inside = one_body_irrep == code
        assert np.abs(full[inside][:, inside]).max() > 1e-3


def test_hamiltonian_never_leaves_an_irrep(build, slow_matrix, determinants):
    integrals = build("H4").integrals
    bits = irrep_bits(integrals)
    codes = [
        int(np.bitwise_xor.reduce([bits[orbital % 4] for orbital in state]))
        for state in determinants(integrals)
    ]
    matrix = slow_matrix(integrals)
    mixed = np.not_equal.outer(codes, codes)
    assert mixed.any()
    assert np.abs(matrix[mixed]).max() == 0.0


def test_degenerate_pi_orbitals_are_not_mixed(build):
    irreps = build("N2").integrals.orbital_irreps
    assert sorted(irreps[:7]) == sorted(["Ag", "B1u", "Ag", "B1u", "B2u", "B3u", "Ag"])


def test_reference_of_triplet_oxygen_is_the_sigma_minus_state(build):
    integrals = build("O2").integrals
    code = integrals.reference_irrep
    assert irrep_name(code, "D2h") == "B1g"  # 3 Sigma g -


@pytest.mark.parametrize("group", ["D2h", "C2v", "C2h", "D2"])
def test_fcidump_numbers_are_closed_under_xor(group):
    names = [irrep_name(code, group) for code in range(8 if group == "D2h" else 4)]
    numbers = fcidump_irreps(names, group, len(names)) - 1
    assert sorted(numbers.tolist()) == list(range(len(names)))
    for (i, a), (j, b) in product(enumerate(numbers), repeat=2):
        assert numbers[i ^ j] == a ^ b


def test_molpro_numbers():
    assert fcidump_irreps(["Ag", "B3u", "B2u", "B1g", "B1u", "B2g", "B3g", "Au"], "D2h", 8).tolist() == [
        *range(1, 9)
    ]
    assert fcidump_irreps(["A1", "B1", "B2", "A2"], "C2v", 4).tolist() == [1, 2, 3, 4]


def test_codes_of_unknown_labels():
    assert irrep_codes(None, None, 3).tolist() == [0, 0, 0]
    assert irrep_codes(("1", "4"), None, 2).tolist() == [0, 3]
    with pytest.raises(InputError, match="point group"):
        irrep_codes(("9",), None, 1)


def test_rotation_keeps_labels_only_where_they_hold(build):
    integrals = build("H4").integrals  # Ag, B1u, Ag, B1u
    within, across = np.eye(4), np.eye(4)
    mix = np.sqrt(0.5) * np.array([[1, 1], [1, -1]])
    within[np.ix_([0, 2], [0, 2])] = mix
    across[np.ix_([0, 1], [0, 1])] = mix
    assert integrals.rotate(within).orbital_irreps == integrals.orbital_irreps
    assert integrals.rotate(across).orbital_irreps is None
