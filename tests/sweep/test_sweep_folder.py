"""The state of a point, from nothing but its files; what is removed and what stays."""

import json
import os
import subprocess
import sys

import pytest

from hamiltonians.errors import InputError
from nnbf.sweep import FINAL, last_row
from nnbf.sweep.sweep_folder import end_of_file, locked, release_lock, result_of, take_lock


@pytest.fixture
def plan(planned):
    plan = planned()
    plan.begin()
    return plan


def write_run(plan, point, status=None, config="{}"):
    run = plan.folder.run(point)
    run.mkdir(exist_ok=True)
    (run / "config.json").write_text(config)
    if status is not None:
        (run / "result.json").write_text(json.dumps({"status": status, "energy": -1.0}))
    return run


def test_states_follow_the_files(plan):
    folder, point = plan.folder, plan.points[0]
    assert folder.state(point).status == "missing"
    folder.write_record(point)
    assert folder.state(point).status == "missing"
    run = write_run(plan, point)
    assert folder.state(point).status == "unfinished"
    for status in ("interrupted", "failed"):
        write_run(plan, point, status)
        assert folder.state(point).status == "unfinished"
    folder.write_record(point, failure="it broke off")
    assert (folder.state(point).status, folder.state(point).reason) == ("failed", "it broke off")
    for status in FINAL:
        write_run(plan, point, status)
        state = folder.state(point)
        assert state.done
        assert state.result["energy"] == -1.0
    (run / "result.json").write_text('{"status": "conv')
    folder.write_record(point, failure=None)
    assert folder.state(point).status == "unfinished"


def test_records_are_merged_and_damaged_ones_are_none(plan):
    folder, point = plan.folder, plan.points[0]
    folder.write_record(point, attempts=2)
    folder.write_record(point, process_s=1.5)
    record = folder.record(point)
    assert (record["attempts"], record["process_s"], record["digest"]) == (2, 1.5, point.digest)
    for text in ("{", "[1]", ""):
        folder.record_file(point).write_text(text)
        assert folder.record(point) == {}


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ({"options": {"molecule": "H2", "basis": "sto-3g", "seed": 0}}, "max-steps was not given and is 4"),
        ({"options": {"molecule": "N2"}}, 'molecule was "N2" and is "H2"'),
        ({"command": ["lattice", "tv"]}, "the command was lattice and is molecule"),
        ({}, "a file that it reads has changed"),
    ],
)
def test_another_calculation_is_told_by_what_differs(plan, before, reason):
    folder, point = plan.folder, plan.points[0]
    folder.write_record(point, **{"digest": "another", **before})
    state = folder.state(point)
    assert (state.status, state.done) == ("changed", False)
    assert reason in state.reason


def test_only_what_cannot_be_resumed_is_a_stub(plan):
    folder, point = plan.folder, plan.points[0]
    folder.remove_stub(point)
    run = folder.run(point)
    run.mkdir()
    for name in ("system.npz", "history.jsonl", ".config.json.12.tmp"):
        (run / name).write_text("")
    folder.remove_stub(point)
    assert not run.exists()
    run.mkdir()
    (run / "notes.txt").write_text("mine")
    folder.remove_stub(point)
    assert (run / "notes.txt").exists()


def test_clearing_a_link_leaves_its_target(plan, tmp_path):
    folder, point = plan.folder, plan.points[0]
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / "config.json").write_text("{}")
    folder.run(point).symlink_to(target)
    folder.write_record(point)
    folder.log_file(point).write_text("said")
    folder.clear(point)
    assert (target / "config.json").exists()
    assert not folder.run(point).exists()
    assert not folder.record_file(point).exists()
    assert not folder.log_file(point).exists()
    folder.clear(point)


def test_a_folder_that_cannot_be_made_is_one_line(planned, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file is a file: give a folder as out"):
        planned(out="file")
    plan = planned(out="file/below")
    with pytest.raises(InputError, match=r"cannot make .*give another folder as out"):
        plan.begin()


def test_the_last_whole_row_of_a_history(tmp_path):
    assert last_row(tmp_path) is None
    history = tmp_path / "history.jsonl"
    history.write_text('{"step": 0}\n')
    assert last_row(tmp_path) == {"step": 0}
    history.write_text("".join(f'{{"step": {k}}}\n' for k in range(2000)) + '{"step": 20')
    assert last_row(tmp_path) == {"step": 1999}
    history.write_text("{\n\n")
    assert last_row(tmp_path) is None
    assert end_of_file(history, 2) == b"\n\n"
    assert end_of_file(tmp_path / "none", 2) == b""
    assert result_of(tmp_path) == {}


def test_a_lock_has_one_holder(tmp_path):
    path = tmp_path / "lock"
    held = take_lock(path)
    assert take_lock(path) is None
    with locked(path, wait=False) as free:
        assert not free
    release_lock(held)
    release_lock(held)  # again: no harm
    with locked(path) as free:
        assert free
        assert take_lock(path) is None


@pytest.mark.parametrize("release", [False, True], ids=["as long as it lives", "until it is released"])
def test_a_program_that_inherits_a_lock_keeps_it(tmp_path, release):
    path = tmp_path / "lock"
    held = take_lock(path)
    code = "import sys; sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code], stdin=subprocess.PIPE, pass_fds=(held,)
    ) as child:
        if release:
            release_lock(held)
        else:
            os.close(held)  # as the end of a killed sweep does
        taken = take_lock(path)
        assert (taken is not None) == release
        child.stdin.close()
        child.wait()
        if taken is None:
            taken = take_lock(path)
    assert taken is not None
    release_lock(taken)
