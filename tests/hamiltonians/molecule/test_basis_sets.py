"""Basis sets by name, label and file: names are never files, and no text is evaluated."""

import subprocess
import sys

import pytest

from hamiltonians import InputError, build_molecule
from hamiltonians.molecule.basis_sets import resolve_basis, resolve_ecp

PLANTED = "(open('MARKER','w').close()or(0.5))"
BASIS = f"#BASIS SET: x\nH    S\n  3.4 {PLANTED}\n  0.6 0.5\n#END\n"
POTENTIAL = f"\n\nECP\n\nH nelec 0\nH ul\n2 {PLANTED} 0.5\nEND\n"
NAMES = ("sto-3g", "sto3g", "6-31g", "mine", "mine.nw", "ccecp", "6-31G(d,p)")


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A folder with files under the names of basis sets, whose text leaves a mark where it is run."""
    for name in NAMES:
        (tmp_path / name).write_text(BASIS)
    (tmp_path / "evilecp").write_text(POTENTIAL)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "MARKER").exists()


def test_names_are_not_files(planted):
    for name in ("sto-3g", "6-31g", "6-31G(d,p)"):
        with_file = resolve_basis(["H"], name)["H"]
        (planted / name).unlink()
        assert with_file == resolve_basis(["H"], name)["H"]
    for name in ("mine", "mine.nw", "./mine", str(planted / "mine"), BASIS, "mine@2s"):
        with pytest.raises(InputError, match="is unknown"):
            resolve_basis(["H"], name)
    for name in ("evilecp", "./evilecp", POTENTIAL):
        with pytest.raises(InputError, match=r"potential .* is unknown") as error:
            resolve_ecp(["H"], "sto-3g", name)
        assert "\n" not in str(error.value)
    assert resolve_ecp(["N"], "ccecp-cc-pvdz", None)[1] == (("N", "ccecp"),)


def test_a_configuration_of_pyscf_in_the_current_folder_is_not_run(tmp_path):
    (tmp_path / ".pyscf_conf.py").write_text("open('MARKER', 'w')")
    code = f"import sys; sys.path[:] = {sys.path!r}; import hamiltonians; from pyscf import __config__"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert not (tmp_path / "MARKER").exists()


@pytest.mark.parametrize("name", ["6-31g@x@y", "6-31g@", "ano@9s", "a" * 5000, "gth-dzvp", "x\0"])
def test_names_that_mean_nothing(name):
    with pytest.raises(InputError, match="basis ") as error:
        resolve_basis(["H"], name)
    assert len(str(error.value)) < 300


def test_tables_of_every_kind():
    """Some have no potential, and some are no files of one basis: none is an error."""
    for name in ("dyall-v2z", "minao", "dzp-dunning", "cc-pcvdz", "6-31g**", "ano@3s2p1d"):
        assert resolve_basis(["O"], name)["O"]
        assert resolve_ecp(["O"], name, None) == ({}, ())


def mole(atom, basis):
    """Return the Hartree-Fock energy by PySCF alone."""
    from pyscf import gto, scf

    mol = gto.M(atom=atom, basis=basis, verbose=0, parse_arg=False)
    return scf.RHF(mol).run(conv_tol=1e-12).e_tot


WATER = "O 0 0 0.1173; H1 0 0.7572 -0.4692; H2 0 -0.7572 -0.4692"


@pytest.mark.parametrize(
    ("molecule", "basis", "pyscf_basis"),
    [
        (WATER, "default=sto-3g,O=6-31g", {"default": "sto-3g", "O": "6-31g"}),
        (WATER, "H1=6-31g(d,p),h=sto-3g,O=sto-3g", {"H1": "6-31g(d,p)", "H": "sto-3g", "O": "sto-3g"}),
        ("O 0 0 0; H 0 0.757 0.587; H 0 -0.757 0.587", "dyall-v2z", "dyall-v2z"),
        ("O 0 0 0; H 0 0.757 0.587; H 0 -0.757 0.587", "minao", "minao"),
        ("ghost-H 0 0 0; H 0 0 1.5; H 0 0 2.2", "6-31g", "6-31g"),
    ],
    ids=["default", "label", "dyall", "minao", "ghost"],
)
def test_atoms_with_a_basis_of_their_own_are_as_in_pyscf(molecule, basis, pyscf_basis):
    system = build_molecule(molecule, basis, references=False)
    assert system.references["hf"] == pytest.approx(mole(molecule, pyscf_basis), abs=1e-8)


def test_a_label_that_no_atom_has():
    with pytest.raises(InputError, match="no atom has this label"):
        build_molecule(WATER, "default=sto-3g,H7=6-31g", references=False)
