"""States of molecules on the command line: `--states`, `nnbf spectrum molecule`, `nnbf charge molecule`."""

import json

import pytest

from nnbf.cli import main

SMALL = ("--basis", "sto-3g", "--no-references", "--hidden", "4", "--n-determinants", "1", "--quiet")
H3 = "H 0 0 0; H 0 0 0.9; H 0 0.2 1.9"


def levels_of(folder):
    return json.loads((folder / "result.json").read_text())["levels"]


def test_bad_input_is_one_line(refused):
    h2 = ("molecule", "H2", "--basis", "sto-3g", "--no-references")
    assert "there are 4 states of that kind, not 50" in refused(*h2, "--states", "50")
    assert "is no irrep of Dooh: give Sigg+" in refused(*h2, "--irreps", "B7")
    assert "is no total spin" in refused(*h2, "--spins", "0.3")
    assert "is no charge" in refused(*h2, "--charges", "+")
    assert "do not fit into the orbitals" in refused(*h2, "--charges", "-5")
    assert "method selected" in refused(*h2, "--states", "2", "--method", "vmc")
    assert "a single state" in refused(*h2, "--states", "2", "--spin-penalty", "0.1")
    assert "--states" in refused(*h2, "--states", "0")


@pytest.mark.slow
def test_spectrum_and_charge_take_molecules(here, capsys):
    assert main(["spectrum", "molecule", H3, "--charge", "1", *SMALL, "--out", "all"]) == 0
    found = levels_of(here / "all")
    names = [level["sector"]["label"] for level in found]
    assert names[0] == "1A'"
    assert {"1A'", "3A'"} <= set(names)
    assert "excitation (Hartree)" in capsys.readouterr().out
    words = ("--irreps", "3A'", "--states", "2")
    assert main(["spectrum", "molecule", H3, "--charge", "1", *SMALL, *words, "--out", "two"]) == 0
    chosen = levels_of(here / "two")
    assert [level["sector"]["label"] for level in chosen] == ["1A'", "3A'", "3A'"]
    (triplet,) = [level for level in found if level["sector"]["label"] == "3A'"]
    assert chosen[1]["energy"] == pytest.approx(triplet["energy"], abs=1e-5)
    assert main(["charge", "molecule", H3, "--charge", "1", *SMALL, "--out", "ions"]) == 0
    by_charge = {level.get("charge", 1): level for level in levels_of(here / "ions")}
    assert set(by_charge) == {0, 1, 2}
    assert by_charge[2]["excitation_energy"] > 0.0 > by_charge[0]["excitation_energy"]
    assert 0.0 < by_charge[2]["pole_strength"] < 1.0
    result = json.loads((here / "ions" / "result.json").read_text())
    assert result["energy"] == by_charge[1]["energy"]
