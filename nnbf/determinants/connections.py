"""Connections of given configurations as flat arrays: rows of the Hamiltonian for samples."""

import numpy as np
from numba import njit

from nnbf.determinants.parallel import map_row_blocks
from nnbf.determinants.slater_condon import connections_of, diagonal_elements, max_connections
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
    n = tables.n_orbitals
    occupied = np.empty((2, n), np.int64)
    parity = np.empty((2, n + 1), np.int64)
    counts = np.empty(hi - lo, np.int64)
    out = np.empty(((hi - lo) * capacity, determinants.shape[1]), np.uint64)
    values = np.empty((hi - lo) * capacity)
    used = 0
    for row in range(lo, hi):
        out[used] = determinants[row]
        values[used] = diagonal[row]
        count = 1 + connections_of(
            tables, determinants[row], threshold, occupied, parity, out[used + 1 :], values[used + 1 :]
        )
        counts[row - lo] = count
        used += count
    return counts, out[:used].copy(), values[:used].copy()
