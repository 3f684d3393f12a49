"""The command `nnbf resume`: what it says, what it refuses, what it records."""

import errno
import json
import os

import pytest

from nnbf.cli import main
from nnbf.runs import RunDirectory
from nnbf.runs.history import HistoryWriter


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    """Plots take longer than everything else here."""
    monkeypatch.setattr("nnbf.cli.report.written_report", lambda folder: [])


@pytest.fixture
def stopped(here, built, solver, capsys):
    """A run that was stopped after two of its three steps."""
    import signal

    solver.during = lambda: os.kill(os.getpid(), signal.SIGTERM)
    assert main(["molecule", "H2", "--out", "run", "--checkpoint-interval", "0"]) == 0
    solver.during = None
    capsys.readouterr()
    return here / "run"


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_run_goes_on(stopped, solver, capsys):
    assert main(["resume", "run", "--time-limit", "60"]) == 0
    captured = capsys.readouterr()
    assert solver.steps == [0, 2]
    assert "going on after 2 steps" in captured.out
    assert "FCI" in captured.out
    assert "warning: stopped" not in captured.err
    result = json.loads((stopped / "result.json").read_text())
    assert (result["status"], result["n_steps"]) == ("converged", 3)
    config = json.loads((stopped / "config.json").read_text())
    assert config["checkpoint_interval"] == 0
    assert config["options"]["time_limit"] == 60
    assert config["resumed"][0]["command_line"] == "nnbf resume run --time-limit 60"
    assert solver.seen_options.time_limit == 60
    assert len((stopped / "history.jsonl").read_text().splitlines()) == 3
    assert main(["resume", "run"]) == 0
    assert capsys.readouterr().out == "run: the run has converged: there is nothing to do\n"
    assert solver.steps == [0, 2]


def test_quiet_prints_the_table_alone(stopped, capsys):
    assert main(["resume", "run", "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "FCI" in out
    assert "run folder" not in out
    assert "step" not in out


def test_a_run_at_its_limit(stopped, solver, capsys):
    change(stopped / "result.json", status="max_steps", n_steps=1000)
    assert main(["resume", "run"]) == 0
    assert (
        "the run has made all of its 1000 steps: give more of them with --max-steps"
        in capsys.readouterr().out
    )
    assert main(["resume", "run", "--max-steps", "1001"]) == 0
    assert solver.steps == [0, 2]
    assert solver.seen_options.max_steps == 1001


def test_damage_is_told(stopped, solver, capsys):
    newest = RunDirectory.open(stopped).checkpoints().files()[-1]
    newest.write_bytes(b"")
    change(stopped / "config.json", versions={"nnbf": "0.0.1", "gone": "1"})
    assert main(["resume", "run"]) == 0
    said = capsys.readouterr().err
    assert f"warning: the checkpoint run/checkpoint/{newest.name} is not used: it is empty" in said
    assert "nnbf 0.0.1 then" in said
    assert solver.steps == [0, 1]
    warnings = json.loads((stopped / "result.json").read_text())["warnings"]
    assert any("is not used" in line for line in warnings)


def test_what_is_refused(stopped, refused):
    assert "absent is not a run folder" in refused("resume", "absent")
    assert "no folder given" in refused("resume")
    assert "--max-steps must be at least 1" in refused("resume", "run", "--max-steps", "0")
    assert "--time-limit must be positive" in refused("resume", "run", "--time-limit", "-1")
    assert "unknown option --seed" in refused("resume", "run", "--seed", "1")
    config = (stopped / "config.json").read_text()
    for wrong, message in (
        ('{"form', "cannot be read"),
        ("[]", "damaged"),
        ("{}", "not that of a run that can be resumed"),
        (json.dumps({**json.loads(config), "method": "magic"}), "there is no method 'magic'"),
        (json.dumps({**json.loads(config), "options": {"magic": 1}}), "does not know (magic)"),
    ):
        (stopped / "config.json").write_text(wrong)
        assert message in refused("resume", "run")
    (stopped / "config.json").write_text(config)
    (stopped / "system.npz").write_bytes(b"PK")
    assert "not a readable system file" in refused("resume", "run")
    (stopped / "system.npz").unlink()
    assert "has no system.npz" in refused("resume", "run")


def test_what_is_refused_after_the_system_was_read(stopped, capsys):
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    assert main(["resume", "run", "--max-steps", "1"]) == 2
    assert "error: the run has made 2 steps already" in capsys.readouterr().err
    with HistoryWriter(stopped / "history.jsonl"):
        assert main(["resume", "run"]) == 2
    assert "error: another process is working in run: wait until it is done" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()} == before


def test_intervals_that_make_no_sense(refused):
    assert "--checkpoint-interval must be at least 0" in refused(
        "molecule", "H2", "--checkpoint-interval", "-1"
    )


def no_space(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_no_space_for_the_result(here, built, solver, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "write_result", no_space)
        assert main(["molecule", "H2", "--out", "run"]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "the result cannot be written: No space left on device" in line
    assert "make room, then 'nnbf resume run'" in line
    assert not (here / "run" / "result.json").exists()
    solver.steps.clear()
    assert main(["resume", "run"]) == 0
    assert (here / "run" / "result.json").is_file()


@pytest.mark.parametrize("method", ["write_problem", "write_config", "history"])
def test_no_space_to_begin(here, built, solver, capsys, monkeypatch, method):
    monkeypatch.setattr(RunDirectory, method, no_space)
    assert main(["molecule", "H2", "--out", "run"]) == 2
    assert "run cannot be written (No space left on device): make room" in capsys.readouterr().err
    assert list(here.iterdir()) == []
