"""V with a sample of its surroundings, against the dense matrix that this stands for."""

import jax.numpy as jnp
import numpy as np
import pytest

from nnbf.ansatz import NeuralBackflow
from nnbf.determinants import connected_space, diagonal_elements
from nnbf.operators import MolecularHamiltonian
from nnbf.states import SpaceState, Surroundings, extended_state, surroundings
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


def whole(outside):
    return np.ones(len(outside.determinants))


def test_the_whole_surroundings(setting):
    """H_VV, H_VC and the diagonal of C; nothing inside C."""
    state, outside, psi, matrix, index = setting
    n = len(state.determinants)
    extended = extended_state(state, outside.determinants, whole(outside))
    assert len(extended.determinants) == n + len(outside.determinants)
    places = [index[bytes(row)] for row in extended.determinants]
    expected = matrix[np.ix_(places, places)].copy()
    # The diagonal is that of one determinant, for flip pairs as well.
    expected[n:, n:] = np.diag(outside.diagonal)
    assert np.allclose(extended.matrix.toarray(), expected, rtol=0, atol=1e-11)
    c = psi[places] / np.linalg.norm(psi[places])
    assert np.allclose(np.abs(extended.amplitudes()), np.abs(c), rtol=1e-10)
    assert extended.energy_at(extended.variables) == pytest.approx(c @ expected @ c, abs=1e-10)
    # psi elsewhere is on the scale of that on V.
    values = state.values_on(outside.determinants) * np.sqrt(extended.multiplicity[n:])
    on_space = state.amplitudes() * np.linalg.norm(psi[places[:n]])
    assert np.abs(np.concatenate([on_space, values * np.linalg.norm(psi[places[:n]])])) == pytest.approx(
        np.abs(psi[places]), rel=1e-9
    )


@pytest.mark.parametrize("size", [8, pytest.param(60, marks=pytest.mark.slow)])  # part of it, or all
def test_samples_stand_for_all(setting, size, monkeypatch):
    """Norm and energy of V and all around it are right on average, the unconnected included."""
    monkeypatch.setattr(surroundings, "CHAINS", 64)
    monkeypatch.setattr(surroundings, "LENGTH", 4)
    state, outside, psi, matrix, index = setting
    n, energy = len(state.determinants), state.energy_and_variance()[0]
    around = Surroundings(state, outside, energy, np.zeros(4, np.int64), size, seed=1)
    inside = [index[bytes(row)] for row in state.determinants]
    scale = np.linalg.norm(psi[inside])
    others = np.setdiff1d(np.arange(len(psi)), inside)
    coupled = matrix.copy()
    coupled[np.ix_(others, others)] = np.diag(
        [diagonal_elements(state.hamiltonian.tables, rows[None])[0] for rows in _rows(index, others)]
    )
    exact = np.array([psi @ psi, psi @ coupled @ psi]) / scale**2
    found = []
    for number in range(40):
        drawn = around.draw(state, number)
        assert len(drawn.determinants) == len(drawn.copies)
        real = drawn.copies > 0
        distinct = set(map(bytes, drawn.determinants[real]))
        assert len(distinct) == np.count_nonzero(real)
        assert not distinct & set(map(bytes, state.determinants))
        part = extended_state(state, drawn.determinants, drawn.copies)
        ratio = 1.0 / np.sum(part.amplitudes()[:n] ** 2)
        found.append([ratio, ratio * part.energy_at(part.variables)])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(len(found))
    assert size == 60 or np.all(error > 0)
    assert np.all(np.abs(mean - exact) < 5 * error + 1e-3 * np.abs(exact))


def _rows(index, places):
    rows = {place: np.frombuffer(key, np.uint64) for key, place in index.items()}
    return [rows[place] for place in places]


def test_draws_are_repeatable(setting, monkeypatch):
    monkeypatch.setattr(surroundings, "CHAINS", 16)
    state, outside, *_ = setting
    energy = state.energy_and_variance()[0]
    one, two = (Surroundings(state, outside, energy, np.zeros(4, np.int64), 8, seed=1) for _ in range(2))
    one.draw(state, 0)
    two.positions = one.positions
    first, second = one.draw(state, 1), two.draw(state, 1)
    assert np.array_equal(first.determinants, second.determinants)
    assert np.array_equal(first.copies, second.copies)
