r"""Reduced density matrices of expansions in determinants, as compiled sums over rows.

All sums are of the transition form

.. math:: \sum_i a_i \sum_j \psi_j \langle i | O | j \rangle

over rows (i, a_i) and a lookup table (j, psi_j). With ``a_i = psi_i`` this is the expectation value of
a normalised state; with ``a_i = n_i / (n psi_i)`` for determinants i that were drawn n_i times out of
n from psi^2 it is the Monte Carlo estimate, if the table holds all that O reaches from the rows.

With ``fold`` rows and table are spin-flip representatives of an even state, and ``a_i`` carries the
multiplicity. Operators of alpha and beta electrons are then averaged, which restores exactly what the
flipped rows would have contributed.
"""

import numpy as np
from numba import njit

from nnbf.determinants.hashing import canonicalise, find, hash_words
from nnbf.determinants.parallel import map_tasks, n_threads
from nnbf.determinants.slater_condon import _between, _empty, occupied_orbitals


def one_body_sums(
    rows: np.ndarray,
    weights: np.ndarray,
    table: np.ndarray,
    slots: np.ndarray,
    amplitudes: np.ndarray,
    irreps: np.ndarray,
    fold: bool,
) -> np.ndarray:
    """One-particle density matrices ``<a+_p a_q>`` of both spins in the form the module describes.

    Args:
        rows: (n, 2 W) bit strings i.
        weights: (n,) a_i.
        table: (k, 2 W) bit strings j.
        slots: Hash table of ``table`` (``build_hash_table``).
        amplitudes: (k,) psi_j.
        irreps: (M,) XOR codes of the orbitals: elements between irreps are taken as zero. All zeros
            switches this off.
        fold: Whether bit strings are spin-flip representatives.

    Returns:
        (2, M, M), alpha and beta; symmetric only as far as the sum is an expectation value.
    """
    n = len(irreps)

    def run(lo, hi):
        out = np.zeros((2, n, n))
        _one_body_rows(rows, weights, lo, hi, table, slots, amplitudes, irreps, fold, out)
        return out

    total = _sum_of_parts(run, len(rows), (2, n, n))
    if fold:
        total[:] = total.mean(axis=0)
    return total


def two_body_sums(
    rows: np.ndarray,
    weights: np.ndarray,
    table: np.ndarray,
    slots: np.ndarray,
    amplitudes: np.ndarray,
    irreps: np.ndarray,
    fold: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Two-particle density matrices ``<a+_p a+_r a_s a_q>`` as matrices between pairs (p, r) and (q, s).

    One triangle of each matrix is summed and mirrored, as real expectation values allow. Arguments as in
    :func:`one_body_sums`.

    Returns:
        ``(same, mixed)``: same spin (2, P, P) over pairs ``p < r`` with index ``r (r - 1) / 2 + p``;
        alpha-beta (M^2, M^2) over pairs (alpha p, beta r) with index ``p M + r``.
    """
    n = len(irreps)
    pairs = n * (n - 1) // 2

    def run(lo, hi):
        same, mixed = np.zeros((2, pairs, pairs)), np.zeros((n * n, n * n))
        _two_body_rows(rows, weights, lo, hi, table, slots, amplitudes, irreps, fold, same, mixed)
        return np.concatenate([same.ravel(), mixed.ravel()])

    total = _sum_of_parts(run, len(rows), (2 * pairs**2 + n**4,))
    same, mixed = total[: 2 * pairs**2].reshape(2, pairs, pairs), total[2 * pairs**2 :].reshape(n * n, n * n)
    for matrix in (*same, mixed):
        matrix += np.tril(matrix, -1).T + np.triu(matrix, 1).T
    if fold:
        same[:] = same.mean(axis=0)
        tensor = mixed.reshape(n, n, n, n)
        mixed = (0.5 * (tensor + tensor.transpose(1, 0, 3, 2))).reshape(n * n, n * n)
    return same, mixed


def _sum_of_parts(run, n_rows, shape):
    """Sum ``run(lo, hi)`` over as many parts as there are threads: each holds a result of its own."""
    block = max(1, -(-n_rows // n_threads()))
    parts = map_tasks(run, [(lo, min(lo + block, n_rows)) for lo in range(0, n_rows, block)])
    return sum(parts[1:], parts[0]) if parts else np.zeros(shape)


@njit(cache=True, nogil=True)
def _toggle(words, offset, p):
    words[offset + (p >> 6)] ^= np.uint64(1) << np.uint64(p & 63)


@njit(cache=True, nogil=True)
def lookup(words, table, slots, amplitudes, fold, work):
    """Amplitude of one bit string in a table, 0 where it is absent; ``work`` is overwritten."""
    work[:] = words
    if fold:
        canonicalise(work)
    position = find(slots, table, work, hash_words(work))
    return amplitudes[position] if position >= 0 else 0.0


@njit(cache=True, nogil=True)
def _one_body_rows(rows, weights, lo, hi, table, slots, amplitudes, irreps, fold, out):
    n = irreps.shape[0]
    n_words = rows.shape[1] // 2
    occupied = np.empty(n, np.int64)
    parity = np.empty(n + 1, np.int64)
    other = np.empty(rows.shape[1], np.uint64)
    work = np.empty(rows.shape[1], np.uint64)
    for row in range(lo, hi):
        if weights[row] == 0.0:
            continue
        other[:] = rows[row]
        own = weights[row] * lookup(other, table, slots, amplitudes, fold, work)
        for spin in range(2):
            offset = spin * n_words
            count = occupied_orbitals(rows[row], spin, n, occupied, parity)
            for x in range(count):
                p = occupied[x]
                out[spin, p, p] += own
                _toggle(other, offset, p)
                for q in range(n):
                    if irreps[p] != irreps[q] or not _empty(rows[row], offset, q):
                        continue
                    _toggle(other, offset, q)
                    value = weights[row] * lookup(other, table, slots, amplitudes, fold, work)
                    _toggle(other, offset, q)
                    out[spin, p, q] += -value if _between(parity, p, q) else value
                _toggle(other, offset, p)


@njit(cache=True, nogil=True)
def _add_pair(matrix, p, r, q, s, value):
    """Add <a+_p a+_r a_s a_q> of one spin to the matrix over ordered pairs."""
    left = r * (r - 1) // 2 + p
    if p > r:
        left = p * (p - 1) // 2 + r
        value = -value
    right = s * (s - 1) // 2 + q
    if q > s:
        right = q * (q - 1) // 2 + s
        value = -value
    matrix[left, right] += value


@njit(cache=True, nogil=True)
def _two_body_rows(rows, weights, lo, hi, table, slots, amplitudes, irreps, fold, same, mixed):
    n = irreps.shape[0]
    n_words = rows.shape[1] // 2
    occupied = np.empty((2, n), np.int64)
    parity = np.empty((2, n + 1), np.int64)
    counts = np.empty(2, np.int64)
    other = np.empty(rows.shape[1], np.uint64)
    work = np.empty(rows.shape[1], np.uint64)
    for row in range(lo, hi):
        weight = weights[row]
        if weight == 0.0:
            continue
        determinant = rows[row]
        other[:] = determinant
        for spin in range(2):
            counts[spin] = occupied_orbitals(determinant, spin, n, occupied[spin], parity[spin])
        own = weight * lookup(other, table, slots, amplitudes, fold, work)
        _two_body_diagonal(occupied, counts, n, own, same, mixed)
        for spin in range(2):
            offset = spin * n_words
            for x in range(counts[spin]):
                p = occupied[spin, x]
                # One of (p, q) and (q, p) is enough: the matrices are mirrored.
                for q in range(p):
                    if irreps[p] != irreps[q] or not _empty(determinant, offset, q):
                        continue
                    _toggle(other, offset, p)
                    _toggle(other, offset, q)
                    value = weight * lookup(other, table, slots, amplitudes, fold, work)
                    _toggle(other, offset, p)
                    _toggle(other, offset, q)
                    if value == 0.0:
                        continue
                    if _between(parity[spin], p, q):
                        value = -value
                    for y in range(counts[spin]):
                        r = occupied[spin, y]
                        if r != p:
                            _add_pair(same[spin], p, r, q, r, value)
                    for y in range(counts[1 - spin]):
                        r = occupied[1 - spin, y]
                        if spin == 0:
                            mixed[p * n + r, q * n + r] += value
                        else:
                            mixed[r * n + p, r * n + q] += value
            _same_spin_doubles(
                determinant,
                weight,
                spin,
                occupied[spin],
                counts[spin],
                parity[spin],
                table,
                slots,
                amplitudes,
                irreps,
                fold,
                other,
                work,
                same[spin],
            )
        _mixed_doubles(
            determinant,
            weight,
            occupied,
            counts,
            parity,
            table,
            slots,
            amplitudes,
            irreps,
            fold,
            other,
            work,
            mixed,
        )


@njit(cache=True, nogil=True)
def _mixed_doubles(
    determinant, weight, occupied, counts, parity, table, slots, amplitudes, irreps, fold, other, work, mixed
):
    n = irreps.shape[0]
    n_words = determinant.shape[0] // 2
    for x in range(counts[0]):
        p = occupied[0, x]
        for q in range(n):
            if not _empty(determinant, 0, q):
                continue
            code = irreps[p] ^ irreps[q]
            _toggle(other, 0, p)
            _toggle(other, 0, q)
            for y in range(counts[1]):
                r = occupied[1, y]
                # One of (pr, qs) and (qs, pr) is enough. Which one must not depend on what is called
                # alpha: folded rows stand for both. Pairs that are exchanged are summed both ways.
                key = max(p, r) * n + min(p, r)
                _toggle(other, n_words, r)
                for s in range(n):
                    if irreps[r] ^ irreps[s] != code or not _empty(determinant, n_words, s):
                        continue
                    other_key = max(q, s) * n + min(q, s)
                    if other_key > key:
                        continue
                    _toggle(other, n_words, s)
                    value = weight * lookup(other, table, slots, amplitudes, fold, work)
                    _toggle(other, n_words, s)
                    if other_key == key:
                        value *= 0.5
                    sign = _between(parity[0], p, q) ^ _between(parity[1], r, s)
                    mixed[p * n + r, q * n + s] += -value if sign else value
                _toggle(other, n_words, r)
            _toggle(other, 0, p)
            _toggle(other, 0, q)


@njit(cache=True, nogil=True)
def _two_body_diagonal(occupied, counts, n, own, same, mixed):
    for spin in range(2):
        for y in range(counts[spin]):
            for x in range(y):
                pair = occupied[spin, y] * (occupied[spin, y] - 1) // 2 + occupied[spin, x]
                same[spin, pair, pair] += own
    for x in range(counts[0]):
        for y in range(counts[1]):
            pair = occupied[0, x] * n + occupied[1, y]
            mixed[pair, pair] += own


@njit(cache=True, nogil=True)
def _same_spin_doubles(
    determinant,
    weight,
    spin,
    occupied,
    count,
    parity,
    table,
    slots,
    amplitudes,
    irreps,
    fold,
    other,
    work,
    same,
):
    offset = spin * (determinant.shape[0] // 2)
    for y in range(count):
        j = occupied[y]
        for x in range(y):
            i = occupied[x]
            code = irreps[i] ^ irreps[j]
            left = j * (j - 1) // 2 + i
            _toggle(other, offset, i)
            _toggle(other, offset, j)
            # Pairs a < b in front of the pair i < j: b < j, or b = j, which is not empty.
            for b in range(j):
                if not _empty(determinant, offset, b):
                    continue
                for a in range(b):
                    if irreps[a] ^ irreps[b] != code or not _empty(determinant, offset, a):
                        continue
                    _toggle(other, offset, a)
                    _toggle(other, offset, b)
                    value = weight * lookup(other, table, slots, amplitudes, fold, work)
                    _toggle(other, offset, a)
                    _toggle(other, offset, b)
                    if value == 0.0:
                        continue
                    sign = _between(parity, i, a) ^ _between(parity, j, b)
                    # i has left when j moves: correct the count between j and b (a lies below both).
                    if b < i < j:
                        sign ^= 1
                    same[left, b * (b - 1) // 2 + a] += -value if sign else value
            _toggle(other, offset, i)
            _toggle(other, offset, j)
