"""Folders of format 1, as commit dcaf556 wrote them: they report, evaluate and resume."""

import json
import shutil
from pathlib import Path

import pytest

from nnbf.cli import main
from nnbf.runs import RunDirectory, job, plan_resumption

pytestmark = pytest.mark.slow

FOLDERS = Path(__file__).resolve().parents[1] / "fixtures" / "folders"
MOLECULES = ("h4_fcidump", "lih_selected", "lih_stopped", "lih_vmc")
LATTICES = ("hubbard_vmc", "tv_spectrum", "tv_stopped")


@pytest.fixture
def copy_of(tmp_path):
    return lambda name: shutil.copytree(FOLDERS / name, tmp_path / name)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".json", ".jsonl")}


@pytest.mark.parametrize("name", [*MOLECULES, *LATTICES, "tv_charge"])
def test_report(name, copy_of, capsys):
    folder = copy_of(name)
    before = files(folder)
    assert main(["report", str(folder)]) == 0
    assert list((folder / "report").glob("*.png"))
    assert "warning" not in capsys.readouterr().err.replace("warning: the optimisation ended", "")
    assert files(folder) == before


@pytest.mark.parametrize("name", [*MOLECULES, *LATTICES])
def test_evaluate(name, copy_of, monkeypatch):
    """Of a lattice that level alone is read."""

    def planned(*arguments, **others):
        raise AssertionError("a spectrum was planned to read one level")

    for function in ("read_job", "sector_key"):
        monkeypatch.setattr(job, function, planned)
    folder = copy_of(name)
    before = RunDirectory.open(folder).read_result()
    assert (
        main(
            [
                "evaluate",
                str(folder),
                "--samples",
                "256",
                "--precision",
                "1",
                "--chains",
                "32",
                "--no-observables",
            ]
        )
        == 0
    )
    evaluation = json.loads((folder / "evaluation.json").read_text())
    after = RunDirectory.open(folder).read_result()
    assert evaluation["kind"] == "vmc"
    assert after["estimates"]["vmc"]["energy"] == evaluation["energy"]
    if before["energy_kind"] != "vmc":
        assert after["energy"] == before["energy"]
        assert abs(evaluation["energy"] - before["energy"]) < 10 * max(evaluation["error"], 1e-6)


@pytest.mark.parametrize("name", ["h4_fcidump", "lih_selected", "tv_charge", "tv_spectrum"])
def test_nothing_is_left_to_do(name, copy_of, capsys):
    folder = copy_of(name)
    before = files(folder)
    assert main(["resume", str(folder)]) == 0
    assert "nothing" in capsys.readouterr().out
    assert files(folder) == before


def test_a_molecule_goes_on_to_the_same_energy(copy_of):
    """The run that was stopped after four steps ends where the one that was not did, or sooner."""
    folder = copy_of("lih_stopped")
    assert main(["resume", str(folder), "--max-steps", "1000", "--quiet"]) == 0
    found, expected = (RunDirectory.open(path).read_result() for path in (folder, FOLDERS / "lih_selected"))
    assert found["status"] == "converged"
    assert 4 < found["n_steps"] <= expected["n_steps"]
    assert found["energy"] == pytest.approx(expected["energy"], abs=1e-6)
    assert json.loads((folder / "config.json").read_text())["format"] == 2


def test_monte_carlo_goes_on(copy_of):
    folder = copy_of("lih_vmc")
    assert main(["resume", str(folder), "--max-steps", "5", "--quiet"]) == 0
    result = RunDirectory.open(folder).read_result()
    assert (result["status"], result["n_steps"]) == ("max_steps", 5)


def test_a_spectrum_goes_on(copy_of):
    folder = copy_of("tv_stopped")
    before = RunDirectory.open(folder).read_result()
    assert plan_resumption(folder).n_done == 1
    assert main(["resume", str(folder), "--time-limit", "inf", "--quiet"]) == 0
    result = RunDirectory.open(folder).read_result()
    assert result["status"] == "converged"
    assert len(result["levels"]) == result["n_levels_wanted"] == 3
    assert result["levels"][0] == before["levels"][0]
    complete = RunDirectory.open(FOLDERS / "tv_spectrum").read_result()
    assert result["energy"] == pytest.approx(complete["energy"], abs=1e-6)


def test_a_sampled_level_of_a_lattice_goes_on(copy_of):
    folder = copy_of("hubbard_vmc")
    rows = len(RunDirectory.open(folder).read_history())
    assert plan_resumption(folder, time_limit=2.0).nothing_to_do is None
    assert main(["resume", str(folder), "--time-limit", "2", "--quiet"]) == 0
    result = RunDirectory.open(folder).read_result()
    assert result["status"] in ("time_limit", "converged", "max_steps")
    assert result["energy_kind"] == "vmc"
    assert len(RunDirectory.open(folder).read_history()) > rows
