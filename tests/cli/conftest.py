"""Runs without a solver: a small system, a solver that plays back numbers, a finished run folder."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from hamiltonians import MolecularIntegrals, Molecule, SystemInfo
from nnbf.cli import main
from nnbf.drivers import Level
from nnbf.estimate import Estimate

ENERGIES = (-1.05, -1.09, -1.1011)
FCI = -1.1011503302326


@pytest.fixture
def system() -> Molecule:
    """Two electrons in two orbitals, with made-up references."""
    integrals = MolecularIntegrals(0.7, np.diag([-1.2, -0.4]), 0.1 * np.eye(3), 1, 1)
    info = SystemInfo(formula="H2", name="H2", basis="sto-3g", warnings=("RHF DID NOT CONVERGE",))
    references = {"hf": -1.066, "ccsd": -1.1, "fci": FCI}
    return Molecule(integrals, info, references, {"ccsd_t": "too expensive for this size"})


def rows(energies=ENERGIES) -> list[dict]:
    """History rows as the solver gives them."""
    return [
        {
            "step": step,
            "time_s": 0.1 * (step + 1),
            "energy": energy,
            "variance": 0.1 / (step + 1),
            "n_space": 2 + step,
            "n_connected": None if step == 0 else 1,
            "pt2": None,
            "step_norm": 0.1,
            "damping": 1e-3,
            "accepted": True,
            "stage": step,
        }
        for step, energy in enumerate(energies)
    ]


@dataclass
class FakeSolver:
    """Stands in for `nnbf.drivers.selected_space.selected_level`; `during` is called after the second step.

    A run that is stopped can be resumed; `steps` are the first steps of its sessions.
    """

    during: object = None
    before: object = None
    seen_options: object = None
    steps: list = field(default_factory=list)

    def __call__(self, task):
        system, monitor = task.problem, task.monitor
        self.seen_options = task.options
        first = 0 if monitor.resume is None else monitor.resume["driver"]["step"]
        self.steps.append(first)
        if self.before is not None:
            self.before()
        last = first - 1
        for row in rows()[first:]:
            monitor.save(lambda: _snapshot(row["step"]), False)  # noqa: B023
            monitor.on_row(row)
            last = row["step"]
            if self.during is not None and row["step"] == 1:
                self.during()
            if monitor.should_stop():
                break
        monitor.save(lambda: _snapshot(last + 1), True)
        energy = rows()[last]["energy"]
        status = "interrupted" if monitor.should_stop() else "converged"
        found = Estimate(energy, kind="variational", upper_bound=True, variance=1e-6)
        return Level(
            problem=system,
            energy=found,
            estimates={"variational": found, "projected": Estimate(energy - 1e-4, kind="projected")},
            v_score=1e-7,
            s_squared=0.0,
            model=None,
            details={"n_determinants": 2, "n_connected": 1},
            n_parameters=10,
            n_steps=last + 1,
            status=status,
            wall_time_s=0.3,
            parameters={"Dense_0": {"kernel": np.arange(6.0).reshape(2, 3)}, "list": [np.ones(2)]},
            determinants=np.array([[1, 1], [2, 2]], dtype=np.uint64),
            warnings=(*system.info.warnings, "made up"),
            message=status,
            state=None,
        )


def _snapshot(step):
    return {
        "elapsed_s": 0.1 * step,
        "driver": {"step": step, "variables": [], "determinants": np.ones((1, 2), np.uint64)},
    }


@pytest.fixture
def solver(monkeypatch) -> FakeSolver:
    """The solver, replaced."""
    fake = FakeSolver()
    monkeypatch.setattr(_solver_module(), "selected_level", fake)
    return fake


def _solver_module():
    from importlib import import_module

    return import_module("nnbf.drivers.selected_space")


@pytest.fixture
def built(monkeypatch, system) -> None:
    """Every problem builds the system of two orbitals at once."""
    monkeypatch.setattr("hamiltonians.molecule.spec.MoleculeSpec.build", lambda self, references=True: system)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder, which is the current one."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def refused(here, capsys):
    """Call the program and require: exit code 2, one line of error, nothing written."""

    def run(*words: str) -> str:
        before = sorted(here.rglob("*"))
        code = main(list(words))
        captured = capsys.readouterr()
        assert code == 2, captured.err
        assert captured.err.startswith("error: ")
        assert captured.err.count("\n") == 1
        assert captured.err.endswith("\n")
        assert len(captured.err) < 400
        assert sorted(here.rglob("*")) == before
        return captured.err

    return run


@pytest.fixture
def run_folder(tmp_path):
    """Make a run folder out of nothing but JSON."""

    def make(name="run", *, energies=ENERGIES, finished=True, **changes) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        shared = {
            "energy_unit": "Hartree",
            "references": {"hf": -1.066, "mp2": None, "ccsd": -1.1, "ccsd_t": -1.1012, "fci": FCI},
            "reference_notes": {"mp2": "not asked for"},
            "seed": 0,
            "versions": {"nnbf": "0.1.0", "pyscf": None},
            "system": {"formula": "H2", "name": "H2", "basis": "sto-3g", "n_orbitals": 2, "n_electrons": 2},
        }
        config = {"command_line": "nnbf molecule H2 <&>", "options": {"hidden": [64], "time_limit": None}}
        (folder / "config.json").write_text(json.dumps({**shared, **config}))
        lines = [json.dumps(row) + "\n" for row in rows(energies)]
        (folder / "history.jsonl").write_text("".join(lines))
        last = energies[-1] if energies else None
        result = {
            **shared,
            "energy": last,
            "energy_kind": "variational",
            "energy_error": 0.0,
            "estimates": {
                "variational": {"energy": last, "error": 0.0},
                "pt2": {"energy": FCI - 1e-5, "error": 0.0},
            },
            "variance": 1e-6,
            "n_determinants": 4096,
            "n_parameters": 1000,
            "n_steps": 3,
            "status": "converged",
            "wall_time_s": 75.0,
            "warnings": ["mind the <gap>"],
            **changes,
        }
        if finished:
            (folder / "result.json").write_text(json.dumps(result))
        return folder

    return make
