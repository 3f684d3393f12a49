"""Integral tables in the order in which the determinant kernels read them.

Doubles are stored, for every pair of orbitals that is emptied, as a list of the pairs that can be
filled, sorted by falling ``|H_ij|``: a loop over it stops at the first entry under a threshold
(heat-bath order; Holmes, Tubman, Umrigar, JCTC 12, 3674 (2016)). Singles use the spectator sums
``(ia|kk) - (ik|ka)``, so that one pass over the occupied orbitals gives the whole element.
"""

from typing import NamedTuple

import numpy as np

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
    two_body = np.asarray(integrals.two_body, dtype=np.float64)
    restricted = two_body.ndim == 2
    alpha, mixed, beta = [two_body] * 3 if restricted else two_body

    p = np.arange(n)
    high, low = np.maximum(p[:, None], p), np.minimum(p[:, None], p)
    pairs = high * (high + 1) // 2 + low
    coulomb = [block[pairs[:, :, None], pairs.diagonal()] for block in (alpha, mixed, mixed.T, beta)]
    exchange = [block[pairs[:, None, :], pairs] for block in (alpha, beta)]

    lists = [_sorted_lists(alpha, pairs, cutoff, True)]
    lists.append(lists[0] if restricted else _sorted_lists(beta, pairs, cutoff, True))
    longest = max(len(values) for _, _, values in lists)
    same_targets = np.zeros((2, longest, 2), dtype=np.int16)
    same_values = np.zeros((2, longest))
    for spin, (_, targets, values) in enumerate(lists):
        same_targets[spin, : len(values)] = targets
        same_values[spin, : len(values)] = values
    mixed_pointers, mixed_targets, mixed_values = _sorted_lists(mixed, pairs, cutoff, False)
    return IntegralTables(
        n_orbitals=n,
        constant=float(integrals.constant),
        # A copy: read-only arrays are another type to numba, and every kernel would be compiled again.
        one_body=np.array(np.broadcast_to(one_body, (2, n, n)), order="C"),
        same_single=np.stack([coulomb[0] - exchange[0], coulomb[3] - exchange[1]]),
        other_single=np.stack(coulomb[1:3]),
        same_pointers=np.stack([lists[0][0], lists[1][0]]),
        same_targets=same_targets,
        same_values=same_values,
        mixed_pointers=mixed_pointers,
        mixed_targets=mixed_targets,
        mixed_values=mixed_values,
    )


def _sorted_lists(block, pairs, cutoff, same):
    """Of every pair (i, j) that is emptied: start of its list, pairs (a, b) that are filled, elements."""
    n = len(pairs)
    first, second = np.tril_indices(n, -1)[::-1] if same else np.indices((n, n)).reshape(2, -1)
    counts, targets, values = [0], [np.zeros(0, np.int64)], [np.zeros(0)]
    for i, j in zip(first, second, strict=True):
        found = block[pairs[i][:, None], pairs[j]]
        if same:
            found -= block[pairs[j][:, None], pairs[i]]
            found[j], found[:, i] = 0.0, 0.0
        found[i], found[:, j] = 0.0, 0.0
        found = found[first, second]
        kept = np.flatnonzero(np.abs(found) > cutoff)
        kept = kept[np.argsort(-np.abs(found[kept]), kind="stable")]
        counts.append(len(kept))
        targets.append(kept)
        values.append(found[kept])
    order = np.concatenate(targets)
    filled = np.stack([first[order], second[order]], axis=1).astype(np.int16)
    return np.cumsum(counts), filled, np.concatenate(values)
