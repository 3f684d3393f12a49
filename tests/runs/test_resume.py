"""Runs that are broken off at any moment and resumed: the same bits as those left in peace.

A copy of the run folder, taken while the run works, is what SIGKILL would have left at that moment.
"""

import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest

from hamiltonians import InputError
from nnbf.drivers import SelectedSpaceDriver, SolverOptions
from nnbf.runs import RunDirectory, RunError, StopRequest, load_checkpoint, plan_resumption, resume_run
from nnbf.runs import run_system as run_system_in
from nnbf.runs.checkpoint import CheckpointStore
from tests.determinants.oracles import random_system

SYSTEM = random_system(4, 2, 2, seed=6, scale=0.1)
NETWORK = {
    "hidden": (4,), "n_determinants": 1, "max_space": 9, "tail_steps": 0, "energy_tolerance": 1e-9,
    "pt2": False, "projected": False,
}  # fmt: skip
RUNS = {
    "rgn, then samples outside V": {"optimizer": "rgn", "tail_steps": 3},
    "sr": {"optimizer": "sr", "max_steps": 14},
    "adam": {"optimizer": "adam", "max_steps": 14},
}


def bits(folder):
    """What a run found, without the clock."""
    result = json.loads((folder / "result.json").read_text())
    final = load_checkpoint(folder / "checkpoint" / "final.npz")
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(result["n_steps"]))
    return {
        "energies": {kind: found["energy"] for kind, found in result["estimates"].items()},
        "status": result["status"],
        "variance": result["variance"],
        "parameters": [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(final.parameters)],
        "determinants": final.determinants.tobytes(),
        "rows": [{key: value for key, value in row.items() if key != "time_s"} for row in rows],
    }


def run_system(folder, options, **rest):
    return run_system_in(SYSTEM, SolverOptions(**{**NETWORK, **options}), out=folder, **rest)


def resumed(folder, *, max_steps=None, time_limit=None, **options):
    return resume_run(plan_resumption(folder, max_steps=max_steps, time_limit=time_limit), **options)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Name of a run -> (its folder, copies of the folder after every row), each made once."""
    made = {}

    def get(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("runs") / "run"
            copies = []

            def copy(row):
                copies.append(folder.with_name(f"after_{len(copies)}"))
                shutil.copytree(folder, copies[-1])

            run_system(folder, RUNS[name], checkpoint_interval=0.0, on_row=copy)
            made[name] = folder, copies
        return made[name]

    return get


@pytest.fixture
def copy_of(undisturbed, tmp_path):
    """Return a fresh copy of a run folder as it was after some rows."""

    def make(name, rows):
        place = tmp_path / f"copy_{rows}"
        return shutil.copytree(undisturbed(name)[1][rows - 1], place)

    return make


@pytest.mark.parametrize("name", RUNS)
def test_resuming_gives_the_same_bits(name, undisturbed, copy_of):
    folder, copies = undisturbed(name)
    expected = bits(folder)
    assert len(copies) == len(expected["rows"]) > 6
    stages = [row["stage"] for row in expected["rows"]]
    assert len(set(stages)) > 1 or name != "rgn, then samples outside V"
    for rows in sorted({1, 4, stages.index(stages[-1]) or 7, len(copies) - 1, len(copies)}):
        copy = copy_of(name, rows)
        assert not (copy / "result.json").exists()
        resumed(copy)
        assert bits(copy) == expected, rows
        assert RunDirectory.open(copy).read_config()["resumed"][0]["from_step"] in (rows - 1, rows)


def test_breaking_off_again_and_again(undisturbed, copy_of, tmp_path):
    """Every session makes a few steps and is then killed: the rest is left to the next one."""
    folder, _ = undisturbed("sr")
    now = copy_of("sr", 1)
    for session in range(4):
        kept = []

        def copy(row, now=now, kept=kept, session=session):
            kept.append(shutil.copytree(now, tmp_path / f"session_{session}_{len(kept)}"))

        resumed(now, on_row=copy)
        now = kept[2]
    resumed(now)
    assert bits(now) == bits(folder)
    assert len(RunDirectory.open(now).read_config()["resumed"]) == 5


def test_what_resuming_says_and_records(copy_of):
    copy = copy_of("sr", 6)
    newest = RunDirectory.open(copy).checkpoints().files()[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    (copy / ".result.json.12.tmp").write_text("{")
    (copy / "checkpoint" / ".state-000009.npz.12.tmp").write_text("PK")
    with (copy / "history.jsonl").open("a") as stream:
        stream.write('{"step": 6, "ener')
    said, seen, started = [], [], []
    run = resumed(
        copy,
        max_steps=15,
        time_limit=1e6,
        command_line="nnbf resume copy",
        warn=said.append,
        on_row=seen.append,
        on_start=lambda directory, step: started.append((directory.path, step)),
    )
    (warning,) = [line for line in said if "is not used" in line]
    assert str(newest) in warning
    assert warning in run.result["warnings"]
    ((path, step),) = started
    assert path == copy
    assert [row["step"] for row in seen] == list(range(step, 15))
    assert run.result["n_steps"] == 15
    config = run.directory.read_config()
    assert (config["options"]["max_steps"], config["options"]["time_limit"]) == (15, 1e6)
    (session,) = config["resumed"]
    assert session["changes"] == {"max_steps": 15, "time_limit": 1e6}
    assert (session["command_line"], session["from_step"]) == ("nnbf resume copy", step)
    assert not list(copy.rglob("*.tmp"))
    # The clock of the run goes on as well.
    times = [row["time_s"] for row in run.directory.read_history()]
    assert times == sorted(times)
    assert run.result["wall_time_s"] >= times[-1]
    assert plan_resumption(copy).nothing_to_do.startswith("the run has made all of its 15 steps")
    assert plan_resumption(copy, max_steps=16).nothing_to_do is None
    assert plan_resumption(copy, max_steps=16, time_limit=float("inf")).job.options.time_limit is None


def test_without_a_checkpoint_the_run_starts_again(undisturbed, copy_of):
    for damage in ("remove", "empty"):
        copy = copy_of("sr", 4 if damage == "remove" else 5)
        files = RunDirectory.open(copy).checkpoints().files()
        for file in files:
            file.unlink() if damage == "remove" else file.write_bytes(b"")
        said = []
        resumed(copy, warn=said.append)
        assert bits(copy) == bits(undisturbed("sr")[0])
        assert any("starts again" in line for line in said) == (damage == "empty")


def test_the_trained_state_is_in_the_checkpoints(undisturbed):
    folder, _ = undisturbed("rgn, then samples outside V")
    directory = RunDirectory.open(folder)
    final = directory.read_checkpoint()
    snapshot = directory.checkpoints().load().snapshot
    driver = snapshot["driver"]
    assert snapshot["network"] == final.network is not None
    assert np.array_equal(driver["determinants"], final.determinants)
    leaves = jax.tree.leaves(final.parameters)
    assert [np.asarray(leaf).tobytes() for leaf in driver["variables"]] == [
        np.asarray(leaf).tobytes() for leaf in leaves
    ]


def test_checkpoints_are_read_once_unless_others_came_in_between(undisturbed, copy_of, monkeypatch):
    real, read = CheckpointStore.load, []
    monkeypatch.setattr(CheckpointStore, "load", lambda store: read.append(store) or real(store))
    copy = copy_of("sr", 3)
    plan = plan_resumption(copy)
    resumed(copy)
    assert len(read) == 2
    seen = []
    resume_run(plan, on_row=seen.append)
    assert len(read) == 3
    assert seen == []
    assert bits(copy) == bits(undisturbed("sr")[0])


def test_limits_and_requests_end_a_run_that_can_go_on(undisturbed, tmp_path):
    expected = bits(undisturbed("sr")[0])
    run = run_system(tmp_path / "limit", {**RUNS["sr"], "time_limit": 1e-6})
    assert (run.result["status"], run.result["n_steps"]) == ("time_limit", 1)
    resumed(run.directory.path, time_limit=float("inf"))
    assert bits(run.directory.path) == expected

    stop = StopRequest()

    def ask(row):
        if row["step"] == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    run = run_system(tmp_path / "stop", RUNS["sr"], on_row=ask, stop=stop)
    assert (run.result["status"], run.result["stopped_by"]) == ("interrupted", "SIGTERM")
    assert run.result["n_steps"] == 5
    resumed(run.directory.path)
    assert bits(run.directory.path) == expected

    run = run_system(tmp_path / "steps", {**RUNS["sr"], "max_steps": 3})
    assert (run.result["status"], run.result["n_steps"]) == ("max_steps", 3)
    resumed(run.directory.path, max_steps=RUNS["sr"]["max_steps"])
    assert bits(run.directory.path) == expected
    run.directory.result_file.unlink()
    with pytest.raises(InputError, match="the run has made 14 steps already"):
        resumed(run.directory.path, max_steps=13)


@pytest.fixture
def broken(monkeypatch):
    """Let parameters become NaN at steps that a function picks."""
    real = SelectedSpaceDriver.update_parameters

    def install(is_broken):
        def update(driver, change):
            factor = np.nan if is_broken(int(driver.step_count)) else 1.0
            real(driver, jax.tree.map(lambda leaf: factor * leaf, change))

        monkeypatch.setattr(SelectedSpaceDriver, "update_parameters", update)

    yield install
    monkeypatch.undo()


def test_nan_once_is_survived(broken, tmp_path):
    left = [4]
    broken(lambda step: step in left and not left.clear())
    run = run_system(tmp_path / "run", {"optimizer": "rgn"})
    assert run.result["status"] == "converged"
    (warning,) = [line for line in run.result["warnings"] if "went on with smaller steps" in line]
    assert "step 5" in warning or "not finite" in warning
    rows = run.directory.read_history()
    assert [row["step"] for row in rows] == list(range(len(rows)))
    assert rows[-1]["rewinds"] == 1


def test_nan_again_and_again_fails_with_a_remedy(broken, tmp_path, monkeypatch):
    broken(lambda step: step >= 4)
    with pytest.raises(RunError, match="also after 5 returns") as caught:
        run_system(tmp_path / "run", {"optimizer": "rgn"})
    directory = caught.value.directory
    result = directory.read_result()
    assert result["status"] == "failed"
    assert f"nnbf resume {directory.path}" in caught.value.remedy
    assert caught.value.remedy in result["message"]
    rows = directory.read_history()
    assert result["energy"] == rows[-1]["energy"] == min(row["energy"] for row in rows)
    assert [row["step"] for row in rows] == list(range(len(rows)))
    # The remedy helps where the cause has gone, with steps that are very small by then.
    broken(lambda step: False)
    run = resumed(directory.path, max_steps=60)
    assert run.result["status"] in ("converged", "max_steps")
    assert run.result["energy"] < result["energy"]


def test_a_disk_that_is_full_for_a_while(undisturbed, tmp_path, monkeypatch):
    import nnbf.runs.checkpoint as store_module

    real, saved = store_module.write_archive, []

    def sometimes(path, arrays):
        saved.append(path)
        if 3 < len(saved) < 9:
            raise OSError(28, "No space left on device")
        real(path, arrays)

    monkeypatch.setattr(store_module, "write_archive", sometimes)
    said, found = [], []

    def look(row):
        found.append(RunDirectory.open(tmp_path / "run").checkpoints().load().snapshot["driver"]["step"])

    run = run_system(tmp_path / "run", RUNS["sr"], checkpoint_interval=0.0, warn=said.append, on_row=look)
    assert found == [0, 1, 2, 2, 2, 2, 2, 2, 8, 9, 10, 11, 12, 13]
    (warning,) = said
    assert "a checkpoint could not be written (No space left on device)" in warning
    assert warning in run.result["warnings"]
    assert bits(run.directory.path) == bits(undisturbed("sr")[0])


def test_a_checkpoint_that_does_not_fit_is_refused(copy_of):
    copy = copy_of("sr", 5)
    before = (copy / "history.jsonl").read_bytes()
    config = RunDirectory.open(copy).read_config()
    config["options"]["hidden"] = [5]
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="the checkpoint does not fit the options"):
        resumed(copy)
    assert before.startswith((copy / "history.jsonl").read_bytes())
    assert not (copy / "result.json").exists()
