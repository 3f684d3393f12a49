"""The selected-space driver: growth, what it compiles, what ends it."""

import logging

import flax.linen as nn
import jax
import netket as nk
import numpy as np
import optax
import pytest

from hamiltonians import InputError
from nnbf.ansatz import NeuralBackflow
from nnbf.determinants import enumerate_sector, spin_flip_representatives
from nnbf.drivers import Growth, SelectedSpaceDriver, SolverOptions
from nnbf.drivers.growth import rank_connected
from nnbf.operators import MolecularHamiltonian
from nnbf.optimize import FirstOrder, RayleighGaussNewton, StochasticReconfiguration
from nnbf.states import SpaceState
from tests.determinants.oracles import (
    bit_strings,
    configurations,
    even_spin_basis,
    flat,
    random_integrals,
    random_variables,
    slow_hamiltonian,
)


class Counting(nn.Module):
    """A backflow network that notes every trace of itself; ``name_of_test`` keeps compiled ones apart."""

    inner: NeuralBackflow
    name_of_test: str

    @nn.compact
    def __call__(self, occupations):
        TRACES.append(occupations.shape)
        return self.inner(occupations)


TRACES = []


def make_state(*, spin_flip="none", model=None, determinants=None, near_reference=False):
    """Four electrons in four orbitals, with random parameters or those that the network starts from."""
    hamiltonian = MolecularHamiltonian(random_integrals(4, 2, 2, seed=6, scale=0.1))
    if model is None:
        model = NeuralBackflow(4, 2, 2, hidden=(4,), spin_flip=spin_flip)
    variables = None if near_reference else random_variables(model, 8)
    return SpaceState(hamiltonian, model, space=determinants, variables=variables)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("rgn", RayleighGaussNewton()),
        ("rgn, conjugate gradients", RayleighGaussNewton(dense_limit=0)),
        ("sr", StochasticReconfiguration()),
        ("adam", FirstOrder(optax.adam(1e-3))),
    ],
)
def test_steps_at_the_same_size_compile_nothing(name, optimizer, caplog):
    TRACES.clear()
    state = make_state(model=Counting(NeuralBackflow(4, 2, 2, hidden=(4,)), name))
    driver = SelectedSpaceDriver(
        state, optimizer=optimizer, growth=Growth(max_size=10, first_size=10), energy_tolerance=0.0
    )
    driver.run(4, show_progress=False)
    assert len(state.determinants) == 10
    assert TRACES
    before = len(TRACES)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        driver.run(4, show_progress=False)
    assert driver.step_count == 8
    assert len(TRACES) == before
    assert [record.message for record in caplog.records if "ompil" in record.message] == []
    # The log would have told: another size is another shape.
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        state.set_determinants(state.determinants[:7])
        state.amplitudes()
    assert len(TRACES) == before + 1
    assert any("ompil" in record.message for record in caplog.records)


@pytest.mark.parametrize("spin_flip", ["none", "canonical"])
def test_growth_takes_the_largest_first_order_amplitudes(spin_flip):
    fold = spin_flip != "none"
    configs = configurations(4, 2, 2)
    rows = bit_strings(configs, 4)
    candidates = even_spin_basis(configs)[0] if fold else list(range(len(configs)))
    chosen = np.random.default_rng(1).permutation(candidates)[:6]
    state = make_state(spin_flip=spin_flip, determinants=rows[chosen])
    integrals = state.hamiltonian.integrals
    matrix = slow_hamiltonian(integrals, configs)
    index = {config: k for k, config in enumerate(configs)}
    psi = np.zeros(len(configs))
    psi[chosen] = state.wave_function()
    if fold:
        psi[[index[configs[k][::-1]] for k in chosen]] = state.wave_function()
    energy = psi @ matrix @ psi
    product = matrix @ psi
    gaps = np.maximum(np.diag(matrix) - energy, 1e-3)
    outside = psi == 0
    # The norm that a flip pair adds to the state is that of both.
    orbit = np.array([2.0 if fold and alpha != beta else 1.0 for alpha, beta in configs])
    scores = np.sqrt(orbit) * np.where(outside, np.abs(product / gaps), np.abs(psi))
    for size in (4, 10):
        found = rank_connected(state, Growth(), size)
        best = sorted(candidates, key=lambda k: -scores[k])[:size]
        assert set(map(bytes, found.determinants)) == set(map(bytes, rows[best]))
        assert found.second_order == pytest.approx(-np.sum((product**2 / gaps)[outside]), rel=1e-8)
        assert found.kept == pytest.approx(np.mean(np.isin(best, chosen)))


def test_sizes_of_the_stages():
    growth = Growth(max_size=30_000)
    sizes = [1]
    while growth.next_size(sizes[-1]) > sizes[-1]:
        sizes.append(growth.next_size(sizes[-1]))
    assert sizes == [1, 256, 1024, 4096, 16384, 30_000]
    assert Growth(max_size=50).next_size(1) == 50
    sector = np.zeros((6000, 2), np.uint64)
    # The sector is taken whole where one more stage would reach half of it.
    assert Growth(max_size=20_000, sector=sector).next_size(1024) == 6000
    assert Growth(max_size=20_000, sector=sector).next_size(256) == 1024
    # A sector that does not fit changes nothing.
    assert Growth(max_size=5000, sector=sector).next_size(1024) == 4096
    assert Growth(max_size=5000, sector=sector).final_sector is None


def test_a_space_at_its_limit_is_kept():
    determinants = enumerate_sector(4, 2, 2)[[0, 7, 9, 20]]
    state = make_state(determinants=determinants, near_reference=True)
    driver = SelectedSpaceDriver(state, growth=Growth(max_size=len(determinants)))
    driver.run(50, show_progress=False)
    assert np.array_equal(state.determinants, determinants)
    assert driver.converged
    assert state.energy_at(state.variables) == pytest.approx(
        np.linalg.eigvalsh(state.matrix.toarray())[0], abs=1e-6
    )


def test_the_last_space_of_a_growth_is_chosen_twice():
    """The first choice was made with one determinant, the second with a state that has settled."""
    state = make_state(near_reference=True)
    driver = SelectedSpaceDriver(state, growth=Growth(max_size=8, first_size=8))
    spaces = []

    def remember(step, log_data, driver):
        spaces.append(frozenset(map(bytes, driver.state.determinants)))
        return True

    driver.run(200, callback=remember, show_progress=False)
    assert driver.converged
    assert {len(space) for space in spaces} == {8}
    assert len(set(spaces)) == 2
    assert driver.row["stage"] == 2
    exact = np.linalg.eigvalsh(state.matrix.toarray())[0]
    assert state.energy_at(state.variables) == pytest.approx(exact, abs=1e-5)


def test_the_sector_is_taken_where_it_fits():
    state = make_state(spin_flip="canonical", near_reference=True)
    sector = spin_flip_representatives(enumerate_sector(4, 2, 2, fold=True))
    driver = SelectedSpaceDriver(state, growth=Growth(sector=sector))
    driver.run(100, show_progress=False)
    assert set(map(bytes, state.determinants)) == set(map(bytes, sector))
    assert driver.converged
    assert driver.progress.n_connected == 0
    assert driver.progress.second_order == 0.0
    exact = np.linalg.eigvalsh(state.matrix.toarray())[0]
    assert exact - 1e-9 < state.energy_at(state.variables) < exact + 1e-6


def test_an_eigenstate_is_recognised_at_once():
    """One determinant that H couples to nothing."""
    integrals = random_integrals(3, 3, 3)
    model = NeuralBackflow(3, 3, 3, hidden=())
    state = SpaceState(MolecularHamiltonian(integrals), model, variables=random_variables(model, 6))
    driver = SelectedSpaceDriver(state)
    driver.run(20, show_progress=False)
    assert driver.converged
    assert driver.step_count == 2
    assert driver.progress.n_connected == 0


def test_netket_runs_it():
    """Loggers, the number of steps asked for, and a second run that goes on."""
    state = make_state()
    log = nk.logging.RuntimeLog()
    driver = SelectedSpaceDriver(state, growth=Growth(max_size=12, first_size=12), energy_tolerance=0.0)
    driver.run(3, out=log, show_progress=False)
    assert driver.step_count == 3
    driver.run(2, out=log, show_progress=False)
    assert driver.step_count == 5
    assert len(log.data["Energy"]["Mean"]) == 5
    assert isinstance(driver, nk.driver.AbstractDriver)
    assert float(log.data["Energy"]["Mean"][-1]) == driver.row["energy"]


def test_a_step_that_is_not_finite_is_an_error():
    state = make_state()
    driver = SelectedSpaceDriver(state, growth=Growth(max_size=5, first_size=5))
    driver.run(1, show_progress=False)
    good = flat(state.parameters)
    state.parameters = jax.tree.map(lambda leaf: np.nan * leaf, state.parameters)
    with pytest.raises(FloatingPointError, match="not finite"):
        driver.run(1, show_progress=False)
    assert np.all(np.isfinite(good))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_steps": 0}, "max_steps must be at least 1, got 0"),
        ({"max_space": 0}, "max_space must be at least 1"),
        ({"damping": 0.0}, "damping must be positive, got 0.0"),
        ({"time_limit": -1.0}, "time_limit must be positive"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive, got nan"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\), got 1.0"),
        ({"optimizer": "sgd"}, "optimizer must be one of auto, rgn, sr, adam, got 'sgd'"),
        ({"spin_flip": "odd"}, "spin_flip must be one of auto, none, average, canonical"),
        ({"hidden": (4, 0)}, "hidden must each be from 1 to 65536, got"),
        ({"n_determinants": 0}, "n_determinants must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        SolverOptions(**options)
