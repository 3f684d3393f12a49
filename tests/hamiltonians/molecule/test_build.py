import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from hamiltonians import (
    InputError,
    build_molecule,
    determinant_energy,
    fci_energy_of_integrals,
    irrep_bits,
    parse_active_space,
)
from hamiltonians.molecule.basis_sets import resolve_ecp
from hamiltonians.molecule.orbitals import canonical_orbitals
from hamiltonians.molecule.pseudo_scf import fock_matrices

# HF and FCI in STO-3G on the common benchmark geometries, Hartree; two independent groups agree.
FINGERPRINTS = {
    "H2": (-1.0661086493179361, -1.1011503302326182),
    "LiH": (-7.7673621357485745, -7.784460280031234),
    "H2O": (-74.96444758277089, -75.01553018949251),
    "O2": (-147.63194812048405, -147.75023459364635),
    "NH3": (-55.45479264504286, -55.52114983259939),
    "N2": (-107.49896754458376, -107.66020642005822),
    "CH4": (-39.72658171185198, -39.806259249152255),
    "C2": (-74.42085974331293, -74.69078191913441),
    "Li2O": (-87.79556721423003, None),
    "C2H4O": (-150.9276087438698, None),
    "C3H6": (-115.65794167174586, None),
    "Na2CO3": (-575.0161029166808, None),
}

# Followed (`stable`): 4.2 (O2, ROHF) and 1.7 mHa (C2, RHF) lower, in UHF 4.2 (C3H6) and 11.1 mHa (Na2CO3).
UNSTABLE = {"O2": "internally", "C2": "internally", "C3H6": "externally", "Na2CO3": "externally"}


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_fingerprint(build, name):
    hf, fci = FINGERPRINTS[name]
    system = build(name)
    assert system.references["hf"] == pytest.approx(hf, abs=1e-8)
    assert determinant_energy(system.integrals) == pytest.approx(hf, abs=1e-8)
    assert system.info.scf_converged
    # Nothing but instabilities, where a lower solution is known.
    kinds = [re.search(r"unstable .*\((\w+)\)", line)[1] for line in system.info.warnings]
    assert kinds == [kind for unstable, kind in UNSTABLE.items() if unstable == name]
    if fci is not None:
        assert fci_energy_of_integrals(system.integrals) == pytest.approx(fci, abs=1e-7)


def test_description(build):
    info = build("O2", frozen_core=True).info
    assert (info.formula, info.name, info.basis, info.charge, info.two_S) == ("O2", "O2", "sto-3g", 0, 2)
    assert (info.reference_method, info.orbitals, info.point_group) == ("ROHF", "canonical", "Dooh")
    assert (info.n_frozen_core, info.active_space) == (2, (12, 8))
    assert info.atoms[0] == ("O", (-0.616, 0.0, 0.0))


def test_occupied_orbitals_come_first_by_energy(build):
    integrals = build("O2").integrals
    assert (integrals.n_alpha, integrals.n_beta, integrals.two_S) == (9, 7, 2)
    assert integrals.reference_occupation == (tuple(range(9)), tuple(range(7)))
    water = build("H2O").integrals
    full = water.unpack_two_body()
    occupied = range(water.n_alpha)
    fock = water.one_body + sum(2 * full[:, :, i, i] - full[:, i, i, :] for i in occupied)
    assert np.abs(fock - np.diag(np.diag(fock))).max() < 1e-5
    levels = np.diag(fock)
    assert np.all(np.diff(levels[:5]) > 0)
    assert np.all(np.diff(levels[5:]) > 0)


def test_symmetry_changes_no_energy(build):
    plain = build("N2", symmetry=False)
    assert plain.integrals.orbital_irreps is None
    assert fci_energy_of_integrals(plain.integrals) == pytest.approx(FINGERPRINTS["N2"][1], abs=1e-8)


def test_broken_symmetry_solution_is_taken_where_it_is_lower(build):
    stretched = "H 0 0 0; H 0 0 2.5"
    restricted = build(stretched).references["hf"]
    system = build(stretched, reference="uhf")
    assert system.references["hf"] < restricted - 0.05
    assert system.info.reference_method == "UHF"
    assert system.integrals.is_spin_resolved
    assert system.integrals.point_group in (None, "C2v")  # never D2h: the spins sit on different atoms


# ---- frozen core and active spaces ---------------------------------------------------------------


def _complete_active_space_energy(molecule, n_electrons, n_orbitals, basis="sto-3g"):
    """The same by PySCF's own CASCI."""
    from pyscf import gto, mcscf, scf

    atoms = molecule.info.atoms
    mol = gto.M(atom=list(atoms), basis=basis, spin=molecule.info.two_S, verbose=0, parse_arg=False)
    mf = scf.RHF(mol).run(conv_tol=1e-12) if mol.spin == 0 else scf.ROHF(mol).run(conv_tol=1e-12)
    solver = mcscf.CASCI(mf, n_orbitals, n_electrons)
    solver.verbose = 0
    solver.fcisolver.conv_tol = 1e-11
    return solver.kernel()[0]


@pytest.mark.parametrize(
    ("name", "options", "electrons", "orbitals"),
    [
        ("N2", {"frozen_core": True}, 10, 8),
        ("N2", {"active_space": (10, 8)}, 10, 8),
        ("N2", {"active_space": "6,6"}, 6, 6),
        ("N2", {"active_space": ("energy", -2.0, 2.0)}, 10, 8),
        ("N2", {"active_space": "orbitals:4-9"}, 6, 6),
        ("LiH", {"frozen_core": 1}, 2, 5),
        ("LiH", {"active_space": (2, 2)}, 2, 2),
        ("O2", {"frozen_core": True}, 12, 8),
        ("O2", {"active_space": (8, 6)}, 8, 6),
    ],
)
def test_active_space_energy(build, name, options, electrons, orbitals):
    system = build(name, **options)
    integrals = system.integrals
    assert (integrals.n_electrons, integrals.n_orbitals) == (electrons, orbitals)
    assert system.info.active_space == (electrons, orbitals)
    assert determinant_energy(integrals) == pytest.approx(FINGERPRINTS[name][0], abs=1e-8)
    expected = _complete_active_space_energy(system, electrons, orbitals)
    assert fci_energy_of_integrals(integrals) == pytest.approx(expected, abs=1e-7)
    assert expected > FINGERPRINTS[name][1]


def test_uhf_with_frozen_core(build):
    system = build("OH", reference="uhf", frozen_core=True)
    assert determinant_energy(system.integrals) == pytest.approx(system.references["hf"], abs=1e-8)
    assert system.integrals.n_orbitals == 5
    whole = fci_energy_of_integrals(build("OH").integrals)
    assert whole < fci_energy_of_integrals(system.integrals) < system.references["hf"]


def test_avas_keeps_the_mean_field_energy_and_the_irreps(build):
    system = build("N2_eq", active_space="avas:N 2s,N 2p", basis="cc-pvdz")
    integrals = system.integrals
    assert integrals.n_electrons == 10
    assert integrals.n_orbitals == 8
    assert integrals.point_group == "D2h"
    assert len(set(irrep_bits(integrals).tolist())) > 1
    assert determinant_energy(integrals) == pytest.approx(system.references["hf"], abs=1e-7)
    # Better than as many canonical orbitals: that is what it is for.
    canonical = build("N2_eq", active_space=(10, 8), basis="cc-pvdz")
    assert fci_energy_of_integrals(integrals) < fci_energy_of_integrals(canonical.integrals) - 0.01


def test_avas_of_an_open_shell(build):
    system = build("O2", active_space=("avas", "O 2p"))
    assert system.integrals.two_S == 2
    assert determinant_energy(system.integrals) == pytest.approx(FINGERPRINTS["O2"][0], abs=1e-7)
    assert fci_energy_of_integrals(system.integrals) >= FINGERPRINTS["O2"][1]


@pytest.mark.parametrize(
    ("text", "space"),
    [
        ("6,6", (6, 6)),
        (" CAS: 6 , 8 ", (6, 8)),
        ("energy:-1.0,1.5", ("energy", -1.0, 1.5)),
        ("orbitals:2-4,9", ("indices", [2, 3, 4, 9])),
        ("avas:N 2p,O 2p", ("avas", ["N 2p", "O 2p"])),
    ],
)
def test_parse_active_space(text, space):
    assert parse_active_space(text) == space


@pytest.mark.parametrize(
    "text",
    ["", "6", "6,6,6", "six,six", "energy:1", "orbitals:", "orbitals:4-2", "avas:", "magic:1,2", "a:1:2,3"],
)
def test_parse_active_space_rejects(text):
    with pytest.raises(InputError, match=r"active space .* give"):
        parse_active_space(text)


# ---- orbitals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("orbitals", ["mp2-natural", "ccsd-natural", "boys", "pipek-mezey"])
@pytest.mark.parametrize("name", ["H2O", "O2", "N2"])
def test_fci_does_not_depend_on_the_orbitals(build, name, orbitals):
    system = build(name, orbitals=orbitals)
    assert system.info.orbitals == orbitals
    assert fci_energy_of_integrals(system.integrals) == pytest.approx(FINGERPRINTS[name][1], abs=1e-8)
    assert not np.allclose(system.integrals.one_body, build(name).integrals.one_body, atol=1e-3)
    if orbitals.endswith("natural"):
        assert system.integrals.point_group == build(name).integrals.point_group
    else:
        assert system.integrals.orbital_irreps is None
        assert determinant_energy(system.integrals) == pytest.approx(FINGERPRINTS[name][0], abs=1e-8)


@pytest.mark.parametrize(("name", "options"), [("H2O", {}), ("O2", {"reference": "uhf", "spin": 2})])
def test_lowdin_orbitals_are_one_set_close_to_atomic_ones(build, name, options):
    system = build(name, orbitals="lowdin", **options)
    assert not system.integrals.is_spin_resolved
    assert system.integrals.orbital_irreps is None
    assert fci_energy_of_integrals(system.integrals) == pytest.approx(FINGERPRINTS[name][1], abs=1e-8)


def test_lowdin_reference_has_an_electron_at_each_stretched_atom():
    system = build_molecule("H4-chain-1.8", "sto-6g", orbitals="lowdin", references=False)
    alpha, beta = system.integrals.reference_occupation
    assert sorted((*alpha, *beta)) == [0, 1, 2, 3]


@pytest.mark.parametrize("given", [{"frozen_core": True}, {"active_space": "2,2"}, {"fno_virtuals": 2}])
def test_lowdin_orbitals_need_the_whole_space(given):
    with pytest.raises(InputError, match="lowdin"):
        build_molecule("H2O", "sto-3g", orbitals="lowdin", **given)


@pytest.mark.parametrize("reference", ["rohf", "uhf"])
def test_natural_orbitals_of_an_open_shell_are_one_set(build, reference):
    system = build("OH", orbitals="mp2-natural", reference=reference)
    assert not system.integrals.is_spin_resolved
    expected = fci_energy_of_integrals(build("OH").integrals)
    assert fci_energy_of_integrals(system.integrals) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("orbitals", ["boys", "pipek-mezey"])
def test_localisation_keeps_core_and_valence_apart(build, orbitals):
    fock = fock_matrices(build("N2", orbitals=orbitals).integrals)[0]
    assert np.allclose(np.diag(fock)[:2], -15.5, atol=0.1)
    assert np.abs(fock[:2, 2:7]).max() < 1e-5


def test_occupied_orbitals_come_first_even_above_empty_ones():
    """ROHF levels need not follow the occupation."""
    from pyscf import gto

    field = SimpleNamespace(
        group=None,
        scf=SimpleNamespace(
            mol=gto.M(atom="; ".join(f"H 0 0 {z}" for z in range(5)), spin=1),
            mo_coeff=np.eye(5),
            mo_energy=np.array([-0.5, 0.3, -2.0, -0.1, 0.2]),
            mo_occ=np.array([0.0, 1.0, 2.0, 0.0, 2.0]),
        ),
    )
    (orbitals,) = canonical_orbitals(field)
    assert orbitals.occupation.tolist() == [2, 2, 1, 0, 0]
    assert orbitals.energies.tolist() == [-2.0, 0.2, 0.3, -0.5, -0.1]
    assert np.argmax(np.abs(orbitals.coefficients), axis=0).tolist() == [2, 4, 1, 0, 3]


def test_natural_orbitals_make_small_active_spaces_better(build):
    natural = build("N2_eq", "cc-pvdz", active_space=(6, 8), orbitals="mp2-natural")
    canonical = build("N2_eq", "cc-pvdz", active_space=(6, 8))
    gain = fci_energy_of_integrals(canonical.integrals) - fci_energy_of_integrals(natural.integrals)
    assert gain > 0.01


def test_localised_uhf_orbitals(build):
    system = build("OH", orbitals="boys", reference="uhf")
    expected = fci_energy_of_integrals(build("OH").integrals)
    assert fci_energy_of_integrals(system.integrals) == pytest.approx(expected, abs=1e-8)
    assert determinant_energy(system.integrals) == pytest.approx(system.references["hf"], abs=1e-8)


# ---- open shells, charges, effective cores -------------------------------------------------------


def test_uhf_radical(build):
    from pyscf import gto, scf

    system = build("OH", "6-31g", reference="uhf")
    mol = gto.M(atom=list(system.info.atoms), basis="6-31g", spin=1, verbose=0, parse_arg=False)
    expected = scf.UHF(mol).run(conv_tol=1e-12).e_tot
    assert system.references["hf"] == pytest.approx(expected, abs=1e-8)
    assert determinant_energy(system.integrals) == pytest.approx(expected, abs=1e-8)
    assert system.references["hf"] < build("OH", "6-31g").references["hf"] - 1e-4
    # Beta orbitals follow the irreps of alpha ones, so beta holes may lie below beta particles.
    bits = irrep_bits(system.integrals)
    assert bits.any()
    for h in system.integrals.one_body:
        assert not h[(bits[:, None] ^ bits[None, :]) != 0].any()


@pytest.mark.parametrize("reference", ["rohf", "uhf"])
def test_uhf_and_rohf_share_their_fci(build, reference):
    energies = fci_energy_of_integrals(build("NO", reference=reference).integrals)
    assert energies == pytest.approx(-127.65934781077138, abs=1e-7)


def test_effective_core_potential_is_in_the_integrals(build):
    """Kinetic plus bare nuclear attraction would be 36 mHa off."""
    from pyscf import gto, scf

    system = build("NaH", "lanl2dz")
    assert system.info.ecp == (("Na", "lanl2dz"),)
    assert system.integrals.n_electrons == 2
    mol = gto.M(atom=list(system.info.atoms), basis="lanl2dz", ecp="lanl2dz", verbose=0, parse_arg=False)
    expected = scf.RHF(mol).run(conv_tol=1e-12).e_tot
    assert system.references["hf"] == pytest.approx(expected, abs=1e-8)
    assert determinant_energy(system.integrals) == pytest.approx(expected, abs=1e-8)


def test_effective_core_can_be_named_or_refused(build):
    assert build("NaH", "lanl2dz", ecp=False).integrals.n_electrons == 12
    assert build("LiH", ecp=None).info.ecp == ()
    assert build("H 0 0 0; I 0 0 1.6", "def2-svp", frozen_core=True).info.ecp == (("I", "def2-svp"),)


@pytest.mark.parametrize(
    ("basis", "element", "potential"),
    [
        ("ccecp-cc-pvdz", "N", "ccecp"),
        ("bfd-vdz", "N", "bfd"),
        ("cc-pvdz-pp", "I", "cc-pvdz-pp"),
        ("stuttgart", "Na", "stuttgart"),
        ("lanl2dz", "N", None),
        ("cc-pvdz", "Na", None),
        ("cc-pcvdz", "Be", None),
    ],
)
def test_effective_core_belongs_to_the_basis(basis, element, potential):
    expected = () if potential is None else ((element, potential),)
    assert resolve_ecp([element], basis, None)[1] == expected


def test_basis_by_element():
    system = build_molecule("LiH", {"Li": "6-31g", "H": "sto-3g"}, references=False)
    assert system.integrals.n_orbitals == 10


def test_charge_and_spin(build):
    cation = build("H2", charge=1)
    assert (cation.integrals.n_alpha, cation.integrals.n_beta, cation.info.two_S) == (1, 0, 1)
    triplet = build("H2", spin=2)
    assert (triplet.integrals.n_alpha, triplet.integrals.n_beta) == (2, 0)
    assert build("O2", charge=1).info.two_S == 1  # the triplet of the file is of the neutral molecule
    assert build("O2", spin=0).info.two_S == 0


def test_large_basis_stays_packed(build):
    integrals = build("H2_eq", "cc-pvqz").integrals
    assert integrals.n_orbitals == 60
    assert integrals.two_body.shape == (1830, 1830)
    assert integrals.n_electrons == 2


def test_nothing_is_printed(capfd):
    build_molecule("OH", references=True)
    build_molecule("N2", active_space="avas:N 2p", orbitals="boys")
    assert capfd.readouterr() == ("", "")


def test_command_line_is_not_parsed(monkeypatch, capfd, tmp_path):
    """PySCF can be configured to parse sys.argv, which belongs to our own commands."""
    from pyscf import gto

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gto.Mole.build, "__defaults__", (False, True, *gto.Mole.build.__defaults__[2:]))
    monkeypatch.setattr(sys, "argv", ["nnbf", "-v", "9", "-o", "somewhere"])
    assert build_molecule("LiH").references["ccsd"] < -7.78
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_builds_are_reproducible(build):
    again = build_molecule("N2", references=False)
    assert np.array_equal(again.integrals.two_body, build("N2").integrals.two_body)


def test_unconverged_mean_field_says_so(monkeypatch):
    from hamiltonians.molecule import mean_field

    original = mean_field._new_scf

    def hopeless(*arguments):
        field = original(*arguments)
        field.max_cycle = 0
        # The second-order solver fails as well.
        field.newton = lambda: SimpleNamespace(converged=False, e_tot=0.0, kernel=lambda *_: None)
        return field

    monkeypatch.setattr(mean_field, "_new_scf", hopeless)
    system = build_molecule("LiH", references=False)
    assert not system.info.scf_converged
    assert any("DID NOT CONVERGE" in warning for warning in system.info.warnings)
    assert "did not converge" in system.reference_notes["hf"]


# ---- what users get wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("molecule", "options", "message"),
    [
        ("N2_e", {}, "nearest bundled names: .*N2_eq"),
        ("N2", {"basis": "sto-33g"}, "basis 'sto-33g' is unknown: nearest: sto3g"),
        ("N2", {"basis": ""}, "no basis for N"),
        ("N2", {"basis": {"O": "sto-3g"}}, "no basis for N"),
        ("U 0 0 0", {"basis": "cc-pvdz"}, "not available for U"),
        ("NaH", {"ecp": "nonsense"}, "potential 'nonsense' is unknown"),
        ("N2", {"spin": 1}, "14 electrons cannot have spin 2S = 1"),
        ("N2", {"spin": -2}, "cannot have spin"),
        ("N2", {"spin": 16}, "cannot have spin"),
        ("OH", {"spin": 0}, "9 electrons cannot have spin 2S = 0"),
        ("OH", {"reference": "rhf"}, "'rhf' needs 2S = 0"),
        ("N2", {"reference": "mrci"}, "reference 'mrci' is unknown"),
        ("N2", {"charge": 14}, "leaves N2 with 0 electrons"),
        ("N2", {"charge": 0.5}, "whole number"),
        ("He", {"spin": 2}, "alpha electrons into 1 orbitals"),
        ("NaH", {"basis": "lanl2dz", "charge": 2}, "effective core"),
        ("N 0 0 0; N 0 0 0.1", {}, "apart"),
        ("N2", {"unit": "mile"}, "'angstrom' or 'bohr'"),
        ("N2", {"orbitals": "magic"}, "orbitals 'magic' are unknown"),
        ("N2", {"fci_limit": -1}, "fci_limit"),
        ("N2", {"frozen_core": 8}, "only 7 are doubly occupied"),
        ("N2", {"frozen_core": -1}, "frozen_core -1"),
        ("N2", {"frozen_core": "yes"}, "frozen_core 'yes'"),
        ("N2", {"spin": "2"}, "whole number"),
        ("N2", {"spin": float("nan")}, "whole number"),
        ("N2", {"active_space": ("energy", "low", "high")}, "energy window"),
        ("N2", {"active_space": ("magic", 3)}, "'magic'"),
        ("N2", {"active_space": (6, 6, 6)}, "give .electrons, orbitals"),
        ("N2", {"active_space": ()}, "not understood"),
        ("N2", {"active_space": 6}, "not understood"),
        ("N2", {"active_space": ("indices", 3)}, "not understood"),
        ("N2", {"active_space": ("energy", 3.0)}, "not understood"),
        ("N2", {"active_space": ("avas", ["N 2p"]), "orbitals": "ccsd-natural"}, "Hartree-Fock orbitals"),
        ("N" * 5000, {}, "unknown"),
        ("N\0", {}, "unknown"),
        ("Cr2", {"basis": "ano"}, "more than the 220"),
        ("N2", {"active_space": (6, 12)}, "does not fit"),
        ("N2", {"active_space": (16, 10)}, "16 active of 14"),
        ("N2", {"active_space": (5, 5)}, "leaves pairs frozen"),
        ("N2", {"active_space": (12, 4)}, "twice the orbitals"),
        ("N2", {"active_space": (6, -2)}, "twice the orbitals"),
        ("N2", {"active_space": "6;6"}, "not understood"),
        ("N2", {"active_space": (10, 8), "frozen_core": 4}, "reaches into"),
        ("N2", {"active_space": ("energy", 1.0, -1.0)}, "lowest < highest"),
        ("N2", {"active_space": ("energy", 3.0, 9.0)}, "does not hold the gap"),
        ("N2", {"active_space": ("energy", -1.0, 1.0), "orbitals": "mp2-natural"}, "Hartree-Fock orbitals"),
        ("N2", {"active_space": ("indices", [6, 99])}, "orbital 99 does not exist"),
        ("N2", {"active_space": ("indices", [6, 6])}, "without repeats"),
        ("N2", {"active_space": ("indices", [])}, "without repeats"),
        ("O2", {"active_space": ("indices", [7, 9])}, "singly occupied"),
        ("N2", {"active_space": ("avas", ["O 2p"])}, "'O 2p' names no atomic orbital"),
        ("OH", {"active_space": ("avas", ["O 2p"]), "reference": "uhf"}, "rohf"),
    ],
)
def test_wrong_input(molecule, options, message):
    with pytest.raises(InputError, match=message) as error:
        build_molecule(molecule, **{"references": False, **options})
    assert "\n" not in str(error.value)
