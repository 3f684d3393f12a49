"""`nnbf spectrum`: folder, table, picture, resumption."""

import json

import pytest

from hamiltonians import LatticeModel, exact_levels
from nnbf.cli import main

MODEL = ("tv", "--size", "3x2", "--particles", "2", "--interaction", "2")
QUICK = ("--features", "2", "--depth", "1", "--levels", "2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("spectrum") / "run"
    assert main(["spectrum", *MODEL, *QUICK, "--out", str(path)]) == 0
    return path


def result_of(path):
    return json.loads((path / "result.json").read_text())


def test_levels_are_those_of_the_whole_spectrum(folder):
    result = result_of(folder)
    exact = exact_levels(LatticeModel("tv", (3, 2), 2, V=2.0), k=1).energies[0]
    assert result["energy"] == pytest.approx(exact, abs=1e-5)
    assert result["references"]["ed"] == pytest.approx(exact, abs=1e-9)
    assert (result["status"], result["energy_kind"], result["energy_unit"]) == ("converged", "full_sum", "t")
    assert len(result["sectors"]) == result["n_levels_wanted"]
    for record in result["sectors"]:
        assert record["energy"] == pytest.approx(record["reference"], abs=2e-3)
        assert record["overlap"] < 1e-3
        if record["level"] == 0:
            assert record["energy"] > record["reference"] - 1e-9
    assert {"momentum", "irrep", "level", "energy", "error", "kind", "reference"} <= set(result["sectors"][0])


def test_folder_is_complete(folder):
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(len(rows)))
    assert {row["sector"] for row in rows} <= {row["sector"] for row in rows if row["level"] == 0}
    config = json.loads((folder / "config.json").read_text())
    assert config["problem"]["size"] == "3x2"
    assert (folder / "report" / "spectrum.png").stat().st_size > 10_000


def test_resuming_computes_what_is_missing(folder, capsys):
    before = result_of(folder)
    kept = [record for record in before["sectors"] if record["momentum"] != before["sectors"][0]["momentum"]]
    # One of them was cut short.
    kept[-1] = {**kept[-1], "status": "time_limit", "energy": 0.0}
    (folder / "result.json").write_text(json.dumps({**before, "sectors": kept, "status": "interrupted"}))
    assert main(["resume", str(folder)]) == 0
    after = result_of(folder)
    assert after["status"] == "converged"
    assert [record["energy"] for record in after["sectors"]] == [
        pytest.approx(record["energy"], abs=1e-9) for record in before["sectors"]
    ]
    capsys.readouterr()
    assert main(["resume", str(folder)]) == 0
    assert "nothing is missing" in capsys.readouterr().out


def test_report_and_evaluate(folder, capsys):
    (folder / "report" / "spectrum.png").unlink()
    assert main(["report", str(folder)]) == 0
    assert (folder / "report" / "spectrum.png").is_file()
    assert "lowest" in capsys.readouterr().out
    assert main(["evaluate", str(folder)]) == 2
    assert "holds a spectrum" in capsys.readouterr().err


def test_time_limit_keeps_what_is_done(tmp_path, capsys):
    path = tmp_path / "run"
    assert main(["spectrum", *MODEL, *QUICK, "--time-limit", "0.01", "--quiet", "--out", str(path)]) == 0
    result = result_of(path)
    assert result["status"] == "time_limit"
    assert len(result["sectors"]) < result["n_levels_wanted"]


def test_a_failed_run_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def broken(*arguments, **options):
        raise MemoryError("no room\nfor arrays")

    monkeypatch.setattr("nnbf.drivers.spectrum.solve_sector", broken)
    path = tmp_path / "run"
    assert main(["spectrum", *MODEL, *QUICK, "--quiet", "--out", str(path)]) == 1
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert f"error: the run failed: no room for arrays; 'nnbf resume {path}' goes on" in shown
    assert "MemoryError" in (path / "failure.txt").read_text()
    monkeypatch.undo()
    assert main(["resume", str(path), "--quiet", "--time-limit", "0.01"]) == 0


def test_options_in_a_file(tmp_path, capsys):
    path = tmp_path / "spectrum.toml"
    path.write_text('size = "3x2"\nparticles = "2"\n[choice]\nmomenta = "1,0"\n')
    assert main(["spectrum", "tv", "--config", str(path), "--dry-run"]) == 0
    assert "t-V 3x2 square, pbc x pbc, N=2, V=1: 1 sectors" in capsys.readouterr().out
    path.write_text('sise = "3x2"\n')
    assert main(["spectrum", "tv", "--config", str(path), "--dry-run"]) == 2
    assert "size" in capsys.readouterr().err


def test_dry_run_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["spectrum", *MODEL, "--dry-run"]) == 0
    assert "sectors" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
