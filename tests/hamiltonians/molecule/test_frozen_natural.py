"""Frozen natural orbitals: which are kept, what they leave alone, how good the MP2 correction is."""

from dataclasses import replace

import numpy as np
import pytest

from hamiltonians import InputError, Truncation, build_molecule, determinant_energy, load_problem
from hamiltonians.molecule.frozen_natural import (
    _closed_shell_density,
    _open_shell_density,
    frozen_natural_orbitals,
)
from hamiltonians.molecule.geometry import read_geometry
from hamiltonians.molecule.mean_field import solve_mean_field
from hamiltonians.molecule.orbitals import canonical_orbitals

pytestmark = pytest.mark.filterwarnings("error")

WATER = "O 0 0 0; H 0 0.757 0.587; H 0 -0.757 0.587"
BASIS = "cc-pvdz"


@pytest.fixture(scope="module")
def whole():
    return build_molecule(WATER, BASIS, frozen_core=True, fci_limit=0)


@pytest.fixture(scope="module")
def cut():
    return {
        threshold: build_molecule(WATER, BASIS, frozen_core=True, fci_limit=0, fno_threshold=threshold)
        for threshold in (0.0, 3e-4, 3e-3, 1e-2)
    }


@pytest.fixture(scope="module")
def field():
    return solve_mean_field(read_geometry(WATER), BASIS, charge=0, two_S=0)


@pytest.fixture(scope="module")
def hydroxyl():
    return solve_mean_field(read_geometry("OH"), "6-31g", charge=0, two_S=1)


def test_no_threshold_changes_nothing(whole, cut):
    system = cut[0.0]
    assert system.truncation.n_dropped == 0
    assert abs(system.truncation.correction) < 1e-9
    for method in ("hf", "mp2", "ccsd", "ccsd_t"):
        assert abs(system.references[method] - whole.references[method]) < 1e-9
        assert abs(system.truncation.references[method] - whole.references[method]) < 1e-9
    assert abs(system.references["mp2"] - whole.references["mp2"]) < 1e-9
    assert system.integrals.orbital_irreps == whole.integrals.orbital_irreps


def test_the_reference_determinant_stays(whole, cut):
    for system in cut.values():
        assert abs(system.references["hf"] - whole.references["hf"]) < 1e-9
        assert abs(determinant_energy(system.integrals) - whole.references["hf"]) < 1e-9
        assert "hf" not in system.reference_notes


def test_the_mp2_correction_is_most_of_what_coupled_cluster_loses(whole, cut):
    """Against CCSD(T) of the whole basis: at least five times smaller an error with the correction."""
    target, before = whole.references["ccsd_t"], np.inf
    for threshold in (1e-2, 3e-3, 3e-4):
        system = cut[threshold]
        without = system.references["ccsd_t"] - target
        corrected = without + system.truncation.correction
        assert abs(corrected) < 0.2 * without < 0.2 * before
        before = without
    assert without < 5e-4
    assert abs(corrected) < 5e-5


def test_energies_of_both_spaces_are_kept_apart(whole, cut):
    system = cut[3e-3]
    truncation = system.truncation
    assert truncation.mp2_all < truncation.mp2_kept
    assert abs(truncation.mp2_kept - system.references["mp2"]) < 1e-9
    for method in ("mp2", "ccsd", "ccsd_t"):
        assert abs(truncation.references[method] - whole.references[method]) < 1e-9
        assert f"of the {truncation.n_kept} virtual orbitals kept of 19" in system.reference_notes[method]
    record = truncation.record(system.references)
    assert record["correction"] == record["corrections"]["mp2"] == truncation.correction
    lost = whole.references["ccsd_t"] - system.references["ccsd_t"]
    assert abs(record["corrections"]["ccsd_t"] - lost) < 1e-9
    assert record["corrections"]["fci"] is None
    assert system.info.active_space == (8, 4 + truncation.n_kept)
    assert "mp2 frozen natural" in system.info.orbitals


def test_orbitals_are_orthonormal_and_canonical_in_their_space(field):
    canonical = canonical_orbitals(field)[0]
    found = frozen_natural_orbitals(field, canonical, 1, 3e-3)
    c = found.orbitals.coefficients
    assert c.shape[1] == 5 + found.n_kept < canonical.size
    assert np.abs(c.T @ field.scf.get_ovlp() @ c - np.eye(c.shape[1])).max() < 1e-10
    assert np.array_equal(c[:, :5], canonical.coefficients[:, :5])
    fock = c.T @ field.scf.get_fock() @ c
    assert np.abs(fock - np.diag(found.orbitals.energies)).max() < 1e-6  # convergence of Hartree-Fock
    assert np.all(np.diff(found.orbitals.energies[5:]) > -1e-8)
    adapted = field.scf.get_orbsym(c, field.scf.get_ovlp())
    names = [dict(zip(field.scf.mol.irrep_id, field.scf.mol.irrep_name, strict=True))[k] for k in adapted]
    assert tuple(names) == found.orbitals.irreps


@pytest.mark.parametrize("selection", [{"threshold": 3e-3}, {"most": 7}])
def test_the_same_space_as_pyscf(field, selection):
    from pyscf import cc, mp

    canonical = canonical_orbitals(field)[0]
    found = frozen_natural_orbitals(field, canonical, 1, **selection)
    solver = mp.MP2(field.scf, frozen=1)
    solver.kernel()
    frozen, coefficients = solver.make_fno(
        thresh=selection.get("threshold", 0.0), nvir_act=selection.get("most")
    )
    kept = np.setdiff1d(np.arange(canonical.size), frozen)[4:]
    overlap = found.orbitals.coefficients[:, 5:].T @ field.scf.get_ovlp() @ coefficients[:, kept]
    assert overlap.shape == (found.n_kept, found.n_kept)
    assert np.abs(np.abs(np.linalg.det(overlap)) - 1.0) < 1e-9
    assert abs(found.mp2 - solver.e_tot) < 1e-9
    if "most" in selection:
        theirs = cc.CCSD(field.scf, frozen=list(frozen), mo_coeff=coefficients).run(conv_tol=1e-9)
        ours = build_molecule(WATER, BASIS, frozen_core=True, fno_virtuals=7, fci_limit=0)
        assert abs(ours.references["ccsd"] - theirs.e_tot) < 1e-7


@pytest.mark.parametrize("method", ["mp2", "ccsd"])
def test_open_shells_are_treated_as_closed_ones_are(method):
    field = solve_mean_field(read_geometry("H2O"), "6-31g", charge=0, two_S=0)
    orbitals = canonical_orbitals(field)[0]
    closed, energy = _closed_shell_density(field, orbitals, 1, method)
    unrestricted = replace(field, scf=field.scf.to_uhf())
    opened, same = _open_shell_density(unrestricted, orbitals, 1, method)
    assert abs(energy - same) < 1e-9
    assert np.abs(closed - opened).max() < 1e-5 * closed.max()


def test_restricted_open_shells(hydroxyl):
    """One set of orbitals, occupied ones untouched, and MP2 with singles as the references have it."""
    whole = build_molecule("OH", "6-31g", frozen_core=True, fci_limit=0)
    system = build_molecule("OH", "6-31g", frozen_core=True, fci_limit=40_000, fno_threshold=3e-3)
    truncation = system.truncation
    assert (truncation.n_kept, truncation.n_virtual) == (4, 6)
    assert abs(truncation.mp2_all - whole.references["mp2"]) < 1e-9
    assert abs(truncation.mp2_kept - system.references["mp2"]) < 1e-9
    assert abs(determinant_energy(system.integrals) - whole.references["hf"]) < 1e-9
    assert (system.integrals.two_S, system.integrals.is_spin_resolved) == (1, False)
    corrections = truncation.record(system.references)["corrections"]
    # Here FCI is affordable in both spaces: the one of the Hamiltonian lies above.
    assert corrections["fci"] < -5e-3
    assert abs(corrections["mp2"] - corrections["fci"]) < 0.25 * abs(corrections["fci"])
    canonical = canonical_orbitals(hydroxyl)[0]
    found = frozen_natural_orbitals(hydroxyl, canonical, 1, 0.0)
    # With nothing left out the virtual orbitals of ROHF come back.
    overlap = found.orbitals.coefficients.T @ hydroxyl.scf.get_ovlp() @ canonical.coefficients
    assert np.abs(np.abs(overlap) - np.eye(canonical.size)).max() < 1e-6


@pytest.mark.parametrize("spin", [0, 1])
def test_integrals_that_do_not_fit_into_memory(spin):
    """Large bases have no table of integrals over atomic orbitals: the same comes out without one."""
    field = solve_mean_field(read_geometry("OH"), "sto-3g", charge=spin - 1, two_S=spin)
    orbitals = canonical_orbitals(field)[0]
    with_table = frozen_natural_orbitals(field, orbitals, 1, 0.0)
    field.scf._eri = None
    field.scf.mol.incore_anyway = False
    without = frozen_natural_orbitals(field, orbitals, 1, 0.0)
    assert abs(without.mp2 - with_table.mp2) < 1e-12
    assert np.abs(without.occupations - with_table.occupations).max() < 1e-12


def test_degenerate_orbitals_stay_together(build):
    """N2: the most occupied virtual orbitals are a pi pair, then two of sigma, then pairs and single ones."""
    pair = build("N2", "6-31g", frozen_core=True, fno_virtuals=2)
    assert pair.truncation.n_kept == 2
    assert sorted(pair.integrals.orbital_irreps[-2:]) == ["B2g", "B3g"]
    occupations = np.array(pair.truncation.occupations)
    assert abs(occupations[0] - occupations[1]) < 1e-9
    first = next(k for k in range(2, 10) if occupations[k] - occupations[k + 1] < 1e-9)
    assert build("N2", "6-31g", frozen_core=True, fno_virtuals=first + 1).truncation.n_kept == first
    just_above = float(np.nextafter(occupations[1], 1.0))
    kept = build("N2", "6-31g", frozen_core=True, fno_threshold=just_above - 1e-12).truncation.n_kept
    assert kept == 2
    with pytest.raises(InputError, match="fno_virtuals 1 would split"):
        build("N2", "6-31g", frozen_core=True, fno_virtuals=1)


def test_threshold_and_number_together(build):
    few = build("NH3", "6-31g", frozen_core=True, fno_threshold=1e-3, fno_virtuals=4).truncation
    assert (few.n_kept, few.threshold, few.most) == (4, 1e-3, 4)
    many = build("NH3", "6-31g", frozen_core=True, fno_threshold=1e-3, fno_virtuals=40).truncation
    assert many.n_kept == many.kept_at(1e-3) == 7
    assert 0 < many.dropped_occupation < 3e-3


def test_localised_orbitals_and_ccsd_density(build):
    plain = build("NH3", "6-31g", frozen_core=True, fno_threshold=1e-3)
    local = build("NH3", "6-31g", frozen_core=True, fno_threshold=1e-3, orbitals="boys")
    assert abs(local.truncation.correction - plain.truncation.correction) < 1e-9
    coupled = build("NH3", "6-31g", frozen_core=True, fno_virtuals=7, fno_density="ccsd")
    assert coupled.truncation.occupations != plain.truncation.occupations
    assert abs(coupled.truncation.correction - plain.truncation.correction) < 1e-3
    assert coupled.info.orbitals == "canonical, ccsd frozen natural"


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_saved_systems_keep_the_truncation(tmp_path, cut, suffix):
    system = cut[3e-3]
    loaded = load_problem(system.save(tmp_path / f"system{suffix}"))
    assert loaded.truncation == system.truncation
    assert isinstance(loaded.truncation, Truncation)
    assert loaded.integrals.two_body.tobytes() == system.integrals.two_body.tobytes()


def test_nothing_to_correlate(build):
    """One electron: every occupation vanishes, so that only a vanishing threshold keeps anything."""
    lone = build("H", "6-31g", fno_threshold=0.0)
    assert lone.truncation.n_dropped == 0
    assert abs(lone.truncation.correction) < 1e-12
    with pytest.raises(InputError, match="keeps no virtual orbital"):
        build("H", "6-31g", fno_threshold=1e-8)


WRONG = {
    "negative": ({"fno_threshold": -1e-4}, "fno_threshold -0.0001: give an occupation from 0 to below 2"),
    "two": ({"fno_threshold": 2}, "fno_threshold 2: give an occupation"),
    "not a number": ({"fno_threshold": float("nan")}, "fno_threshold nan"),
    "text": ({"fno_threshold": "1e-4"}, "fno_threshold '1e-4'"),
    "too high": ({"fno_threshold": 0.5}, "fno_threshold 0.5 keeps no virtual orbital, the largest"),
    "no orbitals": ({"fno_virtuals": 0}, "fno_virtuals 0: give the number"),
    "half an orbital": ({"fno_virtuals": 1.5}, "fno_virtuals 1.5: give a whole number"),
    "density": ({"fno_threshold": 1e-4, "fno_density": "cisd"}, "fno_density 'cisd' is unknown"),
    "density alone": ({"fno_density": "ccsd"}, "fno_density ccsd needs fno_threshold or fno_virtuals"),
    "active space": ({"fno_threshold": 1e-4, "active_space": (2, 2)}, "give one or the other"),
    "natural": ({"fno_virtuals": 3, "orbitals": "mp2-natural"}, "give canonical, boys or pipek-mezey"),
    "uhf": ({"fno_virtuals": 3, "reference": "uhf"}, "give 'rohf'"),
    "core": ({"fno_threshold": 1e-4, "frozen_core": 9}, "9 frozen core orbitals, but only 5"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG.keys())
def test_refusals(options, message):
    with pytest.raises(InputError, match=message):
        build_molecule("H2O", "6-31g", references=False, **options)


def test_refusals_that_depend_on_the_molecule(build):
    with pytest.raises(InputError, match="no virtual orbitals"):
        build("He", "sto-3g", fno_threshold=1e-4)
    with pytest.raises(InputError, match="both spins"):
        build("H2", "6-31g", spin=2, fno_threshold=1e-4)
