r"""The Jacobian and tangent kernel of dense networks, in factors.

The gradient of ``log|psi(n_i)|`` with respect to the weights of a dense layer is the outer product of
the layer's input and the back-propagated error, so that no Jacobian has to be stored (Novak,
Sohl-Dickstein, Schoenholz, arXiv:2206.08720). The kernel is a sum of elementwise products of Gram
matrices,

.. math:: K_{ij} = \sum_l \sum_{uv} (a^l_{iu} \cdot a^l_{jv} + 1) (\delta^l_{iu} \cdot \delta^l_{jv})

with u, v over the applications of layer l to one sample (two with spin-flip averaging); the 1 is the
bias. Products with the Jacobian are matrix products of the factors. Parameters outside dense layers
contribute their explicit Jacobian. All of it is exact, with O(n width) memory instead of O(n P).
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

LogFunction = Callable[[Any, jax.Array], jax.Array]


@flax.struct.dataclass
class LayerFactors:
    """Per-sample factors of one dense layer's gradient."""

    inputs: jax.Array
    """(n, applications, features in)."""
    errors: jax.Array
    """(n, applications, features out)."""
    path: tuple[str, ...] = flax.struct.field(pytree_node=False)
    """Place of the layer's parameters in the tree."""
    has_bias: bool = flax.struct.field(pytree_node=False)
    """True where the layer has a bias."""
    images: int = flax.struct.field(pytree_node=False, default=1)
    """Copies of every application by the operations of a group, side by side: 1 where weights are free."""

    @property
    def distinct(self) -> tuple[jax.Array, jax.Array]:
        """Inputs and errors without copies."""
        return self.inputs[:, :: self.images], self.errors[:, :: self.images]


@flax.struct.dataclass
class GradientFactors:
    """Structured per-sample gradients of ``log|psi|``."""

    layers: tuple[LayerFactors, ...]
    """One entry a dense layer."""
    explicit: jax.Array | None
    """(n, P') Jacobian of the parameters outside dense layers, or None."""


def gradient_factors(log_function: LogFunction, params: Mapping, samples: jax.Array) -> GradientFactors:
    """Structured gradients of a real log-amplitude.

    Args:
        log_function: ``(params, samples (n, ...)) -> log|psi| (n,)``, built on Flax linen modules;
            every sample's output depends on that sample alone.
        params: Parameter tree.
        samples: (n, ...) configurations.

    Returns:
        The factors, for :func:`tangent_kernel`, :func:`jvp` and :func:`vjp`.
    """
    shapes: dict[tuple, jax.ShapeDtypeStruct] = {}
    ties: dict[tuple, Any] = {}

    def traced(p, x):
        with nn.intercept_methods(_Recorder(shapes.__setitem__, ties=ties)):
            return log_function(p, x)

    jax.eval_shape(traced, params, samples)
    zeros = {key: jnp.zeros(shape.shape, shape.dtype) for key, shape in shapes.items()}

    def perturbed(perturbations):
        recorded: dict[tuple, jax.Array] = {}
        recorder = _Recorder(lambda *_: None, perturbations, recorded)
        with nn.intercept_methods(recorder):
            return log_function(params, samples), recorded

    log_abs, pullback, inputs = jax.vjp(perturbed, zeros, has_aux=True)
    (errors,) = pullback(jnp.ones_like(log_abs))

    n = samples.shape[0]
    layers = []
    dense_paths = {path for path, _ in zeros}
    for path in sorted(dense_paths):
        calls = sorted(key for key in zeros if key[0] == path)
        a = jnp.concatenate([_by_sample(inputs[key], n) for key in calls], axis=1)
        d = jnp.concatenate([_by_sample(errors[key], n) for key in calls], axis=1)
        images = 1
        if ties[path] is not None:
            (a, d), images = ties[path].orbits(a, d), ties[path].count
        layers.append(LayerFactors(a, d, path, "bias" in _descend(params, path), images))
    rest = _without(params, dense_paths)
    return GradientFactors(tuple(layers), _explicit_jacobian(log_function, params, rest, samples))


def tangent_kernel(factors: GradientFactors, columns: GradientFactors | None = None) -> jax.Array:
    """Kernel ``K_ij = grad_i . grad_j``, (n, n), or (n, m) against other samples' factors."""
    columns = factors if columns is None else columns
    total = jnp.zeros(())
    for row, column in zip(factors.layers, columns.layers, strict=True):
        # A product of two copies is that of the first one and another: the operations are orthogonal.
        inputs, errors = row.distinct
        n, copies, _ = inputs.shape
        m, other_copies, _ = column.inputs.shape
        gram = inputs.reshape(n * copies, -1) @ column.inputs.reshape(m * other_copies, -1).T
        if row.has_bias:
            gram = gram + 1.0
        gram = gram * (errors.reshape(n * copies, -1) @ column.errors.reshape(m * other_copies, -1).T)
        if copies > 1 or other_copies > 1:
            gram = gram.reshape(n, copies, m, other_copies).sum(axis=(1, 3))
        total = total + row.images * gram
    if factors.explicit is not None and columns.explicit is not None:
        total = total + factors.explicit @ columns.explicit.T
    return total


def jvp(factors: GradientFactors, tangent: Mapping) -> jax.Array:
    """Change (n,) of ``log|psi|`` along a tangent of the parameters."""
    total = jnp.zeros(())
    for layer in factors.layers:
        weights = _descend(tangent, layer.path)
        change = layer.inputs @ weights["kernel"]
        if layer.has_bias:
            change = change + weights["bias"]
        total = total + jnp.sum(change * layer.errors, axis=(1, 2))
    if factors.explicit is not None:
        rest = _without(tangent, {layer.path for layer in factors.layers})
        total = total + factors.explicit @ ravel_pytree(rest)[0]
    return total


def vjp(factors: GradientFactors, cotangent: jax.Array, params: Mapping) -> Any:
    """Parameter tree ``sum_i cotangent_i grad_i``, shaped like ``params``."""
    result = jax.tree.map(jnp.zeros_like, params)
    for layer in factors.layers:
        errors = layer.errors * cotangent[:, None, None]
        # One matrix product over samples and applications; the einsum of the same is much slower.
        rows = layer.inputs.shape[0] * layer.inputs.shape[1]
        update = {"kernel": layer.inputs.reshape(rows, -1).T @ errors.reshape(rows, -1)}
        if layer.has_bias:
            update["bias"] = jnp.sum(errors, axis=(0, 1))
        result = _merge(result, _nest(layer.path, update))
    if factors.explicit is not None:
        rest = _without(params, {layer.path for layer in factors.layers})
        result = _merge(result, ravel_pytree(rest)[1](factors.explicit.T @ cotangent))
    return result


class _Recorder:
    """Interceptor of dense layers: reports output shapes, adds perturbations, keeps inputs."""

    def __init__(self, report, perturbations=None, inputs=None, ties=None):
        self.report = report
        self.ties = {} if ties is None else ties
        self.perturbations = perturbations
        self.inputs = inputs
        self.calls: dict[tuple, int] = {}

    def __call__(self, next_fun, args, kwargs, context):
        result = next_fun(*args, **kwargs)
        if not isinstance(context.module, nn.Dense) or context.method_name != "__call__":
            return result
        path = tuple(context.module.path)
        call = self.calls.get(path, 0)
        self.calls[path] = call + 1
        self.ties[path] = getattr(context.module, "tie", None)
        self.report((path, call), jax.ShapeDtypeStruct(result.shape, result.dtype))
        if self.perturbations is None:
            return result
        self.inputs[path, call] = args[0].astype(result.dtype)
        return result + self.perturbations[path, call]


def _by_sample(array, n):
    # (n, applications, features), where -1 for the applications would not do for a layer without features.
    return array.reshape(n, math.prod(array.shape[:-1]) // n, array.shape[-1])


def _descend(tree, path):
    for name in path:
        tree = tree[name]
    return tree


def _nest(path, leaf):
    for name in reversed(path):
        leaf = {name: leaf}
    return leaf


def _without(tree, paths, prefix=()):
    """The sub-tree of parameters that belong to none of the dense layers."""
    if prefix in paths:
        return {}
    if not isinstance(tree, Mapping):
        return tree
    kept = {name: _without(branch, paths, (*prefix, name)) for name, branch in tree.items()}
    return {name: branch for name, branch in kept.items() if not (isinstance(branch, Mapping) and not branch)}


def _merge(tree, update):
    if not isinstance(update, Mapping):
        return update
    return {name: _merge(branch, update[name]) if name in update else branch for name, branch in tree.items()}


def _explicit_jacobian(log_function, params, rest, samples):
    flat, unravel = ravel_pytree(rest)
    if flat.size == 0:
        return None

    def single(vector, sample):
        return log_function(_merge(params, unravel(vector)), sample[None])[0]

    return jax.vmap(jax.grad(single), in_axes=(None, 0))(flat, samples)
