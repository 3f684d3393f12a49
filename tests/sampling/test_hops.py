"""Metropolis proposals on lattices: they conserve particles, and their corrections are right."""

import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hamiltonians import Lattice, build_molecule, lattice_configurations
from nnbf.determinants import build_tables
from nnbf.operators import MolecularHamiltonian
from nnbf.sampling import ExcitationRule, HopRule, OrbitalHopRule, ordered_configuration


@pytest.mark.parametrize(
    ("model", "moves"),
    [
        (Lattice("tv", (3, 2), 2, V=1.0, boundary=("open", "pbc")), {"far": 0.3, "guide": 0.0}),
        (Lattice("tv", (3, 2), 2, V=4.0, boundary=("open", "pbc")), {"far": 0.3}),
        (
            Lattice("hubbard", (2, 2), (2, 1), U=3.0, V=1.0, boundary="open"),
            {"far": 0.2, "exchange": 0.4},
        ),
    ],
)
def test_detailed_balance(model, moves):
    configurations = lattice_configurations(model).astype(np.int8)
    check_detailed_balance(HopRule(model, **moves), configurations, model.particles)


@pytest.mark.parametrize("tables", [True, False], ids=["heat bath", "uniform"])
def test_detailed_balance_in_orbitals(tables):
    integrals = build_molecule("H4-chain-1.5", "sto-3g", orbitals="boys", references=False).integrals
    integrals = replace(integrals, n_beta=1, reference_occupation=None)
    excitations = ExcitationRule(4, 2, 1, tables=build_tables(integrals) if tables else None)
    rule = OrbitalHopRule(integrals, excitations, steepness=1.0)
    rows = np.array(list(itertools.product((0, 1), repeat=8)), np.int8)
    kept = (rows[:, :4].sum(axis=1) == 2) & (rows[:, 4:].sum(axis=1) == 1)
    # The form that guides hops is the diagonal of H.
    diagonal = MolecularHamiltonian(integrals).diagonal(rows[kept])
    form = 0.5 * np.einsum("ni,ij,nj->n", rows[kept], np.asarray(rule.coupling), rows[kept])
    np.testing.assert_allclose(form + integrals.constant, diagonal, atol=1e-10)
    check_detailed_balance(rule, rows[kept], (2, 1))


def check_detailed_balance(rule, configurations, particles):
    """Transition probabilities times the correction are symmetric: estimated from many proposals."""
    place = {c.tobytes(): i for i, c in enumerate(configurations)}
    n, draws = len(configurations), 6000
    propose = jax.jit(jax.vmap(lambda key, x: rule._propose(key, x)))
    flow = np.zeros((n, n))
    corrections = np.zeros((n, n))
    for i, x in enumerate(configurations):
        keys = jax.random.split(jax.random.key(i), draws)
        moved, correction = (np.asarray(a) for a in propose(keys, jnp.broadcast_to(x, (draws, x.size))))
        assert np.array_equal(
            moved.reshape(draws, len(particles), -1).sum(-1),
            np.broadcast_to(particles, (draws, len(particles))),
        )
        for y, c in zip(moved, correction, strict=True):
            if c > -np.inf:
                j = place[y.tobytes()]
                flow[i, j] += 1.0 / draws
                corrections[i, j] += np.exp(c) / draws
    np.fill_diagonal(flow, 0.0)
    np.fill_diagonal(corrections, 0.0)
    # q(x -> y) exp(c) = q(y -> x), within 5 standard errors.
    error = np.sqrt(np.maximum(flow, 1.0 / draws) / draws)
    assert np.max(np.abs(corrections - flow.T) / error) < 6.0
    reachable = np.linalg.matrix_power((flow > 0) + np.eye(n), n) > 0
    assert reachable.all()


def test_ordered_configuration_has_few_neighbours():
    model = Lattice("tv", (4, 4), 8, V=1.0)
    x = ordered_configuration(model)
    assert x.sum() == 8
    assert x @ model.repulsion @ x == 0.0
    hubbard = Lattice("hubbard", (4, 4), (8, 8), U=4.0)
    up, down = ordered_configuration(hubbard).reshape(2, -1)
    assert up @ down == 0


def test_shares_must_be_probabilities():
    model = Lattice("tv", (3, 2), 2)
    with pytest.raises(ValueError, match="shares"):
        HopRule(model, far=1.5)
    with pytest.raises(ValueError, match="exchange"):
        HopRule(model, exchange=0.5)
