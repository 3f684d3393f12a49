import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hamiltonians import (
    InputError,
    MolecularIntegrals,
    build_molecule,
    determinant_energy,
    fci_energy_of_integrals,
    irrep_bits,
    read_fcidump,
    write_fcidump,
)

# H2 in a minimal basis, in the way most programs print it.
H2_BODY = """\
  0.6744887663568382  1 1 1 1
  0.6634680964235684  2 2 1 1
  0.1812875358123322  2 1 2 1
  0.6973979494693358  2 2 2 2
 -1.2524635735648981  1 1 0 0
 -0.4759344611440753  2 2 0 0
  0.7142857142857143  0 0 0 0
"""
H2_HEADER = " &FCI NORB=2,NELEC=2,MS2=0,\n  ORBSYM=1,1,\n  ISYM=1,\n &END\n"


@pytest.fixture
def read(tmp_path):
    def from_text(text, **options):
        path = tmp_path / "x.FCIDUMP"
        path.write_text(text)
        return read_fcidump(path, **{"references": False, **options})

    return from_text


@pytest.fixture(scope="module")
def plain_h2(tmp_path_factory):
    path = tmp_path_factory.mktemp("h2") / "h2.FCIDUMP"
    path.write_text(H2_HEADER + H2_BODY)
    return read_fcidump(path, references=False).integrals


def _equal(first, second, tolerance=0.0):
    assert (first.n_alpha, first.n_beta, first.n_orbitals) == (
        second.n_alpha,
        second.n_beta,
        second.n_orbitals,
    )
    assert first.constant == pytest.approx(second.constant, abs=tolerance)
    assert np.abs(first.one_body - second.one_body).max() <= tolerance
    assert np.abs(first.two_body - second.two_body).max() <= tolerance


def _two_by_two():
    """FCI of H2 on paper: the two closed-shell determinants, coupled by the exchange integral."""
    ground = 2 * -1.2524635735648981 + 0.6744887663568382
    excited = 2 * -0.4759344611440753 + 0.6973979494693358
    coupling = 0.1812875358123322
    gap = np.hypot((excited - ground) / 2, coupling)
    return ground + 0.7142857142857143, (ground + excited) / 2 - gap + 0.7142857142857143


def test_textbook_hydrogen(plain_h2):
    hf, fci = _two_by_two()
    assert determinant_energy(plain_h2) == pytest.approx(hf, abs=1e-12)
    assert fci_energy_of_integrals(plain_h2) == pytest.approx(fci, abs=1e-9)


HEADERS = {
    "slash": " &FCI NORB=2,NELEC=2,MS2=0,\n  ORBSYM=1,1,\n  ISYM=1,\n /\n",
    "one line": "&FCI NORB=2,NELEC=2,MS2=0,ORBSYM=1,1,ISYM=1,&END\n",
    "lower case": " &fci norb=2,nelec=2,ms2=0,\n orbsym=1,1,\n isym=1\n &end\n",
    "dollar": " $FCI NORB=2,NELEC=2,MS2=0 $END\n",
    "no commas": "&FCI NORB= 2 NELEC= 2 MS2= 0\n ORBSYM= 1 1\n ISYM= 1\n/\n",
    "no ORBSYM": "&FCI NORB=2,NELEC=2,MS2=0,ISYM=1,\n&END\n",
    "ORBSYM zeros": "&FCI NORB=2,NELEC=2,MS2=0,ORBSYM=0,0,ISYM=0,\n&END\n",
    "ORBSYM repeated": "&FCI NORB=2,NELEC=2,MS2=0,ORBSYM=2*1,ISYM=1,\n&END\n",
    "ORBSYM over lines": "&FCI NORB=2,NELEC=2,MS2=0,\n ORBSYM=1,\n        1,\n ISYM=1,\n&END\n",
    "no MS2": "&FCI NORB=2,NELEC=2,\n&END\n",
    "spaces": "\n\n  &FCI  NORB = 2 , NELEC = 2 , MS2 = 0 ,\n  ORBSYM = 1 , 1 ,\n  &END\n",
    "unknown keys": "&FCI NORB=2,NELEC=2,MS2=0,ORBSYM=1,1,ISYM=1,NPROP=1,1,1,SYML=0,0,RELTYP=0\n&END\n",
    "explicitly restricted": "&FCI NORB=2,NELEC=2,MS2=0,IUHF=0,UHF=.FALSE.,RESTRICTED=.TRUE.\n&END\n",
    "not unrestricted": "&FCI NORB=2,NELEC=2,MS2=0,IUHF=.FALSE.,UHF=F\n&END\n",
    "array bounds": "&FCI NORB=2,NELEC=2,MS2=0,ORBSYM(1:2)=1,1,ISYM (1) = 1\n&END\n",
    "comment with a slash": "# of H2/STO-3G\n&FCI NORB=2,NELEC=2, ! and / or &END\n MS2=0\n&END\n",
    "comment": "&FCI NORB=2,NELEC=2,MS2=0, ! a comment\n ORBSYM=1,1,\n&END\n",
}


@pytest.mark.parametrize("name", HEADERS)
def test_header_in_the_wild(read, plain_h2, name):
    system = read(HEADERS[name] + H2_BODY)
    _equal(system.integrals, plain_h2)
    assert system.integrals.orbital_irreps is None
    assert system.info.warnings == ()


BODIES = {
    "orbital energies": H2_BODY + " -0.578 1 0 0 0\n 0.670 2 0 0 0\n",
    "constant first": "0.7142857142857143  0 0 0 0\n" + H2_BODY.replace("0.7142857142857143  0 0 0 0", ""),
    "Fortran exponents": re.sub(r"(\d\.\d+)", r"\1D+00", H2_BODY),
    "small d": re.sub(r"(\d\.\d+)", r"\1d0", H2_BODY),
    "other pair order": H2_BODY.replace("2 2 1 1", "1 1 2 2").replace("2 1 2 1", "1 2 2 1"),
    "duplicates": H2_BODY + "0.6634680964235684 1 1 2 2\n 0.1812875358123322 1 2 1 2\n",
    "blank lines and tabs": H2_BODY.replace("\n", "\n\n").replace("  ", "\t"),
    "zeros listed": H2_BODY + " 0.0 2 1 1 1\n 0.0 2 1 0 0\n",
    "no final newline": H2_BODY.rstrip(),
    "complex form": re.sub(r"(-?\d\.\d+)", r"( \1 , 0.0)", H2_BODY),
    "complex columns": re.sub(r"(-?\d\.\d+)", r"\1 0.D0", H2_BODY),
    "comments": "! (integrals)\n" + H2_BODY.replace("\n", " # of H2\n"),
}


@pytest.mark.parametrize("name", BODIES)
def test_body_in_the_wild(read, plain_h2, name):
    _equal(read(H2_HEADER + BODIES[name]).integrals, plain_h2)


def test_windows_line_ends(tmp_path, plain_h2):
    path = tmp_path / "x"
    path.write_bytes((H2_HEADER + H2_BODY).replace("\n", "\r\n").encode())
    _equal(read_fcidump(path, references=False).integrals, plain_h2)


@pytest.mark.parametrize("word", ["1", ".TRUE.", "T", ".true.", "01"])
def test_words_for_unrestricted(tmp_path, random_integrals, word):
    integrals = random_integrals(3, 2, 1, spin_resolved=True)
    path = write_fcidump(integrals, tmp_path / "x.FCIDUMP")
    path.write_text(path.read_text().replace("IUHF=1", f"IUHF={word}"))
    _equal(read_fcidump(path, references=False).integrals, integrals)


def test_missing_constant_is_zero_with_a_warning(read, plain_h2):
    system = read(H2_HEADER + H2_BODY.replace("  0.7142857142857143  0 0 0 0\n", ""))
    assert system.integrals.constant == 0.0
    assert "no constant energy" in system.info.warnings[0]


def test_odd_electron_number_defaults_to_a_doublet(read):
    system = read("&FCI NORB=2,NELEC=3,\n&END\n" + H2_BODY)
    assert (system.integrals.n_alpha, system.integrals.n_beta) == (2, 1)


def test_triplet_and_negative_projection(read):
    for value in (2, -2):
        system = read(f"&FCI NORB=2,NELEC=2,MS2={value}\n&END\n" + H2_BODY)
        assert (system.integrals.n_alpha, system.integrals.n_beta, system.info.two_S) == (2, 0, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no &FCI header"),
        (H2_BODY, "no &FCI header"),
        (" &FCI NORB=2,NELEC=2,MS2=0,\n" + H2_BODY, "not closed"),
        (H2_HEADER, "ends after its header"),
        ("&FCI NELEC=2\n&END\n" + H2_BODY, "lacks NORB"),
        ("&FCI NORB=2\n&END\n" + H2_BODY, "lacks NELEC"),
        ("&FCI NORB=two,NELEC=2\n&END\n" + H2_BODY, "not a whole number"),
        ("&FCI NORB=0,NELEC=0\n&END\n" + H2_BODY, "NORB = 0"),
        ("&FCI NORB=99999,NELEC=2\n&END\n" + H2_BODY, "NORB = 99999"),
        ("&FCI NORB=2,NELEC=5\n&END\n" + H2_BODY, "NELEC = 5"),
        ("&FCI NORB=2,NELEC=2,MS2=1\n&END\n" + H2_BODY, "MS2 = 1"),
        ("&FCI NORB=2,NELEC=2,MS2=4\n&END\n" + H2_BODY, "MS2 = 4"),
        ("&FCI NORB=2,NELEC=2,ORBSYM=1\n&END\n" + H2_BODY, "ORBSYM lists 1"),
        ("&FCI NORB=2,NELEC=2,ORBSYM=A,B\n&END\n" + H2_BODY, "ORBSYM"),
        ("&FCI NORB=1,NELEC=2\n&END\n" + H2_BODY, "outside 1 to 1"),
        (H2_HEADER + H2_BODY.replace("2 1 2 1", "2 1 2 -1"), "outside 1 to 2"),
        (H2_HEADER + H2_BODY.replace("2 1 2 1", "2 1 2"), "line 7 has 4 fields .* truncated"),
        (H2_HEADER + "(0.67,0.1) 1 1 1 1\n" + H2_BODY, "complex"),
        (H2_HEADER + "(0.67,nan) 1 1 1 1\n" + H2_BODY, "complex"),
        (H2_HEADER + "((0.67,0.0) 1 1 1 1\n" + H2_BODY, "line 5"),
        (H2_HEADER + "0.67 0.1 1 1 1 1\n" + H2_BODY, "line 5 has 6 fields.* complex"),
        (H2_HEADER + H2_BODY.replace("2 1 2 1", "2 1 2 9223372036854775808"), "line 7 is not"),
        (H2_HEADER + H2_BODY.replace("2 1 2 1", "2 1 2 " + "1" * 5000), "5,000 characters"),
        ("&FCI NORB=" + "9" * 5000 + ",NELEC=2\n&END\n" + H2_BODY, "not a whole number"),
        ("&FCI NORB=2,NELEC=2,ORBSYM=\u00b2*1\n&END\n" + H2_BODY, "ORBSYM"),
        ("&FCI NORB=2,NELEC=2," + "(" * 9999 + " " * 20000 + "x" * 50000 + "\n&END\n", "ends after"),
        (H2_HEADER + H2_BODY.replace("0.6744887663568382", "0.67oops"), "line 5 is not"),
        (H2_HEADER + H2_BODY.replace("2 1 2 1", "2 1 2 x"), "line 7 is not"),
        (H2_HEADER + H2_BODY.replace("0.6744887663568382", "nan"), "NaN"),
        (H2_HEADER + H2_BODY[: H2_BODY.index(" -1.25")], "no one-body integrals"),
        (H2_HEADER + H2_BODY.replace("1 1 0 0", "0 0 1 1"), "mean nothing"),
        (H2_HEADER + H2_BODY + " 0.5 1 2 2 1\n", "given twice"),
        (H2_HEADER + H2_BODY + " 0.5 0 0 0 0\n", "two constant energies"),
        ("&FCI NORB=2,NELEC=2,IUHF=1\n&END\n" + H2_BODY, "one-body|mixes"),
        ("&FCI NORB=3,NELEC=2,IUHF=1\n&END\n" + H2_BODY, "separator lines"),
    ],
)
def test_wrong_files(read, text, message):
    with pytest.raises(InputError, match=message) as error:
        read(text)
    assert "\n" not in str(error.value)
    assert "x.FCIDUMP" in str(error.value)


def test_missing_and_unwritable_files(tmp_path, plain_h2):
    with pytest.raises(InputError, match=r"cannot read .*No such file"):
        read_fcidump(tmp_path / "nothing")
    with pytest.raises(InputError, match="cannot read"):
        read_fcidump(tmp_path)
    with pytest.raises(InputError, match="cannot write"):
        write_fcidump(plain_h2, tmp_path / "nowhere" / "x")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(H2_HEADER + H2_BODY) - 1))
def test_any_truncation_is_an_input_error_or_harmless(tmp_path_factory, length):
    path = tmp_path_factory.mktemp("cut") / "x"
    path.write_text((H2_HEADER + H2_BODY)[:length])
    try:
        system = read_fcidump(path, references=False)
    except InputError:
        return
    assert system.integrals.n_orbitals == 2
    assert system.integrals.one_body[0, 0] != 0.0


# ---- writing and reading -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("spin_resolved", [False, True])
def test_round_trip_is_bit_exact(tmp_path, random_integrals, size, spin_resolved):
    integrals = random_integrals(size, 1, size - 1, spin_resolved=spin_resolved)
    if integrals.two_S < 0:
        integrals = random_integrals(size, size, 1, spin_resolved=spin_resolved)
    again = read_fcidump(write_fcidump(integrals, tmp_path / "x"), references=False).integrals
    _equal(again, integrals)


@pytest.mark.parametrize(
    ("name", "options"),
    [("N2", {}), ("H2O_eq", {}), ("O2", {}), ("OH", {"reference": "uhf"}), ("N2", {"frozen_core": True})],
)
def test_symmetry_survives(tmp_path, build, name, options):
    integrals = build(name, **options).integrals
    path = write_fcidump(integrals, tmp_path / "x")
    system = read_fcidump(path, references=False)
    again = system.integrals
    _equal(again, integrals)
    assert again.reference_occupation == integrals.reference_occupation
    assert system.info.warnings == ()
    # The labels become numbers, the multiplication table stays.
    old, new = irrep_bits(integrals), irrep_bits(again)
    assert np.array_equal(np.equal.outer(old, old), np.equal.outer(new, new))
    assert fci_energy_of_integrals(again) == pytest.approx(fci_energy_of_integrals(integrals), abs=1e-8)
    isym = int(re.search(r"ISYM=(\d)", path.read_text()).group(1))
    assert (isym == 1) == (name != "O2" and name != "OH")


def test_one_orbital_without_repulsion_or_electrons(tmp_path):
    integrals = MolecularIntegrals(0.25, np.zeros((1, 1)), np.zeros((1, 1)), 0, 0)
    again = read_fcidump(write_fcidump(integrals, tmp_path / "x"), references=False)
    _equal(again.integrals, integrals)
    assert again.references["hf"] == 0.25


def test_pyscf_reads_what_is_written(tmp_path, build):
    from pyscf import fci
    from pyscf.tools import fcidump

    integrals = build("LiH").integrals
    data = fcidump.read(str(write_fcidump(integrals, tmp_path / "x")), verbose=False)
    assert (data["NORB"], data["NELEC"], data["MS2"]) == (6, 4, 0)
    energy = fci.direct_spin0.kernel(data["H1"], data["H2"], 6, 4, ecore=data["ECORE"], tol=1e-11)[0]
    assert energy == pytest.approx(-7.784460280031234, abs=1e-7)


def test_files_of_pyscf_are_read(tmp_path, build):
    from pyscf import gto, scf
    from pyscf.tools import fcidump

    mol = gto.M(atom="O 0 0 -0.616; O 0 0 0.616", spin=2, symmetry="D2h", verbose=0, parse_arg=False)
    mf = scf.ROHF(mol).run(conv_tol=1e-12)
    fcidump.from_scf(mf, str(tmp_path / "x"), molpro_orbsym=True)
    system = read_fcidump(tmp_path / "x")
    assert system.references["hf"] == pytest.approx(-147.63194812048405, abs=1e-7)
    assert system.references["fci"] == pytest.approx(-147.75023459364635, abs=1e-7)
    assert len(set(irrep_bits(system.integrals).tolist())) == 6
    # The same with PySCF's own numbering, which starts at zero.
    fcidump.from_scf(mf, str(tmp_path / "y"), molpro_orbsym=False)
    assert len(set(irrep_bits(read_fcidump(tmp_path / "y").integrals).tolist())) == 6


# ---- symmetry and reference determinant ----------------------------------------------------------


def test_orbsym_that_is_no_symmetry_is_ignored(read):
    text = H2_HEADER.replace("ORBSYM=1,1", "ORBSYM=1,2") + H2_BODY + " 0.1 2 1 1 1\n"
    system = read(text)
    assert system.integrals.orbital_irreps is None
    assert "ORBSYM is not a symmetry" in system.info.warnings[0]


def test_orbsym_beyond_abelian_groups_is_ignored(read):
    system = read(H2_HEADER.replace("ORBSYM=1,1", "ORBSYM=1,14") + H2_BODY)
    assert system.integrals.orbital_irreps is None
    assert "outside 1 to 8" in system.info.warnings[0]


def test_valid_orbsym_is_kept(read):
    integrals = read(H2_HEADER.replace("ORBSYM=1,1", "ORBSYM=1,5") + H2_BODY).integrals
    assert integrals.orbital_irreps == ("1", "5")
    assert irrep_bits(integrals).tolist() == [0, 4]


@pytest.mark.parametrize("seed", range(3))
def test_reference_does_not_depend_on_the_order_of_orbitals(tmp_path, build, seed):
    integrals = build("N2").integrals
    shuffled = np.random.default_rng(seed).permutation(10)
    permutation = np.eye(10)[:, shuffled]
    path = write_fcidump(integrals.rotate(permutation), tmp_path / "x")
    path.write_text(re.sub(r"ORBSYM=.*\n", "\n", path.read_text()))  # else the irrep may change
    system = read_fcidump(path, references=False)
    assert system.references["hf"] == pytest.approx(-107.49896754458376, abs=1e-8)
    occupied = sorted(shuffled[list(system.integrals.reference_occupation[0])].tolist())
    assert occupied == list(range(7))


def test_isym_selects_the_irrep(tmp_path, build):
    """The file's first orbitals make a state of Ag; ISYM asks for another irrep."""
    integrals = build("N2").integrals
    path = write_fcidump(integrals, tmp_path / "x")
    path.write_text(path.read_text().replace("ISYM=1", "ISYM=2"))
    system = read_fcidump(path, references=False)
    bits = irrep_bits(system.integrals)
    occupied = [*system.integrals.reference_occupation[0], *system.integrals.reference_occupation[1]]
    assert np.bitwise_xor.reduce(bits[occupied]) == 1
    assert system.references["hf"] > -107.49896754458376 + 0.1


# ---- unrestricted files --------------------------------------------------------------------------


def _interleaved_text(integrals, *, spatial_norb, header="UHF=.TRUE."):
    """Spin-orbital indices 1 (alpha), 2 (beta), 3 (alpha), ... as in NECI."""
    size = integrals.n_orbitals
    norb = size if spatial_norb else 2 * size
    lines = [f"&FCI NORB={norb},NELEC={integrals.n_electrons},MS2={integrals.two_S},{header}", "&END"]
    full = integrals.spin_resolved().unpack_two_body()
    for s in (0, 1):
        for t in (0, 1):
            block = full[s + t] if (s, t) != (1, 0) else full[1].transpose(2, 3, 0, 1)
            for p, q, r, u in np.ndindex(block.shape):
                indices = (2 * p + s + 1, 2 * q + s + 1, 2 * r + t + 1, 2 * u + t + 1)
                lines.append(f"{float(block[p, q, r, u])!r} " + " ".join(map(str, indices)))
        for p, q in np.ndindex(size, size):
            h = integrals.spin_resolved().one_body[s][p, q]
            lines.append(f"{float(h)!r} {2 * p + s + 1} {2 * q + s + 1} 0 0")
    lines.append(f"{integrals.constant!r} 0 0 0 0")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("spatial_norb", [False, True])
@pytest.mark.parametrize("header", ["UHF=.TRUE.", "IUHF=1", "RESTRICTED=.FALSE."])
def test_interleaved_spin_orbitals(read, random_integrals, spatial_norb, header):
    integrals = random_integrals(4, 2, 1, spin_resolved=True)
    again = read(_interleaved_text(integrals, spatial_norb=spatial_norb, header=header)).integrals
    _equal(again, integrals, tolerance=1e-13)


@pytest.mark.parametrize("numbers", ["1,1,5,5", "1,5"])
def test_interleaved_irreps(read, build, numbers):
    text = _interleaved_text(build("H2").integrals, spatial_norb=False)
    integrals = read(text.replace("UHF=", f"ORBSYM={numbers},UHF=")).integrals
    assert integrals.orbital_irreps == ("1", "5")


def test_interleaved_file_that_mixes_spins(read, random_integrals):
    text = _interleaved_text(random_integrals(2, 1, 1), spatial_norb=False)
    with pytest.raises(InputError, match="mixes alpha and beta"):
        read(text + "0.5 1 2 0 0\n")


def test_unrestricted_blocks_without_last_separator(tmp_path, random_integrals):
    integrals = random_integrals(3, 2, 1, spin_resolved=True)
    path = write_fcidump(integrals, tmp_path / "x")
    lines = path.read_text().splitlines()
    assert lines[-2].split() == ["0.0", "0", "0", "0", "0"]
    path.write_text("\n".join(lines[:-2] + lines[-1:]) + "\n")
    _equal(read_fcidump(path, references=False).integrals, integrals)


def test_unrestricted_blocks_out_of_order(tmp_path, random_integrals):
    path = write_fcidump(random_integrals(2, 1, 1, spin_resolved=True), tmp_path / "x")
    text = path.read_text()
    head, body = text.split("&END\n")
    blocks = body.split(" 0.0 0 0 0 0\n")
    blocks[0], blocks[3] = blocks[3], blocks[0]
    path.write_text(head + "&END\n" + " 0.0 0 0 0 0\n".join(blocks))
    with pytest.raises(InputError, match="out of order"):
        read_fcidump(path)


def test_unrestricted_block_with_foreign_lines(tmp_path, random_integrals):
    path = write_fcidump(random_integrals(2, 1, 1, spin_resolved=True), tmp_path / "x")
    path.write_text(path.read_text().replace("&END\n", "&END\n 0.5 1 1 0 0\n"))
    with pytest.raises(InputError, match="out of order"):
        read_fcidump(path)


def test_uhf_energy_survives(tmp_path):
    system = build_molecule("OH", reference="uhf", fci_limit=0)
    again = read_fcidump(write_fcidump(system.integrals, tmp_path / "x"), fci_limit=0)
    assert again.references["hf"] == pytest.approx(system.references["hf"], abs=1e-9)
    assert again.references["ccsd"] == pytest.approx(system.references["ccsd"], abs=1e-7)


def test_references_of_a_file(read):
    system = read(H2_HEADER + H2_BODY, references=True)
    assert system.references["fci"] == pytest.approx(_two_by_two()[1], abs=1e-9)
    assert system.references["ccsd"] == pytest.approx(system.references["fci"], abs=1e-8)
    assert system.info.reference_method == "fcidump"


def test_large_files_are_read_fast(tmp_path, random_integrals):
    integrals = random_integrals(28, 7, 7)  # 82,824 lines
    path = write_fcidump(integrals, tmp_path / "x")
    start = time.perf_counter()
    again = read_fcidump(path, references=False)
    assert time.perf_counter() - start < 5.0
    _equal(again.integrals, integrals)


def test_more_beta_than_alpha_electrons_keep_their_integrals(tmp_path):
    one_body = np.stack([np.diag([-1.0, -2.0]), np.diag([-3.0, -4.0])])
    integrals = MolecularIntegrals(0.0, one_body, np.zeros((3, 3, 3)), 0, 1, reference_occupation=((), (1,)))
    read = read_fcidump(write_fcidump(integrals, tmp_path / "FCIDUMP"), references=False)
    assert (read.integrals.n_alpha, read.integrals.n_beta) == (0, 1)
    assert read.references["hf"] == pytest.approx(-4.0)
