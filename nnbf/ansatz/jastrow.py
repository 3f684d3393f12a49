"""Density correlations of lattice fermions: a factor for each distance."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from netket.utils import HashableArray


class DistanceJastrow(nn.Module):
    r"""Translation-invariant Jastrow factor, one parameter for each distance and pair of spins.

    .. math::

        J(n) = \tfrac12 \sum_{\sigma, i \ne j} W_{d(ij)} n_{i\sigma} n_{j\sigma}
               + \sum_{ij} W'_{d(ij)} n_{i\uparrow} n_{j\downarrow}

    with d the rank of the distance; the second sum, on-site term included, is there with two spins only.
    """

    distances: HashableArray
    """(n_sites, n_sites) whole numbers: the distance of two sites, 0 for a site and itself."""
    n_spins: int = 1
    """Spins of a site, 1 or 2."""
    param_dtype: Any = jnp.float64
    """Type of the parameters, real or complex."""
    neighbours: float = 0.0
    """Initial value of both parameters at distance 1."""
    pairs: float = 0.0
    """Initial value for two particles on one site; all others start at zero."""

    @nn.compact
    def __call__(self, occupations: jax.Array) -> jax.Array:
        """Return J (...,) of occupations (..., n_spins * n_sites), up block first."""
        distances = np.asarray(self.distances)
        largest, n_sites = int(distances.max()), len(distances)
        start = np.zeros(largest + 1)
        start[:2] = (self.pairs, self.neighbours)[: largest + 1]
        same = self.param("same_spin", lambda _: jnp.asarray(start[1:], self.param_dtype))
        n = occupations.reshape(*occupations.shape[:-1], self.n_spins, n_sites).astype(self.param_dtype)
        table = jnp.concatenate([jnp.zeros((1,), same.dtype), same])[distances]
        value = 0.5 * jnp.sum((n @ table) * n, axis=(-2, -1))
        if self.n_spins == 2:
            other = self.param("opposite_spin", lambda _: jnp.asarray(start, self.param_dtype))
            value += jnp.sum((n[..., 0, :] @ other[distances]) * n[..., 1, :], axis=-1)
        return value
