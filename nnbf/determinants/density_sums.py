r"""Reduced density matrices of expansions in determinants, and the determinants that they reach.

All sums are of the transition form

.. math:: \sum_i a_i \sum_j \psi_j \langle i | O | j \rangle

over rows (i, a_i) and a lookup table (j, psi_j). With ``a_i = psi_i`` this is the expectation value of
a normalised state; with ``a_i = n_i / (n psi_i)`` for determinants i that were drawn n_i times out of
n from psi^2 it is the Monte Carlo estimate, if the table holds all that O reaches from the rows.

With ``fold`` rows and table are spin-flip representatives of an even state, and ``a_i`` carries the
multiplicity. Operators of alpha and beta electrons are then averaged, which restores exactly what the
flipped rows would have contributed.
"""

from typing import Literal

import numpy as np

from hamiltonians.compiled import compiled
from nnbf.determinants.hashing import Amplitudes, grown, lookup, merge_equal
from nnbf.determinants.parallel import map_row_blocks, map_tasks, n_threads
from nnbf.determinants.slater_condon import between, is_empty, move, occupied_orbitals

_MODES = {"exchange": 0, "mixed": 1, "all": 2}


def one_body_sums(rows: np.ndarray, weights: np.ndarray, psi: Amplitudes, irreps: np.ndarray) -> np.ndarray:
    """One-particle density matrices ``<a+_p a_q>`` of both spins in the form the module describes.

    Args:
        rows: (n, 2 W) bit strings i.
        weights: (n,) a_i.
        psi: psi_j.
        irreps: (M,) XOR codes of the orbitals: elements between irreps are taken as zero. All zeros
            switches this off.

    Returns:
        (2, M, M), alpha and beta; symmetric only as far as the sum is an expectation value.
    """
    n = len(irreps)

    def run(lo, hi):
        out = np.zeros((2, n, n))
        _one_body_rows(rows, weights, lo, hi, psi, irreps, out)
        return out

    total = _sum_of_parts(run, len(rows), (2, n, n))
    if psi.fold:
        total[:] = total.mean(axis=0)
    return total


def two_body_sums(
    rows: np.ndarray, weights: np.ndarray, psi: Amplitudes, irreps: np.ndarray
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
        _two_body_rows(rows, weights, lo, hi, psi, irreps, same, mixed)
        return np.concatenate([same.ravel(), mixed.ravel()])

    total = _sum_of_parts(run, len(rows), (2 * pairs**2 + n**4,))
    same, mixed = total[: 2 * pairs**2].reshape(2, pairs, pairs), total[2 * pairs**2 :].reshape(n * n, n * n)
    for matrix in (*same, mixed):
        matrix += np.tril(matrix, -1).T + np.triu(matrix, 1).T
    if psi.fold:
        same[:] = same.mean(axis=0)
        tensor = mixed.reshape(n, n, n, n)
        mixed = (0.5 * (tensor + tensor.transpose(1, 0, 3, 2))).reshape(n * n, n * n)
    return same, mixed


def excited_determinants(
    determinants: np.ndarray, irreps: np.ndarray, doubles: Literal["exchange", "mixed", "all"]
) -> np.ndarray:
    """The given determinants, and all that singles and some doubles reach from them, each once.

    Args:
        determinants: (n, 2 W) distinct bit strings.
        irreps: (M,) XOR codes of the orbitals; what leaves the irrep is left out. Zeros switch this off.
        doubles: "exchange": only exchanges of the spins of two singly occupied orbitals; "mixed": one
            alpha and one beta electron; "all": all.

    Returns:
        (k, 2 W), beginning with ``determinants``.
    """
    parts = map_row_blocks(
        lambda lo, hi: _excited_rows(determinants, irreps, _MODES[doubles], lo, hi), len(determinants)
    )
    merged, _ = merge_equal(np.concatenate([determinants, *(merge_equal(part)[0] for part in parts)]))
    return merged


def _sum_of_parts(run, n_rows, shape):
    """Sum ``run(lo, hi)`` over as many parts as there are threads: each holds a result of its own."""
    block = max(1, -(-n_rows // n_threads()))
    parts = map_tasks(run, [(lo, min(lo + block, n_rows)) for lo in range(0, n_rows, block)])
    return sum(parts[1:], parts[0]) if parts else np.zeros(shape)


@compiled()
def lookup_moved(psi, words, offset, p, q, work):
    """Amplitude of a bit string with the electron in p moved to q."""
    move(words, offset, p, q)
    value = lookup(psi, words, work)
    move(words, offset, p, q)
    return value


@compiled()
def _one_body_rows(rows, weights, lo, hi, psi, irreps, out):
    n = irreps.shape[0]
    n_words = rows.shape[1] // 2
    occupied = np.empty(n, np.int64)
    parity = np.empty(n + 1, np.int64)
    other, work = np.empty(2 * n_words, np.uint64), np.empty(2 * n_words, np.uint64)
    for row in range(lo, hi):
        if weights[row] == 0.0:
            continue
        other[:] = rows[row]
        own = weights[row] * lookup(psi, other, work)
        for spin in range(2):
            offset = spin * n_words
            count = occupied_orbitals(rows[row], spin, n, occupied, parity)
            for p in occupied[:count]:
                out[spin, p, p] += own
                for q in range(n):
                    if irreps[p] == irreps[q] and is_empty(rows[row], offset, q):
                        value = weights[row] * lookup_moved(psi, other, offset, p, q, work)
                        out[spin, p, q] += -value if between(parity, p, q) else value


@compiled()
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


@compiled()
def _two_body_rows(rows, weights, lo, hi, psi, irreps, same, mixed):
    n = irreps.shape[0]
    n_words = rows.shape[1] // 2
    occupied = np.empty((2, n), np.int64)
    parity = np.empty((2, n + 1), np.int64)
    counts = np.empty(2, np.int64)
    other, work = np.empty(2 * n_words, np.uint64), np.empty(2 * n_words, np.uint64)
    for row in range(lo, hi):
        weight = weights[row]
        if weight == 0.0:
            continue
        determinant = rows[row]
        other[:] = determinant
        for spin in range(2):
            counts[spin] = occupied_orbitals(determinant, spin, n, occupied[spin], parity[spin])
        alpha, beta = occupied[0, : counts[0]], occupied[1, : counts[1]]
        _two_body_diagonal(alpha, beta, n, weight * lookup(psi, other, work), same, mixed)
        for spin in range(2):
            offset = spin * n_words
            own, others = (alpha, beta) if spin == 0 else (beta, alpha)
            for p in own:
                # One of (p, q) and (q, p) is enough: the matrices are mirrored.
                for q in range(p):
                    if irreps[p] != irreps[q] or not is_empty(determinant, offset, q):
                        continue
                    value = weight * lookup_moved(psi, other, offset, p, q, work)
                    if value == 0.0:
                        continue
                    if between(parity[spin], p, q):
                        value = -value
                    for r in own:
                        if r != p:
                            _add_pair(same[spin], p, r, q, r, value)
                    for r in others:
                        if spin == 0:
                            mixed[p * n + r, q * n + r] += value
                        else:
                            mixed[r * n + p, r * n + q] += value
            _same_spin_doubles(weight, offset, own, parity[spin], psi, irreps, other, work, same[spin])
        _mixed_doubles(weight, alpha, beta, parity, psi, irreps, other, work, mixed)


@compiled()
def _two_body_diagonal(alpha, beta, n, own, same, mixed):
    for spin in range(2):
        occupied = alpha if spin == 0 else beta
        for y in range(len(occupied)):
            for x in range(y):
                pair = occupied[y] * (occupied[y] - 1) // 2 + occupied[x]
                same[spin, pair, pair] += own
    for p in alpha:
        for r in beta:
            mixed[p * n + r, p * n + r] += own


@compiled()
def _mixed_doubles(weight, alpha, beta, parity, psi, irreps, other, work, mixed):
    n = irreps.shape[0]
    n_words = other.shape[0] // 2
    for p in alpha:
        for q in range(n):
            if not is_empty(other, 0, q):
                continue
            code = irreps[p] ^ irreps[q]
            move(other, 0, p, q)
            for r in beta:
                # One of (pr, qs) and (qs, pr) is enough. Which one must not depend on what is called
                # alpha: folded rows stand for both. Pairs that are exchanged are summed both ways.
                key = max(p, r) * n + min(p, r)
                for s in range(n):
                    if irreps[r] ^ irreps[s] != code or not is_empty(other, n_words, s):
                        continue
                    other_key = max(q, s) * n + min(q, s)
                    if other_key > key:
                        continue
                    value = weight * lookup_moved(psi, other, n_words, r, s, work)
                    if other_key == key:
                        value *= 0.5
                    sign = between(parity[0], p, q) ^ between(parity[1], r, s)
                    mixed[p * n + r, q * n + s] += -value if sign else value
            move(other, 0, p, q)


@compiled()
def _same_spin_doubles(weight, offset, occupied, parity, psi, irreps, other, work, same):
    for y in range(len(occupied)):
        j = occupied[y]
        for i in occupied[:y]:
            code = irreps[i] ^ irreps[j]
            left = j * (j - 1) // 2 + i
            # Pairs a < b in front of the pair i < j: b < j, or b = j, which is not empty.
            for b in range(j):
                if not is_empty(other, offset, b):
                    continue
                for a in range(b):
                    if irreps[a] ^ irreps[b] != code or not is_empty(other, offset, a):
                        continue
                    move(other, offset, j, b)
                    value = weight * lookup_moved(psi, other, offset, i, a, work)
                    move(other, offset, j, b)
                    if value == 0.0:
                        continue
                    sign = between(parity, i, a) ^ between(parity, j, b)
                    # i has left when j moves: correct the count between j and b (a lies below both).
                    if b < i < j:
                        sign ^= 1
                    same[left, b * (b - 1) // 2 + a] += -value if sign else value


@compiled()
def _append(out, used, determinant, offset, i, a, other_offset, j, b):
    """Write a determinant with electrons moved from i to a and from j to b; the list, and its length."""
    if used == out.shape[0]:
        out = grown(out, used, 2 * used)
    out[used] = determinant
    move(out[used], offset, i, a)
    move(out[used], other_offset, j, b)
    return out, used + 1


@compiled()
def _excited_rows(determinants, irreps, mode, lo, hi):
    n = irreps.shape[0]
    n_words = determinants.shape[1] // 2
    occupied = np.empty((2, n), np.int64)
    parity = np.empty(n + 1, np.int64)
    counts = np.empty(2, np.int64)
    out, used = np.empty((1024, 2 * n_words), np.uint64), 0
    for row in range(lo, hi):
        determinant = determinants[row]
        for spin in range(2):
            counts[spin] = occupied_orbitals(determinant, spin, n, occupied[spin], parity)
        for spin in range(2):
            offset = spin * n_words
            for x in range(counts[spin]):
                i = occupied[spin, x]
                for a in range(n):
                    if irreps[i] == irreps[a] and is_empty(determinant, offset, a):
                        out, used = _append(out, used, determinant, offset, i, a, offset, 0, 0)
                if mode < 2:
                    continue
                for j in occupied[spin, :x]:
                    for a in range(n):
                        if not is_empty(determinant, offset, a):
                            continue
                        for b in range(a):
                            code = irreps[i] ^ irreps[j] ^ irreps[a] ^ irreps[b]
                            if code == 0 and is_empty(determinant, offset, b):
                                out, used = _append(out, used, determinant, offset, i, a, offset, j, b)
        for i in occupied[0, : counts[0]]:
            for j in occupied[1, : counts[1]]:
                for a in range(n):
                    if not is_empty(determinant, 0, a) or (mode == 0 and a != j):
                        continue
                    for b in range(n):
                        if not is_empty(determinant, n_words, b) or (mode == 0 and b != i):
                            continue
                        if irreps[i] ^ irreps[j] ^ irreps[a] ^ irreps[b] == 0:
                            out, used = _append(out, used, determinant, 0, i, a, n_words, j, b)
    return out[:used].copy()
