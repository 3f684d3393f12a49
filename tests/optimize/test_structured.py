"""Structured gradients of dense networks against the explicit Jacobian."""

import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnbf.ansatz import NeuralBackflow
from nnbf.optimize import gradient_factors, jvp, tangent_kernel, vjp
from nnbf.optimize.tangent import TangentSpace, kernel_diagonal
from tests.determinants.oracles import configurations, explicit_jacobian, flat, occupations

CLOSE = {"rtol": 1e-10, "atol": 1e-12}


class Mixed(nn.Module):
    """Everything at once: free parameters, LayerNorm, a layer used twice, one without bias, one on sites."""

    @nn.compact
    def __call__(self, x):
        x = x * self.param("scale", nn.initializers.normal(1.0), (x.shape[-1],), float)
        x = nn.LayerNorm(param_dtype=float)(nn.Dense(5, param_dtype=float)(x))
        twice = nn.Dense(5, use_bias=False, param_dtype=float, name="twice")
        x = jnp.sin(twice(jnp.sin(twice(x))))
        sites = nn.Dense(3, param_dtype=float, name="sites")(jnp.stack([x, x**2, 1.0 - x], axis=-2))
        offset = self.param("offset", nn.initializers.normal(1.0), (3,), float)
        return jnp.sum(jnp.cos(sites + offset), axis=(-2, -1)) + 0j


class NoBias(nn.Module):
    """Dense layers without biases only, one of them inside a sub-module."""

    @nn.compact
    def __call__(self, x):
        x = nn.tanh(nn.Dense(4, use_bias=False, param_dtype=float)(x))
        return Inner()(x)


class Inner(nn.Module):
    @nn.compact
    def __call__(self, x):
        return jnp.sum(jnp.tanh(nn.Dense(3, use_bias=False, param_dtype=float)(x)), axis=-1) + 0j


class NoDense(nn.Module):
    """A product state without a single dense layer: the explicit block alone."""

    @nn.compact
    def __call__(self, x):
        weights = self.param("weights", nn.initializers.normal(1.0), (2, x.shape[-1]), float)
        return jnp.sum(jnp.log(jnp.cosh(x @ weights.T)), axis=-1) + 0j


def backflow(**options):
    return NeuralBackflow(3, 2, 2, noise=0.4, **options)


MODELS = {
    "no hidden layer": backflow(hidden=()),
    "depth 1, D 2": backflow(hidden=(4,), n_determinants=2),
    "depth 2, one matrix": backflow(hidden=(4, 5), blocked=False),
    "depth 3, D 4": backflow(hidden=(3, 5, 4), n_determinants=4, activation=nn.silu),
    "canonical, D 2": backflow(hidden=(4,), n_determinants=2, spin_flip="canonical"),
    "average": backflow(hidden=(4,), spin_flip="average"),
    "average, D 2, one matrix": backflow(hidden=(4, 3), n_determinants=2, spin_flip="average", blocked=False),
    "one spin": NeuralBackflow(4, 2, 0, hidden=(4,)),
    "mixed layers": Mixed(),
    "no biases": NoBias(),
    "no dense layer": NoDense(),
}


@pytest.mark.parametrize("name", MODELS)
def test_structured_gradients_equal_the_explicit_jacobian(name):
    model = MODELS[name]
    configs = configurations(4, 2, 0) if name == "one spin" else configurations(3, 2, 2)
    x = jnp.asarray(occupations(configs, 4 if name == "one spin" else 3))
    params = model.init(jax.random.key(3), x)["params"]

    def log_abs(p, y):
        return jnp.real(model.apply({"params": p}, y))

    jacobian = explicit_jacobian(log_abs, params, x)
    assert np.linalg.norm(jacobian) > 0.1
    factors = jax.jit(lambda p, y: gradient_factors(log_abs, p, y))(params, x)
    kernel = jacobian @ jacobian.T
    scale = np.abs(kernel).max()
    assert np.abs(tangent_kernel(factors) - kernel).max() < 1e-12 * scale
    assert np.allclose(kernel_diagonal(factors), np.diag(kernel), **CLOSE)
    some = jax.tree.map(lambda leaf: leaf[2:6], factors)
    assert np.abs(tangent_kernel(factors, some) - kernel[:, 2:6]).max() < 1e-12 * scale

    rng = np.random.default_rng(0)
    tangent = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params)
    _, change = jax.jvp(lambda p: log_abs(p, x), (params,), (tangent,))
    assert np.allclose(jvp(factors, tangent), change, **CLOSE)
    dual = rng.normal(size=len(x))
    (pulled,) = jax.vjp(lambda p: log_abs(p, x), params)[1](jnp.asarray(dual))
    found = vjp(factors, jnp.asarray(dual), params)
    assert jax.tree.structure(found) == jax.tree.structure(params)
    assert np.allclose(flat(found), flat(pulled), **CLOSE)

    # With weights, centred: J = (1 - c c^T) diag(c) O, and on part of the determinants.
    c = rng.normal(size=len(x))
    c /= np.linalg.norm(c)
    space = TangentSpace(factors, params, c)
    centred = (np.eye(len(c)) - np.outer(c, c)) @ (c[:, None] * jacobian)
    assert np.abs(space.kernel() - centred @ centred.T).max() < 1e-10 * np.abs(centred @ centred.T).max()
    assert np.allclose(space.forward(tangent), centred @ flat(tangent), **CLOSE)
    assert np.allclose(flat(space.backward(dual)), centred.T @ dual, **CLOSE)
    rows = np.array([4, 1, 3])
    d = c[rows] / np.linalg.norm(c[rows])
    part = (np.eye(3) - np.outer(d, d)) @ (d[:, None] * jacobian[rows])
    assert np.allclose(space.restricted(rows).kernel(), part @ part.T, **CLOSE)


def test_the_explicit_block_is_only_what_lies_outside_dense_layers():
    """Otherwise the structured path would not be tested above."""
    x = jnp.asarray(occupations(configurations(3, 1, 1), 3))
    outside = {"mixed layers": 6 + 5 + 5 + 3, "no biases": 0, "no dense layer": 2 * 6}
    for name, count in outside.items():
        model = MODELS[name]
        params = model.init(jax.random.key(0), x)["params"]
        factors = gradient_factors(lambda p, y, m=model: jnp.real(m.apply({"params": p}, y)), params, x)
        assert (0 if factors.explicit is None else factors.explicit.shape[1]) == count
    assert gradient_factors(
        lambda p, y: jnp.real(MODELS["average"].apply({"params": p}, y)),
        MODELS["average"].init(jax.random.key(0), jnp.ones((1, 6)))["params"],
        jnp.asarray(occupations(configurations(3, 2, 2), 3)),
    ).explicit is None


@pytest.mark.parametrize("module", ["ansatz", "optimize"])
def test_doubles_whichever_module_comes_first(module):
    """Energies to 1e-8 need them, and a script may import a sub-package only."""
    script = f"import nnbf.{module}, jax.numpy as jnp; assert jnp.ones(1).dtype == jnp.float64"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=".", timeout=120)
