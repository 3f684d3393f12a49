"""Options from a TOML file: precedence, names, types."""

import pytest

from nnbf.cli import main
from nnbf.cli.commands import SolveMolecule
from nnbf.cli.parsing import parse_command


def parsed(text, here, *words):
    (here / "options.toml").write_text(text)
    return parse_command(SolveMolecule, [*words, "--config", "options.toml"], prog="nnbf molecule")


def test_command_line_over_file_over_default(here):
    command = parsed("basis = '6-31g'\nseed = 3\nmax-space = 10", here, "N2", "--seed", "4")
    assert command.problem.molecule == "N2"
    assert command.problem.basis == "6-31g"
    assert command.solver.max_space == 10
    assert command.solver.seed == 4
    assert command.solver.n_determinants == 2


def test_a_switch_can_be_turned_both_ways(here):
    assert parsed("blocked = false", here, "N2").solver.blocked is False
    assert parsed("blocked = false", here, "N2", "--blocked").solver.blocked is True
    assert parsed("quiet = true", here, "N2", "--no-quiet").run.quiet is False


@pytest.mark.parametrize(
    "text",
    [
        "molecule = 'N2'\ntime-limit = 60\nhidden = [64, 32]",
        "molecule = 'N2'\ntime_limit = 60.0\nhidden = [64, 32]",
        "[problem]\nmolecule = 'N2'\n[solver]\ntime_limit = 60\nhidden = [64, 32]",
    ],
)
def test_flat_or_in_tables_with_either_dash(here, text):
    command = parsed(text, here)
    assert command.problem.molecule == "N2"
    assert command.solver.time_limit == 60.0
    assert isinstance(command.solver.time_limit, float)
    assert command.solver.hidden == (64, 32)


def test_frozen_core_is_a_switch_or_a_number(here):
    assert parsed("frozen-core = true", here, "N2").problem.frozen_core is True
    assert parsed("frozen-core = 1", here, "N2").problem.frozen_core == 1
    assert parsed("", here, "--frozen-core", "N2").problem.frozen_core is True
    assert parsed("", here, "N2", "--frozen-core").problem.frozen_core is True
    assert parsed("", here, "N2", "--frozen-core", "auto").problem.frozen_core is True
    two = parsed("", here, "--frozen-core", "2", "N2").problem.frozen_core
    assert two == 2
    assert two is not True
    one = parsed("", here, "--frozen-core=1", "N2").problem.frozen_core
    assert one == 1
    assert one is not True


def test_a_negative_charge_is_a_value(here):
    assert parsed("", here, "OH", "--charge", "-1").problem.charge == -1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bassis = 'sto-3g'", "unknown key 'bassis': did you mean 'basis'"),
        ("[solver]\nbasis = 'sto-3g'", "unknown key 'solver.basis'"),
        ("[sovler]\nseed = 1", "unknown key 'sovler': did you mean 'solver'"),
        ("config = 'other.toml'", "unknown key 'config'"),
        ("seed = 'one'", 'seed = "one" has the wrong type: give a whole number'),
        ("seed = true", "seed = true has the wrong type: give a whole number"),
        ("seed = 1.0", "seed = 1.0 has the wrong type"),
        ("blocked = 1", "blocked = 1 has the wrong type: give true or false"),
        ("hidden = 64", "hidden = 64 has the wrong type: give whole numbers"),
        ("hidden = ['a']", "wrong type"),
        ("basis = 6", "basis = 6 has the wrong type: give text"),
        ("solver = 3", "unknown key 'solver'"),
        ("[solver]\noptimizer = 'newton'", "give one of auto, rgn, sr, adam"),
        ("seed = 1\n[solver]\nseed = 2", "'solver.seed' is given twice"),
        ("time-limit = 1\ntime_limit = 2", "'time_limit' is given twice"),
        ("max-space = -1", "options.toml: max_space must be at least 1"),
        ("seed = ", "is not TOML"),
    ],
)
def test_refused(refused, here, text, message):
    (here / "options.toml").write_text(text)
    assert message in refused("molecule", "H2", "--config", "options.toml")


def test_file_reaches_the_solver(here, built, solver):
    (here / "options.toml").write_text("[solver]\nseed = 7\n[run]\nout = 'run'\nquiet = true\n")
    assert main(["molecule", "H2", "--config=options.toml"]) == 0
    assert solver.seen_options.seed == 7
    assert (here / "run" / "result.json").is_file()
