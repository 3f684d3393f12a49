r"""Total spin of expansions in determinants: ``S^2 = S_z (S_z + 1) + S_- S_+``.

The raising operator is ``S_+ = sum_pq O_pq a+_{p alpha} a_{q beta}`` with the overlap O of alpha and
beta orbitals, which is the unit matrix where they are the same. Sums have the transition form of
:mod:`nnbf.determinants.density_sums`.
"""

import numpy as np
import scipy.sparse

from hamiltonians.compiled import compiled
from nnbf.determinants.configurations import multiplicities, spin_flip
from nnbf.determinants.density_sums import lookup_moved
from nnbf.determinants.hashing import Amplitudes, grown, lookup, merge_equal
from nnbf.determinants.parallel import map_row_blocks
from nnbf.determinants.slater_condon import between, is_empty, move, occupied_orbitals

#: Products of orbital overlaps below this are dropped: rounding of what symmetry makes zero.
SMALLEST_OVERLAP = 1e-12


def lowered_raised(
    rows: np.ndarray, psi: Amplitudes, n_orbitals: int, overlap: np.ndarray | None = None
) -> np.ndarray:
    """``sum_j <i|S_- S_+|j> psi_j`` (n,) for rows i.

    Args:
        rows: (n, 2 W) bit strings i.
        psi: psi_j; an even state where it is folded.
        n_orbitals: M.
        overlap: (M, M) overlap of alpha with beta orbitals, None where they are the same. Where the two
            sets span different spaces, this is the part inside of them.
    """
    out = np.empty(len(rows))
    square = None if overlap is None else np.ascontiguousarray(overlap, dtype=np.float64)

    def work(lo, hi):
        if square is None:
            _exchange_rows(rows, psi, n_orbitals, lo, hi, out)
        else:
            _overlap_rows(rows, psi, square, lo, hi, out)

    map_row_blocks(work, len(rows))
    return out


def spin_raising_matrix(
    determinants: np.ndarray, n_orbitals: int, fold: bool = False, overlap: np.ndarray | None = None
) -> scipy.sparse.csr_matrix:
    """S_+ as a sparse matrix from a list of determinants to those with one beta electron turned to alpha.

    ``B^T B`` is ``S_- S_+`` between the determinants of the list, if the alpha orbitals span the beta
    ones.

    Args:
        determinants: (n, 2 W) bit strings.
        n_orbitals: M.
        fold: Whether entries stand for the normalised even combination of a determinant and its flip.
        overlap: See :func:`lowered_raised`.

    Returns:
        B, (n_raised, n).
    """
    square = np.eye(n_orbitals) if overlap is None else np.ascontiguousarray(overlap, dtype=np.float64)
    members, columns = determinants, np.arange(len(determinants))
    factors = np.ones(len(determinants))
    if fold:
        copies = multiplicities(determinants)
        twice = np.flatnonzero(copies == 2)
        members = np.concatenate([determinants, spin_flip(determinants[twice])])
        columns = np.concatenate([columns, twice])
        factors = np.sqrt(1.0 / copies)[columns]
    parts = map_row_blocks(lambda lo, hi: _raised_rows(members, square, lo, hi), len(members))
    counts, raised, values = (np.concatenate([part[k] for part in parts]) for k in range(3))
    distinct, index = merge_equal(raised)
    entries = (values * np.repeat(factors, counts), (index, np.repeat(columns, counts)))
    return scipy.sparse.coo_matrix(entries, shape=(len(distinct), len(determinants))).tocsr()


@compiled()
def _exchange_rows(rows, psi, n_orbitals, lo, hi, out):
    n_words = rows.shape[1] // 2
    occupied = np.empty(n_orbitals, np.int64)
    parity = np.empty((2, n_orbitals + 1), np.int64)
    other, work = np.empty(2 * n_words, np.uint64), np.empty(2 * n_words, np.uint64)
    for row in range(lo, hi):
        for spin in range(2):
            occupied_orbitals(rows[row], spin, n_orbitals, occupied, parity[spin])
        other[:] = rows[row]
        own = lookup(psi, other, work)
        total = 0.0
        for q in range(n_orbitals):
            if not is_empty(rows[row], 0, q) or is_empty(rows[row], n_words, q):
                continue
            # S_- S_+ raises q and lowers p: p = q gives 1, p singly occupied by alpha an exchange.
            total += own
            for p in range(n_orbitals):
                if is_empty(rows[row], 0, p) or not is_empty(rows[row], n_words, p):
                    continue
                move(other, 0, p, q)
                value = lookup_moved(psi, other, n_words, q, p, work)
                move(other, 0, p, q)
                sign = between(parity[0], p, q) ^ between(parity[1], q, p)
                total += value if sign else -value
        out[row] = total


@compiled()
def _overlap_rows(rows, psi, overlap, lo, hi, out):
    n = overlap.shape[0]
    n_words = rows.shape[1] // 2
    occupied = np.empty((2, n), np.int64)
    parity = np.empty((2, n + 1), np.int64)
    other, work = np.empty(2 * n_words, np.uint64), np.empty(2 * n_words, np.uint64)
    for row in range(lo, hi):
        determinant = rows[row]
        n_alpha = occupied_orbitals(determinant, 0, n, occupied[0], parity[0])
        n_beta = occupied_orbitals(determinant, 1, n, occupied[1], parity[1])
        other[:] = determinant
        total = n_beta * lookup(psi, other, work)
        # - sum O_pq O_rs a+_r(alpha) a_p(alpha) a+_q(beta) a_s(beta)
        for r in occupied[0, :n_alpha]:
            for p in range(n):
                if not (p == r or is_empty(determinant, 0, p)):
                    continue
                move(other, 0, r, p)
                alpha_sign = 0 if p == r else between(parity[0], r, p)
                for q in occupied[1, :n_beta]:
                    if abs(overlap[p, q]) < SMALLEST_OVERLAP:
                        continue
                    for s in range(n):
                        factor = overlap[p, q] * overlap[r, s]
                        if abs(factor) < SMALLEST_OVERLAP:
                            continue
                        if not (s == q or is_empty(determinant, n_words, s)):
                            continue
                        value = factor * lookup_moved(psi, other, n_words, q, s, work)
                        sign = alpha_sign if s == q else alpha_sign ^ between(parity[1], q, s)
                        total += value if sign else -value
                move(other, 0, r, p)
        out[row] = total


@compiled()
def _raised_rows(determinants, overlap, lo, hi):
    n = overlap.shape[0]
    n_words = determinants.shape[1] // 2
    occupied = np.empty((2, n), np.int64)
    parity = np.empty((2, n + 1), np.int64)
    counts = np.zeros(hi - lo, np.int64)
    room = 1024
    raised, values = np.empty((room, 2 * n_words), np.uint64), np.empty(room)
    used = 0
    for row in range(lo, hi):
        occupied_orbitals(determinants[row], 0, n, occupied[0], parity[0])
        n_beta = occupied_orbitals(determinants[row], 1, n, occupied[1], parity[1])
        if used + n_beta * n > room:
            room = max(2 * room, used + n_beta * n)
            raised, values = grown(raised, used, room), grown(values, used, room)
        before = used
        for q in occupied[1, :n_beta]:
            for p in range(n):
                if abs(overlap[p, q]) < SMALLEST_OVERLAP or not is_empty(determinants[row], 0, p):
                    continue
                raised[used] = determinants[row]
                raised[used, p >> 6] ^= np.uint64(1) << np.uint64(p & 63)
                raised[used, n_words + (q >> 6)] ^= np.uint64(1) << np.uint64(q & 63)
                # The sign (-1)^n_alpha of passing the alpha electrons is common to all.
                values[used] = -overlap[p, q] if parity[0, p] ^ parity[1, q] else overlap[p, q]
                used += 1
        counts[row - lo] = used - before
    return counts, raised[:used].copy(), values[:used].copy()
