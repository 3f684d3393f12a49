"""Row blocks over a thread pool, sparse matrices first of all: the compiled kernels release the GIL."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import scipy.sparse

from hamiltonians.compiled import compiled
from nnbf._compute import on_device
from nnbf.determinants.device_matrix import device_copy


def n_threads() -> int:
    """Worker threads for determinant kernels: ``NNBF_NUM_THREADS``, else the usable cores."""
    requested = os.environ.get("NNBF_NUM_THREADS", "")
    if requested.isdecimal() and int(requested) > 0:
        return int(requested)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def map_tasks(function: Callable[..., Any], tasks: list[tuple]) -> list[Any]:
    """``[function(*task) for task in tasks]`` over the threads; results keep the order of the tasks."""
    workers = min(n_threads(), len(tasks))
    if workers <= 1:
        return [function(*task) for task in tasks]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda task: function(*task), tasks))


def map_row_blocks(function: Callable[[int, int], Any], n_rows: int, block: int = 0) -> list[Any]:
    """Call ``function(lo, hi)`` over consecutive row blocks that cover ``range(n_rows)``.

    Args:
        function: Works on rows ``lo <= row < hi``; what it returns is collected in row order.
        n_rows: Number of rows.
        block: Rows a block; 0 chooses several blocks a thread, so that uneven rows balance.
    """
    if block <= 0:
        block = max(1, -(-n_rows // (4 * n_threads())))
    return map_tasks(function, [(lo, min(lo + block, n_rows)) for lo in range(0, n_rows, block)])


def sparse_times_vector(matrix: scipy.sparse.csr_matrix, vector: np.ndarray) -> np.ndarray:
    """``matrix @ vector``, (n,), rows over threads, or on the device."""
    if on_device():
        return device_copy(matrix).times(vector)
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


@compiled(fastmath={"contract", "reassoc", "nsz"})
def _vector_rows(indptr, indices, data, vector, lo, hi, out):
    for row in range(lo, hi):
        total = 0.0
        for entry in range(indptr[row], indptr[row + 1]):
            total += data[entry] * vector[indices[entry]]
        out[row] = total


@compiled(fastmath={"contract", "reassoc", "nsz"})
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
