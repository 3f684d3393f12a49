"""Sweeps of a program that stands in for nnbf: the same words, the same files, in no time."""

import os
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


@pytest.fixture(scope="session")
def commands():
    return vocabularies()


@pytest.fixture(scope="session")
def program():
    return (sys.executable, "-I", "-S", str(Path(__file__).with_name("fake_nnbf.py")))


@pytest.fixture
def real_program(monkeypatch, tmp_path_factory):
    """Return what runs `nnbf` itself; programs that XLA has compiled are shared by all of its processes."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "compiled"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    return (sys.executable, "-m", "nnbf.cli")


@pytest.fixture
def undrawn(monkeypatch):
    """Leave out the pictures, which take most of the time."""
    monkeypatch.setattr("nnbf.sweep.findings.draw_findings", lambda plan, found: [])


@pytest.fixture
def planned(tmp_path, commands):
    """Write a manifest and plan its sweep in the folder "sweep"."""

    def plan(text=GRID, out="sweep", **rest):
        manifest = tmp_path / "manifest.toml"
        manifest.write_text(text)
        return plan_sweep(manifest, commands, out=tmp_path / out, **rest)

    return plan
