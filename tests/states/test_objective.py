"""The spin penalty on V: S^2 as a matrix, what is minimised and what is reported."""

import netket as nk
import numpy as np
import pytest

from nnbf.ansatz import NeuralBackflow
from nnbf.determinants import connected_space
from nnbf.operators import MolecularHamiltonian
from nnbf.states import Objective, SpaceState, SpinPenalty, extended_state, sampled_step, spin_square
from tests.determinants.oracles import (
    bit_strings,
    configurations,
    even_spin_basis,
    random_integrals,
    random_variables,
)
from tests.states.test_space_state import spin_square_matrix

STRENGTH = 0.7


def make_state(electrons=(2, 1), *, fold=False, keep=None, penalty=None):
    size = 4
    integrals = random_integrals(size, *electrons, seed=1)
    model = NeuralBackflow(
        size, *electrons, hidden=(), n_determinants=1, spin_flip="canonical" if fold else "none"
    )
    configs = configurations(size, *electrons)
    places = even_spin_basis(configs)[0] if fold else range(len(configs))
    chosen = [configs[k] for k in places][:keep]
    state = SpaceState(
        Objective(MolecularHamiltonian(integrals), (penalty or SpinPenalty(STRENGTH),)),
        model,
        space=bit_strings(chosen, size),
        variables=random_variables(model, 2 * size, seed=3),
    )
    return state, configs, chosen


def test_penalty_is_the_spin_operator():
    state, configs, _ = make_state()
    expected = STRENGTH * (spin_square_matrix(configs) - 0.75 * np.eye(len(configs)))
    assert (state.minimised - state.matrix).toarray() == pytest.approx(expected, abs=1e-12)


def test_folded_penalty_is_that_of_even_states():
    state, configs, _ = make_state((2, 2), fold=True)
    basis = even_spin_basis(configs)[1]
    expected = STRENGTH * basis.T @ spin_square_matrix(configs) @ basis
    assert (state.minimised - state.matrix).toarray() == pytest.approx(expected, abs=1e-12)


def test_energies_are_without_the_penalty():
    state, _, _ = make_state(keep=9)
    energy = float(state.expect(state.hamiltonian).mean)
    c = state.amplitudes()
    assert energy == pytest.approx(c @ (state.matrix @ c), abs=1e-12)
    assert state.energy_at(state.variables) == pytest.approx(energy, abs=1e-12)
    raised = STRENGTH * (spin_square(state) - 0.75)
    assert raised > 0.01
    assert state.objective_at(state.variables) == pytest.approx(energy + raised, abs=1e-11)
    assert state.tangent_problem().energy == pytest.approx(energy + raised, abs=1e-11)


def test_samples_outside_carry_the_penalty():
    state, configs, chosen = make_state(keep=9)
    outside = connected_space(state.hamiltonian.tables, state.determinants, state.wave_function())
    copies = np.ones(len(outside.determinants))
    extended = extended_state(state, outside.determinants, copies)
    order = {row.tobytes(): k for k, row in enumerate(bit_strings(configs, 4))}
    places = [order[row.tobytes()] for row in extended.determinants]
    penalty = STRENGTH * (spin_square_matrix(configs) - 0.75 * np.eye(len(configs)))[np.ix_(places, places)]
    without, _, _ = make_state(keep=9)
    without.objective = Objective(without.hamiltonian)
    bare = extended_state(without, outside.determinants, copies)
    found = (extended.matrix - bare.matrix).toarray()
    n = len(chosen)
    assert found[:, :n] == pytest.approx(penalty[:, :n], abs=1e-12)
    assert np.diag(found) == pytest.approx(np.diag(penalty), abs=1e-12)
    assert extended.minimised is extended.matrix


def test_overlaps_that_leave_the_orbitals_are_refused():
    SpinPenalty(1.0, np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0])
    with pytest.raises(ValueError, match="span different spaces"):
        SpinPenalty(1.0, 0.9 * np.eye(3))


@pytest.mark.parametrize(
    ("electrons", "fold"), [((2, 2), True), pytest.param((2, 1), False, marks=pytest.mark.slow)]
)
def test_samples_carry_the_penalty_of_determinants(electrons, fold):
    """Local values of S_- S_+ on samples of a molecule are those of the exact operator, flip pairs or not."""
    state, configs, _ = make_state(electrons, fold=fold)
    sampler = nk.sampler.ExactSampler(state.hilbert)
    sampled = nk.vqs.MCState(sampler, state.model, n_samples=256, variables=state.variables, seed=1)
    found = sampled_step(sampled, Objective(state.hamiltonian, (SpinPenalty(STRENGTH),)))
    s_z = 0.5 * (electrons[0] - electrons[1])
    exact = STRENGTH * (spin_square_matrix(configs) - s_z * (s_z + 1) * np.eye(len(configs)))
    sign, log_abs = state.signed_log(bit_strings(configs, 4))
    psi = sign * np.exp(log_abs)
    order = {row.tobytes(): k for k, row in enumerate(bit_strings(configs, 4))}
    rows = [order[row.tobytes()] for row in state.hamiltonian.pack(found.samples.occupations)]
    assert found.samples.penalties == pytest.approx((exact @ psi / psi)[rows], abs=1e-9)
    bare = sampled_step(sampled, state.hamiltonian)
    assert float(found.statistics.mean) == float(bare.statistics.mean)
    raised = bare.problem.energy + found.samples.shares @ found.samples.penalties
    assert found.problem.energy == pytest.approx(raised, abs=1e-9)
