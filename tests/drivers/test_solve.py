"""The one call, on real molecules: FCI energies, statuses, reproducibility, hooks."""

import itertools
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import jax
import netket as nk
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from hamiltonians import InputError, Molecule, build_molecule
from nnbf.determinants import build_tables, diagonal_elements
from nnbf.drivers import Monitor, SolverOptions, make_model, selected, selected_space, solve
from nnbf.drivers.selected import SelectedSpaceDriver
from tests.determinants.oracles import flat, lowest_energy, random_system, second_order_energy

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"hidden": (8,), "n_determinants": 1}
MOLECULES = {
    # name: (options of build_molecule, S (S + 1))
    "LiH": ({}, 0.0),
    "H2O": ({}, 0.0),
    "O2": ({}, 2.0),
    "Li": ({}, 0.75),
    "OH": ({"reference": "uhf"}, 0.75),
}


@cache
def molecule(name) -> Molecule:
    return build_molecule(name, "sto-3g", **MOLECULES[name][0])


def lowest_on(state):
    """Lowest eigenvector of H on V, normalised over all determinants that its entries stand for."""
    return np.linalg.eigh(state.matrix.toarray())[1][:, 0] / np.sqrt(state.multiplicity)


@cache
def solved(name, **options):
    """(result, rows of the history) of a molecule, remembered."""
    rows = []
    result = solve(molecule(name), SolverOptions(**{**SMALL, **options}), monitor=Monitor(rows.append)).lowest
    return result, rows


@cache
def trained_around(name, **options):
    """The same with as many steps outside V as are asked for, whatever is left to gain."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selected, "SETTLED_AROUND", 0.0)
        return solved.__wrapped__(name, **options)


@pytest.mark.parametrize(
    "name", ["LiH", "O2", "OH", *(pytest.param(name, marks=pytest.mark.slow) for name in ("H2O", "Li"))]
)
def test_fci_energy_is_reached(name):
    system, (result, rows) = molecule(name), solved(name)
    fci = system.references["fci"]
    assert result.status == "converged"
    assert fci - 1e-8 < result.energy.value < fci + 1e-6
    assert result.energy.kind in ("variational", "full_sum")
    assert result.energy.error == 0.0
    for kind in ("variational", "full_sum"):
        assert result.estimates[kind].upper_bound
        assert result.estimates[kind].value > fci - 1e-8
    assert not result.estimates["projected"].upper_bound
    assert not result.estimates["pt2"].upper_bound
    assert result.energy.variance < 1e-3
    assert 0 <= result.v_score < 1e-4
    spin = MOLECULES[name][1]
    assert result.s_squared == pytest.approx(spin, abs=1e-4)
    assert result.n_steps == len(rows)
    assert system.integrals.is_spin_resolved == (name == "OH")


@pytest.mark.parametrize("name", ["LiH", "O2"])
def test_a_closed_space_leaves_nothing_out(name):
    """V is the whole symmetry sector: all kinds of energy agree and nothing is connected."""
    result, _ = solved(name)
    variational = result.estimates["variational"].value
    assert result.n_determinants == result.estimates["full_sum"].details["n_determinants"]
    assert result.details["n_connected"] == 0
    assert result.estimates["pt2"].details["correction"] == 0.0
    for kind in ("full_sum", "projected", "pt2"):
        assert result.estimates[kind].value == pytest.approx(variational, abs=1e-9)


def test_a_limited_space_is_judged_from_outside():
    result, rows = solved("LiH", max_space=12, tail_steps=0)
    fci = molecule("LiH").references["fci"]
    state = result.state
    assert result.n_determinants == len(result.determinants) == 12
    assert max(row["n_space"] for row in rows) == 12
    variational = result.estimates["variational"].value
    assert variational > fci + 1e-7
    correction = second_order_energy(
        build_tables(molecule("LiH").integrals),
        result.determinants,
        state.wave_function(),
        variational,
        state.spin_flip,
    )
    assert result.estimates["pt2"].details["correction"] == pytest.approx(correction, rel=1e-10)
    assert result.estimates["pt2"].value == pytest.approx(variational + correction, abs=1e-12)
    assert correction < 0
    # The correction closes most of the gap.
    assert abs(result.estimates["pt2"].value - fci) < 0.3 * (variational - fci)
    assert result.details["n_connected"] > 0
    bounds = [result.estimates[kind].value for kind in ("variational", "full_sum")]
    assert result.energy.value == pytest.approx(min(bounds), abs=1e-9)
    # The space is the best there is, within its size: nearly what dense diagonalisation of it gives.
    assert variational == pytest.approx(np.linalg.eigvalsh(state.matrix.toarray())[0], abs=1e-6)


def test_training_outside_the_space():
    """V and the energy on it stay; what the network says of the rest of the sector gets better."""
    plain, plain_rows = solved("LiH", max_space=12, tail_steps=0)
    trained, rows = trained_around("LiH", max_space=12, tail_steps=8)
    assert trained.status == "converged"
    assert len(rows) == len(plain_rows) + 8
    assert [row["energy"] for row in rows[: len(plain_rows)]] == [row["energy"] for row in plain_rows]
    assert set(map(bytes, trained.determinants)) == set(map(bytes, plain.determinants))
    fci = molecule("LiH").references["fci"]
    before, after = (result.estimates["full_sum"].value - fci for result in (plain, trained))
    assert -1e-8 < after < 0.5 * before
    variational = [result.estimates["variational"].value for result in (plain, trained)]
    assert variational[1] == pytest.approx(variational[0], abs=1e-3)


def test_parameters_are_averaged_over_the_last_steps_outside(monkeypatch):
    made = []
    original = SelectedSpaceDriver.update_parameters

    def noted(driver, update):
        original(driver, update)
        if driver.progress.tail_done:
            made.append(ravel_pytree(driver.state.parameters)[0])

    monkeypatch.setattr(SelectedSpaceDriver, "update_parameters", noted)
    result, _ = trained_around("LiH", max_space=12, tail_steps=10)
    average = made[0]
    for number, parameters in enumerate(made, 1):
        average = average + (parameters - average) / max(1.0, 0.2 * number)
    assert len(made) == 10
    np.testing.assert_allclose(ravel_pytree(result.parameters)[0], average, atol=1e-12)
    assert np.any(average != made[-1])


def test_the_energy_of_the_whole_state():
    """Where the sector is too large to be summed, V is summed and the rest is sampled."""
    summed, _ = trained_around("LiH", max_space=12, tail_steps=8)
    sampled, rows = trained_around("LiH", max_space=12, tail_steps=8, full_sum_limit=0, precision=2e-4)
    assert sampled.energy.kind == "vmc"
    assert 0 < sampled.energy.error <= 2e-4
    exact = summed.estimates["full_sum"].value
    # It is that energy, also where the one on V is lower.
    assert (summed.energy.kind, summed.energy.value) == ("full_sum", exact)
    assert abs(sampled.energy.value - exact) < 5 * sampled.energy.error
    assert sampled.estimates["variational"].value == pytest.approx(summed.estimates["variational"].value)
    # What a step minimises is an estimate of that energy, before the step.
    objectives = [row["objective"] for row in rows if "objective" in row]
    assert len(objectives) == 8
    assert objectives[-1] - exact < 0.5 * (objectives[0] - exact)


def test_a_run_that_is_cut_short_outside_its_space(monkeypatch):
    """A few steps outside V say nothing of the whole state; more do, but where that lies far above."""
    options = {"max_space": 12, "tail_steps": 8, "full_sum_limit": 0, "precision": 1e-3}
    steps = len(trained_around("LiH", max_space=12, tail_steps=8)[1])
    # V had settled: a state of a smaller one is no way out, however much these steps raise the energy on V.
    monkeypatch.setattr(
        selected.SelectedSpaceDriver, "return_before_growth", lambda _: pytest.fail("it was asked")
    )
    early, _ = trained_around.__wrapped__("LiH", **options, max_steps=steps - 3)
    assert (early.energy.kind, early.status, "vmc" in early.estimates) == ("variational", "max_steps", False)
    # The state from before these steps, which raise the energy on V at first.
    plain, _ = solved("LiH", max_space=12, tail_steps=0)
    assert early.energy.value == pytest.approx(plain.estimates["variational"].value, abs=1e-10)
    monkeypatch.setattr(selected, "ENOUGH_AROUND", 5)
    near, _ = trained_around.__wrapped__("LiH", **options, max_steps=steps - 3)
    assert (near.energy.kind, near.status) == ("vmc", "max_steps")
    # What ends above where it began is given up.
    monkeypatch.setattr(selected_space, "LARGEST_EXCESS", -1.0)
    for more in ({}, {"full_sum_limit": 500}):
        far, _ = trained_around.__wrapped__("LiH", **(options | more), max_steps=steps - 3)
        assert far.energy.kind == "variational"
        assert far.energy.value == pytest.approx(early.energy.value, abs=1e-12)
        assert "vmc" not in far.estimates
        assert any("above where it began" in warning for warning in far.warnings)
        np.testing.assert_array_equal(far.state.wave_function(), early.state.wave_function())


def test_training_outside_the_space_ends_when_nothing_is_left_to_gain():
    """... by second order, in three steps: then the whole state has that energy."""
    result, rows = solved("LiH", max_space=40, tail_steps=100)
    steps = [row for row in rows if "objective" in row]
    assert result.status == "converged"
    assert 3 <= len(steps) < 100
    # Second order is that of the last V, not of the one that it has grown from.
    correction = second_order_energy(
        build_tables(molecule("LiH").integrals),
        result.determinants,
        lowest_on(result.state),
        steps[0]["energy"],
        result.state.spin_flip,
    )
    assert steps[0]["pt2"] == pytest.approx(correction, rel=1e-2)
    for row in steps[-3:]:
        assert abs(row["objective"] - row["energy"] - row["pt2"]) < 1e-5
    fci = molecule("LiH").references["fci"]
    assert -1e-8 < result.estimates["full_sum"].value - fci < 3e-5


def test_a_run_ends_at_the_lowest_state_of_its_space():
    """Not when steps have become small: the lowest energy on V is known."""
    result, rows = solved("LiH", max_space=40, full_sum_limit=0, tail_steps=0)
    lowest = np.linalg.eigvalsh(result.state.matrix.toarray())[0]
    assert 0 <= result.estimates["variational"].value - lowest < 1e-6
    assert result.estimates["selected_ci"].value == pytest.approx(lowest, abs=1e-10)
    assert result.status == "converged"
    assert len(rows) < 15


def test_history_of_a_run():
    for name in ("LiH", "O2"):
        _, rows = solved(name)
        assert [row["step"] for row in rows] == list(range(len(rows)))
        assert all(json.dumps(row) for row in rows)
        times = [row["time_s"] for row in rows]
        assert sorted(times) == times
        assert [row["stage"] for row in rows] == sorted(row["stage"] for row in rows)
        for before, after in itertools.pairwise(rows):
            # The line search lets no energy rise while V stays.
            if before["stage"] == after["stage"]:
                assert after["energy"] <= before["energy"] + 1e-10
            assert before["step_norm"] <= 0.3 + 1e-9


def step_energies(name, **options):
    return [row["energy"] for row in solved(name, **options)[1]]


def test_the_same_seed_gives_the_same_numbers_bit_by_bit():
    first = step_energies("LiH")
    rows = []
    again = solve(molecule("LiH"), SolverOptions(**SMALL), monitor=Monitor(rows.append)).lowest
    assert [row["energy"] for row in rows] == first
    assert again.energy.value == solved("LiH")[0].energy.value
    assert np.array_equal(flat(again.parameters), flat(solved("LiH")[0].parameters))


@pytest.mark.slow
def test_another_process_gives_the_same_numbers_bit_by_bit(tmp_path):
    """From the same file: PySCF itself is not reproducible to the last bit from process to process."""
    path = molecule("LiH").save(tmp_path / "LiH.npz")
    script = (
        "import json, sys; from hamiltonians import load_problem; from nnbf import SolverOptions, solve; "
        "from nnbf.drivers import Monitor; "
        "rows = []; "
        f"solve(load_problem(sys.argv[1]), SolverOptions(**{SMALL!r}), monitor=Monitor(rows.append)); "
        "print(json.dumps([row['energy'].hex() for row in rows]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=300,
    )
    energies = json.loads(done.stdout.splitlines()[-1])
    assert energies == [energy.hex() for energy in step_energies("LiH")]


def test_other_seeds_start_elsewhere_and_end_at_the_same_energy():
    first, other = step_energies("LiH"), step_energies("LiH", seed=1)
    assert first != other
    assert abs(first[1] - other[1]) > 1e-6
    assert solved("LiH", seed=1)[0].energy.value == pytest.approx(molecule("LiH").references["fci"], abs=1e-6)


def test_a_run_cut_off_after_growth_reports_the_state_before():
    system = random_system(6, 3, 3, 1)
    rows = []
    solve(system, SolverOptions(**SMALL, max_steps=8), monitor=Monitor(rows.append))
    assert rows[0]["n_space"] > 1
    assert rows[1]["energy"] > rows[0]["grown_from"]["energy"], "on the grown space it is worse at first"
    results = [solve(system, SolverOptions(**SMALL, max_steps=n)) for n in (1, 2, 8)]
    results = [result.lowest for result in results]
    energies = [result.estimates["variational"].value for result in results]
    assert energies[0] == energies[1] == pytest.approx(rows[0]["grown_from"]["energy"], abs=1e-10)
    assert energies[2] < energies[0] - 1.0
    assert [result.n_determinants == 1 for result in results] == [True, True, False]
    assert any("the result is the state" in warning for warning in results[0].warnings)


@pytest.mark.parametrize(
    ("options", "should_stop", "status", "n_steps"),
    [
        ({"max_steps": 2}, None, "max_steps", 2),
        ({"time_limit": 1e-6}, None, "time_limit", 1),
        ({}, lambda: True, "interrupted", 1),
    ],
)
def test_statuses(options, should_stop, status, n_steps):
    result = solve(
        molecule("LiH"), SolverOptions(**SMALL, **options), monitor=Monitor(should_stop=should_stop)
    ).lowest
    assert (result.status, result.n_steps) == (status, n_steps)
    assert any(status in warning for warning in result.warnings)
    assert result.message != solved("LiH")[0].message
    # What was reached is evaluated all the same, and it is an upper bound.
    assert molecule("LiH").references["fci"] < result.energy.value < molecule("LiH").references["fci"] + 2.0


def test_sr_converges():
    """With a step below 2 / (E_max - E_0), which core excitations make short."""
    result, rows = solved("H2O", optimizer="sr", learning_rate=0.04, energy_tolerance=1e-8)
    assert result.status == "converged"
    assert result.energy.value == pytest.approx(molecule("H2O").references["fci"], abs=1e-6)
    assert all(row["step_norm"] <= 0.1 + 1e-9 for row in rows)


def test_adam_lowers_the_energy():
    result, rows = solved("LiH", optimizer="adam", learning_rate=3e-3, max_steps=60)
    energies = [row["energy"] for row in rows]
    fci = molecule("LiH").references["fci"]
    assert energies[-1] < energies[0]
    assert fci - 1e-8 < result.energy.value < fci + 0.2 * (energies[0] - fci)


@pytest.mark.parametrize("spin_flip", [pytest.param("none", marks=pytest.mark.slow), "average"])
def test_other_spin_symmetries_reach_the_same_energy(spin_flip):
    """The options change the state and not the answer."""
    result, _ = solved("LiH", spin_flip=spin_flip, blocked=spin_flip == "average")
    assert result.energy.value == pytest.approx(molecule("LiH").references["fci"], abs=1e-6)
    assert result.s_squared == pytest.approx(0.0, abs=1e-4)
    smaller = solved("LiH")[0].n_determinants
    assert result.n_determinants > smaller if spin_flip == "none" else result.n_determinants == smaller


def test_loggers_and_callbacks_of_netket():
    log = nk.logging.RuntimeLog()
    seen = []

    def remember(step, log_data, driver):
        seen.append((step, float(log_data["Energy"].mean)))
        return True

    rows = []
    result = solve(
        molecule("LiH"),
        SolverOptions(**SMALL),
        monitor=Monitor(rows.append, loggers=(log,), callbacks=(remember,)),
    ).lowest
    energies = [row["energy"] for row in rows]
    assert np.asarray(log.data["Energy"]["Mean"]).real.tolist() == energies
    assert [energy for _, energy in seen] == energies
    assert len(seen) == result.n_steps
    # A callback that returns False ends the run.
    short = solve(
        molecule("LiH"),
        SolverOptions(**SMALL),
        monitor=Monitor(callbacks=(lambda step, data, driver: step < 1,)),
    ).lowest
    assert short.n_steps < result.n_steps
    assert short.status == "interrupted"


def test_numbers_that_overflow_end_the_run():
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(FloatingPointError, match="not finite"):
        solve(molecule("LiH"), SolverOptions(**SMALL, optimizer="adam", learning_rate=1e200))


@pytest.mark.parametrize("dense_limit", [4096, pytest.param(0, marks=pytest.mark.slow)])
def test_no_excited_state_is_taken_for_the_ground_state(dense_limit):
    """Strong coupling, and a reference whose nearest eigenstate is an excited one in half of the cases."""
    started_above = 0
    for seed in range(12):
        system = random_system(4, 2, 2, seed)
        options = SolverOptions(hidden=(16,), n_determinants=1, dense_limit=dense_limit, projected=False)
        result = solve(system, options).lowest
        spectrum = np.linalg.eigvalsh(result.state.matrix.toarray())
        assert result.energy.value == pytest.approx(
            lowest_energy(system.integrals, even_spin=True), abs=1e-5
        ), seed
        reference = result.state.hamiltonian.reference
        started_above += diagonal_elements(result.state.hamiltonian.tables, reference)[0] > spectrum[1]
    assert started_above > 3


def test_the_network_describes_what_was_asked_for():
    system = random_system(4, 3, 1, reference=((0, 2, 3), (1,)))
    model = make_model(system, SolverOptions(hidden=(7, 5), n_determinants=3, blocked=False, noise=0.2))
    assert (model.n_orbitals, model.n_alpha, model.n_beta, model.n_determinants) == (4, 3, 1, 3)
    assert (tuple(model.hidden), model.blocked, model.noise) == ((7, 5), False, 0.2)
    assert (model.spin_flip, model.reference) == ("none", ((0, 2, 3), (1,)))
    assert make_model(random_system(4, 2, 2), SolverOptions()).spin_flip == "canonical"
    assert make_model(random_system(4, 2, 2, spin_resolved=True), SolverOptions()).spin_flip == "none"
    for bad in (random_system(4, 3, 1), random_system(4, 2, 2, spin_resolved=True)):
        with pytest.raises(InputError, match="spin_flip average needs 2S = 0"):
            make_model(bad, SolverOptions(spin_flip="average"))


@pytest.mark.parametrize(
    ("size", "n_alpha", "n_beta"), [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 1, 1), (3, 3, 3), (3, 1, 0)]
)
def test_hardly_any_electrons(size, n_alpha, n_beta):
    """No electron, one electron, every orbital filled."""
    system = random_system(size, n_alpha, n_beta, seed=3)
    result = solve(system, SolverOptions(hidden=(4,), n_determinants=1)).lowest
    assert result.status == "converged"
    assert result.energy.value == pytest.approx(lowest_energy(system.integrals), abs=1e-7)
    assert all(np.isfinite(entry.value) for entry in result.estimates.values())
    assert np.isfinite(result.v_score)
    s = 0.5 * abs(n_alpha - n_beta)
    assert result.s_squared == pytest.approx(s * (s + 1), abs=1e-8)


def test_parameters_are_doubles():
    assert {leaf.dtype.name for leaf in jax.tree.leaves(solved("LiH")[0].parameters)} == {"float64"}


@pytest.mark.slow
def test_a_second_level_of_the_same_irrep():
    options = SolverOptions(
        hidden=(16,), n_determinants=4, energy_tolerance=1e-10, pt2=False, projected=False
    )
    system = molecule("LiH")
    ground = solve(system, options, method="full-sum").lowest
    exact = np.linalg.eigvalsh(ground.state.matrix.toarray())
    assert float(ground.energy) == pytest.approx(system.references["fci"], abs=1e-6)
    excited = solve(system, options, method="full-sum", lower=[ground]).lowest
    assert float(excited.energy) == pytest.approx(exact[1], abs=1e-6)
    assert (excited.number, excited.energy.upper_bound) == (1, False)
    for method in ("selected", "vmc"):
        with pytest.raises(InputError, match="need method full-sum"):
            solve(system, options, method=method, lower=[ground])
