"""The program from its arguments to its output: help, dry runs, runs, failures, interruptions."""

import json
import os
import signal
import subprocess
import sys
import typing

import pytest

from hamiltonians import MoleculeSpec, write_fcidump
from hamiltonians.molecule.orbitals import ORBITAL_KINDS
from nnbf.cli import main

FILES = ("config.json", "system.npz", "history.jsonl", "result.json", "checkpoint/final.npz")
REPORT = ("report/energy.png", "report/index.html", "report/report.md")


def test_overview_is_quick_and_imports_nothing_heavy():
    program = """
import sys
from nnbf.cli import main
assert main(["--help"]) == 0
heavy = {"jax", "netket", "pyscf", "matplotlib", "tyro"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "nnbf molecule N2 --basis sto-3g" in done.stdout
    assert done.stderr == ""


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("nnbf ")


@pytest.mark.parametrize("name", ["molecule", "fcidump", "resume", "report"])
def test_help_of_commands(name, capsys):
    assert main([name, "--help"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert f"usage: nnbf {name}" in captured.out
    assert "examples:" in captured.out
    assert "None" not in captured.out


def test_help_shows_every_option_with_its_default(capsys, monkeypatch):
    from dataclasses import fields

    from nnbf.drivers.options import SolverOptions

    monkeypatch.setenv("COLUMNS", "200")
    main(["molecule", "--help"])
    text = capsys.readouterr().out
    for field in (*fields(SolverOptions), *fields(MoleculeSpec)[1:]):
        assert f"--{field.name.replace('_', '-')}" in text
    for expected in (
        "(default: sto-3g)",
        "(default: 128)",
        "(default: auto)",
        "Hartree",
        "seconds",
        "angstrom",
    ):
        assert expected in text


def test_choices_agree_with_the_hamiltonians():
    hints = typing.get_type_hints(MoleculeSpec)
    assert typing.get_args(hints["orbitals"]) == ORBITAL_KINDS


def test_run(here, built, solver, capsys):
    assert main(["molecule", "H2", "--out", "run", "--seed", "5"]) == 0
    captured = capsys.readouterr()
    for name in (*FILES, *REPORT):
        assert (here / "run" / name).is_file(), name
    for text in ("HF", "CCSD", "FCI", "variational", "projected", "upper bound", "mHa to FCI", "|V| 4"):
        assert text in captured.out
    assert "CCSD(T): not computed (too expensive for this size)" in captured.out
    assert "run/report/energy.png" in captured.out
    lines = captured.err.splitlines()
    assert lines[:2] == ["warning: RHF DID NOT CONVERGE", "warning: made up"]
    assert "above its lowest state" in lines[2]  # so is the energy
    result = json.loads((here / "run" / "result.json").read_text())
    assert result["warnings"] == [line.removeprefix("warning: ") for line in lines]
    assert result["seed"] == 5


def test_default_folder(here, built, solver):
    assert main(["molecule", "H2", "--quiet"]) == 0
    (folder,) = (here / "runs").iterdir()
    assert folder.name.startswith("H2_sto-3g_2")
    assert main(["molecule", "H2", "--quiet"]) == 0
    assert len(list((here / "runs").iterdir())) == 2


def test_quiet_prints_the_table_alone(here, built, solver, capsys):
    assert main(["molecule", "H2", "--quiet", "--out", "run"]) == 0
    out = capsys.readouterr().out
    assert "FCI" in out
    assert "step" not in out
    assert "run folder" not in out


def test_dry_run_shows_the_plan_and_writes_nothing(here, built, solver, capsys):
    assert main(["molecule", "H2", "--dry-run", "--seed", "5", "--max-space", "7"]) == 0
    out = capsys.readouterr().out
    for text in (
        "2 electrons (2S = 0) in 2 orbitals, 4 determinants",
        "seed = 5   (given)",
        "max-space = 7   (given)",
        "n-determinants = 2\n",
        "memory",
        "nothing was written",
    ):
        assert text in out
    assert list(here.iterdir()) == []
    assert solver.seen_options is None


def test_dry_run_names_the_references(here, capsys):
    assert main(["molecule", "H2", "--dry-run", "--fci-limit", "3"]) == 0
    assert "no: above --fci-limit (4 determinants, limit 3)" in capsys.readouterr().out
    assert main(["molecule", "H2", "--dry-run", "--no-references"]) == 0
    assert "--no-references" in capsys.readouterr().out
    assert list(here.iterdir()) == []


def test_fcidump_and_saved_systems(here, system, solver):
    write_fcidump(system.integrals, here / "h2.FCIDUMP")
    assert main(["fcidump", "h2.FCIDUMP", "--out", "first", "--no-references"]) == 0
    assert main(["fcidump", "first/system.npz", "--out", "second"]) == 0
    first, second = (json.loads((here / name / "config.json").read_text()) for name in ("first", "second"))
    assert first["references"] == second["references"]
    assert first["references"]["hf"] is not None
    assert first["problem"] == {"file": "h2.FCIDUMP", "references": False, "fci_limit": 5_000_000}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_a_result(here, built, solver, capsys, number):
    before = signal.getsignal(number)
    solver.during = lambda: os.kill(os.getpid(), number)
    assert main(["molecule", "H2", "--out", "run"]) == 0
    result = json.loads((here / "run" / "result.json").read_text())
    assert result["status"] == "interrupted"
    assert result["stopped_by"] == number.name
    assert result["n_steps"] == 2
    assert result["energy"] == -1.09
    captured = capsys.readouterr()
    assert f"warning: stopped by {number.name} before it was done" in captured.err
    assert "stopping after this step" in captured.out
    assert signal.getsignal(number) is before


def test_interrupting_twice_keeps_the_history(here, built, solver, capsys):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    solver.during = twice
    assert main(["molecule", "H2", "--out", "run"]) == 130
    assert capsys.readouterr().err.endswith("error: interrupted\n")
    result = json.loads((here / "run" / "result.json").read_text())
    assert result["status"] == "interrupted"
    assert result["energy"] == -1.09
    assert result["estimates"] == {"variational": {"energy": -1.09, "error": None}}
    assert len((here / "run" / "history.jsonl").read_text().splitlines()) == 2


def test_interrupting_an_evaluation_twice_is_one_line(capsys, monkeypatch):
    def evaluate_run(*arguments, should_stop, **options):
        os.kill(os.getpid(), signal.SIGINT)
        assert should_stop()
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("nnbf.runs.evaluate_run.evaluate_run", evaluate_run)
    assert main(["evaluate", "run", "--quiet"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


@pytest.mark.parametrize("error", [FloatingPointError("not finite"), MemoryError(), ValueError("bug\nhere")])
def test_a_failed_run_says_how_to_go_on(here, built, solver, capsys, error):
    def fail():
        raise error

    solver.during = fail
    assert main(["molecule", "H2", "--out", "run"]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "the run failed" in line
    assert "nnbf resume run" in line
    result = json.loads((here / "run" / "result.json").read_text())
    assert result["status"] == "failed"
    assert "nnbf resume run" in result["message"]
    assert type(error).__name__ in (here / "run" / "failure.txt").read_text()
    assert main(["report", "run"]) == 0


def test_a_report_that_cannot_be_made_costs_no_result(here, built, solver, capsys, monkeypatch):
    def fail(folder, **_):
        raise ImportError("no matplotlib")

    monkeypatch.setattr("nnbf.report.write_report", fail)
    assert main(["molecule", "H2", "--out", "run"]) == 0
    assert "warning: the result is safe, but the report failed" in capsys.readouterr().err
    assert (here / "run" / "result.json").is_file()


def test_without_pyscf_a_molecule_is_refused(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyscf", None)
    assert "pyscf is not installed" in refused("molecule", "H2")


def test_hydrogen_for_real(here, capsys):
    """From the command line through Hartree-Fock and the solver to FCI."""
    words = ["--hidden", "8", "--n-determinants", "1", "--time-limit", "60"]
    assert main(["molecule", "H2", "--out", "run", *words]) == 0
    result = json.loads((here / "run" / "result.json").read_text())
    assert result["status"] == "converged"
    assert result["energy"] == pytest.approx(result["references"]["fci"], abs=1e-8)
    assert abs(result["s_squared"]) < 1e-6
    for name in (*FILES, *REPORT):
        assert (here / "run" / name).is_file(), name
    assert capsys.readouterr().err == ""
