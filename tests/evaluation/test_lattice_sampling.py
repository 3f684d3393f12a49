"""Samples of powers of |psi| on lattices against full sums: unbiased, and with error bars that mean it."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom

from hamiltonians import InputError, Lattice, lattice_configurations, lattice_to_sparse, space_group
from nnbf.drivers.lattice_ansatz import make_lattice_ansatz
from nnbf.drivers.options import LatticeOptions
from nnbf.estimate import Estimate
from nnbf.evaluation import EvaluationOptions, OperatorSource, Samples, sample_energy
from nnbf.evaluation.sampling_loop import DEARER, POWERS, best_power, means
from nnbf.observables import Configurations
from nnbf.observables.correlations import correlations
from nnbf.sampling import ordered_configuration
from nnbf.states.amplitudes import initial_variables
from nnbf.states.amplitudes import log_psi as log_amplitudes
from tests.evaluation.test_energy import assert_covers

MODEL = Lattice("tv", (4, 2), 3, V=1.5, boundary=("apbc", "pbc"))
SEEDS = 12


@dataclass
class Case:
    """A state far from any eigenstate, on all configurations."""

    ansatz: Any
    variables: Any
    configurations: np.ndarray
    psi: np.ndarray
    local: np.ndarray
    energy: float
    variance: float

    def drawn(self, power, shape, seed=0):
        """Independent samples of |psi|^power."""
        q = np.abs(self.psi) ** power
        rows = np.random.default_rng(seed).choice(len(q), size=shape, p=q / q.sum())
        bits = np.packbits(self.configurations.astype(np.uint8), axis=1)
        return rows, Samples(
            energy=self.local.real[rows],
            second=np.abs(self.local[rows]) ** 2,
            log_abs=np.log(np.abs(self.psi))[rows],
            packed=bits[rows],
            n_modes=MODEL.n_modes,
            power=power,
        )

    def sampled(self, should_stop=None, **options):
        options = EvaluationOptions(**{"precision": 1e-9, "chains": 32, **options})
        source = OperatorSource(MODEL, self.ansatz, self.variables, options)
        return sample_energy(source, options, should_stop=should_stop)


@pytest.fixture(scope="module")
def case() -> Case:
    sector = space_group(MODEL).sector((1, 1), None)
    options = LatticeOptions(features=3, depth=1, cell=(1, 1))
    ansatz = make_lattice_ansatz(MODEL, sector, options, "vmc")
    example = jnp.asarray(ordered_configuration(MODEL))[None]
    variables = initial_variables(ansatz, jax.random.key(0), example)
    keys = iter(jax.random.split(jax.random.key(3), 99))
    variables = jax.tree.map(lambda leaf: leaf + 0.3 * jax.random.normal(next(keys), leaf.shape), variables)
    x = lattice_configurations(MODEL).astype(np.int8)
    psi = np.exp(log_amplitudes(ansatz, variables, x, 64))
    applied = lattice_to_sparse(MODEL) @ psi
    weights = np.abs(psi) ** 2 / np.sum(np.abs(psi) ** 2)
    local = applied / psi
    energy = float(weights @ local.real)
    return Case(ansatz, variables, x, psi, local, energy, float(weights @ np.abs(local - energy) ** 2))


@pytest.mark.parametrize("power", [None, 2.0])
@pytest.mark.slow
def test_error_bars_of_chains_hold(case, power):
    assert case.variance > 1.0
    energies, variances, errors = [], [], []
    for seed in range(SEEDS):
        found, draws = case.sampled(samples=2048, seed=seed, power=power)
        assert (found.status, found.n_samples, draws.log_abs.shape) == ("samples", 2048, (32, 64))
        assert found.power in ((power,) if power else POWERS)
        energies.append((found.energy.value - case.energy) / found.energy.error)
        variances.append((found.variance.value - case.variance) / found.variance.error)
        errors.append(found.energy.error)
    for deviations in (np.array(energies), np.array(variances)):
        assert abs(deviations.mean()) < 4 / np.sqrt(SEEDS)
        # Fewer within one and two error bars than one in a thousand sets of normal deviates has.
        for sigmas, chance in ((1, 0.683), (2, 0.954)):
            assert np.sum(np.abs(deviations) < sigmas) >= binom.ppf(1e-3, SEEDS, chance)
    # ... and not so large that they always hold.
    assert np.sqrt(np.mean(np.square(energies))) > 0.6
    assert max(errors) < 1.6 * min(errors)
    np.testing.assert_allclose(
        np.log(draws.weights / draws.weights.max()),
        (2.0 - found.power) * (draws.log_abs - draws.log_abs.max()),
        atol=1e-12,
    )
    assert (found.n_effective == pytest.approx(found.n_samples)) is (found.power == 2.0)


def test_the_power_is_the_lowest_of_those_with_a_small_error(case):
    """From samples of one power as from sums over everything."""

    def spread(power):
        psi2 = np.abs(case.psi) ** 2 / np.sum(np.abs(case.psi) ** 2)
        ratio = np.abs(case.psi) ** (2.0 - power)
        return (psi2 @ (ratio * (case.local.real - case.energy) ** 2)) * (psi2 @ (1.0 / ratio))

    exact = [spread(power) for power in POWERS]
    for power in (2.0, 1.6):
        _, draws = case.drawn(power, (64, 4000))
        chosen = best_power(draws)
        assert exact[POWERS.index(chosen)] < 1.02 * (1.0 + DEARER) * min(exact)
        assert all(exact[k] > 1.18 * min(exact) for k, lower in enumerate(POWERS) if lower < chosen)
    # What it promises is what the estimator has.
    for power in (2.0, 1.0):
        _, draws = case.drawn(power, (64, 4000), seed=1)
        energy, _ = means(draws)
        n = draws.log_abs.size
        assert energy.error**2 * n == pytest.approx(exact[POWERS.index(power)], rel=0.4)
        assert abs(energy.value - case.energy) < 4 * energy.error


@pytest.mark.parametrize("power", [1.0, 1.4])
def test_error_bars_of_weighted_samples_cover(case, power):
    found = [means(case.drawn(power, (64, 64), seed)[1]) for seed in range(200)]
    for index, value in enumerate((case.energy, case.variance)):
        deviations = np.array([one[index].value for one in found]) - value
        assert_covers(deviations, np.array([one[index].error for one in found]))


def test_the_lowest_power_where_only_what_is_known_was_drawn():
    """Chains that never left what is summed exactly: nothing fluctuates, and the rest is to be looked for."""
    same = np.zeros((16, 64))
    assert best_power(Samples(energy=same, second=same, log_abs=same, power=1.2)) == min(POWERS)


def test_weighted_averages_and_their_errors(case):
    exact = correlations(MODEL, Configurations.enumerated(MODEL, lambda x: np.log(case.psi)))
    deviations = []
    for seed in range(SEEDS):
        rows, draws = case.drawn(1.2, (32, 100), seed)
        samples, weights = draws.thinned(10**9)
        assert np.array_equal(samples, case.configurations[rows])
        found = correlations(MODEL, Configurations.sampled(samples, 7.0 * weights))
        kept = found.values.error > 1e-12
        deviations.append(((found.values.value - exact.values.value) / found.values.error)[kept])
    assert 0.7 < np.sqrt(np.mean(np.square(deviations))) < 1.3
    plain = correlations(MODEL, Configurations.sampled(samples))
    same = correlations(MODEL, Configurations.sampled(samples, np.full(weights.shape, 0.3)))
    np.testing.assert_allclose(same.values.value, plain.values.value, atol=1e-12)
    np.testing.assert_allclose(same.values.error, plain.values.error, atol=1e-12)
    with pytest.raises(ValueError, match="weights"):
        Configurations.sampled(samples, weights[:5])


def test_errors_of_chains_that_remember_or_disagree():
    """Autoregressive chains, and chains around means of their own, have their spread in the error."""
    rng = np.random.default_rng(1)
    memory, chains, length = 0.9, 400, 500
    noise = rng.normal(size=(chains, length + 200))
    values = np.zeros(chains)
    rows = []
    for step in noise.T:
        values = memory * values + step
        rows.append(values)
    found = Estimate.of_chains(np.array(rows[200:]).T)
    exact = np.sqrt(1.0 / (1.0 - memory) ** 2 / (chains * length))
    assert found.error == pytest.approx(exact, rel=0.15)
    assert found.tau == pytest.approx(memory / (1.0 - memory), rel=0.2)
    assert found.r_hat < 1.05
    apart = rng.normal(size=(20, 1)) + 0.1 * rng.normal(size=(20, 400))
    found = Estimate.of_chains(apart)
    assert found.error == pytest.approx(np.std(apart.mean(axis=1)) / np.sqrt(20), rel=0.1)
    assert found.r_hat > 5
    found = Estimate.of_chains(np.full((16, 8), -3.0))
    assert (found.value, found.error, found.r_hat, found.tau, found.n_samples) == (-3.0, 0.0, None, 0.0, 128)


@pytest.mark.parametrize(("chains", "length"), [(2, 2000), (8, 400)])
def test_errors_of_few_chains_come_from_their_pieces(chains, length):
    """Few chains that remember: errors are about the spread of repeated means."""
    rng = np.random.default_rng(2)
    means, errors = [], []
    for _ in range(60):
        noise = rng.normal(size=(chains, length + 50))
        values = np.zeros_like(noise)
        for step in range(1, noise.shape[1]):
            values[:, step] = 0.6 * values[:, step - 1] + noise[:, step]
        found = Estimate.of_chains(values[:, 50:])
        means.append(found.value)
        errors.append(found.error)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(means), rel=0.3)


def test_weighted_means_have_the_error_of_the_linearised_ratio():
    rng = np.random.default_rng(4)
    means, errors = [], []
    for _ in range(100):
        x = rng.normal(size=(32, 100))
        found = Estimate.of_chains(x + 3.0, np.exp(x), kind="vmc", unit="t")
        means.append(found.value)
        errors.append(found.error)
    # Under weights e^x a normal variable has mean 1.
    assert np.mean(means) == pytest.approx(4.0, abs=4 * np.std(means) / 10 + 1e-3)
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.25)
    assert (found.kind, found.unit, found.n_samples) == ("vmc", "t", 3200)


def test_thinning_keeps_the_chains(case):
    _, draws = case.drawn(1.2, (32, 100))
    samples, weights = draws.thinned(1000)
    assert samples.shape == (32, 25, MODEL.n_modes)
    np.testing.assert_array_equal(weights, draws.weights[:, ::4])
    assert draws.count_distinct() <= 56


def test_sampling_ends_in_time_at_a_precision_or_when_asked(case):
    def status(should_stop=None, **options):
        found, _ = case.sampled(should_stop, **{"samples": 4096, "power": 2.0, **options})
        return found.status, found.n_samples

    assert status(precision=10.0, samples=100_000) == ("precision", 4096)
    assert status(time_limit=1e-3)[0] == "time_limit"
    assert status(should_stop=lambda: True) == ("interrupted", 256)
    with pytest.raises(InputError, match="chains must be at least 16"):
        status(chains=15)
