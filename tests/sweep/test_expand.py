"""Manifests: which points they stand for, what the points are called, and what is refused."""

import pytest

from hamiltonians.errors import InputError
from nnbf.sweep import curves, neighbours

HEAD = '[sweep]\nname = "s"\n[base]\nmolecule = "N2"\n'


def names(plan):
    return [point.name for point in plan.points]


def test_grid_is_a_product_in_the_order_of_the_manifest(planned):
    plan = planned(
        "[base]\ncharge = -1\nhidden = [64, 32]\nfrozen-core = true\nblocked = false\n"
        '[grid]\nmolecule = ["N2", "C2"]\nseed = [0, 1]\n'
    )
    assert plan.name == "manifest"
    assert names(plan) == ["N2_seed0", "N2_seed1", "C2_seed0", "C2_seed1"]
    point = plan.points[3]
    assert point.coordinates == {"molecule": "C2", "seed": 1}
    assert point.words[:2] == ("molecule", "C2")
    assert set(point.words[2:]) == {
        "--charge=-1",
        "--hidden=64,32",
        "--frozen-core=auto",
        "--no-blocked",
        "--seed=1",
    }


def test_words_are_understood_by_the_command_line(planned):
    from nnbf.cli.commands import SolveMolecule
    from nnbf.cli.parsing import parse_command

    plan = planned(
        '[base]\ncharge = -1\nhidden = [64, 32]\nblocked = false\naccuracy = 1e-5\nactive-space = "6,6"\n'
        '[grid]\nfrozen-core = [true, false, 2]\n[scan]\ntemplate = "N 0 0 0; N 0 0 {r}"\nr = [1]\n'
    )
    parsed = [parse_command(SolveMolecule, point.words[1:], prog="nnbf molecule") for point in plan.points]
    assert [command.problem.frozen_core for command in parsed] == [True, False, 2]
    first = parsed[0]
    assert (first.problem.molecule, first.problem.charge) == ("N 0 0 0; N 0 0 1", -1)
    assert (first.solver.hidden, first.solver.blocked, first.solver.accuracy) == ((64, 32), False, 1e-5)


def test_scan_of_a_bond_lies_inside_the_grid_and_makes_curves(planned):
    plan = planned(
        '[grid]\nbasis = ["sto-3g", "6-31g"]\n'
        '[scan]\ntemplate = "N 0 0 0; N 0 0 {r}"\nr = { start = 0.75, stop = 1.35, count = 3 }\n'
    )
    assert names(plan)[:3] == ["sto-3g_r0.75", "sto-3g_r1.05", "sto-3g_r1.35"]
    assert plan.points[1].options["molecule"] == "N 0 0 0; N 0 0 1.05"
    found = curves(plan.points)
    assert [len(members) for members in found.values()] == [3, 3]
    assert neighbours(plan.points, plan.points[4]) == (plan.points[3], plan.points[5])
    assert neighbours(plan.points, plan.points[3]) == (None, plan.points[4])


def test_scan_without_a_template_varies_an_option(planned):
    plan = planned(
        '[sweep]\ncommand = "lattice"\n[base]\nmodel = "tv"\nparticles = "5"\n'
        "[scan]\ninteraction = [1, 2.5]\n"
    )
    assert names(plan) == ["interaction1.0", "interaction2.5"]
    assert plan.points[0].words == ("lattice", "tv", "--particles=5", "--interaction=1.0")


def test_labels_name_values_and_groups_of_options(planned):
    plan = planned(
        '[grid.molecule]\nH4 = "H 0 0 0; H 0 0 1; H 0 0 2; H 0 0 3"\n'
        '[grid.case]\nplain = { basis = "sto-3g" }\n"two cores" = { basis = "6-31g", frozen-core = 2 }\n'
    )
    assert plan.points[0].name == "H4_plain"
    assert plan.points[1].name.startswith("H4_two-cores-")
    assert plan.points[1].coordinates == {"molecule": "H4", "case": "two cores"}
    assert plan.points[1].options["frozen_core"] == 2


def test_overrides_and_points_of_their_own(planned):
    plan = planned(
        '[base]\nmolecule = "N2"\n[grid]\nbasis = ["cc-pvdz", "cc-pvtz", "sto-3g"]\nseed = [0, 1]\n'
        '[[override]]\nwhen = { basis = "cc-*" }\nfrozen-core = true\n'
        '[[override]]\nwhen = { basis = ["cc-pvtz", "sto-3g"], seed = 1 }\nskip = true\n'
        '[[point]]\nmolecule = "C2"\nbasis = "sto-3g"\n'
    )
    found = {point.name: point.options.get("frozen_core") for point in plan.points}
    assert found == {
        "cc-pvdz_seed0": True,
        "cc-pvdz_seed1": True,
        "cc-pvtz_seed0": True,
        "sto-3g_seed0": None,
        "C2_sto-3g": None,
    }


def test_files_are_found_beside_the_manifest_and_their_content_counts(planned, tmp_path):
    folder = tmp_path / "geometries"
    folder.mkdir()
    for name in ("b", "a"):
        (folder / f"{name}.xyz").write_text(f"2\n{name}\nH 0 0 0\nH 0 0 1\n")
    text = '[grid]\nmolecule = ["geometries/*.xyz"]\n'
    before = planned(text).points
    assert [point.name[:2] for point in before] == ["a-", "b-"]
    assert before[0].words == ("molecule", str(folder / "a.xyz"))
    (folder / "a.xyz").write_text("2\nanother\nH 0 0 0\nH 0 0 2\n")
    after = planned(text).points
    assert after[0].name == before[0].name
    assert after[0].digest != before[0].digest
    assert after[1] == before[1]


def test_no_two_points_have_one_folder(planned):
    short = planned(HEAD + '[grid]\nbasis = ["6-31g*"]\n')
    longer = planned(HEAD + '[grid]\nbasis = ["sto-3g", "6-31gs", "6-31g*", "6-31G*"]\n')
    assert names(short) == ["6-31gs"]
    folded = [name.casefold() for name in names(longer)]
    assert len(set(folded)) == 4
    again = planned(HEAD + '[grid]\nbasis = ["sto-3g", "6-31gs", "6-31g*", "6-31G*"]\n')
    assert again.points == longer.points


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[swep]\n", "unknown key 'swep': did you mean 'sweep'"),
        ("[sweep]\nnam = 'x'", "unknown key 'nam': did you mean 'name'"),
        ("[sweep]\nname = 'a/b'", "give letters, digits"),
        ("[sweep]\ncommand = 'molecul'", "did you mean 'molecule'"),
        ("[sweep]\ncommand = 'evaluate'", "'evaluate' cannot be swept"),
        ("[base]\nbassis = 'sto-3g'", "base.bassis: unknown key 'bassis': did you mean 'basis'"),
        ("[base]\nout = 'x'", "unknown key 'out'"),
        ("[base]\nseed = 'x'", "base.seed = 'x' has the wrong type: give a whole number"),
        ("[grid]\nfrozen-cor = [1]", "did you mean 'frozen-core'"),
        ("[grid]\nseed = 1", "is one value: give a list"),
        ("[grid]\nseed = []", "is empty"),
        ("[grid]\nseed = [1, 1]", "1 twice"),
        ("[grid]\nseed = [0, 'a']", "has the wrong type"),
        ("[grid]\nmolecule = ['no/*.xyz']", "no file matches 'no/*.xyz'"),
        ("[grid.energy]\na = { seed = 1 }", "a column 'energy' of its own"),
        ("[base]\nseed = 1\n[grid]\nseed = [1]", "'seed', which is given elsewhere"),
        ("[scan]\ntemplate = 'N 0 0 {r}'", "{r}, which has no values"),
        ("[scan]\ntemplate = 'N 0 0 {r'\nr = [1.0]", "not understood"),
        ("[scan]\ntemplate = 'N 0 0 0'\nseed = [1]", "has no variable"),
        ("[scan]\ntemplate = 'N 0 0 {r}'\nr = ['a']", "give a list of numbers"),
        ("[scan]\ntemplate = 'N 0 0 {r}'\nr = { start = 1, stop = 2, cout = 2 }", "did you mean 'count'"),
        ("[scan]\ntemplate = 'N 0 0 {r}'\nr = { start = 1, stop = 2 }", "count, a whole number"),
        ("[[override]]\nseed = 1", "has no condition"),
        ("[[override]]\nwhen = { seed = 1 }", "either skip = true or options"),
        ("[[point]]\nbasis = 'sto-3g'", "has no molecule"),
        ("[[point]]\nmolecule = 'N2'\n[[point]]\nmolecule = 'N2'", "are the same calculation"),
        ("", "has no points"),
        ("seed = ", "is not TOML"),
    ],
)
def test_refused(planned, text, message):
    with pytest.raises(InputError) as caught:
        planned(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pattern_that_matches_nothing(planned):
    assert names(planned(only="*seed1")) == names(planned())
    assert [point.name for point in planned(only="*seed1").chosen] == ["sto-3g_seed1", "6-31gs_seed1"]
    with pytest.raises(InputError, match="matches none of the 4 points"):
        planned(only="*seed7")
