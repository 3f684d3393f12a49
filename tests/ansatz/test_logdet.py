"""Logarithms of determinants and of sums, and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnbf.ansatz.logdet import signed_logsumexp, slogdet


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_logarithm_and_its_derivative(size):
    rng = np.random.default_rng(size)
    matrices, tangent = rng.normal(size=(2, 4, size, size))
    (sign, log_abs), (sign_change, change) = jax.jit(lambda a, b: jax.jvp(slogdet, (a,), (b,)))(
        matrices, tangent
    )
    assert np.allclose(sign * np.exp(log_abs), np.linalg.det(matrices), rtol=1e-12)
    assert np.all(np.asarray(sign_change) == 0.0)
    expected = [np.trace(np.linalg.solve(a, b)) for a, b in zip(matrices, tangent, strict=True)]
    assert np.allclose(change, expected, rtol=1e-10)
    gradient = jax.jit(jax.grad(lambda a: jnp.sum(slogdet(a)[1])))(matrices)
    assert np.allclose(gradient, np.swapaxes(np.linalg.inv(matrices), -1, -2), rtol=1e-9)


def test_singular_matrices_have_no_gradient_instead_of_nan():
    singular = jnp.array([[[0.0, 0.0], [0.0, 0.0]], [[1.0, 2.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 2.0]]])
    (sign, log_abs), gradient = jax.jit(
        lambda a: (
            slogdet(a),
            jax.grad(lambda b: jnp.sum(jnp.where(b[..., 0, 0] > -1, slogdet(b)[1], 0.0)))(a),
        )
    )(singular)
    assert sign.tolist() == [0.0, 0.0, 1.0]
    assert log_abs.tolist() == pytest.approx([-np.inf, -np.inf, np.log(2.0)])
    assert gradient.tolist() == [[[0.0, 0.0], [0.0, 0.0]]] * 2 + [[[1.0, 0.0], [0.0, 0.5]]]


def test_empty_matrix():
    sign, log_abs = slogdet(jnp.zeros((3, 0, 0)))
    assert sign.tolist() == [1.0] * 3
    assert log_abs.tolist() == [0.0] * 3
    assert jax.grad(lambda a: jnp.sum(slogdet(a)[1]))(jnp.zeros((3, 0, 0))).shape == (3, 0, 0)


def test_signed_sums():
    rng = np.random.default_rng(0)
    terms = rng.normal(size=(6, 3))
    sign, log_abs = signed_logsumexp(np.sign(terms), np.log(np.abs(terms)))
    assert np.allclose(sign * np.exp(log_abs), terms.sum(axis=1), rtol=1e-12)
    # Far beyond the range of a double, where terms cancel in part.
    sign, log_abs = signed_logsumexp(jnp.array([1.0, -1.0]), jnp.array([1000.0, 1000.0 + np.log(3.0)]))
    assert float(sign) == -1.0
    assert float(log_abs) == pytest.approx(1000.0 + np.log(2.0), abs=1e-9)
    along_rows, _ = signed_logsumexp(np.sign(terms), np.log(np.abs(terms)), axis=0)
    assert np.array_equal(along_rows, np.sign(terms.sum(axis=0)))


@pytest.mark.parametrize(
    ("sign", "log_abs"),
    [((0.0, 0.0), (-np.inf, -np.inf)), ((1.0, -1.0), (0.5, 0.5)), ((0.0, 1.0), (-np.inf, 0.2))],
)
def test_derivative_of_sums_that_vanish(sign, log_abs):
    sign, log_abs = jnp.array(sign), jnp.array(log_abs)
    total_sign, total = signed_logsumexp(sign, log_abs)
    gradient = jax.grad(lambda values: signed_logsumexp(sign, values)[1])(log_abs)
    value = float(jnp.sum(sign * jnp.exp(log_abs)))
    assert float(total_sign) == np.sign(value)
    assert float(total) == pytest.approx(np.log(abs(value)) if value else -np.inf)
    # A sum of zero has no logarithm to differentiate; one zero term takes no part.
    assert gradient.tolist() == ([0.0, 1.0] if value else [0.0, 0.0])
