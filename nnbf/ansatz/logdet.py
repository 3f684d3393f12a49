"""Logarithms of small determinants with gradients that stay finite at singular matrices."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import jax
import jax.numpy as jnp

from nnbf.ansatz.small_determinants import LARGEST, small_slogdet

_SIDE_BY_SIDE: ContextVar[bool] = ContextVar("side_by_side", default=False)


@contextlib.contextmanager
def side_by_side() -> Iterator[None]:
    """Trace inside with small determinants eliminated side by side, in double precision."""
    token = _SIDE_BY_SIDE.set(True)
    try:
        yield
    finally:
        _SIDE_BY_SIDE.reset(token)


def _factored(matrices):
    if not _SIDE_BY_SIDE.get():
        return jnp.linalg.slogdet(matrices)
    matrices = matrices.astype(jnp.promote_types(matrices.dtype, jnp.float64))
    return small_slogdet(matrices) if matrices.shape[-1] <= LARGEST else jnp.linalg.slogdet(matrices)


@jax.custom_jvp
def slogdet(matrices: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sign and ``log|det|`` of (..., N, N) real matrices.

    The derivative is ``tr(A^-1 dA)``; where the inverse is not finite (a singular matrix) it is zero
    instead of NaN. A singular matrix has sign 0 and ``log|det| = -inf``; an empty one (N = 0) has
    sign 1 and 0.
    """
    return tuple(_factored(matrices))


@slogdet.defjvp
def _slogdet_jvp(primals, tangents):
    (matrices,), (tangent,) = primals, tangents
    sign, log_abs = slogdet(matrices)
    inverse = jnp.linalg.inv(matrices)
    regular = (
        jnp.all(jnp.isfinite(inverse), axis=(-2, -1), keepdims=True) & jnp.isfinite(log_abs)[..., None, None]
    )
    inverse = jnp.where(regular, inverse, 0.0)
    return (sign, log_abs), (jnp.zeros_like(sign), jnp.einsum("...ij,...ji->...", inverse, tangent))


def signed_logsumexp(sign: jax.Array, log_abs: jax.Array, axis: int = -1) -> tuple[jax.Array, jax.Array]:
    """Sign and logarithm of ``|sum_d sign_d exp(log_abs_d)|`` along one axis, safe where all terms vanish."""
    largest = jnp.max(log_abs, axis=axis, keepdims=True)
    shift = jax.lax.stop_gradient(jnp.where(jnp.isfinite(largest), largest, 0.0))
    total = jnp.sum(sign * jnp.exp(log_abs - shift), axis=axis)
    nonzero = total != 0
    magnitude = jnp.where(nonzero, jnp.abs(total), 1.0)
    log_total = jnp.where(nonzero, jnp.log(magnitude), -jnp.inf)
    return jnp.sign(total), log_total + jnp.squeeze(shift, axis=axis)


@jax.custom_jvp
def logdet(matrices: jax.Array) -> jax.Array:
    """Complex ``log det`` of (..., N, N) real or complex matrices, imaginary part in (-pi, pi].

    Derivatives and singular matrices as in `slogdet`: ``-inf`` there, with derivative zero.
    """
    sign, log_abs = _factored(matrices)
    return log_abs + 1j * jnp.angle(sign)


@logdet.defjvp
def _logdet_jvp(primals, tangents):
    (matrices,), (tangent,) = primals, tangents
    value = logdet(matrices)
    inverse = jnp.linalg.inv(matrices)
    regular = jnp.all(jnp.isfinite(inverse), axis=(-2, -1)) & jnp.isfinite(value.real)
    inverse = jnp.where(regular[..., None, None], inverse, 0.0)
    return value, jnp.einsum("...ij,...ji->...", inverse, tangent).astype(value.dtype)


def log_of_sum(terms: jax.Array, logs: jax.Array) -> jax.Array:
    """Complex logarithm of ``sum_d terms_d exp(logs_d)`` along the last axis.

    Where the sum vanishes the result is finite, about -708 above the largest logarithm (or above 0 where
    no term is left), and its derivative is zero: a Markov chain can leave such a configuration.

    Args:
        terms: Factors (..., D), real or complex, that need no gradient.
        logs: Logarithms (..., D), real or complex; -inf for a term that is zero.
    """
    largest = jnp.max(logs.real, axis=-1, keepdims=True)
    shift = jax.lax.stop_gradient(jnp.where(jnp.isfinite(largest), largest, 0.0))
    total = jnp.sum(terms * jnp.exp(logs - shift), axis=-1)
    nonzero = total != 0
    safe = jnp.where(nonzero, total, 1.0)
    if jnp.iscomplexobj(safe):
        logarithm = jnp.log(safe)
    else:
        logarithm = jnp.log(jnp.abs(safe)) + 1j * jnp.where(safe < 0, jnp.pi, 0.0)
    lowest = jnp.log(jnp.finfo(safe.dtype).tiny)
    return jnp.where(nonzero, logarithm, lowest) + jnp.squeeze(shift, axis=-1)
