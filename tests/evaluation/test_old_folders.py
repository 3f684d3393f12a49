"""Folders of format 1 can be evaluated; of a lattice that level alone is read."""

import json
import shutil
from pathlib import Path

import pytest

from nnbf.cli import main
from nnbf.runs import job

FOLDERS = Path(__file__).resolve().parents[1] / "fixtures" / "folders"
WORDS = ("--samples", "512", "--chains", "32", "--no-observables", "--quiet")


@pytest.mark.parametrize(
    "name", ["lih_vmc", "h4_fcidump", pytest.param("hubbard_vmc", marks=pytest.mark.slow), "tv_spectrum"]
)
def test_old_folders_are_evaluated(name, tmp_path, monkeypatch):
    def planned(*arguments, **others):
        raise AssertionError("a spectrum was planned to read one level")

    for function in ("read_job", "sector_key"):
        monkeypatch.setattr(job, function, planned)
    run = shutil.copytree(FOLDERS / name, tmp_path / name)
    before = json.loads((run / "result.json").read_text())
    assert main(["evaluate", str(run), *WORDS]) == 0
    after = json.loads((run / "result.json").read_text())
    found = after["estimates"]["vmc"]
    reference = before["energy"] if before["energy_kind"] != "vmc" else before["estimates"]["vmc"]["energy"]
    error = max(found["error"], before.get("energy_error") or 0.0)
    # Sums over V are not those over the sector.
    assert abs(found["energy"] - reference) < 6 * error + 1e-3
    assert after["status"] == before["status"]
    assert set(before) - {"sectors"} <= set(after)  # now levels
