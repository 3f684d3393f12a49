"""Runs that start from the trained state of a neighbouring geometry."""

import shutil
from dataclasses import replace

import jax
import numpy as np
import pytest

from hamiltonians import InputError, align_orbitals, build_molecule
from hamiltonians.molecule.references import fci_energy_of_integrals
from nnbf.cli.main import main
from nnbf.drivers import SolverOptions, solve
from nnbf.drivers.start import excess_warning, lowest_levels, take_over
from nnbf.runs import RunDirectory, plan_resumption, prepare_start, resume_run, run_system
from tests.runs.test_resume import bits

# So close to the lowest state that a warm start takes several steps, too.
OPTIONS = SolverOptions(hidden=(8,), n_determinants=1, energy_tolerance=1e-11, pt2=False, projected=False)
SMALL = SolverOptions(hidden=(4,), n_determinants=1, pt2=False, projected=False)


@pytest.fixture(scope="module")
def geometries():
    """Lithium hydride at two distances; orbitals of the second one have other signs and another order."""
    systems = [build_molecule(f"Li 0 0 0; H 0 0 {r}", references=False, frozen_core=1) for r in (1.6, 1.8)]
    turned = np.diag([-1.0, 1.0, 1.0, -1.0, 1.0])[:, [0, 2, 1, 4, 3]]
    second = systems[1]
    systems[1] = replace(
        second, integrals=second.integrals.rotate(turned), properties=second.properties.rotate(turned)
    )
    return systems


@pytest.fixture(scope="module")
def runs(geometries, tmp_path_factory):
    """Folders: a cold run at the first distance, a warm one at the second, copies of it after every row."""
    parent = tmp_path_factory.mktemp("runs")
    first = run_system(geometries[0], OPTIONS, out=parent / "first")
    copies = []

    def copy(row):
        copies.append(shutil.copytree(parent / "second", parent / f"after_{len(copies)}"))

    second = run_system(
        geometries[1],
        OPTIONS,
        out=parent / "second",
        start_from=parent / "first",
        checkpoint_interval=0.0,
        on_row=copy,
    )
    return first, second, copies


def test_a_warm_run_begins_close_to_its_end(geometries, runs):
    first, second, _ = runs
    exact = fci_energy_of_integrals(geometries[1].integrals)
    rows = second.directory.read_history()
    correlation = geometries[1].references["hf"] - exact
    assert correlation > 0.02
    assert rows[0]["energy"] - exact < 0.1 * correlation
    assert rows[0]["n_space"] == len(first.lowest.determinants)
    assert rows[0]["grown_from"] is None
    assert second.result["energy"] - exact < 1e-4
    assert second.result["n_steps"] < first.result["n_steps"]
    start = second.result["started_from"]
    assert start == second.directory.read_config()["start"]
    assert start["folder"] == str(first.directory.path)
    assert start["run"] == first.directory.read_config()["run"]
    assert 0.9 < start["orbital_overlap"] < 1.0
    assert first.result["started_from"] is None


def test_the_folder_stands_on_its_own(runs, tmp_path, monkeypatch):
    """Resuming gives the same bits without the other run: from any checkpoint, or from none."""
    _, second, copies = runs
    wanted = bits(second.directory.path)
    monkeypatch.chdir(tmp_path)
    for rows, whole in ((1, True), (len(copies) - 1, True), (2, False)):
        folder = shutil.copytree(copies[rows - 1], tmp_path / f"copy_{rows}_{whole}")
        if not whole:
            for state in RunDirectory.open(folder).checkpoints().files():
                state.unlink()
        config = RunDirectory.open(folder).read_config()
        config["start"]["folder"] = "gone"
        RunDirectory.open(folder).write_config(config)
        resumed = resume_run(plan_resumption(folder))
        assert bits(folder) == wanted
        assert resumed.result["started_from"]["folder"] == "gone"


def test_a_half_done_run_is_a_start(geometries, runs):
    _, second, copies = runs
    prepared = prepare_start(copies[1], geometries[0], OPTIONS)
    assert prepared.record["step"] in (1, 2)
    assert prepared.checkpoint.determinants.shape == second.lowest.determinants.shape
    assert "overlap of orbitals 0.9" in prepared.text


def test_starts_that_do_not_fit(geometries, runs, tmp_path, capsys):
    folder = runs[0].directory.path
    for options, message in (
        (SMALL, "has hidden 8, and this run 4: "),
        (replace(OPTIONS, n_determinants=2), "has n-determinants 1, and this run 2: "),
        (replace(OPTIONS, spin_flip="none"), "has spin-flip canonical, and this run none: "),
    ):
        with pytest.raises(InputError, match=message):
            prepare_start(folder, geometries[1], options)
    words = ["molecule", "H 0 0 0; H 0 0 0.7", "--start-from", str(folder), "--out", str(tmp_path / "out")]
    assert main([*words, "--hidden", "8", "--n-determinants", "1"]) == 2
    assert "has n-orbitals 5, and this run 2: a start needs" in capsys.readouterr().err
    words[3] = str(tmp_path)
    assert main(words) == 2
    assert "is not a run folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_orbitals_without_counterparts_are_left_alone(geometries, runs):
    exchanged = np.eye(5)[:, [1, 0, 2, 3, 4]]
    plain = [
        replace(g, integrals=replace(g.integrals, orbital_irreps=None, point_group=None)) for g in geometries
    ]
    other = replace(
        plain[1],
        integrals=plain[1].integrals.rotate(exchanged),
        properties=plain[1].properties.rotate(exchanged),
    )
    prepared = prepare_start(runs[0].directory.path, other, OPTIONS)
    assert prepared.checkpoint is None
    assert not prepared.record["used"]
    assert prepared.system.integrals is other.integrals
    assert "no counterpart" in prepared.system.info.warnings[-1]


def test_a_start_on_another_state_is_given_up(geometries, runs):
    """With the sign of H changed the start is the highest state: the run is that which starts cold."""
    system = geometries[0]
    h = system.integrals
    opposite = replace(
        system, integrals=replace(h, constant=-h.constant, one_body=-h.one_body, two_body=-h.two_body)
    )
    options = replace(OPTIONS, max_steps=4)
    cold = solve(opposite, options).lowest
    warm = solve(opposite, options, start=runs[0].lowest).lowest
    assert not warm.started_warm
    assert warm.energy.value == cold.energy.value
    assert any("would follow another one" in warning for warning in warm.warnings)


def test_a_state_that_ends_too_high_is_told(geometries, runs):
    state = runs[0].lowest.state
    values, vectors = lowest_levels(state)
    exact = np.linalg.eigvalsh(state.matrix.toarray())
    np.testing.assert_allclose(values, exact[: len(values)], atol=1e-9)
    assert vectors.shape == (len(exact), len(values))
    assert excess_warning(state, 2e-4) is None
    variables = state.variables
    try:
        state.variables = jax.tree.map(lambda leaf: 0.5 * leaf, variables)
        above = state.energy_at(state.variables) - exact[0]
        assert above > 1e-3
        assert f"ended {1e3 * above:.2f} mHa above the lowest one" in excess_warning(state, above / 3)
        assert excess_warning(state, above / 2) is None
    finally:
        state.variables = variables


def test_the_space_of_a_start_is_that_of_the_irrep(geometries, runs):
    """What the other symmetry forbids is left out, and everything is there once."""
    first = runs[0].lowest
    state = first.state
    variables = state.variables
    flipped = first.determinants[:, ::-1]
    wrong = np.array([[0b00100, 0b00001]], dtype=np.uint64)
    start = replace(first, determinants=np.concatenate([first.determinants, flipped, wrong]))
    try:
        assert take_over(state, start, geometries[0]).used
        np.testing.assert_array_equal(state.determinants, first.determinants)
    finally:
        state.variables = variables
        state.set_determinants(first.determinants)


def test_orbitals_that_are_not_known_are_taken_as_they_are(geometries, runs):
    system = replace(geometries[0], properties=None)
    prepared = prepare_start(runs[0].directory.path, system, OPTIONS)
    assert prepared.record["orbital_overlap"] is None
    assert prepared.record["used"]
    assert prepared.system.integrals is system.integrals
    assert "taken as they are" in prepared.system.info.warnings[-1]


def test_from_python(geometries, runs):
    aligned = align_orbitals(geometries[1], like=geometries[0]).system
    found = solve(aligned, OPTIONS, start=runs[0].lowest).lowest
    assert found.started_warm
    assert found.energy.value == pytest.approx(runs[1].result["energy"], abs=1e-7)
    with pytest.raises(InputError, match="of another network"):
        take_over(runs[0].lowest.state, replace(found, parameters={}), aligned)
