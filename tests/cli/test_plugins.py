"""A kind of problem in a file of a user's: commands, a kill, resuming, evaluating, the report."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import netket as nk
import numpy as np
import pytest

from hamiltonians import InputError, load_plugin, load_problem
from hamiltonians import problem as problems
from nnbf import GeneralOptions, register_problem, solve
from nnbf.cli import main

ROOT = Path(__file__).resolve().parents[2]
HEISENBERG = str(ROOT / "docs" / "examples" / "heisenberg.py")
TRANSFORMER = str(ROOT / "docs" / "examples" / "transformer.py")
SAMPLED = "solve heisenberg --size 6 --method vmc --n-samples 64 --final-samples 4096 --checkpoint-interval 0"


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch):
    """None is named by the environment, and what commands put there is taken back."""
    monkeypatch.setenv("NNBF_PLUGINS", "")


def result(folder):
    return json.loads((folder / "result.json").read_text())


def energies(folder):
    return [json.loads(line)["energy"] for line in (folder / "history.jsonl").read_text().splitlines()]


def test_levels_are_those_of_the_matrix():
    load_plugin(HEISENBERG)
    problem = problems.problem_class("heisenberg")((6,))
    turned = nk.operator.Heisenberg(
        problem.hamiltonian().hilbert, nk.graph.Grid((6,)), J=0.25, sign_rule=True
    )
    exact = np.linalg.eigvalsh(turned.to_dense())
    ground = solve(problem).lowest
    assert float(ground.energy) == pytest.approx(exact[0], abs=1e-7)
    assert ground.reference == pytest.approx(exact[0], abs=1e-10)
    excited = solve(problem, lower=[ground]).lowest
    assert float(excited.energy) == pytest.approx(exact[1], abs=1e-6)
    assert not excited.energy.upper_bound
    with pytest.raises(InputError, match="full_sum_limit"):
        solve(problem, GeneralOptions(full_sum_limit=10))
    with pytest.raises(InputError, match="leave sector out"):
        solve(problem, sector=problem.sectors()[0])


def test_a_run_is_solved_evaluated_reported_and_read_again(here, capsys):
    assert main(["--plugin", HEISENBERG, *["solve", "heisenberg", "--size", "6", "--out", "run"]]) == 0
    found = result(here / "run")
    assert found["energy"] == pytest.approx(found["references"]["ed"], abs=1e-7)
    assert (found["energy_unit"], found["energy_kind"], found["system"]["size"]) == ("J", "full_sum", [6])
    assert main(["evaluate", "run", "--precision", "1e-2", "--chains", "16"]) == 0
    sampled = result(here / "run")["estimates"]["vmc"]
    assert abs(sampled["energy"] - found["energy"]) < 5 * max(sampled["error"], 1e-9)
    page = (here / "run" / "report" / "report.md").read_text()
    assert "heisenberg size=6 delta=1.0" in page
    assert "network dense, full sums" in (here / "run" / "report" / "index.html").read_text()
    assert f"nnbf --plugin {HEISENBERG} solve heisenberg" in page
    assert main(["solve", "run/system.npz", "--max-steps", "2", "--out", "again"]) == 0
    assert load_problem(here / "again" / "system.npz") == load_problem(here / "run" / "system.npz")
    capsys.readouterr()
    assert main(["report", "run", "again", "--out", "both"]) == 0
    records = json.loads((here / "both" / "records.json").read_text())["runs"]
    assert records[0]["hamiltonian"] == {**found["system"], "kind": "heisenberg", "size": [6], "delta": 1.0}
    assert main(["resume", "again", "--max-steps", "3"]) == 0
    assert result(here / "again")["n_steps"] == 3


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_been(here):
    words = [*SAMPLED.split(), "--max-steps", "60", "--out"]
    command = [sys.executable, "-m", "nnbf.cli", "--plugin", HEISENBERG, *words, "killed"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        history, end = here / "killed" / "history.jsonl", time.monotonic() + 200
        while not history.is_file() or history.read_bytes().count(b"\n") < 5:
            assert child.poll() is None, child.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.005)
        child.kill()
    assert child.returncode == -signal.SIGKILL
    load_plugin(HEISENBERG)
    assert main(["resume", "killed", "--quiet"]) == 0
    assert main([*words, "whole", "--quiet"]) == 0
    assert energies(here / "killed") == energies(here / "whole")
    one, other = result(here / "killed"), result(here / "whole")
    assert (one["energy"], one["energy_error"]) == (other["energy"], other["energy_error"])
    assert one["energy"] == pytest.approx(one["references"]["ed"], abs=0.05)


def test_no_file_that_is_read_loads_code(here, refused, monkeypatch, tmp_path):
    load_plugin(HEISENBERG)
    path = problems.problem_class("heisenberg")((4,)).save(tmp_path / "spins.npz")
    monkeypatch.delitem(problems._CLASSES, "heisenberg")
    said = refused("solve", str(path))
    assert "unknown kind of problem 'heisenberg'" in said
    assert "give --plugin the file that registers it, or name that in NNBF_PLUGINS" in said
    assert "unknown kind of problem 'heisenberg'" in refused("solve", "heisenberg")


def test_what_is_wrong_with_a_plug_in_is_one_line(refused, tmp_path, monkeypatch):
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_of_that_name\n")
    said = refused("--plugin", str(broken), "solve", "heisenberg")
    assert "broken.py cannot be loaded: No module named 'nothing_of_that_name'" in said
    assert "--plugin has no value" in refused("--plugin")
    assert "absent.py cannot be loaded" in refused("--plugin=absent.py", "solve", "x")
    monkeypatch.setenv("NNBF_PLUGINS", str(broken))
    assert "broken.py cannot be loaded" in refused("solve", "nothing")
    load_plugin(HEISENBERG)
    monkeypatch.setenv("NNBF_PLUGINS", "")
    assert "did you mean --size?" in refused(*["solve", "heisenberg", "--sise", "6"])
    assert "no method 'magic' for a heisenberg: give full-sum, vmc" in refused(
        *["solve", "heisenberg", "--method", "magic"]
    )
    assert "unknown network 'magic'" in refused(*["solve", "heisenberg", "--size", "4", "--network", "magic"])
    assert "--network dense has no depth" in refused(
        "solve", "heisenberg", "--size", "4", "--network-options", "depth = 1"
    )
    assert "solved by 'nnbf lattice'" in refused("solve", "lattice")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--size 3", "no Hamiltonian of heisenberg size=3 delta=1.0: Cannot fix the total magnetization"),
        ("--delta nan", "--delta must be a finite number, got nan"),
        ("--network-options hidden=3", "network dense: 'int' object is not iterable"),
        ("--network-options hidden=[-1]", "network dense: Only non-negative"),
    ],
)
def test_values_that_a_problem_or_a_network_does_not_take_are_one_line(here, refused, words, said):
    load_plugin(HEISENBERG)
    assert said in refused("solve", "heisenberg", "--size", "4", *words.split(), "--out", "run")
    assert not (here / "run").exists()


def test_names_are_taken_once():
    load_plugin(HEISENBERG)
    known = problems.problem_class("heisenberg")
    load_plugin(HEISENBERG)
    assert problems.problem_class("heisenberg") is known
    with pytest.raises(TypeError, match="no data class"):
        register_problem("other")(type("Other", (), {}))
    with pytest.raises(ValueError, match="is taken"):
        register_problem("lattice")(known)


@pytest.mark.parametrize(
    ("words", "method"),
    [
        ("molecule H2 --basis sto-3g", "selected determinants"),
        ("lattice tv --size 3x2 --particles 2", "full sums"),
    ],
    ids=["molecule", "lattice"],
)
@pytest.mark.slow
def test_a_network_of_a_plug_in(here, words, method):
    network = ["--network", "transformer", "--network-options", "width = 8"]
    plugin = ["--plugin", TRANSFORMER]
    steps = ["--time-limit", "1e-3"] if "lattice" in words else ["--max-steps", "1"]
    assert main([*plugin, *words.split(), *network, *steps, "--out", "run", "--quiet"]) == 0
    more = ["--time-limit", "inf"] if "lattice" in words else ["--max-steps", "100"]
    assert main([*plugin, "resume", "run", *more, "--quiet"]) == 0
    found = result(here / "run")
    exact = found["references"].get("ed", found["references"].get("fci"))
    assert found["energy"] == pytest.approx(exact, abs=2e-5)
    assert main(["evaluate", "run", "--precision", "1e-3", "--chains", "16", "--quiet"]) == 0
    sampled = result(here / "run")["estimates"]["vmc"]
    assert sampled["energy"] == pytest.approx(exact, abs=max(2e-5, 5 * sampled["error"]))
    page = (here / "run" / "report" / "index.html").read_text()
    assert re.search(rf"network transformer \(width = 8\), .*{method}", page)
