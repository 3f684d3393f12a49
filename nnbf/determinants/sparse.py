"""Threaded products of sparse Hamiltonians with vectors and dense matrices."""

import numpy as np
import scipy.sparse
from numba import njit

from nnbf.determinants.parallel import map_row_blocks


def sparse_times_vector(matrix: scipy.sparse.csr_matrix, vector: np.ndarray) -> np.ndarray:
    """``matrix @ vector``, (n,), rows over threads."""
    out = np.empty(matrix.shape[0])
    vector = np.ascontiguousarray(vector)
    map_row_blocks(
        lambda lo, hi: _vector_rows(matrix.indptr, matrix.indices, matrix.data, vector, lo, hi, out),
        matrix.shape[0],
        block=-(-matrix.shape[0] // 2) if matrix.nnz < 2_000_000 else 0,
    )
    return out


def sparse_times_dense(matrix: scipy.sparse.csr_matrix, dense: np.ndarray) -> np.ndarray:
    """``matrix @ dense``, (n, k), rows over threads."""
    out = np.zeros((matrix.shape[0], dense.shape[1]))
    dense = np.ascontiguousarray(dense)
    map_row_blocks(
        lambda lo, hi: _dense_rows(matrix.indptr, matrix.indices, matrix.data, dense, lo, hi, out),
        matrix.shape[0],
    )
    return out


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _vector_rows(indptr, indices, data, vector, lo, hi, out):
    for row in range(lo, hi):
        total = 0.0
        for entry in range(indptr[row], indptr[row + 1]):
            total += data[entry] * vector[indices[entry]]
        out[row] = total


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _dense_rows(indptr, indices, data, dense, lo, hi, out):
    width = dense.shape[1]
    # Strips of columns that stay in the cache while all rows pass over them.
    strip = 512
    for start in range(0, width, strip):
        stop = min(start + strip, width)
        for row in range(lo, hi):
            for entry in range(indptr[row], indptr[row + 1]):
                value = data[entry]
                column = indices[entry]
                for k in range(start, stop):
                    out[row, k] += value * dense[column, k]
