"""Observables of FCI states against PySCF's own, from other orbitals and other code."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from hamiltonians import DEBYE, MolecularIntegrals, Molecule, OrbitalProperties, load_problem
from nnbf.observables import Observables, TwoBodyDensity, molecular_observables, natural_orbital_system
from nnbf.observables.density_matrices import density_arrays, one_body_checks, two_body_checks
from nnbf.observables.natural import natural_orbitals
from tests.determinants.oracles import lowest_energy, random_integrals
from tests.observables.molecules import MOLECULES, fci_expansion, fci_state, molecule
from tests.observables.vectors import expand, random_vector

NAMES = list(MOLECULES)


@cache
def observed(name) -> Observables:
    system = molecule(name)
    return molecular_observables(system.integrals, fci_expansion(name), system.properties, rdm2=True)


@cache
def pyscf_reference(name):
    """(density matrices of both spins in atomic orbitals, PySCF molecule, overlap) by PySCF alone."""
    from pyscf import fci, gto, mcscf, scf

    options = MOLECULES[name][1]
    atoms = molecule(name).info.atoms
    spin = molecule(name).info.two_S
    mol = gto.M(atom=atoms, basis="sto-3g", spin=spin, verbose=0)
    field = (scf.ROHF(mol) if spin else scf.RHF(mol)).run(conv_tol=1e-12)
    core = options.get("frozen_core", 0)
    if core:
        # The frozen orbital is that of the system's own mean field.
        field = scf.UHF(mol).run(conv_tol=1e-12) if options.get("reference") == "uhf" else field
    if core and options.get("reference") == "uhf":
        solver = mcscf.UCASCI(field, molecule(name).integrals.n_orbitals, mol.nelectron - 2 * core)
        solver.fcisolver.conv_tol = 1e-13
        solver.kernel()
        return np.array(solver.make_rdm1s()), mol, field.get_ovlp()
    if core:
        solver = mcscf.CASCI(field, molecule(name).integrals.n_orbitals, mol.nelectron - 2 * core)
        solver.fcisolver.conv_tol = 1e-13
        solver.kernel()
        return np.array(solver.make_rdm1s()), mol, field.get_ovlp()
    solver = fci.FCI(field)
    solver.conv_tol = 1e-13
    vector = solver.kernel()[1]
    size = field.mo_coeff.shape[1]
    parts = solver.make_rdm1s(vector, size, mol.nelec)
    c = field.mo_coeff
    return np.array([c @ part @ c.T for part in parts]), mol, field.get_ovlp()


@pytest.mark.parametrize("name", NAMES)
def test_dipole_moment_is_pyscfs(name):
    from pyscf import scf

    matrices, mol, _ = pyscf_reference(name)
    expected = scf.hf.dip_moment(mol, matrices.sum(axis=0), unit="AU", verbose=0)
    found = observed(name)
    assert found.dipole_au.value == pytest.approx(expected, abs=1e-5)
    record = found.record()["dipole_debye"]
    assert record["value"] == pytest.approx(DEBYE * expected, abs=3e-5)
    assert record["norm"] == pytest.approx(DEBYE * np.linalg.norm(expected), abs=3e-5)


@pytest.mark.parametrize("name", NAMES)
def test_natural_occupations_are_pyscfs(name):
    matrices, _, overlap = pyscf_reference(name)
    values, vectors = np.linalg.eigh(overlap)
    root = (vectors * np.sqrt(values)) @ vectors.T
    expected = np.linalg.eigvalsh(root @ matrices.sum(axis=0) @ root)[::-1]
    found = observed(name).natural_occupations.value
    # Doubly frozen orbitals of one set are not among the orbitals of the Hamiltonian.
    skipped = len(expected) - len(found)
    assert expected[:skipped] == pytest.approx(2.0)
    assert found == pytest.approx(expected[skipped:], abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_spin_energy_and_checks(name):
    system, found = molecule(name), observed(name)
    energy, vector = fci_state(name)
    spin = 0.5 * system.integrals.two_S
    tolerance = 1e-6 if "UHF, frozen" not in name else 1e-2  # different frozen orbitals mix spins
    assert found.s_squared.value == pytest.approx(spin * (spin + 1), abs=tolerance)
    assert found.s_z.value == spin
    assert found.energy_from_densities.value == pytest.approx(energy, abs=1e-8)
    checks = found.checks
    assert checks["trace_error"] < 1e-10
    assert checks["asymmetry"] < 1e-10
    assert -1e-12 < checks["smallest_occupation"] < 0.1
    assert 0.9 < checks["largest_occupation"] < 1 + 1e-12
    assert checks["rdm2_trace_error"] < 1e-10
    assert checks["contraction_error"] < 1e-10
    assert min(checks[f"smallest_{name}"] for name in "pqg") > -1e-10
    weights = np.sort(vector.ravel() ** 2)[::-1]
    assert [one.weight for one in found.largest_determinants] == pytest.approx(weights[:10], abs=1e-6)
    assert found.inverse_participation_ratio.value == pytest.approx(np.sum(weights**2), abs=1e-6)


def test_largest_determinants_name_the_reference_first():
    found = observed("O2").largest_determinants[0]
    assert (found.alpha, found.beta) == molecule("O2").integrals.reference_occupation
    assert found.amplitude == pytest.approx(found.weight**0.5)


def test_records_are_plain_and_complete():
    import json

    record = observed("NH2, UHF").record()
    assert json.loads(json.dumps(record)) == json.loads(json.dumps(record))
    for key in ("s_squared", "s_z", "dipole_au", "natural_occupations", "inverse_participation_ratio"):
        assert record[key]["kind"] == "full_sum"
        assert np.all(np.array(record[key]["error"]) == 0.0)
    restricted = observed("LiH")
    arrays = density_arrays(restricted)
    m = molecule("LiH").integrals.n_orbitals
    assert arrays["two_body"].shape == (3, m, m, m, m)
    assert np.einsum("pprr->", arrays["two_body_spin_summed"]) == pytest.approx(4 * 3)
    assert np.trace(arrays["one_body_spin_summed"]) == pytest.approx(4)
    assert "one_body_spin_summed" not in density_arrays(observed("NH2, UHF"))


@pytest.mark.parametrize("name", ["H2O, frozen core", "O2", "NH2, UHF", "NH2, UHF, frozen core"])
def test_natural_orbitals_give_the_same_system(name, tmp_path):
    from pyscf import fci

    system, found = molecule(name), observed(name)
    rotated = load_problem(natural_orbital_system(system, found.natural).save(tmp_path / "natural.npz"))
    integrals = rotated.integrals
    assert rotated.info.orbitals == "nnbf-natural"
    assert integrals.is_spin_resolved == (name == "NH2, UHF, frozen core")
    assert integrals.reference_irrep == system.integrals.reference_irrep
    full = integrals.unpack_two_body()
    solver = fci.direct_uhf if integrals.is_spin_resolved else fci.direct_spin1
    two_body = tuple(full) if integrals.is_spin_resolved else full
    electrons = (integrals.n_alpha, integrals.n_beta)
    size = integrals.n_orbitals
    energy, vector = solver.FCI().kernel(
        integrals.one_body, two_body, size, electrons, ecore=integrals.constant, tol=1e-12
    )
    assert energy == pytest.approx(fci_state(name)[0], abs=1e-8)
    again = molecular_observables(integrals, expand(vector, size, electrons), rotated.properties)
    assert np.linalg.norm(again.dipole_au.value) == pytest.approx(
        np.linalg.norm(found.dipole_au.value), abs=1e-5
    )
    assert again.s_squared.value == pytest.approx(found.s_squared.value, abs=1e-5)
    if not integrals.is_spin_resolved:
        total = again.one_body.sum(axis=0)
        assert np.diag(total) == pytest.approx(found.natural_occupations.value, abs=1e-4)
        if name != "O2":  # which has degenerate ones
            assert np.abs(total - np.diag(np.diag(total))).max() < 1e-4


def test_natural_orbitals_keep_the_irrep_of_the_reference():
    # The state is one of irrep 1, far from the determinant of the most occupied orbitals.
    integrals = random_integrals(4, 1, 0, reference=((2,), ()))
    labels = ("Ag", "Ag", "B1g", "B1g")
    one_body = integrals.one_body.copy()
    one_body[:2, 2:] = one_body[2:, :2] = 0.0
    blocked = MolecularIntegrals(0.0, one_body, np.zeros((10, 10)), 1, 0, labels, "D2h", ((2,), ()))
    one = np.zeros((2, 4, 4))
    one[0, :2, :2] = 0.4 * np.eye(2)
    one[0, 2:, 2:] = 0.1 * np.eye(2)
    natural = natural_orbitals(one, np.array([0, 0, 1, 1]))
    found = natural_orbital_system(Molecule(blocked), natural).integrals
    assert found.orbital_irreps == labels
    assert found.reference_occupation[0][0] in (2, 3)


def test_unknown_properties_are_none():
    integrals = random_integrals(3, 1, 1, spin_resolved=True)
    state = expand(random_vector(3, (1, 1)), 3, (1, 1))
    found = molecular_observables(integrals, state)
    assert found.s_squared is None
    assert found.dipole_au is None
    assert found.natural_occupations is None
    record = found.record()
    assert record["dipole_debye"] is None
    assert natural_orbital_system(Molecule(integrals), found.natural).integrals.n_orbitals == 3
    # Overlaps of active spaces that span different orbitals: S^2 is known, common orbitals are not.
    properties = OrbitalProperties(overlap_alpha_beta=0.9 * np.eye(3))
    found = molecular_observables(integrals, state, properties)
    assert found.s_squared is not None
    assert found.natural_occupations is None


def test_rotated_systems_have_the_same_lowest_energy():
    integrals = random_integrals(4, 2, 1, seed=3)
    state = expand(random_vector(4, (2, 1), seed=1), 4, (2, 1))
    natural = molecular_observables(integrals, state).natural
    rotated = natural_orbital_system(Molecule(integrals), natural)
    assert lowest_energy(rotated.integrals) == pytest.approx(lowest_energy(integrals), abs=1e-10)


@pytest.mark.parametrize("electrons", [(2, 2), (3, 1), (1, 0), (4, 4)])
def test_positivity_of_any_state(electrons):
    state = expand(random_vector(4, electrons, seed=2), 4, electrons)
    integrals = random_integrals(4, *electrons)
    found = molecular_observables(integrals, state, rdm2=True)
    assert min(found.checks[f"smallest_{name}"] for name in "pqg") > -1e-12
    assert found.checks["contraction_error"] < 1e-12


@pytest.mark.parametrize("broken", ["p", "q", "g"])
def test_checks_see_matrices_of_no_state(broken):
    electrons = (2, 2)
    state = expand(random_vector(4, electrons, seed=3), 4, electrons)
    found = molecular_observables(random_integrals(4, *electrons), state, rdm2=True)
    same, mixed = found.two_body.same.copy(), found.two_body.mixed.copy()
    one = found.one_body
    if broken == "p":
        mixed -= 0.5 * np.eye(len(mixed))
    elif broken == "q":
        one = one + 0.5 * np.eye(4)
    else:
        # Pauli's principle between the spins is none of P and Q: exchange the pairs of one block.
        mixed = mixed + 0.5 * np.ones_like(mixed)
    checks = two_body_checks(TwoBodyDensity(same, mixed), one, *electrons)
    assert checks[f"smallest_{broken}"] < -1e-3
    assert checks["contraction_error"] > 1e-2
    wrong = one_body_checks(found.one_body + 0.3 * np.eye(4), *electrons)
    assert wrong["trace_error"] == pytest.approx(1.2)
    assert wrong["largest_occupation"] > 1.0


def test_too_many_orbitals_for_two_particle_matrices():
    integrals = random_integrals(3, 1, 1)
    state = expand(random_vector(3, (1, 1)), 3, (1, 1))
    object.__setattr__(integrals, "one_body", np.zeros((41, 41)))
    with pytest.raises(ValueError, match="41 orbitals do not fit"):
        molecular_observables(integrals, state, rdm2=True)


def test_properties_of_files_without_dipole():
    system = molecule("LiH")
    bare = replace(system, properties=None)
    found = molecular_observables(bare.integrals, fci_expansion("LiH"), bare.properties)
    assert found.dipole_au is None
    assert found.s_squared.value == pytest.approx(0.0, abs=1e-8)
