"""SIGKILL of a sweep at random moments: run again, it ends with the table of one that was left in peace."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nnbf.sweep import run_locally

# Imports once, then makes a sweep in a new process for each line.
_SWEEPS = """
import os, sys
os.fsync = lambda descriptor: None
from nnbf.cli.sweep import vocabularies
from nnbf.sweep import plan_sweep, run_locally

manifest, out, *program = sys.argv[1:]
commands = vocabularies()
print("ready", flush=True)
for line in sys.stdin:
    os.environ["FAKE_STEP"] = line.strip()
    child = os.fork()
    if child == 0:
        run_locally(plan_sweep(manifest, commands, out=out), program, workers=2)
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""
_KILLS = 10

GRID = """
[base]
molecule = "H2"
max-steps = 6
[grid]
basis = ["sto-3g", "nonsense", "6-31g"]
seed = [0, 1, 2, 3]
"""

# Points start from their neighbours: from the middle outwards, over one that fails.
CURVE = """
[sweep]
warm_start = true
[base]
max-steps = 6
[scan]
template = "H 0 0 0; H 0 0 {r}"
r = { start = 1.0, stop = 1.8, count = 9 }
[[override]]
when = { r = 1.5 }
basis = "nonsense"
[analysis]
kinds = []
"""


def table(plan):
    content = json.loads((plan.folder.path / "sweep.json").read_text())
    del content["timings"]
    return content, (plan.folder.path / "sweep.csv").read_bytes()


def kill_points(plan):
    """Kill the programs of a killed sweep too."""
    for point in plan.points:
        run = plan.folder.run(point)
        if (run / "config.json").exists() and not (run / "result.json").exists():
            pid = json.loads((run / "config.json").read_text())["pid"]
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                if "fake_nnbf" in Path(f"/proc/{pid}/cmdline").read_text():
                    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("text", [GRID, CURVE], ids=["grid", "warm curve"])
def test_killed_ten_times(planned, program, text):
    undisturbed, killed = planned(text, out="undisturbed"), planned(text, out="killed")
    dice = random.Random(5)
    kills = 0
    command = [sys.executable, "-c", _SWEEPS, str(killed.manifest.path), str(killed.folder.path), *program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sweeps:
        assert sweeps.stdout.readline() == "ready\n"
        while True:
            print("0.25" if kills < _KILLS else "0", file=sweeps.stdin, flush=True)
            child = int(sweeps.stdout.readline())
            if kills < _KILLS:
                time.sleep(dice.uniform(0.03, 0.15))
                os.kill(child, signal.SIGKILL)
            status = int(sweeps.stdout.readline())
            if kills == _KILLS or not os.WIFSIGNALED(status):
                assert os.waitstatus_to_exitcode(status) == 0
                break
            kills += 1
            if kills % 2 == 0:
                kill_points(killed)
        sweeps.stdin.close()
    assert kills == _KILLS
    run_locally(undisturbed, program, workers=2)
    assert table(killed) == table(undisturbed)
    rows = [
        (killed.folder.run(point) / "history.jsonl")
        for point in killed.points
        if point.options.get("basis") != "nonsense"
    ]
    assert all(len(path.read_text().splitlines()) == 6 for path in rows)
