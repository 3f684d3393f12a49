"""A curve of hydrogen by the program itself: one point that it refuses, and a sweep that is killed."""

import json
import subprocess
import time

import pytest

from nnbf.cli import main
from nnbf.sweep import plan_sweep, run_locally

pytestmark = pytest.mark.slow

MANIFEST = """
[sweep]
warm_start = true
[base]
basis = "sto-3g"
hidden = [8]
n-determinants = 1
checkpoint-interval = 0
[scan]
template = "H 0 0 0; H 0 0 {r}"
r = [0.1, 0.7, 0.9]
"""


def test_killed_and_resumed(tmp_path, commands, real_program, capsys):
    manifest = tmp_path / "h2.toml"
    manifest.write_text(MANIFEST)
    undisturbed, killed = (plan_sweep(manifest, commands, out=tmp_path / name) for name in ("one", "two"))
    words = ["sweep", str(manifest), "--out", str(killed.folder.path), "--quiet"]
    for place in ("r0.7/history.jsonl", "r0.9/config.json"):
        # The point that is refused is left to the end: each sweep would try it again.
        command = [*real_program, *words, "--only", "r0.[79]"]
        with subprocess.Popen(command, start_new_session=True) as process:
            while not (killed.folder.path / place).exists():
                time.sleep(0.01)
            process.kill()
    assert main(words) == 1
    assert "error: r0.1: atoms 1 and 2 are 0.100 Angstrom apart" in capsys.readouterr().err
    run_locally(undisturbed, real_program)
    first, second = ((plan.folder.path / "sweep.csv").read_bytes() for plan in (undisturbed, killed))
    assert first == second

    content = json.loads((killed.folder.path / "sweep.json").read_text())
    refused, begun, following = content["points"]
    assert [point["started_from"] for point in content["points"]] == [None, None, "r0.7"]
    assert (refused["status"], refused["energy"]) == ("failed", None)
    assert refused["reason"].startswith("atoms 1 and 2")
    assert not (killed.folder.path / "r0.1").exists()
    for point in (begun, following):
        assert point["status"] == "converged"
        assert abs(point["error_milli"]) < 1e-3
        assert abs(point["s_squared"]) < 1e-6
        assert (point["n_determinants"], point["n_connected"]) == (2, 0)
    assert begun["fci"] == pytest.approx(-1.1361894540, abs=1e-8)
    timing = content["timings"]["r0.7"]
    assert 0 < timing["time_per_step_s"] < timing["time_to_accuracy_s"] < timing["wall_time_s"]
    assert 10 < timing["memory_mb"] < timing["peak_memory_mb"]
    (curve,) = content["analysis"]["curves"]
    assert curve["to_fci"]["largest"] < 1e-6
    assert curve["notes"][-1] == "made without r0.1"
    assert main(["sweep", str(manifest), "--out", str(killed.folder.path), "--dry-run"]) == 0
    assert "h2: 3 points in" in capsys.readouterr().out
