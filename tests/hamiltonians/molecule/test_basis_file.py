"""Basis sets and potentials of files: as PySCF has them, text is never evaluated."""

import pytest

from hamiltonians import InputError, build_molecule
from hamiltonians.molecule.basis_file import read_basis_file
from hamiltonians.molecule.basis_sets import resolve_basis, resolve_ecp

GAUSSIAN = """! STO-3G
****
H     0
S    3   1.00
      3.42525091D+00         0.15432897
      0.62391373             0.53532814
      0.16885540             0.44463454
****
O     0
S    3   1.00
    130.7093200              0.15432897
     23.8088610              0.53532814
      6.4436083              0.44463454
SP   3   1.00
      5.0331513             -0.09996723             0.15591627
      1.1695961              0.39951283             0.60768372
      0.3803890              0.70011547             0.39195739
****
"""
POTENTIAL = """
AU     0
S  2  1.00
  10.0  0.2
   2.5  0.8
****

AU     0
AU-ECP     1     60
p potential
  1
2      1.0000000              0.0000000
s-p potential
  2
2     13.2051000            426.7098400
2      6.6025500             35.9388240
"""


@pytest.fixture
def written(tmp_path):
    def write(text, name="mine.nw"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def test_gaussian(written):
    found = read_basis_file(written(GAUSSIAN))
    assert found.basis == resolve_basis(["H", "O"], "sto-3g")
    assert found.potentials == {}


@pytest.mark.parametrize(
    ("name", "elements"), [("def2-svp", ("H", "I")), ("cc-pvtz", ("O",)), ("6-31g", ("C", "H"))]
)
def test_nwchem(written, name, elements):
    from pyscf.gto.basis.parse_nwchem import convert_basis_to_nwchem, convert_ecp_to_nwchem, parse

    basis, (potentials, _) = resolve_basis(elements, name), resolve_ecp(elements, name, None)
    shells = "".join(f"#BASIS SET: x\n{convert_basis_to_nwchem(e, shells)}\n" for e, shells in basis.items())
    parts = "".join(f"{convert_ecp_to_nwchem(e, part)}\n" for e, part in potentials.items())
    found = read_basis_file(written(f'BASIS "ao basis" SPHERICAL PRINT\n{shells}END\nECP\n{parts}END\n'))
    assert found.basis == {element: parse(shells, element) for element in elements}
    assert found.potentials == potentials


def test_potentials_of_gaussian(written):
    found = read_basis_file(written(POTENTIAL))
    empty = [[], [], [], [], [], [], []]
    local, s = [*empty], [*empty]
    s[2] = [[13.2051, 426.70984], [6.60255, 35.938824]]
    assert found.potentials == {"Au": [60, [[-1, local], [0, s]]]}


def test_scaled_exponents(written):
    scaled = GAUSSIAN.replace("S    3   1.00", "S    3   2.00")
    assert read_basis_file(written(scaled)).basis["H"][0][1][0] == pytest.approx(4 * 3.42525091)


def test_energy_and_names(written):
    path = written(GAUSSIAN)
    water = "O 0 0 0; H1 0.7 0 0.6; H2 -0.7 0 0.6"
    system = build_molecule(water, basis_file=path, references=False)
    assert system.info.basis == "mine.nw"
    named = build_molecule(water, "sto-3g", references=False)
    assert system.references["hf"] == pytest.approx(named.references["hf"], abs=1e-10)
    mixed = build_molecule(water, "H1=6-31g", basis_file=path, references=False)
    assert mixed.info.basis == "mine.nw, H1: 6-31g"
    by_name = build_molecule(water, "H1=6-31g,default=sto-3g", references=False)
    assert mixed.references["hf"] == pytest.approx(by_name.references["hf"], abs=1e-10)


def test_the_potential_of_the_file_is_that_of_its_basis(written):
    file = read_basis_file(written(POTENTIAL))
    assert resolve_ecp(["Au"], {}, None, file) == (file.potentials, (("Au", "mine.nw"),))
    assert resolve_ecp(["Au"], {"Au": "def2-svp"}, None, file)[1] == (("Au", "def2-svp"),)
    assert resolve_ecp(["Au"], {}, False, file) == ({}, ())


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "has no basis set"),
        ("H S\n 1.0 x\n", {}, "line 2: 'x' is not understood"),
        ("H S\n 1.0 (open('MARKER','w').close()or(0.5))\n", {}, "is not understood"),
        ("H S\n 1.0 __import__\n", {}, "is not understood"),
        ("H S\n 1.0 nan\n", {}, "is not understood"),
        ("H S\n 1.0 1_0\n", {}, "is not understood"),
        ("H S\n -1.0 1\n", {}, "not positive"),
        ("H S\n 1.0 1 1\n 2.0 1\n", {}, "as many coefficients"),
        ("H S\n 1.0\n", {}, "as many coefficients"),
        ("H SP\n 1.0 1\n", {}, "as many coefficients"),
        ("H S\n" + " 1.0 1\n" * 2000, {}, "from 1 to 1000 primitives"),
        ("H Z\n 1.0 1\n", {}, "'H Z' is not understood"),
        ("Qq S\n 1.0 1\n", {}, "'Qq' is not understood"),
        ("H 0\nS 99999 1.0\n", {}, "'99999' is not understood"),
        ("H 0\nS 3 1.0\n 1 1\n", {}, "ends in the middle"),
        ("\x00\xff", {}, "not a text file"),
        ("He S\n 1.0 1\n", {}, "has the basis of He: leave out basis_file"),
        ("H S\n 1.0 1\n", {"basis": "6-31g"}, "all elements here: leave out basis"),
    ],
)
def test_what_is_no_basis(written, tmp_path, monkeypatch, text, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        build_molecule("H2", basis_file=written(text), **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "MARKER").exists()


def test_what_the_file_lacks(written):
    with pytest.raises(InputError, match="no basis for Li: give basis"):
        build_molecule("LiH", basis_file=written("H S\n 1.0 1\n"))
    with pytest.raises(InputError, match="cannot read nowhere"):
        build_molecule("LiH", basis_file="nowhere")
    with pytest.raises(InputError, match="more than 10,000,000 bytes"):
        build_molecule("LiH", basis_file=written("#" * 10_000_001))


def test_cartesian_functions_are_mentioned(written):
    text = "BASIS CARTESIAN\nH S\n 1.0 1\nH D\n 1.0 1\nEND\n"
    (warning,) = read_basis_file(written(text)).warnings
    assert "spherical ones" in warning
