"""Rows of the molecular Hamiltonian: flat, as sparse matrices, applied to amplitudes, merged outside a list.

With ``fold`` a determinant and its spin flip are one entry (the lexicographically smaller), standing for the
even combination, which is what an even-spin state with as many alpha as beta electrons contains. A row
``sum_k H_ik psi_rep(k)`` is then the row of the plain Hamiltonian on the unfolded amplitudes, so that local
energies come out unchanged; only the weights carry the multiplicity (1 or 2) of each entry.

The one caller of :func:`~nnbf.determinants.slater_condon.connections_of`: another way to make connections
(an accelerator's) takes its place here.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.sparse

from hamiltonians.compiled import compiled
from nnbf.determinants.configurations import multiplicities
from nnbf.determinants.hashing import Amplitudes, canonicalise, fill, find, grown, hash_words
from nnbf.determinants.integral_tables import IntegralTables
from nnbf.determinants.parallel import map_row_blocks, map_tasks, n_threads
from nnbf.determinants.slater_condon import (
    Scratch,
    connections_of,
    diagonal_elements,
    max_connections,
    new_scratch,
)


class Rounding(NamedTuple):
    """Small elements of H off the diagonal, at random but right on average: 0 or +-``cut``."""

    cut: float
    """Smaller ones (Hartree) become ``cut``, with their sign, with probability ``|H_ij| / cut``. The variance
    of local energies grows by at most ``cut`` times the largest sum of small ``|H_ij|`` in a row."""
    seed: int
    """Of the random numbers; these depend on it, the row and the place in it alone."""


class ConnectedSpace(NamedTuple):
    """Determinants outside V that the Hamiltonian reaches, with their first-order sums."""

    determinants: np.ndarray
    """(n, 2 W) bit strings, none of them in V."""
    couplings: np.ndarray
    """(n,) ``sum_{i in V} H_ji psi_i``, Hartree, psi normalised over all (unfolded) determinants."""
    diagonal: np.ndarray
    """(n,) ``H_jj``, Hartree."""


def flat_connections(
    tables: IntegralTables,
    determinants: np.ndarray,
    threshold: float = 0.0,
    rounding: Rounding | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All determinants connected to each of the given ones, itself first.

    Args:
        tables: Integral tables.
        determinants: (n, 2 W) bit strings, repetitions allowed.
        threshold: Off-diagonal elements below this magnitude (Hartree) are skipped.
        rounding: How smaller ones among the others are rounded; None: they stay as they are.

    Returns:
        ``(counts, connected, elements)``: connections a row (n,), bit strings (sum, 2 W) and matrix
        elements (sum,), Hartree.
    """
    if len(determinants) == 0:
        return np.zeros(0, np.int64), determinants.copy(), np.zeros(0)
    capacity = most_connections(tables, determinants)
    diagonal = diagonal_elements(tables, determinants)
    cut, seed = (0.0, 0) if rounding is None else rounding
    # A block's work arrays are allocated for the worst case: keep them near 2e6 entries.
    block = max(1, min(-(-len(determinants) // 8), 2_000_000 // capacity))
    blocks = map_row_blocks(
        lambda lo, hi: _flat_rows(tables, determinants, diagonal, lo, hi, threshold, capacity, cut, seed),
        len(determinants),
        block,
    )
    counts, connected, elements = map(np.concatenate, zip(*blocks, strict=True))
    return counts, connected, elements


def hamiltonian_matrix(
    tables: IntegralTables,
    determinants: np.ndarray,
    fold: bool = False,
    threshold: float = 0.0,
    columns: np.ndarray | None = None,
) -> scipy.sparse.csr_matrix:
    """Rows of the Hamiltonian as a sparse matrix: see the module.

    Args:
        tables: Integral tables.
        determinants: (n, 2 W) distinct bit strings, representatives where ``fold``.
        fold: Whether entries stand for spin-flip pairs. The matrix is then not symmetric;
            ``sqrt(m_i / m_j) A_ij`` is, with the multiplicities ``m``.
        threshold: Off-diagonal elements below this magnitude (Hartree) are left out.
        columns: (m, 2 W) distinct bit strings that the rows are restricted to; default ``determinants``.

    Returns:
        (n, m) CSR matrix, diagonal included, Hartree.
    """
    columns = determinants if columns is None else columns
    shape = (len(determinants), len(columns))
    if 0 in shape:
        return scipy.sparse.csr_matrix(shape)
    listed = Amplitudes.listed(columns, fold=fold)
    capacity = most_connections(tables, determinants)
    diagonal = diagonal_elements(tables, determinants)
    blocks = map_row_blocks(
        lambda lo, hi: _listed_rows(tables, determinants, diagonal, lo, hi, listed, threshold, capacity),
        len(determinants),
    )
    counts, indices, data = map(np.concatenate, zip(*blocks, strict=True))
    indptr = np.concatenate([[0], np.cumsum(counts)])
    if indptr[-1] < 2**31:
        indptr = indptr.astype(np.int32)
    else:
        indices = indices.astype(np.int64)
    matrix = scipy.sparse.csr_matrix((data, indices, indptr), shape=shape)
    matrix.sum_duplicates()
    return matrix


def symmetrised(matrix: scipy.sparse.csr_matrix, multiplicity: np.ndarray) -> scipy.sparse.csr_matrix:
    """The symmetric form of a folded matrix: the Hamiltonian in the orthonormal folded basis."""
    root = np.sqrt(multiplicity)
    return scipy.sparse.diags(root) @ matrix @ scipy.sparse.diags(1.0 / root)


def applied_rows(
    tables: IntegralTables, determinants: np.ndarray, psi: Amplitudes, n_first: int, shift: float = 0.0
) -> np.ndarray:
    """Rows of ``(H - shift) psi`` (n, 2): from the first entries of a list, and from the others.

    Args:
        tables: Integral tables.
        determinants: (n, 2 W) bit strings.
        psi: Amplitudes; what is not listed counts as zero.
        n_first: Entries that the first column sums over.
        shift: Hartree.
    """
    out = np.empty((len(determinants), 2))
    if len(determinants):
        rows, diagonal = np.ascontiguousarray(determinants), diagonal_elements(tables, determinants) - shift
        capacity = most_connections(tables, rows)
        map_row_blocks(
            lambda lo, hi: _applied_rows(tables, rows, diagonal, lo, hi, psi, n_first, capacity, out),
            len(rows),
            max(1, min(4096, -(-len(rows) // 8))),
        )
    return out


def scattered_rows(
    tables: IntegralTables, psi: Amplitudes, multiplicity: np.ndarray, n_first: int, shift: float = 0.0
) -> np.ndarray:
    """``(H - shift) psi`` (k,) of every entry of a list, from the rows of its first entries alone.

    Args:
        tables: Integral tables.
        psi: Amplitudes (k,).
        multiplicity: How many determinants each entry stands for, (k,).
        n_first: Entries that have their rows summed.
        shift: Hartree.
    """
    out = np.zeros(len(psi.keys))
    first = psi.keys[:n_first]
    diagonal = diagonal_elements(tables, first) - shift
    _scattered_rows(tables, diagonal, psi, multiplicity, most_connections(tables, first), out)
    return out


def connected_space(
    tables: IntegralTables,
    determinants: np.ndarray,
    amplitudes: np.ndarray,
    fold: bool = False,
    threshold: float = 0.0,
    n_partitions: int | None = None,
) -> ConnectedSpace:
    """Determinants outside V reached from V, merged, with ``sum_i H_ji psi_i``.

    Args:
        tables: Integral tables.
        determinants: V, (n, 2 W).
        amplitudes: psi on V, (n,), any normalisation.
        fold: Whether V holds spin-flip representatives.
        threshold: Contributions ``|H_ji psi_i| < threshold`` (Hartree, psi normalised) are skipped,
            which drops determinants that no large amplitude reaches.
        n_partitions: Number of hash partitions; memory of one pass falls with it.

    Returns:
        The connected space, ordered by partition and first encounter (deterministic).
    """
    parts = connected_partitions(tables, determinants, amplitudes, fold, threshold, n_partitions)
    keys, sums = map(np.concatenate, zip(*parts, strict=True))
    return ConnectedSpace(keys, sums, diagonal_elements(tables, keys))


def connected_partitions(
    tables: IntegralTables,
    determinants: np.ndarray,
    amplitudes: np.ndarray,
    fold: bool,
    threshold: float,
    n_partitions: int | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (determinants, couplings) of every hash partition; one a thread is made at a time."""
    multiplicity = multiplicities(determinants, fold)
    amplitudes = np.asarray(amplitudes, dtype=np.float64)
    amplitudes = amplitudes / np.sqrt(np.sum(multiplicity * amplitudes**2))
    capacity = most_connections(tables, determinants)
    workers = n_threads()
    if n_partitions is None:
        # About 40 bytes an entry, at most some 2e7 new determinants a pass.
        n_partitions = workers * max(1, int(len(determinants) * capacity / 2e8))
    known = Amplitudes.listed(determinants, fold=fold)
    # Rows by falling amplitude: the table then meets its important entries first.
    order = np.argsort(-np.abs(amplitudes), kind="stable")
    rows, values = determinants[order], amplitudes[order] * multiplicity[order]
    screen = np.abs(amplitudes[order])
    for start in range(0, n_partitions, workers):
        tasks = [
            (tables, rows, values, screen, known, threshold, capacity, p, n_partitions)
            for p in range(start, min(start + workers, n_partitions))
        ]
        yield from map_tasks(_accumulated_couplings, tasks)


def most_connections(tables: IntegralTables, determinants: np.ndarray) -> int:
    """Upper bound on the connections of determinants with the same electrons, themselves included."""
    alpha, beta = np.bitwise_count(determinants[0]).reshape(2, -1).sum(axis=1).tolist()
    return max_connections(tables.n_orbitals, alpha, beta) + 1


@compiled()
def _rounded(determinant, connected, values, count, cut, seed):
    """Connections that are left where small elements are rounded; the first ones in place."""
    start = hash_words(determinant) ^ np.uint64(seed)
    kept = 0
    for k in range(count):
        size = abs(values[k])
        value = values[k]
        if size < cut:
            # The numbers of splitmix64, each from its place.
            h = start + np.uint64(k + 1) * np.uint64(0x9E3779B97F4A7C15)
            h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            h ^= h >> np.uint64(31)
            if np.float64(h >> np.uint64(11)) * 2.0**-53 * cut >= size:
                continue
            value = cut if value > 0.0 else -cut
        for w in range(connected.shape[1]):
            connected[kept, w] = connected[k, w]
        values[kept] = value
        kept += 1
    return kept


@compiled()
def _flat_rows(tables, determinants, diagonal, lo, hi, threshold, capacity, cut, seed):
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
        count = connections_of(tables, determinants[row], threshold, scratch)
        if cut > 0.0:
            count = _rounded(determinants[row], scratch.connected, scratch.values, count, cut, seed)
        count += 1
        counts[row - lo] = count
        used += count
    return counts, out[:used].copy(), values[:used].copy()


@compiled()
def _listed_row(tables, determinant, diagonal, threshold, listed, scratch, positions, elements):
    """Positions in a list and elements of one row of H, the diagonal first."""
    used = 0
    own = find(listed.slots, listed.keys, determinant, hash_words(determinant))
    if own >= 0:
        positions[0], elements[0] = own, diagonal
        used = 1
    count = connections_of(tables, determinant, threshold, scratch)
    for k in range(count):
        words = scratch.connected[k]
        if listed.fold:
            canonicalise(words)
        position = find(listed.slots, listed.keys, words, hash_words(words))
        if position >= 0:
            positions[used], elements[used] = position, scratch.values[k]
            used += 1
    return used


@compiled()
def _listed_rows(tables, rows, diagonal, lo, hi, listed, threshold, capacity):
    """Rows ``lo`` to ``hi`` of H on the columns of a list: (counts, positions, elements)."""
    scratch = new_scratch(tables.n_orbitals, rows.shape[1], capacity)
    counts = np.zeros(hi - lo, np.int64)
    room = 1024
    positions, elements = np.empty(room, np.int32), np.empty(room)
    used = 0
    for row in range(lo, hi):
        if used + capacity > room:
            room = max(2 * room, used + capacity)
            positions, elements = grown(positions, used, room), grown(elements, used, room)
        count = _listed_row(
            tables, rows[row], diagonal[row], threshold, listed, scratch, positions[used:], elements[used:]
        )
        counts[row - lo] = count
        used += count
    return counts, positions[:used].copy(), elements[:used].copy()


@compiled()
def _applied_rows(tables, rows, diagonal, lo, hi, psi, n_first, capacity, out):
    scratch = new_scratch(tables.n_orbitals, rows.shape[1], capacity)
    positions, elements = np.empty(capacity, np.int64), np.empty(capacity)
    for row in range(lo, hi):
        count = _listed_row(tables, rows[row], diagonal[row], 0.0, psi, scratch, positions, elements)
        first = other = 0.0
        for k in range(count):
            if positions[k] < n_first:
                first += elements[k] * psi.values[positions[k]]
            else:
                other += elements[k] * psi.values[positions[k]]
        out[row, 0] = first
        out[row, 1] = other


@compiled()
def _scattered_rows(tables, diagonal, psi, multiplicity, capacity, out):
    scratch = new_scratch(tables.n_orbitals, psi.keys.shape[1], capacity)
    positions, elements = np.empty(capacity, np.int64), np.empty(capacity)
    for row in range(len(diagonal)):
        count = _listed_row(tables, psi.keys[row], diagonal[row], 0.0, psi, scratch, positions, elements)
        for k in range(count):
            # One entry stands for several determinants: H is symmetric between determinants only.
            position = positions[k]
            out[position] += elements[k] * psi.values[row] * multiplicity[row] / multiplicity[position]


@compiled()
def _accumulated_couplings(tables, rows, values, screen, known, threshold, capacity, partition, n_partitions):
    """Determinants outside a list that its rows reach, and ``sum_i H_ji psi_i``, of one hash partition.

    Rows come the important ones first, ``values`` are psi times multiplicity. Rows with ``screen`` 0 are
    skipped, others screened by ``threshold / screen``.
    """
    n_total = rows.shape[1]
    scratch = new_scratch(tables.n_orbitals, n_total, capacity)
    out, elements = scratch.connected, scratch.values
    slots = np.full(1 << 12, -1, np.int64)
    room = 1 << 11
    keys, sums = np.empty((room, n_total), np.uint64), np.empty(room)
    used = 0
    for row in range(rows.shape[0]):
        if screen[row] == 0.0:
            continue
        count = connections_of(tables, rows[row], threshold / screen[row], scratch)
        for k in range(count):
            orbit = canonicalise(out[k]) if known.fold else 1
            h = hash_words(out[k])
            # The low bits choose the slot: the partition takes high ones.
            if np.int64((h >> np.uint64(40)) % np.uint64(n_partitions)) != partition:
                continue
            contribution = elements[k] * values[row] / orbit
            position = find(slots, keys, out[k], h)
            if position >= 0:
                sums[position] += contribution
                continue
            if find(known.slots, known.keys, out[k], h) >= 0:
                continue
            keys[used] = out[k]
            sums[used] = contribution
            slots[-1 - position] = used
            used += 1
            if used == room:
                room *= 2
                keys, sums = grown(keys, used, room), grown(sums, used, room)
                slots = np.full(2 * slots.shape[0], -1, np.int64)
                fill(slots, keys, used)
    return keys[:used].copy(), sums[:used].copy()
