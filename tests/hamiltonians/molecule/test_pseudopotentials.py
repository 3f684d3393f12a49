"""Bases for effective core potentials have theirs, or are refused."""

import pytest
from pyscf import gto

from hamiltonians import InputError, build_molecule
from hamiltonians.molecule.basis_sets import resolve_basis, resolve_ecp
from hamiltonians.molecule.pseudopotentials import check_potentials


@pytest.mark.parametrize(
    ("element", "basis", "potential"),
    [
        ("Au", "aug-cc-pVDZ-PP", "cc-pvdz-pp"),
        ("Zn", "cc-pwCVTZ-PP", "cc-pvtz-pp"),
        ("I", "def2-mTZVPP", "def2-tzvp"),
        ("I", "def2-mtzvp", "def2-tzvp"),
        ("Na", "ccecp-he-cc-pvdz", "ccecp-he"),
        ("Fe", "ccecp-cc-pvdz", "ccecp"),
        ("Au", "def2-svp", "def2-svp"),
    ],
)
def test_the_potential_is_the_one_given_by_hand(element, basis, potential):
    parsed, ((_, name),) = resolve_ecp([element], basis, None)
    assert parsed[element] == gto.basis.load_ecp(potential, element)
    assert name.replace("-", "") == potential.replace("-", "")


@pytest.mark.parametrize(("element", "basis"), [("Zn", "bfd-vtz"), ("Ag", "cc-pvdz-pp-nr"), ("Au", "minao")])
def test_without_a_potential_a_basis_is_refused(element, basis):
    shells = resolve_basis([element], basis)
    with pytest.raises(InputError, match=f"basis of {element} is made for an effective core potential"):
        check_potentials(shells, {}, refused=False)
    assert "without one" in check_potentials(shells, {}, refused=True)[0]


@pytest.mark.parametrize("basis", ["sto-3g", "minao", "3-21g", "cc-pvdz", "def2-svp", "pc-0"])
def test_bases_of_all_electrons_need_none(basis):
    shells = resolve_basis(["H", "He", "Li", "O", "Cl"], basis)
    assert check_potentials(shells, {}, refused=False) == ()


def test_energy_with_the_potential():
    """PySCF with the potential given by hand (gto.M(..., ecp={"Zn": "cc-pvdz-pp"}))."""
    basis = {"Zn": "cc-pwcvdz-pp", "H": "sto-3g"}
    atoms = "Zn 0 0 0; H 0 0 1.6"
    found = build_molecule(atoms, basis, spin=1, active_space=(1, 1), references=False, symmetry=False)
    molecule = gto.M(atom=atoms, basis=basis, ecp={"Zn": "cc-pvdz-pp"}, spin=1, verbose=0, parse_arg=False)
    assert found.references["hf"] == pytest.approx(molecule.ROHF().run(conv_tol=1e-11).e_tot, abs=1e-7)
