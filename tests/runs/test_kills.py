"""SIGKILL at random moments of a process that saves itself after every step: what is left is always whole."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from nnbf.runs.checkpoint import CheckpointStore
from nnbf.runs.history import HistoryWriter

pytestmark = pytest.mark.slow

# A run in miniature: rows and checkpoints through the same code, states that follow from one another.
_RUN = """
import sys
from pathlib import Path
import numpy as np
from nnbf.runs.checkpoint import Checkpointing
from nnbf.runs.history import HistoryWriter
from nnbf.runs.checkpoint import CheckpointStore

folder, steps = Path(sys.argv[1]), int(sys.argv[2])
store = CheckpointStore(folder / "checkpoint", "run")
with HistoryWriter(folder / "history.jsonl") as history:
    found = store.load()
    assert not found.problems, found.problems
    state = found.snapshot or {"step": 0, "x": np.linspace(0.1, 0.9, 4000)}
    history.keep_before(state["step"])
    save = Checkpointing(store, history, 0.0)
    print("ready", flush=True)
    for step in range(state["step"], steps):
        save(lambda: {"step": step, "x": state["x"]}, False)
        history.append({"step": step, "energy": float(state["x"] @ state["x"])})
        state["x"] = 3.9 * state["x"] * (1.0 - state["x"])
    save(lambda: {"step": steps, "x": state["x"]}, True)
"""
_STEPS = 400


def start(folder):
    command = [sys.executable, "-c", _RUN, str(folder), str(_STEPS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def outcome(folder):
    snapshot = CheckpointStore(folder / "checkpoint", "run").load().snapshot
    return snapshot["step"], snapshot["x"].tobytes(), (folder / "history.jsonl").read_bytes()


def test_kills_lose_nothing_but_the_last_step(tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for folder in (undisturbed, killed):
        folder.mkdir()
    with start(undisturbed) as child:
        assert child.communicate()[1] == ""
    dice = random.Random(3)
    kills, made = 0, 0
    while made < _STEPS and kills < 10:
        with start(killed) as child:
            assert child.stdout.readline() == "ready\n", child.stderr.read()
            time.sleep(dice.uniform(0.0, 0.15))
            child.kill()
        kills += child.returncode == -signal.SIGKILL
        found = CheckpointStore(killed / "checkpoint", "run").load()
        assert found.problems == ()
        step = 0 if found.snapshot is None else found.snapshot["step"]
        assert step >= made
        with HistoryWriter(killed / "history.jsonl") as history:
            assert step <= history.count <= step + 1
        made = step
    assert kills > 2
    with start(killed) as child:
        assert child.communicate()[1] == ""
    assert outcome(killed) == outcome(undisturbed)
    rows = [json.loads(line) for line in (killed / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(_STEPS))
