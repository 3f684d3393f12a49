"""Response of molecules against full diagonalisation, and PySCF's FCI where that is independent."""

import numpy as np
import pytest

from hamiltonians import build_molecule
from nnbf.determinants import enumerate_sector
from nnbf.operators import MolecularHamiltonian
from nnbf.response import response_space
from nnbf.response.named_operators import channels
from nnbf.response.response_options import HARTREE_EV, ResponseOptions
from nnbf.response.response_record import response_of
from nnbf.response.response_space import Started
from nnbf.response.spectra import KnownState, applied, spectrum_of
from nnbf.states.selected_ci import selected_ci

WATER = "O 0 0 0; H 0.2774 0.8929 0.2544; H 0.6068 -0.2383 -0.7169"


@pytest.fixture(scope="module")
def water():
    molecule = build_molecule(WATER, "sto-3g")
    hamiltonian = MolecularHamiltonian(molecule.integrals)
    found = selected_ci(hamiltonian, hamiltonian.reference, size=10_000, with_second_order=False)
    state = KnownState.of(hamiltonian, found.determinants, found.amplitudes, complete=True)
    return molecule, state


def test_absorption_is_that_of_fci(water):
    from pyscf import fci, gto, scf

    molecule, state = water
    mean_field = scf.RHF(gto.M(atom=WATER, basis="sto-3g", verbose=0)).run(conv_tol=1e-12)
    solver = fci.FCI(mean_field)
    energies, vectors = solver.kernel(nroots=8)
    dipole = mean_field.mol.intor("int1e_r")
    dipole = np.einsum("xij,ip,jq->xpq", dipole, mean_field.mo_coeff, mean_field.mo_coeff)
    expected = {}
    for energy, vector in zip(energies[1:], vectors[1:], strict=True):
        density = fci.direct_spin1.trans_rdm1(vectors[0], vector, 7, 10)
        strength = 2 / 3 * (energy - energies[0]) * np.sum(np.einsum("xpq,pq->x", dipole, density) ** 2)
        if strength > 1e-6:
            expected[energy - energies[0]] = strength
    options = ResponseOptions(operator="dipole")
    response = response_of(molecule, state, "dipole", channels(molecule, "dipole"), options)
    peaks = response.peaks(0)
    assert min(expected) * HARTREE_EV == pytest.approx(12.1517, abs=1e-3)
    for position, strength in expected.items():
        nearest = min(peaks, key=lambda peak: abs(peak["position"] - position))
        assert nearest["position"] == pytest.approx(position, abs=1e-6)
        assert nearest["strength"] == pytest.approx(strength, rel=1e-4)
    record = response.record()
    assert record["unit"] == "eV"
    assert record["states"][1]["complete"]
    for channel in record["states"][0]["channels"]:
        assert channel["complete"]
        assert abs(channel["moments"]["total_weight_defect"]) < 1e-10
        assert abs(channel["moments"]["first_moment_defect"]) < 1e-10


def test_ionisation_energies_are_differences_of_fci_energies(water):
    molecule, state = water
    ion = enumerate_sector(7, 4, 5)
    found = {}
    for channel in channels(molecule, "removal"):
        spectrum = spectrum_of(state, channel, max_space=5000, steps=150)
        strong = spectrum.weights > 0.5
        found[channel.label] = -spectrum.positions[strong].max()
        assert spectrum.complete
        assert spectrum.amplitudes.shape[1] == len(channel.facts["orbitals"])
        energies = np.linalg.eigvalsh(channel.changed.matrix(ion).toarray())
        assert np.abs(energies - state.energy - found[channel.label]).min() < 1e-8
    assert len(found) >= 3
    total = sum(
        spectrum_of(state, channel, max_space=5000, steps=150).moments["total_weight"]
        for channel in channels(molecule, "removal")
    )
    assert total == pytest.approx(5.0)  # alpha electrons


def test_koopmans_theorem_in_the_space_of_one_hole(water):
    molecule, state = water
    hamiltonian = state.hamiltonian
    determinant = KnownState.of(hamiltonian, hamiltonian.reference, np.ones(1))
    holes = []
    for channel in channels(molecule, "removal"):
        started = applied(determinant, channel)
        levels = np.linalg.eigvalsh(channel.changed.matrix(started.configurations).toarray())
        holes += list(determinant.energy - levels)
    from pyscf import gto, scf

    mean_field = scf.RHF(gto.M(atom=WATER, basis="sto-3g", verbose=0)).run(conv_tol=1e-12)
    assert sorted(holes) == pytest.approx(sorted(mean_field.mo_energy[:5]), abs=1e-6)


def test_a_space_that_is_regrown_finds_the_lowest_peaks(water):
    molecule, state = water
    channel = next(c for c in channels(molecule, "dipole") if c.label == "y")
    exact = spectrum_of(state, channel, max_space=5000, steps=100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(response_space, "_closure", lambda *arguments: None)
        found = spectrum_of(state, channel, max_space=160, steps=100)
    assert found.space == 160
    assert not found.complete
    strong = np.argsort(-exact.weights)[:3]
    for k in strong:
        assert np.abs(found.positions - exact.positions[k]).min() < 3e-3
    shares = [row["total_weight"] for row in found.convergence]
    assert shares[-1] > 0.99 * exact.moments["total_weight"]


def test_blocks_join_lists_of_several_operators():
    rows = np.array([[1], [2], [3]], np.uint64)
    joined = Started.of([(rows[:2], np.array([0.5, 1.0])), (rows[1:], np.array([2.0, 3j]))])
    assert joined.configurations.ravel().tolist() == [1, 2, 3]
    assert joined.amplitudes.tolist() == [[0.5, 0], [1.0, 2.0], [0, 3j]]
    assert joined.on(np.array([[3], [7]], np.uint64)).tolist() == [[0, 3j], [0, 0]]
    assert joined.largest(1).tolist() == [[3]]
