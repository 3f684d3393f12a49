"""Points as processes: done, half done, failed, stopped; two sweeps at once."""

import dataclasses
import os
import signal
import subprocess
import threading
import time

import pytest

from hamiltonians.errors import InputError
from nnbf._runtime import threads_environment
from nnbf.sweep import SweepObserver, require_unchanged, run_locally

BAD = """
[base]
molecule = "H2"
max-steps = 2
[grid]
basis = ["sto-3g", "nonsense", "explode", "crash", "6-31g"]
"""

LONG = """
[base]
molecule = "H2"
max-steps = 300
[grid]
seed = [0, 1, 2, 3]
"""


class Recorder(SweepObserver):
    def __init__(self):
        self.begun, self.over, self.most, self.waited_for = [], [], 0, []

    def started(self, point, resumed):
        self.begun.append((point.name, resumed))

    def ended(self, point, state):
        self.over.append((point.name, state.status))

    def elsewhere(self, points):
        self.waited_for += [point.name for point in points]

    def running(self, runs):
        self.most = max(self.most, len(runs))


def statuses(states):
    return {name: state.status for name, state in states.items()}


def log(plan, point):
    return plan.folder.log_file(point).read_text()


def test_all_points_are_made_and_then_skipped(planned, program, monkeypatch):
    monkeypatch.setenv("FAKE_STEP", "0.15")  # the first is still at it when the third begins
    plan, seen = planned(), Recorder()
    states = run_locally(plan, program, workers=3, observer=seen)
    assert set(statuses(states).values()) == {"converged"}
    assert seen.most == 3
    assert len(seen.begun) == len(seen.over) == 4
    assert log(plan, plan.points[0]).startswith(
        f"$ nnbf molecule H2 --basis=sto-3g --max-steps=4 --seed=0 --out={plan.folder.run(plan.points[0])}\n"
    )
    assert (plan.folder.path / "manifest.toml").read_bytes() == plan.manifest.path.read_bytes()
    again = Recorder()
    assert statuses(run_locally(plan, program, observer=again)) == statuses(states)
    assert again.begun == []


def test_failures_do_not_stop_the_others_and_say_why(planned, program):
    plan = planned(BAD)
    states = run_locally(plan, program, workers=2)
    assert statuses(states) == {
        "sto-3g": "converged",
        "nonsense": "failed",
        "explode": "failed",
        "crash": "failed",
        "6-31g": "converged",
    }
    assert states["nonsense"].reason == "basis 'nonsense' is unknown: give another"
    assert states["explode"].reason == "the run failed: energies run away; 'nnbf resume explode' goes on"
    assert not plan.folder.run(plan.points[1]).exists()
    # The same command tries them again: what had begun is resumed.
    seen = Recorder()
    run_locally(plan, program, observer=seen)
    assert seen.begun == [("nonsense", False), ("explode", True), ("crash", True)]


def test_a_stopped_sweep_saves_its_points_and_goes_on(planned, program):
    plan, seen = planned(LONG), Recorder()
    stop = []

    def working(runs):
        histories = [plan.folder.run(run.point) / "history.jsonl" for run in runs]
        if len(runs) == 2 and all(path.exists() and path.stat().st_size for path in histories):
            stop.append(True)

    seen.running = working
    states = run_locally(
        plan,
        program,
        workers=2,
        environment={"FAKE_STEP": "0.05"},
        should_stop=lambda: bool(stop),
        observer=seen,
    )
    assert sorted(statuses(states).values()) == ["missing", "missing", "unfinished", "unfinished"]
    again = Recorder()
    states = run_locally(plan, program, observer=again)
    assert set(statuses(states).values()) == {"converged"}
    assert sorted(resumed for _, resumed in again.begun) == [False, False, True, True]
    first = plan.points[0]
    assert "$ nnbf resume " in log(plan, first)
    rows = (plan.folder.run(first) / "history.jsonl").read_text().splitlines()
    assert len(rows) == 300


def test_interruption_ends_the_points_at_once(planned, program):
    plan, seen = planned(), Recorder()
    pids = []

    def working(runs):
        if len(runs) == 2:
            pids.extend(run._process.pid for run in runs)
            raise KeyboardInterrupt

    seen.running = working
    with pytest.raises(KeyboardInterrupt):
        run_locally(plan, program, workers=2, environment={"FAKE_STEP": "0.3"}, observer=seen)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert set(statuses(run_locally(plan, program, workers=2)).values()) == {"converged"}


def test_what_was_killed_before_it_could_be_resumed_starts_anew(planned, program):
    plan = planned()
    run_locally(plan, program)
    folder = plan.folder.run(plan.points[0])
    for path in folder.iterdir():
        if path.name != "system.npz":
            path.unlink()
    (folder / ".config.json.7.tmp").write_text("{")
    seen = Recorder()
    run_locally(plan, program, observer=seen)
    assert seen.begun == [(plan.points[0].name, False)]
    assert seen.over == [(plan.points[0].name, "converged")]


def test_another_manifest_on_the_same_folder_is_refused(planned, program, tmp_path):
    run_locally(planned(), program)
    plan = planned(planned().manifest.path.read_text().replace("max-steps = 4", "max-steps = 5"))
    with pytest.raises(InputError, match=r"4 points have another calculation .*max-steps was 4 and is 5"):
        require_unchanged(plan.folder, plan.chosen)
    states = run_locally(plan, program)
    assert set(statuses(states).values()) == {"changed"}
    foreign = planned(out="foreign")
    foreign.folder.run(foreign.points[0]).mkdir(parents=True)
    (foreign.folder.run(foreign.points[0]) / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"1 point has .*this sweep did not make"):
        require_unchanged(foreign.folder, foreign.chosen)
    run_locally(foreign, program)
    assert (foreign.folder.run(foreign.points[0]) / "thesis.txt").read_text() == "mine"


def test_a_point_may_wait_for_another_and_be_given_more_words(planned, program):
    plan = planned()
    first, second, third, fourth = plan.points
    points = (dataclasses.replace(first, after=fourth.name), second, third, fourth)
    plan = dataclasses.replace(plan, points=points, chosen=points)
    seen = Recorder()
    run_locally(plan, program, observer=seen, more_words=lambda point: [f"--hidden={len(point.name)}"])
    order = [name for name, _ in seen.begun]
    assert order == [second.name, third.name, fourth.name, first.name]
    assert f"--hidden={len(first.name)}" in log(plan, first)


def test_two_sweeps_share_the_points(planned, program):
    plan = planned(BAD.replace('"6-31g"', '"6-31g", "3-21g", "dz", "tz", "qz"'))
    recorders = [Recorder(), Recorder()]
    outcomes = [None, None]

    def work(place):
        outcomes[place] = run_locally(
            plan, program, workers=2, environment={"FAKE_STEP": "0.05"}, observer=recorders[place]
        )

    threads = [threading.Thread(target=work, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses(outcomes[0]) == statuses(outcomes[1])
    begun = [name for seen in recorders for name, _ in seen.begun]
    assert sorted(begun) == sorted(point.name for point in plan.points)
    assert all(len(seen.begun) > 1 for seen in recorders)


def test_a_point_of_a_sweep_that_is_gone_is_waited_for_while_it_works(planned, program):
    plan = planned(only="sto-3g_seed0")
    plan.folder.make()
    point = plan.chosen[0]
    # The lock of a killed sweep is kept by the program that it started, and by nothing else.
    with plan.folder.lock_file(point).open("w") as lock:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)
        orphan = subprocess.Popen(["sleep", "60"], pass_fds=(lock.fileno(),))
    seen = Recorder()
    seen.running = lambda runs: orphan.kill() if seen.waited_for and not runs else None
    started = time.monotonic()
    states = run_locally(plan, program, observer=seen)
    assert orphan.wait() == -signal.SIGKILL
    assert time.monotonic() - started < 10
    assert seen.waited_for[0] == point.name
    assert statuses(states) == {point.name: "converged"}


def test_threads_are_shared_but_what_the_user_says_goes_first(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NNBF_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XLA_FLAGS", "--xla_other")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    found = threads_environment(1)
    assert "OMP_NUM_THREADS" not in found
    assert found["OPENBLAS_NUM_THREADS"] == "1"
    assert found["XLA_FLAGS"] == "--xla_cpu_multi_thread_eigen=false --xla_other"
    assert "XLA_FLAGS" not in threads_environment(2)
