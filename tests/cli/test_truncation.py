"""Virtual orbitals that were left out: what files, tables and pages say of the whole basis."""

import json
from dataclasses import replace

import pytest

from hamiltonians import Truncation
from nnbf.cli import main
from nnbf.estimate import Estimate
from nnbf.evaluation import Evaluation
from nnbf.runs import RunDirectory, RunError, run_system
from nnbf.runs.evaluate_run import add_estimates
from nnbf.runs.record import result_record, with_correction
from nnbf.sweep.names import RESULT_COLUMNS

CORRECTION = -0.0123


@pytest.fixture
def cut(system):
    """A system that has 1 of 3 virtual orbitals, with made-up energies of the whole basis."""
    truncation = Truncation(
        density="mp2",
        threshold=1e-2,
        most=None,
        occupations=(0.02, 0.004, 0.001),
        n_kept=1,
        mp2_all=-1.1 + CORRECTION,
        mp2_kept=-1.1,
        references={"hf": -1.066, "mp2": -1.1 + CORRECTION, "ccsd": -1.115, "fci": None},
    )
    return replace(system, truncation=truncation)


def test_the_headline_stays_and_the_corrected_energy_goes_beside_it(cut, solver, tmp_path):
    run = run_system(cut, out=tmp_path / "run")
    result = run.result
    assert (result["energy"], result["energy_kind"]) == (-1.1011, "variational")
    estimate = result["estimates"]["mp2_corrected"]
    assert estimate["energy"] == pytest.approx(-1.1011 + CORRECTION, abs=1e-14)
    assert estimate["upper_bound"] is False
    assert (estimate["correction"], estimate["corrected"]) == (pytest.approx(CORRECTION), "variational")
    truncation = result["truncation"]
    assert (truncation["n_kept"], truncation["n_dropped"], truncation["threshold"]) == (1, 2, 1e-2)
    assert truncation["references"]["ccsd"] == -1.115
    assert result["references"]["ccsd"] == -1.1
    assert truncation["corrections"]["ccsd"] == pytest.approx(-0.015)
    assert truncation["dropped_occupation"] == pytest.approx(0.005)
    assert run.directory.read_config()["truncation"] == truncation
    assert RunDirectory.open(tmp_path / "run").read_system().truncation == cut.truncation


def test_a_run_that_broke_off_has_it_too(cut, solver, tmp_path):
    def fail():
        raise FloatingPointError("not finite")

    solver.during = fail
    with pytest.raises(RunError):
        run_system(cut, out=tmp_path / "run")
    result = RunDirectory.open(tmp_path / "run").read_result()
    assert result["energy"] == -1.09
    assert result["estimates"]["mp2_corrected"]["energy"] == pytest.approx(-1.09 + CORRECTION, abs=1e-14)


def test_systems_that_are_whole_have_no_such_estimate(system, solver, tmp_path):
    run = run_system(system, out=tmp_path / "run")
    assert run.result["truncation"] is None
    assert "mp2_corrected" not in run.result["estimates"]
    # Folders of earlier versions have no such key at all.
    config = run.directory.read_config()
    del config["truncation"]
    assert result_record(config, [], status="converged", wall_time=0.0)["truncation"] is None
    assert with_correction({"energy": -1.0, "estimates": {}}) == {"energy": -1.0, "estimates": {}}


def test_sampling_a_run_again_moves_the_corrected_energy(cut, solver, tmp_path):
    energy, variance = Estimate(-1.1009, 2e-4, "vmc"), Estimate(1e-3, 1e-4)
    sampled = Evaluation(energy, variance, 1e-3, 10, 10.0, 5, None, "sector", "precision", 1.0, ())
    result = run_system(cut, out=tmp_path / "run").result
    level = result["levels"][0] | {"kind": "vmc"}
    result["levels"] = [level]
    add_estimates(result, sampled, 0, None, {}, level=level)
    estimate = result["estimates"]["mp2_corrected"]
    assert estimate["energy"] == pytest.approx(-1.1009 + CORRECTION, abs=1e-14)
    assert (estimate["error"], estimate["corrected"]) == (2e-4, "vmc")


def test_the_screen_and_the_reports_say_so(cut, here, solver, monkeypatch, capsys):
    monkeypatch.setattr("hamiltonians.molecule.spec.MoleculeSpec.build", lambda self, references=True: cut)
    assert main(["molecule", "H2", "--out", "run"]) == 0
    screen = capsys.readouterr().out
    (row,) = (line for line in screen.splitlines() if line.strip().startswith("with MP2 correction"))
    # No distance: the references of the table are those of the kept orbitals.
    assert row.split() == ["with", "MP2", "correction", "-1.11340000", "no"]
    for text in (screen, *((here / "run/report" / name).read_text() for name in ("report.md", "index.html"))):
        plain = text.replace("&#x27;", "'")
        assert "1 of 3 virtual orbitals kept (natural orbitals of MP2)" in plain
        assert "MP2 correction for the other 2: -12.3000 mHa (by other methods: CCSD -15.0000)" in plain
        assert "with all virtual orbitals: MP2 -1.11230000, CCSD -1.11500000" in plain
    result = json.loads((here / "run" / "result.json").read_text())
    assert set(result["estimates"]) <= set(RESULT_COLUMNS)


def test_dry_run(here, capsys):
    words = ["molecule", "H2O", "--basis", "6-31g", "--frozen-core", "--fno-threshold", "3e-3", "--dry-run"]
    assert main(words) == 0
    screen = capsys.readouterr().out
    assert "virtual natural orbitals: 4 kept, 4 dropped of 8 (4 at 1e-2, " in screen
    assert "MP2 correction for the dropped ones: -" in screen
    assert "8 electrons (2S = 0) in 8 orbitals" in screen
    assert "fno-threshold = 0.003   (given)" in screen
    assert list(here.iterdir()) == []
