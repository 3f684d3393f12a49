"""Exact, independent samples of |psi|^2 where the symmetry sector can be enumerated."""

from functools import partial

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
from netket.utils import struct

from nnbf._devices import spread
from nnbf.determinants import multiplicities, unpack_occupations


class SectorSamplerState(nk.sampler.SamplerState):
    """Running sums of |psi|^2 over the sector, and a key."""

    cumulative: jax.Array = struct.field(serialize=False)
    """Running sums (n,) of the probabilities; the last is 1."""
    rng: jax.Array
    """Key of the next samples."""

    def __init__(self, cumulative, rng):
        self.cumulative = cumulative
        self.rng = rng
        super().__init__()

    def __repr__(self):
        return f"SectorSamplerState(rng={self.rng})"


class SectorSampler(nk.sampler.Sampler):
    """Draws independent determinants of a list with probability |psi|^2.

    Like ``nk.sampler.ExactSampler``, on the determinants of one irrep instead of the whole Hilbert
    space, and with one evaluation for a determinant and its spin flip.
    """

    occupations: jax.Array
    """(n, 2M) int8."""
    weight: jax.Array
    """How many determinants an entry stands for, (n,): 2 for a spin-flip pair."""
    n_listed: int = struct.field(pytree_node=False)
    """Determinants that are evaluated for new parameters; what is behind them fills the lists up."""
    chunk_size: int | None = struct.field(pytree_node=False)
    """Determinants that the network evaluates at once."""

    def __init__(
        self,
        hilbert,
        determinants: np.ndarray,
        *,
        spin_flip: bool = False,
        chunk_size: int | None = 8192,
        machine_pow: float = 2,
        dtype=None,
    ):
        """Make a sampler.

        Args:
            hilbert: NetKet Hilbert space of the determinants.
            determinants: Bit strings (n, 2 W) of the whole sector.
            spin_flip: Whether they are representatives of spin-flip pairs; each then yields itself and
                its flip with the same probability, as is right for psi of either parity.
            chunk_size: Determinants that the network evaluates at once.
            machine_pow: Power of |psi|.
            dtype: Type of the samples.
        """
        super().__init__(hilbert, machine_pow=machine_pow, dtype=dtype)
        self.n_listed = len(determinants)
        self.occupations = spread(unpack_occupations(determinants, hilbert.size // 2))
        weight = np.asarray(multiplicities(determinants, spin_flip), np.float64)
        self.weight = spread(np.pad(weight, (0, len(self.occupations) - len(weight))))
        self.chunk_size = chunk_size

    @property
    def is_exact(self):
        """Samples are independent."""
        return True

    def _init_state(self, machine, parameters, seed):
        return SectorSamplerState(jnp.ones(self.n_listed), seed)

    def _reset(self, machine, parameters, state):
        cumulative = _cumulative(
            machine, self.machine_pow, self.chunk_size, parameters, self.occupations, self.weight
        )
        return state.replace(cumulative=cumulative[: self.n_listed])

    @partial(jax.jit, static_argnames=("machine", "chain_length", "return_log_probabilities"))
    def _sample_chain(self, machine, parameters, state, chain_length, return_log_probabilities=False):
        rng, key, flip_key = jax.random.split(state.rng, 3)
        shape = (self.n_batches, chain_length)
        place = jnp.searchsorted(state.cumulative, jax.random.uniform(key, shape), side="right")
        place = jnp.minimum(place, self.n_listed - 1)
        samples = self.occupations[place]
        m = samples.shape[-1] // 2
        flip = jax.random.bernoulli(flip_key, 0.5, shape) & (self.weight[place] > 1.5)
        samples = jnp.where(flip[..., None], jnp.roll(samples, m, axis=-1), samples).astype(self.dtype)
        samples = nk.jax.sharding.shard_along_axis(samples, 0)
        state = state.replace(rng=rng)
        if return_log_probabilities:
            return (samples, self.machine_pow * machine.apply(parameters, samples).real), state
        return samples, state

    def __repr__(self):
        return f"SectorSampler(n_determinants={self.n_listed}, dtype={self.dtype})"


@partial(jax.jit, static_argnums=(0, 2))
def _cumulative(machine, machine_pow, chunk_size, parameters, occupations, weight):
    apply = nk.jax.apply_chunked(machine.apply, in_axes=(None, 0), chunk_size=chunk_size)
    log_abs = apply(parameters, occupations).real
    probability = weight * jnp.exp(machine_pow * (log_abs - jnp.max(log_abs)))
    running = jnp.cumsum(probability)
    return running / running[-1]
