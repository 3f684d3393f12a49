r"""Metropolis proposals for fermions on sites or in orbitals that keep the number of particles of each spin.

Three moves, drawn with fixed shares: a particle hops along a bond; a particle goes to any empty site; with
two spins, all that is on the two sites of a bond changes places (spin exchange). Of each only those that
change something are drawn, with a weight that knows the repulsion (locally balanced proposals: Zanella, J.
Am. Stat. Assoc. 115, 852 (2020)): with :math:`\tilde\pi(n) = \exp(-\tfrac12 n^T G n)`,

.. math:: q(n \to n') = \sqrt{\tilde\pi(n') / \tilde\pi(n)} / Z(n), \qquad
    q(n' \to n) / q(n \to n') = \frac{\tilde\pi(n)\, Z(n)}{\tilde\pi(n')\, Z(n')} .

Without G the moves are uniform, and Z is their number. With a strong repulsion few moves are ever accepted,
and nearly all of these keep particles apart: network evaluations are not spent on the others.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
from netket.utils import struct

from hamiltonians.integrals import MolecularIntegrals, irrep_bits
from hamiltonians.lattice.model import Lattice
from hamiltonians.packing import pair_indices
from nnbf.sampling.excitation_rule import ExcitationRule

#: Inverse temperature (1 / Hartree) of the diagonal of H that proposals between orbitals know.
STEEPNESS = 2.0


class HopRule(nk.sampler.rules.MetropolisRule):
    """Hops along bonds, to any empty site, and exchanges of neighbours."""

    n_sites: int = struct.field(pytree_node=False)
    particles: tuple[int, ...] = struct.field(pytree_node=False)
    far: float = struct.field(pytree_node=False)
    """Share of moves to any empty site."""
    exchange: float = struct.field(pytree_node=False)
    """Share of exchanges of two sites."""
    guide: float = struct.field(pytree_node=False)
    """How much of the repulsion the proposals know: G in units of its default."""
    coupling: jax.Array
    """(modes, modes) the matrix G."""
    hops: "_Moves"
    anywhere: "_Moves"
    exchanges: "_Moves"
    start: jax.Array
    """(modes,) the ordered configuration that chains start from."""

    def __init__(
        self, model: Lattice, *, far: float = 0.2, exchange: float | None = None, guide: float = 1.0
    ):
        """Make a rule.

        Args:
            model: The lattice, its bonds and particles.
            far: Share of moves to any empty site.
            exchange: Share of exchanges of two sites (default 0.3 with two spins; none with one).
            guide: Proposals that avoid neighbours and pairs, in proportion to the logarithm of the
                repulsion; 0 for uniform ones.

        Raises:
            ValueError: Shares that are no probabilities.
        """
        exchange = (0.3 if model.is_spinful else 0.0) if exchange is None else exchange
        if not model.is_spinful and exchange:
            raise ValueError("of one spin, exchanges are hops: give exchange 0")
        if far < 0 or exchange < 0 or far + exchange > 1:
            raise ValueError(f"far and exchange must be shares of moves, got {far} and {exchange}")
        self.n_sites, self.particles = model.n_sites, model.particles
        bonds = np.argwhere(np.triu(np.abs(model.hopping) + np.abs(model.repulsion), 1) > 0)
        pairs = np.argwhere(np.triu(np.ones((model.n_sites, model.n_sites)), 1) > 0)
        if not len(pairs):
            pairs = np.zeros((1, 2), int)
        if not len(bonds):
            far, exchange, bonds = 1.0, 0.0, pairs
        self.far, self.exchange, self.guide = float(far), float(exchange), float(guide)
        coupling = guide * _repulsion_of_modes(model)
        spins = model.n_sites * np.arange(len(model.particles))[:, None, None, None]
        self.coupling = jnp.asarray(coupling)
        self.hops = _moves((spins + bonds[:, None]).reshape(-1, 1, 2), coupling)
        self.anywhere = _moves((spins + pairs[:, None]).reshape(-1, 1, 2), coupling)
        self.exchanges = _moves(np.swapaxes(spins[..., 0, :] + bonds, 0, 1), coupling)
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
                proposed, correction = self._drawn(key, x, self.anywhere)
                return jnp.where((count < length) & (correction > -jnp.inf), proposed, x), None

            return jax.lax.scan(move, x, (jax.random.split(key, most), jnp.arange(most)))[0]

        return jax.vmap(walk)(jax.random.split(key, n), start, jnp.arange(n) % (most + 1))

    def _propose(self, key, x):
        kind, key = jax.random.split(key)
        u = jax.random.uniform(kind)
        moved, correction = self._drawn(key, x, self.hops)
        if self.far:
            far, also = self._drawn(key, x, self.anywhere)
            is_far = u < self.far
            moved, correction = jnp.where(is_far, far, moved), jnp.where(is_far, also, correction)
        if self.exchange:
            other, also = self._drawn(key, x, self.exchanges)
            swap = u > 1.0 - self.exchange
            moved, correction = jnp.where(swap, other, moved), jnp.where(swap, also, correction)
        return moved, correction

    def _drawn(self, key, x, moves):
        """Draw one of the moves that change something by its weight; the log ratio of both directions."""
        cost, weights = self._weights(x, moves)
        cumulated = jnp.cumsum(weights)
        total = cumulated[-1]
        chosen = jnp.argmax(cumulated > total * jax.random.uniform(key, dtype=cumulated.dtype))
        places = moves.places[chosen]
        moved = x.at[places[:, 0]].set(x[places[:, 1]]).at[places[:, 1]].set(x[places[:, 0]])
        back = self._weights(moved, moves)[1].sum()
        possible = weights[chosen] > 0.0
        correction = cost[chosen] + jnp.log(jnp.where(possible, total / jnp.where(possible, back, 1.0), 1.0))
        return jnp.where(possible, moved, x), jnp.where(possible, correction, -jnp.inf)

    def _weights(self, x, moves):
        """Change of n G n / 2 by each move, and its weight: 0 for moves that change nothing."""
        n = x.astype(self.coupling.dtype)
        field = self.coupling @ n
        first, second = moves.places[..., 0], moves.places[..., 1]
        carried = n[first] - n[second]
        cost = jnp.einsum("bk,bk->b", carried, field[second] - field[first]) + 0.5 * jnp.einsum(
            "bk,bkl,bl->b", carried, moves.own, carried
        )
        return cost, jnp.where(jnp.any(carried != 0, axis=1), jnp.exp(-0.5 * cost), 0.0)

    def __repr__(self):
        return f"HopRule(far={self.far}, exchange={self.exchange}, guide={self.guide})"


class OrbitalHopRule(HopRule):
    """The same moves between the orbitals of a molecule, and excitations besides.

    The repulsion that hops and exchanges know is the diagonal of H: with a weight exp(-beta H_nn) electrons
    avoid each other as local orbitals make them. Hops keep the irrep; what they do not reach, excitations do.
    """

    excitations: ExcitationRule
    """Singles and doubles (heat bath, say)."""
    excited: float = struct.field(pytree_node=False)
    """Share of these."""

    def __init__(
        self,
        integrals: MolecularIntegrals,
        excitations: ExcitationRule,
        *,
        excited: float = 0.3,
        exchange: float = 0.4,
        steepness: float = STEEPNESS,
    ):
        """Make a rule.

        Args:
            integrals: The Hamiltonian, one set of orbitals for both spins.
            excitations: The rule for all other moves, and for the start of chains.
            excited: Share of these moves.
            exchange: Share, among the rest, of exchanges of two orbitals.
            steepness: Beta, 1 / Hartree.

        Raises:
            ValueError: Alpha and beta orbitals differ.
        """
        if integrals.is_spin_resolved:
            raise ValueError("balanced proposals are for one set of orbitals")
        size, irreps = integrals.n_orbitals, irrep_bits(integrals)
        self.n_sites, self.particles = size, (integrals.n_alpha, integrals.n_beta)
        self.far, self.exchange, self.guide = 0.0, float(exchange), float(steepness)
        self.excitations, self.excited = excitations, float(excited)
        every = np.argwhere(np.triu(np.ones((size, size)), 1) > 0).reshape(-1, 2)
        alike = every[irreps[every[:, 0]] == irreps[every[:, 1]]]
        # A pair of an orbital and itself is no move.
        every, alike = (pairs if len(pairs) else np.zeros((1, 2), int) for pairs in (every, alike))
        spins = size * np.arange(2)[:, None, None, None]
        coupling = steepness * _diagonal_of(integrals)
        self.coupling = jnp.asarray(coupling)
        self.hops = self.anywhere = _moves((spins + alike[:, None]).reshape(-1, 1, 2), coupling)
        self.exchanges = _moves(np.swapaxes(spins[..., 0, :] + every, 0, 1), coupling)
        self.start = excitations.reference

    def random_state(self, sampler, machine, parameters, state, key):
        """Start as excitations do."""
        return self.excitations.random_state(sampler, machine, parameters, state, key)

    def _propose(self, key, x):
        kind, first, second = jax.random.split(key, 3)
        excited = jax.random.uniform(kind) < self.excited
        moves = self.excitations._propose(second, x), super()._propose(first, x)
        return jax.tree.map(lambda a, b: jnp.where(excited, a, b), *moves)

    def __repr__(self):
        return f"OrbitalHopRule(exchange={self.exchange}, steepness={self.guide}, excited={self.excited})"


def ordered_configuration(model: Lattice) -> np.ndarray:
    """Occupations (modes,) int8 of a configuration with few neighbours of the same spin, and few pairs.

    Spread along a breadth-first colouring: on a bipartite lattice the first spin fills one sublattice before
    the other, the second spin the other way round.
    """
    order = np.argsort(model.graph_distances[0] % 2, kind="stable")
    rows = np.zeros((len(model.particles), model.n_sites), np.int8)
    for spin, number in enumerate(model.particles):
        rows[spin, (order if spin == 0 else order[::-1])[:number]] = 1
    return rows.ravel()


class _Moves(NamedTuple):
    """Exchanges of the occupations of k pairs of modes at once."""

    places: jax.Array
    """(B, k, 2) the modes."""
    own: jax.Array
    """(B, k, k) what the modes that change have to do with each other, in G."""


def _moves(places, coupling):
    first, second = places[..., 0], places[..., 1]

    def between(a, b):
        return coupling[a[:, :, None], b[:, None, :]]

    own = between(second, second) + between(first, first) - between(first, second) - between(second, first)
    return _Moves(jnp.asarray(places), jnp.asarray(own))


def _repulsion_of_modes(model):
    """Matrix of G (modes, modes): two neighbours, or two on a site, of so strong a repulsion are so rare."""
    scale = abs(model.t) or 1.0
    neighbours = np.abs(model.repulsion) > 0
    of_v = _rareness(model.V / scale) * neighbours
    n_spins = len(model.particles)
    coupling = np.tile(of_v, (n_spins, n_spins))
    if n_spins == 2:
        of_u = _rareness(model.U / scale) * np.eye(model.n_sites)
        coupling[: model.n_sites, model.n_sites :] += of_u
        coupling[model.n_sites :, : model.n_sites] += of_u
    return coupling


def _diagonal_of(integrals):
    """(2M, 2M) matrix G, Hartree, of the diagonal of H: ``H_nn = E_0 + n G n / 2``."""
    index = pair_indices(integrals.n_orbitals)
    own = np.diag(index)
    direct = integrals.two_body[np.ix_(own, own)]
    same = direct - integrals.two_body[index, index] + 2.0 * np.diag(np.diag(integrals.one_body))
    return np.block([[same, direct], [direct, same]])


def _rareness(repulsion):
    return 1.5 * np.sign(repulsion) * np.log1p(abs(repulsion) / 2.0)
