"""V with a sample of its surroundings, against the dense matrix that this stands for."""

import jax.numpy as jnp
import numpy as np
import pytest

from nnbf.ansatz import NeuralBackflow
from nnbf.determinants import connected_space
from nnbf.drivers.selected import TailTraining
from nnbf.operators import MolecularHamiltonian
from nnbf.states import SpaceState, extended_state
from tests.determinants.oracles import (
    bit_strings,
    configurations,
    even_spin_basis,
    log_psi,
    occupations,
    random_integrals,
    random_variables,
    slow_hamiltonian,
)


@pytest.fixture(scope="module", params=["none", "canonical"])
def setting(request):
    """(state on V, its connected space, network psi and dense matrix over folded orthonormal functions)."""
    integrals = random_integrals(4, 2, 2, seed=12)
    configs = configurations(4, 2, 2)
    rows = bit_strings(configs, 4)
    fold = request.param != "none"
    candidates, basis = (
        even_spin_basis(configs) if fold else (list(range(len(configs))), np.eye(len(configs)))
    )
    model = NeuralBackflow(4, 2, 2, hidden=(4,), spin_flip=request.param)
    variables = random_variables(model, 8, seed=2)
    psi = np.exp(np.asarray(log_psi(model, variables, jnp.asarray(occupations(configs, 4))))).real
    space = rows[np.random.default_rng(0).permutation(candidates)[:5]]
    state = SpaceState(MolecularHamiltonian(integrals), model, space=space, variables=variables)
    outside = connected_space(state.hamiltonian.tables, space, state.wave_function(), fold)
    index = {bytes(row): k for k, row in enumerate(rows[candidates])}
    return state, outside, basis.T @ psi, basis.T @ slow_hamiltonian(integrals, configs) @ basis, index


def test_the_whole_surroundings(setting):
    """H_VV, H_VC and the diagonal of C; nothing inside C."""
    state, outside, psi, matrix, index = setting
    n = len(state.determinants)
    extended = extended_state(state, outside, 10_000, np.random.default_rng(0))
    assert len(extended.determinants) == n + len(outside.determinants)
    places = [index[bytes(row)] for row in extended.determinants]
    expected = matrix[np.ix_(places, places)].copy()
    # The diagonal is that of one determinant, for flip pairs as well.
    expected[n:, n:] = np.diag(outside.diagonal)
    assert np.allclose(extended.matrix.toarray(), expected, rtol=0, atol=1e-11)
    c = psi[places] / np.linalg.norm(psi[places])
    assert np.allclose(np.abs(extended.amplitudes()), np.abs(c), rtol=1e-10)
    assert extended.energy_at(extended.variables) == pytest.approx(c @ expected @ c, abs=1e-10)


def test_samples_stand_for_all(setting):
    """Norm and energy of unnormalised amplitudes are right on average over samples."""
    state, outside, psi, _, index = setting
    n = len(state.determinants)
    whole = extended_state(state, outside, 10_000, np.random.default_rng(0))
    places = [index[bytes(row)] for row in whole.determinants]
    norm = np.sum(psi[places] ** 2)
    value = psi[places] @ whole.matrix @ psi[places]
    norms, values = [], []
    rng = np.random.default_rng(1)
    for _ in range(300):
        part = extended_state(state, outside, 6, rng)
        assert len(part.determinants) == n + 6
        assert np.array_equal(part.determinants[:n], state.determinants)
        assert len(set(map(bytes, part.determinants))) == n + 6
        # Amplitudes on the orthonormal functions, times the root of how many each stands for.
        root = np.sqrt(np.concatenate([np.ones(n), np.full(6, len(outside.determinants) / 6)]))
        c = root * psi[[index[bytes(row)] for row in part.determinants]]
        assert np.allclose(np.abs(part.amplitudes()), np.abs(c) / np.linalg.norm(c), rtol=1e-9)
        norms.append(c @ c)
        values.append(c @ part.matrix @ c)
    for found, exact in ((norms, norm), (values, value)):
        assert abs(np.mean(found) - exact) < 5 * np.std(found) / np.sqrt(len(found))
        assert np.std(found) > 0


def test_damping_grows_geometrically():
    tail = TailTraining(steps=5, damping=1e-4, last_damping=1e-2)
    values = [tail.damping_at(step) for step in range(5)]
    assert values[0] == pytest.approx(1e-4)
    assert values[-1] == pytest.approx(1e-2)
    assert np.allclose(np.diff(np.log(values)), np.log(10.0) / 2)
    assert TailTraining(steps=1).damping_at(0) == TailTraining().damping
