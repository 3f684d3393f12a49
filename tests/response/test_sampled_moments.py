"""Moments from samples against those of exact spectra."""

import numpy as np
import pytest

from hamiltonians import Lattice, lattice_configurations
from nnbf.operators import LatticeHamiltonian
from nnbf.response.named_operators import channels
from nnbf.response.sampled_moments import poles_of_moments, sampled_moments
from nnbf.response.spectra import KnownState, spectrum_of

MODEL = Lattice("tv", (4, 2), 3, V=1.0)


@pytest.fixture(scope="module")
def state():
    hamiltonian = LatticeHamiltonian(MODEL)
    rows = hamiltonian.pack(lattice_configurations(MODEL))
    _, vectors = np.linalg.eigh(hamiltonian.matrix(rows).toarray())
    return KnownState.of(hamiltonian, rows, vectors[:, 0], complete=True)


def log_psi(state):
    table = {tuple(row): value for row, value in zip(state.configurations.tolist(), state.amplitudes)}
    return lambda occupations: np.log(
        np.array([table[tuple(row)] for row in state.hamiltonian.pack(occupations).tolist()], complex)
    )


def field(channel):
    out = np.zeros(MODEL.n_modes, complex)
    out[channel.operators[0].creators] = channel.operators[0].values
    return out


def test_sums_over_all_configurations_give_the_exact_moments(state):
    found = channels(MODEL, "density", [(1, 0), (2, 1)])
    occupations = lattice_configurations(MODEL).reshape(8, -1, MODEL.n_modes)
    weights = np.abs(state.amplitudes.reshape(8, -1)) ** 2
    fields = [field(channel) for channel in found]
    sampled = sampled_moments(state.hamiltonian, log_psi(state), occupations, weights, fields)
    for channel, result in zip(found, sampled, strict=True):
        exact = spectrum_of(state, channel, max_space=100, steps=60)
        expected = [exact.weights @ exact.positions**k for k in range(4)]
        assert result.moments == pytest.approx(expected, rel=1e-5)
        short = spectrum_of(state, channel, max_space=100, steps=2)
        assert result.positions == pytest.approx(short.positions, rel=1e-5)
        assert result.weights == pytest.approx(short.weights, rel=1e-5)
        assert result.positions[0] >= exact.positions[0] - 1e-9


def test_errors_of_samples_cover_the_exact_values(state):
    rng = np.random.default_rng(1)
    probability = np.abs(state.amplitudes) ** 2
    drawn = rng.choice(len(probability), size=(32, 20), p=probability / probability.sum())
    (channel,) = channels(MODEL, "density", [(2, 1)])
    (result,) = sampled_moments(
        state.hamiltonian,
        log_psi(state),
        lattice_configurations(MODEL)[drawn],
        np.ones(drawn.shape),
        [field(channel)],
        every=2,
    )
    exact = spectrum_of(state, channel, max_space=100, steps=2)
    expected = [exact.weights @ exact.positions**k for k in range(4)]
    assert np.all(np.abs(result.moments - expected) < 4 * result.moment_errors + 1e-9)
    assert np.all(result.moment_errors > 0)


def test_poles_have_the_moments():
    positions, weights = np.array([1.5, 4.0]), np.array([0.3, 0.1])
    moments = np.array([weights @ positions**k for k in range(4)])
    found = poles_of_moments(moments)
    assert found[0] == pytest.approx(positions)
    assert found[1] == pytest.approx(weights)
    single = poles_of_moments(np.array([0.3 * 2.0**k for k in range(4)]))
    assert single[0] == pytest.approx([2.0])
