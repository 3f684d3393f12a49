"""Integral tables in the order in which the determinant kernels read them.

Doubles are stored, for every pair of orbitals that is emptied, as a list of the pairs that can be
filled, sorted by falling ``|H_ij|``: a loop over it stops at the first entry under a threshold
(heat-bath order; Holmes, Tubman, Umrigar, JCTC 12, 3674 (2016)). Singles use the spectator sums
``(ia|kk) - (ik|ka)``, so that one pass over the occupied orbitals gives the whole element.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

#: Two-electron integrals below this magnitude (Hartree) are dropped from the lists of doubles.
INTEGRAL_CUTOFF = 1e-13


class IntegralTables(NamedTuple):
    """Everything the determinant kernels need; built by :func:`build_tables`."""

    n_orbitals: int
    """Number of spatial orbitals M."""
    constant: float
    """Nuclear repulsion plus frozen core, Hartree."""
    one_body: np.ndarray
    """One-electron integrals (2, M, M), alpha then beta."""
    same_single: np.ndarray
    """(2, M, M, M): ``[s, i, a, k] = (ia|kk) - (ik|ka)`` for a spectator k of the same spin."""
    other_single: np.ndarray
    """(2, M, M, M): ``[s, i, a, k] = (ia|kk)`` for a spectator k of the other spin."""
    same_pointers: np.ndarray
    """(2, n_pairs + 1): start of the list of each same-spin pair ``i < j``, index ``j (j-1) / 2 + i``."""
    same_targets: np.ndarray
    """(2, n, 2): filled pairs ``a < b`` of the same-spin lists, int16."""
    same_values: np.ndarray
    """(2, n): ``(ai|bj) - (aj|bi)``."""
    mixed_pointers: np.ndarray
    """(M^2 + 1,): start of the list of each pair (alpha i, beta j), index ``i M + j``."""
    mixed_targets: np.ndarray
    """(n, 2): filled pairs (alpha a, beta b), int16."""
    mixed_values: np.ndarray
    """(n,): ``(ai|bj)``."""


def build_tables(integrals, cutoff: float = INTEGRAL_CUTOFF) -> IntegralTables:
    """Build the kernels' tables from ``hamiltonians.MolecularIntegrals``.

    Args:
        integrals: Constant, one-body and packed two-body integrals, Hartree.
        cutoff: Doubles with a smaller magnitude are left out (Hartree).

    Returns:
        The tables. Their size is O(M^3) plus the number of non-negligible two-electron integrals.
    """
    n = integrals.n_orbitals
    one_body = np.asarray(integrals.one_body, dtype=np.float64)
    if one_body.ndim == 2:
        one_body = np.stack([one_body, one_body])
    two_body = np.asarray(integrals.two_body, dtype=np.float64)
    blocks = two_body[None] if two_body.ndim == 2 else two_body
    same_blocks = (blocks[0], blocks[0] if len(blocks) == 1 else blocks[2])
    mixed_block = blocks[0] if len(blocks) == 1 else blocks[1]

    same_single = np.empty((2, n, n, n))
    other_single = np.empty((2, n, n, n))
    for spin in range(2):
        _spectator_sums(same_blocks[spin], n, True, same_single[spin])
    _spectator_sums(mixed_block, n, False, other_single[0])
    _spectator_sums(mixed_block if len(blocks) == 1 else mixed_block.T.copy(), n, False, other_single[1])

    restricted = len(blocks) == 1
    lists = [_same_spin_lists(same_blocks[0], n, cutoff)]
    lists.append(lists[0] if restricted else _same_spin_lists(same_blocks[1], n, cutoff))
    longest = max(len(values) for _, _, values in lists)
    same_targets = np.zeros((2, longest, 2), dtype=np.int16)
    same_values = np.zeros((2, longest))
    for spin, (_, targets, values) in enumerate(lists):
        same_targets[spin, : len(values)] = targets
        same_values[spin, : len(values)] = values
    mixed = _mixed_spin_lists(mixed_block, n, cutoff)
    return IntegralTables(
        n_orbitals=n,
        constant=float(integrals.constant),
        # A copy: read-only arrays are another type to numba, and every kernel would be compiled again.
        one_body=np.array(one_body, order="C"),
        same_single=same_single,
        other_single=other_single,
        same_pointers=np.stack([lists[0][0], lists[1][0]]),
        same_targets=same_targets,
        same_values=same_values,
        mixed_pointers=mixed[0],
        mixed_targets=mixed[1],
        mixed_values=mixed[2],
    )


@njit(cache=True, inline="always")
def _pair(p, q):
    return p * (p + 1) // 2 + q if p >= q else q * (q + 1) // 2 + p


@njit(cache=True, nogil=True)
def _spectator_sums(block, n, exchange, out):
    for i in range(n):
        for a in range(n):
            ia = _pair(i, a)
            for k in range(n):
                value = block[ia, _pair(k, k)]
                if exchange:
                    value -= block[_pair(i, k), _pair(k, a)]
                out[i, a, k] = value


@njit(cache=True, nogil=True)
def _same_spin_lists(block, n, cutoff):
    n_pairs = n * (n - 1) // 2
    pointers = np.zeros(n_pairs + 1, np.int64)
    for counting in (True, False):
        if not counting:
            total = pointers[n_pairs]
            targets = np.empty((total, 2), np.int16)
            values = np.empty(total)
        for j in range(n):
            for i in range(j):
                pair = j * (j - 1) // 2 + i
                start = pointers[pair]
                count = 0
                for b in range(n):
                    if b == i or b == j:
                        continue
                    for a in range(b):
                        if a == i or a == j:
                            continue
                        value = block[_pair(a, i), _pair(b, j)] - block[_pair(a, j), _pair(b, i)]
                        if abs(value) > cutoff:
                            if not counting:
                                targets[start + count, 0] = a
                                targets[start + count, 1] = b
                                values[start + count] = value
                            count += 1
                if counting:
                    pointers[pair + 1] = start + count
                else:
                    _sort_list(targets, values, start, start + count)
    return pointers, targets, values


@njit(cache=True, nogil=True)
def _mixed_spin_lists(block, n, cutoff):
    pointers = np.zeros(n * n + 1, np.int64)
    for counting in (True, False):
        if not counting:
            total = pointers[n * n]
            targets = np.empty((total, 2), np.int16)
            values = np.empty(total)
        for i in range(n):
            for j in range(n):
                start = pointers[i * n + j]
                count = 0
                for a in range(n):
                    if a == i:
                        continue
                    ai = _pair(a, i)
                    for b in range(n):
                        if b == j:
                            continue
                        value = block[ai, _pair(b, j)]
                        if abs(value) > cutoff:
                            if not counting:
                                targets[start + count, 0] = a
                                targets[start + count, 1] = b
                                values[start + count] = value
                            count += 1
                if counting:
                    pointers[i * n + j + 1] = start + count
                else:
                    _sort_list(targets, values, start, start + count)
    return pointers, targets, values


@njit(cache=True, nogil=True)
def _sort_list(targets, values, start, stop):
    order = np.argsort(-np.abs(values[start:stop]), kind="mergesort")
    targets[start:stop] = targets[start:stop][order]
    values[start:stop] = values[start:stop][order]
