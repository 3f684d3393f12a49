"""Metropolis chains of determinants by compiled kernels: proposals, and amplitudes without derivatives."""

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np

from nnbf._compute import on_device
from nnbf._devices import on_host, spread
from nnbf.ansatz.values import BackflowValues, has_values, in_sector
from nnbf.determinants import pack_occupations, unpack_occupations
from nnbf.sampling.compiled_moves import DRAWN, compiled_moves, has_moves, propose


class ValueSampler(nk.sampler.MetropolisSampler):
    """NetKet's Metropolis sampler of a molecule's determinants, without JAX where there are kernels.

    Networks and rules without kernels, and accelerators, are left to NetKet.
    """

    def _reset(self, machine, parameters, state):
        values = self._values(machine, parameters, state)
        if values is None:
            return super()._reset(machine, parameters, state)
        return state.replace(
            log_prob=spread(float(self.machine_pow) * values(_packed(state.σ))[1]),
            n_steps_proc=jnp.zeros_like(state.n_steps_proc),
            n_accepted_proc=jnp.zeros_like(state.n_accepted_proc),
        )

    def _sample_chain(self, machine, parameters, state, chain_length, return_log_probabilities=False):
        values = self._values(machine, parameters, state)
        if values is None:
            return super()._sample_chain(machine, parameters, state, chain_length, return_log_probabilities)
        key, seed = jax.random.split(state.rng)
        random = np.random.default_rng(np.asarray(jax.random.key_data(seed)).tolist())
        power, log_prob = float(self.machine_pow), on_host(state.log_prob)
        chains = _Chains(compiled_moves(self.rule), values, power, _packed(state.σ), log_prob)
        samples, logs = [], []
        for _ in range(chain_length):
            chains.sweep(random, self.sweep_size)
            samples.append(chains.words.copy())
            logs.append(chains.log_prob.copy())
        state = state.replace(
            σ=spread(unpack_occupations(chains.words, machine.n_orbitals).astype(self.dtype)),
            log_prob=spread(chains.log_prob),
            rng=key,
            n_accepted_proc=spread(on_host(state.n_accepted_proc) + chains.accepted),
            n_steps_proc=state.n_steps_proc + self.n_batches * chain_length * self.sweep_size,
        )
        words = np.stack(samples, axis=1)
        rows = unpack_occupations(words.reshape(-1, words.shape[-1]), machine.n_orbitals)
        drawn = spread(rows.reshape(*words.shape[:2], -1).astype(self.dtype))
        return ((drawn, spread(np.stack(logs, axis=1))) if return_log_probabilities else drawn), state

    def _values(self, machine, parameters, state):
        """Kernels of a network, or None."""
        if self.reset_chains or not has_values(machine) or on_device():
            return None
        if not has_moves(self.rule) or not in_sector(machine, _packed(state.σ)):
            return None
        return BackflowValues(machine, parameters)


class _Chains:
    """Chains on their way."""

    def __init__(self, moves, values, power, words, log_prob):
        self._moves, self._values, self._power = moves, values, power
        self.words, self.log_prob = words, np.array(log_prob)
        self.accepted = np.zeros(len(words), np.int64)

    def sweep(self, random, steps):
        n = len(self.words)
        numbers = random.random((steps, n, DRAWN + 1))
        proposed, correction = np.empty_like(self.words), np.empty(n)
        for drawn in numbers:
            propose(*self._moves, self.words, drawn, proposed, correction)
            possible = np.flatnonzero(correction > -np.inf)
            if not len(possible):
                continue
            log_prob = self._power * self._values(proposed[possible])[1]
            with np.errstate(over="ignore", invalid="ignore"):
                ratio = np.exp(log_prob - self.log_prob[possible] + correction[possible])
            accepted = drawn[possible, DRAWN] < ratio
            taken = possible[accepted]
            self.words[taken], self.log_prob[taken] = proposed[taken], log_prob[accepted]
            self.accepted[taken] += 1


def _packed(occupations):
    return np.ascontiguousarray(pack_occupations(on_host(occupations)))
