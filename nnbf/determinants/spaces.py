"""Variational and connected spaces: sparse Hamiltonians, growth, second-order perturbation theory.

All functions work on *representatives*: with ``fold=True`` a determinant and its spin flip are one
entry (the lexicographically smaller), standing for the even combination, which is what an even-spin
state with as many alpha as beta electrons contains. A row ``sum_k H_ik psi_rep(k)`` is then the
row of the plain Hamiltonian on the unfolded amplitudes, so that local energies come out unchanged;
only the weights carry the multiplicity (1 or 2) of each entry.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.sparse

from nnbf.determinants.configurations import spin_flip_multiplicity
from nnbf.determinants.hashing import build_hash_table
from nnbf.determinants.parallel import map_row_blocks, map_tasks, n_threads
from nnbf.determinants.rows import accumulated_couplings, listed_rows
from nnbf.determinants.slater_condon import diagonal_elements, max_connections
from nnbf.determinants.tables import IntegralTables


class ConnectedSpace(NamedTuple):
    """Determinants outside V that the Hamiltonian reaches, with their first-order sums."""

    determinants: np.ndarray
    """(n, 2 W) bit strings, none of them in V."""
    couplings: np.ndarray
    """(n,) ``sum_{i in V} H_ji psi_i``, Hartree, psi normalised over all (unfolded) determinants."""
    diagonal: np.ndarray
    """(n,) ``H_jj``, Hartree."""


def multiplicities(determinants: np.ndarray, fold: bool) -> np.ndarray:
    """How many determinants each representative stands for (float64): 1, or 2 with a distinct flip."""
    if not fold:
        return np.ones(len(determinants))
    return spin_flip_multiplicity(determinants).astype(np.float64)


def hamiltonian_matrix(
    tables: IntegralTables, determinants: np.ndarray, fold: bool = False, threshold: float = 0.0
) -> scipy.sparse.csr_matrix:
    """Hamiltonian of the variational space as a sparse matrix, rows as the module says.

    Args:
        tables: Integral tables.
        determinants: (n, 2 W) distinct bit strings, representatives where ``fold``.
        fold: Whether entries stand for spin-flip pairs. The matrix is then not symmetric;
            ``sqrt(m_i / m_j) A_ij`` is, with the multiplicities ``m``.
        threshold: Off-diagonal elements below this magnitude (Hartree) are left out.

    Returns:
        (n, n) CSR matrix, diagonal included, Hartree.
    """
    return _sparse_rows(tables, determinants, determinants, fold, threshold)


def rectangular_matrix(
    tables: IntegralTables,
    rows: np.ndarray,
    columns: np.ndarray,
    fold: bool = False,
    threshold: float = 0.0,
) -> scipy.sparse.csr_matrix:
    """Rows of the Hamiltonian restricted to the given columns, (n_rows, n_columns) CSR, Hartree."""
    return _sparse_rows(tables, rows, columns, fold, threshold)


def symmetrised(matrix: scipy.sparse.csr_matrix, multiplicity: np.ndarray) -> scipy.sparse.csr_matrix:
    """The symmetric form of a folded matrix: the Hamiltonian in the orthonormal folded basis."""
    root = np.sqrt(multiplicity)
    return scipy.sparse.diags(root) @ matrix @ scipy.sparse.diags(1.0 / root)


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
    parts = list(connected_partitions(tables, determinants, amplitudes, fold, threshold, n_partitions))
    keys = np.concatenate([part[0] for part in parts])
    sums = np.concatenate([part[1] for part in parts])
    return ConnectedSpace(keys, sums, diagonal_elements(tables, keys))


def _electron_counts(determinants: np.ndarray) -> tuple[int, int]:
    n_words = determinants.shape[1] // 2
    first = np.bitwise_count(determinants[0])
    return int(first[:n_words].sum()), int(first[n_words:].sum())


def _sparse_rows(tables, rows, columns, fold, threshold):
    if len(rows) == 0 or len(columns) == 0:
        return scipy.sparse.csr_matrix((len(rows), len(columns)))
    slots = build_hash_table(columns)
    capacity = max_connections(tables.n_orbitals, *_electron_counts(rows)) + 1
    diagonal = diagonal_elements(tables, rows)
    blocks = map_row_blocks(
        lambda lo, hi: listed_rows(tables, rows, diagonal, lo, hi, columns, slots, fold, threshold, capacity),
        len(rows),
    )
    counts = np.concatenate([block[0] for block in blocks])
    indptr = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(counts, out=indptr[1:])
    indices = np.concatenate([block[1] for block in blocks])
    data = np.concatenate([block[2] for block in blocks])
    if indptr[-1] < 2**31:
        indptr = indptr.astype(np.int32)
    else:
        indices = indices.astype(np.int64)
    matrix = scipy.sparse.csr_matrix((data, indices, indptr), shape=(len(rows), len(columns)))
    matrix.sum_duplicates()
    return matrix


def connected_partitions(
    tables: IntegralTables,
    determinants: np.ndarray,
    amplitudes: np.ndarray,
    fold: bool = False,
    threshold: float = 0.0,
    n_partitions: int | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (determinants, couplings) of every hash partition; one a thread is made at a time."""
    multiplicity = multiplicities(determinants, fold)
    amplitudes = np.asarray(amplitudes, dtype=np.float64)
    amplitudes = amplitudes / np.sqrt(np.sum(multiplicity * amplitudes**2))
    capacity = max_connections(tables.n_orbitals, *_electron_counts(determinants)) + 1
    workers = n_threads()
    if n_partitions is None:
        # About 40 bytes an entry, at most some 2e7 new determinants a pass.
        n_partitions = workers * max(1, int(len(determinants) * capacity / 2e8))
    slots = build_hash_table(determinants)
    # Rows by falling amplitude: the table then meets its important entries first.
    order = np.argsort(-np.abs(amplitudes), kind="stable")
    rows, values = determinants[order], amplitudes[order] * multiplicity[order]
    screen = np.abs(amplitudes[order])
    for start in range(0, n_partitions, workers):
        tasks = [
            (tables, rows, values, screen, determinants, slots, fold, threshold, capacity, p, n_partitions)
            for p in range(start, min(start + workers, n_partitions))
        ]
        yield from map_tasks(accumulated_couplings, tasks)
