"""Points whose folders real runs have written, of today and of the first format."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from nnbf.runs.schema import load_config, load_result
from nnbf.sweep import write_tables

FOLDERS = Path(__file__).parents[1] / "fixtures" / "folders"
MANIFESTS = {
    "lih_selected": '[base]\nmolecule = "LiH"\n',
    "lih_vmc": '[base]\nmolecule = "LiH"\nmethod = "vmc"\n',
    "h4_fcidump": '[sweep]\ncommand = "fcidump"\n[base]\nfile = "h4.FCIDUMP"\n',
    "hubbard_vmc": '[sweep]\ncommand = "lattice"\n[base]\nmodel = "hubbard"\nparticles = "2,2"\n',
    "tv_spectrum": '[sweep]\ncommand = "spectrum"\n[base]\nmodel = "tv"\nsize = "3x3"\nparticles = "4"\n',
}


@pytest.fixture(params=MANIFESTS)
def made(request, planned):
    """Return a sweep of one point that is done, the result on disk, and the rows of sweep.csv."""
    plan = planned(MANIFESTS[request.param] + "[[point]]\nseed = 0\n")
    plan.begin()
    (point,) = plan.points
    plan.folder.write_record(point)
    shutil.copytree(FOLDERS / request.param, plan.folder.run(point))
    result = json.loads((plan.folder.run(point) / "result.json").read_text())
    return plan, result, lambda: rows(plan)


def rows(plan):
    write_tables(plan)
    with (plan.folder.path / "sweep.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_the_row_is_that_of_the_result(made):
    plan, result, table = made
    (row,) = table()
    assert float(row["energy"]) == result["energy"]
    assert float(row["energy_error"]) == result["energy_error"]
    assert row["energy_kind"] == result["energy_kind"]
    assert row["status"] == result["status"]
    for kind, estimate in result["estimates"].items():
        assert float(row[kind]) == estimate["energy"]
    for method, energy in result["references"].items():
        assert row[method] == ("" if energy is None else str(energy))
    content = json.loads((plan.folder.path / "sweep.json").read_text())
    assert content["energy_unit"] == result["energy_unit"]
    assert content["timings"][plan.points[0].name]["wall_time_s"] == result["wall_time_s"]
    exact = next(
        (result["references"].get(name) for name in ("fci", "ed") if name in result["references"]), None
    )
    assert float(row["error_milli"]) == pytest.approx(1e3 * (result["energy"] - exact), abs=1e-9)


def test_both_formats_give_one_table(made):
    plan, _, table = made
    before = table()
    run = plan.folder.run(plan.points[0])
    config, result = load_config(run), load_result(run)
    assert config["format"] == result["format"] == 2
    assert "sectors" not in result
    for name, content in (("config", config), ("result", result)):
        (run / f"{name}.json").write_text(json.dumps(content))
    assert table() == before
