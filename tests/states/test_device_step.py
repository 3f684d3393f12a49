"""Steps whose arrays stay on the device against those of the host's kernels: the same numbers."""

from contextlib import nullcontext

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest

from nnbf._compute import computing, on_device
from nnbf.ansatz import NeuralBackflow
from nnbf.ansatz.logdet import logdet, side_by_side, slogdet
from nnbf.ansatz.roofline import Peaks, cost, device_peaks, most_per_second
from nnbf.determinants import enumerate_sector
from nnbf.operators import MolecularHamiltonian
from nnbf.optimize import RayleighGaussNewton, StochasticReconfiguration
from nnbf.sampling import ExcitationRule, ValueSampler
from nnbf.states import SpaceState, sampled_step
from tests.determinants.oracles import flat, random_integrals, random_variables

INTEGRALS = random_integrals(5, 2, 2, seed=1)
MODEL = NeuralBackflow(5, 2, 2, hidden=(6,), n_determinants=2, noise=0.5, spin_flip="canonical")
VARIABLES = random_variables(MODEL, 10, seed=2)


@pytest.fixture(scope="module")
def hamiltonian():
    return MolecularHamiltonian(INTEGRALS)


def test_where_it_computes():
    assert on_device() == (jax.default_backend() != "cpu")
    with computing("device"):
        assert on_device()
        with computing("host"):
            assert not on_device()
        assert on_device()


@pytest.mark.parametrize("kind", [float, complex])
def test_small_determinants(kind):
    rng = np.random.default_rng(0)
    for n in (0, 1, 3):
        matrices = rng.normal(size=(2, 3, n, n)).astype(kind)
        if kind is complex:
            matrices = matrices + 1j * rng.normal(size=matrices.shape)
        matrices[0, 0, :1] = 0.0
        matrices[1, 0] = matrices[1, 0, ::-1]
        expected = np.linalg.slogdet(matrices)
        with side_by_side():
            found = jax.jit(lambda x: (jnp.exp(1j * logdet(x).imag), logdet(x).real))(matrices)
            if kind is float:
                found = jax.jit(slogdet)(matrices)
        there = expected[0] != 0
        np.testing.assert_allclose(np.asarray(found[0])[there], expected[0][there], atol=1e-12)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-12, atol=1e-12)


def step_of(state, objective):
    found = sampled_step(state, objective)
    proposal, _ = SR.propose(found.problem, SR.init(state.parameters))
    return found, flat(proposal.update)


SR = StochasticReconfiguration(gap=0.5)


def test_a_sampled_step(hamiltonian):
    state = nk.vqs.MCState(
        nk.sampler.ExactSampler(hamiltonian.hilbert),
        MODEL,
        n_samples=256,
        variables=VARIABLES,
        sampler_seed=1,
    )
    host, update = step_of(state, hamiltonian)
    for passes, least in (("double", 1e-12), ("single", 1e-4)):
        with computing("device", passes):
            device, found = step_of(state, hamiltonian)
        a, b = (x.samples.local_energies[x.samples.of_sample] for x in (host, device))
        assert np.abs(a - b).max() < least * np.abs(a).max()
        assert (np.abs(a - b).max() > 1e-9) == (passes == "single")
        assert float(device.statistics.mean) == pytest.approx(float(host.statistics.mean), abs=least)
        assert np.abs(found - update).max() < 100 * least * np.abs(update).max()


@pytest.mark.parametrize("dense_limit", [4096, 0])
def test_a_gauss_newton_step(hamiltonian, dense_limit):
    sector = enumerate_sector(5, 2, 2, fold=True)
    optimizer = RayleighGaussNewton(dense_limit=dense_limit, core_size=20)
    found = []
    for where in (nullcontext(), computing("device")):
        with where:
            state = SpaceState(hamiltonian, MODEL, sector, variables=VARIABLES)
            proposal, _ = optimizer.propose(state.tangent_problem(), optimizer.init(state.parameters))
            found.append((proposal.change, proposal.predicted, *state.energy_and_variance()))
    for host, device in zip(*found, strict=True):
        np.testing.assert_allclose(device, host, rtol=1e-8, atol=1e-9)


def test_chains_stay_on_the_device(hamiltonian, monkeypatch):
    """Rules and network in one program of JAX: no kernel of the host is asked."""
    sampler = ValueSampler(hamiltonian.hilbert, ExcitationRule(5, 2, 2), n_chains=4, dtype=np.int8)
    state = nk.vqs.MCState(sampler, MODEL, n_samples=16, variables=VARIABLES, sampler_seed=1)
    monkeypatch.setattr("nnbf.sampling.value_sampler.BackflowValues", None)
    with computing("device"):
        assert state.sample().shape == (4, 4, 10)


def test_roofline_counts_what_a_pass_does():
    """Twice the layers are twice the operations, and a device is not faster than its peaks."""
    rows = jnp.zeros((64, 10))
    costs = []
    for width in (64, 128):
        model = NeuralBackflow(5, 2, 2, hidden=(width,), n_determinants=2, noise=0.5)
        variables = model.init(jax.random.key(0), rows[:1])
        costs.append(cost(model, variables, rows, False))
    # From 10 occupations to the layer, and from there to two times two determinants' rows.
    layers = 2.0 * 64 * (10 + 2 * 2 * 2 * 5)
    assert costs[1][0] - costs[0][0] == pytest.approx(layers, rel=0.25)
    peaks = Peaks(double=1e9, single=4e9, moved=1e12)
    assert most_per_second(2e3, 8.0, peaks, False) == pytest.approx(5e5)
    assert most_per_second(2e3, 8.0, peaks, True) == pytest.approx(2e6)
    assert most_per_second(2e3, 8e7, peaks, True) == pytest.approx(12500.0)
    assert min(device_peaks(64, 1024).__dict__.values()) > 0
