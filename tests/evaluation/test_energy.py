"""The estimator against full summation: unbiased, and with error bars that mean what they say."""

from dataclasses import dataclass

import jax
import numpy as np
import pytest
from scipy.stats import binom

from hamiltonians import build_molecule, irrep_bits
from nnbf.determinants import multiplicities, unpack_occupations
from nnbf.drivers import SolverOptions, make_model, solve
from nnbf.evaluation import ChainSource, EvaluationOptions, SectorSource, make_source, sample_energy
from nnbf.evaluation.sampling_loop import POWERS, best_power
from nnbf.operators import MolecularHamiltonian
from nnbf.states import SpaceState, full_sum_energy, symmetry_sector

ONE_ROUND = EvaluationOptions(precision=10.0)
SEEDS = 200


@dataclass
class Case:
    state: SpaceState
    irreps: np.ndarray
    sector: np.ndarray
    exact: tuple[float, float]
    """Energy and variance of the full sum."""
    n_large: int


def random_case(scale=0.2) -> Case:
    """A network with random parameters: many determinants matter, and none as in an eigenstate.

    Water has no degenerate orbitals, whose orientation would decide which state this is.
    """
    system = build_molecule("H2O", "sto-3g", references=False)
    model = make_model(system, SolverOptions(hidden=(12,), noise=0.3))
    state = SpaceState(MolecularHamiltonian(system.integrals), model, seed=1)
    keys = iter(jax.random.split(jax.random.key(7), 100))
    state.parameters = jax.tree.map(
        lambda leaf: leaf + scale * jax.random.normal(next(keys), leaf.shape), state.parameters
    )
    return with_full_sum(state, system, 4)


def trained_case() -> Case:
    """A network that was trained on a part of the sector, without spin-flip symmetry."""
    system = build_molecule("LiH", "sto-3g", references=False)
    options = SolverOptions(
        hidden=(16,), spin_flip="none", max_space=30, tail_steps=0, max_steps=25, pt2=False, projected=False
    )
    return with_full_sum(solve(system, options).lowest.state, system, 12)


def with_full_sum(state, system, n_large) -> Case:
    irreps = irrep_bits(system.integrals)
    sector = symmetry_sector(state, irreps, 100_000)
    return Case(state, irreps, sector, full_sum_energy(state, sector), n_large)


@pytest.fixture(scope="module", params=[random_case, trained_case])
def case(request) -> Case:
    return request.param()


@pytest.fixture(scope="module")
def source(case):
    return SectorSource(case.state, case.sector, EvaluationOptions(large=case.n_large))


@pytest.fixture(scope="module")
def random() -> Case:
    return random_case(0.1)


@pytest.fixture(scope="module")
def chains(random):
    # L and C(L) are not all: local energies have to ask the network for the rest.
    options = EvaluationOptions(large=random.n_large, chains=32)
    return ChainSource(random.state, random.irreps, options, large=random.sector[::30])


def moments(case, reference):
    """E - E_0 and <(E_loc - E_0)^2> of the full sum."""
    energy, variance = case.exact
    return energy - reference, variance + (energy - reference) ** 2


class TestSectorSource:
    def test_mean_over_all_draws_is_the_full_sum(self, case, source):
        q = source.probability
        assert q.sum() == pytest.approx(1.0)
        energy, second, controls = source.values(np.arange(len(q)))
        exact_energy, exact_second = moments(case, source.reference)
        assert q @ energy == pytest.approx(exact_energy, rel=1e-9, abs=1e-10)
        assert q @ second == pytest.approx(exact_second, rel=1e-9, abs=1e-10)
        assert np.all(np.abs(q @ controls) < 1e-11 * (1.0 + q @ np.abs(controls)))

    def test_full_sum(self, case, source):
        assert source.full_sum() == pytest.approx(case.exact, rel=1e-9)

    def test_unbiased_with_error_bars_that_cover(self, case, source):
        found = []
        for seed in range(SEEDS):
            source._rng = np.random.default_rng(seed)
            found.append(sample_energy(source, ONE_ROUND)[0])
        for quantity, value in zip(("energy", "variance"), case.exact, strict=True):
            estimates = np.array([getattr(one, quantity).value for one in found])
            errors = np.array([getattr(one, quantity).error for one in found])
            assert np.all(errors > 0)
            assert abs(estimates.mean() - value) < 3.5 * estimates.std(ddof=1) / np.sqrt(len(found))
            assert_covers(estimates - value, errors)


class TestChainSource:
    def test_mean_over_the_sector_is_the_full_sum(self, random, chains, monkeypatch):
        state, sector = random.state, random.sector
        occupations = unpack_occupations(sector, state.hamiltonian.n_orbitals)
        monkeypatch.setattr(chains, "_sample", lambda calls: occupations[None])
        draw = chains.draw(1)
        _, log_abs = state.signed_log(sector)
        p = multiplicities(sector, state.spin_flip) * np.exp(2 * (log_abs - log_abs.max()))
        p /= p.sum()
        kept = p > 0
        exact_energy, exact_second = moments(random, chains.reference)
        assert draw.energy[0][kept] @ p[kept] == pytest.approx(exact_energy, rel=1e-8, abs=1e-9)
        assert draw.second[0][kept] @ p[kept] == pytest.approx(exact_second, rel=1e-8, abs=1e-9)
        ratio = log_abs - draw.log_abs[0]
        np.testing.assert_allclose(ratio, ratio[0], atol=1e-9)

    def test_agrees_with_the_full_sum(self, random, chains):
        found = [sample_energy(chains, ONE_ROUND)[0] for _ in range(10)]
        for quantity, value in zip(("energy", "variance"), random.exact, strict=True):
            deviations = np.array([getattr(one, quantity).value - value for one in found])
            errors = np.array([getattr(one, quantity).error for one in found])
            assert abs(deviations.mean()) < 4.0 * np.sqrt(np.mean(errors**2) / len(found))
            assert np.count_nonzero(np.abs(deviations) < 2.0 * errors) >= 6
        assert 0.0 < found[-1].acceptance <= 1.0
        assert found[-1].energy.r_hat < 1.2
        assert found[-1].power in POWERS

    def test_the_power_is_the_lowest_of_those_with_a_small_error(self, random, chains):
        """As sums over the whole sector say."""
        chains.change_power(1.6)
        drawn = chains.draw(16_384)
        chosen = best_power(drawn)
        rows, first = np.unique(drawn.packed.reshape(drawn.energy.size, -1), axis=0, return_index=True)
        log_abs, x = drawn.log_abs.ravel()[first], drawn.energy.ravel()[first]
        p = np.exp(2.0 * (log_abs - log_abs.max()))
        p /= p.sum()

        def spread(power):
            ratio = np.exp((2.0 - power) * log_abs)
            return (p @ (ratio * (x - p @ x) ** 2)) * (p @ (1.0 / ratio))

        assert len(rows) > 20
        least = min(map(spread, POWERS))
        assert spread(chosen) < 1.3 * least
        assert all(spread(power) > 1.1 * least for power in POWERS if power < chosen)


def test_far_fewer_samples_than_a_plain_mean_needs(case):
    source = make_source(case.state, case.irreps, EvaluationOptions(large=10))
    assert source.method == "sector"
    found, _ = sample_energy(source, ONE_ROUND)
    assert found.plain_samples > 10 * found.n_samples


def assert_covers(deviations, errors):
    n = len(deviations)
    for sigmas, share in ((1.0, 0.6827), (2.0, 0.9545)):
        inside = np.count_nonzero(np.abs(deviations) < sigmas * errors)
        low, high = binom.interval(0.999, n, share)
        assert low <= inside <= high, (sigmas, inside / n)
