"""Sparse matrices of spaces on the device: copied once, multiplied there; vectors come and go."""

import weakref
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse


class DeviceMatrix:
    """A real matrix by rows, on the device."""

    def __init__(self, matrix: scipy.sparse.csr_matrix):
        """Copy it."""
        self.shape = matrix.shape
        rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))
        self._entries = tuple(map(jnp.asarray, (rows, matrix.indices.astype(np.int32), matrix.data)))

    def times(self, factor: np.ndarray) -> np.ndarray:
        """The product with a vector (n,) or a matrix (n, k)."""
        if factor.ndim == 2:
            return np.array(_dense_product(self.dense, factor))
        return np.array(_product(*self._entries, factor, self.shape[0]))

    @cached_property
    def dense(self) -> jax.Array:
        """The whole matrix."""
        return _filled(*self._entries, self.shape)


_COPIES: dict[int, tuple[weakref.ref, DeviceMatrix]] = {}


def device_copy(matrix: scipy.sparse.csr_matrix) -> DeviceMatrix:
    """The copy of a matrix that is not changed any more; it lives as long as the matrix."""
    known = _COPIES.get(id(matrix))
    if known is None or known[0]() is not matrix:
        number = id(matrix)
        gone = weakref.ref(matrix, lambda _: _COPIES.pop(number, None))
        known = _COPIES[number] = gone, DeviceMatrix(matrix)
    return known[1]


@partial(jax.jit, static_argnames="n_rows")
def _product(rows, columns, data, vector, n_rows):
    terms = data * vector[columns]
    return jax.ops.segment_sum(terms, rows, num_segments=n_rows, indices_are_sorted=True)


@partial(jax.jit, static_argnames="shape")
def _filled(rows, columns, data, shape):
    return jnp.zeros(shape, data.dtype).at[rows, columns].add(data)


@jax.jit
def _dense_product(matrix, factor):
    return matrix @ factor
