"""Reports from files alone: plot, page, tables, comparisons."""

import re
import subprocess
import sys

import numpy as np
import pytest

from hamiltonians import InputError
from nnbf.report import best_reference, energy_rows, numbers, read_run, write_report
from nnbf.report._errors import ErrorScale, spread
from nnbf.report._theme import DARK, LIGHT
from nnbf.report.energies import Yardstick
from nnbf.report.plot import draw_run, png
from nnbf.report.stages import stages

FCI = -1.1011503302326
PNG = b"\x89PNG\r\n\x1a\n"


def test_report_of_a_run(run_folder):
    folder = run_folder()
    written = write_report(folder)
    assert written.plot == folder / "report" / "energy.png"
    assert written.plot.read_bytes().startswith(PNG)
    text = written.page.read_text()
    assert "H2 / sto-3g" in text
    assert "upper bound" in text
    assert "mHa to FCI" in text
    assert "MP2 was not computed: not asked for" in text
    table = written.table.read_text()
    assert "| **variational** | −1.10110000 |" in table
    assert sorted(path.name for path in written.page.parent.iterdir()) == [
        "energy.png",
        "index.html",
        "report.md",
    ]


def test_page_needs_no_network_and_escapes_what_it_quotes(run_folder):
    text = write_report(run_folder()).page.read_text()
    without_images = re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert "http" not in without_images
    assert "<script" not in text
    assert "mind the &lt;gap&gt;" in text
    assert "nnbf molecule H2 &lt;&amp;&gt;" in text
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_report_is_the_same_every_time(run_folder):
    folder = run_folder()
    first = write_report(folder).page.read_bytes()
    assert write_report(folder).page.read_bytes() == first


def test_report_works_without_solver_and_chemistry(run_folder):
    program = """
import sys
sys.modules.update(dict.fromkeys(("pyscf", "jax", "netket", "openfermion")))
from nnbf.cli import main
sys.exit(main(["report", sys.argv[1]]))
"""
    done = subprocess.run([sys.executable, "-c", program, run_folder()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"references": {}, "reference_notes": {}},
        {"references": {"hf": -1.066, "fci": None}},
        {"references": {"hf": -1.066, "ccsd_t": -1.1}},  # the run ends below it
        {"energy_unit": "t", "references": {"ed": -1.2}},
        {"status": "failed", "energy": None, "estimates": {}, "message": "not finite"},
        {"system": {}, "warnings": [], "versions": {}},
        {"s_squared": -1e-17, "v_score": 0.0, "variance": None},
        {"estimates": {"vmc": {"energy": -1.1, "error": 1e-4}}, "energy_kind": "vmc", "energy_error": 1e-4},
        {"estimates": {"novel": {"energy": -1.1, "error": None}}, "energy_kind": "novel"},
    ],
    ids=lambda changes: ",".join(changes),
)
def test_any_result_can_be_reported(run_folder, changes):
    written = write_report(run_folder(**changes))
    assert written.page.stat().st_size > 1000
    assert written.plot.read_bytes().startswith(PNG)


@pytest.mark.parametrize("energies", [(), (-1.05,), (FCI, FCI), (-1.0, FCI - 1e-9), (float("-1.2"), -1.0)])
def test_any_history_can_be_plotted(run_folder, energies):
    run = read_run(run_folder(energies=energies))
    assert png(draw_run(run, LIGHT)).startswith(PNG)
    assert png(draw_run(run, DARK, narrow=True)).startswith(PNG)


def test_a_run_that_is_going_on(run_folder):
    folder = run_folder(finished=False)
    with (folder / "history.jsonl").open("a") as stream:
        stream.write('{"step": 3, "ener')
    run = read_run(folder)
    assert len(run.history) == 3
    assert run.result["energy"] == -1.1011
    assert "running or broken off" in write_report(folder).page.read_text()


def test_damaged_files_are_named(run_folder):
    folder = run_folder()
    (folder / "result.json").write_text("{")
    with pytest.raises(InputError, match=r"result.json is damaged"):
        read_run(folder)


def test_best_reference_is_exact_where_it_can_be():
    assert best_reference({"hf": -1.0, "ccsd_t": -1.2, "fci": -1.1}).label == "FCI"
    best = best_reference({"hf": -1.0, "mp2": -1.3, "ccsd_t": -1.2, "fci": None})
    assert (best.label, best.is_exact) == ("CCSD(T)", False)
    assert best_reference({"ed": -3.0}).is_exact
    assert best_reference({"fci": None}) is None


def test_energy_rows_say_what_bounds():
    estimates = {kind: {"energy": -1.05, "error": 0.0} for kind in ("pt2", "variational", "vmc")}
    rows = energy_rows(
        {"references": {"fci": -1.1, "hf": -1.0}, "estimates": estimates, "energy_kind": "variational"}
    )
    assert [row.label for row in rows] == ["HF", "FCI", "variational", "VMC", "variational + PT2"]
    assert [row.upper_bound for row in rows] == ["yes", "exact", "yes", "within its error", "no"]
    assert [row.is_main for row in rows] == [False, False, True, False, False]
    assert [round(row.difference, 6) for row in rows] == [100.0, 0.0, 50.0, 50.0, 50.0]


def test_scale_is_logarithmic_only_where_it_can_be():
    fci = Yardstick("fci", "FCI", -1.0)
    assert ErrorScale.for_runs(fci, [-0.9, -0.99], "mHa", "Hartree").logarithmic
    assert not ErrorScale.for_runs(fci, [-0.9, -1.01], "mHa", "Hartree").logarithmic
    assert not ErrorScale.for_runs(None, [-0.9], "mHa", "Hartree").logarithmic


def test_spread_moves_labels_as_little_as_possible():
    assert spread([0.0, 100.0], 10.0) == [0.0, 100.0]
    places = spread([50.0, 50.0, 51.0], 10.0)
    assert np.allclose(np.diff(places), 10.0)
    assert np.mean(places) == pytest.approx(np.mean([50.0, 50.0, 51.0]))
    assert spread([], 10.0) == []


def test_stages_group_steps():
    history = [{"step": k, "stage": k // 2, "n_space": 4 ** (k // 2), "energy": -k} for k in range(5)]
    assert [(s.first_step, s.last_step, s.n_space, s.energy) for s in stages(history)] == [
        (0, 1, 1, -1),
        (2, 3, 4, -3),
        (4, 4, 16, -4),
    ]


def test_numbers():
    assert numbers.difference(1.23456) == "+1.235"
    assert numbers.difference(-2e-5) == "−2e−05"
    assert numbers.difference(1e-12) == "0"
    assert numbers.difference(None) == ""
    assert numbers.seconds(59.96) == "60.0 s"
    assert numbers.seconds(250) == "4 min 10 s"
    assert numbers.seconds(7500) == "2 h 05 min"
    assert numbers.setting([64, 32]) == "64, 32"
    assert numbers.setting(None) == "–"
