"""Packing, spin flip, hash table and sectors, against Python integers and binomials."""

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnbf.determinants import (
    build_hash_table,
    determinant_from_orbitals,
    determinant_irreps,
    enumerate_sector,
    find_rows,
    multiplicities,
    occupied_spin_orbitals,
    pack_occupations,
    sector_dimension,
    spin_flip,
    spin_flip_representatives,
    unpack_occupations,
    words_per_spin,
)
from tests.determinants.oracles import bit_strings, configurations, occupations

# The same examples on every run; the first call of a compiled function takes seconds.
PROPERTY = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@st.composite
def spin_strings(draw, rows=4):
    """(M, list of (alpha, beta) strings as integers), M up to 140, with equal strings now and then."""
    size = draw(st.integers(1, 140))
    number = st.integers(0, 2**size - 1)
    same = number.map(lambda n: (n, n))
    return size, draw(st.lists(st.one_of(st.tuples(number, number), same), min_size=1, max_size=rows))


def as_occupations(size, strings):
    return np.array(
        [[(string >> p) & 1 for string in pair for p in range(size)] for pair in strings], dtype=np.uint8
    )


def as_integers(determinants):
    words = determinants.shape[1] // 2
    return [
        tuple(sum(int(row[spin * words + w]) << (64 * w) for w in range(words)) for spin in (0, 1))
        for row in determinants
    ]


@PROPERTY
@given(spin_strings())
def test_packing_is_binary_notation(drawn):
    size, strings = drawn
    x = as_occupations(size, strings)
    packed = pack_occupations(x)
    assert packed.dtype == np.uint64
    assert packed.shape == (len(strings), 2 * words_per_spin(size))
    assert as_integers(packed) == strings
    assert np.array_equal(unpack_occupations(packed, size), x)


@PROPERTY
@given(spin_strings())
def test_spin_flip(drawn):
    size, strings = drawn
    determinants = pack_occupations(as_occupations(size, strings))
    flipped = spin_flip(determinants)
    assert as_integers(flipped) == [(beta, alpha) for alpha, beta in strings]
    assert np.array_equal(spin_flip(flipped), determinants)
    chosen = spin_flip_representatives(determinants)
    assert as_integers(chosen) == [(min(pair), max(pair)) for pair in strings]
    assert np.array_equal(spin_flip_representatives(chosen), chosen)
    assert np.array_equal(spin_flip_representatives(flipped), chosen)
    orbits = [len({pair, pair[::-1]}) for pair in strings]
    assert multiplicities(determinants).tolist() == orbits


@PROPERTY
@given(spin_strings(rows=40), st.randoms(use_true_random=False))
def test_hash_table_finds_what_is_in_it_and_nothing_else(drawn, random):
    size, strings = drawn
    unique = sorted(set(strings))
    random.shuffle(unique)
    kept, absent = unique[: len(unique) // 2 + 1], unique[len(unique) // 2 + 1 :]
    keys = pack_occupations(as_occupations(size, kept))
    slots = build_hash_table(keys)
    order = list(range(len(kept)))
    random.shuffle(order)
    assert find_rows(slots, keys, keys[order]).tolist() == order
    if absent:
        others = pack_occupations(as_occupations(size, absent))
        assert find_rows(slots, keys, others).tolist() == [-1] * len(others)
    with pytest.raises(ValueError, match="occurs twice"):
        build_hash_table(np.concatenate([keys, keys[:1]]))


def test_hash_table_of_a_whole_sector():
    """Thousands of similar strings: probing has to go past many collisions."""
    everything = enumerate_sector(10, 4, 4)
    inside, outside = everything[::2], everything[1::2]
    slots = build_hash_table(inside)
    assert np.array_equal(find_rows(slots, inside, inside), np.arange(len(inside)))
    assert np.all(find_rows(slots, inside, outside) == -1)
    empty = np.zeros((0, 2), np.uint64)
    assert find_rows(build_hash_table(empty), empty, inside[:3]).tolist() == [-1] * 3


@pytest.mark.parametrize("size", [1, 5, 64, 65, 129])
def test_determinant_of_orbitals(size):
    alpha, beta = sorted({0, size // 2, size - 1}), [size - 1]
    determinant = determinant_from_orbitals(alpha[::-1], beta, size)
    assert np.array_equal(determinant, bit_strings([(tuple(alpha), tuple(beta))], size))
    assert occupied_spin_orbitals(determinant, size).tolist() == [[*alpha, size + size - 1]]
    assert occupied_spin_orbitals(determinant_from_orbitals([], [], size), size).shape == (1, 0)


def test_occupied_orbitals_are_ascending():
    configs = configurations(5, 2, 1)
    found = occupied_spin_orbitals(bit_strings(configs, 5), 5)
    assert found.tolist() == [[*alpha, *(5 + q for q in beta)] for alpha, beta in configs]


def test_refused_shapes():
    with pytest.raises(ValueError, match="even number of spin orbitals, got 5"):
        pack_occupations(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="differ in their number of electrons"):
        occupied_spin_orbitals(bit_strings([((0,), ()), ((0,), (1,))], 2), 2)


@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_sectors_hold_every_determinant_once(size):
    for n_alpha, n_beta in product(range(size + 1), repeat=2):
        sector = enumerate_sector(size, n_alpha, n_beta)
        dimension = comb(size, n_alpha) * comb(size, n_beta)
        assert len(sector) == sector_dimension(size, n_alpha, n_beta) == dimension
        expected = bit_strings(configurations(size, n_alpha, n_beta), size)
        assert set(map(bytes, sector)) == set(map(bytes, expected))


@pytest.mark.parametrize(("n_alpha", "n_beta"), [(0, 0), (2, 2), (3, 1), (6, 5)])
def test_irreps_share_out_the_sector(n_alpha, n_beta):
    irreps = np.array([0, 0, 3, 1, 2, 3])
    blocks = [enumerate_sector(6, n_alpha, n_beta, irreps, irrep) for irrep in range(4)]
    whole = enumerate_sector(6, n_alpha, n_beta)
    assert sorted(map(bytes, np.concatenate(blocks))) == sorted(map(bytes, whole))
    for irrep, block in enumerate(blocks):
        assert (determinant_irreps(block, irreps) == irrep).all()
        for x in unpack_occupations(block, 6):
            assert np.bitwise_xor.reduce(irreps[np.flatnonzero(x) % 6], initial=0) == irrep


@pytest.mark.parametrize("irreps", [None, np.array([0, 1, 0, 2, 3])], ids=["C1", "C2v"])
def test_folding_keeps_one_of_every_flip_pair(irreps):
    for irrep in range(4 if irreps is not None else 1):
        whole = enumerate_sector(5, 2, 2, irreps, irrep)
        folded = enumerate_sector(5, 2, 2, irreps, irrep, fold=True)
        multiplicity = multiplicities(folded)
        assert multiplicity.sum() == len(whole)
        assert (multiplicity == 1).sum() == (comb(5, 2) if irrep == 0 else 0)
        both = np.concatenate([folded, spin_flip(folded)[multiplicity == 2]])
        assert set(map(bytes, both)) == set(map(bytes, whole))


def test_sector_beyond_one_word():
    sector = enumerate_sector(66, 1, 1)
    assert len(set(map(bytes, sector))) == 66**2
    assert sector.shape[1] == 4
    assert np.array_equal(unpack_occupations(sector, 66).reshape(-1, 2, 66).sum(axis=2), np.ones((66**2, 2)))
    assert np.array_equal(
        pack_occupations(occupations([((64,), (63,))], 66)), bit_strings([((64,), (63,))], 66)
    )
