r"""Metropolis proposals for lattice fermions that keep the number of particles of each spin.

Three moves, drawn with fixed shares: a particle hops along a bond; a particle goes to any empty site; with
two spins, all that is on the two sites of a bond changes places (spin exchange). Of the first and third
only moves that change something are drawn, uniformly among the :math:`m(n)` that there are, so that the
ratio of the two directions is :math:`m(n) / m(n')`.
"""

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
from netket.utils import struct

from hamiltonians.lattice import LatticeModel


class HopRule(nk.sampler.rules.MetropolisRule):
    """Hops along bonds, to any empty site, and exchanges of neighbours."""

    n_sites: int = struct.field(pytree_node=False)
    particles: tuple[int, ...] = struct.field(pytree_node=False)
    far: float = struct.field(pytree_node=False)
    """Share of moves to any empty site."""
    exchange: float = struct.field(pytree_node=False)
    """Share of exchanges of two sites."""
    bonds: jax.Array
    """(B, 2) sites of the bonds."""
    start: jax.Array
    """(modes,) the ordered configuration that chains start from."""

    def __init__(self, model: LatticeModel, *, far: float = 0.2, exchange: float | None = None):
        """Make a rule.

        Args:
            model: The lattice, its bonds and particles.
            far: Share of moves to any empty site.
            exchange: Share of exchanges of two sites (default 0.3 with two spins; none with one).

        Raises:
            ValueError: Shares that are no probabilities.
        """
        exchange = (0.3 if model.is_spinful else 0.0) if exchange is None else exchange
        if not model.is_spinful and exchange:
            raise ValueError("of one spin, exchanges are hops: give exchange 0")
        if far < 0 or exchange < 0 or far + exchange > 1:
            raise ValueError(f"far and exchange must be shares of moves, got {far} and {exchange}")
        self.n_sites, self.particles = model.n_sites, model.particles
        sites = np.argwhere(np.triu(np.abs(model.hopping) + np.abs(model.repulsion), 1) > 0)
        if not len(sites):
            far, exchange, sites = 1.0, 0.0, np.zeros((1, 2), int)
        self.far, self.exchange = float(far), float(exchange)
        self.bonds = jnp.asarray(sites)
        self.start = jnp.asarray(ordered_configuration(model))

    def transition(self, sampler, machine, parameters, state, key, σ):
        """Propose for every chain; see ``nk.sampler.rules.MetropolisRule``."""
        return jax.vmap(self._propose)(jax.random.split(key, σ.shape[0]), σ)

    def random_state(self, sampler, machine, parameters, state, key):
        """Start with the ordered configuration, each chain some random far moves away from it."""
        n = sampler.n_batches
        most = 2 * sum(self.particles)
        start = jnp.broadcast_to(self.start, (n, self.start.size)).astype(sampler.dtype)

        def walk(key, x, length):
            def move(x, step):
                key, count = step
                proposed, correction = self._far(key, x)
                return jnp.where((count < length) & (correction > -jnp.inf), proposed, x), None

            return jax.lax.scan(move, x, (jax.random.split(key, most), jnp.arange(most)))[0]

        return jax.vmap(walk)(jax.random.split(key, n), start, jnp.arange(n) % (most + 1))

    def _propose(self, key, x):
        kind, key = jax.random.split(key)
        u = jax.random.uniform(kind)
        moved, correction = self._hop(key, x)
        if self.far:
            far, also = self._far(key, x)
            is_far = u < self.far
            moved, correction = jnp.where(is_far, far, moved), jnp.where(is_far, also, correction)
        if self.exchange:
            other, also = self._exchanged(key, x)
            swap = u > 1.0 - self.exchange
            moved, correction = jnp.where(swap, other, moved), jnp.where(swap, also, correction)
        return moved, correction

    def _hop(self, key, x):
        """Exchange the occupations of one spin on the two sites of a bond where they differ."""
        spins = jnp.arange(len(self.particles))[:, None, None]
        modes = (spins * self.n_sites + self.bonds).reshape(-1, 2)
        return _drawn(key, x, modes, lambda y: y[modes[:, 0]] != y[modes[:, 1]])

    def _exchanged(self, key, x):
        """Exchange all that is on the two sites of a bond where they differ."""
        first, second = self.bonds.T

        def differ(y):
            blocks = y.reshape(2, self.n_sites)
            return jnp.any(blocks[:, first] != blocks[:, second], axis=0)

        pairs = jnp.stack([self.bonds, self.bonds + self.n_sites], axis=1)
        return _drawn(key, x, pairs, differ)

    def _far(self, key, x):
        """Move a particle, drawn uniformly from all, to an empty site of its spin, drawn uniformly."""
        keys = jax.random.split(key)
        blocks = x.reshape(-1, self.n_sites) > 0.5
        total = max(sum(self.particles), 1)
        particle = jax.random.randint(keys[0], (), 0, total)
        source = jnp.argmax(jnp.cumsum(blocks.ravel()) > particle)
        spin = source // self.n_sites
        free = self.n_sites - jnp.asarray(self.particles)[spin]
        hole = jax.random.randint(keys[1], (), 0, jnp.maximum(free, 1))
        target = spin * self.n_sites + jnp.argmax(jnp.cumsum(~blocks[spin]) > hole)
        moved = x.at[source].set(0).at[target].set(1)
        possible = (free > 0) & (sum(self.particles) > 0)
        return jnp.where(possible, moved, x), jnp.where(possible, 0.0, -jnp.inf)

    def __repr__(self):
        return f"HopRule(far={self.far}, exchange={self.exchange})"


def ordered_configuration(model: LatticeModel) -> np.ndarray:
    """Occupations (modes,) int8 of a configuration with few neighbours of the same spin, and few pairs.

    Spread along a breadth-first colouring: on a bipartite lattice the first spin fills one sublattice before
    the other, the second spin the other way round.
    """
    order = np.argsort(model.graph_distances[0] % 2, kind="stable")
    rows = np.zeros((len(model.particles), model.n_sites), np.int8)
    for spin, number in enumerate(model.particles):
        rows[spin, (order if spin == 0 else order[::-1])[:number]] = 1
    return rows.ravel()


def _drawn(key, x, places, differ):
    """Swap the modes of one of ``places`` (B, ..., 2) where ``differ`` says that it changes something."""
    possible = differ(x)
    count = possible.sum()
    drawn = jax.random.randint(key, (), 0, jnp.maximum(count, 1))
    chosen = places[jnp.argmax(jnp.cumsum(possible) > drawn)].reshape(-1, 2)
    moved = x.at[chosen[:, 0]].set(x[chosen[:, 1]]).at[chosen[:, 1]].set(x[chosen[:, 0]])
    correction = jnp.log(jnp.maximum(count, 1)) - jnp.log(jnp.maximum(differ(moved).sum(), 1))
    return jnp.where(count > 0, moved, x), jnp.where(count > 0, correction, -jnp.inf)
