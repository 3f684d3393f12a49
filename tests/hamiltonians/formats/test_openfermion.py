import numpy as np
import pytest

from hamiltonians import (
    InputError,
    build_molecule,
    fci_energy_of_integrals,
    from_fermion_operator,
    from_interaction_operator,
    from_molecular_data,
    to_fermion_operator,
    to_interaction_operator,
    to_molecular_data,
)

openfermion = pytest.importorskip("openfermion")


def _sector_spectrum(operator, n_orbitals, n_alpha, n_beta):
    """Eigenvalues in the sector of given particle numbers, by OpenFermion's own Jordan-Wigner matrix."""
    matrix = openfermion.get_sparse_operator(operator, n_qubits=2 * n_orbitals).tocsr()
    states = np.arange(matrix.shape[0])
    # Mode 0 is the leftmost, most significant bit.
    bits = (states[:, None] >> np.arange(2 * n_orbitals)[::-1]) & 1
    inside = (bits[:, 0::2].sum(axis=1) == n_alpha) & (bits[:, 1::2].sum(axis=1) == n_beta)
    return np.linalg.eigvalsh(matrix[inside][:, inside].toarray())


SYSTEMS = [("LiH", {}), ("Li", {}), ("H4", {}), ("OH", {}), ("OH", {"reference": "uhf"})]


@pytest.mark.parametrize(("name", "options"), SYSTEMS)
def test_spectrum_of_both_operators(build, slow_matrix, name, options):
    spaces = {"OH": (3, 3), "LiH": (2, 4)}
    integrals = build(name, **options, active_space=spaces.get(name)).integrals
    numbers = (integrals.n_orbitals, integrals.n_alpha, integrals.n_beta)
    expected = np.linalg.eigvalsh(slow_matrix(integrals)) if numbers[0] < 5 else None
    for operator in (to_fermion_operator(integrals), to_interaction_operator(integrals)):
        spectrum = _sector_spectrum(operator, *numbers)
        assert spectrum[0] == pytest.approx(fci_energy_of_integrals(integrals), abs=1e-8)
        if expected is not None:
            assert np.allclose(spectrum, expected, atol=1e-9)


@pytest.mark.parametrize("spin_resolved", [False, True])
@pytest.mark.parametrize(("size", "n_alpha", "n_beta"), [(1, 1, 0), (2, 1, 1), (3, 2, 1)])
def test_round_trip_keeps_the_hamiltonian(
    random_integrals, slow_matrix, size, n_alpha, n_beta, spin_resolved
):
    integrals = random_integrals(size, n_alpha, n_beta, spin_resolved=spin_resolved)
    expected = slow_matrix(integrals)
    through_fermions = from_fermion_operator(to_fermion_operator(integrals), n_alpha, n_beta, size)
    through_tensors = from_interaction_operator(to_interaction_operator(integrals), n_alpha, n_beta)
    for again in (through_fermions, through_tensors):
        assert again.is_spin_resolved == spin_resolved
        assert np.allclose(slow_matrix(again), expected, atol=1e-10)
        if not spin_resolved:
            assert np.allclose(again.two_body, integrals.two_body, atol=1e-12)


def test_operators_of_openfermion_itself():
    """Jellium and Hubbard come from elsewhere, with their own normal ordering."""
    model = openfermion.fermi_hubbard(2, 2, 1.0, 4.0, periodic=False)
    integrals = from_fermion_operator(model, 2, 2)
    spectrum = _sector_spectrum(model, 4, 2, 2)
    assert not integrals.is_spin_resolved
    assert fci_energy_of_integrals(integrals) == pytest.approx(spectrum[0], abs=1e-9)
    # Half-filled 2x2 plaquette at U = 4: a textbook number.
    assert spectrum[0] == pytest.approx(-2.10274848, abs=1e-6)


def test_molecular_data_round_trip(tmp_path, build):
    system = build_molecule("O2", frozen_core=True, fci_limit=1000)
    path = tmp_path / "o2.hdf5"
    data = to_molecular_data(system, path)
    assert path.is_file()
    assert data.hf_energy == system.references["hf"]
    for again in (from_molecular_data(path), from_molecular_data(str(path)), from_molecular_data(data)):
        assert (again.n_alpha, again.n_beta) == (7, 5)
        assert np.allclose(again.two_body, system.integrals.two_body, atol=1e-14)
        assert fci_energy_of_integrals(again) == pytest.approx(system.references["fci"], abs=1e-8)


def test_molecular_data_means_the_same_to_openfermion(build):
    integrals = build("H2", "6-31g").integrals
    data = to_molecular_data(integrals)
    spectrum = _sector_spectrum(data.get_molecular_hamiltonian(), 4, 1, 1)
    assert spectrum[0] == pytest.approx(fci_energy_of_integrals(integrals), abs=1e-9)


def _term(text):
    return openfermion.FermionOperator(text)


def _hermitian(text):
    return _term(text) + openfermion.hermitian_conjugated(_term(text))


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (_hermitian("0^ 1"), "mixes alpha and beta"),
        (_hermitian("0^"), "conserve the number"),
        (_hermitian("0^ 2^"), "conserve the number"),
        (_term("0^ 2"), "not Hermitian"),
        (1j * _term("0^ 2") - 1j * _term("2^ 0"), "complex"),
        (_hermitian("0^ 1^ 2^ 5 4 3"), "one- and two-body"),
        (_hermitian("0^ 2^ 3 1"), "spin projection"),
        (_hermitian("0^ 1^ 3 4"), "real orbitals"),
        (_hermitian("0^ 3^ 1 2"), "real orbitals"),
    ],
)
def test_operators_that_are_no_molecules(operator, message):
    with pytest.raises(InputError, match=message):
        from_fermion_operator(operator, 1, 1, 3)


def test_wrong_types_and_sizes(build, tmp_path):
    with pytest.raises(InputError, match="FermionOperator, not QubitOperator"):
        from_fermion_operator(openfermion.QubitOperator("X0"), 1, 1)
    with pytest.raises(InputError, match="InteractionOperator, not"):
        from_interaction_operator(_term("0^ 0"), 1, 1)
    with pytest.raises(InputError, match="acts on 3 orbitals"):
        from_fermion_operator(_term("5^ 5"), 1, 0, n_orbitals=2)
    with pytest.raises(InputError, match="2 alpha electrons in 1"):
        from_fermion_operator(_term("0^ 0"), 2, 0)
    with pytest.raises(InputError, match="even number"):
        from_interaction_operator(
            openfermion.InteractionOperator(0.0, np.zeros((3, 3)), np.zeros((3,) * 4)), 1, 0
        )
    with pytest.raises(InputError, match="too many"):
        to_fermion_operator(build("H2_eq", "cc-pvqz").integrals)
    with pytest.raises(InputError, match="restricted"):
        to_molecular_data(build("OH", reference="uhf"))
    with pytest.raises(InputError, match="no MolecularData file"):
        from_molecular_data(tmp_path / "nothing.hdf5")
    (tmp_path / "broken.hdf5").write_text("not HDF5")
    with pytest.raises(InputError, match="not a MolecularData file"):
        from_molecular_data(tmp_path / "broken.hdf5")
    empty = openfermion.MolecularData([("H", (0.0, 0.0, 0.0))], "sto-3g", 2)
    with pytest.raises(InputError, match="holds no integrals"):
        from_molecular_data(empty)
