"""Determinants of many small matrices, eliminated side by side: no call of a library for each of them."""

import math

import jax
import jax.numpy as jnp

#: Largest matrices that are eliminated like this.
LARGEST = 16


def small_slogdet(matrices: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sign (or phase) and ``log|det|`` of (..., N, N) real or complex matrices, with partial pivoting.

    The elimination is unrolled over the N columns, and its numbers lie matrix by matrix side by side: N^3
    numbers are moved through memory for each matrix. A singular matrix has sign 0 and ``-inf``.
    """
    head, n = matrices.shape[:-2], matrices.shape[-1]
    rest = jnp.moveaxis(matrices.reshape(math.prod(head), n, n), 0, -1)
    sign, log_abs = jnp.ones(rest.shape[-1], matrices.dtype), jnp.zeros(rest.shape[-1], matrices.real.dtype)
    for size in range(n, 0, -1):
        row = jnp.argmax(jnp.abs(rest[:, 0]), axis=0)
        is_row = row == jnp.arange(size)[:, None]
        top = jnp.sum(jnp.where(is_row[:, None], rest, 0.0), axis=0)
        pivot = top[0]
        sign = sign * jnp.sign(pivot) * jnp.where(row == 0, 1.0, -1.0).astype(log_abs.dtype)
        log_abs = log_abs + jnp.log(jnp.abs(pivot))
        below = jnp.where(is_row[1:, None], rest[0], rest[1:])
        factors = below[:, 0] / jnp.where(pivot == 0, 1.0, pivot)
        rest = below[:, 1:] - factors[:, None] * top[1:]
    return sign.reshape(head), log_abs.reshape(head)
