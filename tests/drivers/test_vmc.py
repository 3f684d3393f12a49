"""Monte Carlo runs: energies against full summation, whatever samples and optimiser."""

import dataclasses
from types import SimpleNamespace

import jax
import netket as nk
import numpy as np
import pytest

from hamiltonians import InputError, build_molecule
from nnbf.drivers import SolverOptions, final_energy, make_model, molecular_sampling, solve
from nnbf.drivers.molecular_sampling import make_sampler
from nnbf.drivers.monitor import Monitor
from nnbf.drivers.monte_carlo import MonteCarloDriver, StepSchedule
from nnbf.drivers.selected_space import yardstick
from nnbf.evaluation import EvaluationOptions, StateSource, sample_energy
from nnbf.operators import MolecularHamiltonian
from nnbf.optimize import RayleighGaussNewton, StochasticReconfiguration
from nnbf.states import Objective, SpaceState, full_sum_energy, sampled_step, symmetry_sector
from nnbf.states.selected_ci import selected_ci

SMALL = SolverOptions(hidden=(16,), n_samples=1024, n_chains=16, max_steps=400, seed=1)


@pytest.fixture(scope="module")
def lih():
    return build_molecule("LiH", "sto-3g")


@pytest.fixture(scope="module")
def trained(lih):
    rows = []
    return solve(lih, SMALL, method="vmc", monitor=Monitor(rows.append)).lowest, rows


def test_finds_the_ground_state_with_an_honest_error(lih, trained):
    result, rows = trained
    estimate = result.estimates["vmc"]
    assert (result.energy.value, result.energy.kind) == (estimate.value, "vmc")
    assert abs(result.energy.value - lih.references["fci"]) < 5e-4
    assert 0 < result.energy.error <= SMALL.precision
    assert abs(result.energy.value - result.estimates["full_sum"].value) < 4 * result.energy.error + 1e-6
    assert result.estimates["full_sum"].value > lih.references["fci"] - 1e-9
    assert estimate.details["n_unique"] <= estimate.n_samples
    assert result.status == "converged"
    assert rows[-1]["step_scale"] < rows[0]["step_scale"]
    for row in rows:
        assert {"r_hat", "tau_corr", "acceptance", "n_unique", "energy_error"} <= set(row)


def states_of(system, options, **sampler_options):
    options = dataclasses.replace(options, **sampler_options)
    hamiltonian = MolecularHamiltonian(system.integrals)
    model = make_model(system, dataclasses.replace(options, noise=0.5))
    selected = SpaceState(hamiltonian, model, seed=3)
    sector = symmetry_sector(selected, np.zeros(system.integrals.n_orbitals, int), 10**6)
    selected.set_determinants(sector)
    sampler = make_sampler(system, options, hamiltonian, model, sector)
    state = nk.vqs.MCState(
        sampler, model, n_samples=2048, variables=selected.variables, sampler_seed=options.seed
    )
    return state, selected, hamiltonian, options


@pytest.mark.parametrize(("power", "rounding"), [(2.0, 0.0), (1.0, 0.0), (1.0, 3e-3)])
def test_energy_gradient_and_variance_are_those_of_the_full_sum(lih, power, rounding):
    state, selected, hamiltonian, _ = states_of(lih, SMALL, sampling_power=power)
    energy, variance = full_sum_energy(selected, selected.determinants)
    exact = selected.tangent_problem()
    wanted = np.concatenate([np.ravel(x) for x in jax.tree.leaves(exact.backward(exact.residual))])
    energies, errors, gradients = [], [], []
    for _ in range(20):
        state.reset()
        found = sampled_step(state, Objective(hamiltonian, rounding=rounding))
        energies.append(float(found.statistics.mean))
        errors.append(float(found.statistics.error_of_mean))
        gradient = found.problem.backward(found.problem.residual)
        gradients.append(np.concatenate([np.ravel(x) for x in jax.tree.leaves(gradient)]))
        assert abs(found.problem.energy - energies[-1]) < 1e-10
    spread = np.std(energies, ddof=1)
    assert abs(np.mean(energies) - energy) < 4 * spread / np.sqrt(20)
    assert 0.5 < np.sqrt(np.mean(np.square(errors))) / spread < 2.0
    assert float(found.statistics.variance) == pytest.approx(variance, rel=0.5)
    deviation = np.linalg.norm(np.mean(gradients, axis=0) - wanted)
    noise = np.linalg.norm(np.std(gradients, axis=0, ddof=1)) / np.sqrt(20)
    assert deviation < 2.0 * noise
    assert noise < 0.3 * np.linalg.norm(wanted)


def test_observables_of_samples_are_those_of_the_whole_state(lih, trained):
    exact = trained[0].observables
    sampled = solve(lih, dataclasses.replace(SMALL, full_sum_limit=0), method="vmc").lowest.observables
    # The same parameters: only the averages differ.
    for name in ("dipole_au", "s_squared"):
        apart = np.abs(np.asarray(sampled[name].value) - np.asarray(exact[name].value))
        assert np.all(apart < 4 * np.asarray(sampled[name].error) + 1e-6)
    assert 0 < np.max(np.abs(sampled["one_body_error"])) < 0.02
    np.testing.assert_allclose(sampled["one_body"], exact["one_body"], atol=0.03)
    # Alpha and beta electrons alike, although one determinant of each spin-flip pair is drawn.
    np.testing.assert_allclose(sampled["one_body"][0], sampled["one_body"][1], atol=0.03)


def test_of_a_state_that_is_spread_out_no_list_is_told(monkeypatch):
    square = build_molecule("H 0 0 0; H 2 0 0; H 0 2 0; H 2 2 0", "sto-6g", orbitals="lowdin")
    options = dataclasses.replace(
        SMALL, max_steps=3, start_orbitals="uhf", total_spin=0.0, full_sum_limit=0, n_samples=256
    )
    whole = solve(square, options, method="vmc").lowest
    assert {"vmc", "variational", "pt2"} <= set(whole.estimates)
    monkeypatch.setattr(molecular_sampling, "LARGEST_SPACE", 4)
    listed = solve(square, options, method="vmc").lowest
    assert set(listed.estimates) == {"vmc", "selected_ci", "selected_ci_pt2"}
    assert (listed.energy.kind, listed.energy.value) == ("vmc", whole.energy.value)
    assert listed.s_squared == 0.0
    # One electron at every atom.
    density = listed.observables["one_body"].sum(axis=0)
    np.testing.assert_allclose(np.diag(density), 1.0, atol=0.05)


def test_selected_ci_beside_is_in_orbitals_that_suit_it():
    chain = build_molecule(
        "H 0 0 0; H 0 0 1; H 0 0 2; H 0 0 3; H 0 0 4; H 0 0 5", "sto-6g", orbitals="lowdin"
    )
    state = SpaceState(MolecularHamiltonian(chain.integrals), make_model(chain, SMALL))
    local = selected_ci(state.hamiltonian, state.hamiltonian.reference, size=32, with_second_order=False)
    beside = yardstick(state, 32, with_second_order=False)["selected_ci"].value
    assert chain.references["fci"] - 1e-9 < beside < local.energy - 0.05
    everything = yardstick(state, 1000, with_second_order=False)["selected_ci"].value
    assert abs(everything - chain.references["fci"]) < 1e-8


@pytest.mark.slow
def test_markov_chains_give_the_same_energy(lih):
    state, selected, hamiltonian, _ = states_of(lih, SMALL, sampler="metropolis")
    energy, _ = full_sum_energy(selected, selected.determinants)
    state.sample(chain_length=1, n_discard_per_chain=50)
    source = StateSource(state, hamiltonian, "Hartree")
    found, draws = sample_energy(source, EvaluationOptions(precision=1e-2, power=1.6))
    assert found.energy.error <= 1e-2
    assert abs(found.energy.value - energy) < 4 * found.energy.error
    assert 0 < found.acceptance < 1
    largest = hamiltonian.pack(draws.largest(50))
    assert 1 < len(np.unique(largest, axis=0)) == len(largest) <= 50
    _, log_abs = selected.signed_log(largest)
    assert np.all(np.diff(log_abs) < 1e-9)


def test_resumed_run_has_the_same_bits(lih, trained):
    _, rows = trained
    snapshots = []

    def keep(take, must):
        snapshots.append(take())
        return True

    options = dataclasses.replace(SMALL, max_steps=30, full_sum_limit=0)
    again = []
    solve(lih, dataclasses.replace(options, max_steps=12), method="vmc", monitor=Monitor(save=keep))
    solve(lih, options, method="vmc", monitor=Monitor(again.append, resume=snapshots[7]))
    assert [row["step"] for row in again] == list(range(7, 30))
    assert [row["energy"] for row in again] == [row["energy"] for row in rows[7:30]]


def test_chains_go_on_with_the_same_bits(lih):
    def made():
        state, _, hamiltonian, _ = states_of(lih, SMALL, sampler="metropolis")
        return MonteCarloDriver(state, Objective(hamiltonian, rounding=3e-3))

    driver = made()
    driver.run(2, show_progress=False)
    snapshot = driver.snapshot()
    driver.run(2, show_progress=False)
    again = made()
    again.restore(snapshot)
    again.run(2, show_progress=False)
    assert again.row["energy"] == driver.row["energy"]
    assert again.row["n_unique"] == driver.row["n_unique"]


def test_parameters_are_averaged_over_the_last_tenth_of_the_steps(lih):
    state, _, hamiltonian, _ = states_of(lih, SMALL)
    driver = MonteCarloDriver(state, hamiltonian)

    def flat(tree):
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])

    driver.run(9, show_progress=False)
    assert np.array_equal(flat(driver.averaged), flat(state.parameters))
    driver.run(20, show_progress=False)
    before = flat(driver.averaged)
    driver.run(1, show_progress=False)
    now = flat(state.parameters)
    assert np.abs(now - before).max() > 1e-6
    # Of the thirtieth state it has a third.
    assert np.allclose(flat(driver.averaged), before + (now - before) / 3.0, rtol=0, atol=1e-12)


def test_doubtful_samples_are_not_called_converged(lih):
    # One determinant alone is seen: its local energy is constant, but that proves nothing.
    options = dataclasses.replace(SMALL, noise=1e-9, sampling_power=2.0, n_samples=64, max_steps=220)
    result = solve(lih, options, method="vmc").lowest
    assert result.status != "converged"
    assert any("distinct determinants" in warning for warning in result.warnings)


def test_what_makes_no_sense_is_refused(lih):
    for wrong in ({"optimizer": "rgn"}, {"tail_steps": 3}, {"n_temperatures": 3}):
        with pytest.raises(InputError):
            solve(lih, dataclasses.replace(SMALL, **wrong), method="vmc")
    state, _, hamiltonian, _ = states_of(lih, SMALL)
    with pytest.raises(ValueError, match="exact energies"):
        MonteCarloDriver(state, hamiltonian, optimizer=RayleighGaussNewton())


def test_driver_takes_netket_loggers(lih):
    state, _, hamiltonian, _ = states_of(lih, SMALL)
    log = nk.logging.RuntimeLog()
    driver = MonteCarloDriver(state, hamiltonian, optimizer=StochasticReconfiguration())
    driver.run(3, out=log, show_progress=False)
    assert len(log.data["Energy"]["Mean"]) == 3


def followed(driver, schedule, energies, error):
    """Numbers of steps after which a schedule made them smaller, and their scales."""
    driver.schedule = schedule
    found = []
    for step, energy in enumerate(energies):
        before = driver._scale
        driver._follow_schedule(SimpleNamespace(mean=energy, error_of_mean=error, R_hat=1.0))
        if driver._scale != before:
            found.append((step + 1, round(driver._scale, 4)))
    return found


def test_gains_that_noise_hides_are_looked_for_in_longer_windows(lih):
    state, _, hamiltonian, _ = states_of(lih, SMALL)
    patient = StepSchedule(window=20, significance=1.0, patience=3)
    flat, falling = np.zeros(400), -1e-4 * np.arange(400)

    def driver():
        return MonteCarloDriver(state, hamiltonian)

    third = 0.3 ** (1 / 3)
    # Windows of 20, 30 and 45 steps, steps shorter by as much; noise that hides nothing is no reason to wait.
    wanted = [(40, third), (100, third**2), (190, third**3), (324, third**4)]
    assert followed(driver(), patient, flat, 1e-2) == [(n, round(scale, 4)) for n, scale in wanted]
    assert followed(driver(), patient, flat, 1e-9)[:2] == [(40, 0.3), (80, 0.09)]
    # 2 mHa in 20 steps are seen through 5 mHa a step, and through 20 mHa in longer windows only.
    assert followed(driver(), patient, falling, 5e-3) == []
    assert [n for n, _ in followed(driver(), patient, falling, 2e-2)] == [40, 100]
    assert [n for n, _ in followed(driver(), StepSchedule(significance=1.0), falling, 2e-2)][:2] == [40, 80]


def test_the_final_energy_takes_no_longer_than_the_steps(lih, monkeypatch):
    """A precision that would take hours is not waited for."""
    monkeypatch.setattr(final_energy, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(final_energy, "FEWEST_ROUNDS", 1000)
    options = SolverOptions(hidden=(8,), max_steps=1, n_samples=64, precision=1e-9, time_limit=1e-3)
    result = solve(lih, options, method="vmc").lowest
    assert result.energy.n_samples == molecular_sampling.ROUND
    assert any("evaluate the run for longer" in warning for warning in result.warnings)
