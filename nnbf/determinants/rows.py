"""Rows of the molecular Hamiltonian: as flat arrays, restricted to a list, applied to amplitudes, merged.

The one caller of :func:`~nnbf.determinants.slater_condon.connections_of`: another way to make connections
(an accelerator's) takes its place here.
"""

import numpy as np
from numba import njit

from nnbf.determinants.hashing import canonicalise, find, hash_words
from nnbf.determinants.parallel import map_row_blocks
from nnbf.determinants.slater_condon import (
    Scratch,
    connections_of,
    diagonal_elements,
    max_connections,
    new_scratch,
)
from nnbf.determinants.tables import IntegralTables


def flat_connections(
    tables: IntegralTables, determinants: np.ndarray, n_alpha: int, n_beta: int, threshold: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All determinants connected to each of the given ones, itself first.

    Args:
        tables: Integral tables.
        determinants: (n, 2 W) bit strings, repetitions allowed.
        n_alpha: Alpha electrons.
        n_beta: Beta electrons.
        threshold: Off-diagonal elements below this magnitude (Hartree) are skipped.

    Returns:
        ``(counts, connected, elements)``: connections a row (n,), bit strings (sum, 2 W) and matrix
        elements (sum,), Hartree.
    """
    if len(determinants) == 0:
        return np.zeros(0, np.int64), determinants.copy(), np.zeros(0)
    capacity = max_connections(tables.n_orbitals, n_alpha, n_beta) + 1
    diagonal = diagonal_elements(tables, determinants)
    # A block's work arrays are allocated for the worst case: keep them near 2e6 entries.
    block = max(1, min(-(-len(determinants) // 8), 2_000_000 // capacity))
    blocks = map_row_blocks(
        lambda lo, hi: _flat_rows(tables, determinants, diagonal, lo, hi, threshold, capacity),
        len(determinants),
        block,
    )
    counts, connected, elements = (np.concatenate([part[k] for part in blocks]) for k in range(3))
    return counts, connected, elements


@njit(cache=True, nogil=True)
def _flat_rows(tables, determinants, diagonal, lo, hi, threshold, capacity):
    counts = np.empty(hi - lo, np.int64)
    out = np.empty(((hi - lo) * capacity, determinants.shape[1]), np.uint64)
    values = np.empty((hi - lo) * capacity)
    work = new_scratch(tables.n_orbitals, determinants.shape[1], 0)
    used = 0
    for row in range(lo, hi):
        out[used] = determinants[row]
        values[used] = diagonal[row]
        # Written in place.
        scratch = Scratch(work.occupied, work.parity, out[used + 1 :], values[used + 1 :])
        count = 1 + connections_of(tables, determinants[row], threshold, scratch)
        counts[row - lo] = count
        used += count
    return counts, out[:used].copy(), values[:used].copy()


@njit(cache=True, nogil=True)
def _listed_row(tables, determinant, diagonal, threshold, keys, slots, fold, scratch, positions, elements):
    """Positions in a list and elements of one row of H, the diagonal first."""
    used = 0
    own = find(slots, keys, determinant, hash_words(determinant))
    if own >= 0:
        positions[0], elements[0] = own, diagonal
        used = 1
    count = connections_of(tables, determinant, threshold, scratch)
    for k in range(count):
        words = scratch.connected[k]
        if fold:
            canonicalise(words)
        position = find(slots, keys, words, hash_words(words))
        if position >= 0:
            positions[used], elements[used] = position, scratch.values[k]
            used += 1
    return used


@njit(cache=True, nogil=True)
def listed_rows(tables, rows, diagonal, lo, hi, keys, slots, fold, threshold, capacity):
    """Rows ``lo`` to ``hi`` of H on the columns of a list: (counts, positions, elements)."""
    scratch = new_scratch(tables.n_orbitals, rows.shape[1], capacity)
    counts = np.zeros(hi - lo, np.int64)
    room = 1024
    positions = np.empty(room, np.int32)
    elements = np.empty(room)
    used = 0
    for row in range(lo, hi):
        if used + capacity > room:
            room = max(2 * room, used + capacity)
            grown_positions = np.empty(room, np.int32)
            grown_elements = np.empty(room)
            grown_positions[:used] = positions[:used]
            grown_elements[:used] = elements[:used]
            positions, elements = grown_positions, grown_elements
        count = _listed_row(
            tables, rows[row], diagonal[row], threshold, keys, slots, fold, scratch,
            positions[used:], elements[used:],
        )  # fmt: skip
        counts[row - lo] = count
        used += count
    return counts, positions[:used].copy(), elements[:used].copy()


@njit(cache=True, nogil=True)
def applied_rows(tables, rows, diagonal, lo, hi, keys, slots, psi, n_first, fold, capacity, out):
    """Rows of ``H psi`` into ``out`` (n, 2): from the first entries of a list, and from the others.

    Args:
        tables: :class:`IntegralTables`.
        rows: (n, 2 W) bit strings.
        diagonal: Their diagonal elements, (n,).
        lo: First row.
        hi: End of rows.
        keys: (k, 2 W) bit strings that psi is known of; all others count as zero.
        slots: Hash table of them.
        psi: (k,).
        n_first: Entries of ``keys`` that the first column sums over.
        fold: Whether entries stand for spin-flip pairs.
        capacity: Most connections of a row, itself included.
        out: Receives the sums.
    """
    scratch = new_scratch(tables.n_orbitals, rows.shape[1], capacity)
    positions = np.empty(capacity, np.int64)
    elements = np.empty(capacity)
    for row in range(lo, hi):
        count = _listed_row(
            tables, rows[row], diagonal[row], 0.0, keys, slots, fold, scratch, positions, elements
        )
        first = other = 0.0
        for k in range(count):
            if positions[k] < n_first:
                first += elements[k] * psi[positions[k]]
            else:
                other += elements[k] * psi[positions[k]]
        out[row, 0] = first
        out[row, 1] = other


@njit(cache=True, nogil=True)
def scattered_rows(tables, keys, diagonal, slots, psi, multiplicity, n_first, fold, capacity, out):
    """``H psi`` of every entry of a list into ``out`` (k,), from the rows of its first entries alone.

    Args:
        tables: :class:`IntegralTables`.
        keys: (k, 2 W) bit strings.
        diagonal: Diagonal elements of the first entries, (n_first,).
        slots: Hash table of ``keys``.
        psi: (k,).
        multiplicity: How many determinants each entry stands for, (k,).
        n_first: How many entries have their rows summed.
        fold: Whether entries stand for spin-flip pairs.
        capacity: Most connections of a row, itself included.
        out: What the sums are added to.
    """
    scratch = new_scratch(tables.n_orbitals, keys.shape[1], capacity)
    positions = np.empty(capacity, np.int64)
    elements = np.empty(capacity)
    for row in range(n_first):
        count = _listed_row(
            tables, keys[row], diagonal[row], 0.0, keys, slots, fold, scratch, positions, elements
        )
        for k in range(count):
            # One entry stands for several determinants: H is symmetric between determinants only.
            position = positions[k]
            out[position] += elements[k] * psi[row] * multiplicity[row] / multiplicity[position]


@njit(cache=True, nogil=True)
def accumulated_couplings(
    tables, rows, values, screen, known, known_slots, fold, threshold, capacity, partition, n_partitions
):
    """Determinants outside a list that its rows reach, and ``sum_i H_ji psi_i``, of one hash partition.

    Args:
        tables: :class:`IntegralTables`.
        rows: (n, 2 W) bit strings, the important ones first.
        values: psi times multiplicity, (n,).
        screen: |psi|, (n,): rows of zeros are skipped, others screened by ``threshold / |psi|``.
        known: (k, 2 W) the list; what is in it is left out.
        known_slots: Its hash table.
        fold: Whether entries stand for spin-flip pairs.
        threshold: Contributions below this are skipped, Hartree.
        capacity: Most connections of a row.
        partition: Number of the partition.
        n_partitions: Partitions there are.
    """
    n_total = rows.shape[1]
    scratch = new_scratch(tables.n_orbitals, n_total, capacity)
    out, elements = scratch.connected, scratch.values
    slots = np.full(1 << 12, -1, np.int64)
    room = 1 << 11
    keys = np.empty((room, n_total), np.uint64)
    sums = np.empty(room)
    used = 0
    for row in range(rows.shape[0]):
        if screen[row] == 0.0:
            continue
        count = connections_of(tables, rows[row], threshold / screen[row], scratch)
        for k in range(count):
            orbit = canonicalise(out[k]) if fold else 1
            h = hash_words(out[k])
            # The low bits choose the slot: the partition takes high ones.
            if np.int64((h >> np.uint64(40)) % np.uint64(n_partitions)) != partition:
                continue
            contribution = elements[k] * values[row] / orbit
            position = find(slots, keys, out[k], h)
            if position >= 0:
                sums[position] += contribution
                continue
            if find(known_slots, known, out[k], h) >= 0:
                continue
            keys[used] = out[k]
            sums[used] = contribution
            slots[-1 - position] = used
            used += 1
            if used == room:
                room *= 2
                grown_keys = np.empty((room, n_total), np.uint64)
                grown_sums = np.empty(room)
                grown_keys[:used] = keys
                grown_sums[:used] = sums
                keys, sums = grown_keys, grown_sums
                slots = np.full(2 * slots.shape[0], -1, np.int64)
                for entry in range(used):
                    place = find(slots, keys, keys[entry], hash_words(keys[entry]))
                    slots[-1 - place] = entry
    return keys[:used].copy(), sums[:used].copy()
