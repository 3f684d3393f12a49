"""Networks for any problem: by a registered name, a dense default, and a projection on a symmetry sector."""

import dataclasses
import tomllib
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hamiltonians.errors import InputError, one_line
from hamiltonians.plugins import load_plugins, registered
from nnbf.ansatz import contract
from nnbf.ansatz.logdet import log_of_sum
from nnbf.ansatz.registry import register_ansatz, registered_networks
from nnbf.ansatz.symmetry import SymmetryElements


def named_network(name: str, given: str, known: Mapping[str, Any]) -> nn.Module:
    """Network of a registered name, with fields that a user gives and others that follow from the problem.

    Args:
        name: As registered with ``@register_ansatz(name)``.
        given: Fields as TOML on one line, such as "width = 16, depth = 2".
        known: What the problem says: fields of these names are filled where they are not given.

    Raises:
        InputError: There is no such network, or it has no such fields, or cannot be built with their values.
    """
    if name not in registered_networks():
        load_plugins()  # before the networks are listed
    cls = registered(name, registered_networks(), "network")
    try:
        chosen = {key: _tuples(value) for key, value in tomllib.loads(f"x = {{{given}}}")["x"].items()}
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"network_options {given!r} are not understood ({one_line(error)}): give some as in "
            '"width = 16, depth = 2"'
        ) from None
    fields = {field.name for field in dataclasses.fields(cls)} - {"parent", "name"}
    unknown = sorted(set(chosen) - fields)
    if unknown:
        raise InputError(
            f"network {name} has no {unknown[0]}: give network_options of {', '.join(sorted(fields))}"
        )
    try:
        network = cls(**{key: value for key, value in known.items() if key in fields} | chosen)
        rows = jax.ShapeDtypeStruct((1, known["n_modes"]), jnp.int8)
        jax.eval_shape(network.init, jax.random.key(0), rows)  # nothing is computed
        return network
    except Exception as error:  # whatever a module of the user's may raise
        raise InputError(f"network {name}: {one_line(error)}") from error


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


@register_ansatz("dense")
class DenseNetwork(nn.Module):
    r"""Perceptron: :math:`\psi = (1 + g)\, e^f`, or :math:`e^{f + i g}` where H is complex."""

    hidden: tuple[int, ...] = (32,)
    """Widths of the hidden layers."""
    is_real: bool = True
    """True where psi is real, of either sign."""

    @nn.compact
    def __call__(self, rows: jax.Array) -> jax.Array:
        """Return log psi (...,) of configurations (..., modes): 0 and 1, or -1 and 1."""
        x = jnp.where(rows > 0, 1.0, -1.0)
        for width in self.hidden:
            x = nn.tanh(nn.Dense(width, param_dtype=jnp.float64)(x))
        small = nn.initializers.normal(0.1)
        f, g = jnp.moveaxis(nn.Dense(2, param_dtype=jnp.float64, kernel_init=small)(x), -1, 0)
        if not self.is_real:
            return f + 1j * g
        return f + jnp.log(jnp.abs(1.0 + g)) + 1j * jnp.where(1.0 + g < 0, jnp.pi, 0.0)


@register_ansatz("projected_network")
class ProjectedNetwork(nn.Module):
    """Any network of lattice fermions, projected on a symmetry sector by a sum over the group."""

    network: nn.Module
    """From occupations (..., modes) to log psi."""
    symmetry: SymmetryElements
    """The projector."""

    @property
    def per_sample(self) -> bool:
        """Always: the sum makes many configurations of each."""
        return True

    @property
    def n_passes(self) -> int:
        """Elements of the group with a weight."""
        return int(np.count_nonzero(np.asarray(self.symmetry.weights)))

    @property
    def is_real(self) -> bool:
        """True where psi is real."""
        arrays = (self.symmetry.weights, self.symmetry.phases)
        return contract.is_real(self.network) and not any(np.iscomplexobj(np.asarray(a)) for a in arrays)

    def __call__(self, occupations: jax.Array) -> jax.Array:
        """Return complex log psi (...,) of occupations (..., spins * sites), up block first."""
        symmetry = self.symmetry
        weights = np.asarray(symmetry.weights)
        kept = np.flatnonzero(weights)
        permutations, phases = np.asarray(symmetry.permutations)[kept], np.asarray(symmetry.phases)[kept]
        n_sites = permutations.shape[1]
        spins = occupations.reshape(*occupations.shape[:-1], -1, n_sites)
        # Before g, site i has the particle that is at g(i) now: (..., G, spins, sites).
        moved = jnp.swapaxes(spins[..., permutations], -3, -2)
        n = (moved > 0).astype(float)
        later = np.triu(np.ones((n_sites, n_sites)), 1)
        crossed = later * (permutations[:, :, None] > permutations[:, None, :])
        crossings = jnp.einsum("...gsi,gij,...gsj->...g", n, crossed, n)
        sign = 1.0 - 2.0 * (jnp.round(crossings).astype(int) % 2)
        gauge = jnp.prod(jnp.where(n > 0, jnp.asarray(phases)[:, None, :], 1.0), axis=(-2, -1))
        flips = jnp.asarray(np.asarray(symmetry.spin_flips)[kept])[:, None, None]
        seen = jnp.where(flips, moved[..., ::-1, :], moved).reshape(*moved.shape[:-2], -1)
        logs = self.network(seen.astype(occupations.dtype))
        return log_of_sum(jnp.asarray(weights[kept]) * sign * gauge, logs)
