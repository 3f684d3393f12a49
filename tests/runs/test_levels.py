"""Levels of lattices that are stopped or killed at any moment, and resumed: the same numbers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hamiltonians.lattice.lattice_spec import LatticeSpec
from nnbf.drivers.options import LatticeOptions
from nnbf.runs import (
    Job,
    LatticeLimits,
    Limits,
    RunDirectory,
    StopRequest,
    plan_resumption,
    resume_run,
    run_job,
)
from nnbf.runs.history import HistoryWriter
from nnbf.runs.job import ChargeChoice, SectorChoice

pytestmark = pytest.mark.slow

PROBLEM = LatticeSpec("tv", size="3x2", particles="2", interaction=1.0)
OPTIONS = LatticeOptions(method="full-sum", features=2, depth=1, max_steps=40)
LEVEL = (
    "particles", "sector", "level", "energy", "variance", "status", "n_steps", "n_parameters", "upper_bound",
)  # fmt: skip
CHARGE = ChargeChoice(momenta="0,0", exact=False)


def spectrum_job(**limits):
    choice = SectorChoice(momenta="1,1", irreps="none", levels=2)
    return Job("spectrum", PROBLEM.build(), OPTIONS, "full-sum", PROBLEM, choice, LatticeLimits(**limits))


def charge_job():
    return Job("charge", PROBLEM.build(), OPTIONS, "full-sum", PROBLEM, CHARGE, Limits())


def numbers(folder):
    """What a run found, without clocks."""
    result = RunDirectory.open(folder).read_result()
    rows = RunDirectory.open(folder).read_history()
    assert [row["step"] for row in rows] == list(range(len(rows)))
    return {
        "energy": result["energy"],
        "status": result["status"],
        "levels": [
            {
                k: level[k]
                for k in ("sector", "level", "energy", "variance", "status", "n_steps", "upper_bound")
            }
            for level in sorted(
                result["levels"],
                key=lambda one: json.dumps([one.get("particles"), one["sector"], one["level"]]),
            )
        ],
        "rows": [{key: value for key, value in row.items() if key != "time_s"} for row in rows],
        "excitations": result.get("excitations"),
    }


class Stop(StopRequest):
    """Asks for a stop after so many rows."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def row(self, row):
        self.left -= 1
        if self.left == 0:
            self.request("SIGTERM")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Folders of complete runs, and copies of them after some rows: what SIGKILL would have left then."""
    made = {}
    for name, job in (("spectrum", spectrum_job()), ("charge", charge_job())):
        folder = tmp_path_factory.mktemp(name) / "run"
        copies = []

        def copy(row, folder=folder, copies=copies):
            if row["step"] % 7 == 0:
                copies.append(folder.with_name(f"after_{row['step']}"))
                shutil.copytree(folder, copies[-1])

        run_job(job, out=folder, checkpoint_interval=0.0, on_row=copy)
        made[name] = folder, copies
    return made


@pytest.mark.parametrize("name", ["spectrum", "charge"])
@pytest.mark.parametrize("share", [0.05, 0.4, 0.7, 0.99])
def test_killed_runs_go_on_as_if_nothing_had_been(name, share, undisturbed, tmp_path):
    folder, copies = undisturbed[name]
    copy = shutil.copytree(copies[int(share * len(copies))], tmp_path / "copy")
    again = []
    plan = plan_resumption(copy)
    assert plan.nothing_to_do is None
    resume_run(plan, on_row=again.append)
    assert numbers(copy) == numbers(folder)
    assert len(again) <= len(numbers(folder)["rows"])
    assert plan_resumption(copy).nothing_to_do is not None


@pytest.mark.parametrize("name", ["spectrum", "charge"])
def test_without_checkpoints_levels_that_are_done_are_kept(name, undisturbed, tmp_path):
    folder, copies = undisturbed[name]
    copy = shutil.copytree(copies[int(0.7 * len(copies))], tmp_path / "copy")
    shutil.rmtree(copy / "checkpoint")
    done = plan_resumption(copy).n_done
    assert done > 0
    found = []
    resume_run(plan_resumption(copy), on_level=found.append)
    assert numbers(copy) == numbers(folder)
    assert len(found) == len(numbers(folder)["levels"]) - done


@pytest.mark.parametrize("make", [spectrum_job, charge_job])
def test_a_request_to_stop(make, undisturbed, tmp_path):
    folder, _ = undisturbed[make().command]
    stop = Stop(10)
    run = run_job(make(), out=tmp_path / "run", on_row=stop.row, stop=stop)
    assert run.result["status"] == "interrupted"
    assert run.result["stopped_by"] == "SIGTERM"
    assert "stopped by SIGTERM before it was done" in run.result["warnings"]
    resume_run(plan_resumption(tmp_path / "run"))
    assert numbers(tmp_path / "run") == numbers(folder)


@pytest.mark.parametrize("behind", [False, True])
def test_a_second_ctrl_c_beside_the_writing_of_a_row(behind, undisturbed, tmp_path, monkeypatch):
    """A step counts where its row is written, and the other way round."""
    append = HistoryWriter.append

    def interrupted(history, row):
        if behind:
            append(history, row)
        for _ in range(2 if row["step"] == 9 else 0):
            signal.raise_signal(signal.SIGINT)
        if not behind:
            append(history, row)

    monkeypatch.setattr(HistoryWriter, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_job(charge_job(), out=tmp_path / "run")
    monkeypatch.setattr(HistoryWriter, "append", append)
    plan = plan_resumption(tmp_path / "run")
    assert plan.n_rows == 10
    resume_run(plan)
    assert numbers(tmp_path / "run") == numbers(undisturbed["charge"][0])


def test_rows_of_abandoned_sectors_are_taken_back(undisturbed, tmp_path):
    """Processes side by side mix the rows of their sectors, and have no checkpoints."""
    copy = shutil.copytree(undisturbed["spectrum"][0], tmp_path / "copy")
    shutil.rmtree(copy / "checkpoint")
    rows = [json.loads(line) for line in (copy / "history.jsonl").read_text().splitlines()]
    first = [row for row in rows if row["level"] == 0]
    mixed = [row for one in first for row in (one, {**one, "sector": "(0,0)"})]
    lines = [json.dumps({**row, "step": step}) + "\n" for step, row in enumerate(mixed)]
    (copy / "history.jsonl").write_text("".join(lines))
    result = json.loads((copy / "result.json").read_text())
    result["levels"][1]["status"] = "interrupted"
    (copy / "result.json").write_text(json.dumps(result))
    plan = plan_resumption(copy)
    assert (plan.n_done, plan.n_rows) == (1, len(first))
    with plan.directory.history() as history:
        history.keep(plan.keeps)
    assert plan.directory.read_history() == first
    # A process makes all levels of a sector: with some missing, none of them is kept.
    config = json.loads((copy / "config.json").read_text())
    config["limits"]["workers"] = 2
    (copy / "config.json").write_text(json.dumps(config))
    assert (plan_resumption(copy).n_done, plan_resumption(copy).n_rows) == (0, 0)


def test_a_request_when_all_is_done_stops_nothing(undisturbed, tmp_path):
    folder, _ = undisturbed["spectrum"]
    stop = Stop(len(numbers(folder)["rows"]))
    run = run_job(spectrum_job(), out=tmp_path / "run", on_row=stop.row, stop=stop)
    assert (run.result["status"], run.result["stopped_by"]) == (numbers(folder)["status"], None)
    assert numbers(tmp_path / "run") == numbers(folder)


def test_a_damaged_state_is_made_again(undisturbed, tmp_path):
    folder, copies = undisturbed["charge"]
    copy = shutil.copytree(copies[-1], tmp_path / "copy")
    shutil.rmtree(copy / "checkpoint")
    states = sorted((copy / "states").iterdir())
    states[0].write_bytes(b"")
    resume_run(plan_resumption(copy))
    assert numbers(copy)["excitations"] == numbers(folder)["excitations"]


def test_charge_excitations_survive_sigkill(undisturbed, tmp_path):
    """The process itself is killed, in the middle of what it does."""
    folder, _ = undisturbed["charge"]
    words = ["charge", "tv", "--size", "3x2", "--particles", "2", "--interaction", "1", "--momenta", "0,0"]
    words += ["--features", "2", "--depth", "1", "--max-steps", "40", "--method", "full-sum", "--no-exact"]
    out = tmp_path / "run"
    command = [sys.executable, "-m", "nnbf.cli", *words, "--out", str(out)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (out / "result.json").is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    before = RunDirectory.open(out).read_result()
    assert before["status"] == "interrupted"
    assert "excitations" not in before
    resume_run(plan_resumption(out))
    assert numbers(out) == numbers(folder)
