"""`nnbf charge`: folder, table, picture."""

import json

import pytest

from hamiltonians import Lattice
from nnbf.cli import main
from nnbf.observables.spectral_function import exact_charge_excitations

WORDS = ("charge", "tv", "--size", "2x2", "--particles", "2", "--interaction", "1", "--momenta", "0,0 1,0")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("charge") / "run"
    assert main([*WORDS, "--features", "2", "--depth", "1", "--out", str(path)]) == 0
    return path


def test_result(run):
    result = json.loads((run / "result.json").read_text())
    exact = exact_charge_excitations(Lattice("tv", (2, 2), 2, V=1.0))
    assert result["charge_gap"] == pytest.approx(exact.charge_gap, abs=1e-6)
    assert result["exact"]["charge_gap"] == pytest.approx(exact.charge_gap, abs=1e-9)
    assert {tuple(e["momentum"]) for e in result["excitations"]} == {(0, 0), (1, 0)}
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert {row["particles"][0] for row in rows} == {2}  # the others have one state a sector


def test_reported_again(run, capsys):
    picture = run / "report" / "spectral_function.png"
    assert picture.stat().st_size > 10_000
    picture.unlink()
    assert main(["report", str(run)]) == 0
    assert picture.exists()
    shown = capsys.readouterr().out
    assert "gap" in shown
    assert "removal" in shown


def test_complete(run, capsys):
    assert main(["resume", str(run)]) == 0
    assert "there is nothing to do" in capsys.readouterr().out


def test_refused(run, refused):
    assert "holds charge excitations" in refused("evaluate", str(run))
    assert "momentum" in refused(*WORDS[:-1], "0,7x")
    assert "levels must be at least 1" in refused(*WORDS, "--levels", "0")
