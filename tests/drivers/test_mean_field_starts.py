"""Molecules that start from Hartree-Fock orbitals, and are projected on total spin."""

from dataclasses import replace

import numpy as np
import pytest
from pyscf import lib

from hamiltonians import InputError, build_molecule, read_fcidump, write_fcidump
from hamiltonians.molecule import lowest_determinant as hartree_fock
from hamiltonians.molecule.lowest_determinant import _alternating, lowest_determinant
from nnbf.ansatz import NeuralBackflow, ansatz_from_spec, ansatz_spec
from nnbf.drivers import SolverOptions, make_model, solve
from nnbf.operators import MolecularHamiltonian
from nnbf.states import SpaceState, full_sum_energy, spin_square, symmetry_sector

#: The network adds nothing to the orbitals yet.
BARE = SolverOptions(hidden=(4,), n_determinants=1, noise=1e-10, start_orbitals="uhf", spin_flip="none")


@pytest.fixture(scope="module")
def chain():
    """Four stretched hydrogen atoms in localised orbitals: no irreps, and a reference far from the state."""
    return build_molecule("H4-chain-1.8", "sto-6g", orbitals="boys")


@pytest.fixture(scope="module")
def ring():
    return build_molecule("H6-ring-1.8", "sto-6g", references=False)


def summed(system, options, seed=1):
    """State on all determinants."""
    hamiltonian = MolecularHamiltonian(system.integrals)
    state = SpaceState(hamiltonian, make_model(system, options), seed=seed)
    sector = symmetry_sector(state, np.zeros(system.integrals.n_orbitals, int), 10**6)
    state.set_determinants(sector)
    return state, full_sum_energy(state, sector)[0]


def test_start_is_the_unrestricted_determinant_and_projection_lowers_it(chain):
    found = lowest_determinant(chain.integrals, "uhf")
    _, plain = summed(chain, BARE)
    assert found.converged
    assert plain == pytest.approx(found.energy, abs=1e-8)
    assert plain < chain.references["hf"] - 0.05
    _, average = summed(chain, replace(BARE, spin_flip="auto"))
    _, projected = summed(chain, replace(BARE, total_spin=0.0))
    assert chain.references["fci"] < projected < average < plain


def test_restricted_start_is_the_reference(chain):
    found = lowest_determinant(chain.integrals, "rhf")
    assert found.energy == pytest.approx(chain.references["hf"], abs=1e-8)
    assert summed(chain, replace(BARE, start_orbitals="rhf"))[1] == pytest.approx(found.energy, abs=1e-8)


@pytest.mark.parametrize("spin", [0, 1, 2])
def test_spin_is_exact_whatever_the_parameters(chain, spin):
    state, energy = summed(chain, replace(BARE, noise=0.5, total_spin=float(spin), n_determinants=2))
    assert spin_square(state) == pytest.approx(spin * (spin + 1), abs=1e-8)
    assert state.spin_flip == (spin % 2 == 0)
    assert energy > chain.references["fci"]


def test_spin_is_exact_in_orbitals_with_irreps(ring):
    options = replace(BARE, noise=0.3, total_spin=0.0)
    assert spin_square(summed(ring, options)[0]) == pytest.approx(0.0, abs=1e-8)


def test_spin_of_more_alpha_electrons():
    """S_z = 1/2, the parts of S = 1/2 and 3/2."""
    system = build_molecule("H3-chain-1.5", "sto-3g", spin=1)
    for spin in (0.5, 1.5):
        state, _ = summed(system, replace(BARE, noise=0.5, total_spin=spin))
        assert spin_square(state) == pytest.approx(spin * (spin + 1), abs=1e-8)


def test_unrestricted_solutions():
    """From the integrals alone no higher than from the atoms, and the same for either sign of S_z."""
    oxygen = build_molecule("O2", "sto-3g", references=False)
    found = lowest_determinant(oxygen.integrals, "uhf")
    unrestricted = build_molecule("O2", "sto-3g", reference="uhf", references=False)
    assert found.energy < unrestricted.references["hf"] + 1e-7
    for orbitals, number in zip(found.orbitals, oxygen.particles, strict=True):
        np.testing.assert_allclose(orbitals.T @ orbitals, np.eye(number), atol=1e-12)
    flipped = lowest_determinant(oxygen.integrals.spin_flipped(), "uhf")
    assert flipped.energy == found.energy
    assert [o.shape[1] for o in flipped.orbitals] == [7, 9]
    with pytest.raises(InputError, match="differ already"):
        lowest_determinant(unrestricted.integrals, "uhf")


def test_start_from_a_file(chain, tmp_path):
    path = tmp_path / "h4.fcidump"
    write_fcidump(chain.integrals, path)
    system = read_fcidump(path)
    assert summed(system, BARE)[1] == pytest.approx(
        lowest_determinant(chain.integrals, "uhf").energy, abs=1e-8
    )


def test_network_is_stored_with_its_orbitals(chain):
    model = make_model(chain, replace(BARE, total_spin=0.0))
    again = ansatz_from_spec(ansatz_spec(model))
    assert again == model
    assert hash(again) == hash(model)


@pytest.mark.slow
def test_vmc_of_a_projected_state(chain):
    options = SolverOptions(
        hidden=(8,),
        n_determinants=1,
        n_samples=256,
        max_steps=30,
        learning_rate=1.0,
        total_spin=0.0,
        start_orbitals="uhf",
        precision=2e-3,
        seed=2,
    )
    level = solve(chain, options, method="vmc").lowest
    assert level.s_squared == pytest.approx(0.0, abs=1e-8)
    assert -1e-9 < level.estimates["full_sum"].value - chain.references["fci"] < 2e-3
    assert abs(level.energy.value - level.estimates["full_sum"].value) < 5 * level.energy.error


def test_a_projected_state_has_its_spin_whatever_part_of_it_is_listed(chain):
    options = replace(
        BARE, noise=0.5, total_spin=0.0, max_space=7, full_sum_limit=0, tail_steps=0, max_steps=12
    )
    level = solve(chain, options, method="selected").lowest
    assert level.s_squared == 0.0
    assert abs(float(level.observables.s_squared.value)) > 1e-4  # of the part


def test_spin_penalty_of_samples(chain):
    """Started from a determinant of broken symmetry, the penalty takes the contamination away."""
    options = replace(BARE, noise=0.05, n_samples=256, max_steps=12, spin_penalty=1.0, precision=1e-2)
    level = solve(chain, options, method="vmc").lowest
    assert level.s_squared < 0.5 * spin_square(summed(chain, BARE)[0])
    assert level.estimates["full_sum"].value > chain.references["fci"] - 1e-9


def test_hartree_fock_has_one_thread(chain, monkeypatch):
    """Sums of several come in any order, and a run that is resumed would find other last digits."""
    seen, descended = [], hartree_fock._descended

    def noted(*given):
        seen.append(lib.num_threads())
        return descended(*given)

    monkeypatch.setattr(hartree_fock, "_descended", noted)
    before = lib.num_threads()
    try:
        lib.num_threads(2)
        lowest_determinant.__wrapped__(chain.integrals, "uhf")
        assert lib.num_threads() == 2
    finally:
        lib.num_threads(before)
    assert set(seen) == {1}


def test_spins_alternate_where_electrons_hop():
    """A sheet in local orbitals: alpha electrons on the one sublattice, beta on the other."""
    places = [(x, y) for x in range(3) for y in range(2)]
    sheet = "; ".join(f"H {1.8 * x} {1.8 * y} 0" for x, y in places)
    integrals = build_molecule(sheet, "sto-6g", orbitals="lowdin", references=False).integrals
    alpha, beta = _alternating(integrals)
    neighbours = np.abs(integrals.one_body) > 0.05
    np.fill_diagonal(neighbours, False)
    assert neighbours.sum() == 2 * 7
    for of_spin in (np.diag(alpha), np.diag(beta)):
        assert of_spin.sum() == 3
        assert of_spin @ neighbours @ of_spin == 0
    assert np.array_equal(alpha + beta, np.eye(6))


def test_what_does_not_go_together(chain):
    for wrong in (
        {"blocked": False},
        {"total_spin": 3.0},
        {"total_spin": 0.5},
        {"total_spin": 0.0, "spin_flip": "average"},
        {"equivariant": True, "spin_flip": "canonical"},
        {"equivariant": True, "start_orbitals": "reference"},
    ):
        with pytest.raises(InputError):
            make_model(chain, replace(BARE, **wrong))
    unrestricted = build_molecule("H4-chain-1.8", "sto-6g", reference="uhf", references=False)
    for wrong in ({}, {"start_orbitals": "reference", "total_spin": 0.0}):
        with pytest.raises(InputError):
            make_model(unrestricted, replace(BARE, **wrong))
    penalty = SolverOptions(hidden=(4,), spin_penalty=0.1, max_steps=1)
    with pytest.raises(InputError, match="one set of orbitals"):
        solve(unrestricted, penalty, method="vmc")
    with pytest.raises(ValueError, match="shapes"):
        NeuralBackflow(2, 1, 1, initial_orbitals=make_model(chain, BARE).initial_orbitals)
