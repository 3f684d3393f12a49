"""Runs for several states: what is in the folder, and the same bits wherever they are broken off."""

import csv
import json
import shutil

import jax
import numpy as np
import pytest

from nnbf.drivers import SolverOptions
from nnbf.report import read_run, write_report
from nnbf.runs import load_checkpoint, plan_resumption, resume_run, run_system
from tests.determinants.oracles import random_system

SYSTEM = random_system(4, 2, 2, seed=6, scale=0.1)
OPTIONS = SolverOptions(states=3, hidden=(4,), n_determinants=1, energy_tolerance=1e-7)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, and copies of its folder after every step."""
    folder, copies = tmp_path_factory.mktemp("runs") / "run", []

    def copy(row):
        copies.append(folder.with_name(f"after_{len(copies)}"))
        shutil.copytree(folder, copies[-1])

    run_system(SYSTEM, OPTIONS, out=folder, checkpoint_interval=0.0, on_row=copy)
    return folder, copies


def found(folder):
    """What a run found, without the clock."""
    result = json.loads((folder / "result.json").read_text())
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(result["n_steps"]))
    states = {
        path.name: [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(load_checkpoint(path).parameters)]
        for path in sorted((folder / "states").iterdir())
    }
    return {
        "states": states,
        "levels": [(level["energy"], level["status"], level["n_steps"]) for level in result["levels"]],
        "rows": [{key: value for key, value in row.items() if key != "time_s"} for row in rows],
        "status": result["status"],
    }


def test_the_folder_has_every_state(run):
    folder, _ = run
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "converged"
    assert [level["level"] for level in result["levels"]] == [0, 1, 2]
    for level in result["levels"]:
        assert level["energy"] - level["reference"] == pytest.approx(0.0, abs=1e-5)
        assert level["estimates"]["selected_ci"]["energy"] == pytest.approx(level["reference"])
        assert level["upper_bound"]
    assert result["energy"] == result["levels"][0]["energy"]
    assert len(list((folder / "states").iterdir())) == 3
    assert plan_resumption(folder).nothing_to_do == "the run has converged: there is nothing to do"


def test_resumed_anywhere_it_ends_with_the_same_bits(run):
    folder, copies = run
    whole = found(folder)
    for copy in copies[:: max(1, len(copies) // 4)]:
        resume_run(plan_resumption(copy))
        assert found(copy) == whole


def test_a_run_without_time_says_what_it_has(tmp_path):
    """Networks that were not trained are not reported: selected CI stands in for them."""
    out = tmp_path / "run"
    stop = []
    run_system(SYSTEM, OPTIONS, out=out, on_row=stop.append, stop=_Stop(lambda: len(stop) >= 2))
    result = json.loads((out / "result.json").read_text())
    assert result["status"] == "interrupted"
    assert [level["kind"] for level in result["levels"]] == ["full_sum", "selected_ci", "selected_ci"]
    resume_run(plan_resumption(out))
    assert json.loads((out / "result.json").read_text())["status"] == "converged"


class _Stop:
    """A request to stop, as `nnbf.runs.StopRequest` is one, from a condition."""

    reason = "SIGTERM"

    def __init__(self, condition):
        self._condition = condition

    def __call__(self):
        return self._condition()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    @staticmethod
    def unbroken():
        import contextlib

        return contextlib.nullcontext()


def test_the_report_has_levels_as_table_picture_and_csv(run):
    folder, _ = run
    written = write_report(read_run(folder))
    assert not written.problems
    assert "levels.png" in [picture.name for picture in written.pictures]
    rows = list(csv.DictReader((folder / "report" / "levels.csv").read_text().splitlines()))
    assert len(rows) == 3
    assert float(rows[1]["excitation_ev"]) == pytest.approx(27.211386 * float(rows[1]["excitation_energy"]))
    page = written.page.read_text()
    assert "excitation (Hartree)" in page
