import numpy as np
import pytest

from hamiltonians import (
    Lattice,
    build_molecule,
    determinant_energy,
    lattice_configurations,
    lattice_to_netket,
    lattice_to_sparse,
    to_netket,
)

pytestmark = pytest.mark.slow

nk = pytest.importorskip("netket")


@pytest.fixture(scope="module")
def doublet():
    """H3 with its Hilbert space in NetKet and the matrix of its operator there."""
    system = build_molecule("H3-chain-1.0")
    hilbert, operator = to_netket(system.integrals)
    return system, hilbert, operator.to_dense()


def test_ground_state_of_a_doublet(doublet):
    """Against FCI; swapped spin blocks would show here."""
    system, hilbert, matrix = doublet
    assert hilbert.n_fermions_per_spin == (2, 1)
    assert np.linalg.eigvalsh(matrix)[0] == pytest.approx(system.references["fci"], abs=1e-8)


@pytest.mark.parametrize("options", [{"reference": "uhf"}, {"charge": -1, "spin": 2}], ids=["UHF", "triplet"])
def test_ground_state_of_open_shells(options):
    system = build_molecule("H3-chain-1.0", **options)
    hilbert, operator = to_netket(system.integrals)
    assert hilbert.n_fermions_per_spin == (system.integrals.n_alpha, system.integrals.n_beta)
    lowest = np.linalg.eigvalsh(operator.to_dense())[0]
    assert lowest == pytest.approx(system.references["fci"], abs=1e-8)


def test_alpha_fills_the_first_block(doublet):
    system, hilbert, matrix = doublet
    states = np.asarray(hilbert.all_states())
    assert set(states[:, :3].sum(axis=1)) == {2}
    assert set(states[:, 3:].sum(axis=1)) == {1}
    reference = np.zeros(6, dtype=np.int8)
    reference[[0, 1, 3]] = 1
    row = np.flatnonzero(np.all(states == reference, axis=1))
    assert matrix[row, row] == pytest.approx(determinant_energy(system.integrals), abs=1e-8)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(
            Lattice("hubbard", "2x2", "1,3", U=2.0, V=-0.3, t_prime=0.1, boundary=("apbc", "open")),
            marks=pytest.mark.slow,
        ),
        Lattice("tv", "3x2", 3, V=2.0, t_prime=0.3, boundary=(0.2, -0.35)),
    ],
    ids=str,
)
def test_lattice_operators_agree_with_the_sparse_matrix(model):
    hilbert, operator = lattice_to_netket(model)
    configurations = lattice_configurations(model)
    assert hilbert.n_states == len(configurations)
    position = {tuple(state): index for index, state in enumerate(configurations.tolist())}
    connected, elements = operator.get_conn_padded(configurations.astype(np.int8))
    dense = np.zeros((len(configurations),) * 2, dtype=complex)
    for row, (states, values) in enumerate(zip(np.asarray(connected), np.asarray(elements), strict=True)):
        for state, value in zip(states.tolist(), values, strict=True):
            dense[row, position[tuple(state)]] += value
    np.testing.assert_allclose(lattice_to_sparse(model).toarray(), dense, atol=1e-12)
