"""Levels above known ones, and states of other Hamiltonians than molecules and lattices."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest

from hamiltonians import build_molecule, irrep_bits
from nnbf.ansatz import NeuralBackflow
from nnbf.drivers import FullSumDriver
from nnbf.operators import MolecularHamiltonian
from nnbf.optimize import RayleighGaussNewton
from nnbf.states import Exclude, Objective, Space, SpaceState, symmetry_sector
from nnbf.states.objective import excluded_vectors
from tests.operators.test_own_hamiltonian import Heisenberg


@pytest.fixture(scope="module")
def lih():
    return build_molecule("LiH", "sto-3g")


@pytest.fixture(scope="module")
def ground(lih) -> SpaceState:
    """The ground state of LiH on its whole sector, converged."""
    hamiltonian = MolecularHamiltonian(lih.integrals)
    model = NeuralBackflow(6, 2, 2, 4, (16,), spin_flip="canonical")
    bits = irrep_bits(lih.integrals)
    sector = symmetry_sector(SpaceState(hamiltonian, model), bits, 10_000)
    state = SpaceState(hamiltonian, model, Space.selected(sector, spin_flip=True, complete=True), seed=1)
    optimised(state)
    return state


def optimised(state, steps=150):
    driver = FullSumDriver(state, optimizer=RayleighGaussNewton(), tolerance=1e-12)
    driver.run(steps, show_progress=False)


def test_second_state_of_a_molecule_in_the_same_irrep(ground):
    levels = np.linalg.eigvalsh(ground.matrix.toarray())
    energy, _ = ground.energy_and_variance()
    assert energy == pytest.approx(levels[0], abs=1e-6)
    objective = Objective(ground.hamiltonian, (Exclude((ground,), 2.0),))
    excited = SpaceState(objective, ground.model, ground.space, seed=2)
    optimised(excited)
    assert excited.energy_and_variance()[0] == pytest.approx(levels[1], abs=1e-6)
    assert abs(excited.vector() @ ground.vector()) < 1e-3
    # Its expectation value is that of H alone.
    assert float(excited.expect(ground.hamiltonian).mean) == pytest.approx(levels[1], abs=1e-6)


def test_the_objective_is_h_plus_projectors(ground):
    psi = ground.vector()
    state = SpaceState(
        Objective(ground.hamiltonian, (Exclude((ground,), 0.7),)), ground.model, ground.space, seed=5
    )
    dense = state.matrix.toarray() + 0.7 * np.outer(psi, psi)
    c = state.amplitudes()
    problem = state.tangent_problem()
    assert state.objective_at(state.variables) == pytest.approx(c @ dense @ c, abs=1e-12)
    np.testing.assert_allclose(problem.residual, dense @ c - (c @ dense @ c) * c, atol=1e-12)
    change = np.random.default_rng(0).normal(size=(len(c), 2))
    np.testing.assert_allclose(problem.shifted(change), dense @ change - problem.energy * change, atol=1e-12)


def test_a_level_is_looked_up_on_another_list(ground):
    order = np.random.default_rng(1).permutation(len(ground.space))[:20]
    part = Space.selected(ground.determinants[order], spin_flip=True)
    expected = ground.vector()[order]
    found = excluded_vectors([ground], part)
    np.testing.assert_allclose(np.abs(found[0] @ expected), np.linalg.norm(expected), atol=1e-12)
    with pytest.raises(ValueError, match="same spin-flip symmetry"):
        excluded_vectors([ground], Space.selected(ground.determinants))


class Network(nn.Module):
    """A dense network of spins, positive or complex."""

    is_real: bool = True

    @nn.compact
    def __call__(self, x):
        hidden = nn.tanh(nn.Dense(12, param_dtype=float)(x.astype(float)))
        re, im = jnp.moveaxis(nn.Dense(2, param_dtype=float)(hidden), -1, 0)
        return re + 0j if self.is_real else re + 1j * im


@pytest.mark.parametrize("is_real", [pytest.param(True, marks=pytest.mark.slow), False])
def test_heisenberg_on_all_states(is_real):
    hamiltonian = Heisenberg(nk.graph.Chain(6), J=-1.0, total_sz=0.0)
    state = SpaceState(hamiltonian, Network(is_real), Space.whole(hamiltonian), seed=4)
    psi = np.exp(np.asarray(state.log_value(hamiltonian.hilbert.all_states())))
    psi /= np.linalg.norm(psi)
    matrix = hamiltonian.to_sparse()
    expected = (psi.conj() @ (matrix @ psi)).real
    stats, gradient = state.expect_and_grad(hamiltonian)
    assert float(stats.mean) == pytest.approx(expected, abs=1e-12)
    assert float(state.expect(hamiltonian).mean) == pytest.approx(expected, abs=1e-12)
    direction = jax.tree.map(jnp.ones_like, state.parameters)

    def moved(step):
        params = jax.tree.map(lambda p, d: p + step * d, state.parameters, direction)
        return state.energy_at({"params": params})

    slope = sum(float(jnp.sum(leaf)) for leaf in jax.tree.leaves(gradient))
    assert slope == pytest.approx((moved(1e-5) - moved(-1e-5)) / 2e-5, abs=1e-6)
    optimised(state, 60)
    assert state.energy_and_variance()[0] == pytest.approx(nk.exact.lanczos_ed(hamiltonian)[0], abs=1e-4)
