import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hamiltonians import InputError, MolecularIntegrals, fci_energy_of_integrals
from hamiltonians.packing import number_of_pairs, pack_full, pair_indices, rotate_pairs, unpack_pairs

SIZES = [(1, 0, 0), (1, 1, 0), (1, 1, 1), (2, 1, 1), (3, 0, 0), (3, 2, 1), (3, 3, 3), (4, 2, 1), (4, 0, 2)]


@given(st.integers(1, 7))
def test_pair_index_enumerates_pairs_in_order(size):
    index = pair_indices(size)
    assert np.array_equal(index, index.T)
    assert index[np.tril_indices(size)].tolist() == list(range(number_of_pairs(size)))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_packing_round_trip(size, seed):
    packed = np.random.default_rng(seed).normal(size=(number_of_pairs(size),) * 2)
    full = unpack_pairs(packed, size)
    assert np.array_equal(full, full.transpose(1, 0, 2, 3))
    assert np.array_equal(full, full.transpose(0, 1, 3, 2))
    assert np.array_equal(pack_full(full, exchange=False), packed)


def test_pair_rotation_is_the_four_index_transformation():
    rng = np.random.default_rng(1)
    packed = rng.normal(size=(10, 10))
    left, right = rng.normal(size=(2, 4, 3))
    expected = np.einsum("pqrs,pi,qj,rk,sl->ijkl", unpack_pairs(packed, 4), left, left, right, right)
    assert np.allclose(unpack_pairs(rotate_pairs(packed, left, right), 3), expected, atol=1e-12)


@pytest.mark.parametrize(("n_orbitals", "n_alpha", "n_beta"), SIZES)
@pytest.mark.parametrize("spin_resolved", [False, True])
def test_spectrum_does_not_depend_on_orbitals(
    random_integrals, slow_matrix, n_orbitals, n_alpha, n_beta, spin_resolved
):
    integrals = random_integrals(n_orbitals, n_alpha, n_beta, spin_resolved=spin_resolved)
    rng = np.random.default_rng(5)
    shape = (2, n_orbitals, n_orbitals) if spin_resolved else (n_orbitals, n_orbitals)
    rotation = np.linalg.qr(rng.normal(size=shape))[0]
    before = np.linalg.eigvalsh(slow_matrix(integrals))
    after = np.linalg.eigvalsh(slow_matrix(integrals.rotate(rotation)))
    assert np.allclose(before, after, atol=1e-10)


@pytest.mark.parametrize(("n_orbitals", "n_alpha", "n_beta"), [(3, 2, 1), (4, 2, 2), (3, 3, 0), (2, 2, 1)])
def test_spin_resolved_form_is_the_same_hamiltonian(
    random_integrals, slow_matrix, n_orbitals, n_alpha, n_beta
):
    integrals = random_integrals(n_orbitals, n_alpha, n_beta)
    assert np.allclose(slow_matrix(integrals), slow_matrix(integrals.spin_resolved()), atol=1e-12)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(2, n_orbitals, n_orbitals)))[0]
    rotated = integrals.rotate(rotation)
    assert rotated.is_spin_resolved
    assert np.allclose(
        np.linalg.eigvalsh(slow_matrix(rotated)), np.linalg.eigvalsh(slow_matrix(integrals)), atol=1e-10
    )


@pytest.mark.parametrize(("n_orbitals", "n_alpha", "n_beta"), SIZES)
@pytest.mark.parametrize("spin_resolved", [False, True])
def test_fci_is_the_lowest_eigenvalue(
    random_integrals, slow_matrix, n_orbitals, n_alpha, n_beta, spin_resolved
):
    integrals = random_integrals(n_orbitals, n_alpha, n_beta, seed=3, spin_resolved=spin_resolved)
    values, vectors = np.linalg.eigh(slow_matrix(integrals))
    if n_alpha == n_beta and not spin_resolved:  # even S only: symmetric under exchange of the spins
        side = round(len(values) ** 0.5)
        matrices = vectors.T.reshape(-1, side, side)
        symmetric = [np.allclose(m, m.T, atol=1e-6) for m in matrices]
        values = values[symmetric]
    assert fci_energy_of_integrals(integrals) == pytest.approx(values[0], abs=1e-8)


@pytest.mark.parametrize("spin_resolved", [False, True])
def test_spin_flip_keeps_the_spectrum(random_integrals, slow_matrix, spin_resolved):
    integrals = random_integrals(3, 2, 1, seed=6, spin_resolved=spin_resolved)
    flipped = integrals.spin_flipped()
    assert (flipped.n_alpha, flipped.n_beta) == (1, 2)
    assert flipped.reference_occupation == ((0,), (0, 1))
    expected = np.linalg.eigvalsh(slow_matrix(integrals))
    assert np.allclose(np.linalg.eigvalsh(slow_matrix(flipped)), expected, atol=1e-10)


def test_properties_and_defaults(random_integrals):
    integrals = random_integrals(4, 3, 1)
    assert (integrals.n_orbitals, integrals.n_electrons, integrals.two_S) == (4, 4, 2)
    assert integrals.reference_occupation == ((0, 1, 2), (0,))
    assert integrals.unpack_two_body().shape == (4, 4, 4, 4)
    resolved = random_integrals(3, 1, 1, spin_resolved=True)
    assert resolved.is_spin_resolved
    assert resolved.unpack_two_body().shape == (3, 3, 3, 3, 3)


def test_arrays_are_read_only_and_not_shared():
    one_body, two_body = np.eye(2), np.eye(3)
    integrals = MolecularIntegrals(0.0, one_body, two_body, 1, 1)
    one_body[0, 0] = two_body[0, 0] = 7.0
    assert integrals.one_body[0, 0] == integrals.two_body[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        integrals.one_body[0, 0] = 2.0
    with pytest.raises(ValueError, match="read-only"):
        integrals.two_body[0, 0] = 2.0


def _broken(law):
    full = np.zeros((2, 2, 2, 2))
    full[0, 1, 0, 0] = 1.0
    if law == "exchange":
        full[1, 0, 0, 0] = 1.0
    return full


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"one_body": np.zeros((2, 3))}, "one_body of shape"),
        ({"one_body": np.zeros((0, 0)), "two_body": np.zeros((0, 0))}, "at least 1"),
        ({"two_body": np.zeros((2, 2, 2, 2))}, "from_full"),
        ({"one_body": np.array([[0.0, 1.0], [0.0, 0.0]])}, "h_pq = h_qp"),
        ({"two_body": np.triu(np.ones((3, 3)))}, r"\(pq\|rs\) = \(rs\|pq\)"),
        ({"one_body": 1j * np.array([[0, 1], [-1, 0]])}, "complex"),
        ({"one_body": np.full((2, 2), np.nan)}, "NaN"),
        ({"one_body": np.array([["a", "b"], ["b", "a"]])}, "real numbers"),
        ({"constant": np.inf}, "constant"),
        ({"constant": 1 + 1j}, "complex"),
        ({"n_alpha": 3}, "3 alpha electrons in 2 orbitals"),
        ({"n_beta": -1}, "-1 beta"),
        ({"n_beta": 0.5}, "beta electrons 0.5"),
        ({"orbital_irreps": ("A1",), "point_group": "C2v"}, "orbital_irreps"),
        ({"orbital_irreps": ("A1", "B9"), "point_group": "C2v"}, "B9"),
        ({"orbital_irreps": ("A1", "A1")}, "point group"),
        ({"orbital_irreps": ("A1", "A1"), "point_group": "Td"}, "Abelian"),
        ({"reference_occupation": ((0, 1), (0,))}, "reference_occupation"),
        ({"reference_occupation": ((5,), (0,))}, "reference_occupation"),
        ({"reference_occupation": ((0,),)}, "pair"),
    ],
)
def test_wrong_arguments(arguments, message):
    good = {"constant": 0.0, "one_body": np.eye(2), "two_body": np.eye(3), "n_alpha": 1, "n_beta": 1}
    with pytest.raises(InputError, match=message):
        MolecularIntegrals(**(good | arguments))


@pytest.mark.parametrize(
    ("full", "message"),
    [
        (_broken("pair"), r"\(pq\|rs\) = \(qp\|rs\)"),
        (_broken("exchange"), "real integrals"),
        (np.zeros((2, 2, 2)), "shape"),
        (np.zeros((2, 2, 2, 3)), "axes"),
        (1j * np.ones((2, 2, 2, 2)), "complex"),
    ],
)
def test_wrong_full_tensor(full, message):
    with pytest.raises(InputError, match=message):
        MolecularIntegrals.from_full(0.0, np.eye(2), full, 1, 1)


@pytest.mark.parametrize(
    ("rotation", "message"),
    [(np.ones((2, 2)), "orthogonal"), (np.eye(3), "shape"), (1j * np.eye(2), "complex")],
)
def test_wrong_rotation(rotation, message):
    integrals = MolecularIntegrals(0.0, np.eye(2), np.eye(3), 1, 1)
    with pytest.raises(InputError, match=message):
        integrals.rotate(rotation)


def test_rounding_of_diffuse_bases_is_averaged(random_integrals):
    """A transformation leaves (pq|rs) and (rs|pq) 1e-8 apart in dependent bases; 1e-4 is no rounding."""
    exact = random_integrals(3, 1, 1)
    two_body = np.array(exact.two_body)

    def with_asymmetry(size):
        changed = two_body.copy()
        changed[0, 1] += size
        return MolecularIntegrals(0.0, exact.one_body, changed, 1, 1)

    found = with_asymmetry(1e-7)
    assert np.array_equal(found.two_body, found.two_body.T)
    assert found.two_body[0, 1] == pytest.approx(two_body[0, 1] + 0.5e-7, abs=1e-11)
    with pytest.raises(InputError, match="two_body breaks"):
        with_asymmetry(1e-4)
