r"""Total spin of expansions in determinants: ``S^2 = S_z (S_z + 1) + S_- S_+``.

The raising operator is ``S_+ = sum_pq O_pq a+_{p alpha} a_{q beta}`` with the overlap O of alpha and
beta orbitals, which is the unit matrix where they are the same. Sums have the transition form of
:mod:`nnbf.determinants.density_sums`.
"""

import numpy as np
import scipy.sparse
from numba import njit

from nnbf.determinants.configurations import spin_flip, spin_flip_multiplicity
from nnbf.determinants.density_sums import _toggle, lookup
from nnbf.determinants.hashing import merge_equal
from nnbf.determinants.parallel import map_row_blocks
from nnbf.determinants.slater_condon import _between, _empty, occupied_orbitals

#: Products of orbital overlaps below this are dropped: rounding of what symmetry makes zero.
SMALLEST_OVERLAP = 1e-12


def lowered_raised(
    rows: np.ndarray,
    table: np.ndarray,
    slots: np.ndarray,
    amplitudes: np.ndarray,
    n_orbitals: int,
    fold: bool,
    overlap: np.ndarray | None = None,
) -> np.ndarray:
    """``sum_j <i|S_- S_+|j> psi_j`` (n,) for rows i.

    Args:
        rows: (n, 2 W) bit strings i.
        table: (k, 2 W) bit strings j.
        slots: Hash table of ``table``.
        amplitudes: (k,) psi_j.
        n_orbitals: M.
        fold: Whether bit strings are spin-flip representatives of an even state.
        overlap: (M, M) overlap of alpha with beta orbitals, None where they are the same. Where the two
            sets span different spaces, this is the part inside of them.
    """
    out = np.empty(len(rows))
    if overlap is None:
        map_row_blocks(
            lambda lo, hi: _exchange_rows(rows, table, slots, amplitudes, n_orbitals, fold, lo, hi, out),
            len(rows),
        )
    else:
        square = np.ascontiguousarray(overlap, dtype=np.float64)
        map_row_blocks(
            lambda lo, hi: _overlap_rows(rows, table, slots, amplitudes, square, lo, hi, out), len(rows)
        )
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
        copies = spin_flip_multiplicity(determinants)
        twice = np.flatnonzero(copies == 2)
        members = np.concatenate([determinants, spin_flip(determinants[twice])])
        columns = np.concatenate([columns, twice])
        factors = np.sqrt(1.0 / copies)[columns]
    parts = map_row_blocks(lambda lo, hi: _raised_rows(members, square, lo, hi), len(members))
    counts, raised, values = (np.concatenate([part[k] for part in parts]) for k in range(3))
    distinct, index = merge_equal(raised)
    entries = (values * np.repeat(factors, counts), (index, np.repeat(columns, counts)))
    return scipy.sparse.coo_matrix(entries, shape=(len(distinct), len(determinants))).tocsr()


@njit(cache=True, nogil=True)
def _exchange_rows(rows, table, slots, amplitudes, n_orbitals, fold, lo, hi, out):
    n_words = rows.shape[1] // 2
    occupied = np.empty(n_orbitals, np.int64)
    parity = np.empty((2, n_orbitals + 1), np.int64)
    other = np.empty(rows.shape[1], np.uint64)
    work = np.empty(rows.shape[1], np.uint64)
    for row in range(lo, hi):
        for spin in range(2):
            occupied_orbitals(rows[row], spin, n_orbitals, occupied, parity[spin])
        other[:] = rows[row]
        own = lookup(other, table, slots, amplitudes, fold, work)
        total = 0.0
        for q in range(n_orbitals):
            beta_only = parity[1, q] != parity[1, q + 1] and parity[0, q] == parity[0, q + 1]
            if not beta_only:
                continue
            # S_- S_+ raises q and lowers p: p = q gives 1, p singly occupied by alpha an exchange.
            total += own
            for p in range(n_orbitals):
                alpha_only = parity[0, p] != parity[0, p + 1] and parity[1, p] == parity[1, p + 1]
                if not alpha_only:
                    continue
                other[:] = rows[row]
                for spin in range(2):
                    _toggle(other, spin * n_words, p)
                    _toggle(other, spin * n_words, q)
                value = lookup(other, table, slots, amplitudes, fold, work)
                sign = _between(parity[0], p, q) ^ _between(parity[1], q, p)
                total += value if sign else -value
        out[row] = total


@njit(cache=True, nogil=True)
def _overlap_rows(rows, table, slots, amplitudes, overlap, lo, hi, out):
    n = overlap.shape[0]
    n_words = rows.shape[1] // 2
    occupied = np.empty((2, n), np.int64)
    parity = np.empty((2, n + 1), np.int64)
    other = np.empty(rows.shape[1], np.uint64)
    work = np.empty(rows.shape[1], np.uint64)
    for row in range(lo, hi):
        determinant = rows[row]
        n_alpha = occupied_orbitals(determinant, 0, n, occupied[0], parity[0])
        n_beta = occupied_orbitals(determinant, 1, n, occupied[1], parity[1])
        other[:] = determinant
        total = n_beta * lookup(other, table, slots, amplitudes, False, work)
        # - sum O_pq O_rs a+_r(alpha) a_p(alpha) a+_q(beta) a_s(beta)
        for x in range(n_alpha):
            r = occupied[0, x]
            _toggle(other, 0, r)
            for p in range(n):
                if not (p == r or _empty(determinant, 0, p)):
                    continue
                _toggle(other, 0, p)
                alpha_sign = 0 if p == r else _between(parity[0], r, p)
                for y in range(n_beta):
                    q = occupied[1, y]
                    if abs(overlap[p, q]) < SMALLEST_OVERLAP:
                        continue
                    _toggle(other, n_words, q)
                    for s in range(n):
                        factor = overlap[p, q] * overlap[r, s]
                        if abs(factor) < SMALLEST_OVERLAP or not (s == q or _empty(determinant, n_words, s)):
                            continue
                        _toggle(other, n_words, s)
                        value = factor * lookup(other, table, slots, amplitudes, False, work)
                        _toggle(other, n_words, s)
                        sign = alpha_sign if s == q else alpha_sign ^ _between(parity[1], q, s)
                        total += value if sign else -value
                    _toggle(other, n_words, q)
                _toggle(other, 0, p)
            _toggle(other, 0, r)
        out[row] = total


@njit(cache=True, nogil=True)
def _raised_rows(determinants, overlap, lo, hi):
    n = overlap.shape[0]
    n_total = determinants.shape[1]
    occupied = np.empty((2, n), np.int64)
    parity = np.empty((2, n + 1), np.int64)
    counts = np.zeros(hi - lo, np.int64)
    room = 1024
    raised = np.empty((room, n_total), np.uint64)
    values = np.empty(room)
    used = 0
    for row in range(lo, hi):
        n_alpha = occupied_orbitals(determinants[row], 0, n, occupied[0], parity[0])
        n_beta = occupied_orbitals(determinants[row], 1, n, occupied[1], parity[1])
        capacity = n_beta * (n - n_alpha)
        if used + capacity > room:
            room = max(2 * room, used + capacity)
            larger, larger_values = np.empty((room, n_total), np.uint64), np.empty(room)
            larger[:used], larger_values[:used] = raised[:used], values[:used]
            raised, values = larger, larger_values
        before = used
        for y in range(n_beta):
            q = occupied[1, y]
            for p in range(n):
                if abs(overlap[p, q]) < SMALLEST_OVERLAP or not _empty(determinants[row], 0, p):
                    continue
                raised[used] = determinants[row]
                _toggle(raised[used], 0, p)
                _toggle(raised[used], n_total // 2, q)
                # The sign (-1)^n_alpha of passing the alpha electrons is common to all.
                values[used] = -overlap[p, q] if parity[0, p] ^ parity[1, q] else overlap[p, q]
                used += 1
        counts[row - lo] = used - before
    return counts, raised[:used].copy(), values[:used].copy()
