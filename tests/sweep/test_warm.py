"""Points that start from their neighbours: in which order, what failures and kills do to it."""

import json

import pytest

from hamiltonians.errors import InputError
from nnbf.cli.main import main
from nnbf.sweep import SlurmOptions, curves, require_unchanged, run_as_jobs, run_locally
from tests.sweep.test_local import Recorder, log, statuses

CURVE = """
[sweep]
warm_start = {begin}
[base]
max-steps = 4
[scan]
template = "H 0 0 0; H 0 0 {{r}}"
r = [1.4, 0.6, 0.8, 1.0, 1.2]
[analysis]
kinds = []
"""


def after(plan):
    return {point.name: point.after for point in plan.points}


def starts(plan):
    content = json.loads((plan.folder.path / "sweep.json").read_text())
    return {point["directory"]: point["started_from"] for point in content["points"]}


def test_curves_grow_outwards_by_value(planned):
    assert after(planned(CURVE.format(begin="true"))) == {
        "r1.4": "r1.2", "r0.6": "r0.8", "r0.8": "r1.0", "r1.0": None, "r1.2": "r1.0",
    }  # fmt: skip
    assert after(planned(CURVE.format(begin="{ r = 0.75 }"))) == {
        "r1.4": "r1.2", "r0.6": "r0.8", "r0.8": None, "r1.0": "r0.8", "r1.2": "r1.0",
    }  # fmt: skip
    cold = planned(CURVE.format(begin="false"))
    assert set(after(cold).values()) == {None}
    warm = planned(CURVE.format(begin="true"))
    assert [a.digest == b.digest for a, b in zip(cold.points, warm.points)] == [0, 0, 0, 1, 0]


def test_every_curve_has_its_own_tree_and_holes_are_stepped_over(planned):
    plan = planned(
        '[sweep]\nwarm_start = { a = 2 }\n[grid]\nbasis = ["sto-3g", "6-31g"]\n'
        '[scan]\ntemplate = "H 0 0 {a}; H 0 {b} 0"\na = [1, 2, 3]\nb = [1, 2, 3, 4]\n'
        "[[override]]\nwhen = { b = 3, a = 3 }\nskip = true\n"
        '[[override]]\nwhen = { basis = "6-31g", a = 2, b = 2 }\nskip = true\n'
    )
    names = after(plan)
    assert names["sto-3g_a2_b2"] is None
    assert names["sto-3g_a2_b4"] == "sto-3g_a2_b3"
    assert names["sto-3g_a3_b2"] == "sto-3g_a2_b2"
    assert names["sto-3g_a3_b4"] == "sto-3g_a3_b2"
    assert [name for name, before in names.items() if before is None] == ["sto-3g_a2_b2", "6-31g_a1_b2"]
    for members in curves(plan.points).values():
        inside = {point.name for point in members}
        for point in members:
            seen = set()
            at = point.name
            while at is not None:
                assert at in inside
                assert at not in seen
                seen.add(at)
                at = names[at]


def test_each_point_starts_from_its_neighbour(planned, program):
    plan, seen = planned(CURVE.format(begin="true")), Recorder()
    run_locally(plan, program, workers=2, observer=seen, environment={"FAKE_STEP": "0.05"})
    assert seen.begun[0] == ("r1.0", False)
    assert seen.most == 2
    assert starts(plan) == after(plan)
    first, last = plan.points[3], plan.points[0]
    assert "--start-from" not in log(plan, first)
    assert f"--start-from={plan.folder.path / 'r1.2'} --out=" in log(plan, last)


def test_a_point_that_fails_is_passed_over_for_good(planned, program):
    """Also when it is made later on: what starts from where never depends on when."""
    for basis, status in (("nonsense", "failed"), ("explode", "failed")):
        text = CURVE.format(begin="true") + f'[[override]]\nwhen = {{ r = 1.2 }}\nbasis = "{basis}"\n'
        plan = planned(text, out=basis)
        states = run_locally(plan, program, workers=2)
        assert statuses(states)["r1.2"] == status
        assert starts(plan)["r1.4"] == "r1.0"
    text = CURVE.format(begin="{ r = 0.6 }") + '[[override]]\nwhen = { r = 0.6 }\nbasis = "nonsense"\n'
    plan = planned(text, out="root")
    run_locally(plan, program)
    assert starts(plan) == {"r0.6": None, "r0.8": None, "r1.0": "r0.8", "r1.2": "r1.0", "r1.4": "r1.2"}
    plan.folder.clear(plan.points[2])
    run_locally(plan, program)
    assert starts(plan)["r0.8"] is None


def test_a_point_that_was_killed_is_waited_for(planned, program):
    text = CURVE.format(begin="true") + '[[override]]\nwhen = { r = 1.2 }\nbasis = "crash"\n'
    plan = planned(text)
    states = run_locally(plan, program, workers=2)
    assert statuses(states) == {
        "r1.4": "missing", "r0.6": "converged", "r0.8": "converged", "r1.0": "converged", "r1.2": "failed",
    }  # fmt: skip
    assert states["r1.4"].reason == "it starts from r1.2, which is not done"
    # It is resumed, and the other one starts from it.
    config = plan.folder.run(plan.points[4]) / "config.json"
    config.write_text(config.read_text().replace("crash", "sto-3g"))
    states = run_locally(plan, program, workers=2)
    assert set(statuses(states).values()) == {"converged"}
    assert starts(plan) == after(plan)


def test_a_part_of_a_curve(planned, program):
    plan = planned(CURVE.format(begin="true"), only="r1.4")
    assert run_locally(plan, program)["r1.4"].reason == "it starts from r1.2, which is not done"
    run_locally(planned(CURVE.format(begin="true"), only="r1.[02]"), program)
    assert statuses(run_locally(plan, program)) == {"r1.4": "converged"}


def test_warm_and_cold_are_different_calculations(planned, program):
    warm = planned(CURVE.format(begin="true"))
    run_locally(warm, program)
    cold = planned(CURVE.format(begin="true"), warm_start=False)
    with pytest.raises(InputError, match=r"4 points have .* such as r1.4 .it started from its neighbour"):
        require_unchanged(cold.folder, cold.chosen)
    require_unchanged(warm.folder, planned(CURVE.format(begin="false"), warm_start=True).chosen)
    with pytest.raises(InputError, match="turn warm_start off"):
        run_as_jobs(planned(CURVE.format(begin="true"), out="jobs"), program, SlurmOptions(slurm=True))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[sweep]\nwarm_start = true\n[base]\nmolecule = "H2"\n', "needs a scan"),
        (CURVE.format(begin="{ x = 1.0 }"), "'x' is not scanned: give one of r"),
        (CURVE.format(begin='"r1.0"'), "give true, false or where to begin"),
        (CURVE.format(begin='{ r = "1" }'), "give a number"),
        ('[sweep]\nwarm_start = true\ncommand = "fcidump"\n[scan]\nseed = [1, 2]\n', "only molecules"),
        (CURVE.format(begin="true") + '[[point]]\nstart-from = "x"\n', "unknown key 'start-from'"),
    ],
)
def test_bad_manifests(planned, text, message):
    with pytest.raises(InputError, match=message):
        planned(text)


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    manifest = tmp_path / "curve.toml"
    for begin, words, warm in (
        ("true", [], True),
        ("true", ["--no-warm-start"], False),
        ("false", ["--warm-start"], True),
        ("false", [], False),
    ):
        manifest.write_text(CURVE.format(begin=begin))
        assert main(["sweep", "curve.toml", "--dry-run", *words]) == 0
        assert ("(from r1.2)" in capsys.readouterr().out) == warm
    manifest.write_text('[base]\nmolecule = "H2"\n[grid]\nseed = [1, 2]\n')
    assert main(["sweep", "curve.toml", "--warm-start"]) == 2
    assert capsys.readouterr().err.startswith("error: --warm-start needs a scan")
