"""Selected CI: lowest eigenvectors on determinants, grown or given."""

import numpy as np
import pytest

from hamiltonians import build_molecule
from nnbf.determinants import spin_flip_representatives
from nnbf.drivers import SolverOptions, solve
from nnbf.operators import MolecularHamiltonian
from nnbf.states import reference_sector
from nnbf.states.selected_ci import selected_ci


@pytest.fixture(scope="module")
def water():
    return build_molecule("H2O", "sto-3g")


@pytest.mark.parametrize("fold", [False, True])
def test_grows_to_the_whole_sector_and_is_fci_there(water, fold):
    hamiltonian = MolecularHamiltonian(water.integrals)
    begin = hamiltonian.reference
    found = selected_ci(hamiltonian, spin_flip_representatives(begin) if fold else begin, fold, size=10**4)
    exact = water.references["fci"]
    assert found.energy == pytest.approx(exact, abs=1e-8)
    assert found.second_order == pytest.approx(0.0, abs=1e-10)
    weight = 2.0 - (found.determinants[:, 0] == found.determinants[:, 1]) if fold else 1.0
    assert np.sum(weight * found.amplitudes**2) == pytest.approx(1.0)


def test_a_small_space_lies_above_and_its_correction_reaches_further(water):
    hamiltonian = MolecularHamiltonian(water.integrals)
    small = selected_ci(hamiltonian, hamiltonian.reference, size=40)
    large = selected_ci(hamiltonian, hamiltonian.reference, size=120)
    exact = water.references["fci"]
    assert len(small.determinants) == 40
    assert exact < large.energy < small.energy < water.references["hf"]
    for found in (small, large):
        assert abs(found.energy + found.second_order - exact) < 0.5 * (found.energy - exact)


def test_a_given_list_keeps_its_order(water):
    hamiltonian = MolecularHamiltonian(water.integrals)
    sector = reference_sector(water.integrals, np.zeros(7, int), False)[::3]
    found = selected_ci(hamiltonian, sector, with_second_order=False)
    assert found.determinants is sector
    assert found.second_order is None
    dense = hamiltonian.symmetric_matrix(sector, np.ones(len(sector))).toarray()
    assert found.energy == pytest.approx(np.linalg.eigvalsh(dense)[0], abs=1e-9)


def test_it_stands_beside_every_energy():
    system = build_molecule("LiH", "sto-3g")
    options = SolverOptions(hidden=(4,), max_steps=12, max_space=20, tail_steps=0)
    level = solve(system, options).lowest
    found = level.estimates["selected_ci"]
    assert found.upper_bound
    assert found.details["n_determinants"] == level.n_determinants
    assert system.references["fci"] < float(found) <= float(level.estimates["variational"]) + 1e-9
    assert float(level.estimates["selected_ci_pt2"]) < float(found)
    sampled = solve(
        system, SolverOptions(hidden=(4,), max_steps=2, n_samples=64, precision=0.05), method="vmc"
    )
    grown = sampled.lowest.estimates["selected_ci"]
    assert float(grown) == pytest.approx(system.references["fci"], abs=1e-8)
