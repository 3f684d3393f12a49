"""Hamiltonians on lists of configurations, and what the lists reach, made on the device block by block."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from nnbf.determinants.configurations import multiplicities
from nnbf.determinants.hashing import merge_equal
from nnbf.operators.connections import padded_to, rounded_up
from nnbf.operators.device_connections import (
    Screening,
    Sizes,
    bits_of_words,
    first_sizes,
    listed_rows,
    places_of_kept,
    with_room,
)
from nnbf.operators.device_rows import DeviceRows
from nnbf.operators.device_words import keys, merge_equal_words

#: Elements, zeros included, of the rows of one block.
SLOTS_OF_BLOCK = 1 << 25


class _Part(NamedTuple):
    """What is found for one block of rows."""

    arrays: tuple[jax.Array, ...]
    counts: jax.Array


def device_matrix_of(
    rows_of: DeviceRows, configurations: np.ndarray, spin_flip: bool = False
) -> scipy.sparse.csr_matrix:
    """H (n, n) between distinct bit strings (n, W): see ``Hamiltonian.matrix``."""
    known, order = _sorted(rows_of, configurations)
    rows, columns, elements = [], [], []
    for lo, block, n, sizes in _blocks(rows_of, configurations):
        make = partial(_inside, rows_of, block, n, known, order, spin_flip=spin_flip)
        found, _ = with_room(make, sizes)
        kept = slice(0, int(found.counts[3]))
        row, column, element = (np.asarray(array)[kept] for array in found.arrays)
        rows.append(row + lo)
        columns.append(column)
        elements.append(element)
    entries = (np.concatenate(elements), (np.concatenate(rows), np.concatenate(columns)))
    return scipy.sparse.coo_matrix(entries, shape=(len(configurations),) * 2).tocsr()


def device_couplings(
    rows_of: DeviceRows, configurations: np.ndarray, psi: np.ndarray, spin_flip: bool, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Bit strings (k, W) outside a list that it reaches, and ``sum_i H_ji psi_i`` (k,).

    Args:
        rows_of: The Hamiltonian.
        configurations: The list, (n, W).
        psi: (n,), normalised over all configurations that the entries stand for.
        spin_flip: Whether entries stand for spin-flip pairs.
        threshold: Contributions ``|H_ji psi_i|`` below this are left out.
    """
    known, order = _sorted(rows_of, configurations)
    values = psi * multiplicities(configurations, spin_flip)
    limits = np.divide(threshold, np.abs(psi), out=np.full(len(psi), np.inf), where=psi != 0)
    lists, sums = [], []
    for lo, block, n, sizes in _blocks(rows_of, configurations):
        part, limit = (padded_to(x[lo : lo + n], block.shape[1], 0.0) for x in (values, limits))
        make = partial(_outside, rows_of, block, n, part, limit, known, order, spin_flip=spin_flip)
        found, _ = with_room(make, sizes)
        words, total = (np.asarray(array) for array in found.arrays)
        kept = int(found.counts[3])
        lists.append(np.ascontiguousarray(words[:, :kept].T))
        sums.append(total[:kept])
    distinct, place = merge_equal(np.concatenate(lists))
    total = np.bincount(place, weights=np.concatenate(sums), minlength=len(distinct))
    same = multiplicities(distinct, spin_flip)
    return distinct, total / same


def _blocks(rows_of, configurations):
    """First row, words (W, rows), number of rows, and sizes of every block."""
    size = max(1, SLOTS_OF_BLOCK // rows_of.n_slots)
    size = min(size, rounded_up(len(configurations), 16, 1.25))
    sizes = first_sizes(rows_of, size)._replace(rows=size)
    for lo in range(0, len(configurations), size):
        part = configurations[lo : lo + size]
        yield lo, jnp.asarray(padded_to(part, size, part[0]).T), len(part), sizes


def _sorted(rows_of, configurations):
    """Words (W, n) of a list in the order of their keys, and the places that they had."""
    words = jnp.asarray(np.ascontiguousarray(configurations.T))
    order = jnp.argsort(keys(words, bits_of_words(rows_of)))
    return words[:, order], order.astype(jnp.int32)


def _looked_up(rows_of, words, known):
    """Places of words (W, k) in a sorted list, and which of them are there."""
    bits = bits_of_words(rows_of)
    place = jnp.searchsorted(keys(known, bits), keys(words, bits))
    place = jnp.minimum(place, known.shape[1] - 1)
    return place, jnp.all(known[:, place] == words, axis=0)


@partial(jax.jit, static_argnames=("sizes", "spin_flip"))
def _inside(rows_of, rows, n_rows, known, order, sizes: Sizes, spin_flip):
    listed = listed_rows(rows_of, rows, n_rows, Screening(rows_of.threshold), sizes, spin_flip)
    place, there = _looked_up(rows_of, listed.words, known)
    there = there & (jnp.arange(sizes.connections) < listed.total)
    kept, _, number = places_of_kept(there[None], sizes.distinct)
    counts = jnp.stack([jnp.asarray(0, jnp.int32), listed.longest, listed.total, number])
    return _Part((listed.row[kept], order[place[kept]], listed.element[kept]), counts)


@partial(jax.jit, static_argnames=("sizes", "spin_flip"))
def _outside(rows_of, rows, n_rows, values, limits, known, order, sizes: Sizes, spin_flip):
    screening = Screening(jnp.maximum(limits, rows_of.threshold))
    listed = listed_rows(rows_of, rows, n_rows, screening, sizes, spin_flip)
    _, there = _looked_up(rows_of, listed.words, known)
    away = ~there & (jnp.arange(sizes.connections) < listed.total)
    kept, _, number = places_of_kept(away[None], sizes.connections)
    words = listed.words[:, kept]
    terms = jnp.where(
        jnp.arange(sizes.connections) < number, (listed.element * values[listed.row])[kept], 0.0
    )
    merged = merge_equal_words(words, number, bits_of_words(rows_of), sizes.distinct)
    sums = jax.ops.segment_sum(terms, merged.position, num_segments=sizes.distinct)
    counts = jnp.stack([jnp.asarray(0, jnp.int32), listed.longest, listed.total, merged.total])
    return _Part((words[:, merged.first], sums), counts)
