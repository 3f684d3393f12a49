"""Ends that come from outside: second Ctrl-Cs that are swallowed, parents that die, folders that vanish."""

import json
import os
import shutil
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from hamiltonians import InputError
from nnbf.runs import (
    RunDirectory,
    RunError,
    StopRequest,
    plan_resumption,
    require_free,
    resume_run,
    run_job,
)
from tests.runs.test_levels import spectrum_job

# A process that starts another one, as sweeps do, and waits; both hold the output.
_CHILD = """
import signal, time
from nnbf import _runtime
_runtime._PATIENCE = 0.2
signal.signal(signal.SIGTERM, signal.{})
_runtime.stop_with_parent()
print("ready", flush=True)
time.sleep(60)
"""
_PARENT = """
import os, subprocess, sys
watched, alive = os.pipe()
environment = {**os.environ, "NNBF_PARENT_PIPE": str(watched)}
subprocess.Popen([sys.executable, "-c", sys.argv[1]], pass_fds=(watched,), env=environment).wait()
"""


class Thing:
    """Something that can be referred to weakly."""


def test_a_second_ctrl_c_that_a_callback_swallows_comes_again(capsys):
    stop = StopRequest()

    def interrupted_twice():
        with stop:
            signal.raise_signal(signal.SIGINT)
            assert stop()
            thing = Thing()
            finalizer = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
            del thing  # exceptions of such callbacks are printed and forgotten
            assert finalizer() is None

    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()
    with pytest.raises(KeyboardInterrupt):
        stop()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("saves_itself", ["SIG_DFL", "SIG_IGN"])  # at once, or not within its time
def test_nothing_outlives_a_parent_that_is_killed(saves_itself):
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", _PARENT, _CHILD.format(saves_itself)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout.readline() == b"ready\n"
        parent.kill()
        assert parent.stdout.read() == b""  # both ends of the output are closed


@pytest.mark.parametrize("leave", [shutil.rmtree, lambda folder: folder.rename(folder.with_name("moved"))])
def test_a_folder_that_is_removed_or_moved_ends_the_run(leave, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(RunError, match="removed or moved while the run went on") as caught:
        run_job(spectrum_job(), out=folder, on_row=lambda row: row["step"] == 2 and leave(folder))
    assert "put it back" in caught.value.remedy
    assert not folder.exists()


def test_a_request_is_heard_though_it_cannot_be_announced():
    def announce(reason):
        raise BrokenPipeError(reason)

    with StopRequest(announce) as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop()


def test_a_second_ctrl_c_that_a_library_makes_an_error_of():
    def interrupted_twice():
        with StopRequest():
            signal.raise_signal(signal.SIGINT)
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt as error:
                raise RuntimeError("INTERNAL: KeyboardInterrupt") from error

    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()


def test_a_start_that_was_killed_leaves_its_folder_free(tmp_path):
    folder = tmp_path / "run"
    first = RunDirectory.create(folder)
    left = (first.system_file, first.start_file, folder / ".config.json.7.tmp")
    with first.claim():
        for file in left:
            file.write_text("half")
        with pytest.raises(InputError, match="another process is working"):
            RunDirectory.create(folder).claim()  # one that begins at the same moment
        assert all(file.exists() for file in left)
    with pytest.raises(InputError, match="no step to go on from"):
        RunDirectory.open(folder)
    with RunDirectory.create(folder).claim():
        assert [file.name for file in folder.iterdir()] == ["history.jsonl"]
    first.config_file.write_text("{}")
    with pytest.raises(InputError, match="holds another run"):
        first.claim()
    first.config_file.rename(folder / "thesis.txt")
    with pytest.raises(InputError, match="holds other files"):
        require_free(folder)


def test_a_run_that_was_killed_when_all_levels_were_there_has_its_end_to_write(tmp_path):
    whole = run_job(spectrum_job(), out=tmp_path / "run").result
    assert plan_resumption(tmp_path / "run").nothing_to_do is not None
    left = {**whole, "status": "interrupted", "message": "interrupted", "stopped_by": "SIGINT"}
    (tmp_path / "run" / "result.json").write_text(json.dumps(left))
    plan, rows = plan_resumption(tmp_path / "run"), []
    assert plan.nothing_to_do is None
    again = resume_run(plan, on_row=rows.append).result
    assert rows == []
    times = {"wall_time_s", "peak_memory_mb", "memory_mb", "evaluations_per_s"}
    assert {k: v for k, v in again.items() if k not in times} == {
        k: v for k, v in whole.items() if k not in times
    }
