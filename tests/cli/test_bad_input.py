"""Bad input: one line that says what to give instead, exit code 2, nothing written."""

import re

import pytest

from hamiltonians import write_fcidump
from nnbf.cli import main

WRONG = {
    "no molecule": ([], "no molecule given"),
    "unknown molecule": (["Foo7"], "nearest bundled names|give a bundled name"),
    "unknown basis": (["H2", "--basis", "sto-33g"], r"basis 'sto-33g' is unknown: nearest"),
    "basis without the element": (["H2", "--basis", "He=sto-3g"], "no basis for H"),
    "unknown option": (["H2", "--bassis", "sto-3g"], "unknown option --bassis: did you mean --basis"),
    "unknown short option": (["H2", "-x"], "unknown option -x"),
    "option without value": (["H2", "--charge"], "--charge has no value: give a whole number"),
    "no number": (["H2", "--time-limit", "3s"], "--time-limit '3s' is not understood: give a number"),
    "no whole number": (["H2", "--seed", "1.5"], "--seed '1.5' is not understood: give a whole number"),
    "widths": (["H2", "--hidden", "64,x"], "--hidden '64,x' is not understood: give whole numbers"),
    "choice": (["H2", "--optimizer", "newton"], "--optimizer 'newton' .* give one of auto, rgn, sr, adam"),
    "method": (["H2", "--method", "magic"], "--method 'magic' .* give one of auto, selected, vmc"),
    "value for a switch": (["H2", "--blocked=3"], "--blocked takes no value|unexpected argument '3'"),
    "extra argument": (["H2", "sto-3g"], "unexpected argument 'sto-3g'"),
    "odd electrons, singlet": (["OH", "--spin", "0"], "9 electrons cannot have"),
    "overlapping atoms": (["H 0 0 0; H 0 0 0.01"], "apart"),
    "no coordinate": (["H 0 0 0; H 0 0 x"], "not a number"),
    "missing file": (["nowhere.xyz"], "cannot read nowhere.xyz"),
    "charge beyond the nuclei": (["H2", "--charge", "3"], "electrons"),
    "negative size": (["H2", "--max-space", "-3"], "^error: --max-space must be at least 1, got -3"),
    "absurd size": (["H2", "--n-determinants", "100000000"], "--n-determinants must be at most"),
    "no steps": (["H2", "--max-steps", "0"], "--max-steps must be"),
    "negative time": (["H2", "--time-limit", "-1"], "--time-limit must be positive"),
    "negative seed": (["H2", "--seed", "-1"], "--seed must be"),
    "negative limit": (["H2", "--fci-limit", "-1"], "--fci-limit -1"),
    "active space too large": (["H2", "--active-space", "2,9"], "does not fit"),
    "active space not understood": (["H2", "--active-space", "six"], "give '6,6'"),
    "negative occupation": (
        ["H2", "--fno-threshold", "-1e-4"],
        "--fno-threshold -0.0001: give an occupation",
    ),
    "no natural orbital": (["H2", "--fno-threshold", "1.9"], "keeps no virtual orbital, the largest occ"),
    "occupation of two": (["H2", "--fno-threshold", "2"], "from 0 to below 2, such as 1e-4"),
    "two choices": (["H2", "--fno-virtuals", "1", "--active-space", "2,2"], "give one or the other"),
    "too many frozen": (["H2", "--frozen-core", "5"], "freeze fewer"),
    "unknown potential": (["H2", "--ecp", "nonsense"], "effective core potential 'nonsense' is unknown"),
    "spin flip of an open shell": (["O2", "--spin", "2", "--spin-flip", "average"], "--spin-flip"),
    "missing config file": (["H2", "--config", "absent.toml"], "cannot read absent.toml"),
}


@pytest.mark.parametrize(("words", "message"), WRONG.values(), ids=WRONG.keys())
def test_molecule(refused, words, message):
    assert re.search(message, refused("molecule", *words))


TV = ("tv", "--particles", "3")
ELECTRONS = ("hubbard", "--size", "2x2", "--particles", "2,2", "--interaction", "4")
WRONG_SPECTRUM = {
    "no particles": (["tv"], "give --particles"),
    "no model": ([], "no model given"),
    "unknown model": (["ising"], "model 'ising': give tv or hubbard"),
    "too many particles": (["tv", "--particles", "17"], "17 particles on 16 sites: give 0 to 16"),
    "two spins of one": (["tv", "--particles", "2,2"], "give one number"),
    "spin penalty without spin": (
        ["tv", "--size", "4x4", "--particles", "5", "--spin-penalty", "0.1"],
        "--spin-penalty is for spinful models",
    ),
    "spin penalty without end": (
        ["hubbard", "--size", "2x2", "--particles", "2,2", "--spin-penalty", "inf"],
        "--spin-penalty must be 0 or more, and finite",
    ),
    "Hartree-Fock orbitals in a small cell": (
        ["tv", "--size", "4x4", "--particles", "5", "--orbitals", "hartree-fock", "--cell", "1,1"],
        "give --cell 4,4",
    ),
    "total spin without spin": ([*TV, "--total-spin", "0"], "--total-spin is for spinful models"),
    "total spin of no multiplet": ([*ELECTRONS, "--total-spin", "0.3"], "a multiple of 0.5 from 0"),
    "total spin of an odd number": ([*ELECTRONS, "--total-spin", "0.5"], "from 0 to 2 in steps of 1"),
    "total spin of the other parity": (
        [*ELECTRONS, "--total-spin", "0", "--spin", "odd"],
        "--total-spin 0 has the other parity",
    ),
    "antiferromagnet away from half filling": (
        ["hubbard", "--size", "2x2", "--particles", "1,1", "--orbitals", "antiferromagnet"],
        "at half filling with U > 0",
    ),
    "antiferromagnet in another cell": (
        [*ELECTRONS, "--orbitals", "antiferromagnet", "--cell", "2,2"],
        "has a cell of its own",
    ),
    "antiferromagnet of another momentum": (
        [*ELECTRONS, "--orbitals", "antiferromagnet", "--momenta", "1,0", "--irreps", "none"],
        r"no part in sector \(1,0\)",
    ),
    "momentum off the lattice": (
        [*TV, "--momenta", "4,0"],
        r"momentum \(4,0\) is not on the lattice: give mx",
    ),
    "momentum off a twisted lattice": (
        [*TV, "--boundary", "0.3", "--momenta", "0.3,0"],
        r"the shift by a twist is understood",
    ),
    "unknown irrep": ([*TV, "--momenta", "0,0", "--irreps", "B3"], "A1, A2, B1, B2, E"),
    "irrep that the little group lacks": (
        [*TV, "--momenta", "1,0", "--irreps", "B1"],
        r"irrep 'B1': the little group Cs of momentum \(1,0\)",
    ),
    "irrep of a square on a rectangle": (
        [*TV, "--size", "4x3", "--irreps", "E"],
        "irrep 'E': the little group C2v",
    ),
    "irrep that a twist breaks": ([*TV, "--boundary", "0.3,pbc", "--irreps", "A1"], "irrep 'A1': .*twist"),
    "spin of the spinless": ([*TV, "--spin", "even"], "spin"),
    "too large": (
        ["tv", "--size", "6x6", "--particles", "13", "--method", "full-sum"],
        "more than --full-sum-limit",
    ),
    "no size": ([*TV, "--size", "4"], "give two whole numbers, such as 4x4"),
    "absurd size": ([*TV, "--size", "100000x100000"], "give at most 4,096 unit cells"),
    "absurd network": ([*TV, "--features", "100000000"], "features must be at most 4096"),
    "neighbours twice": ([*TV, "--neighbour-repulsion", "1"], "give --interaction for that of tv"),
    "workers": ([*TV, "--workers", "0"], "workers must be from 1"),
    "levels": ([*TV, "--levels", "0"], "levels must be at least 1"),
    "cell": ([*TV, "--cell", "2"], "cell 2: give two whole numbers"),
}


@pytest.mark.parametrize(("words", "message"), WRONG_SPECTRUM.values(), ids=WRONG_SPECTRUM.keys())
def test_spectrum(refused, words, message):
    assert re.search(message, refused("spectrum", *words))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["molecul", "H2"], "unknown command 'molecul': did you mean 'molecule'"),
        (["--versio"], "unknown option '--versio'"),
        (["report"], "no .* given"),
        (["report", "nowhere"], "there is no folder nowhere"),
        (["report", "."], "not a run folder"),
        (["fcidump"], "no file given"),
        (["fcidump", "absent.FCIDUMP"], "cannot read absent.FCIDUMP"),
        (["fcidump", "absent.npz"], "there is no system file absent.npz"),
    ],
)
def test_other_commands(refused, words, message):
    assert re.search(message, refused(*words))


def test_truncated_fcidump(refused, here, system):
    path = write_fcidump(system.integrals, here / "cut.FCIDUMP")
    path.write_text(path.read_text()[:60])
    assert "cut.FCIDUMP" in refused("fcidump", str(path))


def test_damaged_system_file(refused, here):
    (here / "system.npz").write_bytes(b"PK no archive")
    assert "not a readable system file" in refused("fcidump", "system.npz")


def test_folder_of_another_run(refused, run_folder, here):
    folder = run_folder()
    message = refused("molecule", "H2", "--out", str(folder))
    assert "holds another run" in message
    assert "nnbf report" in message


def test_folder_with_other_files(refused, here):
    (here / "thesis.tex").write_text("years of work")
    assert "holds other files" in refused("molecule", "H2", "--out", ".")
    assert "is a file" in refused("molecule", "H2", "--out", "thesis.tex")


def test_folder_that_cannot_be_made(refused, here):
    (here / "file").write_text("")
    assert "cannot be written" in refused("molecule", "H2", "--out", "file/below")


def test_solver_and_system_do_not_fit(here, built, solver, capsys):
    """What the solver refuses before its first step leaves nothing behind either."""
    from hamiltonians import InputError

    def refuse():
        raise InputError("spin_flip average needs 2S = 0: give spin_flip none")

    solver.before = refuse
    assert main(["molecule", "H2", "--out", "run"]) == 2
    assert "error: --spin-flip average" in capsys.readouterr().err
    assert list(here.iterdir()) == []
