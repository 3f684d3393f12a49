"""What a run shows while it works."""

from nnbf.cli.commands import SolveMolecule
from nnbf.cli.console import Progress, clock, level_label

LEVEL = {
    "sector": {"momentum": [0, 1], "irrep": "A1", "spin_flip": None},
    "level": 1,
    "energy": -1.5,
    "error": 0.02,
    "reference": -1.5,
    "n_steps": 7,
    "wall_time_s": 61.0,
    "warnings": ["give more n_samples"],
}


def test_rows_of_a_molecule(capsys):
    progress = Progress(time_limit=120.0)
    progress.reference = ("FCI", -1.0)
    with progress.following():
        for step in range(3):
            progress.row({"step": step, "energy": -0.999, "variance": 1e-3, "n_space": 1200, "time_s": 61.0})
    first, last = capsys.readouterr().out.splitlines()
    assert first == "step 0  E -0.99900000  +1.000 mHa to FCI  variance 1.0e-03  |V| 1,200  1:01 of 2:00"
    assert last.startswith("step 2  ")


def test_rows_and_levels_of_a_lattice(capsys):
    progress = Progress(options=SolveMolecule)
    progress.n_levels = 3
    with progress.following():
        progress.row({"sector": "(0,1) A1", "level": 1, "step": 4, "energy": -1.5, "energy_error": 0.02})
        progress.level(LEVEL)
    shown = capsys.readouterr()
    row, level = shown.out.splitlines()
    assert row == "(0,1) A1, level 1:  step 4  E -1.500(20)"
    assert level == "[1/3]  (0,1) A1 level 1  E -1.500(20)  relative error 0.0e+00  7 steps, 1:01"
    assert shown.err == "warning: (0,1) A1 level 1: give more --n-samples\n"


def test_warnings_are_said_once_and_nothing_when_quiet(capsys):
    progress = Progress(quiet=True)
    with progress.working("Hartree-Fock"), progress.following():
        progress.row({"step": 1, "energy": -1.0})
        progress.warn("mind the gap")
        progress.warn("mind the gap")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "warning: mind the gap\n")


def test_words():
    assert [clock(seconds) for seconds in (0.5, 61, 3661)] == ["0:00", "1:01", "1:01:01"]
    assert level_label({**LEVEL, "level": 0}) == "(0,1) A1"
