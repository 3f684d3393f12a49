"""Complete local energies on V: against the dense Hamiltonian of the whole sector."""

import dataclasses

import numpy as np
import pytest

from hamiltonians import InputError, build_molecule
from nnbf.ansatz import NeuralBackflow
from nnbf.determinants import enumerate_sector, hamiltonian_matrix, symmetrised
from nnbf.drivers import SolverOptions, solve
from nnbf.drivers.selected import SelectedSpaceDriver
from nnbf.operators import MolecularHamiltonian
from nnbf.states import ComplementCoupling, SpaceState


@pytest.fixture(scope="module")
def lih():
    return build_molecule("LiH", "sto-3g")


@pytest.mark.parametrize("spin_flip", [pytest.param("none", marks=pytest.mark.slow), "canonical"])
def test_local_energies_are_complete(lih, spin_flip):
    integrals = lih.integrals
    m, n = integrals.n_orbitals, integrals.n_alpha
    model = NeuralBackflow(m, n, n, 2, (8,), spin_flip=spin_flip, noise=0.5)
    no_irreps = np.zeros(m, np.int64)
    fold = spin_flip != "none"
    sector = enumerate_sector(m, n, n, no_irreps, 0, fold)
    hamiltonian = MolecularHamiltonian(integrals)
    whole = SpaceState(hamiltonian, model, space=sector, seed=2)
    amplitudes = whole.amplitudes()
    matrix = symmetrised(hamiltonian_matrix(hamiltonian.tables, sector, fold), whole.multiplicity)
    chosen = np.sort(np.argsort(-np.abs(amplitudes))[:20])
    part = SpaceState(hamiltonian, model, space=sector[chosen], variables=whole.variables)
    problem = ComplementCoupling(part).problem(part)
    norm = np.linalg.norm(amplitudes[chosen])
    product = (matrix @ amplitudes)[chosen] / norm
    energy = float(amplitudes[chosen] @ product / norm)
    assert problem.energy == pytest.approx(energy, abs=1e-10)
    sign = np.sign(problem.amplitudes @ amplitudes[chosen])
    np.testing.assert_allclose(
        sign * problem.residual, product - energy * amplitudes[chosen] / norm, atol=1e-10
    )
    # Not the problem on V, and the same once V is everything.
    assert abs(problem.energy - part.tangent_problem().energy) > 1e-4
    complete = ComplementCoupling(whole).problem(whole)
    assert complete.energy == pytest.approx(whole.tangent_problem().energy, abs=1e-10)


@pytest.mark.slow
def test_runs_reach_the_ground_state(lih):
    options = SolverOptions(
        optimizer="sr", truncated=False, hidden=(16,), max_space=40, full_sum_limit=0, max_steps=60
    )
    result = solve(lih, options).lowest
    assert result.energy.kind == "variational"
    assert result.energy.value > lih.references["fci"] - 1e-9
    assert abs(result.estimates["projected"].value - lih.references["fci"]) < 2e-3


def test_needs_an_optimiser_without_line_search(lih):
    with pytest.raises(InputError, match="sr or adam"):
        solve(lih, dataclasses.replace(SolverOptions(), truncated=False))
    state = SpaceState(MolecularHamiltonian(lih.integrals), NeuralBackflow(6, 2, 2, 1, (4,)))
    with pytest.raises(ValueError, match="truncated"):
        SelectedSpaceDriver(state, truncated=False)
