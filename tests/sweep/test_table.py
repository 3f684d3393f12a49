"""The tables of a sweep."""

import csv
import json

from nnbf.sweep import run_locally, write_tables
from nnbf.sweep.names import RESULT_COLUMNS


def rows(plan):
    with (plan.folder.path / "sweep.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_every_point_is_a_row(planned, program):
    plan = planned(
        '[base]\nmolecule = "H2"\n[grid]\nbasis = ["sto-3g", "nonsense"]\n[scan]\nseed = [0, 1]\n',
        only="*seed1",
    )
    run_locally(plan, program)
    found = rows(plan)
    assert list(found[0]) == ["basis", "seed", *RESULT_COLUMNS]
    assert [row["directory"] for row in found] == [point.name for point in plan.points]
    assert [row["status"] for row in found] == ["missing", "converged", "missing", "failed"]
    row = found[1]
    assert (row["basis"], row["seed"]) == ("sto-3g", "1")
    result = json.loads((plan.folder.path / row["directory"] / "result.json").read_text())
    assert float(row["energy"]) == float(row["full_sum"]) == result["energy"]
    assert float(row["pt2"]) == result["estimates"]["pt2"]["energy"]
    assert float(row["fci"]) == result["references"]["fci"]
    assert row["ccsd_t"] == row["vmc"] == ""
    assert abs(float(row["error_milli"]) - 0.2) < 1e-9
    assert (row["s_squared"], row["dipole_debye"], row["n_determinants"]) == ("0.25", "1.5", "12345")
    assert found[3]["reason"].startswith("basis 'nonsense'")
    assert found[3]["energy"] == ""


def test_json_and_markdown_say_the_same(planned, program):
    plan = planned()
    run_locally(plan, program)
    content = json.loads((plan.folder.path / "sweep.json").read_text())
    assert content["coordinates"] == ["basis", "seed"]
    assert content["limits"] is None
    assert content["energy_unit"] == "Hartree"
    for point, row in zip(content["points"], rows(plan), strict=True):
        assert str(point["energy"]) == row["energy"]
        assert point["coordinates"] == {"basis": row["basis"], "seed": int(row["seed"])}
        assert point["options"]["max_steps"] == 4
        assert content["timings"][point["directory"]]["attempts"] == 1
    lines = (plan.folder.path / "sweep.md").read_text().splitlines()
    assert lines[2].startswith("| basis | seed | energy | kind | error (10⁻³) | HF | FCI |")
    assert lines[4].startswith("| sto-3g | 0 | -1.00600000 | full_sum | +0.2000 | -0.90000000 |")
    assert "12,345" in lines[4]
    assert "\\|V\\|" in lines[2]
    cells = [line.replace("\\|", "").count("|") for line in lines[2:8]]
    assert len(set(cells)) == 1
    timings = (plan.folder.path / "timings.csv").read_text().splitlines()
    assert timings[0].startswith("directory,wall_time_s,process_s,attempts,time_per_step_s,")
    assert len(timings) == 5


def test_an_error_of_exactly_zero_is_shown(planned, program):
    plan = planned()
    run_locally(plan, program)
    path = plan.folder.run(plan.points[0]) / "result.json"
    result = json.loads(path.read_text())
    path.write_text(json.dumps({**result, "energy": result["references"]["fci"]}))
    write_tables(plan)
    lines = (plan.folder.path / "sweep.md").read_text().splitlines()
    assert "| +0.0000 |" in lines[4]
