"""The script that measures an accelerator, on a CPU with small systems."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_script_for_accelerators_runs_on_a_cpu(tmp_path):
    out = tmp_path / "gpu.json"
    words = ["benchmarks/gpu.py", "--tiny", "--seconds", "240", "--out", str(out)]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    for case in found["cases"].values():
        # Values of other hardware, stored.
        assert max(case["differences"].values()) < 1e-9
        assert case["double"]["determinants_per_s"] > 0
        assert case["single"]["share_of_roofline"] > 0
        assert case["sr_step_s"] > 0
    assert "local energies/s" in done.stdout
