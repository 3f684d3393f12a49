"""Networks by name: the perceptron, and fields that do not fit."""

import jax
import numpy as np
import pytest

from hamiltonians import InputError
from nnbf.ansatz import DenseNetwork, named_network
from nnbf.states.amplitudes import initial_variables
from tests.determinants.oracles import log_psi

ROWS = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 1, 1]])


def amplitudes(network, rows):
    found = log_psi(network, initial_variables(network, jax.random.key(1), ROWS[:1]), rows)
    assert found.shape == rows.shape[:-1]
    return np.exp(np.asarray(found))


def test_the_perceptron_is_real_with_either_sign_or_complex():
    real = amplitudes(DenseNetwork(hidden=(4,)), ROWS)
    assert np.allclose(real.imag, 0.0, atol=1e-12)
    assert len({*np.round(real.real, 8)}) == len(ROWS)
    assert np.abs(np.sin(np.angle(amplitudes(DenseNetwork(hidden=(4,), is_real=False), ROWS)))).max() > 1e-3
    # Spins -1 and 1 are what 0 and 1 are of fermions; axes before the modes are samples.
    assert np.array_equal(amplitudes(DenseNetwork(hidden=(4,)), 2 * ROWS - 1), real)
    assert np.array_equal(amplitudes(DenseNetwork(hidden=(4,)), ROWS[None])[0], real)


def test_the_sign_of_the_perceptron_is_that_of_its_factor():
    network = DenseNetwork(hidden=())
    variables = initial_variables(network, jax.random.key(0), ROWS[:1])
    kernel = np.array([[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])  # f = 0.5, g = -1 + s_0
    variables["params"]["Dense_0"] = {"kernel": kernel, "bias": np.array([0.5, -1.0])}
    psi = np.exp(np.asarray(log_psi(network, variables, ROWS)))
    assert np.allclose(psi, np.exp(0.5) * np.where(ROWS[:, 0] > 0, 1.0, -1.0), atol=1e-12)


@pytest.mark.parametrize("given", ["hidden = 3", "hidden = [-1]", 'hidden = ["a"]'])
def test_values_that_no_network_is_built_of(given):
    with pytest.raises(InputError, match="network dense: "):
        named_network("dense", given, {"n_modes": 3})
