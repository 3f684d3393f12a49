r"""Metropolis samples of |psi|^p over the whole sector, where that is too large to be tabulated.

With :math:`p = |\psi|^2 / Z`, Z unknown, and psi normalised on L, all that is known is summed once: what
concerns L, and with psi evaluated on C(L), what H reaches from L, also the diagonal of H there. Since H is
symmetric, :math:`\sum_{i \notin L} \psi_i h^L_i = \sum_{i \in L} \psi_i h^o_i = B`
(:mod:`nnbf.evaluation.amplitude_table`), and

.. math:: E - E_0 = \langle x \rangle_p, \qquad
    x_i = \langle L|H - E_0|L\rangle + 2B + \sum_{j \in C} \psi_j^2 (H_{jj} - E_0) \; (i \in L), \qquad
    x_i = h^o_i / \psi_i - [i \in C] (H_{ii} - E_0) \; (i \notin L)

The mean is linear in samples of p, and a ratio of two means for those of another power of |psi|. The coupling
with L is left out of :math:`x_i` on purpose: where psi is small, :math:`h^L_i / \psi_i` is seldom drawn and
then huge. Second moments are split in the same way. No coefficient is fitted: few samples lie outside L.
"""

import jax
import jax.numpy as jnp
import numpy as np

from nnbf._devices import on_host, spread
from nnbf.determinants import (
    connected_space,
    diagonal_elements,
    max_connections,
    pack_occupations,
    spin_flip_representatives,
)
from nnbf.determinants.hashing import merge_equal
from nnbf.evaluation.amplitude_table import AmplitudeTable, signed_log
from nnbf.evaluation.samples import EvaluationOptions, Note, Samples, SampleSource
from nnbf.evaluation.sampling_loop import PILOT_POWER
from nnbf.observables import Configurations
from nnbf.operators.connections import rounded_up
from nnbf.sampling import ExcitationRule, ValueSampler
from nnbf.states import SpaceState, drawn_occupations
from nnbf.states.amplitudes import BATCH

#: Determinants that H reaches from L are tabulated up to this number: L is smaller where there are more.
MOST_CONNECTED = 2_000_000
#: Sweeps of all chains in one call of the sampler: one length is compiled.
STRIDE = 16
#: Such calls before samples count; chains start from draws of |psi|^2 on L.
THERMALISATION = 2
#: Such calls that look for large determinants where none are known.
SEARCH = 16


class ChainSource(SampleSource):
    """Metropolis chains over the whole sector."""

    method = "metropolis"
    unit = "Hartree"
    n_large: int
    chains: int

    def __init__(
        self,
        state: SpaceState,
        irreps: np.ndarray,
        options: EvaluationOptions,
        *,
        large: np.ndarray | None = None,
        note: Note = lambda what: None,
    ):
        """Sum over L and its connected space, and thermalise the chains.

        Args:
            state: The trained state; its model and variables are sampled.
            irreps: (M,) XOR codes of the orbitals' irreps (zeros where unknown).
            options: ``large``, ``chains``, ``power``, ``seed``.
            large: Determinants (n, 2 W) of which the largest are L; default: those that chains find.
            note: Told what is being done.

        Raises:
            FloatingPointError: Amplitudes are not finite.
        """
        hamiltonian, self._state = state.hamiltonian, state
        self.n_particles = hamiltonian.n_electrons
        self.infinite_temperature = hamiltonian.infinite_temperature_energy()
        self.chains, self.granule = options.chains, options.chains * STRIDE
        self.sweep_size = max(10, self.n_particles)
        rule = ExcitationRule.of(hamiltonian.integrals, irreps, hamiltonian.tables)
        self._sampler = ValueSampler(
            hamiltonian.hilbert, rule, n_chains=self.chains, sweep_size=self.sweep_size, dtype=jnp.int8
        )
        if large is None:
            note("looking for the large determinants")
            large = self._found_by_sampling(options.seed + 1)
        self._table = self._tabulated(large, options.large, note)
        self.reference, self.n_large = self._table.reference, self._table.n_large
        self._sum_what_is_known()
        note("thermalising the chains")
        power = PILOT_POWER if options.power is None else options.power
        self._sampler = self._sampler.replace(machine_pow=jnp.asarray(float(power)))
        start, key = jax.random.split(jax.random.key(options.seed))
        self._chain = self._sampler.init_state(state.model, state.variables, key)
        self._chain = self._chain.replace(σ=spread(self._starting_points(start)))
        self._chain = self._sampler.reset(state.model, state.variables, self._chain)
        self._settle()

    def _found_by_sampling(self, seed):
        """The distinct determinants that chains from the reference come across."""
        state = self._state
        chain = self._sampler.init_state(state.model, state.variables, jax.random.key(seed))
        self._chain = self._sampler.reset(state.model, state.variables, chain)
        samples = self._sample(SEARCH)
        drawn = np.concatenate([samples[:, k : k + STRIDE] for k in range(0, samples.shape[1], STRIDE)])
        found = pack_occupations(drawn.reshape(-1, samples.shape[-1]))
        determinants = np.concatenate([state.hamiltonian.reference, found])
        if state.spin_flip:
            determinants = spin_flip_representatives(determinants)
        return merge_equal(determinants)[0]

    def _tabulated(self, large, most, note):
        """L, as many as ``most`` and C(L) allow, and C(L) after it."""
        state, tables = self._state, self._state.hamiltonian.tables
        integrals = state.hamiltonian.integrals
        sign, log_abs = signed_log(state, large)
        order = np.argsort(-log_abs, kind="stable")
        large, sign, log_abs = large[order], sign[order], log_abs[order]
        self._anchor = log_abs[0]
        psi = sign * np.exp(log_abs - self._anchor)
        reached = max_connections(integrals.n_orbitals, integrals.n_alpha, integrals.n_beta)
        n = min(most, len(large), max(1, 20 * MOST_CONNECTED // reached))
        outside = connected_space(tables, large[:n], psi[:n], state.spin_flip).determinants
        while len(outside) > MOST_CONNECTED and n > 1:
            n = max(1, n // 2)
            outside = connected_space(tables, large[:n], psi[:n], state.spin_flip).determinants
        note(f"the network on {len(outside):,} determinants connected with {n:,} large ones")
        around = self._amplitudes_of(outside) if len(outside) else np.zeros(0)
        return AmplitudeTable(
            state, np.concatenate([large[:n], outside]), np.concatenate([psi[:n], around]), n
        )

    def _amplitudes_of(self, determinants):
        """Amplitudes (n,) in the units of the table."""
        # Few sizes, so that few are compiled.
        n = len(determinants)
        missing = rounded_up(n, 64, 2.0) - n if n < BATCH else 0
        filled = np.concatenate([determinants, np.repeat(determinants[:1], missing, axis=0)])
        sign, log_abs = signed_log(self._state, filled)
        return (sign * np.exp(log_abs - self._anchor))[:n]

    def _sum_what_is_known(self):
        table, n, psi, m = self._table, self.n_large, self._table.amplitudes, self._table.multiplicity
        norm = float(np.sum(m[:n] * psi[:n] ** 2))
        reached = table.reached_from_large()
        _, other = table.rows(table.determinants[:n])
        local = reached[:n] + other
        # What couples the rest with L, and the diagonal on C, belong to the exact part.
        diagonal = diagonal_elements(table.hamiltonian.tables, table.determinants[n:]) - self.reference
        self._diagonal = diagonal
        drawn = np.where(psi[n:] != 0, m[n:], 0.0)
        known = np.where(psi[n:] != 0, reached[n:], 0.0) + diagonal * psi[n:]
        energy = np.sum(m[:n] * psi[:n] * (local + other)) + np.sum(drawn * psi[n:] ** 2 * diagonal)
        self._energy_large = float(energy) / norm
        self._second_large = float(np.sum(m[:n] * local**2) + np.sum(drawn * known**2)) / norm
        self._cache: dict[bytes, tuple[float, float, float]] = {}
        self._log_abs = np.log(np.abs(np.where(psi == 0.0, np.finfo(float).tiny, psi)))

    @property
    def power(self) -> float:
        """Power of |psi| that is sampled."""
        return float(self._sampler.machine_pow)

    def change_power(self, power: float) -> None:
        """Go on with the chains at another power of |psi|."""
        if power != self.power:
            self._sampler = self._sampler.replace(machine_pow=jnp.asarray(float(power)))
            self._settle()

    @property
    def acceptance(self) -> float:
        """Share of accepted moves since the chains were thermalised."""
        return float(self._chain.acceptance)

    def configurations(self, drawn: Samples, most: int) -> Configurations:
        """At most so many of the samples, with their weights."""
        return Configurations.sampled(*drawn.thinned(most))

    def draw(self, n_samples: int) -> Samples:
        """Let every chain make its share of the samples, in whole calls of the sampler."""
        samples = self._sample(-(-n_samples // self.granule))
        determinants = pack_occupations(samples.reshape(-1, samples.shape[-1]))
        if self._state.spin_flip:
            determinants = spin_flip_representatives(determinants)
        distinct, of_sample = merge_equal(determinants)
        position = self._table.positions(distinct)
        large = (position >= 0) & (position < self.n_large)
        energy = np.full(len(distinct), self._energy_large)
        second = np.full(len(distinct), self._second_large)
        log_abs = self._log_abs[position]
        energy[~large], second[~large], log_abs[~large] = self._outside(distinct[~large])
        shape, n_modes = samples.shape[:2], samples.shape[-1]

        def of(values):
            return values[of_sample].reshape(shape)

        return Samples(
            energy=of(energy),
            second=of(second),
            outside=of((~large).astype(float)),
            log_abs=of(log_abs),
            packed=np.packbits(samples.astype(np.uint8), axis=-1),
            n_modes=n_modes,
            power=self.power,
        )

    def _outside(self, determinants):
        """Unknown part of ``h / psi`` and of its square, and log|psi|, outside L; each evaluated once."""
        keys = [row.tobytes() for row in determinants]
        new = [index for index, key in enumerate(keys) if key not in self._cache]
        if new:
            rows = np.ascontiguousarray(determinants[new])
            psi = self._amplitudes_of(rows)
            large, other = self._table.rows_completed(rows, self._amplitudes_of)
            large, other = large / psi, other / psi
            position = self._table.positions(rows)
            connected = position >= self.n_large
            diagonal = np.where(connected, self._diagonal[position - self.n_large], 0.0)
            rest, known = other - diagonal, np.where(connected, large + diagonal, 0.0)
            values = zip(rest, rest * (rest + 2.0 * known), np.log(np.abs(psi)))
            self._cache.update(zip([keys[index] for index in new], values))
        found = np.array([self._cache[key] for key in keys]).reshape(-1, 3)
        return found[:, 0], found[:, 1], found[:, 2]

    def _settle(self):
        """Make sweeps whose samples are thrown away, and count moves from now on."""
        self._sample(THERMALISATION)
        self._chain = self._chain.replace(
            n_steps_proc=jnp.zeros_like(self._chain.n_steps_proc),
            n_accepted_proc=jnp.zeros_like(self._chain.n_accepted_proc),
        )

    def _sample(self, calls):
        """Occupations (chains, calls * STRIDE, 2M)."""
        parts = []
        for _ in range(calls):
            samples, self._chain = self._sampler.sample(
                self._state.model, self._state.variables, state=self._chain, chain_length=STRIDE
            )
            parts.append(on_host(samples))
        return np.concatenate(parts, axis=1)

    def _starting_points(self, key):
        """Draws from |psi|^2 on L, each or its spin flip."""
        table, n = self._table, self.n_large
        weights = table.multiplicity[:n] * table.amplitudes[:n] ** 2
        return jnp.asarray(
            drawn_occupations(key, self._state, table.determinants[:n], weights, self.chains),
            self._sampler.dtype,
        )
