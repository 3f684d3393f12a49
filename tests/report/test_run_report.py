"""Reports from files alone: plot, page, tables, comparisons."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hamiltonians import InputError
from nnbf.cli import main
from nnbf.report import Reference, best_reference, read_run, write_report
from nnbf.report.figures import draw_history
from nnbf.report.style import ErrorScale, png, power_of_ten, spread, svg
from nnbf.report.tables import energies_table, stages_table

FOLDERS = Path(__file__).parents[1] / "fixtures" / "folders"
FCI = -1.1011503302326
PNG = b"\x89PNG\r\n\x1a\n"


def test_report_of_a_run(run_folder):
    folder = run_folder()
    written = write_report(folder)
    assert written.pictures == (folder / "report" / "energy.png",)
    assert written.pictures[0].read_bytes().startswith(PNG)
    assert written.problems == ()
    text = written.page.read_text()
    assert "H2 / sto-3g" in text
    assert "upper bound" in text
    assert "mHa to FCI" in text
    assert "MP2 was not computed: not asked for" in text
    table = written.markdown.read_text()
    assert "| **variational** | -1.10110000 |" in table
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
    assert written.problems == ()
    assert written.pictures[0].read_bytes().startswith(PNG)


@pytest.mark.parametrize("energies", [(), (-1.05,), (FCI, FCI), (-1.0, FCI - 1e-9), (float("-1.2"), -1.0)])
def test_any_history_can_be_plotted(run_folder, energies):
    figure = draw_history(read_run(run_folder(energies=energies)))
    assert png(figure).startswith(PNG)
    assert "</svg>" in svg(figure, "history", "h")


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
    with pytest.raises(InputError, match=r"result.json cannot be read"):
        read_run(folder)


@pytest.mark.parametrize("energy", ["low", None, [1.0]])
def test_damaged_levels_are_refused_in_one_line(refused, run_folder, energy):
    level = {"sector": {"label": "A1"}, "level": 0, "energy": energy, "status": "converged"}
    folder = run_folder("here/run", format=2, command="lattice", levels=[level])
    line = refused("report", str(folder))
    assert "result.json is damaged (" in line or "something else than" in line


@pytest.mark.parametrize(("status", "offered"), [("converged", False), ("time_limit", True)])
def test_only_what_has_not_converged_can_go_on(run_folder, status, offered):
    folder = run_folder(status=status)
    assert main(["report", str(folder), "--quiet"]) == 0
    page = (folder / "report" / "index.html").read_text()
    assert ("nnbf resume" in page) == offered
    assert "nnbf evaluate" in page


def test_best_reference_is_exact_where_it_can_be():
    assert best_reference({"hf": -1.0, "ccsd_t": -1.2, "fci": -1.1}).label == "FCI"
    best = best_reference({"hf": -1.0, "mp2": -1.3, "ccsd_t": -1.2, "fci": None})
    assert (best.label, best.is_exact) == ("CCSD(T)", False)
    assert best_reference({"ed": -3.0}).is_exact
    assert best_reference({"fci": None}) is None


def test_energies_say_what_bounds():
    estimates = {kind: {"energy": -1.05, "error": 0.0} for kind in ("pt2", "variational", "vmc")}
    estimates["vmc"]["error"] = 2e-3
    result = {"references": {"fci": -1.1, "hf": -1.0}, "estimates": estimates, "energy_kind": "variational"}
    table = energies_table(result)
    columns = list(zip(*([cell.text for cell in row] for row in table.rows), strict=True))
    assert columns[0] == ("HF", "FCI", "variational", "VMC", "variational + PT2")
    assert columns[1][-2:] == ("-1.0500(20)", "-1.05000000")
    assert columns[2] == ("+100.000", "0", "+50.000", "+50.0(2.0)", "+50.000")
    assert columns[3] == ("yes", "exact", "yes", "within its error", "no")
    assert table.main == {2}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-3, "10⁻³"),
        (1e12, "10¹²"),
        (1.0, "10⁰"),
        (0.0, "0"),
        (-10.0, "−10¹"),
        (0.5, "0.5"),
        (-2e-7, "−2e−07"),
    ],
)
def test_powers_of_ten(value, text):
    assert power_of_ten(value) == text


def test_scale_is_logarithmic_only_where_it_can_be():
    fci = Reference("fci", "FCI", -1.0)
    assert ErrorScale.for_energies(fci, [-0.9, -0.99], "mHa", "Hartree").logarithmic
    assert not ErrorScale.for_energies(fci, [-0.9, -1.01], "mHa", "Hartree").logarithmic
    assert not ErrorScale.for_energies(None, [-0.9], "mHa", "Hartree").logarithmic


def test_spread_moves_labels_as_little_as_possible():
    assert spread([0.0, 100.0], 10.0) == [0.0, 100.0]
    places = spread([50.0, 50.0, 51.0], 10.0)
    assert np.allclose(np.diff(places), 10.0)
    assert np.mean(places) == pytest.approx(np.mean([50.0, 50.0, 51.0]))
    assert spread([], 10.0) == []


def test_stages_group_steps(run_folder):
    run = read_run(run_folder())
    history = [{"step": k, "stage": k // 2, "n_space": 4 ** (k // 2), "energy": -k} for k in range(5)]
    table = stages_table(replace(run, history=history))
    assert [(row[0].text, row[1].value, row[2].value) for row in table.rows] == [
        ("0–1", 1, -1),
        ("2–3", 4, -3),
        ("4–4", 16, -4),
    ]


# ---- every kind of run has the same page ---------------------------------------------------------------


@pytest.fixture(params=sorted(path.name for path in FOLDERS.iterdir() if path.is_dir()))
def old_folder(request, tmp_path):
    """Folders that earlier versions have written."""
    return shutil.copytree(FOLDERS / request.param, tmp_path / request.param)


def test_old_folders_have_the_page(old_folder):
    written = write_report(old_folder, next_steps={"Go on": "nnbf resume <here>"})
    text = written.page.read_text()
    assert written.problems == ()
    assert written.pictures
    for part in ("<h2>Energies</h2>", "<h2>Details</h2>", "<h2>Reproduce</h2>", 'class="headline"'):
        assert part in text
    assert "nnbf resume &lt;here&gt;" in text
    assert "http" not in text
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert written.markdown.read_text().startswith(f"# {read_run(old_folder).title}")


def test_levels_and_figures_of_a_spectrum(tmp_path):
    folder = shutil.copytree(FOLDERS / "tv_spectrum", tmp_path / "tv")
    written = write_report(folder)
    text = written.page.read_text()
    assert {path.stem for path in written.pictures} >= {"energy", "spectrum"}
    levels = read_run(folder).levels
    assert len(levels) > 1
    assert f"Energy of the lowest of {len(levels)} levels" in text
    for level in levels:
        assert f"{level['energy']:.8f}".replace("-", "−") in text


def test_charge_excitations_have_weights_and_a_spectral_function(tmp_path):
    folder = shutil.copytree(FOLDERS / "tv_charge", tmp_path / "charge")
    written = write_report(folder)
    assert "spectral_function" in {path.stem for path in written.pictures}
    text = written.page.read_text()
    assert "charge gap" in text
    assert "<h2>Excitations</h2>" in text


def test_a_figure_that_cannot_be_drawn_costs_itself_alone(run_folder, monkeypatch):
    def broken(*_):
        raise RuntimeError("no <backend>")

    monkeypatch.setattr("nnbf.report.figures.draw_history", broken)
    written = write_report(run_folder())
    assert written.pictures == ()
    assert written.problems == ("no picture of energy: RuntimeError: no <backend>",)
    assert "no &lt;backend&gt;" in written.page.read_text()


def test_a_full_disk_costs_pictures_alone(run_folder, monkeypatch):
    from nnbf import _io

    def full(path, content):
        if path.suffix == ".png":
            raise OSError(28, "No space left on device")
        _io.write_bytes(path, content)

    monkeypatch.setattr("nnbf.report.page.write_bytes", full)
    written = write_report(run_folder())
    assert written.pictures == ()
    assert written.problems == ("energy.png could not be written: No space left on device",)
    assert written.page.is_file()


def test_text_of_users_is_no_markup_anywhere(run_folder):
    hostile = "<script>alert(1)</script>{{ 7 * 7 }}$x_{"
    folder = run_folder(
        system={"name": hostile, "basis": hostile, "n_electrons": 2}, warnings=[hostile], energy_kind="vmc",
        estimates={"vmc": {"energy": -1.1, "error": 1e-4, "note": hostile}}, status=hostile,
        reference_notes={"fci": hostile}, observables={hostile: {"value": 1.0}},
    )  # fmt: skip
    written = write_report(folder)
    assert written.problems == ()
    text = written.page.read_text()
    assert "<script" not in text
    assert "{{ 7 * 7 }}" in text
    assert "<script" not in written.markdown.read_text()
