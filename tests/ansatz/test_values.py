"""Compiled amplitudes of molecular backflow against the Flax module."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from netket.utils import HashableArray

from nnbf.ansatz import NeuralBackflow
from nnbf.ansatz.values import BackflowValues, has_values, in_sector
from nnbf.determinants.configurations import enumerate_sector, unpack_occupations
from tests.determinants.oracles import log_psi, random_variables


def sector(model, most=600):
    """Bit strings of the model's sector, in a random order."""
    listed = enumerate_sector(model.n_orbitals, model.n_alpha, model.n_beta)
    return listed[np.random.default_rng(0).permutation(len(listed))[:most]]


def by_flax(model, variables, strings):
    """Psi (n,) from the module, and a scale that was taken out."""
    logs = np.asarray(
        log_psi(model, variables, jnp.asarray(unpack_occupations(strings, model.n_orbitals), jnp.float64))
    )
    largest = logs.real.max()
    return np.exp(logs - largest).real, largest


def assert_same(model, strings, variables=None, dtype=None, tolerance=1e-12, of_largest=1e-2):
    assert has_values(model)
    assert in_sector(model, strings)
    variables = random_variables(model, 2 * model.n_orbitals) if variables is None else variables
    expected, largest = by_flax(model, variables, strings)
    sign, log_abs = BackflowValues(model, variables, dtype)(strings)
    found = sign * np.exp(log_abs - largest)
    assert np.all(np.abs(found - expected) <= tolerance * (np.abs(expected) + of_largest))
    assert (expected < 0).any()


rng = np.random.default_rng(5)
UHF = tuple(HashableArray(rng.normal(size=(6, n))) for n in (3, 2))


@pytest.mark.parametrize(
    "model",
    [
        NeuralBackflow(5, 2, 2, 1, (7,)),
        NeuralBackflow(6, 4, 1, 3, (20, 9), activation=nn.silu),
        NeuralBackflow(6, 3, 0, 2, (5,), activation=nn.relu),
        NeuralBackflow(5, 3, 2, 2, (5,), blocked=False),
        NeuralBackflow(5, 2, 2, 3, (17,), spin_flip="average", orbital_irreps=(0, 1, 2, 3, 0)),
        NeuralBackflow(6, 3, 3, 2, (8, 8, 8), spin_flip="canonical", orbital_irreps=(0, 1, 1, 0, 3, 2)),
        NeuralBackflow(6, 3, 2, 1, (6,), initial_orbitals=UHF),
        NeuralBackflow(6, 3, 3, 2, (8,), total_spin=0.0),
        NeuralBackflow(6, 3, 3, 1, (8,), total_spin=1.0),
        NeuralBackflow(6, 4, 1, 1, (8, 5), total_spin=1.5),
        NeuralBackflow(6, 2, 1, 2, (8,), total_spin=1.5),
        NeuralBackflow(5, 3, 0, 1, (4,), total_spin=1.5),
        NeuralBackflow(20, 9, 1, 1, (4,)),
    ],
    ids=lambda m: f"{m.n_orbitals}o{m.n_alpha}a{m.n_beta}b{m.spin_flip}{m.total_spin}",
)
def test_the_module_and_the_kernels_agree(model):
    assert_same(model, sector(model))


def test_strings_of_two_words():
    model = NeuralBackflow(67, 2, 1, 1, (4,))
    strings = np.zeros((40, 4), np.uint64)
    draw = np.random.default_rng(1)
    for row in strings:
        for spin, n in enumerate((2, 1)):
            for p in draw.choice(np.r_[0:5, 60:67], n, replace=False):
                row[2 * spin + p // 64] |= np.uint64(1 << int(p) % 64)
    assert_same(model, strings)


def test_single_precision():
    model = NeuralBackflow(6, 3, 3, 2, (32, 16), total_spin=0.0)
    assert_same(model, sector(model), dtype=np.float32, tolerance=2e-6, of_largest=1.0)
    assert_same(
        NeuralBackflow(6, 3, 3, 2, (32,)), sector(model), dtype=np.float32, tolerance=2e-6, of_largest=1.0
    )


def test_singular_matrices_have_no_amplitude():
    model = NeuralBackflow(5, 2, 2, 1, (4,), noise=0.0)
    variables = model.init(jax.random.key(0), jnp.zeros((1, 10)))
    strings = sector(model)
    expected, _ = by_flax(model, variables, strings)
    sign, log_abs = BackflowValues(model, variables)(strings)
    assert np.count_nonzero(expected) == 1
    assert np.array_equal(log_abs == -np.inf, expected == 0.0)
    assert np.array_equal(sign, np.sign(expected))


def test_amplitudes_depend_neither_on_threads_nor_on_their_neighbours(monkeypatch):
    model = NeuralBackflow(8, 3, 3, 2, (16, 16))
    values = BackflowValues(model, random_variables(model, 16))
    strings = sector(model, most=3000)
    found = []
    for threads in "1", "3":
        monkeypatch.setenv("NNBF_NUM_THREADS", threads)
        found.append(values(strings))
    assert all(np.array_equal(*pair) for pair in zip(*found, strict=True))
    for chosen in slice(5, 6), slice(100, 2900, 7), slice(None, None, -1):
        alone = values(strings[chosen])
        assert all(np.array_equal(a, b[chosen]) for a, b in zip(alone, found[0], strict=True))


def test_products_beyond_the_range_of_doubles():
    model = NeuralBackflow(4, 2, 2, 2, (3,))
    variables = random_variables(model, 8)
    for size in 1e-120, 1e120:
        scaled = {"params": {**variables["params"]}}
        scaled["params"]["orbitals"] = {k: size * v for k, v in variables["params"]["orbitals"].items()}
        assert_same(model, sector(model), scaled)


def test_others_are_left_to_flax():
    assert not has_values(NeuralBackflow(4, 2, 2, 1, ()))
    assert not has_values(NeuralBackflow(4, 2, 2, 1, (3,), activation=nn.gelu))
    assert not has_values(nn.Dense(3))
    assert not in_sector(NeuralBackflow(4, 2, 2), np.array([[3, 1]], np.uint64))
