"""Ends that come from outside: second Ctrl-Cs that are swallowed, parents that die, folders that vanish."""

import os
import shutil
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from nnbf.runs import RunError, StopRequest, run_job
from tests.runs.test_levels import spectrum_job

# A process that starts another one, as sweeps do, and waits; both hold the output.
_CHILD = """
import time
from nnbf._runtime import stop_with_parent
stop_with_parent()
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


def test_nothing_outlives_a_parent_that_is_killed():
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", _PARENT, _CHILD]
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
