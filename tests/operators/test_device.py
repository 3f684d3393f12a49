"""Rows made and merged on the device against the host's compiled kernels, over all kinds of systems."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hamiltonians import Lattice, MolecularIntegrals
from nnbf._compute import computing
from nnbf.determinants import (
    build_hash_table,
    connected_space,
    find_rows,
    multiplicities,
    spin_flip_representatives,
)
from nnbf.determinants.rows import Rounding
from nnbf.operators import LatticeHamiltonian, MolecularHamiltonian
from nnbf.operators.device_connections import Sizes, device_connections
from nnbf.operators.device_words import merge_equal_words, packed, unpacked
from tests.determinants.oracles import random_integrals
from tests.operators.test_lattice_hamiltonian import MODELS


def many_orbitals(size, n_alpha, n_beta):
    """Random integrals of so many orbitals that an array of four indices would be slow to make."""
    rng = np.random.default_rng(size)
    pairs = size * (size + 1) // 2
    block = rng.normal(size=(pairs, pairs)) * (rng.random((pairs, pairs)) < 0.1)
    one_body = rng.normal(size=(size, size))
    return MolecularIntegrals(0.3, one_body + one_body.T, block + block.T, n_alpha, n_beta)


MOLECULES = {
    "closed shell": lambda: random_integrals(5, 2, 2, seed=1),
    "open shell": lambda: random_integrals(5, 3, 1, seed=2),
    "spin-resolved": lambda: random_integrals(4, 2, 1, seed=3, spin_resolved=True),
    "one electron": lambda: random_integrals(3, 1, 0, seed=4),
    "no electron": lambda: random_integrals(2, 0, 0, seed=5),
    "one spin": lambda: random_integrals(4, 0, 3, seed=6, spin_resolved=True),
    "full shells": lambda: random_integrals(3, 3, 3, seed=7),
    "full shell beside another": lambda: random_integrals(3, 3, 1, seed=8),
    "one orbital": lambda: random_integrals(1, 1, 0, seed=9),
    "32 orbitals": lambda: many_orbitals(32, 1, 1),
    "33 orbitals: keys are mixed": lambda: many_orbitals(33, 2, 1),
    "66 orbitals: two words a spin": lambda: many_orbitals(66, 1, 1),
}
LATTICES = {
    **MODELS,
    "64 modes": Lattice("tv", (8, 8), 3, V=1.0),
    "two words": Lattice("tv", (9, 9), 3, V=1.0),
    "Hubbard, two words": Lattice("hubbard", (6, 6), (2, 3), U=4.0),
    "one particle": Lattice("tv", (3, 3), 1, V=1.0),
    "all sites": Lattice("tv", (2, 2), 4, V=1.0),
}


def hamiltonian(name):
    return (
        MolecularHamiltonian(MOLECULES[name]()) if name in MOLECULES else LatticeHamiltonian(LATTICES[name])
    )


def samples_of(operator, n=24):
    """Random configurations, some of them repeated."""
    rng = np.random.default_rng(0)
    every = np.asarray(operator.hilbert.random_state(jax.random.key(1), n)).astype(np.int8)
    return every[rng.integers(0, n, n)]


def rows_of(connections, samples):
    """Sorted (configuration, element) of every sample, the diagonal apart: what no order of lists changes."""
    found = jax.tree.map(np.asarray, connections)
    keys = np.packbits(found.occupations > 0, axis=1)
    listed = {}
    for row, target, element in zip(found.row, found.target, found.element, strict=True):
        if element != 0 or found.own[row] == target:
            listed.setdefault(int(row), {}).setdefault(keys[target].tobytes(), []).append(complex(element))
    result = []
    for sample, row in zip(samples, found.of_sample, strict=True):
        own = np.packbits(found.occupations[found.own[row]] > 0).tobytes()
        result.append((own, {key: sum(values) for key, values in listed[int(row)].items()}))
        del sample
    return result


def assert_same(host, device, samples):
    largest = max(1.0, float(np.abs(host.element).max()))
    for (own, expected), (place, found) in zip(rows_of(host, samples), rows_of(device, samples), strict=True):
        assert own == place
        keys = {key for key, value in expected.items() if value != 0} | {own}
        assert keys == {key for key, value in found.items() if value != 0} | {own}
        for key in keys:
            assert abs(expected[key] - found[key]) < 1e-12 * largest


@pytest.mark.parametrize("name", [*MOLECULES, *LATTICES])
def test_device_rows_are_the_host_s(name):
    """The rows of every sample, and each configuration listed once, with and without spin flip."""
    operator = hamiltonian(name)
    samples = samples_of(operator)
    for spin_flip in (False, True) if operator.spin_flip_symmetric else (False,):
        host = operator.listed(samples, spin_flip=spin_flip)
        found, sizes = device_connections(operator.device_rows(), jnp.asarray(samples), spin_flip=spin_flip)
        device = found.connections
        n_rows, _, n_connections, n_distinct = np.asarray(found.counts).tolist()
        assert (n_rows, n_connections, n_distinct) == (len(host.own), len(host.row), len(host.occupations))
        assert_same(host, device, samples)
        listed = np.asarray(device.occupations)[:n_distinct]
        assert len(np.unique(listed, axis=0)) == n_distinct
        # Samples that stand for the distinct ones.
        np.testing.assert_array_equal(
            np.asarray(device.of_sample)[np.asarray(found.first)[:n_rows]], np.arange(n_rows)
        )
        again, same = device_connections(
            operator.device_rows(), jnp.asarray(samples), sizes, spin_flip=spin_flip
        )
        assert same == sizes
        assert jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.all(a == b)), found, again))


def test_arrays_grow_where_there_is_more_than_they_hold():
    operator = hamiltonian("open shell")
    samples = samples_of(operator)
    small = Sizes(len(samples), 16, 16, 16)
    found, sizes = device_connections(operator.device_rows(), jnp.asarray(samples), small)
    assert all(new > old for new, old in zip(sizes[1:], small[1:], strict=True))
    assert_same(operator.listed(samples), found.connections, samples)


def test_small_elements_are_left_out():
    operator = hamiltonian("spin-resolved")
    samples = samples_of(operator)
    threshold = float(np.median(np.abs(operator.listed(samples).element)))
    found, _ = device_connections(operator.device_rows(), jnp.asarray(samples), threshold=threshold)
    assert_same(operator.listed(samples, threshold=threshold), found.connections, samples)
    screened = MolecularHamiltonian(operator.integrals, threshold=threshold)
    found, _ = device_connections(screened.device_rows(), jnp.asarray(samples))
    assert_same(screened.listed(samples), found.connections, samples)


def test_small_elements_are_rounded_at_random_and_right_on_average():
    operator = hamiltonian("open shell")
    samples = samples_of(operator, 6)
    exact = rows_of(operator.listed(samples), samples)
    cut, draws = 0.3, 200
    sums = [dict.fromkeys(row, 0.0) for _, row in exact]
    sizes = None
    for seed in range(draws):
        found, sizes = device_connections(
            operator.device_rows(), jnp.asarray(samples), sizes, rounding=Rounding(cut, seed)
        )
        for (own, row), total, (_, expected) in zip(
            rows_of(found.connections, samples), sums, exact, strict=True
        ):
            for key, value in row.items():
                total[key] += value / draws
                if key == own or abs(expected[key]) >= cut:
                    assert abs(value - expected[key]) < 1e-12
                else:
                    assert abs(value) in (0.0, cut)
    errors = [abs(total[key] - row[key]) for total, (_, row) in zip(sums, exact, strict=True) for key in row]
    assert 0.0 < max(errors) < 4.5 * 0.5 * cut / np.sqrt(draws)


def test_words_and_back():
    rng = np.random.default_rng(3)
    for modes, blocks in ((64, 1), (130, 1), (10, 2), (132, 2)):
        bits = rng.integers(0, 2, (20, modes))
        words = packed(jnp.asarray(bits), blocks)
        np.testing.assert_array_equal(np.asarray(unpacked(words, modes, blocks)), bits)
        pack = hamiltonian("t-V").pack if blocks == 1 else hamiltonian("open shell").pack
        np.testing.assert_array_equal(np.asarray(words).T, pack(bits))


@pytest.mark.parametrize("n_words", [1, 2])
def test_a_configuration_with_all_bits_set_is_no_padding(n_words):
    words = jnp.asarray(np.array([[3, 2**64 - 1, 3, 2**64 - 1, 0]] * n_words, np.uint64))
    found = merge_equal_words(words, jnp.asarray(4), 64, 8)
    assert int(found.total) == 2
    position = np.asarray(found.position)
    assert position[0] == position[2] != position[1] == position[3]
    assert set(np.asarray(words[0, found.first[:2]]).tolist()) == {3, 2**64 - 1}


@pytest.mark.parametrize("name", ["closed shell", "33 orbitals: keys are mixed", "Hubbard"])
def test_matrices_and_surroundings_of_lists(name):
    operator = hamiltonian(name)
    fold = name == "closed shell"
    strings = np.unique(operator.pack(samples_of(operator)), axis=0)
    if fold:
        strings = np.unique(spin_flip_representatives(strings), axis=0)
    strings = np.random.default_rng(1).permutation(strings)
    host = operator.matrix(strings, spin_flip=fold)
    with computing("device"):
        device = operator.matrix(strings, spin_flip=fold)
    assert abs(host - device).max() < 1e-12 * abs(host).max()
    if name == "Hubbard":
        return
    psi = np.random.default_rng(2).normal(size=len(strings))
    psi[3] = 0.0
    psi /= np.sqrt(np.sum(multiplicities(strings, fold) * psi**2))
    for threshold in (0.0, 0.05):
        expected = connected_space(operator.tables, strings, psi, fold, threshold)
        with computing("device"):
            found = operator.connected_space(strings, psi, fold, threshold)
        place = find_rows(build_hash_table(expected.determinants), expected.determinants, found.determinants)
        assert sorted(place) == list(range(len(expected.determinants)))
        np.testing.assert_allclose(found.couplings, expected.couplings[place], atol=1e-12)
        np.testing.assert_allclose(found.diagonal, expected.diagonal[place], atol=1e-12)
