"""Inputs of public reports on which earlier versions were wrong, silent or broke: values of PySCF and ED.

Other rows of that list have their tests beside the code: potentials of bases, multiplicities, ghosts and
labelled atoms, the ground state's sector, folders that vanish, stops in the final sampling.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hamiltonians import build_molecule, read_fcidump, read_geometry
from hamiltonians.lattice.lattice_spec import LatticeSpec
from nnbf.cli import main
from nnbf.drivers.ground_sector import exact_ground_energies

BUGS = Path(__file__).parent / "data" / "bugs"
FOLDERS = Path(__file__).parent / "fixtures" / "folders"
PROGRAM = "import sys; from nnbf.cli.main import main; sys.exit(main())"


def program(*words, **environment):
    """Run the program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_the_default_sector_is_that_of_the_ground_state(tmp_path, capsys):
    words = ["hubbard", "--size", "4x1", "--particles", "2,2", "--interaction", "-4"]
    assert main(["lattice", *words, "--dry-run"]) == 0
    assert "(0,0)" in capsys.readouterr().out


@pytest.mark.slow
def test_the_ground_state_of_the_attractive_ring(tmp_path):
    words = ["hubbard", "--size", "4x1", "--particles", "2,2", "--interaction", "-4", "--quiet"]
    assert main(["lattice", *words, "--out", str(tmp_path / "run")]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["energy"] == pytest.approx(-10.10274848, abs=1e-6)
    assert result["warnings"] == []


def test_second_neighbours_on_a_chain():
    chain = LatticeSpec("tv", size="6x1", particles="2", interaction=1.0, next_hopping=0.5).build()
    assert min(exact_ground_energies(chain).values()) == pytest.approx(-3.35892320, abs=1e-8)


@pytest.mark.parametrize("comment", [None, "-1 2", "charge=-1 multiplicity=2"])
def test_charges_in_comments(tmp_path, comment):
    path = BUGS / "total_charge.xyz"
    if comment is not None:
        lines = path.read_text().splitlines()
        path = tmp_path / "m.xyz"
        path.write_text("\n".join([lines[0], comment, *lines[2:]]))
    geometry = read_geometry(path)
    assert (geometry.charge, geometry.two_S) == (-1, 1)


def test_files_in_bohr():
    system = build_molecule(BUGS / "lih_in_bohr.xyz", unit="bohr", references=False)
    assert system.references["hf"] == pytest.approx(-7.86224631, abs=1e-8)


@pytest.mark.parametrize(
    ("name", "fci"),
    [
        pytest.param("hubbard_ring40", -3.98881222, marks=pytest.mark.slow),
        ("iuhf_true_norb6", -74.38718474),
    ],
)
def test_files_of_integrals(name, fci):
    system = read_fcidump(BUGS / f"{name}.fcidump")
    assert system.references["fci"] == pytest.approx(fci, abs=1e-8)


@pytest.mark.parametrize(
    ("molecule", "fci"),
    [
        ("H 0 0 0; H 0 0 6", -0.93316370),
        pytest.param("N 0 0 0; N 0 0 5", -107.43802317, marks=pytest.mark.slow),
        ("H6-ring-10", -2.79949110),
    ],
)
def test_coupled_cluster_of_broken_bonds_costs_no_run(molecule, fci):
    """DIIS meets singular matrices there."""
    system = build_molecule(molecule)
    assert system.references["fci"] == pytest.approx(fci, abs=1e-7)
    assert "not to be trusted" in system.reference_notes["mp2"]


@pytest.mark.slow
@pytest.mark.parametrize("distance", [1.7, 1.8, 1.9])
def test_carbon_dimer(distance):
    system = build_molecule(f"C 0 0 0; C 0 0 {distance}")
    fci = system.references["fci"]
    assert fci is not None
    if distance == 1.8:
        assert fci == pytest.approx(-74.53029231, abs=1e-7)


@pytest.mark.parametrize("name", ["water_qm9", "bom"])
def test_dialects_of_geometries(name):
    geometry = read_geometry(BUGS / f"{name}.xyz")
    assert geometry.formula == ("H2O" if name == "water_qm9" else geometry.formula)
    assert geometry.warnings == ()


def test_a_device_that_is_not_there():
    done = program("molecule", "H2", "--dry-run", JAX_PLATFORMS="cuda")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "JAX_PLATFORMS" in done.stderr


@pytest.mark.slow
def test_back_ends_of_notebooks(tmp_path):
    run = shutil.copytree(FOLDERS / "lih_selected", tmp_path / "run")
    done = program("report", run, "--quiet", MPLBACKEND="module://matplotlib_inline.backend_inline")
    assert (done.returncode, done.stderr) == (0, "")
    assert list((run / "report").glob("*.png"))
