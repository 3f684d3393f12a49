"""Samplers draw |psi|^2: against the exact distribution, whatever the proposals."""

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest

from hamiltonians import build_molecule, irrep_bits
from nnbf.ansatz import NeuralBackflow
from nnbf.determinants import pack_occupations
from nnbf.operators import MolecularHamiltonian
from nnbf.sampling import ExcitationRule, SectorSampler
from nnbf.states import reference_sector
from tests.determinants.oracles import random_integrals

pytestmark = pytest.mark.slow


def model_of(integrals, irreps=None, spin_flip="none"):
    return NeuralBackflow(
        integrals.n_orbitals,
        integrals.n_alpha,
        integrals.n_beta,
        2,
        (6,),
        spin_flip=spin_flip,
        orbital_irreps=None if irreps is None else tuple(int(k) for k in irreps),
        noise=1.0,
    )


def exact_distribution(hilbert, model, variables):
    states = hilbert.all_states()
    p = np.exp(2 * np.asarray(model.apply(variables, states)).real)
    return {bytes(np.asarray(x, np.int8)): w for x, w in zip(states, p / p.sum(), strict=True)}


def check_distribution(samples, exact, n_effective):
    """Every determinant's frequency within 5 standard errors, and their sum of squares plausible."""
    rows, counts = np.unique(
        np.asarray(samples, np.int8).reshape(-1, samples.shape[-1]), axis=0, return_counts=True
    )
    seen = {bytes(row): count / counts.sum() for row, count in zip(rows, counts, strict=True)}
    assert set(seen) <= {key for key, p in exact.items() if p > 0}
    for key, p in exact.items():
        error = np.sqrt(max(p * (1 - p), 1e-12) / n_effective)
        assert abs(seen.get(key, 0.0) - p) < 5 * error + 1e-9


@pytest.mark.parametrize(
    ("case", "kind", "single"),
    [
        ("open", "uniform", 0.3),
        ("irreps", "heat bath", 0.2),
    ],
)
def test_metropolis_samples_the_square(case, kind, single):
    irreps = np.array([0, 1, 0, 1, 2]) if case == "irreps" else None
    size, n_alpha, n_beta = {"open": (4, 3, 1), "irreps": (5, 2, 2)}[case]
    # Random integrals have no symmetry: heat-bath doubles that break the irrep are proposed, and refused.
    integrals = random_integrals(size, n_alpha, n_beta, seed=3, spin_resolved=case == "open")
    hamiltonian = MolecularHamiltonian(integrals)
    model = model_of(integrals, irreps)
    rule = ExcitationRule(
        size,
        n_alpha,
        n_beta,
        tables=hamiltonian.tables if kind == "heat bath" else None,
        orbital_irreps=irreps,
        single_probability=single,
    )
    sampler = nk.sampler.MetropolisSampler(hamiltonian.hilbert, rule, n_chains=256, sweep_size=16)
    state = nk.vqs.MCState(sampler, model, n_samples=256 * 24, n_discard_per_chain=16, seed=5)
    exact = exact_distribution(hamiltonian.hilbert, model, state.variables)
    check_distribution(state.samples, exact, state.samples.size / (2 * size) / 2.5)
    assert 0.02 < state.sampler_state.acceptance < 0.95


def test_proposals_keep_electrons_and_irrep():
    integrals = random_integrals(6, 3, 2, seed=2)
    irreps = np.array([0, 1, 2, 3, 0, 1])
    rule = ExcitationRule(6, 3, 2, orbital_irreps=irreps, scatter=5)
    sampler = nk.sampler.MetropolisSampler(
        MolecularHamiltonian(integrals).hilbert, rule, n_chains=512, sweep_size=1
    )
    x = rule.random_state(sampler, None, None, None, jax.random.key(1))
    assert len(np.unique(np.asarray(x), axis=0)) > 20
    moved, correction = rule.transition(sampler, None, None, None, jax.random.key(2), x)
    for rows in (np.asarray(x), np.asarray(moved)):
        assert (rows[:, :6].sum(axis=1) == 3).all()
        assert (rows[:, 6:].sum(axis=1) == 2).all()
        codes = np.tile(irreps, 2)
        found = {int(np.bitwise_xor.reduce(codes[row > 0])) for row in rows}
        assert found == {int(np.bitwise_xor.reduce(irreps[[0, 1, 2, 0, 1]]))}
    changed = (np.asarray(x) != np.asarray(moved)).sum(axis=1)
    assert set(changed.tolist()) == {0, 2, 4}
    assert (np.isneginf(np.asarray(correction)) == (changed == 0)).all()


def test_rule_wants_a_probability():
    with pytest.raises(ValueError, match="single_probability"):
        ExcitationRule(4, 2, 2, single_probability=1.5)


@pytest.mark.parametrize("spin_flip", ["none", "canonical"])
def test_sector_sampler_is_exact(spin_flip):
    system = build_molecule("LiH", "sto-3g", references=False)
    integrals = system.integrals
    irreps = irrep_bits(integrals)
    model = model_of(integrals, irreps, spin_flip)
    hilbert = MolecularHamiltonian(integrals).hilbert
    fold = spin_flip != "none"
    sector = reference_sector(integrals, irreps, fold)
    sampler = SectorSampler(hilbert, sector, spin_flip=fold)
    state = nk.vqs.MCState(sampler, model, n_samples=20_000, seed=2)
    check_distribution(state.samples, exact_distribution(hilbert, model, state.variables), 20_000)
    first = np.asarray(state.samples)
    state.reset()
    assert not np.array_equal(first, np.asarray(state.samples))
    assert len(pack_occupations(first.reshape(-1, first.shape[-1]))) == 20_000
    # New parameters: a new distribution.
    state.parameters = jax.tree.map(
        lambda p: p + 0.3 * jnp.sin(jnp.arange(p.size).reshape(p.shape)), state.parameters
    )
    check_distribution(state.samples, exact_distribution(hilbert, model, state.variables), 20_000)
