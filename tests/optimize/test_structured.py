"""Structured gradients of dense networks against the explicit Jacobian."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from nnbf.ansatz import NeuralBackflow
from nnbf.optimize import gradient_factors, jvp, tangent_kernel, vjp
from nnbf.optimize.tangent import TangentSpace, kernel_diagonal
from tests.determinants.oracles import configurations, flat, occupations, random_variables

ROOT = Path(__file__).resolve().parents[2]
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
    return NeuralBackflow(3, 2, 2, **options)


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


def everything(model, x, rng):
    """Structured and plain derivatives of one model, compiled together."""
    params = random_variables(model, x.shape[1], seed=3, scale=0.7)["params"]
    tangent = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params)
    dual = jnp.asarray(rng.normal(size=len(x)))

    def log_abs(p):
        return jnp.real(model.apply({"params": p}, x))

    @jax.jit
    def compute(p, t, y):
        factors = gradient_factors(lambda q, z: jnp.real(model.apply({"params": q}, z)), p, x)
        some = jax.tree.map(lambda leaf: leaf[2:6], factors)
        structured = {
            "kernel": tangent_kernel(factors),
            "columns": tangent_kernel(factors, some),
            "jvp": jvp(factors, t),
            "vjp": vjp(factors, y, p),
        }
        return factors, structured, jax.jvp(log_abs, (p,), (t,))[1], jax.jacrev(log_abs)(p)

    factors, structured, change, jacobian = compute(params, tangent, dual)
    jacobian = np.asarray(jax.vmap(lambda row: ravel_pytree(row)[0])(jacobian))
    return SimpleNamespace(
        params=params,
        tangent=tangent,
        dual=np.asarray(dual),
        factors=factors,
        structured=structured,
        change=change,
        jacobian=jacobian,
    )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.slow
def test_structured_gradients_equal_the_explicit_jacobian(name):
    configs = configurations(4, 2, 0) if name == "one spin" else configurations(3, 2, 2)
    x = jnp.asarray(occupations(configs, 4 if name == "one spin" else 3))
    rng = np.random.default_rng(0)
    found = everything(MODELS[name], x, rng)
    jacobian, structured = found.jacobian, found.structured
    assert np.linalg.norm(jacobian) > 0.1
    kernel = jacobian @ jacobian.T
    scale = np.abs(kernel).max()
    assert np.abs(structured["kernel"] - kernel).max() < 1e-12 * scale
    assert np.abs(structured["columns"] - kernel[:, 2:6]).max() < 1e-12 * scale
    assert np.allclose(structured["jvp"], found.change, **CLOSE)
    assert np.allclose(structured["jvp"], jacobian @ flat(found.tangent), **CLOSE)
    assert jax.tree.structure(structured["vjp"]) == jax.tree.structure(found.params)
    assert np.allclose(flat(structured["vjp"]), jacobian.T @ found.dual, **CLOSE)
    assert np.allclose(kernel_diagonal(found.factors), np.diag(kernel), **CLOSE)

    # With weights, centred: J = (1 - c c^T) diag(c) O.
    c = rng.normal(size=len(x))
    c /= np.linalg.norm(c)
    space = TangentSpace(found.factors, found.params, c)
    centred = (np.eye(len(c)) - np.outer(c, c)) @ (c[:, None] * jacobian)
    assert np.abs(space.kernel() - centred @ centred.T).max() < 1e-10 * np.abs(centred @ centred.T).max()
    assert np.allclose(space.forward(found.tangent), centred @ flat(found.tangent), **CLOSE)
    assert np.allclose(flat(space.backward(found.dual)), centred.T @ found.dual, **CLOSE)


@pytest.mark.parametrize("name", ["mixed layers", "average"])
def test_restriction_to_some_determinants(name):
    """Their amplitudes are normalised again."""
    x = jnp.asarray(occupations(configurations(3, 2, 2), 3))
    rng = np.random.default_rng(1)
    found = everything(MODELS[name], x, rng)
    c = rng.normal(size=len(x))
    rows = np.array([4, 1, 3])
    d = c[rows] / np.linalg.norm(c[rows])
    part = (np.eye(3) - np.outer(d, d)) @ (d[:, None] * found.jacobian[rows])
    restricted = TangentSpace(found.factors, found.params, c).restricted(rows)
    assert np.allclose(restricted.amplitudes, d)
    assert np.allclose(restricted.kernel(), part @ part.T, **CLOSE)


@pytest.mark.parametrize(
    ("name", "outside"),
    [("mixed layers", 6 + 5 + 5 + 3), ("no biases", 0), ("no dense layer", 2 * 6), ("average", 0)],
)
def test_the_explicit_block_is_only_what_lies_outside_dense_layers(name, outside):
    """Otherwise the structured path would not be tested above."""
    x = jnp.asarray(occupations(configurations(3, 2, 2), 3))
    model = MODELS[name]

    def factors(key):
        params = model.init(key, x)["params"]
        return gradient_factors(lambda p, y: jnp.real(model.apply({"params": p}, y)), params, x)

    explicit = jax.eval_shape(factors, jax.random.key(0)).explicit
    assert (0 if explicit is None else explicit.shape[1]) == outside


@pytest.mark.parametrize("module", ["ansatz", "optimize"])
@pytest.mark.slow
def test_doubles_whichever_module_comes_first(module):
    """Energies to 1e-8 need them, and a script may import a sub-package only."""
    script = f"import nnbf.{module}, jax.numpy as jnp; assert jnp.ones(1).dtype == jnp.float64"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=120)
