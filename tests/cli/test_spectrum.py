"""`nnbf spectrum`: folder, table, picture, resumption."""

import json

import pytest

from hamiltonians import InputError, Lattice, exact_levels, named_momenta
from nnbf.cli import main

pytestmark = pytest.mark.slow

MODEL = ("tv", "--size", "5x1", "--particles", "2", "--interaction", "2")
QUICK = ("--features", "2", "--depth", "1")
LEVELS = (*QUICK, "--levels", "2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("spectrum") / "run"
    assert main(["spectrum", *MODEL, *LEVELS, "--out", str(path)]) == 0
    return path


def result_of(path):
    return json.loads((path / "result.json").read_text())


def test_levels_are_those_of_the_whole_spectrum(folder):
    result = result_of(folder)
    exact = exact_levels(Lattice("tv", (5, 1), 2, V=2.0), k=1).energies[0]
    assert result["energy"] == pytest.approx(exact, abs=1e-5)
    assert result["references"]["ed"] == pytest.approx(exact, abs=1e-9)
    assert (result["status"], result["energy_kind"], result["energy_unit"]) == ("converged", "full_sum", "t")
    assert len(result["levels"]) == result["n_levels_wanted"]
    for record in result["levels"]:
        assert record["energy"] == pytest.approx(record["reference"], abs=2e-3)
        assert record["overlap"] < 1e-3
        if record["level"] == 0:
            assert record["energy"] > record["reference"] - 1e-9
    assert {"momentum", "irrep", "level", "energy", "error", "kind", "reference"} <= set(result["levels"][0])


def test_folder_is_complete(folder):
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(len(rows)))
    assert {row["sector"] for row in rows} <= {row["sector"] for row in rows if row["level"] == 0}
    config = json.loads((folder / "config.json").read_text())
    assert config["problem"]["size"] == "5x1"
    assert (folder / "report" / "spectrum.png").stat().st_size > 10_000


def test_sectors_side_by_side(folder, tmp_path, capfd):
    """Two processes find what one finds, and write the same files."""
    path = tmp_path / "run"
    assert main(["spectrum", *MODEL, *QUICK, "--workers", "2", "--out", str(path)]) == 0
    alone = [record for record in result_of(folder)["levels"] if record["level"] == 0]
    found = result_of(path)
    assert len(found["levels"]) == len(alone) > 2
    for ours, theirs in zip(found["levels"], alone, strict=True):
        assert (ours["momentum"], ours["irrep"]) == (theirs["momentum"], theirs["irrep"])
        assert ours["energy"] == pytest.approx(theirs["energy"], abs=1e-9)
    assert found["status"] == "converged"
    names = {file.name for file in (path / "states").iterdir()}
    assert names == {file.name for file in (folder / "states").iterdir() if file.stem.endswith("_0")}
    rows = [json.loads(line) for line in (path / "history.jsonl").read_text().splitlines()]
    assert len(rows) == sum(record["n_steps"] for record in found["levels"])
    assert "[1/" in capfd.readouterr().out


def test_resuming_computes_what_is_missing(folder, capsys):
    before = result_of(folder)
    kept = [record for record in before["levels"] if record["momentum"] != before["levels"][0]["momentum"]]
    # One of them was cut short.
    kept[-1] = {**kept[-1], "status": "time_limit", "energy": 0.0}
    (folder / "result.json").write_text(json.dumps({**before, "levels": kept, "status": "interrupted"}))
    assert main(["resume", str(folder)]) == 0
    after = result_of(folder)
    assert after["status"] == "converged"
    assert [record["energy"] for record in after["levels"]] == [
        pytest.approx(record["energy"], abs=1e-9) for record in before["levels"]
    ]
    capsys.readouterr()
    assert main(["resume", str(folder)]) == 0
    assert "nothing is missing" in capsys.readouterr().out


def test_report(folder, capsys):
    (folder / "report" / "spectrum.png").unlink()
    assert main(["report", str(folder)]) == 0
    assert (folder / "report" / "spectrum.png").is_file()
    assert "above lowest" in capsys.readouterr().out


def test_time_limit_keeps_what_is_done(tmp_path, capsys):
    path = tmp_path / "run"
    assert main(["spectrum", *MODEL, *LEVELS, "--time-limit", "0.01", "--quiet", "--out", str(path)]) == 0
    result = result_of(path)
    assert result["status"] == "time_limit"
    assert len(result["levels"]) < result["n_levels_wanted"]


def test_a_failed_run_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def broken(*arguments, **options):
        raise RuntimeError("no room\nfor arrays")

    monkeypatch.setattr("nnbf.drivers.sector_levels.full_sum_level", broken)
    path = tmp_path / "run"
    assert main(["spectrum", *MODEL, *QUICK, "--quiet", "--out", str(path)]) == 1
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert f"error: the run failed: no room for arrays; 'nnbf resume {path}' tries again" in shown
    assert "RuntimeError" in (path / "failure.txt").read_text()
    monkeypatch.undo()
    assert main(["resume", str(path), "--quiet", "--time-limit", "0.01"]) == 0


def test_options_in_a_file(tmp_path, capsys):
    path = tmp_path / "spectrum.toml"
    path.write_text('size = "3x2"\nparticles = "2"\n[choice]\nmomenta = "1,0"\n')
    assert main(["spectrum", "tv", "--config", str(path), "--dry-run"]) == 0
    assert "t-V 3x2 square, pbc x pbc, N=2, V=1: 1 sector" in capsys.readouterr().out
    path.write_text('sise = "3x2"\n')
    assert main(["spectrum", "tv", "--config", str(path), "--dry-run"]) == 2
    assert "size" in capsys.readouterr().err


def test_dry_run_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["spectrum", *MODEL, "--dry-run"]) == 0
    assert "levels" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_named_momenta_and_the_path():
    square = Lattice("tv", (4, 4), 5)
    assert named_momenta(square, ["G", "m", "1,0"]) == ["0,0", "2,2", "1,0"]
    assert named_momenta(square, ["path"]) == ["0,0", "1,0", "2,0", "2,1", "2,2", "1,1"]
    for model, word in (
        (Lattice("tv", (3, 3), 2), "X"),
        (Lattice("tv", (4, 2), 2), "path"),
        (Lattice("tv", (4, 4), 2, boundary=("apbc", "pbc")), "M"),
    ):
        with pytest.raises(InputError, match=r"sides"):
            named_momenta(model, [word])


def test_one_state_with_its_observables(tmp_path, capsys):
    path = tmp_path / "one"
    words = ["lattice", "hubbard", "--size", "3x1", "--particles", "2,1", "--interaction", "2"]
    assert main([*words, *QUICK, "--max-steps", "40", "--out", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "weight of" in shown
    assert "<S^2>" in shown
    result = result_of(path)
    assert result["command"] == "lattice"
    assert len(result["levels"]) == 1
    assert result["s_squared"] == pytest.approx(0.75, abs=1e-3)
    assert result["energy"] == pytest.approx(result["references"]["ed"], abs=1e-3)
    assert (path / "report" / "correlations.png").stat().st_size > 5_000
    assert (path / "states").is_dir()
    assert main(["report", str(path), "--quiet"]) == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["lattice", "tv", "--size", "4x4", "--particles", "5", "--momentum", "0,0 1,0"], "give one"),
        (["lattice", "tv", "--size", "4x4", "--particles", "5", "--irrep", "B7"], "A1, A2, B1, B2, E"),
        (["lattice", "tv", "--size", "4x4", "--particles", "17"], "particles"),
        (
            ["spectrum", "tv", "--size", "4x4", "--particles", "5", "--levels", "2", "--method", "vmc"],
            "one level",
        ),
        (
            ["lattice", "tv", "--size", "6x6", "--particles", "9", "--method", "full-sum"],
            "full-sum-limit",
        ),
    ],
)
def test_bad_input_of_lattices(words, complaint, tmp_path, capsys):
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    shown = capsys.readouterr().err
    assert complaint in shown
    assert shown.count("\n") == 1
    assert not (tmp_path / "run").exists()
