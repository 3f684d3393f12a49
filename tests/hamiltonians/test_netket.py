import numpy as np
import pytest

from hamiltonians import build_molecule, to_netket

nk = pytest.importorskip("netket")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Li", {}),
        ("C", {}),
        pytest.param("O2", {"active_space": (8, 6)}, marks=pytest.mark.slow),
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
