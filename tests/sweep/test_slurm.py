"""Points as jobs of submitit: its executors for processes here, and for debugging."""

import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hamiltonians.errors import InputError
from nnbf.sweep import SlurmOptions, SweepObserver, run_as_jobs, run_locally
from nnbf.sweep.slurm import _ended, _executor

submitit = pytest.importorskip("submitit")

TEXT = '[base]\nmolecule = "H2"\nmax-steps = 4\n[grid]\nbasis = ["sto-3g", "nonsense"]\n'


def options(executor, **rest):
    return SlurmOptions(slurm=True, slurm_executor=executor, **rest)


# submitit leaves the log files of its debugging jobs to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_jobs_make_the_table_of_a_local_sweep(planned, program):
    here, there = planned(TEXT, out="here"), planned(TEXT, out="there")
    run_locally(here, program)
    states, left = run_as_jobs(there, program, options("debug"), poll=0.1)
    assert {name: state.status for name, state in states.items()} == {
        "sto-3g": "converged",
        "nonsense": "failed",
    }
    assert left == []
    assert (there.folder.path / "sweep.csv").read_text() == (here.folder.path / "sweep.csv").read_text()
    again, _ = run_as_jobs(planned(TEXT, out="there", only="sto*"), program, options("debug"))
    assert again["sto-3g"].status == "converged"
    assert there.folder.record(there.points[0])["attempts"] == 1


def test_a_job_that_is_preempted_is_queued_again_and_goes_on(planned, program, monkeypatch):
    monkeypatch.setenv("FAKE_STEP", "0.25")
    plan = planned(TEXT.replace("max-steps = 4", "max-steps = 9"), only="sto-3g")
    point = plan.chosen[0]
    history = plan.folder.run(point) / "history.jsonl"
    caught = []

    class Preempting(SweepObserver):
        def running(self, runs):
            if not caught and history.exists() and history.stat().st_size:
                lock = os.stat(plan.folder.lock_file(point)).st_ino
                caught.extend(pid for pid in processes_of(str(plan.folder.jobs)) if has_open(pid, lock))
                for pid in caught:
                    os.kill(pid, signal.SIGUSR2)

    states, left = run_as_jobs(plan, program, options("local"), observer=Preempting(), poll=0.05)
    assert len(caught) == 1
    assert {name: state.status for name, state in states.items()} == {"sto-3g": "converged"}
    assert left == []
    log = plan.folder.log_file(point).read_text()
    assert log.count("$ nnbf resume ") == 1
    assert len(history.read_text().splitlines()) == 9


def processes_of(folder):
    """Jobs of submitit in a folder (not their controllers)."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            words = Path(f"/proc/{entry}/cmdline").read_text().split("\0")
        except (OSError, ValueError):
            continue
        if "submitit.core._submit" in words and any(word.startswith(folder) for word in words):
            found.append(int(entry))
    return found


def has_open(pid, inode):
    return any(path.exists() and path.stat().st_ino == inode for path in Path(f"/proc/{pid}/fd").iterdir())


def test_a_job_that_dies_is_a_failure(planned):
    plan = planned(TEXT)
    plan.begin()
    point = plan.points[0]
    job = SimpleNamespace(job_id="7_0", state="NODE_FAIL")
    assert _ended(plan.folder, point, job).reason == "job 7_0 ended (NODE_FAIL) before the point was done"


def test_without_submitit_or_slurm_there_is_one_clear_line(planned, program, monkeypatch):
    plan = planned(TEXT)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        with pytest.raises(InputError, match="is Slurm here"):
            run_as_jobs(plan, program, options("slurm"))
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(InputError, match="submitit, which is not installed: pip install"):
        run_as_jobs(plan, program, options("debug"))
    assert not plan.folder.path.exists()


def test_options_reach_sbatch(planned, tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("sbatch", "srun", "scontrol"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "bin" / name).chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        given = options(
            "slurm",
            slurm_partition="gpu",
            slurm_time=30,
            slurm_cpus=8,
            slurm_gpus=1,
            slurm_memory=16,
            slurm_parallel=3,
            slurm_options="account=abc",
        )
        executor = _executor(planned(TEXT).folder, given, "name")
    text = executor._executor._make_submission_file_text("run", "id")
    for line in ("partition=gpu", "time=30", "cpus-per-task=8", "gpus-per-node=1", "mem=16GB", "account=abc"):
        assert f"#SBATCH --{line}\n" in text
    with pytest.raises(InputError, match="slurm_options 'abc' is not understood"):
        options("slurm", slurm_options="abc")
