"""Sweeps of a program that stands in for nnbf: the same words, the same files, in no time."""

import sys
from pathlib import Path

import pytest

from nnbf.cli.sweep import vocabularies
from nnbf.sweep import plan_sweep

GRID = """
[sweep]
name = "grid"
[base]
molecule = "H2"
max-steps = 4
[grid]
basis = ["sto-3g", "6-31g*"]
seed = [0, 1]
"""


@pytest.fixture(autouse=True)
def _no_power_cuts(monkeypatch):
    """Files are not synced to disk: no test needs it, and it takes most of their time."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture(scope="session")
def commands():
    return vocabularies()


@pytest.fixture(scope="session")
def program():
    return (sys.executable, "-I", "-S", str(Path(__file__).with_name("fake_nnbf.py")))


@pytest.fixture
def planned(tmp_path, commands):
    """Write a manifest and plan its sweep in the folder "sweep"."""

    def plan(text=GRID, out="sweep", **rest):
        manifest = tmp_path / "manifest.toml"
        manifest.write_text(text)
        return plan_sweep(manifest, commands, out=tmp_path / out, **rest)

    return plan
