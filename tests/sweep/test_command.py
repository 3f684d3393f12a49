"""The command `nnbf sweep`."""

import json
import signal
import subprocess
import sys
import time

import pytest

from nnbf.cli import main
from nnbf.cli.sweep import sweep

TEXT = '[base]\nmolecule = "H2"\nmax-steps = 3\n[grid]\nbasis = ["sto-3g", "nonsense", "6-31g"]\n'


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "small.toml").write_text(TEXT)
    return tmp_path


def test_failures_are_listed_at_the_end(here, program, capsys):
    assert sweep(["runs/small.toml", "--workers", "2"], program) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("small: 3 points in runs/small, 0 done\nstart  sto-3g\n")
    assert "] 6-31g  E -1.00500000  +0.2000 e-3 to FCI  converged" in captured.out
    (row,) = (line.split() for line in captured.out.splitlines() if line.startswith("6-31g "))
    assert row[1:3] == ["-1.00500000", "full_sum"]
    assert captured.err == (
        "error: nonsense: basis 'nonsense' is unknown: give another (see runs/small/logs/nonsense.log)\n"
        "error: 1 of 3 points failed; the same command tries them again\n"
    )
    assert sweep(["runs/small.toml", "--only", "*g", "--quiet"], program) == 0
    captured = capsys.readouterr()
    assert captured.out.split()[:3] == ["basis", "energy", "kind"]
    assert len(captured.out.splitlines()) == 4
    assert captured.err == ""


def test_dry_run_writes_nothing(here, program, capsys):
    before = sorted(here.rglob("*"))
    assert main(["sweep", "runs/small.toml", "--dry-run"]) == 0
    assert sorted(here.rglob("*")) == before
    out = capsys.readouterr().out
    assert "  sto-3g    missing     nnbf molecule H2 --basis=sto-3g --max-steps=3\n" in out


def test_a_changed_manifest_is_refused_or_made_anew(here, program, capsys):
    assert sweep(["runs/small.toml", "--only", "*g"], program) == 0
    (here / "runs" / "small.toml").write_text(TEXT.replace("max-steps = 3", "max-steps = 5"))
    assert main(["sweep", "runs/small.toml", "--only", "*g"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(
        "error: 2 points have another calculation in runs/small, such as sto-3g (max-steps was 3"
    )
    assert sweep(["runs/small.toml", "--only", "sto*", "--remake"], program) == 0
    assert len((here / "runs/small/sto-3g/history.jsonl").read_text().splitlines()) == 5
    assert len((here / "runs/small/6-31g/history.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no manifest given"),
        (["none.toml"], "cannot read none.toml"),
        (["runs/small.toml", "--workers", "0"], "--workers must be from 1"),
        (["runs/small.toml", "--only", "x"], "matches none"),
        (["runs/small.toml", "--slurm-tim", "5"], "did you mean --slurm-time"),
        (["runs/small.toml", "--slurm-executor", "pbs"], "slurm, local, debug"),
    ],
)
def test_bad_input(here, capsys, words, message):
    before = sorted(here.rglob("*"))
    assert main(["sweep", *words]) == 2
    assert message in capsys.readouterr().err
    assert sorted(here.rglob("*")) == before


def test_sigterm_stops_gently_and_the_same_command_goes_on(here, program, capsys):
    (here / "runs" / "small.toml").write_text(TEXT.replace("max-steps = 3", "max-steps = 300"))
    code = f"import sys; from nnbf.cli.sweep import sweep; sys.exit(sweep(sys.argv[1:], {program!r}))"
    words = ["runs/small.toml", "--only", "sto-3g"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env={"FAKE_STEP": "0.05", "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not (here / "runs/small/sto-3g/history.jsonl").exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    assert process.returncode == 1
    assert "SIGTERM: points save themselves and stop" in out
    assert err == "error: 1 of 1 points are not done; the same command goes on\n"
    result = json.loads((here / "runs/small/sto-3g/result.json").read_text())
    assert result["status"] == "interrupted"
    assert sweep(words, program) == 0
    assert "resume  sto-3g" in capsys.readouterr().out
