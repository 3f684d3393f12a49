import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hamiltonians import InputError, bundled_molecules, read_geometry
from hamiltonians.molecule.geometry import ATOMIC_NUMBERS, BOHR_IN_ANGSTROM, element_symbol, hill_formula

BENCHMARK = ["H2", "LiH", "H2O", "O2", "NH3", "N2", "CH4", "C2", "Li2O", "C2H4O", "C3H6", "Na2CO3"]


def test_every_bundled_molecule_is_complete():
    names = bundled_molecules()
    assert set(BENCHMARK) <= set(names)
    for name in names:
        geometry = read_geometry(name)
        assert geometry.name == name
        assert geometry.charge == 0
        assert (geometry.nuclear_charge - geometry.two_S) % 2 == 0


@pytest.mark.parametrize("name", ["n2", "N2", "nA2co3", "Li2O_LINEAR"])
def test_names_ignore_case(name):
    assert read_geometry(name).name.casefold() == name.casefold()


def test_spins_of_bundled_open_shells():
    assert [read_geometry(name).two_S for name in ("O2", "CH2", "N", "OH", "N2")] == [2, 2, 3, 1, 0]


@pytest.mark.parametrize(
    "text", ["N 0 0 0; N 0 0 1.1", "N 0 0 0\nN 0 0 1.1\n", "n,0,0,0;n,0,0,1.1D0", "7 0 0 0; N2 0 0 1.1;"]
)
def test_inline_text(text):
    geometry = read_geometry(text)
    assert geometry.atoms == (("N", (0.0, 0.0, 0.0)), ("N", (0.0, 0.0, 1.1)))
    assert (geometry.formula, geometry.charge, geometry.two_S) == ("N2", None, None)


def test_bohr():
    (_, (_, _, z)) = read_geometry("H 0 0 0; H 0 0 2", unit="bohr").atoms[1]
    assert z == pytest.approx(2 * 0.529177210903, abs=1e-12)


@pytest.mark.parametrize(
    ("comment", "charge", "two_s"),
    [
        ("charge 0, 2S=2", 0, 2),
        ("Charge = -1 spin: 1", -1, 1),
        ("charge=+1, multiplicity 2", 1, 1),
        ("total_charge=-1 spin_multiplicity=2", -1, 1),
        ("-1 1", -1, 0),
        ('{"charge": -1, "multiplicity": 2}', -1, 1),
        ("net charge: 1-, 2S+1=2", -1, 1),
        ("molecular charge = 2+ uhf=2", 2, 2),
        ("Properties=species:S:1:pos:R:3:charge:R:1 q=-1.0 unpaired_electrons=1", -1, 1),
        ("charges 0.1 -0.1, energy=-7.5", None, None),
        ("a molecule", None, None),
        ("", None, None),
    ],
)
def test_comment_line(tmp_path, comment, charge, two_s):
    path = tmp_path / "x.xyz"
    path.write_text(f"1\n{comment}\nO 0 0 0 extra columns\n\n")
    geometry = read_geometry(path)
    assert (geometry.name, geometry.charge, geometry.two_S) == ("x", charge, two_s)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        ("\n \n", "empty"),
        ("N 0 0 0\n", "number of atoms"),
        ("2\n\nN 0 0 0\n", "2 atoms, 1 lines"),
        ("1\n\nN 0 0 0\n1\n\nN 0 0 0\n", "single geometry"),
        ("0\n\n", "0 atoms"),
        ("1\n\nXx 0 0 0\n", "line 3: element 'Xx' is unknown"),
        ("1\n\nN 0 0\n", "line 3"),
        ("1\n\nN 0 zero 0\n", "not a number"),
        ("1\n\nN 0 nan 0\n", "finite"),
        ("1\n\nN 0 inf 0\n", "finite"),
        ("2\n\nN 0 0 0\nN 0 0 0.1\n", "0.100 Angstrom apart"),
        ("²\n\nN 0 0 0\n", "number of atoms, found '²'"),
        ("9" * 5000 + "\n\nN 0 0 0\n", "number of atoms"),
        ("123456\n\nN 0 0 0\n", "more than 1,000"),
        ("1\n\nN 0 1_0 0\n", "not a number"),
        (f"1\n\n{'x' * 9000} 0 0 0\n", "unknown"),
        (f"1\n\nN {'1' * 9000} 0 0\n", "not a number"),
        ("1\nProperties=pos:R:3\n0 0 0\n", "names no species"),
        ("1\nProperties=species:S:1:pos:R:3:a:R:1\nN 0 0\n", "not an atom"),
        ("1\n\nN 0 0 0\nlater\n", "single geometry"),
    ],
)
def test_wrong_xyz(tmp_path, content, message):
    path = tmp_path / "x.xyz"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        read_geometry(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300 + len(str(path))


@pytest.mark.parametrize(
    ("comment", "warned"),
    [
        ("charge=0.5", "mentions a charge"),
        ("the anion", "mentions a charge"),
        ("a triplet", "mentions a spin"),
        ("charge 0, spin=1/2", "mentions a spin"),
        ("in bohr", "mentions bohr"),
        ('Lattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3', "cell .* ignored"),
        ('Lattice="9 0 0 0 9 0 0 0 9" pbc="F F F"', None),
        ("charge 0, 2S=2; triplet ground state", None),
        ("station 12, version 3", None),
    ],
)
def test_what_a_comment_leaves_open_is_mentioned(tmp_path, comment, warned):
    path = tmp_path / "x.xyz"
    path.write_text(f"1\n{comment}\nO 0 0 0\n")
    warnings = read_geometry(path).warnings
    assert bool(warnings) == (warned is not None)
    assert warned is None or re.search(warned, warnings[0])


LITHIUM_HYDRIDE = (("Li", (0.0, 0.0, 0.0)), ("H", (0.0, 0.0, 1.6)))


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff2\nbom\nLi 0 0 0\nH 0 0 1.6\n",
        "  2  \n\nLi 0 0 0 # the first\nH 0 0 1.6\n\n# the end\n",
        "2\nqm9\nLi\t0.\t0.\t0.*^-6\t-0.1\nH\t0.\t0.\t16.*^-1\t0.1\n1400.5\n[LiH]\t[LiH]\nInChI=1S/Li.H\tInChI=1S/Li.H\n",
        "2\nProperties=id:I:1:pos:R:3:species:S:1 energy=-8\n1 0 0 0 Li\n2 0 0 1.6 H\n",
        '2\npbc="F F F" properties="forces:R:3:Z:I:1:pos:R:3"\n9 9 9 3 0 0 0\n9 9 9 1 0 0 1.6D0\n',
        "2\r\n\r\nLi,0,0,0\r\nH,0,0,1.6\r\n",
    ],
    ids=["byte order mark", "comments", "QM9", "extended", "extended with numbers", "commas"],
)
def test_dialects(tmp_path, content):
    path = tmp_path / "x.xyz"
    path.write_text(content, encoding="utf-8", newline="")
    geometry = read_geometry(path)
    assert geometry.atoms == LITHIUM_HYDRIDE
    assert geometry.warnings == ()


def test_files_in_bohr(tmp_path):
    path = tmp_path / "x.xyz"
    path.write_text("2\nbohr\nLi 0 0 0\nH 0 0 3.0\n")
    geometry = read_geometry(path, unit="bohr")
    assert geometry.atoms[1][1][2] == pytest.approx(3 * BOHR_IN_ANGSTROM)
    assert geometry.warnings == ()
    with pytest.raises(InputError, match="in angstrom: leave out unit"):
        read_geometry("N2", unit="bohr")


@pytest.mark.parametrize("ghost", ["ghost-H", "Gh(H)", "X-H", "Bq-H", "@H", "H:", "GHOST:h"])
def test_ghosts(ghost):
    geometry = read_geometry(f"O 0 0 0; {ghost} 0 0 1")
    assert [symbol for symbol, _ in geometry.atoms] == ["O", "ghost-H"]
    assert (geometry.formula, geometry.nuclear_charge) == ("O", 8)
    with pytest.raises(InputError, match="ghosts alone"):
        read_geometry(f"{ghost} 0 0 0")


def test_labels():
    assert read_geometry("O 0 0 0; H1 0 0 1; @h2 0 1 0").labels == ("O", "H1", "ghost-H2")
    assert read_geometry("O 0 0 0; h 0 0 1; 1 0 1 0").labels == ()
    assert read_geometry("Xe 0 0 0; He1 0 0 9").formula == "HeXe"


def test_binary_xyz(tmp_path):
    path = tmp_path / "x.xyz"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="not a text file"):
        read_geometry(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no molecule"),
        ("H20", "nearest bundled names: .*H2O"),
        ("unobtainium", "unknown"),
        ("missing.xyz", "No such file"),
        ("N 0 0 0; N 0 0", "not an atom"),
        ("N 0 0 0; Q 0 0 1", "'Q' is unknown"),
        ("N 0 0 0; N 0 0 0", "0.000 Angstrom apart"),
        ("N 0 0 1e9", "finite"),
        (";", "no atoms"),
    ],
)
def test_wrong_text(text, message):
    with pytest.raises(InputError, match=message):
        read_geometry(text)


def test_wrong_unit():
    with pytest.raises(InputError, match="'angstrom' or 'bohr'"):
        read_geometry("N2", unit="parsec")


@given(st.sampled_from(sorted(ATOMIC_NUMBERS)))
def test_elements_by_symbol_label_and_number(symbol):
    number = ATOMIC_NUMBERS[symbol]
    spellings = [symbol, symbol.lower(), symbol.upper(), f"{symbol}12", f"{symbol}_a", str(number)]
    assert {element_symbol(text) for text in spellings} == {symbol}


def test_hill_order():
    assert hill_formula(["O", "H", "C", "H", "C", "H", "H"]) == "C2H4O"
    assert hill_formula(["O", "H", "H"]) == "H2O"


def test_bundled_equilibrium_water():
    atoms = read_geometry("H2O_eq").atoms
    (_, o), (_, a), (_, b) = atoms
    assert math.dist(o, a) == pytest.approx(0.9572, abs=1e-6)
    cosine = (0.9572**2 * 2 - math.dist(a, b) ** 2) / (2 * 0.9572**2)
    assert math.degrees(math.acos(cosine)) == pytest.approx(104.52, abs=1e-3)


@pytest.mark.parametrize("unit", ["angstrom", "bohr"])
def test_chains_and_rings_by_name(unit):
    scale = 1.0 if unit == "angstrom" else BOHR_IN_ANGSTROM
    chain, ring = (read_geometry(name, unit=unit) for name in ("H4-chain-1.8", "li6-Ring-2"))
    assert [atom for atom, _ in chain.atoms] == ["H"] * 4
    assert chain.name == "H4-chain-1.8"
    assert [at for _, at in chain.atoms] == [pytest.approx((0, 0, 1.8 * scale * k)) for k in range(4)]
    assert (ring.formula, ring.charge, ring.two_S) == ("Li6", None, None)
    for index, (_, at) in enumerate(ring.atoms):
        assert math.dist(at, ring.atoms[index - 1][1]) == pytest.approx(2 * scale)
        assert math.hypot(*at) == pytest.approx(2 * scale)  # the side of a hexagon is its radius
        assert at[2] == 0.0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("H0-chain-1", "unknown"),
        ("H2-ring-1", "unknown"),
        ("H4-chain", "unknown"),
        ("Xx4-chain-1", "element 'Xx' is unknown"),
        ("H4-chain-0.1", "0.100 Angstrom apart"),
        ("H999999-chain-1", "999,999 atoms are more"),
        ("H99999999999-ring-1", "unknown"),
    ],
)
def test_impossible_chains(name, message):
    with pytest.raises(InputError, match=message) as caught:
        read_geometry(name)
    assert "\n" not in str(caught.value)
