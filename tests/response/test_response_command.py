"""`nnbf response` on run folders: files, screen, page, and bad input."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hamiltonians import InputError
from nnbf.cli.main import main
from nnbf.observables import Configurations
from nnbf.observables.correlations import structure_factor
from nnbf.response.response_options import ResponseOptions
from nnbf.runs import response_run
from nnbf.runs.directory import RunDirectory
from nnbf.runs.response_run import respond
from nnbf.runs.trained import load_trained
from nnbf.states.amplitudes import log_psi_function

FOLDERS = Path(__file__).parents[1] / "fixtures" / "folders"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Copies of run folders of earlier versions."""
    place = tmp_path_factory.mktemp("runs")

    def copied(name):
        if not (place / name).exists():
            shutil.copytree(FOLDERS / name, place / name)
        return place / name

    return copied


def test_absorption_of_a_run_of_a_molecule(run, capsys):
    folder = run("lih_selected")
    assert main(["response", str(folder), "--broadening", "0.2"]) == 0
    shown = capsys.readouterr()
    assert "oscillator strength" in shown.out
    assert "all that H reaches" in shown.out
    record = json.loads((folder / "response" / "dipole.json").read_text())
    network, exact = record["states"]
    assert exact["complete"]
    assert network["energy"] == pytest.approx(exact["energy"], abs=1e-6)
    for one, other in zip(network["peaks"], exact["peaks"], strict=True):
        assert one["position"] == pytest.approx(other["position"], abs=1e-5)
    rows = list(csv.reader((folder / "response" / "dipole_curve.csv").read_text().splitlines()))
    assert rows[0][:2] == ["omega (eV)", "network x"]
    assert len(rows) == 802
    assert (folder / "response" / "dipole.png").read_bytes()[:4] == b"\x89PNG"
    page = (folder / "report" / "index.html").read_text()
    assert "Absorption" in page
    assert "oscillator strength" in page


def test_structure_factor_of_a_lattice_agrees_with_that_of_the_run(run, capsys):
    folder = run("tv_spectrum")
    assert main(["response", str(folder), "--operator", "density", "--momenta", "1,0 1,1", "--quiet"]) == 0
    record = json.loads((folder / "response" / "density.json").read_text())
    trained = load_trained(RunDirectory.open(folder))
    log_psi = log_psi_function(trained.network, trained.variables, trained.problem.n_sites)
    static = structure_factor(
        trained.problem, Configurations.enumerated(trained.problem, log_psi)
    ).values.value
    for channel in record["states"][0]["channels"]:
        mx, my = channel["momentum"]
        assert channel["moments"]["total_weight"] == pytest.approx(static[mx, my], abs=1e-9)
        assert abs(channel["moments"]["f_sum_defect"]) < 1e-3
    assert record["unit"] == "t"


def test_ionisation_with_dyson_orbitals(run, tmp_path):
    done = respond(run("lih_selected"), ResponseOptions(operator="removal"), out=tmp_path / "ion")
    found = done.record["states"][0]["channels"]
    total = sum(channel["moments"]["total_weight"] for channel in found)
    assert total == pytest.approx(2.0, abs=1e-8)  # alpha electrons
    dyson = [orbital for channel in found for orbital in channel["dyson"]]
    for orbital in dyson:
        assert sum(c**2 for c in orbital["coefficients"]) == pytest.approx(orbital["norm"], rel=1e-6)
    assert done.file == tmp_path / "ion" / "removal.json"


def test_moments_of_a_state_that_cannot_be_listed(run, tmp_path, monkeypatch):
    folder = run("hubbard_vmc")
    exact = respond(folder, ResponseOptions(operator="density", momenta="1,0"), out=tmp_path / "listed")
    monkeypatch.setattr(response_run, "MOST_LISTED", 10)
    options = ResponseOptions(operator="density", momenta="1,0", samples=2048)
    done = respond(folder, options, out=tmp_path / "sampled")
    (channel,) = done.record["states"][0]["channels"]
    (listed,) = exact.record["states"][0]["channels"]
    moments, errors = (np.array(channel["moments"][key]) for key in ("moments", "moment_errors"))
    assert abs(moments[0] - listed["moments"]["total_weight"]) < 4 * errors[0]
    # Of a trained state, which is none of the eigenstates, these need not agree any better.
    assert moments[1] == pytest.approx(listed["moments"]["f_sum_expected"], abs=5 * errors[1])
    assert "first four moments" in done.record["warnings"][-1]
    with pytest.raises(InputError, match="too many for a list"):
        respond(folder, ResponseOptions(operator="current"), out=tmp_path / "other")


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("lih_selected", ["--operator", "density"], "give one of dipole, removal, addition"),
        ("lih_selected", ["--momenta", "1,0"], "momenta are for lattices"),
        ("lih_selected", ["--state", "0-0_A1_0"], "state is for lattices"),
        ("lih_selected", ["--max-space", "3"], "--max-space must be at least 16"),
        ("lih_selected", ["--operator", "dipol"], "give one of dipole"),
        ("lih_selected", ["--unit", "t"], "unit t"),
        ("tv_spectrum", ["--operator", "dipole"], "give one of density"),
        ("tv_spectrum", ["--operator", "spin"], "has no spin"),
        ("tv_spectrum", ["--momenta", "7,0"], "is not on the lattice"),
        ("tv_spectrum", ["--momenta", "0,0"], "vanishes on this state"),
        ("tv_spectrum", ["--operator", "current", "--momenta", "1,0"], "leave out --momenta"),
        ("tv_spectrum", ["--state", "nothing"], "there is no state"),
        ("tv_charge", [], "takes runs of molecules"),
        ("h4_fcidump", [], "dipole integrals"),
    ],
)
def test_bad_input_is_one_line(run, capsys, name, words, message):
    folder = run(name)
    assert main(["response", str(folder), *words]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert len(shown) < 300


def test_a_damaged_record_costs_the_report_nothing_else(run):
    from nnbf.report import write_report

    folder = run("h4_fcidump")
    (folder / "response").mkdir()
    (folder / "response" / "dipole.json").write_text('{"operator": "dipole"}')
    written = write_report(folder)
    assert "Absorption" not in written.page.read_text()


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(InputError, match="not a run folder"):
        respond(tmp_path)
