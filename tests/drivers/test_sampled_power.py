"""The power of |psi| that is sampled, where it is chosen on the way."""

import netket as nk
import numpy as np
import pytest

from hamiltonians import build_molecule
from nnbf.drivers import MonteCarloDriver, SolverOptions, make_model
from nnbf.drivers.molecular_sampling import make_sampler
from nnbf.drivers.sampled_power import FIRST_POWER, PowerChoice
from nnbf.evaluation.sampling_loop import POWERS, spreads
from nnbf.operators import MolecularHamiltonian
from nnbf.states import DistinctSamples


def samples(log_abs, local):
    """All configurations of a state, as if |psi|^2 had been drawn exactly."""
    n = len(log_abs)
    rows = np.zeros((n, 2), np.uint8)
    counts = np.exp(2.0 * log_abs)
    return DistinctSamples(
        rows, rows, local, np.zeros(n), log_abs, 2.0, counts, np.arange(n), (1, n), evaluations=n
    )


def test_spreads_are_those_of_weighted_samples():
    rng = np.random.default_rng(1)
    log_abs, local = rng.normal(size=60), rng.normal(size=60)
    shares = np.exp(2.0 * log_abs) / np.sum(np.exp(2.0 * log_abs))
    found = spreads(shares, log_abs, local)
    for power, value in zip(POWERS, found, strict=True):
        drawn = np.exp(power * log_abs) / np.sum(np.exp(power * log_abs))
        weights = np.exp((2.0 - power) * log_abs)
        energy = drawn @ (weights * local) / (drawn @ weights)
        exact = drawn @ (weights * (local - energy)) ** 2 / (drawn @ weights) ** 2
        assert value == pytest.approx(exact, rel=1e-10)


def test_choice_follows_where_local_energies_fluctuate():
    log_abs = np.linspace(0.0, -4.0, 50)
    rare, common = np.exp(-log_abs), np.cos(9.0 * log_abs)
    choice = PowerChoice(every=2)
    for local, power in ((rare, 1.0), (common, 1.6), (np.ones(50), 1.0)):
        assert not choice.is_due
        choice.note(samples(log_abs, local))
        choice.note(samples(log_abs, local))
        assert choice.is_due
        assert choice.choose() == power


@pytest.mark.parametrize("kind", ["exact", pytest.param("metropolis", marks=pytest.mark.slow)])
def test_driver_goes_on_with_the_power_of_its_snapshot(kind):
    system = build_molecule("H4-chain-1.8", "sto-3g", references=False)
    hamiltonian = MolecularHamiltonian(system.integrals)
    options = SolverOptions(hidden=(4,), n_determinants=1, sampler=kind, sampling_power="auto")
    model = make_model(system, options)

    def fresh():
        sampler = make_sampler(system, options, hamiltonian, model)
        state = nk.vqs.MCState(sampler, model, n_samples=256, seed=1, sampler_seed=2)
        known = (0.0, -5.0, 0.0, 0.0, 0.0, 0.0)
        return MonteCarloDriver(state, hamiltonian, power_choice=PowerChoice(every=2, steps=2, sums=known))

    def run(driver, steps):
        rows = []
        for _ in range(steps):
            driver.run(1, show_progress=False)
            rows.append((driver.row["power"], driver.row["energy"]))
        return rows

    first, second = fresh(), fresh()
    assert float(first.state.sampler.machine_pow) == FIRST_POWER
    assert [power for power, _ in run(first, 1)] == [POWERS[1]]
    snapshot = first.snapshot()
    wanted = run(first, 3)
    second.restore(snapshot)
    assert run(second, 3) == wanted
