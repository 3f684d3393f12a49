"""Passes of a network on a device, without derivatives: in chunks, in double or single precision.

In single precision the layers are, with the parameters rounded; determinants and sums of them stay double.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from nnbf._devices import AXIS, by_device, multiple, n_devices
from nnbf.ansatz.logdet import side_by_side

PyTree = Any

_SINGLE = {"float64": jnp.float32, "complex128": jnp.complex64}


@partial(jax.jit, static_argnames=("model", "at_once", "single"))
def device_log_psi(
    model: Any, variables: PyTree, configurations: jax.Array, count: jax.Array, at_once: int, single: bool
) -> jax.Array:
    """Complex log psi (n,) of the first ``count`` of configurations (n, modes); 0 beyond their last chunk.

    Args:
        model: Flax module.
        variables: Its variables.
        configurations: (n, modes).
        count: May be traced: no program is compiled for it.
        at_once: Configurations of a chunk.
        single: Layers in single precision.
    """
    if single:
        model, variables = in_single_precision(model, variables)
    dtype = jnp.float32 if single else jnp.float64
    n = configurations.shape[0]
    share = multiple(n) // n_devices()

    def own(variables, count, rows):
        mine = count - share * jax.lax.axis_index(AXIS)
        return _in_chunks(model, variables, rows, jnp.clip(mine, 0, share), at_once, dtype)

    if n_devices() == 1:
        return _in_chunks(model, variables, configurations, count, at_once, dtype)
    rows = jnp.pad(configurations, [(0, multiple(n) - n), (0, 0)], mode="edge")
    return by_device(own)(variables, count, rows)[:n]


def _in_chunks(model, variables, configurations, count, at_once, dtype):
    n = configurations.shape[0]
    at_once = min(at_once, n)
    room = -(-n // at_once) * at_once
    rows = jnp.pad(configurations, [(0, room - n), (0, 0)], mode="edge")

    def chunk(step, logs):
        part = jax.lax.dynamic_slice_in_dim(rows, step * at_once, at_once)
        with side_by_side(), jax.default_matmul_precision("highest"):
            found = model.apply(variables, part.astype(dtype))
        return jax.lax.dynamic_update_slice_in_dim(logs, found.astype(complex), step * at_once, axis=0)

    trips = (jnp.minimum(count, n) + at_once - 1) // at_once
    return jax.lax.fori_loop(0, trips, chunk, jnp.zeros(room, complex))[:n]


def in_single_precision(model: Any, variables: PyTree) -> tuple[Any, PyTree]:
    """A module whose layers are in single precision, where it has a ``param_dtype``, and its variables."""
    return _rounded(model), jax.tree.map(_rounded_leaf, variables)


def _rounded(model):
    fields = {}
    for name in getattr(model, "__dataclass_fields__", {}):
        value = getattr(model, name, None)
        if name == "param_dtype":
            fields[name] = _SINGLE.get(jnp.dtype(value).name, value)
        elif name != "parent" and hasattr(value, "apply") and hasattr(value, "clone"):
            fields[name] = _rounded(value)
    return model.clone(**fields) if fields else model


def _rounded_leaf(leaf):
    single = _SINGLE.get(leaf.dtype.name)
    return leaf if single is None else leaf.astype(single)
