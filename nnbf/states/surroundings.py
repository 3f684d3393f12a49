r"""Determinants outside V, drawn where psi is large, or ought to be.

Outside V two things can be wrong. Where H reaches from V, psi ought to be the first-order amplitude

.. math:: c_j = \sum_{i \in V} H_{ji} \psi_i / (E - H_{jj}),

and anywhere in the sector the network may put weight where there is none. Two samples see both: Markov chains
of :math:`|\psi|` over the whole sector, and independent draws of :math:`|c|`. A determinant that is drawn
:math:`k_j` times by either then stands for

.. math:: s_j = k_j / (N_1 |\psi_j| / Z + N_2 |c_j| / Z_c)

(the balance heuristic of multiple importance sampling; Veach and Guibas, SIGGRAPH 95, 419), where Z is known
from the share of the chains' samples that lie in V, where psi can be summed.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from nnbf._devices import on_host, spread
from nnbf.determinants import (
    Amplitudes,
    ConnectedSpace,
    find_rows,
    multiplicities,
    pack_occupations,
    spin_flip_representatives,
    unpack_occupations,
)
from nnbf.determinants.hashing import merge_equal
from nnbf.operators.connections import padded_to, rounded_up
from nnbf.sampling import ExcitationRule, ValueSampler
from nnbf.states.estimates import energy_gaps
from nnbf.states.space_state import SpaceState

#: Markov chains, their samples in one draw, and those before the first. Few proposals lie between them: what
#: is close together counts, too.
CHAINS, LENGTH, THERMALISATION = 256, 96, 192
SWEEP = 2


@dataclass(frozen=True)
class Drawn:
    """Determinants outside V that stand for all of them."""

    determinants: np.ndarray
    """(n, 2 W): always as many; the last of them fill up the list."""
    copies: np.ndarray
    """(n,) how many entries each stands for; 0 of those that fill up."""


class Surroundings:
    """What lies around one V, to draw from."""

    def __init__(
        self,
        state: SpaceState,
        outside: ConnectedSpace,
        energy: float,
        irreps: np.ndarray,
        size: int,
        seed: int,
    ):
        """Prepare the draws.

        Args:
            state: The state on V.
            outside: The connected space of V, with couplings to a state on it.
            energy: Of that state, Hartree.
            irreps: (M,) XOR codes of the orbitals' irreps (zeros where unknown): chains keep to one.
            size: Determinants of a draw, at most; a smaller connected space is taken whole.
            seed: Of all draws.
        """
        hamiltonian, self._fold, self._seed = state.hamiltonian, state.spin_flip, seed
        self._space, self._outside = Amplitudes.listed(state.determinants), outside.determinants
        self._index = Amplitudes.listed(outside.determinants)
        gaps = energy_gaps(outside, energy)
        weights = multiplicities(outside.determinants, self._fold) * np.abs(outside.couplings / gaps)
        self._whole = 4 * len(weights) <= 3 * size or not np.any(weights)
        self._chances = weights / max(float(weights.sum()), np.finfo(float).tiny)
        self._size = rounded_up(len(weights) + size // 4, 64, 2.0) if self._whole else size
        rule = ExcitationRule.of(hamiltonian.integrals, irreps, hamiltonian.tables)
        self._sampler = ValueSampler(
            hamiltonian.hilbert,
            rule,
            n_chains=CHAINS,
            sweep_size=SWEEP,
            dtype=jnp.int8,
            machine_pow=1.0,
        )
        self.positions: np.ndarray | None = None
        """(chains, 2M) int8: where the chains are; None before the first draw."""

    def draw(self, state: SpaceState, number: int) -> Drawn:
        """Make draw ``number`` (from 0) for the present parameters; the same one for the same positions."""
        visited, inside = self._visited(state, number)
        norm = np.sum(state.multiplicity * np.abs(state.wave_function()))
        # Visits expected of a determinant with |psi| = 1.
        density = float(np.maximum(np.count_nonzero(inside), 1) / norm)
        distinct, of_visit = merge_equal(visited[~inside])
        while len(distinct) > self._size // (4 if self._whole else 2):
            half = len(visited) // 2
            visited, inside, density = visited[:half], inside[:half], density * half / len(visited)
            distinct, of_visit = merge_equal(visited[~inside])
        times = np.bincount(of_visit, minlength=len(distinct)).astype(float)
        if self._whole:
            new = self._place(distinct) < 0
            found = np.concatenate([self._outside, distinct[new]])
            times = np.concatenate([np.ones(len(self._outside)), times[new]])
        else:
            picked, again, n_draws = self._picked(distinct, number)
            found, row = merge_equal(np.concatenate([distinct, self._outside[picked]]))
            times = np.bincount(row, weights=np.concatenate([times, again]), minlength=len(found))
        filled = padded_to(found, self._size, found[0])
        visits = density * multiplicities(filled, self._fold) * np.abs(state.values_on(filled))
        visits, place = visits[: len(found)], self._place(found)
        if self._whole:
            expected = np.where(place >= 0, 1.0, visits)
        else:
            expected = visits + n_draws * np.where(place >= 0, self._chances[place], 0.0)
        return Drawn(filled, np.concatenate([times / expected, np.zeros(self._size - len(found))]))

    def _picked(self, known, number):
        """Places drawn from |c| that fill, with what is known, a list; how often each; number of draws."""
        draws = np.random.default_rng([self._seed, number]).choice(
            len(self._chances), 2 * self._size, p=self._chances
        )
        is_known = np.zeros(len(self._chances), bool)
        place = self._place(known)
        is_known[place[place >= 0]] = True
        picked, first = np.unique(draws, return_index=True)
        new = np.sort(first[~is_known[picked]])
        room = self._size - len(known)
        if len(new) > room:
            draws = draws[: new[room]]
        return *np.unique(draws, return_counts=True), len(draws)

    def _visited(self, state, number):
        """Determinants that chains visit, and which of them lie in V."""
        calls = 1
        if self.positions is None:
            self.positions = self._starting_points(state)
            calls += THERMALISATION // LENGTH
        for call in range(calls):
            key = jax.random.key(self._seed)
            for step in (number, call):
                key = jax.random.fold_in(key, step)
            chains = self._sampler.init_state(state.model, state.variables, key)
            chains = chains.replace(σ=spread(np.asarray(self.positions, self._sampler.dtype)))
            chains = self._sampler.reset(state.model, state.variables, chains)
            samples, chains = self._sampler.sample(
                state.model, state.variables, state=chains, chain_length=LENGTH
            )
            self.positions = on_host(chains.σ)
        # Chains side by side: the first half of them is half of every chain.
        visited = pack_occupations(on_host(samples).swapaxes(0, 1).reshape(-1, samples.shape[-1]))
        if self._fold:
            visited = spin_flip_representatives(visited)
        return visited, find_rows(self._space.slots, self._space.keys, visited) >= 0

    def _starting_points(self, state):
        weights = state.multiplicity * np.abs(state.wave_function())
        return drawn_occupations(jax.random.key(self._seed), state, state.determinants, weights, CHAINS)

    def _place(self, determinants):
        return find_rows(self._index.slots, self._index.keys, determinants)


def drawn_occupations(
    key: jax.Array, state: SpaceState, determinants: np.ndarray, weights: np.ndarray, count: int
) -> np.ndarray:
    """Independent draws, each of a determinant or its spin flip where the state has it: where chains start.

    Args:
        key: Key of the random generator.
        state: Says whether psi is even under spin flip.
        determinants: (n, 2 W) bit strings.
        weights: (n,) in proportion to which they are drawn.
        count: Number of draws.

    Returns:
        Occupations (count, 2M), int8.
    """
    m = state.hamiltonian.n_orbitals
    pick, flip = jax.random.split(key)
    drawn = jax.random.choice(pick, len(weights), (count,), p=jnp.asarray(weights / weights.sum()))
    points = unpack_occupations(determinants[np.asarray(drawn)], m)
    if state.spin_flip:
        flipped = np.asarray(jax.random.bernoulli(flip, 0.5, (count,)))
        points = np.where(flipped[:, None], np.roll(points, m, axis=-1), points)
    return points.astype(np.int8)
