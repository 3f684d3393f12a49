"""The choice between a selected space and Monte Carlo, from signs that are cheap."""

from dataclasses import replace

import numpy as np
import pytest

from hamiltonians import build_molecule
from hamiltonians.molecule.spec import MoleculeSpec
from nnbf.cli import main
from nnbf.drivers import SolverOptions, kind_of_state
from nnbf.drivers.kind_of_state import suited_options, suited_run

STRETCHED = MoleculeSpec("H6-chain-1.8", "sto-6g", references=False)


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch):
    """Six atoms stand for twelve."""
    monkeypatch.setattr(kind_of_state, "MANY_DETERMINANTS", 300)


@pytest.fixture(scope="module")
def stretched():
    return STRETCHED.build()


def test_signs(stretched):
    kind = kind_of_state.kind_of_state(stretched.integrals)
    assert kind.is_spread_out
    assert "6 of 6 of its natural orbitals" in kind.reason
    assert "(400 determinants)" in kind.reason
    # The same in any orbitals.
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    turned = stretched.integrals.rotate(rotation)
    assert kind_of_state.kind_of_state(turned) == kind


def test_what_is_peaked(monkeypatch):
    closed = build_molecule("N2", "sto-3g", references=False).integrals
    kind = kind_of_state.kind_of_state(closed)
    assert not kind.is_spread_out
    assert kind.reason.startswith("UHF is 0 mHa below RHF, 0 of 10")
    # Six electrons that part are few among ten orbitals.
    parted = build_molecule("N 0 0 0; N 0 0 2.2", "sto-3g", references=False).integrals
    kind = kind_of_state.kind_of_state(parted)
    assert "6 of 10" in kind.reason
    assert kind.is_spread_out
    monkeypatch.setattr(kind_of_state, "MANY_ACTIVE", 401)
    assert not kind_of_state.kind_of_state(parted).is_spread_out


def test_where_unrestricted_orbitals_gain_little_a_list_does(stretched, monkeypatch):
    """In sheets and chains of hydrogen 1 A apart selected CI is better than samples."""
    monkeypatch.setattr(kind_of_state, "LARGE_GAIN", 10.0)
    assert not kind_of_state.kind_of_state(stretched.integrals).is_spread_out


def test_what_is_chosen_is_the_whole_run(stretched):
    found = suited_run(stretched, STRETCHED, SolverOptions(seed=3, n_samples=64))
    assert found.method == "vmc"
    assert found.spec == replace(STRETCHED, orbitals="lowdin")
    assert found.system.info.orbitals == "lowdin"
    assert not any(found.system.integrals.orbital_irreps or ())
    assert (found.options.start_orbitals, found.options.total_spin) == ("uhf", 0.0)
    assert (found.options.seed, found.options.n_samples) == (3, 64)
    assert len(found.text) < 300
    # What was asked for stands against it: other orbitals, a part of them, a selected space.
    for spec, options in (
        (replace(STRETCHED, orbitals="boys"), SolverOptions()),
        (replace(STRETCHED, active_space="4,4"), SolverOptions()),
        (STRETCHED, SolverOptions(max_space=64)),
        (None, SolverOptions()),
    ):
        other = suited_run(stretched, spec, options)
        assert (other.method, other.system, other.options) == ("selected", stretched, options)


def test_options_that_were_given_are_kept(stretched):
    given = SolverOptions(hidden=(8,), sampling_power=2.0, start_orbitals="rhf")
    found = suited_options(given, stretched.integrals)
    assert (found.hidden, found.sampling_power, found.start_orbitals) == ((8,), 2.0, "rhf")
    assert found.total_spin == 0.0


def test_the_plan_says_what_was_chosen_and_why(capsys):
    words = ["molecule", "H6-chain-1.8", "--basis", "sto-6g", "--no-references", "--dry-run"]
    assert main([*words, "--method", "auto"]) == 0
    shown = capsys.readouterr().out
    assert "strong correlation: UHF is " in shown
    assert "solver options (method vmc)" in shown
    assert "orbitals = lowdin   (given)" in shown
    assert main(words) == 0
    assert "solver options (method selected)" in capsys.readouterr().out
