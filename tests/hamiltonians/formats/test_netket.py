import numpy as np
import pytest

from hamiltonians import (
    Lattice,
    build_molecule,
    lattice_configurations,
    lattice_to_netket,
    lattice_to_sparse,
    to_netket,
)

nk = pytest.importorskip("netket")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Li", {}),
        ("C", {}),
        pytest.param("OH", {"reference": "uhf"}, marks=pytest.mark.slow),
    ],
)
def test_ground_state_of_open_shells(name, options):
    """Lanczos on NetKet's operator against FCI; swapped spin blocks would show here."""
    system = build_molecule(name, **options)
    hilbert, operator = to_netket(system.integrals)
    assert hilbert.n_fermions_per_spin == (system.integrals.n_alpha, system.integrals.n_beta)
    assert nk.exact.lanczos_ed(operator)[0] == pytest.approx(system.references["fci"], abs=1e-8)


def test_alpha_fills_the_first_block(build):
    integrals = build("Li").integrals
    hilbert, operator = to_netket(integrals)
    states = np.asarray(hilbert.all_states())
    assert set(states[:, :5].sum(axis=1)) == {2}
    assert set(states[:, 5:].sum(axis=1)) == {1}
    reference = np.zeros((1, 10), dtype=np.int8)
    reference[0, [0, 1, 5]] = 1
    connected, elements = operator.get_conn_padded(reference)
    same = np.all(np.asarray(connected) == reference[:, None], axis=-1)
    assert np.asarray(elements)[same].sum() == pytest.approx(-7.315525981281086, abs=1e-8)


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
