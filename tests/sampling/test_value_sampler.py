"""Chains by compiled kernels: detailed balance of every move, samples of |psi|^p, the same bits again."""

import jax
import netket as nk
import numpy as np
import pytest

from nnbf.ansatz import NeuralBackflow
from nnbf.determinants import pack_occupations, unpack_occupations
from nnbf.operators import MolecularHamiltonian
from nnbf.sampling import ExcitationRule, OrbitalHopRule, ValueSampler
from nnbf.sampling.compiled_moves import DRAWN, compiled_moves, propose
from nnbf.states.amplitudes import signed_log
from tests.determinants.oracles import bit_strings, configurations, random_integrals

INTEGRALS = random_integrals(4, 2, 2, seed=5)
SECTOR = bit_strings(configurations(4, 2, 2), 4)
OCCUPATIONS = unpack_occupations(SECTOR, 4).astype(float)
IRREPS = np.array([0, 0, 1, 1])


def rules():
    hamiltonian = MolecularHamiltonian(INTEGRALS)
    for name, irreps, tables in (
        ("heat bath", np.zeros(4, int), hamiltonian.tables),
        ("uniform", IRREPS, None),
    ):
        yield name, ExcitationRule.of(INTEGRALS, irreps, tables)
    local = ExcitationRule.of(INTEGRALS, np.zeros(4, int), hamiltonian.tables)
    yield "hops", OrbitalHopRule(INTEGRALS, local, excited=0.0, exchange=0.0)
    yield "exchanges", OrbitalHopRule(INTEGRALS, local, excited=0.0, exchange=1.0)
    yield "all", OrbitalHopRule(INTEGRALS, local)


@pytest.mark.parametrize(
    ("name", "rule"), list(rules()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_moves_are_in_detailed_balance(name, rule):
    draws = 4000
    words = np.repeat(SECTOR, draws, axis=0)
    proposed, correction = np.empty_like(words), np.empty(len(words))
    propose(
        *compiled_moves(rule),
        words,
        np.random.default_rng(1).random((len(words), DRAWN)),
        proposed,
        correction,
    )
    possible = correction > -np.inf
    assert np.array_equal(np.bitwise_count(proposed), np.bitwise_count(words))
    index = {bytes(row): k for k, row in enumerate(SECTOR)}
    place = np.array([index[bytes(row)] for row in proposed])
    # For equal weights: as many accepted moves from x to y as from y to x.
    accepted = np.where(possible, np.minimum(1.0, np.exp(np.where(possible, correction, 0.0))), 0.0)
    pairs = np.repeat(np.arange(len(SECTOR)), draws), place
    flow, squares = np.zeros((2, len(SECTOR), len(SECTOR)))
    np.add.at(flow, pairs, accepted)
    np.add.at(squares, pairs, accepted**2)
    np.fill_diagonal(flow, 0.0)
    seen = squares + squares.T > 20
    assert seen.sum() > 2 * len(SECTOR)
    deviations = ((flow - flow.T) / np.sqrt(squares + squares.T + 1e-300))[seen]
    assert np.abs(deviations).max() < 5
    assert np.all(flow[~seen] < 60)


def sampler_and_network(power):
    local = ExcitationRule.of(INTEGRALS, np.zeros(4, int), MolecularHamiltonian(INTEGRALS).tables)
    sampler = ValueSampler(
        MolecularHamiltonian(INTEGRALS).hilbert,
        OrbitalHopRule(INTEGRALS, local),
        n_chains=64,
        sweep_size=8,
        machine_pow=power,
        dtype=np.int8,
    )
    return sampler, NeuralBackflow(4, 2, 2, hidden=(8,), noise=0.5)


def test_samples_are_those_of_a_power_of_psi():
    sampler, model = sampler_and_network(1.4)
    state = nk.vqs.MCState(sampler, model, n_samples=64 * 400, sampler_seed=2, n_discard_per_chain=10)
    samples = np.asarray(state.samples)
    assert samples.shape == (64, 400, 8)
    assert samples.dtype == np.int8
    assert 0.05 < float(state.sampler_state.acceptance) < 0.95
    _, log_abs = signed_log(model, state.variables, OCCUPATIONS)
    wanted = np.exp(1.4 * (log_abs - log_abs.max()))
    wanted /= wanted.sum()
    index = {bytes(row): k for k, row in enumerate(SECTOR)}
    place = np.array([index[bytes(row)] for row in pack_occupations(samples.reshape(-1, 8))]).reshape(64, 400)
    # Each chain is one independent measurement of every frequency.
    frequency = (place[:, :, None] == np.arange(len(SECTOR))).mean(axis=1)
    error = np.maximum(frequency.std(axis=0, ddof=1) / 8, 1e-4)
    assert np.abs((frequency.mean(axis=0) - wanted) / error).max() < 5


def test_the_same_key_gives_the_same_samples_and_networks_without_kernels_are_sampled():
    sampler, model = sampler_and_network(2.0)
    variables = model.init(jax.random.key(1), OCCUPATIONS[:1])
    start = sampler.reset(model, variables, sampler.init_state(model, variables, jax.random.key(3)))
    (first, logs), after = sampler.sample(
        model, variables, state=start, chain_length=3, return_log_probabilities=True
    )
    again, _ = sampler.sample(model, variables, state=start, chain_length=3)
    more, _ = sampler.sample(model, variables, state=after, chain_length=3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, more)
    _, log_abs = signed_log(model, variables, np.asarray(first).reshape(-1, 8).astype(float))
    assert np.allclose(np.ravel(logs), 2.0 * log_abs, rtol=0, atol=1e-10)
    plain = model.clone(hidden=())
    found, _ = sampler.sample(
        plain, plain.init(jax.random.key(1), np.asarray(first)[0] * 1.0), chain_length=2
    )
    assert np.all(np.asarray(found).reshape(-1, 2, 4).sum(axis=2) == 2)
